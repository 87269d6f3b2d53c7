"""Cancelling and rescheduling what is not yet on the wire.

An entry's place is found by reading its client's lanes; the script then checks and removes it in one step, so a message
is either cancelled or sent, never both. Costs nothing until somebody cancels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence

from gateway.events import Ended, Rescheduled, pack_facts
from gateway.message import State, id_shard
from gateway.provider import Reason
from gateway.streams import packs
from gateway.streams.accept import ShardClosedError, closed_reason
from gateway.streams.keys import lane
from gateway.streams.link import Link, Redis

_PAGE = 1000
_GROUP = 100
_ROUNDS = 4  # an entry may move from stream to stream while we look


async def cancel(redis: Redis, targets: Sequence[tuple[bytes, str, str]]) -> dict[bytes, str]:
    """(id, class, client) → "cancelled", "marked" (on the wire) or "gone" (sent, or ended). Raises ShardClosedError."""
    verdicts: dict[bytes, str] = {}
    by_lane: dict[tuple[int, str], set[bytes]] = defaultdict(set)
    for message_id, klass, client in targets:
        if id_shard(message_id) < redis.shards:
            by_lane[id_shard(message_id), lane(klass, client)].add(message_id)
    for (shard, name), ids in by_lane.items():
        verdicts |= await _cancel_lane(redis.link(shard), name, ids)
    return {target[0]: verdicts.get(target[0], "gone") for target in targets}


async def _cancel_lane(link: Link, name: str, ids: set[bytes]) -> dict[bytes, str]:
    verdicts = dict.fromkeys(ids, "gone")
    unseen = 0
    for _ in range(_ROUNDS):
        if not (left := {i for i in ids if verdicts[i] == "gone"}):
            break
        verdicts |= await _remove(link, [("", b"0-0", i) for i in left])
        left = {i for i in left if verdicts[i] == "gone"}
        places = [place async for place in _places(link, name, left)] if left else []
        verdicts |= await _remove(link, places)
        unseen = 0 if places else unseen + 1
        if unseen == 2:  # one look may miss what was moved back behind it (parked, recalled); two do not
            break
    return verdicts


async def _places(link: Link, name: str, ids: set[bytes]) -> AsyncIterator[tuple[str, bytes, bytes]]:
    # Streams in the order in which messages travel, so that one that moves meanwhile is met again further on.
    async for page in packs.pages(link, name):
        for entry in page:
            for waiting in entry.messages:
                if waiting.message_id in ids:
                    yield f"intake:{name}", entry.entry_id, waiting.message_id
    streams: list[str] = []
    for key in await _carriers(link):
        streams += [f"outbox:{key}:{name}", f"again:{key}:{name}"]
    for stream in streams:
        cursor = b"-"
        while entries := await link.call(b"XRANGE", link.prefix + stream, cursor, b"+", b"COUNT", _PAGE):
            for entry_id, fields in entries:
                if fields[1][:16] in ids:
                    yield stream, entry_id, fields[1][:16]
            cursor = b"(" + entries[-1][0]


async def _carriers(link: Link) -> list[str]:
    return sorted(name.decode() for name in await link.call(b"SMEMBERS", link.prefix + "carriers"))


async def _remove(link: Link, places: Iterable[tuple[str, bytes, bytes]]) -> dict[bytes, str]:
    verdicts: dict[bytes, str] = {}
    todo = list(places)
    for at in range(0, len(todo), _GROUP):
        group, args = todo[at : at + _GROUP], [link.run_id]
        for stream, entry_id, message_id in group:
            fact = Ended(message_id, State.CANCELLED, Reason.CANCELLED, 0, "client")
            args += [stream.encode(), entry_id, message_id, pack_facts([fact])]
        reply = await link.script("cancel", (), args)
        if reply == b"closed":
            raise ShardClosedError(await closed_reason(link))
        verdicts |= {place[2]: verdict.decode() for place, verdict in zip(group, reply, strict=True)}
    return verdicts


async def reschedule(redis: Redis, targets: Sequence[bytes], send_at_ms: int) -> dict[bytes, str]:
    """id → "rescheduled", or "gone" when it is not waiting for its `send_at` any more. Raises ShardClosedError."""
    verdicts: dict[bytes, str] = {}
    by_shard: dict[int, list[bytes]] = defaultdict(list)
    for message_id in targets:
        by_shard[id_shard(message_id)].append(message_id)
    for shard, ids in by_shard.items():
        if shard >= redis.shards:
            continue
        link = redis.link(shard)
        for at in range(0, len(ids), _GROUP):
            group, args = ids[at : at + _GROUP], [link.run_id, b"%d" % send_at_ms]
            for message_id in group:
                args += [message_id, pack_facts([Rescheduled(message_id, send_at_ms)])]
            reply = await link.script("reschedule", (), args)
            if reply == b"closed":
                raise ShardClosedError(await closed_reason(link))
            verdicts |= {i: verdict.decode() for i, verdict in zip(group, reply, strict=True)}
    return {target: verdicts.get(target, "gone") for target in targets}
