"""Who takes over, what is uncertain then, and connections that break: nothing is lost, only marked ones are doubted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.connector.flight import Flight, Mark, submissions
from gateway.connector.journal import Journal
from gateway.events import Came, Held, Received, Submitted
from gateway.message import CLASSES, unpack_journey, unpack_message
from gateway.provider import Inbound, Outcome, Reason, Receipt, Submission, accepted, deferred, refused
from gateway.streams import carriers
from gateway.streams.link import Redis, ScriptError, scripts
from tests.core_moves import Moves, told
from tests.core_path import Path as Running
from tests.core_path import always_accepted, running
from tests.core_redis import Proxy, client, dump, opened, until

LANE = "{0}:outbox:north:"


async def left_on_the_wire(path: Running, klass: str, count: int, marked: int, **fields: object) -> list[bytes]:
    """Messages in north's outbox, the first of them marked by a connector that died then; their ids."""
    ids = await path.accept(count, klass=klass, **fields)
    moves = Moves(path.redis, f"{klass}:shop")
    await moves.begin()
    await moves.route(await moves.intake())
    if marked:
        assert await moves.mark((await moves.outbox())[:marked]) == b"ok"
    await moves.router.release()
    return ids


@pytest.mark.parametrize("klass", CLASSES)
async def test_after_a_death_what_was_marked_is_resent_or_held_by_class_and_the_rest_is_sent(
    valkey_url: str, klass: str
) -> None:
    async with running(valkey_url) as path:
        ids = await left_on_the_wire(path, klass, 60, marked=25)
        path.start_router()
        path.start_connector()
        await path.drained()
        resends = klass in ("otp", "alert")
        assert path.sent() == Counter(ids if resends else ids[25:])
        fates = await path.fates()
        assert fates["accepted"] == path.sent()
        assert fates.get("held", Counter()) == (Counter() if resends else Counter(ids[:25]))
        if resends:
            assert {s.attempt for s in path.submissions() if s.message_id in ids[:25]} == {2}


async def answered(path: Running, directory: Path, klass: str, answers: Sequence[Outcome]) -> list[bytes]:
    """A connector died when so many of the 25 marked had their answers, none of which Redis knew; all ids."""
    ids = await left_on_the_wire(path, klass, 60, marked=25)
    entries = (await Moves(path.redis, f"{klass}:shop").outbox())[:25]
    mark = Mark(0, f"outbox:north:{klass}:shop", entries[0].entry_id, entries[-1].entry_id, 25)
    flights = [Flight(e, mark, unpack_message(e.value, 16), unpack_journey(e.journey), 0, []) for e in entries]
    journal = Journal(directory, "north", 1, lambda: ())
    batch = [(submissions(f, ("x",), False)[0], o) for f, o in zip(flights, answers, strict=False)]
    journal.append(batch, path.redis.clock_ms(), [path.redis.link(0).run_id])
    journal.close(remove=False)
    path.journals = directory
    return ids


@pytest.mark.parametrize("klass", CLASSES)
async def test_after_a_death_what_the_journal_knows_is_neither_sent_again_nor_unknown(
    valkey_url: str, tmp_path: Path, klass: str
) -> None:
    async with running(valkey_url) as path:
        ids = await answered(path, tmp_path, klass, [accepted(f"carriers-{n}") for n in range(20)])
        path.start_router()
        path.start_connector()
        await path.drained()
        resends = klass in ("otp", "alert")
        assert path.sent() == Counter(ids[20:] if resends else ids[25:])
        fates = await path.fates()
        assert fates["accepted"] == Counter(ids if resends else ids[:20] + ids[25:])
        assert fates.get("held", Counter()) == (Counter() if resends else Counter(ids[20:25]))
        told_ids = {f.id: f.carrier_message_id for f in await path.facts() if isinstance(f, Submitted)}
        assert [told_ids[i] for i in ids[:20]] == [f"carriers-{n}" for n in range(20)]
        await path.stop("connector north")
        assert not list(tmp_path.iterdir()), "neither the dead one's journal nor ours is left"


async def test_what_a_dead_connector_was_refused_or_got_back_goes_the_way_it_would_have_gone(
    valkey_url: str, tmp_path: Path
) -> None:
    async with running(valkey_url) as path:
        outcomes = [refused(Reason.BLOCKED), refused(Reason.INVALID_RECIPIENT), deferred(Reason.THROTTLED)] * 5
        ids = await answered(path, tmp_path, "marketing", outcomes)
        path.start_router()
        path.start_connector()
        await path.drained()
        fates = await path.fates()
        back = [ids[n] for n in range(15) if n % 3 == 2]
        assert fates["held"] == Counter(ids[15:25])
        assert fates["rejected"] == Counter(ids[n] for n in range(15) if n % 3 != 2)
        assert fates["accepted"] == path.sent() == Counter(back + ids[25:])


