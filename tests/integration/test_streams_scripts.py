"""Every script checks everything before its first write: under a wrong token, epoch or run, or with a key of the wrong
type planted anywhere, the keyspace stays what it was, byte for byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.events import Ended, pack_facts, unpack_facts
from gateway.message import pack_journey, pack_message
from gateway.streams import packs
from gateway.streams.accept import arguments
from gateway.streams.lease import Lease, fence
from gateway.streams.link import Link, Redis, ScriptError, scripts
from gateway.streams.opening import close_shard
from gateway.streams.reader import epoch, read
from tests.core_builders import ask, journey, message, message_id
from tests.core_redis import accepting, client, dump, opened

LANE = "marketing:shop"
FACTS = pack_facts([Ended(message_id(), "failed", "no_route")])


class Stage:
    """Two messages in intake, two in an outbox (one marked), one in later; and the tokens that move them."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.link = redis, redis.link(0)
        self.router = Lease(self.link, "lease:router", "r", 60)
        self.connector = Lease(self.link, "lease:x", "c", 60)

    async def build(self) -> None:
        await self.router.acquire()
        await self.connector.acquire()
        await fence(self.link, "north", self.connector.token)
        async with accepting(self.redis) as acceptor:
            for n in (1, 2):
                await acceptor.accept(0, [ask(n), ask(n + 100)])
        values = [message_id() + pack_message(message()) for _ in range(4)]
        j = pack_journey(journey())
        for value in values[:2]:
            await self.link.call("XADD", "{0}:outbox:north:" + LANE, "*", "m", value, "r", j)
        await self.link.call("SADD", "{0}:carriers", "north")
        await self.link.call("SADD", "{0}:lanes:north", LANE)
        self.intake = [e.entry_id for e in await packs.read(self.link, LANE, b"0-0", 9)]
        self.packed = (await packs.read(self.link, LANE, b"0-0", 1))[0].messages[1].message_id
        self.outbox = [e.entry_id for e in await read(self.link, f"outbox:north:{LANE}", b"0-0", 9)]
        self.values, self.journey = values, j
        self.ids = [v[:16] for v in values]
        due = (await self.link.call("TIME"))[0] + b"000"
        body = b"r" + LANE.encode() + b"\0" + len(values[3]).to_bytes(4, "big") + values[3] + j
        await self.link.call("ZADD", "{0}:later", due, self.ids[3])
        await self.link.call("HSET", "{0}:later:body", self.ids[3], body)
        await self.link.call("SADD", "{0}:paused", "spring")
        await self.link.call("SADD", "{0}:paused:spring", self.ids[3])
        assert await self.mark(self.outbox[:1]) == b"ok"

    # Each script, as its stage calls it, with what it must find changed.

    async def accept(self, run: bytes = b"") -> Any:
        one, two = ask(5, ref=b"r" * 16), ask(6, due_ms=2_000_000_000_000)
        args: list[Any] = [run or self.link.run_id, "c:w", "1", b"c" * 16, 1000, 1000]
        return await self.link.script("accept", (), [*args, *arguments([one, two, ask(7, klass="otp")])])

    async def route(self, run: bytes = b"", token: int = 0, at: bytes = b"", first: bytes = b"") -> Any:
        args: list[Any] = [run or self.link.run_id, token or self.router.token, at or await epoch(self.link), LANE]
        args += [first or self.intake[0], self.intake[1], FACTS, -3, self.ids[2], 3]
        args += ["o", f"north:{LANE}", self.journey, "o", "south:" + LANE, self.journey]
        args += ["l", "2000000000000", self.journey, b"\1\0\2\0\3\0", *[self.values[2]] * 3]
        return await self.link.script("route", (), args)

    async def mark(self, ids: list[bytes], run: bytes = b"", token: int = 0, at: bytes = b"") -> Any:
        args: list[Any] = [run or self.link.run_id, "north", token or self.connector.token]
        args += [at or await epoch(self.link)]
        return await self.link.script("mark", (), [*args, f"outbox:north:{LANE}", ids[0], ids[-1]])

    async def park(self, run: bytes = b"", token: int = 0, at: bytes = b"", entry: bytes = b"") -> Any:
        args: list[Any] = [run or self.link.run_id, "north", token or self.connector.token]
        args += [at or await epoch(self.link), f"outbox:north:{LANE}", LANE, FACTS]
        return await self.link.script("park", (), [*args, entry or self.outbox[1], 2_000_000_000_000, self.journey])

    async def settle(self, token: int = 0, number: int = 1) -> Any:
        args: list[Any] = [self.link.run_id, "north", token or self.connector.token, "w1", number, FACTS]
        args += ["a", LANE, self.values[0], self.journey, "i", LANE, self.values[0], self.journey]
        args += ["l", f"2000000000000|{LANE}", self.values[0], self.journey]
        args += ["u", f"outbox:north:{LANE}|" + f"{self.outbox[0].decode()}|{self.outbox[0].decode()}"]
        args += ["t", f"again:south:{LANE}", "1-1", "1-2"]
        return await self.link.script("settle", (), [*args, "d", f"outbox:north:{LANE}", 1, self.outbox[0]])

    async def recall(self, run: bytes = b"", token: int = 0, at: int = 1) -> Any:
        args: list[Any] = [run or self.link.run_id, token or self.router.token, "north", LANE, f"outbox:north:{LANE}"]
        return await self.link.script("recall", (), [*args, FACTS, self.outbox[at], self.values[at], self.journey])

    async def release(self, run: bytes = b"", token: int = 0) -> Any:
        return await self.link.script("release", (), [run or self.link.run_id, token or self.router.token, 100])

    async def unpause(self, run: bytes = b"", token: int = 0) -> Any:
        return await self.link.script("unpause", (), [run or self.link.run_id, token or self.router.token, "spring", 9])

    async def cancel(self, run: bytes = b"") -> Any:
        args: list[Any] = [run or self.link.run_id, "", "0-0", self.ids[3], FACTS]
        args += [f"intake:{LANE}", self.intake[0], self.packed, FACTS]
        return await self.link.script("cancel", (), [*args, f"outbox:north:{LANE}", self.outbox[1], self.ids[1], FACTS])

    async def reschedule(self, run: bytes = b"") -> Any:
        args: list[Any] = [run or self.link.run_id, 2_000_000_000_001, self.ids[3], FACTS]
        return await self.link.script("reschedule", (), args)

    async def reserve(self, run: bytes = b"") -> Any:
        return await self.link.script("reserve", (), [run or self.link.run_id, "key", "body", 1000, 1000])

    async def append(self) -> Any:
        return await self.link.script("append", (), [self.link.run_id, "w", 1, FACTS])

    def movers(self) -> list[Callable[..., Awaitable[Any]]]:
        moved = [self.accept, self.route, self.park, self.recall, self.release, self.unpause, self.cancel]
        return [*moved, self.reschedule, self.reserve]

    async def mark_second(self) -> Any:
        return await self.mark(self.outbox[1:])


