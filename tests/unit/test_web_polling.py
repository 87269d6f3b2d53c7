"""Questions to web carriers: what became of messages, in batches; what an account has left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.provider import Receipt, Reports, Sent
from providers import http_json, smsc_ru
from providers._web import polling
from providers._web.polling import Poller
from providers._web.spots import Answer

QUICK = {"every_s": 0.001}
TABLE: dict[str, Any] = {
    "url": "http://127.0.0.1:1/sms",
    "body": {"to": "{to}"},
    "ask": {
        "url": "http://127.0.0.1:1/status",
        "method": "POST",
        "body": {"ids": "{message_ids}", "to": "{recipients}"},
        "size": 3,
        "receipts": {"list": "/all", "message_id": "/id", "state": "/state"},
    },
}


class Desk:
    """The carrier's status page, and who keeps receipts."""

    def __init__(self, **ask: Any) -> None:
        self.states: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.kept: list[Receipt] = []
        self.broken = False
        self.status = 200
        self.changed = asyncio.Event()
        reports = Reports(print, self.keep, self.keep, print)
        made = http_json.open("acme", TABLE | {"ask": TABLE["ask"] | QUICK | ask}, reports)
        assert isinstance(made._poller, Poller)
        self.poller = made._poller
        self.poller._visit = self.visit

    async def keep(self, receipts: Sequence[Any]) -> None:
        self.changed.set()
        if self.broken:
            raise RuntimeError("the store is away")
        self.kept += receipts

    async def visit(self, request: bytes) -> Answer:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        self.asked.append(body["ids"])
        self.changed.set()
        found = [{"id": i, "state": self.states[i]} for i in body["ids"] if i in self.states]
        return Answer(self.status, {}, json.dumps({"all": found}).encode())

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[Desk]:
    task = asyncio.create_task(desk.poller.run(), name="poller")
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.wait((task,))


def sent(*ids: str) -> list[Sent]:
    return [Sent(i, "Acme", "+7916000000" + i[-1]) for i in ids]


async def test_questions_that_come_together_go_in_batches_and_each_has_its_answer() -> None:
    async with running(Desk()) as desk:
        desk.states = {"m1": "DELIVRD", "m2": "EXPIRED", "m4": "UNDELIV"}
        found = await asyncio.gather(*(desk.poller.ask(one) for one in sent("m1", "m2", "m3", "m4")))
        assert [r.state if r is not None else None for r in found] == ["delivered", "expired", None, "undeliverable"]
        assert desk.asked == [["m1", "m2", "m3"], ["m4"]]


async def test_a_message_is_asked_about_until_its_state_is_final() -> None:
    async with running(Desk(after_s=[0.001, 0.002, 0.003, 5000])) as desk:
        desk.states = {"m1": "ENROUTE", "m2": "DELIVRD"}
        desk.poller.watch(sent("m1", "m2"))
        await desk.until(lambda: len(desk.asked) >= 2)
        desk.states["m1"] = "UNDELIV"
        await desk.until(lambda: len(desk.kept) == 2)
        assert [r.carrier_message_id for r in desk.kept] == ["m2", "m1"]
        assert desk.asked[0] == ["m1", "m2"] and set(map(tuple, desk.asked[1:])) == {("m1",)}


async def test_without_times_only_overdue_messages_are_asked_about() -> None:
    async with running(Desk()) as desk:
        desk.states = {"m1": "DELIVRD", "m2": "DELIVRD"}
        desk.poller.watch(sent("m1"))
        await desk.poller.ask(*sent("m2"))
        assert desk.asked == [["m2"]]


async def test_what_could_not_be_kept_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Desk(after_s=[0.001, 0.002, 0.003])) as desk:
        desk.broken, desk.states = True, {"m1": "DELIVRD"}
        desk.poller.watch(sent("m1"))
        await desk.until(lambda: len(desk.asked) == 1 and "receipts not kept" in caplog.text)
        desk.broken = False
        await desk.until(lambda: desk.kept)
        assert len(desk.kept) == 1


@pytest.mark.parametrize("status", [200, 429, 500])
async def test_a_carrier_that_says_nothing_is_asked_ever_more_seldom(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_FIRST_PAUSE_S", 0.004)
    async with running(Desk()) as desk:
        desk.status = status
        pauses = []
        for n in range(4):
            assert await desk.poller.ask(*sent(f"m{n}")) is None
            pauses.append(desk.poller._pause_s)
        assert pauses == [0.004, 0.008, 0.016, 0.032]
        desk.status, desk.states = 200, {"m9": "DELIVRD"}
        assert await desk.poller.ask(*sent("m9")) is not None
        assert desk.poller._pause_s == 0


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST_WATCHED", 2)
    desk = Desk(after_s=[1000])
    for one in sent("m1", "m2", "m3"):
        desk.poller.watch([one])
    assert len(desk.poller._watched) == 2


async def test_who_waits_for_an_answer_has_none_once_it_ends() -> None:
    desk = Desk()
    waiting = asyncio.create_task(desk.poller.ask(*sent("m1")), name="asks")
    await asyncio.sleep(0)
    desk.poller.close()
    assert await waiting is None


async def test_an_errors_answer_is_no_state_and_a_zero_is_one() -> None:
    async def keep(_: object) -> None:
        raise AssertionError

    table = {"login": "a", "password": "b", "url": "http://127.0.0.1:1"}
    poller = smsc_ru.open("smsc", table, Reports(print, keep, keep, print))._poller
    assert isinstance(poller, Poller)
    said: list[bytes] = [b'{"error": "x", "error_code": 2}', b'{"status": 0, "err": 0}']

    async def visit(request: bytes) -> Answer:
        return Answer(200, {}, said.pop(0))

    poller._visit = visit
    assert await poller._question_of(sent("m1")) == {}
    assert (await poller._question_of(sent("m1")))["m1"].state == "enroute"
