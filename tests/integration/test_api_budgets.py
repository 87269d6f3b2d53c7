"""Money budgets at the door: what is refused when, what it says, and what is booked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.plan.choice import Compiled
from gateway.plan.document import Budget, Carrier, Defaults, Operator, Plan, Rate, Route
from gateway.plan.periods import bounds
from tests.api_server import Answered, Api, running
from tests.core_redis import until


def plan(*budgets: Budget) -> Compiled:
    """A part costs two roubles; one euro is worth a hundred."""
    return Compiled(
        Plan(
            defaults=Defaults(currency="RUB"),
            currencies={"EUR": "100"},
            carriers=(Carrier(name="north", provider="smpp"),),
            operators=(Operator(name="any", prefixes=("",)),),
            rates=(Rate(carrier="north", price="2"),),
            routes=(Route(name="all", carriers=("north",)),),
            budgets=budgets,
        ),
        1,
    )


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def send(api: Api, n: int, **fields: object) -> Answered:
    return await api.post("/v1/messages", {"to": f"+7916{n:07d}", "text": "Hello", **fields})


async def test_a_client_whose_day_is_spent_is_told_when_the_next_one_begins(api: Api) -> None:
    api.plan.compiled = plan(Budget(amount="10", per="day", client="acme"))
    for n in range(5):
        assert (await send(api, n)).status == 202
    await until(lambda: _refused(api), "the last slice")
    r = await send(api, 99)
    assert (r.status, r.code) == (429, "budget_exceeded")
    _, midnight = bounds(api.redis.clock_ms(), "day", "Europe/Moscow")
    assert 0 <= int(r.headers["Retry-After"]) - (midnight - api.redis.clock_ms()) / 1000 <= 2
    assert "10 RUB a day" in r.json["detail"] and "the next day begins at" in r.json["detail"]
    assert (await api.post("/v1/messages", {"to": "+79160000001", "text": "x"}, key="other")).status == 202


async def _refused(api: Api) -> bool:
    return (await send(api, 50)).status == 429


async def test_in_a_batch_each_message_without_money_is_refused_by_itself(api: Api) -> None:
    api.plan.compiled = plan(Budget(amount="1", currency="EUR", per="month", tag="*"))
    messages = [{"to": f"+7916{n:07d}", "text": "Hello", "tag": "spring" if n % 2 else ""} for n in range(200)]
    r = await api.post("/v1/messages/batch", {"messages": messages})
    assert r.status == 202
    refused = [n for n, result in enumerate(r.json["results"]) if result.get("code") == "budget_exceeded"]
    assert 45 <= len(refused) <= 50, "one euro is fifty messages, and a hundredth may be owed"
    assert all(n % 2 for n in refused), "what has no tag has no budget"
    first = r.json["results"][refused[0]]
    assert first["pointer"] == f"/messages/{refused[0]}" and first["retry_after_s"] > 0
    assert "tag spring, 1 EUR a month" in first["detail"]


async def test_a_preview_and_a_test_key_cost_nothing(api: Api) -> None:
    api.plan.compiled = plan(Budget(amount="2", per="day", client="*"))
    for n in range(5):
        assert (await api.post("/v1/messages/preview", {"to": f"+7916{n:07d}", "text": "Hello"})).status == 200
    assert (await send(api, 1)).status == 202
    await until(lambda: _refused(api), "the budget")
