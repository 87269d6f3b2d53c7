"""Whom to tell: for each client its endpoints and the types they chose, and the target that a callback URL makes.

In: what is mirrored in Redis. Out: targets for a client and a state; nothing for a client without endpoints, at the
cost of one lookup. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from gateway.message import FINAL, VERSION, UnknownVersionError

SLOTS: Final = 8
"""Parts of the outbox, each with one live notifier."""


class Target(NamedTuple):
    """Where events go together: an endpoint, or one origin of a client's callback URLs (`endpoint` is empty)."""

    slot: int
    name: str
    client: str
    endpoint: str = ""


class Listener(msgspec.Struct, array_like=True, frozen=True):
    """An endpoint that is to be told. Fields grow only at the end, with defaults."""

    endpoint: str
    client: str
    states: tuple[str, ...]
    changed_ms: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Listener]).decode


def pack(listeners: Sequence[Listener]) -> bytes:
    """The mirrored document: version byte and msgpack."""
    return VERSION + _encode(listeners)


def unpack(data: bytes) -> list[Listener]:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"endpoints have version {data[:1]!r}, this release reads {VERSION!r}")
    return _decode(memoryview(data)[1:])


def slot_of(name: str) -> int:
    """The part of the outbox that a target belongs to."""
    return zlib.crc32(name.encode()) % SLOTS


def endpoint_target(client: str, endpoint: str) -> Target:
    """The target of a registered endpoint."""
    return Target(slot_of(endpoint), endpoint, client, endpoint)


@lru_cache(maxsize=4096)
def url_target(client: str, url: str) -> Target:
    """The target of a callback URL: all those of one client at one host and port share it."""
    try:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc.lower()}"
    except ValueError:
        origin = "unreadable"
    name = f"{client} {origin}"
    return Target(slot_of(name), name, client)


class Audience:
    """Targets by client and state."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._targets: dict[str, dict[str, tuple[Target, ...]]] = {}
        for listener in listeners:
            by_state = self._targets.setdefault(listener.client, {})
            target = endpoint_target(listener.client, listener.endpoint)
            for state in listener.states:
                by_state[state] = (*by_state.get(state, ()), target)

    def of(self, client: str) -> Mapping[str, tuple[Target, ...]] | None:
        """The targets of a client by state; None: it has no endpoint."""
        return self._targets.get(client)

    def targets(self, client: str, callback_url: str, state: str) -> tuple[Target, ...]:
        """Who hears of a message in this state. A callback URL stands in for all endpoints, and hears of the ends."""
        if callback_url:
            return (url_target(client, callback_url),) if state in FINAL else ()
        by_state = self._targets.get(client)
        return by_state.get(state, ()) if by_state is not None else ()


NOBODY: Final = Audience()
