"""A lookup service decides whose a number is, and never slows what need not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.numbering.directory import Directory
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Lookup, Operator, Plan, Route
from gateway.router.lookup import BREAK_AFTER
from gateway.streams import carriers
from tests.core_path import Path, running
from tests.core_redis import until


class Service:
    """Says 25099 of odd numbers and 25001 of even ones, when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: set[str] = set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.status = 200
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        self.asked.append(number)
        self.keys.add(request.headers.get("X-Key", ""))
        await self.may_answer.wait()
        return web.json_response({"net": {"code": "250-99" if int(number) % 2 else "250-01"}}, status=self.status)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    app = web.Application()
    app.router.add_get("/hlr/{number}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    made.may_answer.set()
    await runner.cleanup()


def plan(service: Service, **fields: Any) -> Compiled:
    """Numbers of blue go north, all others south; the tables say that all are others'."""
    operators = (
        Operator(name="blue", mcc_mnc="25099", country="RU"),
        Operator(name="rest", prefixes=("",)),
    )
    given = {"timeout_ms": 20_000, "headers": {"X-Key": {"env": "LOOKUP_KEY"}}} | fields
    made = Plan(
        carriers=(Carrier(name="north", provider="scripted"), Carrier(name="south", provider="scripted")),
        operators=operators,
        routes=(
            Route(name="blue", carriers=("north",), operators=("blue",)),
            Route(name="all", carriers=("south",)),
        ),
        lookup=Lookup(url=f"http://127.0.0.1:{service.port}/hlr/{{number}}", answer="/net/code", **given),
    )
    return Compiled(made, 1, Directory(operators))


@pytest.fixture
async def path(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    monkeypatch.setenv("LOOKUP_KEY", "s3cret")
    async with running(valkey_url) as path:
        yield path


async def begin(path: Path, compiled: Compiled) -> None:
    path.plan = compiled
    path.start_connector("north")
    path.start_connector("south")

    async def both_live() -> bool:
        return sum(bool(s["live"]) for s in (await carriers.statuses(path.redis)).values()) == 2

    await until(both_live, "both carriers")
    path.start_router()


async def test_the_answer_decides_and_is_remembered_by_every_router(path: Path, service: Service) -> None:
    await begin(path, plan(service))
    await path.accept(40)
    await until(lambda: len(path.submissions()) == 40, "sending")
    assert {int(s.to) % 2 for s in path.submissions("north")} == {1}
    assert {int(s.to) % 2 for s in path.submissions("south")} == {0}
    assert len(service.asked) == len(set(service.asked)) == 40 and service.keys == {"s3cret"}

    await path.stop("router")
    path._number = 0
    await path.accept(40)
    path.start_router("another router")
    await until(lambda: len(path.submissions()) == 80, "sending again")
    assert len(service.asked) == 40, "Redis knows"
    assert len(path.submissions("north")) == 40


async def test_a_service_that_does_not_answer_slows_only_who_waits_for_it(path: Path, service: Service) -> None:
    service.may_answer.clear()
    await begin(path, plan(service, classes=("marketing",)))
    await path.accept(20)
    await until(lambda: len(service.asked) == 20, "questions")
    await path.accept(10, klass="otp")
    await path.accept(10, klass="marketing", client="other")
    await until(lambda: len(path.submissions("south")) == 10, "otp goes on")
    assert path.submissions("north") == []
    service.may_answer.set()
    await until(lambda: len(path.submissions()) == 40, "the others")
    assert len(path.submissions("north")) == 15


async def test_who_waited_long_enough_goes_by_the_tables(path: Path, service: Service) -> None:
    service.may_answer.clear()
    await begin(path, plan(service, timeout_ms=200))
    await path.accept(4)
    await until(lambda: len(path.submissions("south")) == 4, "the tables decide")
    assert len(service.asked) == 4


async def test_what_the_budget_does_not_pay_for_is_not_asked(path: Path, service: Service) -> None:
    await begin(path, plan(service, price="0.50", currency="RUB", budget="2.10"))
    await path.accept(9)
    await path.accept(1, client="other")
    await until(lambda: len(path.submissions()) == 10, "sending")
    assert len(service.asked) == 4


async def test_a_service_that_fails_is_left_alone(path: Path, service: Service) -> None:
    service.status = 503
    await begin(path, plan(service))
    for number in range(4):
        await path.accept(100, client=f"client{number}")
    await until(lambda: len(path.submissions("south")) == 400, "the tables decide")
    assert BREAK_AFTER <= len(service.asked) < 200


async def test_only_numbers_that_it_is_for_are_asked_for(path: Path, service: Service) -> None:
    await begin(path, plan(service, countries=("KZ",)))
    await path.accept(5)
    await path.accept(1, to="+77011234567")
    await until(lambda: len(path.submissions()) == 6, "sending")
    assert service.asked == ["77011234567"]