async def test_a_stale_journal_of_messages_that_are_long_settled_changes_nothing(
    valkey_url: str, tmp_path: Path
) -> None:
    async with running(valkey_url) as path:
        ids = await answered(path, tmp_path, "otp", [deferred(Reason.THROTTLED)] * 25)
        path.journals = None  # as on another machine
        path.start_router()
        path.start_connector()
        await path.drained()
        assert path.sent() == Counter(ids)
        await path.stop("connector north")
        path.journals = tmp_path
        path.start_connector()
        ids += await path.accept(20, klass="otp")
        await path.drained()
        assert path.sent() == Counter(ids) == (await path.fates())["accepted"]
        await path.stop("connector north")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("klass", ["otp", "marketing"])
async def test_what_an_owner_heard_before_it_slept_is_known_to_its_successor_and_told_once(
    valkey_url: str, tmp_path: Path, klass: str
) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.journals = tmp_path / "journal"
        path.journals.mkdir()
        path.start_router()
        path.start_connector(window=30, redis=stopped, name="old", answer=lambda s: None)
        await until(lambda: path.providers["north"], "the first owner")
        ids = await path.accept(500, klass=klass)
        await until(lambda: len(path.submissions()) >= 25, "its window")
        old = path.carrier()
        window = len(old.sent)
        proxy.flowing.clear()
        old.release()
        path.answers["north"] = always_accepted
        path.start_connector(window=30, name="new")
        await until(lambda: len(path.providers["north"]) == 2, "the second owner")
        assert list(path.journals.iterdir()), "the first one's journal is still its own"
        await until(lambda: len(path.sent()) == len(ids), "the rest")
        proxy.flowing.set()
        await path.drained()
        assert path.sent() == Counter(ids)
        fates = await path.fates()
        assert set(fates["accepted"]) == set(ids) and not fates["held"]
        assert sum(fates["accepted"].values()) - len(ids) <= window, "what the first one tells late is the same"


async def test_the_owed_parts_of_a_marked_message_are_all_told_as_uncertain(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        (one,) = await left_on_the_wire(path, "marketing", 1, marked=1, text="a|b|c", parts=3)
        path.start_connector()
        await path.drained()
        facts = await path.facts()
        assert [(f.part, f.kind) for f in facts if isinstance(f, Submitted)] == [(1, 3), (2, 3), (3, 3)]
        assert [f.id for f in facts if isinstance(f, Held)] == [one]


async def test_marks_that_cover_nothing_any_more_are_cleared_and_overlapping_ones_settle_once(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        ids = await left_on_the_wire(path, "marketing", 10, marked=6)
        moves = Moves(path.redis)
        box = await moves.outbox()
        assert await moves.mark(box[2:8]) == b"ok"
        with client(valkey_url) as c:
            c.hset("{0}:marks:north", "again:north:marketing:shop|1-1|5-1", 1)
        path.start_connector()
        await path.drained()
        assert (await path.fates())["held"] == Counter(ids[:8])
        assert path.sent() == Counter(ids[8:])


async def test_a_graceful_stop_in_mid_drain_leaves_nothing_uncertain(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50)
        ids = await path.accept(4000)
        for part in range(1, 5):
            await until(lambda part=part: len(path.submissions()) > part * 700, "sending")
            await path.stop("connector north")
            with client(valkey_url) as c:
                assert c.hlen("{0}:marks:north") == 0
                assert not (await carriers.statuses(path.redis))["north"]["live"]
            path.start_connector(window=50)
        await path.drained()
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}


async def test_a_hundred_dropped_connections_during_a_drain_lose_and_double_nothing(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=20)
        ids = await path.accept(4000)
        for n in range(100):
            if n % 10 == 0:
                await asyncio.wait_for(path.redis.link(0).up(), 5)
            with client(valkey_url) as c:
                c.client_kill_filter(_type="normal", skipme=True)
                if n % 5 == 0:
                    c.client_kill_filter(_type="pubsub", skipme=True)
            seen = len(path.submissions())
            await until(lambda seen=seen: len(path.submissions()) > seen or len(path.submissions()) == 4000, "going on")
        await path.drained()
        await asyncio.wait_for(path.redis.link(0).up(), 5)
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}


