"""The head of a request that comes the short way. Pure.

In: the bytes up to the empty line. Out: what matters of them, or None for whatever aiohttp has to judge.
"""

from __future__ import annotations

from typing import Final

import httptools
import msgspec

_MATTER: Final = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"idempotency-key", b"cookie", b"trailer")
)
"""Headers that the short way does not understand."""


class Head(msgspec.Struct, gc=False):
    """What matters of a request's head."""

    length: int
    authorization: str
    request_id: str
    traceparent: str


class _Fields:
    """httptools' callbacks: gathers the headers."""

    def __init__(self) -> None:
        self.found: dict[bytes, bytes] = {}
        self.plain = True

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower()
        if key in self.found or key in _MATTER or (key == b"connection" and value.lower() != b"keep-alive"):
            self.plain = False
        self.found[key] = value


def read_head(head: bytes) -> Head | None:
    """The head of a request, with its empty line, or None when the long way has to judge it."""
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(head)
    except httptools.HttpParserError:
        return None
    found = fields.found
    length = found.get(b"content-length", b"")
    if not fields.plain or not length.isdigit() or b"host" not in found:
        return None
    try:
        texts = [found.get(name, b"").decode() for name in (b"authorization", b"x-request-id", b"traceparent")]
    except UnicodeDecodeError:
        return None
    return Head(int(length), *texts)
