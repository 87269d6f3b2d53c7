"""`sluice explain` and its endpoint: why a message goes where it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.plan.choice import Compiled
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.store import plans
from tests.api_server import Api, running

PLAN = """
[defaults]
currency = "RUB"
[[carrier]]
name = "north"
provider = "smpp"
settings = { host = "h", port = 2775, system_id = "s", password = { env = "P" } }
[[carrier]]
name = "south"
provider = "smpp"
classes = ["marketing"]
settings = { host = "h", port = 2776, system_id = "s", password = { env = "P" } }
[[operator]]
name = "mts"
prefixes = ["7916"]
country = "RU"
[[operator]]
name = "rest"
prefixes = ["7"]
[[rate]]
carrier = "north"
price = "2.15"
[[rate]]
carrier = "south"
price = "1.1"
[[route]]
name = "codes"
classes = ["otp"]
carriers = ["north", "south"]
[[route]]
name = "all"
carriers = ["north", "south"]
strategy = "cheapest"
transliterate = true
"""


def compiled(version: int, text: str = PLAN) -> Compiled:
    plan = parse(text)
    assert isinstance(plan, Plan), plan
    return Compiled(plan, version)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        version = await plans.draft(api.pool, PLAN, who="test")
        api.plan.compiled = compiled(version)
        yield api


async def explained(api: Api, **asked: Any) -> Any:
    r = await api.post("/v1/plans/explain", {"to": "+79161234567", **asked}, key="ops")
    assert r.status == 200, r.json
    return r.json


async def run(api: Api, *arguments: str, exit_code: int = 0) -> Result:
    env = {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["explain", *arguments], env=env)
    assert result.exit_code == exit_code, result.output
    return result


async def test_every_route_and_candidate_is_told_with_its_reason(api: Api) -> None:
    found = await explained(api, **{"class": "marketing", "text": "Привет", "from": "BANK"})
    assert (found["number"]["operator"], found["number"]["country"], found["number"]["source"]) == ("mts", "RU", "plan")
    assert [(r["name"], r["matched"], r["why_not"]) for r in found["routes"]] == [
        ("codes", False, "The class is `marketing`, not `otp`."),
        ("all", True, ""),
    ]
    assert (found["route"], found["strategy"], found["encoding"], found["parts"]) == ("all", "cheapest", "ucs2", 1)
    assert [(c["carrier"], c["verdict"], c["price"]["amount"]) for c in found["candidates"]] == [
        ("south", "taken", "1.10"),
        ("north", "left", "2.15"),
    ]
    assert found["choice"] == {
        "carrier": "south",
        "price": {"amount": "1.10", "currency": "RUB"},
        "cost": {"amount": "1.10", "currency": "RUB"},
        "sender": "BANK",
        "treatment": "transliteration",
        "parts": 1,
    }
    assert (found["reason"], found["held_back"], found["words"]) == (None, None, "Route `all` gives it to `south`.")
    assert found["version"] == api.plan.compiled.version if api.plan.compiled else False


async def test_another_plan_another_time_and_another_client_can_be_asked_about(api: Api) -> None:
    night = PLAN.replace('classes = ["otp"]\n', 'hours = "22:00-06:00"\nclients = ["shop"]\n')
    asked = {"document": night, "client": "shop", "at": "2030-01-31T23:00:00+03:00"}
    assert (await explained(api, **asked))["route"] == "codes"
    assert (await explained(api, **asked | {"at": "2030-01-31T12:00:00+03:00"}))["route"] == "all"
    found = await explained(api, **asked | {"client": "bank"})
    assert found["routes"][0]["why_not"] == "The client is `bank`, not `shop`."
    assert found["version"] is None
    kept = await plans.draft(api.pool, night, who="test")
    assert (await explained(api, version=kept, client="shop", at="2030-01-31T23:00:00+03:00"))["version"] == kept


async def test_what_no_carrier_takes_is_explained_too(api: Api) -> None:
    found = await explained(api, to="+4915112345678")
    assert (found["number"], found["choice"], found["reason"]) == (None, None, "no_route")
    assert found["words"] == "It fails: no route of the plan takes this message."


async def test_what_cannot_be_asked_is_refused_with_what_would_be_right(api: Api) -> None:
    for asked, code in (
        ({"to": "1"}, "number_invalid"),
        ({"class": "promo"}, "invalid_class"),
        ({"from": "a" * 20}, "sender_too_long"),
        ({"at": "2030-01-31T23:00:00"}, "invalid_value"),
        ({"document": "[[route]]"}, "plan_invalid"),
        ({"version": 99}, "unknown_plan"),
        ({"nonsense": 1}, "unknown_field"),
    ):
        r = await api.post("/v1/plans/explain", {"to": "+79161234567"} | asked, key="ops")
        assert (r.status, r.code) == (404 if code == "unknown_plan" else 422, code), (asked, r.json)
    assert (await api.post("/v1/plans/explain", {"to": "+79161234567"})).code == "scope_missing"


async def test_the_command_tells_it_to_people_and_to_programs(api: Api, tmp_path: Path) -> None:
    shown = (await run(api, "+79161234567", "--class", "otp", "--from", "BANK", "--text", "Код 4711")).output
    assert "mts (RU" in shown and "A prefix of the plan's operator covers it." in shown
    assert "codes" in shown and "yes" in shown and "would, too" in shown
    assert "it does not take class otp" in shown
    assert "Route `codes` gives it to `north`." in shown and "1 part from BANK, 2.15 RUB." in shown
    found = json.loads((await run(api, "+79161234567", "--json")).stdout)
    assert found["choice"]["carrier"] == "north"
    other = tmp_path / "plan.toml"
    refuses = PLAN.replace('carriers = ["north", "south"]\nstrategy', "carriers = []\nstrategy")
    other.write_text(refuses.replace('["north", "south"]', '["north"]'))
    shown = (await run(api, "+79161234567", "--plan", str(other), exit_code=3)).output
    assert "by the plan of the file" in shown and "It fails" in shown
    assert "Nobody's number" in (await run(api, "+4915112345678", exit_code=3)).output
