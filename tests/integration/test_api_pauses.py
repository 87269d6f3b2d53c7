"""Pauses over HTTP: orders, what they say, and their trace in the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api_server import Api, running
from tests.integration.test_api_budgets import plan


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def test_pauses_are_ordered_listed_and_ended_and_the_audit_knows_who_did(api: Api) -> None:
    for body in ({"class": "marketing", "note": "wrong text"}, {"tag": "весна/лето"}, {"client": "shop"}):
        r = await api.post("/v1/pauses", body, key="ops")
        assert r.status == 200, r.json
    r = await api.get("/v1/pauses", key="ops")
    assert [(p["kind"], p["name"], p["note"]) for p in r.json["pauses"]] == [
        ("class", "marketing", "wrong text"),
        ("tag", "весна/лето", ""),
        ("client", "shop", ""),
    ]
    assert all(p["since"] and p["by"].startswith("ops/key_") for p in r.json["pauses"])
    r = await api.ask("DELETE", "/v1/pauses", key="ops", params={"tag": "весна/лето"})
    assert [p["name"] for p in r.json["pauses"]] == ["marketing", "shop"]
    rows = await api.pool.fetch("select what, subject from audit where what like '%paused' or what like '%resumed'")
    assert {tuple(row) for row in rows} == {
        ("class.paused", "marketing"),
        ("tag.paused", "весна/лето"),
        ("client.paused", "shop"),
        ("tag.resumed", "весна/лето"),
    }


async def test_a_carrier_is_paused_the_same_way(api: Api) -> None:
    api.plan.compiled = plan()
    r = await api.post("/v1/pauses", {"carrier": "north"}, key="ops")
    assert [(p["kind"], p["name"]) for p in r.json["pauses"]] == [("carrier", "north")]
    assert (await api.get("/v1/carriers", key="ops")).json["carriers"][0]["mode"] == "paused"
    r = await api.ask("DELETE", "/v1/pauses", key="ops", params={"carrier": "north"})
    assert r.json["pauses"] == []
    r = await api.post("/v1/pauses", {"carrier": "nort"}, key="ops")
    assert (r.status, r.code) == (404, "unknown_carrier")


@pytest.mark.parametrize("body", [{}, {"class": "otp", "tag": "x"}, {"tag": ""}, {"class": "sms"}, {"tag": "a\0b"}])
async def test_an_order_that_names_nothing_or_two_things_is_refused(api: Api, body: dict[str, str]) -> None:
    r = await api.post("/v1/pauses", body, key="ops")
    assert r.status == 422


async def test_only_operators_may_pause(api: Api) -> None:
    assert (await api.post("/v1/pauses", {"class": "otp"})).code == "scope_missing"
    assert (await api.ask("DELETE", "/v1/pauses", params={"class": "otp"})).code == "scope_missing"
    r = await api.ask("DELETE", "/v1/pauses", key="ops", params={"klass": "otp"})
    assert (r.status, r.code) == (422, "query_invalid")