Act = Callable[[Stage], Awaitable[Any]]


async def unchanged(url: str, act: Callable[[], Awaitable[Any]], expected: Any) -> None:
    before = dump(url)
    assert await act() == expected
    assert dump(url) == before


async def test_each_script_does_change_things_when_all_is_right(valkey_url: str) -> None:
    """Or the tests below would prove nothing."""
    acts: list[tuple[Act, Any]] = [
        (Stage.accept, None),
        (Stage.route, b"ok"),
        (Stage.mark_second, b"ok"),
        (Stage.park, b"ok"),
        (Stage.settle, b"ok"),
        (Stage.recall, 1),
        (Stage.release, [1, -1]),
        (Stage.unpause, 1),
        (Stage.cancel, [b"cancelled", b"cancelled", b"cancelled"]),
        (Stage.reserve, None),
        (Stage.append, None),
    ]
    for act, expected in acts:
        with client(valkey_url) as c:
            c.flushall()
        async with opened(valkey_url) as redis:
            stage = Stage(redis)
            await stage.build()
            before = dump(valkey_url)
            reply = await act(stage)
            if expected is not None:
                assert reply == expected
            assert dump(valkey_url) != before


def test_every_script_that_asks_whether_its_shard_is_open_is_among_those_of_these_tests() -> None:
    asking = {name for name, (_, source) in scripts().items() if b"if not is_open(" in source}
    assert asking == {act.__name__ for act in Stage.movers(Stage.__new__(Stage))} | {"mark"}


