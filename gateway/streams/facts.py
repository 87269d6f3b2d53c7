"""The events stream of a shard: read, append, trim."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.events import ACCEPTED, FACTS, PACK, RUN
from gateway.streams import packs
from gateway.streams.link import Link


class Entry(msgspec.Struct, gc=False):
    """One entry of `{s}:events`, as one script wrote it. `accepted`: (id, message value); `facts`: a blob or empty."""

    id: bytes
    run: bytes
    accepted: list[tuple[bytes, bytes]]
    facts: bytes

    @property
    def at_ms(self) -> int:
        """When the script ran."""
        return int(self.id.partition(b"-")[0])


def next_id(entry_id: bytes) -> bytes:
    """The smallest stream id after this one."""
    ms, _, number = entry_id.partition(b"-")
    return b"%s-%d" % (ms, int(number) + 1)


def _entry(raw: Sequence[object]) -> Entry:
    entry_id, fields = raw
    assert isinstance(entry_id, bytes) and isinstance(fields, list)
    entry = Entry(entry_id, b"", [], b"")
    i = 0
    while i < len(fields):
        if fields[i] == RUN:
            entry.run = fields[i + 1]
        elif fields[i] == FACTS:
            entry.facts = fields[i + 1]
        elif fields[i] == PACK:
            entry.accepted += _packed(fields[i + 1])
        elif fields[i] == ACCEPTED:
            pairs = iter(fields[i + 2 :])
            entry.accepted += zip(pairs, pairs, strict=True)
            break
        i += 2
    return entry


def _packed(data: bytes) -> list[tuple[bytes, bytes]]:
    """What cannot be read stands as one value that is no message, under an id of zeros."""
    try:
        return packs.unpack(data)
    except (ValueError, msgspec.DecodeError):
        return [(bytes(16), data)]


async def read(link: Link, shard: int, after: bytes, count: int) -> list[Entry]:
    """At most `count` entries after id `after` (b"0-0": from the start), oldest first."""
    reply = await link.call(b"XRANGE", link.prefix + "events", b"(" + after, b"+", b"COUNT", count)
    return [_entry(raw) for raw in reply]


async def between(link: Link, first: bytes, last: bytes, count: int) -> list[Entry]:
    """At most `count` entries from `first` to `last`, oldest first; stream ids or bare milliseconds."""
    reply = await link.call(b"XRANGE", link.prefix + "events", first, last, b"COUNT", count)
    return [_entry(raw) for raw in reply]


async def trim(link: Link, shard: int, through: bytes, token: int) -> bool:
    """Forget everything up to and with `through`; False when the token is not the recorder's any more."""
    return bool(await link.script("trim", (), (token, through, next_id(through))))


async def append(link: Link, shard: int, blob: bytes, writer: str = "", number: int = 0) -> bytes:
    """Add facts; durable when it returns. With a writer, a number that is not new adds nothing (b"")."""
    reply = await link.script("append", (), (link.run_id, writer, number, blob))
    assert isinstance(reply, bytes)
    return reply


async def last_event(link: Link) -> bytes:
    """The last id that the events stream ever gave out; b"0-0" before the first."""
    if not await link.call(b"EXISTS", link.prefix + "events"):
        return b"0-0"
    reply = await link.call(b"XINFO", b"STREAM", link.prefix + "events")
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    last = fields[b"last-generated-id"]
    assert isinstance(last, bytes)
    return last


async def in_step(link: Link, offset: bytes, run: bytes) -> bool:
    """Whether Redis still knows what PostgreSQL has recorded up to `offset`, an entry that `run` wrote.

    Either the entry is there, or it was trimmed after it had been recorded. A Redis restored from an older state has
    neither, whatever was appended to it since.
    """
    if order(await trimmed_through(link)) >= order(offset):
        return True
    return any(entry.run == run for entry in await between(link, offset, offset, 1))


async def trimmed_through(link: Link) -> bytes:
    """The last entry that a recorder has trimmed, because PostgreSQL had it; b"0-0": none yet."""
    recorded: bytes | None = await link.call(b"GET", link.prefix + "recorded")
    return recorded or b"0-0"


def order(entry_id: bytes) -> tuple[int, int]:
    """A stream id as something that compares."""
    ms, _, number = entry_id.partition(b"-")
    return int(ms), int(number)


async def depth(link: Link) -> int:
    """Entries that the recorder has not trimmed yet."""
    return int(await link.call(b"XLEN", link.prefix + "events"))
