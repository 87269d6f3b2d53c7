"""What the OpenAPI document has beside routes and types: its introduction, headers, parameters in paths. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.api.problems import Code
from gateway.api.routes import Route

WORDS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Made.",
    202: "Durably accepted.",
    204: "Done; there is nothing to say.",
    400: "The request cannot be read.",
    401: "No key, or none that works.",
    403: "The key may not do this.",
    404: "Not there, or not yours.",
    405: "Not with this method.",
    408: "Too slow.",
    409: "In conflict with what is there.",
    410: "Gone for good.",
    413: "Too large.",
    415: "Not in this form.",
    422: "Something in the request cannot be used; `pointer` or `parameter` says what.",
    429: "Too much at the moment; `Retry-After` says when to repeat.",
    500: "A fault of the server.",
    502: "Another server did not do its part.",
    503: "Not possible at the moment; `Retry-After` says when to repeat.",
}

SECURITY: Final[Mapping[str, Any]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_…",
        "description": "A key of your client, made with `sluice keys create`. What it may do are its scopes:"
        " `send`, `read`, `stats`, `ops`, `plan`, `privacy`, `admin`; `admin` may do everything.",
    }
}

HEADERS: Final[Mapping[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's id: the one that was sent in `X-Request-Id`, if it may be used, else a new one."
        " Tell it to those who run the gateway.",
        "schema": {"type": "string"},
        "example": "5f2c1a9b3e7d-2a",
    },
    "RateLimit-Policy": {
        "description": 'How fast the client may send (draft-ietf-httpapi-ratelimit-headers): `"messages"` with `q`'
        ' messages in `w` seconds, or, without a key or a quota, `"intake"` with the room that all share.',
        "schema": {"type": "string"},
        "example": '"messages";q=200;w=2',
    },
    "RateLimit": {
        "description": "How many messages may be sent now (`r`), and the seconds after which there are more (`t`).",
        "schema": {"type": "string"},
        "example": '"messages";r=187;t=1',
    },
    "Retry-After": {
        "description": "The seconds after which repeating may help.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "WWW-Authenticate": {
        "description": "How to identify yourself.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="sluice"',
    },
    "Idempotent-Replayed": {
        "description": "`true`: this is the first request's answer again; nothing was done.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {
        "description": 'The next page, with `rel="next"`; not there on the last one.',
        "schema": {"type": "string"},
        "example": '</v1/messages?cursor=AZnBonp6PHwRjwBaHS4_Sg>; rel="next"',
    },
}

_NAME: Final = re.compile(r"\{(\w+)\}")
_IN_PATH: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "name": ("the name, as the list has it", {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,63}$"}),
    "carrier": ("the carrier's name in the plan", {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,63}$"}),
    "version": ("the version's number", {"type": "integer", "minimum": 1}),
    "kind": ("the kind, such as `numbers`", {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,31}$"}),
    "number": ("the number, as sending takes it", {"type": "string", "maxLength": 60}),
    "code": ("the problem's code", {"type": "string", "enum": [str(code) for code in Code]}),
}
_ANY: Final = ("the id, as the answer to making it has it", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})


def names_in(path: str) -> list[str]:
    """The parameters in a path."""
    return _NAME.findall(path)


def in_path(name: str) -> dict[str, Any]:
    """A parameter in a path."""
    says, schema = _IN_PATH.get(name, _ANY)
    return {"name": name, "in": "path", "required": True, "description": says, "schema": dict(schema)}


def headers(route: Route, status: int, retry: bool = False) -> dict[str, Any]:
    """What a response has beside its body."""
    names = ["X-Request-Id", "RateLimit-Policy", "RateLimit"]
    if status == 401:
        names.append("WWW-Authenticate")
    if retry:
        names.append("Retry-After")
    if status < 300 and any(p.name == "Idempotency-Key" for p in route.parameters):
        names.append("Idempotent-Replayed")
    if status == 200 and any(p.name == "cursor" for p in route.parameters):
        names.append("Link")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def info(version: str) -> dict[str, Any]:
    """The introduction."""
    return {
        "title": "Sluice",
        "version": version,
        "summary": "An SMS gateway: HTTP in, SMPP and HTTP carriers out.",
        "description": _INTRODUCTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


_INTRODUCTION: Final = """Send a message with one POST; 202 means that it is durably kept and ends in one final state.

- **Keys**: every path under `/v1` takes `Authorization: Bearer sk_…`.
- **Problems**: what is refused is a problem document (RFC 9457). `code` is stable and made for programs, `detail` says
  what would be right, `pointer` where it is wrong, and `type` leads to a page about the code.
- **Repeating is safe** with a `ref` in the message, or with an `Idempotency-Key` for the whole request.
- **Limits**: every answer has `RateLimit-Policy` and `RateLimit`; what is too much is 429 with `Retry-After`.
- **Ids**: every answer has `X-Request-Id`. A `traceparent` (W3C Trace Context) that comes with a message stays with it.

The [guide](/docs/guide) tells more."""
