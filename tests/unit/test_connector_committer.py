"""What a batch of verdicts asks of the settle script, and in which order facts and outcomes are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.connector.committer import Committer, operations
from gateway.connector.flight import Flight, Mark, Verdict
from gateway.events import AnyFact, Ended, Held, unpack_facts
from gateway.streams.link import RedisAwayError, ScriptError
from tests.core_builders import journey, message, message_id, queued

STREAM = "outbox:north:marketing:shop"


def marked(count: int, stream: str = STREAM) -> tuple[Mark, list[Flight]]:
    """Flights of entries under one mark."""
    entries = [queued() for _ in range(count)]
    mark = Mark(0, stream, entries[0].entry_id, entries[-1].entry_id, count)
    return mark, [Flight(e, mark, message(), journey(), 0, []) for e in entries]


def test_a_mark_is_deleted_by_the_settle_that_empties_it_and_not_before() -> None:
    mark, flights = marked(3)
    first = operations([(f, Verdict([])) for f in flights[:2]])
    assert "u" not in first
    last = operations([(flights[2], Verdict([]))])
    assert last[:2] == ["u", mark.field]
    assert mark.field == b"%s|%s|%s" % (STREAM.encode(), flights[0].entry.entry_id, flights[2].entry.entry_id)


def test_every_entry_is_deleted_and_what_moves_on_takes_its_message_and_journey_along() -> None:
    _, flights = marked(3)
    verdicts = [Verdict([]), Verdict([], "a", "marketing:shop", b"j1"), Verdict([], "l", "99|marketing:shop", b"j2")]
    ops = operations(list(zip(flights, verdicts, strict=True)))
    assert ops == [
        *("a", "marketing:shop", flights[1].entry.value, b"j1"),
        *("l", "99|marketing:shop", flights[2].entry.value, b"j2"),
        *("u", flights[0].mark.field),
        *("d", STREAM, 3, *(f.entry.entry_id for f in flights)),
    ]


def test_entries_of_several_streams_are_deleted_stream_by_stream() -> None:
    _, boxed = marked(2)
    _, again = marked(2, "again:north:otp:shop")
    ops = operations([(f, Verdict([])) for f in (boxed[0], again[0], boxed[1], again[1])])
    assert [ops[i : i + 3] for i, op in enumerate(ops) if op == "d"] == [
        ["d", STREAM, 2],
        ["d", "again:north:otp:shop", 2],
    ]
    assert ops.count("u") == 2


def led(count: int, before: Mark | None = None) -> tuple[Mark, list[Flight]]:
    """The same as the pump marks them: one mark behind the other in its stream."""
    mark, flights = marked(count)
    mark.ids, mark.before = [f.entry.entry_id for f in flights], before
    return mark, flights


def removed(flights: Sequence[Flight]) -> list[Any]:
    """What a settle asks of the stream."""
    ops = operations([(f, Verdict([])) for f in flights])
    while "u" in ops:
        del ops[ops.index("u") : ops.index("u") + 2]
    return ops


def test_the_front_of_a_stream_goes_as_one_range_and_what_is_behind_a_gap_entry_by_entry() -> None:
    mark, flights = led(6)
    ids = [f.entry.entry_id for f in flights]
    assert removed([flights[1], flights[0], flights[4]]) == [
        *("t", STREAM, mark.first, ids[1]),
        *("d", STREAM, 1, ids[4]),
    ]
    assert removed([flights[3]]) == ["d", STREAM, 1, ids[3]]
    assert removed([flights[2]]) == ["t", STREAM, mark.first, ids[4]], "up to what was settled before"
    assert removed([flights[5]]) == ["d", STREAM, 1, ids[5]], "one alone is no range"


def test_a_mark_behind_one_that_is_still_on_the_wire_is_no_front() -> None:
    first, ones = led(2)
    second, twos = led(2, first)
    third, threes = led(2, second)
    ids = [f.entry.entry_id for f in twos]
    assert removed(twos) == ["d", STREAM, 2, *ids]
    assert removed([*ones, *threes]) == [
        *("t", STREAM, first.first, first.last),
        *("t", STREAM, third.first, third.last),
    ]
    assert third.leads
    assert third.before is None


def test_nothing_at_all_is_no_operation() -> None:
    assert operations([]) == []


class Wire:
    """A link whose replies the test gives."""

    prefix, run_id = "{0}:", b"run"

    def __init__(self) -> None:
        self.calls: list[Sequence[Any]] = []
        self.replies: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False

    async def script(self, name: str, keys: Sequence[Any], args: Sequence[Any]) -> bytes:
        assert name == "settle"
        self.calls.append(args)
        reply = await self.replies.get()
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, bytes)
        return reply

    async def up(self) -> None:
        return

    async def close(self) -> None:
        self.closed = True

    def facts(self, call: int) -> list[AnyFact]:
        blob = self.calls[call][5]
        return unpack_facts(blob) if blob else []


class Heard:
    def __init__(self) -> None:
        self.fenced = 0
        self.again: list[str] = []
        self.settled = 0


@asynccontextmanager
async def committing() -> AsyncIterator[tuple[Committer, Wire, Heard]]:
    wire, heard = Wire(), Heard()

    def fenced() -> None:
        heard.fenced += 1

    def settled() -> None:
        heard.settled += 1

    committer = Committer(wire, "north", fenced, heard.again.append, settled)  # type: ignore[arg-type]
    committer.token = 7
    try:
        yield committer, wire, heard
    finally:
        await committer.close(0)


async def turns(count: int = 20) -> None:
    """Let everything that can run, run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_while_one_settle_is_under_way_the_rest_gathers_behind_it() -> None:
    async with committing() as (committer, wire, heard):
        _, flights = marked(900)
        committer.put(flights[0], Verdict([]))
        await turns()
        for f in flights[1:]:
            committer.put(f, Verdict([]))
        await turns()
        assert (len(wire.calls), committer.waiting) == (1, 900)
        wire.replies.put_nowait(b"ok")
        await turns()
        assert (len(wire.calls), committer.waiting, heard.settled) == (2, 899, 1)
        assert wire.calls[1][6:9] == ("d", STREAM, 500)
        assert [call[4] for call in wire.calls] == [1, 2], "numbered"
        for _ in range(2):
            wire.replies.put_nowait(b"ok")
        await turns()
        assert committer.waiting == 0


