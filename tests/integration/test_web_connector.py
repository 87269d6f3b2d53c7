"""Web carriers under a real router and connector: what is accepted reaches the carrier once, and its answers count."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest

from gateway.connector.connector import Connector, Work
from gateway.events import Ended, Held, Submitted
from gateway.provider import Kind, Reason
from tests.contract.carrier import Answer, Watch
from tests.contract.web_carrier import FormCarrier, JsonBatchCarrier, JsonCarrier
from tests.core_path import SHARES, Path, running


@contextlib.asynccontextmanager
async def connected(
    url: str, kind: type[JsonCarrier], answer_timeout_s: float = 20
) -> AsyncIterator[tuple[Path, JsonCarrier]]:
    """A path whose only carrier is a web carrier on a real socket."""
    carrier = kind(Watch())
    await carrier.start()
    async with running(url) as path:
        path.start_router()
        work = Work("north", 0.0, SHARES, partial(carrier.open, answer_timeout_s=answer_timeout_s))
        connector = Connector(work, path.redis, "web", path.settings.lease_s, path.settings.memory_mark)
        task = asyncio.create_task(connector.run(), name="web connector")
        try:
            yield path, carrier
        finally:
            task.cancel()
            await asyncio.wait((task,), timeout=15)
            await carrier.leave()


@pytest.mark.parametrize("kind", [JsonCarrier, JsonBatchCarrier, FormCarrier])
async def test_every_message_reaches_the_carrier_once(valkey_url: str, kind: type[JsonCarrier]) -> None:
    async with connected(valkey_url, kind) as (path, carrier):
        ids = await path.accept(300)
        await path.drained()
        assert len(carrier.arrived) == 300 and carrier.most <= carrier.capacity
        facts = [fact for fact in await path.facts() if isinstance(fact, Submitted)]
        assert Counter(fact.id for fact in facts) == Counter(ids)
        assert {fact.carrier_message_id for fact in facts} == {a.message_id for a in carrier.arrived}
        assert {(fact.bind, fact.part, fact.kind) for fact in facts} == {("http", 0, Kind.ACCEPTED)}


async def test_what_the_carrier_refuses_is_rejected_with_its_reason(valkey_url: str) -> None:
    async with connected(valkey_url, JsonCarrier) as (path, carrier):
        carrier.script = lambda arrived: Answer.REFUSE
        ids = await path.accept(5)
        await path.drained()
        ended = [fact for fact in await path.facts() if isinstance(fact, Ended)]
        assert {(fact.id, fact.state, fact.reason) for fact in ended} == {
            (i, "rejected", Reason.INVALID_RECIPIENT) for i in ids
        }


async def test_what_the_carrier_never_answers_is_held_and_not_sent_again(valkey_url: str) -> None:
    async with connected(valkey_url, JsonCarrier, 0.3) as (path, carrier):
        carrier.script = lambda arrived: Answer.SILENCE
        ids = await path.accept(5)
        await path.drained()
        assert {fact.id for fact in await path.facts() if isinstance(fact, Held)} == set(ids)
        assert len(carrier.arrived) == 5
