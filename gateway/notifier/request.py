"""A callback as bytes: HTTP/1.1 with the three headers of Standard Webhooks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway import __version__
from gateway.callbacks.signing import sign

_PORTS: Final = {"http": 80, "https": 443}


class Place(NamedTuple):
    """Where a URL leads, and how every request to it begins."""

    secure: bool
    host: str
    port: int
    head: bytes

    @property
    def label(self) -> str:
        """Host and port, which may be logged; a path may hold a secret."""
        return f"{self.host}:{self.port}"


@lru_cache(maxsize=4096)
def place_of(url: str) -> Place | None:
    """None for what is no URL that we can send to."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: Sluice/{__version__}\r\n"
        "Content-Type: application/json\r\nAccept: */*\r\n"
    )
    return Place(parts.scheme == "https", parts.hostname, port, head.encode())


def request(place: Place, webhook_id: str, at_s: int, secrets: Sequence[bytes], body: bytes) -> bytes:
    """The whole request."""
    return b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\nwebhook-signature: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        place.head,
        webhook_id.encode(),
        at_s,
        sign(secrets, webhook_id, at_s, body).encode(),
        len(body),
        body,
    )
