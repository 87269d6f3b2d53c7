"""Router and connector on a real Redis with carriers in memory: what is accepted is sent, once."""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.streams.cancel import cancel
from tests.core_path import running


async def test_what_is_accepted_is_sent_once_in_order_and_told(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=50)
        ids = await path.accept(2000)
        await path.drained()
        assert [s.message_id for s in path.submissions()] == ids
        assert path.carrier().most <= 50
        assert (await path.fates()) == {"accepted": Counter(ids)}


async def test_while_many_cancel_during_a_drain_each_message_is_cancelled_or_sent_and_never_both(
    valkey_url: str,
) -> None:
    async with running(valkey_url) as path:
        ids = [
            (i, klass, f"app{n % 7}")
            for n in range(28)
            for klass in ("marketing", "otp")
            for i in await path.accept(90, klass=klass, client=f"app{n % 7}")
        ]
        path.start_connector(window=20)
        path.start_router()
        verdicts: dict[bytes, str] = {}

        async def canceller(part: int) -> None:
            wanted = ids[part::40]
            for at in range(0, len(wanted), 3):
                verdicts.update(await cancel(path.redis, wanted[at : at + 3]))

        await asyncio.gather(*(canceller(n) for n in range(0, 40, 4)))
        await path.drained()
        cancelled = {i for i, verdict in verdicts.items() if verdict == "cancelled"}
        assert len(cancelled) > 100
        sent = path.sent()
        assert not set(sent) & cancelled
        assert set(sent) | cancelled == {i for i, _, _ in ids}
        assert set(sent.values()) == {1}
        fates = await path.fates()
        assert fates["cancelled"] == Counter(cancelled)
        assert fates["accepted"] == sent
