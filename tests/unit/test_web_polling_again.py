"""What a process was going to ask a web carrier about, its successor asks: nothing forgotten, and no storm."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.provider import Poll, Sent
from providers._web import polling
from tests.unit.test_web_polling import Desk, sent


class Book:
    """What outlives a process."""

    def __init__(self) -> None:
        self.kept: dict[str, Poll] = {}
        self.away = False
        self.reads = self.writes = 0

    async def read(self) -> list[Poll]:
        self.reads += 1
        if self.away:
            raise ConnectionError
        return list(self.kept.values())

    async def write(self, polls: Sequence[Poll], over: Sequence[str]) -> None:
        self.writes += 1
        if self.away:
            raise ConnectionError
        self.kept |= {poll.sent.carrier_message_id: poll for poll in polls}
        for name in over:
            self.kept.pop(name, None)

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(30):
            while set(self.kept) != set(names):
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def process(book: Book, **ask: object) -> AsyncIterator[Desk]:
    """A process that has the carrier, until it is killed."""
    desk = Desk(**ask)
    desk.poller._book = book
    task = asyncio.create_task(desk.poller.run(), name="poller")
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_the_next_process_asks_at_the_same_times() -> None:
    book = Book()
    async with process(book, after_s=[3600, 7200]) as first:
        first.poller.watch(sent("m1", "m2"))
        await book.until("m1", "m2")
        assert not first.asked
    left_s = (book.kept["m1"].due_ms - first.poller._clock_ms()) / 1000
    assert 3590 < left_s <= 3600 and book.kept["m1"].before == 0
    async with process(book, after_s=[3600, 7200]) as second:
        await until(lambda: len(second.poller._watched) == 2)
        assert not second.asked  # it is not time yet
        due = min(second.poller._watched)[0] - asyncio.get_running_loop().time()
        assert 3580 < due <= 3600


async def test_what_is_overdue_is_asked_in_batches_one_request_at_a_time_oldest_first() -> None:
    book, now_ms = Book(), Desk().poller._clock_ms()
    for n in range(9, -1, -1):
        book.kept[f"m{n}"] = Poll(now_ms - 10_000 + n, 1, Sent(f"m{n}", "Acme", "+79160000001"))
    async with process(book, after_s=[10, 20, 30]) as desk:
        desk.states = {f"m{n}": "DELIVRD" for n in range(10)}
        await desk.until(lambda: len(desk.kept) == 10)
        assert desk.asked == [["m0", "m1", "m2"], ["m3", "m4", "m5"], ["m6", "m7", "m8"], ["m9"]]
        await book.until()


async def test_what_has_no_state_yet_goes_on_where_it_was_in_the_times() -> None:
    book = Book()
    book.kept["m1"] = Poll(0, 1, *sent("m1"))
    async with process(book, after_s=[10, 20, 3600]) as desk:
        await desk.until(lambda: desk.asked)
        await until(lambda: book.kept["m1"].before == 2)
        assert book.kept["m1"].due_ms - desk.poller._clock_ms() > 3_500_000
    async with process(book, after_s=[10]) as desk:  # the settings have fewer times now: the last question
        book.kept["m1"] = Poll(0, 1, *sent("m1"))
    async with process(book, after_s=[]) as desk:
        await desk.until(lambda: desk.asked)
        await book.until()


async def test_while_the_book_cannot_be_reached_questions_go_on_and_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(polling, "_AGAIN_S", 0.001)
    book = Book()
    book.kept["m1"], book.away = Poll(0, 0, *sent("m1")), True
    async with process(book, after_s=[0.001, 3600]) as desk:
        desk.states = {"m2": "DELIVRD"}
        assert await desk.poller.ask(*sent("m2")) is not None
        desk.poller.watch(sent("m3"))
        await until(lambda: book.reads > 2)
        book.away = False
        await desk.until(lambda: ["m1"] in desk.asked or ["m3", "m1"] in desk.asked or ["m1", "m3"] in desk.asked)
        await book.until("m1", "m3")
        book.away, writes = True, book.writes
        desk.poller.watch(sent("m4"))
        await until(lambda: book.writes > writes + 1)
        book.away = False
        await book.until("m1", "m3", "m4")
    assert "polls not kept" in caplog.text


async def until(condition: object) -> None:
    async with asyncio.timeout(30):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.001)
