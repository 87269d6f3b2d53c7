"""Packs: the messages that one commit brings into one lane, as one value of one entry of intake, and of events.

In: tails and message values. Out: entries of intake with their messages, whether packed or single. Never a message's
contents.

    01 | ms of accepting: 6 bytes, big-endian | msgpack array of bins: tail (10 bytes), message value, tail, value …

An entry of intake is `p <pack>`, or `m <id, message value> r <journey>` for one that came back, or is due.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from gateway.message import VERSION, UnknownVersionError
from gateway.streams.link import Link
from gateway.streams.reader import START, Queued, queued

MOST = 100
"""Messages in one pack: the smallest step in which bulk is routed while urgent messages are about."""

PACKED = b"p"
_STAMPED = 7  # where the array begins
_PAGE, _AT_ONCE = 2000, 200  # messages in a page; entries, however few messages those before held

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


class Entry(msgspec.Struct, gc=False):
    """One entry of intake. Those of a pack share its entry id; `packed` None: a pack that cannot be read."""

    entry_id: bytes
    messages: list[Queued]
    packed: bool | None

    @property
    def at_ms(self) -> int:
        """When it came into this stream."""
        return int(self.entry_id.partition(b"-")[0])


def pack(items: Sequence[bytes]) -> bytes:
    """The array of a pack, from tail, value, tail, value …; the accept script puts version and time before it."""
    return _encode(items)


def unpack(data: bytes) -> list[tuple[bytes, bytes]]:
    """(id, message value) of each message. Raises UnknownVersionError or msgspec.DecodeError."""
    stamp = data[1:_STAMPED]
    return [(stamp + tail, value) for tail, value in _items(data)]


def _items(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """(tail, message value) of each message; the check for a tail without a value comes at the end."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"a pack has version {data[:1]!r}, this release reads {VERSION!r}")
    items = iter(_decode(memoryview(data)[_STAMPED:]))
    return zip(items, items, strict=True)


def entry(raw: Sequence[Sequence[bytes]]) -> Entry:
    """An entry of an XRANGE reply."""
    entry_id: bytes
    entry_id, fields = raw  # type: ignore[assignment]
    if fields[0] != PACKED:
        return Entry(entry_id, [queued(raw)], False)
    data = fields[1]
    stamp = data[1:_STAMPED]
    try:
        return Entry(entry_id, [Queued(entry_id, stamp + tail + value, b"") for tail, value in _items(data)], True)
    except (ValueError, msgspec.DecodeError):
        return Entry(entry_id, [], None)


def accepted_at(raw: Sequence[Sequence[bytes]]) -> bytes:
    """The 6 bytes of time in the id of an entry's first message."""
    _, fields = raw
    return fields[1][1:_STAMPED] if fields[0] == PACKED else fields[1][:6]


async def read(link: Link, lane: str, after: bytes, count: int) -> list[Entry]:
    """At most `count` entries of a lane's intake after `after`, oldest first."""
    key = f"{link.prefix}intake:{lane}"
    return [entry(raw) for raw in await link.call(b"XRANGE", key, b"(" + after, b"+", b"COUNT", count)]


async def pages(link: Link, lane: str) -> AsyncIterator[list[Entry]]:
    """The whole of a lane's intake, some 2,000 messages at a time, without what was struck out."""
    struck = await struck_out(link, lane)
    after, count = START, _PAGE // MOST
    while entries := await read(link, lane, after, count):
        largest = max(len(e.messages) for e in entries)
        after, count = entries[-1].entry_id, min(_PAGE // max(largest, 1), _AT_ONCE)
        if struck:
            for e in entries:
                if e.packed:
                    e.messages = [q for q in e.messages if q.message_id not in struck]
        yield entries


async def struck_out(link: Link, lane: str) -> set[bytes]:
    """Messages that stand in packs of a lane's intake and are cancelled: the router passes them over."""
    return set(await link.call(b"SMEMBERS", f"{link.prefix}struck:{lane}"))


async def depths(link: Link) -> dict[bytes, int]:
    """Messages in intake by lane."""
    flat = await link.call(b"HGETALL", link.prefix + "depths")
    return {lane: max(int(number), 0) for lane, number in zip(flat[::2], flat[1::2], strict=True)}
