"""The OpenAPI 3.1 document, made from the table of routes and the types of the documents. Never written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from gateway import __version__
from gateway.api import call
from gateway.api.call import Answer, Call, Endpoint
from gateway.api.problems import CONTENT_TYPE, TABLE, Code, Problem
from gateway.api.routes import Parameter, Route, Table

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_EVERYWHERE: Final = (Code.NO_KEY, Code.SCOPE_MISSING, Code.INTERNAL_ERROR)
_NDJSON: Final = "application/x-ndjson"
_WORDS: Final = {
    200: "Done.",
    201: "Made.",
    202: "Durably accepted.",
    400: "Not JSON.",
    401: "No key, or none that works.",
    403: "The key may not do this.",
    404: "Not there, or not yours.",
    408: "Too slow.",
    409: "In conflict with what is there.",
    413: "Too large.",
    422: "Something in the request cannot be used; `pointer` or `parameter` says what.",
    429: "Too much at the moment.",
    500: "A fault of the server.",
    503: "Not possible at the moment.",
}


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
    schemas, components = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": __version__,
            "description": "An SMS gateway: HTTP in, SMPP and HTTP carriers out.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "a key, `sk_…`"}},
        },
        "security": [{"key": []}],
    }


def _schemas(table: Table) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """A reference for each type of the table, and the schemas that they refer to."""
    types = list({kind: None for route in table.routes for kind in _types(route)} | {Problem: None})
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return dict(zip(types, found, strict=True)), components


def _types(route: Route) -> Iterator[Any]:
    for kind in (route.body, route.lines, *route.answers.values()):
        if kind is not None and not isinstance(kind, str):
            yield kind


def _operation(route: Route, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.says,
        "responses": _responses(route, schemas),
    }
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if parameters := in_path + [_parameter(p) for p in route.parameters]:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {call.JSON: {"schema": schemas[route.body]}}
        if route.lines is not None:
            content[_NDJSON] = {"schema": schemas[route.lines]}
        operation["requestBody"] = {"required": True, "content": content}
    if route.scope is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs the scope `{route.scope}`."
    return operation


def _operation_id(route: Route) -> str:
    words = [w for w in re.split(r"[/.{}]", route.path.removeprefix("/v1")) if w]
    return "_".join([route.method.lower(), *words])


def _parameter(p: Parameter) -> dict[str, Any]:
    return {"name": p.name, "in": p.place, "required": False, "description": p.says, "schema": dict(p.schema)}


def _responses(route: Route, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in route.answers.items():
        content = {kind: {"schema": {}}} if isinstance(kind, str) else {call.JSON: {"schema": schemas[kind]}}
        responses[str(status)] = {"description": _WORDS[status], "headers": _headers(), "content": content}
    codes = route.codes + (_EVERYWHERE if route.scope else ())
    if route.body is not None:
        codes += (Code.WRONG_TYPE, Code.TOO_LARGE, Code.BODY_TOO_SLOW)
    by_status: dict[int, list[Code]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(TABLE[code].status, []).append(code)
    for status, found in sorted(by_status.items()):
        responses.setdefault(
            str(status),
            {
                "description": f"{_WORDS[status]} Codes: {', '.join(found)}{' and others' if status == 422 else ''}.",
                "headers": _headers(retry=any(TABLE[code].retry_after_s for code in found)),
                "content": {CONTENT_TYPE: {"schema": schemas[Problem]}},
            },
        )
    return responses


def _headers(retry: bool = False) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if retry:
        headers["Retry-After"] = {"schema": {"type": "integer"}}
    return headers
