"""A host whose clock is hours off does no harm: ids, deadlines, schedules and rows take their time from Redis."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from gateway.message import id_time_ms
from gateway.provider import Receipt
from gateway.store.pool import Pool
from tests.core_path import running
from tests.core_redis import client, until
from tests.ledger_bench import Bench, rollups_equal_rows

HOURS_S = 7200  # more than the validity of the messages here: by such a clock all would have expired, or none ever


def server_ms(url: str) -> int:
    with client(url) as c:
        seconds, micros = c.time()  # type: ignore[misc]
    return int(seconds) * 1000 + int(micros) // 1000


@pytest.mark.parametrize("off_s", [HOURS_S, -HOURS_S])
async def test_on_a_host_with_a_wrong_clock_messages_go_out_in_time_and_are_booked_when_they_were_accepted(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, off_s: int
) -> None:
    right, began_ms = time.time, server_ms(valkey_url)
    monkeypatch.setattr(time, "time", lambda: right() + off_s)
    pool = await Pool.open(postgres_url)
    async with running(valkey_url) as path:
        bench = Bench(path.redis, pool)
        bench.start()
        bench.start_matcher()
        path.start_router()
        path.start_connector()
        ids = await path.accept(20)
        due_ms = server_ms(valkey_url) + 1_500
        (later,) = await path.accept(1, due_ms=due_ms, send_at_ms=due_ms)
        await until(lambda: later in path.sent(), "the scheduled message")
        assert server_ms(valkey_url) >= due_ms
        await path.drained()
        assert path.sent() == Counter([*ids, later])
        assert all(began_ms <= id_time_ms(i) <= server_ms(valkey_url) for i in (*ids, later))
        names = [f"{i.hex()}-1-1" for i in (*ids, later)]
        await path.carrier().reports.on_receipts([Receipt(name, "delivered") for name in names])

        async def all_delivered() -> bool:
            return await bench.value("select count(*) from messages where state = 'delivered'") == len(names)

        await bench.until(all_delivered)
        final = await pool.fetch("select final_at from messages")
        assert all(began_ms <= row["final_at"] <= server_ms(valkey_url) for row in final)
        await rollups_equal_rows(bench)
        for task in bench.tasks:
            await bench.stop(task)
    await pool.close()
