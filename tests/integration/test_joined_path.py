"""Long texts through a real connector to a carrier that takes them whole and has an id for each part (Vonage)."""

from __future__ import annotations

from collections import defaultdict

import pytest

from gateway.connector.connector import Connector, Work
from gateway.events import Submitted
from gateway.provider import Kind
from tests.contract.carrier import Answer, Arrived, Watch
from tests.contract.world_carriers import VonageCarrier
from tests.core_path import SHARES, running

TEXT = "Привет, мир! " * 14  # three parts
COUNT = 6


@pytest.mark.parametrize("rate", [0.0, 25.0], ids=["at once", "a few parts at a time"])
async def test_every_part_is_accounted_for_and_the_text_goes_once(valkey_url: str, rate: float) -> None:
    carrier = VonageCarrier(Watch())

    def moody(arrived: Arrived) -> Answer:
        """The first text is throttled once."""
        return Answer.THROTTLE if len(carrier.arrived) == 1 else Answer.ACCEPT

    carrier.script = moody
    await carrier.start()
    async with running(valkey_url) as path:
        path.start_router()
        work = Work("north", rate, SHARES, lambda r: carrier.open(r, gather_s=60), False, path._barred)
        sieve = path._sieve("north", path.redis)
        connector = Connector(
            work, path.redis, "connector north", path.settings.lease_s, path.settings.memory_mark, None, sieve
        )
        path._start("connector north", connector.run())
        ids = await path.accept(COUNT, text=TEXT, encoding="ucs2", parts=3)
        await path.drained()
        taken: dict[bytes, dict[int, str]] = defaultdict(dict)
        for fact in await path.facts():
            if isinstance(fact, Submitted) and fact.kind == Kind.ACCEPTED:
                assert fact.parts == 3 and fact.part not in taken[fact.id] and fact.sent_ms
                taken[fact.id][fact.part] = fact.carrier_message_id
    await carrier.leave()
    assert {message_id: sorted(parts) for message_id, parts in taken.items()} == {one: [1, 2, 3] for one in ids}
    assert len({name for parts in taken.values() for name in parts.values()}) == 3 * COUNT
    assert [arrived.text for arrived in carrier.arrived] == [TEXT] * (COUNT + 1)
