"""Packs in intake: what one commit brings into one lane is one entry, and yet every message has its own fate."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

import pytest

from gateway.events import Ended
from gateway.message import pack_journey, pack_message
from gateway.plan.choice import Compiled
from gateway.plan.matching import Asked
from gateway.plan.surroundings import Surroundings
from gateway.router.liveness import Liveness
from gateway.router.route import Intake, first
from gateway.router.waiting import WaitingWatch
from gateway.streams import facts, packs, restore
from gateway.streams.cancel import cancel
from gateway.streams.lease import Lease
from gateway.streams.link import Link, Redis
from gateway.streams.lookup import find
from gateway.streams.packs import Entry
from tests.core_builders import ask, journey, message, message_id, queued
from tests.core_moves import Moves, told
from tests.core_path import plan, running
from tests.core_redis import accepting, client, dump, opened, until

LANE = "marketing:shop"
BOX = "{0}:outbox:north:" + LANE


async def accept(redis: Redis, count: int, **fields: object) -> list[bytes]:
    async with accepting(redis) as acceptor:
        return [v.id for v in await acceptor.accept(0, [ask(n, **fields) for n in range(count)])]  # type: ignore[arg-type]


def targets(ids: Sequence[bytes]) -> list[tuple[bytes, str, str]]:
    return [(i, "marketing", "shop") for i in ids]


async def sizes(redis: Redis, lane: str = LANE) -> list[int]:
    return [len(entry.messages) for entry in await packs.read(redis.link(0), lane, b"0-0", 1000)]


def ids_in(url: str, stream: str) -> list[bytes]:
    with client(url) as c:
        return [fields[b"m"][:16] for _, fields in c.xrange(stream)]


async def routed(redis: Redis, compiled: Compiled | None = None) -> None:
    """Let a router work until no intake holds anything."""
    lease = Lease(redis.link(0), "lease:router", "r", 30)
    await lease.acquire()
    intake = Intake(redis.new_link(0), lease.token, lambda: compiled or plan(), lambda now: Surroundings(now_ms=now))
    await intake.link.up()
    routing = asyncio.create_task(intake.run())

    async def empty() -> bool:
        if routing.done():
            routing.result()
        names = await redis.link(0).call("SMEMBERS", "{0}:lanes")
        return not any([await redis.link(0).call("XLEN", b"{0}:intake:" + name) for name in names])

    await until(empty, "routing")
    routing.cancel()
    await asyncio.wait((routing,))
    await lease.release()


async def raw_single(link: Link, *, j: bytes = b"", **fields: object) -> bytes:
    """An entry as scripts for one message write it, and as the release before wrote all."""
    one = message_id(link.clock_ms())
    value = one + pack_message(message(**fields))
    await link.call("SADD", "{0}:lanes", LANE)
    await link.call("XADD", "{0}:intake:" + LANE, "*", "m", value, *(("r", j) if j else ()))
    return one


async def test_a_commit_makes_one_entry_a_lane_and_none_of_more_than_a_hundred(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        asks = [ask(n, client="shop" if n % 5 else "bank") for n in range(500)]
        verdicts = await acceptor.accept(0, asks)
        assert await sizes(redis) == [100] * 4
        assert await sizes(redis, "marketing:bank") == [100]
        assert await packs.depths(redis.link(0)) == {b"marketing:shop": 400, b"marketing:bank": 100}
        (event,) = await facts.read(redis.link(0), 0, b"0-0", 9)
        assert {i for i, _ in event.accepted} == {v.id for v in verdicts}
        bank = [q.message_id for e in await packs.read(redis.link(0), "marketing:bank", b"0-0", 9) for q in e.messages]
        assert bank == [v.id for v in verdicts[::5]]


@pytest.mark.parametrize("count", [1, 7, 8, 15, 16, 100])
@pytest.mark.parametrize("known", [[0], [-1], [0, -1], [3], range(100)])
async def test_duplicates_are_left_out_of_their_pack_and_the_others_stay_as_they_are(
    valkey_url: str, count: int, known: Sequence[int]
) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        asks = [ask(n, ref=b"%016d" % n, text="x" * (n * 7 % 300)) for n in range(count)]
        twice = [asks[n] for n in known if -count <= n < count]
        if twice:
            before = await acceptor.accept(0, twice)
            assert {v.kind for v in before} <= {"accepted", "duplicate"}
        with client(valkey_url) as c:
            c.delete("{0}:intake:" + LANE, "{0}:events", "{0}:depths")
        verdicts = await acceptor.accept(0, asks)
        fresh = [v.id for v in verdicts if v.kind == "accepted"]
        assert len(fresh) == count - len({id(a) for a in twice})
        (*event,) = await facts.read(redis.link(0), 0, b"0-0", 9)
        entries = await packs.read(redis.link(0), LANE, b"0-0", 9)
        found = [q for e in entries for q in e.messages]
        assert [q.message_id for q in found] == fresh
        assert [i for e in event for i, _ in e.accepted] == fresh
        assert [q.value[16:] for q in found] == [v for e in event for _, v in e.accepted]
        assert [q.message.to for q in found] == [f"+7916{n:07d}" for n, v in enumerate(verdicts) if v.id in set(fresh)]
        assert sum((await packs.depths(redis.link(0))).values()) == len(fresh)


async def test_a_conflict_names_the_first_message_wherever_it_stands_in_the_commit(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        later = 2_000_000_000_000
        asks = [
            ask(0, ref=b"a" * 16, client="a"),
            ask(1, ref=b"b" * 16, client="b", due_ms=later),
            ask(2),
            ask(0, ref=b"a" * 16, client="b"),
            ask(3, ref=b"b" * 16, due_ms=later),
            ask(4, ref=b"c" * 16, client="b"),
        ]
        got = await acceptor.accept(0, asks)
        assert [v.kind for v in got] == ["accepted", "accepted", "accepted", "duplicate", "conflict", "accepted"]
        assert (got[3].id, got[4].id) == (got[0].id, got[1].id)
        with client(valkey_url) as c:
            assert c.zrange("{0}:later", 0, -1) == [got[1].id]
        for v in (got[0], got[1], got[2], got[5]):
            assert await find(redis, v.id) is not None
        assert await sizes(redis, "marketing:b") == [1]


@pytest.mark.parametrize(
    "places", [[0], [99], [100], [57], [0, 1, 2], list(range(100)), list(range(50, 150)), list(range(250))]
)
async def test_what_is_cancelled_in_a_pack_is_never_routed_and_the_others_keep_their_order(
    valkey_url: str, places: list[int]
) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 250)
        gone = [ids[n] for n in places]
        assert await cancel(redis, targets(gone)) == dict.fromkeys(gone, "cancelled")
        left = [i for i in ids if i not in gone]
        assert await packs.depths(redis.link(0)) == {LANE.encode(): len(left)}
        assert await cancel(redis, targets(gone)) == dict.fromkeys(gone, "gone")
        assert [q.message_id for q in await Moves(redis).intake()] == left
        await routed(redis)
        assert ids_in(valkey_url, BOX) == left
        ended = [fact.id for fact in await told(redis) if isinstance(fact, Ended)]
        assert Counter(ended) == Counter(gone)
        with client(valkey_url) as c:
            assert not c.exists("{0}:struck:" + LANE, "{0}:depths")


async def test_what_is_struck_out_of_one_pack_is_not_forgotten_when_another_is_routed(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 300)
        gone = [ids[5], ids[250]]
        await cancel(redis, targets(gone))
        moves = Moves(redis)
        await moves.begin()
        entries = await moves.intake()
        assert await moves.route([e for e in entries if e.entry_id == entries[0].entry_id]) == b"ok"
        assert await packs.struck_out(redis.link(0), LANE) == {ids[250]}
        assert await packs.depths(redis.link(0)) == {LANE.encode(): 199}
        await moves.router.release()
        await routed(redis)
        assert ids_in(valkey_url, BOX) == [i for i in ids if i not in gone]


async def test_a_message_is_cancelled_at_every_place_of_its_path(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 100)
        await cancel(redis, targets(ids[:10]))  # in the pack
        moves = Moves(redis)
        await moves.begin()
        await moves.route(await moves.intake())
        await cancel(redis, targets(ids[10:20]))  # in the outbox
        box = await moves.outbox()
        assert [e.message_id for e in box] == ids[20:]
        await moves.mark(box[:30])
        assert await cancel(redis, targets(ids[20:25])) == dict.fromkeys(ids[20:25], "marked")
        await moves.settle(box[:10], "a")
        await moves.settle(box[10:20], "i")
        await moves.settle(box[20:30], "l", due_ms=2_000_000_000_000)
        for start in (20, 30, 40):  # came back unsent, back in intake as single entries, parked
            assert set((await cancel(redis, targets(ids[start : start + 5]))).values()) == {"cancelled"}
        assert await packs.depths(redis.link(0)) == {LANE.encode(): 5}
        assert [q.message_id for q in await moves.intake()] == ids[35:40]
        assert [q.message_id for q in await moves.outbox("again")] == ids[25:30]


async def test_ten_thousand_in_packs_are_cancelled_while_the_router_runs_and_none_is_both(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=500)
        ids = [i for _ in range(10) for i in await path.accept(1000, client="a" if _ % 2 else "shop")]
        verdicts = await cancel(path.redis, [(i, "marketing", c) for i in ids[::2] for c in ("shop",)])
        verdicts |= {
            i: v
            for i, v in (await cancel(path.redis, [(i, "marketing", "a") for i in ids[::2]])).items()
            if v != "gone"
        }
        await path.drained()
        cancelled = {i for i, v in verdicts.items() if v == "cancelled"}
        assert set(path.sent()) | cancelled == set(ids)
        assert not set(path.sent()) & cancelled
        assert set(path.sent().values()) <= {1}


async def test_entries_of_the_release_before_are_routed_cancelled_and_found(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        old = [await raw_single(link) for _ in range(3)]
        new = await accept(redis, 3)
        behind = await raw_single(link, j=pack_journey(journey(attempt=2)))
        assert await cancel(redis, targets([old[1], new[1]])) == {old[1]: "cancelled", new[1]: "cancelled"}
        value = pack_message(message(text="old"))
        at_ms = int.from_bytes(old[0][:6], "big")
        await link.call("DEL", "{0}:events")
        await link.call("XADD", "{0}:events", f"{at_ms}-0", "r", "run", "A", "", old[0], value)
        found = await find(redis, old[0])
        assert found is not None
        assert found[0].text == "old"
        await routed(redis)
        assert ids_in(valkey_url, BOX) == [old[0], old[2], new[0], new[2], behind]
        with client(valkey_url) as c:
            assert not c.exists("{0}:depths"), "an empty lane is counted anew"


async def test_what_is_recalled_stands_behind_the_packs_and_is_counted(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 5)
        moves = Moves(redis)
        await moves.begin()
        await moves.route(await moves.intake())
        behind = await accept(redis, 150)
        args: list[object] = [moves.link.run_id, moves.router.token, "north", LANE, f"outbox:north:{LANE}", b""]
        for entry in await moves.outbox():
            args += [entry.entry_id, entry.value, entry.journey]
        assert await moves.link.script("recall", (), args) == 5  # type: ignore[arg-type]
        assert await packs.depths(redis.link(0)) == {LANE.encode(): 155}
        assert await sizes(redis) == [100, 50, 1, 1, 1, 1, 1]
        await cancel(redis, targets([ids[2], behind[120]]))
        await moves.router.release()
        await routed(redis)
        assert ids_in(valkey_url, BOX) == [i for i in behind + ids if i not in (ids[2], behind[120])]


async def test_a_lanes_turn_is_measured_in_messages(valkey_url: str) -> None:
    async with opened(valkey_url) as redis, accepting(redis) as acceptor:
        for client_name, count in (("a", 1200), ("b", 10)):
            await acceptor.accept(0, [ask(n, client=client_name) for n in range(count)])
        seen: list[tuple[int, int]] = []
        compiled = plan()

        class Watched(Compiled):
            def __init__(self) -> None:
                self.__dict__.update(compiled.__dict__)

            def choose(self, facts: Asked, *args: object) -> object:  # type: ignore[override]
                with client(valkey_url) as c:
                    lengths = c.xlen("{0}:outbox:north:marketing:a"), c.xlen("{0}:outbox:north:marketing:b")
                if facts.client == "b" and lengths not in seen:
                    seen.append(lengths)  # type: ignore[arg-type]
                return compiled.choose(facts, *args)  # type: ignore[arg-type]

        await routed(redis, Watched())
        assert seen in ([(500, 0)], [(0, 0)]), "b waits behind at most one turn of a"


def test_the_first_entries_of_a_batch_hold_at_most_so_many_messages_but_one_at_least() -> None:
    def entries(*counts: int) -> list[Entry]:
        return [Entry(b"1-%d" % n, [queued()] * count, True) for n, count in enumerate(counts)]

    for counts, size, taken, held in [
        ((100, 100, 100), 100, 1, 100),
        ((100, 100, 100), 250, 2, 200),
        ((100,), 50, 1, 100),
        ((1, 100, 1), 100, 1, 1),
        ((0, 1, 1), 2, 3, 2),
    ]:
        every = entries(*counts)
        batch, ahead, number = first(every, size)
        assert (batch, ahead, number) == (every[:taken], every[taken:], held)


async def test_a_waiting_lane_is_told_of_with_all_its_messages(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 250)
        watch = WaitingWatch(redis.link(0), 0, Liveness(redis))
        redis.link(0)._clock = (redis.clock_ms() + 60_000, redis.link(0)._clock[1])
        (fact,) = await watch.look()
        assert (fact.where, fact.klass, fact.client, fact.count) == ("intake", "marketing", "shop", 250)  # type: ignore[union-attr]
        assert all(fact.first <= i <= fact.last for i in ids)  # type: ignore[union-attr]


async def test_recovering_sees_every_message_of_a_pack_and_strikes_out_what_is_over(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        ids = await accept(redis, 150)
        single = await raw_single(link)
        await cancel(redis, targets([ids[3]]))
        places = [place async for page in restore.places(link) for place in page]
        assert [p.message_id for p in places] == [i for i in ids if i != ids[3]] + [single]
        over = {ids[0], ids[149], single}
        await restore.drop(link, [p for p in places if p.message_id in over])
        await restore.put_back(link, [(message_id(link.clock_ms()), message())])
        assert await packs.depths(link) == {LANE.encode(): 149 - 3 + 1}  # the single one was never counted
        await routed(redis)
        assert ids_in(valkey_url, BOX)[:-1] == [i for i in ids if i not in over | {ids[3]}]


async def test_a_pack_that_cannot_be_read_holds_up_nobody_and_is_logged(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(valkey_url) as redis:
        first_ids = await accept(redis, 5)
        for damaged in (b"", b"\x01", b"\x02" + bytes(6) + b"\x90", b"\x01" + bytes(6) + b"\x91\xc4\x01a"):
            await redis.link(0).call("XADD", "{0}:intake:" + LANE, "*", "p", damaged)
            await redis.link(0).call("XADD", "{0}:events", "*", "r", "run", "P", damaged)
        last_ids = await accept(redis, 5)
        assert await cancel(redis, targets([last_ids[0]])) == {last_ids[0]: "cancelled"}
        with caplog.at_level(logging.ERROR):
            await routed(redis)
        assert ids_in(valkey_url, BOX) == first_ids + last_ids[1:]
        assert [r.message for r in caplog.records] == ["damaged_pack"] * 4
        entries = await facts.read(redis.link(0), 0, b"0-0", 99)
        assert [len(e.accepted) for e in entries if not e.facts] == [5, 1, 1, 1, 1, 5]


async def test_a_closed_shard_strikes_nothing_out(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        ids = await accept(redis, 3)
        (place,) = [e.entry_id for e in await packs.read(redis.link(0), LANE, b"0-0", 9)]
        before = dump(valkey_url)
        args: list[bytes | str | int] = [b"ffffffff", f"intake:{LANE}", place, ids[0], b""]
        assert await redis.link(0).script("cancel", (), args) == b"closed"
        args = [redis.link(0).run_id, f"intake:{LANE}", place, message_id(), b""]
        assert await redis.link(0).script("cancel", (), args) == [b"gone"]
        assert dump(valkey_url) == before
