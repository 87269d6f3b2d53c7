"""The OpenAPI 3.1 document, made from the table of routes and the types of the documents. Never written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from gateway import __version__
from gateway.api import call, examples, naming, openapi_parts
from gateway.api.call import Answer, Call, Endpoint
from gateway.api.problems import CONTENT_TYPE, DOCUMENT_FAULTS, TABLE, Code, Problem
from gateway.api.routes import Parameter, Route, Table

NDJSON: Final = "application/x-ndjson"
_KEYED: Final = (
    Code.NO_KEY,
    Code.WRONG_KEY,
    Code.KEY_EXPIRED,
    Code.SCOPE_MISSING,
    Code.ADDRESS_NOT_ALLOWED,
    Code.NOT_READY,
)
_BODIED: Final = (Code.NOT_JSON, Code.BODY_TOO_SLOW, Code.TOO_LARGE, *DOCUMENT_FAULTS)


def endpoint(table: Callable[[], Table]) -> Endpoint:
    """Serves the document of a table that need not exist yet."""

    @cache
    def body() -> bytes:
        return msgspec.json.encode(document(table()))

    async def serve(c: Call) -> Answer:
        return call.raw(body())

    return serve


def document(table: Table) -> dict[str, Any]:
    """The whole document."""
    table = Table(route for route in table.routes if route.listed)
    schemas, components = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    names = naming.operation_ids((route.method, route.path) for route in table.routes)
    for route in table.routes:
        named = {"operationId": names[route.method, route.path]}
        paths.setdefault(route.path, {})[route.method.lower()] = named | _operation(route, schemas)
    used = dict.fromkeys(naming.tag(route.path) for route in table.routes)
    made = {
        "openapi": "3.1.0",
        "info": openapi_parts.info(__version__),
        "servers": [{"url": "/", "description": "this installation"}],
        "externalDocs": {"url": "/docs/guide", "description": "The guide, with every problem's page"},
        "tags": [{"name": name, "description": says} for name, says in naming.TAGS.items() if name in used]
        + [{"name": name} for name in used if name not in naming.TAGS],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": openapi_parts.HEADERS,
            "examples": {str(code): _example(code) for code in Code},
            "securitySchemes": openapi_parts.SECURITY,
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))  # as its readers get it: lists, no tuples
    return plain


def codes_of(route: Route) -> tuple[Code, ...]:
    """Every code that the route may answer with."""
    codes = [*route.codes, Code.INTERNAL_ERROR]
    if route.scope is not None:
        codes += _KEYED
    if route.body is not None:
        codes += _BODIED
    if any(p.place == "query" for p in route.parameters):
        codes.append(Code.QUERY_INVALID)
    return tuple(dict.fromkeys(codes))


def _schemas(table: Table) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """A reference for each type of the table, and the schemas that they refer to."""
    types = list({kind: None for route in table.routes for kind in _types(route)} | {Problem: None})
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in components.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
        for field in schema.get("properties", {}).values():
            _lift(field)
    return dict(zip(types, found, strict=True)), components


def _lift(field: dict[str, Any]) -> None:
    """What a field that may be null says about itself belongs to the field, not to one of its types."""
    for one in field.get("anyOf", ()):
        for name in ("description", "examples"):
            if name in one and name not in field:
                field[name] = one.pop(name)


def _example(code: Code) -> dict[str, Any]:
    shown = msgspec.structs.replace(examples.of_code(code), request_id="5f2c1a9b3e7d-2a")
    return {"summary": TABLE[code].title, "value": msgspec.to_builtins(shown)}


def _types(route: Route) -> Iterator[Any]:
    for kind in (route.body, route.lines, *route.answers.values()):
        if kind is not None and not isinstance(kind, str):
            yield kind


def _operation(route: Route, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    summary, _, more = route.says.partition(". ")
    scopes = route.scope.split(" ") if route.scope is not None else []
    scope = f"Needs the scope {' or '.join(f'`{one}`' for one in scopes)}." if scopes else "Needs no key."
    operation: dict[str, Any] = {
        "tags": [naming.tag(route.path)],
        "summary": summary.rstrip(".") + ".",
        "description": f"{more} {scope}".strip(),
        "responses": _responses(route, schemas),
    }
    in_path = [openapi_parts.in_path(name) for name in openapi_parts.names_in(route.path)]
    if parameters := in_path + [_parameter(p) for p in route.parameters]:
        operation["parameters"] = parameters
    if route.body is not None or route.texts:
        operation["requestBody"] = _body(route, schemas)
    operation["security"] = [{"key": [one]} for one in scopes]
    return operation


def _body(route: Route, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if route.body is not None:
        content[call.JSON] = {"schema": schemas[route.body], "examples": examples.of_request(route.body)}
    if route.lines is not None:
        content[NDJSON] = {
            "schema": {
                "type": "string",
                "description": "One message a line; empty lines do not count.",
                "x-line-schema": schemas[route.lines],
            },
            "examples": {"lines": {"value": examples.lines(route.lines)}},
        }
    for media_type in route.texts:
        content[media_type] = {"schema": {"type": "string", "description": "the document itself"}}
    return {"required": route.needs_body, "content": content}


def _parameter(p: Parameter) -> dict[str, Any]:
    return {"name": p.name, "in": p.place, "required": False, "description": p.says, "schema": dict(p.schema)}


def _responses(route: Route, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in route.answers.items():
        described = openapi_parts.WORDS.get(status, "Done.")
        if isinstance(kind, str):
            content: dict[str, Any] = {kind: {"schema": {} if kind == call.JSON else {"type": "string"}}}
        else:
            described = f"{described} {' '.join((kind.__doc__ or '').split())}".strip()
            content = {call.JSON: {"schema": schemas[kind], "examples": {"example": {"value": examples.of(kind)}}}}
        headers = openapi_parts.headers(route, status)
        responses[str(status)] = {"description": described, "headers": headers, "content": content}
    by_status: dict[int, list[Code]] = {}
    for code in codes_of(route):
        by_status.setdefault(TABLE[code].status, []).append(code)
    for status, found in sorted(by_status.items()):
        refused = _refusal(route, status, found, schemas[Problem])
        if str(status) in responses:  # such as a /readyz that is not ready
            responses[str(status)]["content"] |= refused["content"]
        else:
            responses[str(status)] = refused
    return responses


def _refusal(route: Route, status: int, codes: list[Code], schema: Mapping[str, Any]) -> dict[str, Any]:
    listed = ", ".join(f"[`{code}`](/docs/problems/{code})" for code in codes)
    return {
        "description": f"{openapi_parts.WORDS[status]} Codes: {listed}.",
        "headers": openapi_parts.headers(route, status, any(TABLE[code].retry_after_s for code in codes)),
        "content": {
            CONTENT_TYPE: {
                "schema": {"allOf": [schema, {"properties": {"code": {"enum": [str(code) for code in codes]}}}]},
                "examples": {str(code): {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }
