"""The OpenAPI document: valid, whole, and true by its own words. What a generated client would stumble over is here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway.api import naming
from gateway.api.endpoints import TABLE as ROUTES
from gateway.api.examples import of_code
from gateway.api.explanations import EXPLANATIONS
from gateway.api.openapi import codes_of, document
from gateway.api.problems import TABLE, Code

SPEC = document(ROUTES)
OPERATIONS = [(f"{m.upper()} {p}", o) for p, methods in SPEC["paths"].items() for m, o in methods.items()]


def each(operation: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each media type of the request and of every response."""
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for response in operation["responses"].values():
        yield from response["content"].items()


def test_the_document_is_valid() -> None:
    validate(SPEC)


def test_it_refers_only_to_what_it_has() -> None:
    for reference in set(re.findall(r'"#/([^"]+)"', json.dumps(SPEC))):
        found: Any = SPEC
        for name in reference.split("/"):
            found = found[name]


def test_every_field_and_every_document_is_described() -> None:
    for name, schema in SPEC["components"]["schemas"].items():
        assert schema.get("description") or "enum" in schema, name
        for field, of in schema.get("properties", {}).items():
            assert of.get("description"), f"{name}.{field} has no description: give its type a Meta(description=…)"


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_operation_says_what_it_does_and_shows_it(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"].endswith(".") and len(operation["summary"]) < 120
    assert re.fullmatch(r"[a-z][A-Za-z0-9]+", operation["operationId"])
    assert operation["tags"][0] in {tag["name"] for tag in SPEC["tags"]}
    for parameter in operation.get("parameters", ()):
        assert parameter["description"]
    for media_type, content in each(operation):
        if media_type.endswith("json") and content["schema"]:
            assert content["examples"], f"{name} has no example of {media_type}"
    for status, response in operation["responses"].items():
        assert {"X-Request-Id", "RateLimit", "RateLimit-Policy"} <= response["headers"].keys()
        if status in ("429", "503") and "application/problem+json" in response["content"]:
            assert "Retry-After" in response["headers"]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_example_is_right_by_its_schema(name: str, operation: dict[str, Any]) -> None:
    for _, content in each(operation):
        schema = content["schema"] | {"components": SPEC["components"]}
        for key, example in content.get("examples", {}).items():
            if "$ref" in example:
                example = SPEC["components"]["examples"][key]
            errors = [e.message for e in OAS31Validator(schema).iter_errors(example["value"])]
            assert not errors, f"{name} {key}: {errors}"


def test_names_for_generated_clients_are_unique_and_speak() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    for method, path, name in (
        ("GET", "/v1/endpoints", "listEndpoints"),
        ("POST", "/v1/endpoints", "createEndpoint"),
        ("GET", "/v1/endpoints/{id}", "getEndpoint"),
        ("DELETE", "/v1/endpoints/{id}", "deleteEndpoint"),
        ("PATCH", "/v1/endpoints/{id}", "updateEndpoint"),
        ("POST", "/v1/endpoints/{id}/secret", "secretEndpoint"),
        ("GET", "/v1/batches/{id}/messages", "listBatchMessages"),
        ("POST", "/v1/messages/{id}/cancel", "cancelMessage"),
    ):
        assert naming.operation_id(method, path) == name


def test_a_part_of_the_api_that_has_no_tag_yet_gets_one() -> None:
    assert naming.tag("/v1/audit/{id}") == "Audit" and naming.tag("/healthz") == "Service"


def test_every_code_is_explained_and_its_example_has_that_code() -> None:
    for code in Code:
        assert code in EXPLANATIONS, f"say in api/explanations.py what {code} means and what to do"
        e = EXPLANATIONS[code]
        assert len(e.means) > 20 and len(e.todo) > 20 and e.means.endswith(".") and e.todo.endswith("."), code
        shown = of_code(code)
        assert (shown.code, shown.status) == (code, TABLE[code].status) and len(shown.detail) > 15, code


def test_every_code_is_in_the_responses_of_its_routes() -> None:
    for route in (r for r in ROUTES.routes if r.listed):
        responses = SPEC["paths"][route.path][route.method.lower()]["responses"]
        for code in codes_of(route):
            schema = responses[str(TABLE[code].status)]["content"]["application/problem+json"]["schema"]
            assert code in schema["allOf"][1]["properties"]["code"]["enum"]
    never = set(Code) - {code for route in ROUTES.routes for code in codes_of(route)}
    assert never == {Code.NOT_HTTP, Code.METHOD_NOT_ALLOWED}  # there is no route then