@pytest.mark.parametrize("script", ["mark", "settle", "route"])
@pytest.mark.parametrize("when", ["cut_replies", "cut_requests"])
async def test_a_lost_reply_of_any_script_loses_and_doubles_nothing(
    valkey_url: str, tmp_path: Path, script: str, when: str
) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url, redis_url=proxy.url) as path:
        path.start_router()
        path.start_connector(window=20)
        proxy.match = scripts()[script][0]
        ids: list[bytes] = []
        for n in range(10):
            setattr(proxy, when, 1)
            ids += await path.accept(100)
            await until(lambda n=n: len(path.submissions()) > n * 100 + 20, "going on")
        await path.drained()
        assert proxy.cuts >= 5
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}


@pytest.mark.parametrize("klass", ["otp", "marketing"])
async def test_an_owner_who_was_stopped_and_wakes_up_is_fenced(valkey_url: str, tmp_path: Path, klass: str) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.start_router()
        path.start_connector(window=30, redis=stopped, name="old", answer=lambda s: None)
        await until(lambda: path.providers["north"], "the first owner")
        ids = await path.accept(500, klass=klass)
        await until(lambda: len(path.submissions()) >= 25, "its window")
        old = path.carrier()
        proxy.flowing.clear()
        path.start_connector(window=30, name="new")
        await until(lambda: len(path.providers["north"]) == 2, "the second owner")
        path.answers["north"] = always_accepted
        proxy.flowing.set()
        old.release()
        await path.drained()
        sent, window = path.sent(), len(old.sent)
        assert set(sent) == set(ids)
        if klass == "marketing":
            assert set(sent.values()) == {1}
        else:
            assert sum(sent.values()) - len(ids) <= window <= 30
        assert len(old.sent) == window, "it sent nothing after it woke up"
        fates = await path.fates()
        assert set(fates["accepted"]) | set(fates["held"]) == set(ids)