async def test_under_another_run_of_the_server_nothing_moves(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        other = b"ffffffff"
        for act in stage.movers():
            await unchanged(valkey_url, lambda act=act: act(run=other), b"closed")  # type: ignore[misc]
        await unchanged(valkey_url, lambda: stage.mark(stage.outbox[1:], run=other), b"closed")


async def test_in_a_closed_shard_nothing_moves(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        await close_shard(stage.link, 0, "restored from an older file")
        for act in stage.movers():
            await unchanged(valkey_url, act, b"closed")
        await unchanged(valkey_url, stage.mark_second, b"closed")


async def test_an_old_token_moves_nothing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        old = stage.router.token - 1
        for act in (stage.route, stage.recall, stage.release, stage.unpause):
            await unchanged(valkey_url, lambda act=act: act(token=old), b"fenced")  # type: ignore[misc]
        await unchanged(valkey_url, lambda: stage.mark(stage.outbox[1:], token=stage.connector.token - 1), b"fenced")
        await unchanged(valkey_url, lambda: stage.park(token=stage.connector.token - 1), b"fenced")
        await unchanged(valkey_url, lambda: stage.link.script("trim", (), [old, stage.intake[0], b"9-9", b"9-10"]), 0)


async def test_an_old_epoch_or_another_first_entry_moves_nothing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        await unchanged(valkey_url, lambda: stage.route(at=b"77"), b"moved")
        await unchanged(valkey_url, lambda: stage.route(first=b"1-1"), b"moved")
        await unchanged(valkey_url, lambda: stage.mark(stage.outbox[1:], at=b"77"), b"moved")
        await unchanged(valkey_url, lambda: stage.park(at=b"77"), b"moved")
        await unchanged(valkey_url, lambda: stage.park(entry=b"1-1"), b"moved")


async def test_a_marked_entry_is_neither_recalled_nor_cancelled(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        await unchanged(valkey_url, lambda: stage.recall(at=0), b"marked")
        args: list[Any] = [stage.link.run_id, f"outbox:north:{LANE}", stage.outbox[0], stage.ids[0], FACTS]
        await unchanged(valkey_url, lambda: stage.link.script("cancel", (), args), [b"marked"])


async def test_what_has_left_its_outbox_meanwhile_is_not_recalled(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        with client(valkey_url) as c:
            c.xdel(f"{{0}}:outbox:north:{LANE}", stage.outbox[1])  # it was cancelled, or sent and settled
        await unchanged(valkey_url, stage.recall, b"marked")


async def test_a_settle_under_an_old_token_keeps_its_facts_and_moves_nothing(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        events = b"{0}:events"
        before = dump(valkey_url, but=(events, b"{0}:n:"))
        with client(valkey_url) as c:
            known = c.xlen(events)
            assert await stage.settle(token=stage.connector.token - 1) == b"late"
            assert c.xlen(events) == known + 1
        assert dump(valkey_url, but=(events, b"{0}:n:")) == before


async def test_a_range_is_deleted_whether_it_is_the_front_of_its_stream_or_not(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        link, stream = stage.link, f"{{0}}:outbox:north:{LANE}"
        with client(valkey_url) as c:
            ids = [c.xadd(stream, {"m": b"x" * 20}) for _ in range(8)]

            async def settle(number: int, first: bytes, last: bytes) -> list[bytes]:
                head = [link.run_id, "north", stage.connector.token, "w", number, b""]
                assert await link.script("settle", (), [*head, "t", stream[4:], first, last]) == b"ok"
                return [i for i, _ in c.xrange(stream)]

            assert await settle(1, ids[1], ids[2]) == [*stage.outbox, ids[0], *ids[3:]], "others are before it"
            assert await settle(2, stage.outbox[0], ids[0]) == ids[3:], "the front"
            assert await settle(3, ids[2], ids[4]) == ids[5:], "its first entries are gone already"
            assert await settle(4, ids[0], ids[4]) == ids[5:], "all of it is gone already"
            assert await settle(5, ids[5], ids[7]) == []
            assert await settle(6, ids[5], ids[7]) == []


async def test_a_repeated_settle_is_done_once(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        assert await stage.settle(number=4) == b"ok"
        await unchanged(valkey_url, lambda: stage.settle(number=4), b"again")
        await unchanged(valkey_url, lambda: stage.settle(number=3), b"again")


SPOILT: dict[str, list[str]] = {
    "accept": [
        "{0}:intake:otp:shop",
        "{0}:events",
        "{0}:later",
        "{0}:later:body",
        "{0}:lanes",
        "{0}:c:w",
        "{0}:depths",
    ],
    "route": [
        "{0}:outbox:south:" + LANE,
        "{0}:events",
        "{0}:later",
        "{0}:later:body",
        "{0}:carriers",
        "{0}:lanes:south",
        "{0}:struck:" + LANE,
        "{0}:depths",
    ],
    "mark_second": ["{0}:marks:north"],
    "park": ["{0}:outbox:north:" + LANE, "{0}:events", "{0}:later", "{0}:later:body"],
    "settle": [
        "{0}:again:north:" + LANE,
        "{0}:again:south:" + LANE,
        "{0}:intake:" + LANE,
        "{0}:outbox:north:" + LANE,
        "{0}:events",
        "{0}:later",
        "{0}:later:body",
        "{0}:marks:north",
        "{0}:lanes",
        "{0}:depths",
    ],
    "recall": ["{0}:intake:" + LANE, "{0}:events", "{0}:lanes", "{0}:epoch", "{0}:depths"],
    "release": ["{0}:intake:" + LANE, "{0}:later:body", "{0}:lanes", "{0}:depths"],
    "unpause": ["{0}:paused", "{0}:paused:spring", "{0}:later", "{0}:later:body"],
    "cancel": [
        "{0}:events",
        "{0}:later",
        "{0}:later:body",
        "{0}:epoch",
        "{0}:outbox:north:" + LANE,
        "{0}:intake:" + LANE,
        "{0}:struck:" + LANE,
        "{0}:depths",
    ],
    "reschedule": ["{0}:events", "{0}:later", "{0}:later:body"],
    "append": ["{0}:events", "{0}:n:w"],
    "reserve": ["{0}:k:key"],
}


@pytest.mark.parametrize(("script", "key"), [(script, key) for script, keys in SPOILT.items() for key in keys])
async def test_a_key_of_the_wrong_type_stops_a_script_before_its_first_write(
    valkey_url: str, script: str, key: str
) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        with client(valkey_url) as c:
            c.delete(key)
            spoilt = ("events", "lanes", "later", "body", "carriers", "depths", "paused", "spring")
            if key.endswith(spoilt) or ":n:" in key or "epoch" in key:
                c.rpush(key, "spoilt")
            else:
                c.set(key, "spoilt")
        before = dump(valkey_url)
        with pytest.raises(ScriptError):
            await getattr(stage, script)()
        assert dump(valkey_url) == before


async def test_a_damaged_body_in_later_holds_up_nobody_else(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        with client(valkey_url) as c:
            damaged = [message_id() for _ in range(4)]
            too_long = b"r" + LANE.encode() + b"\0\xff\xff\xff\xffabc"
            for n, body in enumerate([b"", b"r", b"rlane-without-end", too_long]):
                c.zadd("{0}:later", {damaged[n]: n})
                c.hset("{0}:later:body", damaged[n], body)
        moved, following = await stage.release()
        assert (moved, following) == (5, -1)
        with client(valkey_url) as c:
            assert c.xlen(f"{{0}}:intake:{LANE}") == 3
            assert c.zcard("{0}:later") == 0
            ended = [fact for _, f in c.xrange("{0}:events") if b"F" in f for fact in unpack_facts(f[b"F"])]
        assert ended == [Ended(i, "failed", "damaged") for i in damaged]


async def test_a_failing_script_between_two_others_of_one_connection_moves_nothing_and_harms_neither(
    valkey_url: str,
) -> None:
    async with opened(valkey_url) as redis:
        stage = Stage(redis)
        await stage.build()
        link: Link = stage.link
        with client(valkey_url) as c:
            c.set("{0}:intake:otp:bad", "spoilt")
            c.delete("{0}:events")
            known = c.xlen(f"{{0}}:intake:{LANE}")

        def commit(name: str, lanes: list[str]) -> list[Any]:
            args: list[Any] = [link.run_id, f"c:{name}", "1", name.encode() * 16, 1000, 1000]
            asks = [ask(9, klass=lane.partition(":")[0], client=lane.partition(":")[2]) for lane in lanes]
            return [*args, *arguments(asks)]

        first = link.start_script("accept", (), commit("a", [LANE, LANE]))
        broken = link.start_script("accept", (), commit("b", [LANE, "otp:bad", LANE]))
        last = link.start_script("accept", (), commit("c", [LANE]))
        assert len(await first) == 10
        with pytest.raises(ScriptError):
            await broken
        assert len(await last) == 9
        with client(valkey_url) as c:
            assert c.xlen(f"{{0}}:intake:{LANE}") == known + 2
            assert c.hget("{0}:depths", LANE) == b"7"
            accepted = [len(fields) for _, fields in c.xrange("{0}:events")]
            assert len(accepted) == 2