async def test_a_lost_reply_is_made_up_for_by_the_same_numbered_settle() -> None:
    async with committing() as (committer, wire, _):
        _, (flight,) = marked(1)
        committer.put(flight, Verdict([Held(message_id(), 1, "no_answer")]))
        wire.replies.put_nowait(RedisAwayError("lost"))
        wire.replies.put_nowait(b"again")
        await turns()
        assert len(wire.calls) == 2
        assert wire.calls[0] == wire.calls[1]
        assert committer.waiting == 0


async def test_a_report_is_durable_only_after_all_that_was_put_before_it() -> None:
    async with committing() as (committer, wire, _):
        _, flights = marked(501)
        for f in flights:
            committer.put(f, Verdict([Ended(f.entry.message_id, "failed", "no_route")]))
        receipt = Held(message_id(), 9, "receipt")
        reporting = asyncio.create_task(committer.report([receipt]))
        await turns()
        wire.replies.put_nowait(b"ok")
        await turns()
        assert not reporting.done()
        assert receipt not in wire.facts(0)
        wire.replies.put_nowait(b"ok")
        await reporting
        assert wire.facts(1)[-1] == receipt


async def test_a_report_never_waits_for_what_was_put_after_it() -> None:
    async with committing() as (committer, wire, _):
        reporting = asyncio.create_task(committer.report([Held(message_id(), 1, "receipt")]))
        await turns(1)
        _, flights = marked(5000)
        for f in flights:
            committer.put(f, Verdict([]))
        await turns()
        wire.replies.put_nowait(b"ok")
        await turns()
        assert reporting.done()
        assert committer.waiting > 4000


async def test_an_old_token_is_told_and_again_lanes_are_woken() -> None:
    async with committing() as (committer, wire, heard):
        _, flights = marked(2)
        committer.put(flights[0], Verdict([], "a", "otp:shop", b"j"))
        committer.put(flights[1], Verdict([], "a", "otp:shop", b"j"))
        wire.replies.put_nowait(b"late")
        await turns()
        assert (heard.fenced, heard.again) == (1, ["otp:shop"])


async def test_an_error_of_redis_ends_it_and_everybody_who_waits_hears_of_it() -> None:
    async with committing() as (committer, wire, _):
        reporting = asyncio.create_task(committer.report([Held(message_id(), 1, "receipt")]))
        later = asyncio.create_task(committer.report([]))
        wire.replies.put_nowait(ScriptError("WRONGTYPE"))
        for task in (reporting, later):
            with pytest.raises(RedisAwayError, match="stopped"):
                await task
        with pytest.raises(RedisAwayError, match="stopped"):
            await committer.report([])
        with pytest.raises(ScriptError):
            committer.task.result()


async def test_closing_writes_what_is_gathered_first() -> None:
    async with committing() as (committer, wire, _):
        _, flights = marked(3)
        for f in flights:
            committer.put(f, Verdict([]))
        wire.replies.put_nowait(b"ok")
        await committer.close(5)
        assert (committer.waiting, wire.closed) == (0, True)


async def test_closing_is_bounded_when_redis_does_not_answer() -> None:
    async with committing() as (committer, wire, _):
        reporting = asyncio.create_task(committer.report([Held(message_id(), 1, "receipt")]))
        await turns()
        await committer.close(0.05)
        assert wire.closed
        with pytest.raises(RedisAwayError):
            await reporting


async def test_a_caller_that_went_away_harms_nobody() -> None:
    async with committing() as (committer, wire, _):
        gone = asyncio.create_task(committer.report([Held(message_id(), 1, "receipt")]))
        await turns()
        gone.cancel()
        await turns()
        wire.replies.put_nowait(b"ok")
        wire.replies.put_nowait(b"ok")
        await committer.report([])
