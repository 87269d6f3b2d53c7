"""Router and connector on a real Redis with carriers in memory: what is accepted is sent, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.embedded.valkey import Valkey
from gateway.events import Parked, Received, Submitted
from gateway.message import id_time_ms
from gateway.provider import Outcome, Reason, Receipt, Submission, accepted, deferred, refused, uncertain
from gateway.router import decide
from gateway.streams import carriers, learnt
from gateway.streams.cancel import cancel
from tests.core_builders import message_id
from tests.core_path import always_accepted, plan, running
from tests.core_redis import client, until

MakeValkey = Callable[..., Awaitable[Valkey]]


async def test_what_is_accepted_is_sent_once_in_order_and_told(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50)
        ids = await path.accept(2000)
        await path.drained()
        assert [s.message_id for s in path.submissions()] == ids
        assert path.carrier().most <= 50
        assert (await path.fates()) == {"accepted": Counter(ids)}


async def test_while_many_cancel_during_a_drain_each_message_is_cancelled_or_sent_and_never_both(
    valkey_url: str,
) -> None:
    async with running(valkey_url) as path:
        ids = [
            (i, klass, f"app{n % 7}")
            for n in range(28)
            for klass in ("marketing", "otp")
            for i in await path.accept(90, klass=klass, client=f"app{n % 7}")
        ]
        path.start_connector(window=20)
        path.start_router()
        verdicts: dict[bytes, str] = {}

        async def canceller(part: int) -> None:
            wanted = ids[part::40]
            for at in range(0, len(wanted), 3):
                verdicts.update(await cancel(path.redis, wanted[at : at + 3]))

        await asyncio.gather(*(canceller(n) for n in range(0, 40, 4)))
        await path.drained()
        cancelled = {i for i, verdict in verdicts.items() if verdict == "cancelled"}
        assert len(cancelled) > 100
        sent = path.sent()
        assert not set(sent) & cancelled
        assert set(sent) | cancelled == {i for i, _, _ in ids}
        assert set(sent.values()) == {1}
        fates = await path.fates()
        assert fates["cancelled"] == Counter(cancelled)
        assert fates["accepted"] == sent


async def test_messages_of_several_parts_go_out_part_by_part_and_several_shards_share_a_carrier(
    valkey_url: str,
) -> None:
    async with running(valkey_url, shards=3) as path:
        path.start_router()
        path.start_connector(window=40)
        ids = await path.accept(600)
        long = await path.accept(100, text="one|two|three", parts=3)
        await path.drained()
        sent = path.sent()
        assert sent == Counter(ids) + Counter(dict.fromkeys(long, 3))
        assert sorted(s.part for s in path.submissions() if s.message_id == long[0]) == [1, 2, 3]
        assert {s.text for s in path.submissions() if s.message_id == long[0]} == {"one", "two", "three"}
        assert (await path.fates())["accepted"] == sent


async def test_with_five_thousand_of_one_client_queued_anothers_first_is_on_the_wire_at_once(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50, answer=lambda s: None)
        await path.accept(5000, client="big")
        await until(lambda: len(path.submissions()) >= 45, "the first window")
        await until(lambda: path.left().get("{0}:outbox:north:marketing:big", 0) == 5000, "routing")
        (one,) = await path.accept(1, client="small")
        await until(lambda: "{0}:outbox:north:marketing:small" in path.left(), "routing")
        path.carrier().release()
        await until(lambda: len(path.submissions()) >= 90, "the next window")
        assert one in path.sent()
        path.answers["north"] = always_accepted
        path.carrier().release()
        await path.drained()


async def test_an_otp_overtakes_everything_that_waits(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50, answer=lambda s: None)
        await path.accept(3000)
        await until(lambda: len(path.submissions()) == 45, "a window of which a tenth is kept free")
        (code,) = await path.accept(1, klass="otp")
        await until(lambda: code in path.sent(), "the otp, although no answer came")
        assert path.carrier().most <= 50
        path.answers["north"] = always_accepted
        path.carrier().release()
        await path.drained()


async def test_each_lane_of_a_class_gets_its_turn(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        apps = [f"app{n}" for n in range(5)]
        ids = {i: app for app in apps for i in await path.accept(400 if app == "app0" else 100, client=app)}
        path.start_router()
        await until(lambda: sum(path.left().get(f"{{0}}:outbox:north:marketing:{app}", 0) for app in apps) == 800)
        path.start_connector(window=20)
        await path.drained()
        first = Counter(ids[s.message_id] for s in path.submissions()[:300])
        assert all(40 <= first[app] <= 80 for app in apps), first


async def test_classes_share_a_limited_rate_as_the_plan_says(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        classes = ("otp", "alert", "transactional", "marketing")
        ids = {i: klass for klass in classes for i in await path.accept(1000, klass=klass)}
        path.start_router()
        await until(lambda: sum(n for key, n in path.left().items() if "outbox" in key) == 4000, "routing")
        path.start_connector(window=1000, rate=2000)
        await until(lambda: len(path.submissions()) >= 1000, "a thousand")
        first = Counter(ids[s.message_id] for s in path.submissions()[:1000])
        assert [round(first[k] / 100) for k in classes] == [5, 2, 2, 1]


async def test_what_a_carrier_throttles_comes_back_first_and_is_sent_once_more(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        refused: Counter[bytes] = Counter()

        def answer(s: Submission) -> Outcome | None:
            if s.message_id[-1] % 5 == 0 and refused[s.message_id] < 3:
                refused[s.message_id] += 1
                return deferred(Reason.THROTTLED)
            return always_accepted(s)

        path.start_router()
        path.start_connector(window=30, answer=answer)
        ids = await path.accept(1000)
        await path.drained()
        assert path.sent() == Counter(ids) + refused
        assert (await path.fates())["accepted"] == Counter(ids)
        assert {s.attempt for s in path.submissions()} == {1}


async def test_what_came_back_goes_before_all_that_waits_in_the_outbox(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        back: list[bytes] = []

        def answer(s: Submission) -> Outcome | None:
            if not back:
                back.append(s.message_id)
                return deferred(Reason.THROTTLED)
            return always_accepted(s)

        path.start_router()
        await path.accept(1000)
        await until(lambda: path.left().get("{0}:outbox:north:marketing:shop") == 1000, "routing")
        path.start_connector(window=5, answer=answer)
        await path.drained()
        first, again = (n for n, s in enumerate(path.submissions()) if s.message_id == back[0])
        assert (first, again < 500) == (0, True), f"it went again as number {again} of 1,001"


async def test_what_finds_the_bind_gone_comes_back_unsent_and_goes_when_it_is_there_again(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        await path.accept(1)
        await path.drained()
        bind = path.carrier()
        bind.up, bind.unaware = False, True
        ids = await path.accept(5)
        await until(lambda: path.left().get("{0}:again:north:marketing:shop"), "coming back")
        bind.unaware = False
        bind.up = True
        await path.drained()
        assert path.sent() == Counter(path.accepted)
        assert (await path.fates())["accepted"] == Counter(path.accepted)
        assert ids[-1] in path.sent()


async def test_a_temporary_error_goes_to_the_other_carrier_and_a_refused_number_ends(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = plan(("north", "south"))
        path.start_connector("north", answer=lambda s: deferred(Reason.TEMPORARY))
        path.start_connector("south", answer=lambda s: refused(Reason.INVALID_RECIPIENT))
        path.start_router()
        await until(lambda: all(path.providers[name] for name in ("north", "south")), "carriers")
        ids = await path.accept(200)
        await path.drained()
        assert path.sent("north") == path.sent("south") == Counter(ids)
        fates = await path.fates()
        assert fates["rejected"] == Counter(ids)
        assert {s.attempt for s in path.submissions("south")} == {2}


async def test_when_every_carrier_failed_for_now_the_message_is_parked_told_and_tried_again(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "_BACKOFF_S", (0,))
    async with running(valkey_url) as path:
        tries: Counter[bytes] = Counter()

        def answer(s: Submission) -> Outcome | None:
            tries[s.message_id] += 1
            return deferred(Reason.TEMPORARY) if tries[s.message_id] == 1 else always_accepted(s)

        path.start_router()
        path.start_connector(answer=answer)
        ids = await path.accept(50)
        await path.drained()
        assert set(tries.values()) == {2}
        parked = [f for f in await path.facts() if isinstance(f, Parked)]
        assert Counter(f.id for f in parked) == Counter(ids)
        assert (await path.fates())["accepted"] == Counter(ids)


async def test_a_scheduled_message_goes_out_at_its_time_and_not_before(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        due = path.redis.clock_ms() + 700
        (later,) = await path.accept(1, due_ms=due, send_at_ms=due)
        (now,) = await path.accept(1)
        await until(lambda: now in path.sent(), "the one for now")
        assert later not in path.sent() or path.redis.clock_ms() >= due
        await until(lambda: later in path.sent(), "the other")
        assert due <= path.redis.clock_ms() < due + 2000


async def test_what_expires_in_an_outbox_is_not_sent(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        short = await path.accept(20, validity_s=1)
        await until(lambda: sum(n for key, n in path.left().items() if "outbox" in key) == 20, "routing")
        await path.stop("router")  # or it would be the one to end what nobody serves
        await until(lambda: path.redis.clock_ms() > id_time_ms(short[-1]) + 1000, "a second")
        path.start_connector()
        await path.drained()
        assert (await path.fates())["expired"] == Counter(short)
        path.start_router()
        good = await path.accept(5)
        await path.drained()
        assert path.sent() == Counter(good)


async def test_an_unreadable_entry_in_an_outbox_ends_as_damaged_and_holds_up_nobody(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        i = message_id()
        with client(valkey_url) as c:
            for field in (b"\x09nonsense", b""):
                c.xadd("{0}:outbox:north:marketing:shop", {"m": i + b"\x01\x90", "r": field})
            c.sadd("{0}:lanes:north", "marketing:shop")
        path.start_router()
        path.start_connector()
        good = await path.accept(5)
        await path.drained()
        assert path.sent() == Counter(good)
        assert (await path.fates())["failed"] == {i: 2}


async def test_a_late_answer_heals_what_was_uncertain(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(answer=lambda s: uncertain(Reason.NO_ANSWER))
        (one,) = await path.accept(1)
        await path.drained()
        (s,) = path.submissions()
        path.carrier().reports.on_outcomes([(s, accepted("late"))])

        async def rows() -> list[Submitted]:
            return [f for f in await path.facts() if isinstance(f, Submitted)]

        await until(lambda: _two(rows), "the late row")
        first, late = await rows()
        assert (first.kind, late.kind, late.late, late.carrier_message_id) == (3, 0, True, "late")
        assert (await path.fates())["held"] == {one: 1}


async def _two(rows: Callable[[], Awaitable[list[Submitted]]]) -> bool:
    return len(await rows()) == 2


async def test_an_uncertain_part_that_is_healed_before_the_others_are_answered_counts_once(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(answer=lambda s: None)
        (one,) = await path.accept(1, text="a|b", parts=2)
        await until(lambda: len(path.submissions()) == 2, "both parts")
        first, second = path.submissions()
        tell = path.carrier().reports.on_outcomes
        tell([(first, uncertain())])
        tell([(first, accepted("one"))])
        tell([(second, accepted("two"))])
        path.carrier().kept.clear()
        await path.drained()
        assert await path.fates() == {"accepted": {one: 2}}


async def test_receipts_are_durable_when_their_report_returns_even_under_a_steady_stream_of_answers(
    valkey_url: str,
) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=5000)
        await until(lambda: path.providers["north"], "the carrier")
        sending = asyncio.create_task(path.accept(5000))
        for n in range(20):
            receipt = Receipt(f"c{n}", "delivered", recipient="79161234567")
            await asyncio.wait_for(path.carrier().reports.on_receipts([receipt]), 5)
            kept = [f.receipt.carrier_message_id for f in await path.facts() if isinstance(f, Received)]
            assert kept[-1] == f"c{n}"
        await sending
        await path.drained()
        assert set((await path.fates())["accepted"]) == set(path.accepted)


async def test_full_memory_stops_sending_and_room_starts_it_again(own_valkey: MakeValkey) -> None:
    server = await own_valkey()
    async with running(server.url) as path:
        path.start_router()
        path.start_connector(window=10, answer=lambda s: None)
        await path.accept(100)
        await until(lambda: len(path.submissions()) == 9, "the first window")
        with client(server.url) as c:

            def full() -> bool:
                c.config_set("maxmemory", int(c.info("memory")["used_memory"] / 0.93))
                return path.redis.used() > 0.88

            await until(full, "measuring")
            path.carrier().release()
            await until(lambda: c.hlen("{0}:marks:north") == 0, "settling, which memory never stops")
            assert len(path.submissions()) == 9
            c.config_set("maxmemory", 1 << 29)
        path.answers["north"] = always_accepted
        await path.drained()
        assert len(path.sent()) == 100


async def test_an_outcome_told_twice_changes_nothing_the_second_time(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector()
        (one,) = await path.accept(1)
        await path.drained()
        s = path.submissions()[0]
        path.carrier().reports.on_outcomes([(s, always_accepted(s))])
        await path.accept(1)
        await path.drained()
        rows = [f for f in await path.facts() if isinstance(f, Submitted) and f.id == one]
        assert [r.late for r in rows] == [False, True]


async def test_receipts_are_written_down_with_the_ids_that_were_learnt_and_status_tells_how_the_carrier_does(
    valkey_url: str,
) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50)
        await path.accept(20)
        await path.drained()
        await learnt.add_forms(path.redis, {("north", "hex"): 5, ("north", learnt.RECEIVED): 6})

        async def shown() -> dict[str, Any]:
            return (await carriers.statuses(path.redis)).get("north", {})

        async with asyncio.timeout(20):
            while (status := await shown()).get("message_ids") != "hex" or not status["rate_now_per_s"]:
                await asyncio.sleep(0.02)
        assert status["answer_p50_ms"] is not None and status["can_cancel"] is False
        await path.carrier().reports.on_receipts([Receipt("26", "delivered")])
        told = [fact for fact in await path.facts() if isinstance(fact, Received)]
        assert [fact.receipt.carrier_message_id for fact in told] == ["1A"]
