"""Cancelling and rescheduling: wherever a message stands, it is cancelled or sent, and never both."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from gateway.events import Ended, Rescheduled
from gateway.streams.accept import ShardClosedError
from gateway.streams.cancel import cancel, reschedule
from gateway.streams.link import Redis, RedisAwayError
from gateway.streams.opening import close_shard
from gateway.streams.reader import epoch
from tests.core_builders import ask, message_id
from tests.core_moves import Moves, told
from tests.core_redis import Proxy, accepting, client, dump, opened, until


def targets(*ids: bytes, klass: str = "marketing", client: str = "shop") -> list[tuple[bytes, str, str]]:
    return [(i, klass, client) for i in ids]


async def accept(redis: Redis, count: int, due_ms: int = 0) -> list[bytes]:
    async with accepting(redis) as acceptor:
        return [v.id for v in await acceptor.accept(0, [ask(n, due_ms=due_ms) for n in range(count)])]


async def ended(redis: Redis) -> Counter[bytes]:
    facts = await told(redis)
    for fact in facts:
        if isinstance(fact, Ended):
            assert (fact.state, fact.reason, fact.by) == ("cancelled", "cancelled", "client")
    return Counter(fact.id for fact in facts if isinstance(fact, Ended))


async def test_a_message_in_intake_is_cancelled_and_its_end_told_once(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        one, two, three = await accept(redis, 3)
        assert await cancel(redis, targets(two)) == {two: "cancelled"}
        assert [e.message_id for e in await Moves(redis).intake()] == [one, three]
        assert await ended(redis) == {two: 1}
        assert await cancel(redis, targets(two)) == {two: "gone"}
        assert await ended(redis) == {two: 1}


async def test_a_scheduled_message_is_cancelled_with_its_body(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        one, two = await accept(redis, 2, due_ms=2_000_000_000_000)
        assert await cancel(redis, targets(one)) == {one: "cancelled"}
        with client(valkey_url) as c:
            assert c.zrange("{0}:later", 0, -1) == [two]
            assert c.hkeys("{0}:later:body") == [two]
        assert await ended(redis) == {one: 1}


async def test_in_an_outbox_what_is_marked_is_too_late_and_the_rest_is_not(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 4)
        moves = Moves(redis)
        await moves.begin()
        assert await moves.route(await moves.intake()) == b"ok"
        box = await moves.outbox()
        assert await moves.mark(box[:2]) == b"ok"
        verdicts = await cancel(redis, targets(*ids))
        assert verdicts == dict(zip(ids, ["marked", "marked", "cancelled", "cancelled"], strict=True))
        assert await ended(redis) == {ids[2]: 1, ids[3]: 1}


async def test_what_came_back_unsent_can_be_cancelled_in_again_and_after_a_retry_in_later(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 3)
        moves = Moves(redis)
        await moves.begin()
        await moves.route(await moves.intake())
        box = await moves.outbox()
        for entry, op in zip(box, ("a", "l", "i"), strict=True):
            await moves.mark([entry])
            await moves.settle([entry], op, due_ms=2_000_000_000_000)
        assert await cancel(redis, targets(*ids)) == dict.fromkeys(ids, "cancelled")
        assert await ended(redis) == dict.fromkeys(ids, 1)
        with client(valkey_url) as c:
            waiting = [k for k in c.scan_iter() if b"box" in k or b"again" in k or b"intake" in k]
            assert sum(c.xlen(k) for k in waiting) == 0
            assert c.zcard("{0}:later") == 0


async def test_what_was_sent_or_never_was_is_gone(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        (sent,) = await accept(redis, 1)
        moves = Moves(redis)
        await moves.begin()
        await moves.route(await moves.intake())
        box = await moves.outbox()
        await moves.mark(box)
        await moves.settle(box)
        other, foreign = message_id(), message_id(shard=900)
        before = dump(valkey_url)
        verdicts = await cancel(redis, targets(sent, other, foreign))
        assert verdicts == dict.fromkeys((sent, other, foreign), "gone")
        assert dump(valkey_url) == before


async def test_only_the_named_clients_lane_is_touched(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        (one,) = await accept(redis, 1)
        assert await cancel(redis, targets(one, client="other")) == {one: "gone"}
        assert await cancel(redis, targets(one, klass="otp")) == {one: "gone"}


async def test_thousands_at_once_are_cancelled_in_their_long_lane(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 3000)
        verdicts = await cancel(redis, targets(*ids[::2]))
        assert set(verdicts.values()) == {"cancelled"}
        assert [e.message_id for e in await Moves(redis).intake()] == ids[1::2]


async def test_a_cancel_makes_the_router_and_the_connector_read_again(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 4)
        moves = Moves(redis)
        await moves.begin()
        entries, at = await moves.intake(), b"0"
        await cancel(redis, targets(ids[1]))
        assert await moves.route(entries, at) == b"moved"
        assert await moves.route(await moves.intake()) == b"ok"
        box = await moves.outbox()
        await cancel(redis, targets(ids[2]))
        assert await moves.mark(box, at=b"1") == b"moved"
        assert [e.message_id for e in await moves.outbox()] == [ids[0], ids[3]]


async def test_while_messages_move_through_every_stream_each_is_cancelled_or_sent_and_never_both(
    valkey_url: str,
) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        moves = Moves(redis)
        await moves.begin()
        ids: list[bytes] = []
        sent: Counter[bytes] = Counter()
        verdicts: dict[bytes, str] = {}
        done = asyncio.Event()

        async def move() -> None:
            turn = 0
            while not done.is_set() or await moves.intake() or await moves.outbox() or await moves.outbox("again"):
                turn += 1
                at = await epoch(moves.link)  # before what it is about is read
                if entries := await moves.intake():
                    first = [e for e in entries if e.entry_id == entries[0].entry_id]
                    await moves.route(first, at)
                for kind in ("again", "outbox"):
                    box = (await moves.outbox(kind))[:5]
                    if box and await moves.mark(box, kind, at) == b"ok":
                        back = "" if turn % 3 else "ai"[turn % 2]
                        sent.update({} if back else Counter(e.message_id for e in box))
                        await moves.settle(box, back, kind)

        async def offer() -> None:
            for n in range(60):
                got = [v.id for v in await acceptor.accept(0, [ask(n * 10 + i) for i in range(10)])]
                ids.extend(got)
                verdicts.update(await cancel(redis, targets(*got[::2])))
            done.set()

        await asyncio.gather(move(), offer())
        cancelled = {i for i, verdict in verdicts.items() if verdict == "cancelled"}
        assert len(cancelled) > 20
        assert set(sent) | cancelled == set(ids)
        assert not set(sent) & cancelled
        assert set(sent.values()) == {1}
        assert await ended(redis) == dict.fromkeys(cancelled, 1)


async def test_a_cancel_whose_reply_was_lost_may_be_repeated(valkey_url: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, opened(proxy.url) as redis:
        (one,) = await accept(redis, 1, due_ms=2_000_000_000_000)
        proxy.match, proxy.cut_replies = one, 1
        with pytest.raises(RedisAwayError):
            await cancel(redis, targets(one))
        await until(lambda: not redis.link(0).is_up, "the end of the old connection")
        await asyncio.wait_for(redis.link(0).up(), 5)
        assert await cancel(redis, targets(one)) == {one: "gone"}
        assert await ended(redis) == {one: 1}


async def test_a_closed_shard_cancels_nothing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        (one,) = await accept(redis, 1)
        await close_shard(redis.link(0), 0, "why")
        with pytest.raises(ShardClosedError, match="why"):
            await cancel(redis, targets(one))
        with pytest.raises(ShardClosedError, match="why"):
            await reschedule(redis, [one], 1)


async def test_only_what_waits_for_its_time_is_rescheduled(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        (scheduled,) = await accept(redis, 1, due_ms=2_000_000_000_000)
        (waiting,) = await accept(redis, 1)
        moves = Moves(redis)
        await moves.begin()
        await moves.route(await moves.intake())
        box = await moves.outbox()
        await moves.mark(box)
        await moves.settle(box, "l", due_ms=2_000_000_000_000)
        other = message_id(shard=77)
        verdicts = await reschedule(redis, [scheduled, waiting, other], 2_100_000_000_000)
        assert verdicts == {scheduled: "rescheduled", waiting: "gone", other: "gone"}
        with client(valkey_url) as c:
            assert c.zscore("{0}:later", scheduled) == 2_100_000_000_000
            assert c.zscore("{0}:later", waiting) == 2_000_000_000_000
        assert await told(redis) == [Rescheduled(scheduled, 2_100_000_000_000)]
