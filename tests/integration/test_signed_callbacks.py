"""Golden callbacks of carriers by name, as real HTTP requests to a real API server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from yarl import URL

from gateway.events import Came, Received, unpack_facts
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Plan
from gateway.streams import facts
from tests import carrier_exchanges as golden
from tests.api_server import Api, running

PLAN = Plan(
    carriers=tuple(
        Carrier(name=name, provider=name, settings=golden.load(name)["settings"]) for name in golden.NAMES
    )
)  # fmt: skip


async def said(api: Api, given: dict[str, Any]) -> int:
    body = given.get("body", "")
    raw = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    url = URL(api.server.url + given["target"], encoded=True)
    async with api.http.request(given["method"], url, data=raw.encode(), headers=given.get("headers", {})) as answer:
        return answer.status


async def kept(api: Api) -> tuple[int, int]:
    """How many receipts and subscribers' messages are in Redis."""
    entries = await facts.read(api.redis.link(0), 0, b"0-0", 1000)
    found = [fact for entry in entries if entry.facts for fact in unpack_facts(entry.facts)]
    return sum(isinstance(f, Received) for f in found), sum(isinstance(f, Came) for f in found)


async def test_what_is_proven_is_kept_as_often_as_it_comes_and_nothing_else_is(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [one for name in golden.NAMES for one in golden.load(name)["callbacks"]]
    async with running(valkey_url, postgres_url, callbacks_url=golden.PUBLIC) as api:
        api.plan.compiled = Compiled(PLAN, 1)
        for one in [*given, *reversed(given)]:
            now_s = float(one.get("at", golden.NOW_S))
            monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
            assert await said(api, one) == one["means"].get("refused", 200), one["what"]
        receipts = sum(len(one["means"].get("receipts", ())) for one in given)
        inbound = sum(len(one["means"].get("inbound", ())) for one in given)
        assert await kept(api) == (2 * receipts, 2 * inbound)