async def test_a_stopped_router_that_wakes_up_moves_nothing_twice(valkey_url: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.start_router("old", stopped)
        path.start_connector()

        async def all_arrive(by: str) -> None:
            await path.accept(300)
            await until(lambda: len(path.sent()) == len(path.accepted), by)

        await all_arrive("the first")
        for _ in range(3):
            proxy.flowing.clear()
            path.start_router("new")
            await all_arrive("the second router")
            proxy.flowing.set()
            await all_arrive("whoever routes")
            await path.stop("new")
            await all_arrive("the first again")
        await path.drained()
        assert path.sent() == Counter(path.accepted)


async def test_two_connectors_take_turns_and_only_one_has_the_carrier(valkey_url: str) -> None:
    async with running(valkey_url) as path, opened(valkey_url) as other:
        path.start_router()
        path.start_connector(name="a")
        await until(lambda: path.providers["north"], "an owner")
        path.start_connector(name="b", redis=other)
        ids = await path.accept(500)
        await path.drained()
        assert len(path.providers["north"]) == 1
        await path.stop("a")
        ids += await path.accept(500)
        await path.drained()
        assert len(path.providers["north"]) == 2
        assert path.sent() == Counter(ids)


async def test_a_carrier_that_was_paused_sends_nothing_from_its_first_moment(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await carriers.set_mode(path.redis, "north", "paused")
        await left_on_the_wire(path, "marketing", 50, marked=0)
        path.start_connector()
        await until(lambda: _limited_by(path.redis, "paused"), "the status")
        assert not path.submissions()
        await carriers.set_mode(path.redis, "north", "running")
        await path.drained()
        assert len(path.submissions()) == 50


async def _limited_by(redis: Redis, why: str) -> bool:
    return (await carriers.statuses(redis)).get("north", {}).get("limited_by") == why


async def test_a_settle_that_redis_refuses_stops_the_connector_loudly(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(answer=lambda s: None)
        await path.accept(10)
        await until(lambda: len(path.submissions()) == 10, "sending")
        with client(valkey_url) as c:
            c.rename("{0}:events", "aside")
            c.set("{0}:events", "spoilt")
            before = dump(valkey_url, but=(b"{g}:", b"{0}:lease"))
            path.carrier().release()
            with pytest.raises(ScriptError, match="WRONGTYPE"):
                await asyncio.wait_for(path.task("connector north"), 20)
            assert dump(valkey_url, but=(b"{g}:", b"{0}:lease")) == before, "all is there for the next connector"
            c.rename("aside", "{0}:events")
        path.forget("connector north")
        path.start_connector()
        await path.drained()
        assert (await path.fates())["held"] == Counter(path.accepted)


async def test_a_reply_to_a_mark_that_comes_during_a_stop_is_still_sent_or_undone(
    valkey_url: str, tmp_path: Path
) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url, redis_url=proxy.url) as path:
        path.start_router()
        path.start_connector(window=100)
        await until(lambda: path.providers["north"], "the carrier")
        proxy.match = scripts()["mark"][0]
        ids = await path.accept(1000)
        await until(lambda: proxy.requests, "a mark")
        proxy.flowing.clear()
        stopping = asyncio.create_task(path.stop("connector north"))
        await asyncio.sleep(0)
        proxy.flowing.set()
        await stopping
        with client(valkey_url) as c:
            assert c.hlen("{0}:marks:north") == 0
        path.start_connector()
        await path.drained()
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}


async def test_slow_answers_fill_the_window_and_no_more(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()

        def answer(s: Submission) -> Outcome | None:
            return always_accepted(s)

        path.start_connector(window=40, answer=answer)
        await until(lambda: path.providers["north"], "the carrier")
        path.carrier().slow = True
        ids = await path.accept(600, klass="alert")

        async def teller() -> None:
            while path.waiting():
                await until(lambda: path.carrier().room <= 0 or len(path.submissions()) == 600, "a full window")
                path.carrier().tell(7)
                await asyncio.sleep(0)

        await asyncio.wait_for(teller(), 60)
        assert path.carrier().most == 40
        assert path.sent() == Counter(ids)


async def test_a_mark_that_redis_refuses_stops_the_connector_loudly_and_nothing_is_sent(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        await until(lambda: path.providers["north"] and path.carrier().started, "the carrier")
        with client(valkey_url) as c:
            c.set("{0}:marks:north", "spoilt")
            await path.accept(10)
            with pytest.raises(ExceptionGroup) as broken:
                await asyncio.wait_for(path.task("connector north"), 20)
            assert broken.group_contains(ScriptError, match="WRONGTYPE")
            path.forget("connector north")
            assert not path.submissions()
            c.delete("{0}:marks:north")
        path.start_connector()
        await path.drained()
        assert path.sent() == Counter(path.accepted)


async def test_a_fence_that_is_ahead_keeps_a_connector_out_without_haste_until_its_token_is_newer(
    valkey_url: str,
) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        with client(valkey_url) as c:
            c.set("{0}:fence:north", 1 << 52)
            path.start_connector()
            ids = await path.accept(10)
            await until(lambda: int(c.hget("{g}:lease:carrier:north", "token") or 0), "a lease")
            first = int(c.hget("{g}:lease:carrier:north", "token"))
            await until(lambda: int(c.hget("{g}:lease:carrier:north", "token")) > first, "another try")
            assert not path.submissions()
            c.delete("{0}:fence:north")
        await path.drained()
        assert path.sent() == Counter(ids)


async def test_a_connector_that_is_fenced_in_the_middle_of_its_work_stops_and_begins_anew(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=20)
        ids = await path.accept(1000)
        await until(lambda: len(path.submissions()) > 100, "sending")
        with client(valkey_url) as c:
            c.incr("{0}:fence:north")
        await until(lambda: len(path.providers["north"]) == 2, "a new beginning")
        await path.drained()
        assert set((await path.fates())["held"]) | set(path.sent()) == set(ids)
        assert max(path.sent().values()) == 1


async def test_a_marked_entry_that_cannot_be_read_ends_as_damaged_at_the_takeover(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await left_on_the_wire(path, "otp", 2, marked=1)
        with client(valkey_url) as c:
            stream = LANE + "otp:shop"
            (first, fields), (second, others) = c.xrange(stream)
            c.delete(stream, "{0}:marks:north")
            c.xadd(stream, {"m": fields[b"m"][:20], "r": fields[b"r"]}, id=first)
            c.xadd(stream, others, id=second)
            c.hset("{0}:marks:north", f"outbox:north:otp:shop|{first.decode()}|{first.decode()}", 1)
        path.start_connector()
        await path.drained()
        assert (await path.fates())["failed"] == Counter(path.accepted[:1])
        assert path.sent() == Counter(path.accepted[1:])


async def test_receipts_and_inbound_messages_go_to_the_shard_of_their_number(valkey_url: str) -> None:
    async with running(valkey_url, shards=4) as path:
        path.start_connector()
        await until(lambda: path.providers["north"], "the carrier")
        reports = path.carrier().reports
        numbers = [f"7916{n:07d}" for n in range(40)]
        await reports.on_receipts([Receipt(f"c{n}", "delivered", recipient=n) for n in numbers])
        await reports.on_inbound([Inbound("+" + n, "1234", "да") for n in numbers])
        for shard in range(4):
            mine = [n for n in numbers if path.redis.shard_of("+" + n) == shard]
            facts = await told(path.redis, shard)
            assert [f.receipt.recipient for f in facts if isinstance(f, Received)] == mine
            assert [f.inbound.sender for f in facts if isinstance(f, Came)] == ["+" + n for n in mine]
