"""Everything with one number, and a ref, however long ago: from today's partition to one of three months before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.message import id_tail, id_text, make_id
from gateway.store import history, search
from gateway.store.days import DAY_MS, Days, day_of
from gateway.store.inbound import InboundRow
from gateway.store.messages import Found
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.recipients import recipient_hash
from tests.api_server import Api, running
from tests.ledger_bench import Bench, message, open_bench

NUMBER = "+79160000001"
AGES = (0, 0, 1, 2, 3, 9, 40, 41, 90)
"""Days; of each there is a message to the number and an answer."""


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def wrote(bench: Bench, at_ms: int, client: str, text: str, role: str = "message") -> bytes:
    """A subscriber's message as the matcher leaves it."""
    await Days(bench.pool).ensure([day_of(at_ms)])
    one = make_id(at_ms, id_tail(0))
    await bench.pool.execute(
        "insert into inbound (id, at, sender_hash, carrier, bind, sender, recipient, text, raw, settled_at, role,"
        " client)"
        " values ($1, $2, $3, 'alpha', 'alpha-1', $4, '1234', $5, '', $2, $6, $7)",
        one, at_ms, recipient_hash(await bench.pool.recipient_key(), NUMBER), NUMBER[1:], text, role, client,
    )  # fmt: skip
    return one


async def years(bench: Bench) -> list[bytes]:
    """Ids of all that the number's history has for the client `acme`, the newest first."""
    now, found = bench.redis.clock_ms(), []
    for n, age in enumerate(AGES):
        at_ms = now - age * DAY_MS - n * 1_000
        one = bench.message_id(at_ms)
        await bench.accept(
            (one, message(1, client="acme", ref=f"order-{n}")),
            (bench.message_id(at_ms), message(2, client="acme")),
            (bench.message_id(at_ms), message(1, client="bank", ref=f"order-{n}")),
        )
        found += [one, await wrote(bench, at_ms - 500, "acme", f"answer {n}")]
        await wrote(bench, at_ms - 600, "bank", "to another client")
        await wrote(bench, at_ms - 700, "acme", "a repeat", role="repeat")
    await bench.until_recorded()
    return found


async def test_a_history_is_whole_and_in_order_and_goes_page_by_page(bench: Bench) -> None:
    expected = await years(bench)
    for limit in (1, 3, 7, 50):
        seen: list[Any] = []
        while page := await history.of_number(
            bench.pool, "acme", NUMBER, cursor=seen[-1].id if seen else None, limit=limit
        ):
            assert len(page) <= limit
            seen += page
        assert [row.id for row in seen] == expected, f"by pages of {limit}"
    assert [type(row) for row in seen[:4]] == [Found, InboundRow, Found, InboundRow]
    since = bench.redis.clock_ms() - 10 * DAY_MS
    recent = await history.of_number(bench.pool, "acme", NUMBER, since_ms=since)
    assert [row.id for row in recent] == expected[: 2 * AGES.index(40)]
    assert not await history.of_number(bench.pool, "acme", "+79169999999")


async def test_a_ref_and_a_number_are_found_on_any_day(bench: Bench) -> None:
    expected = (await years(bench))[::2]
    for n, one in enumerate(expected):
        assert [found.id for found in await search.find(bench.pool, "acme", ref=f"order-{n}")] == [one]
    assert [found.id for found in await search.find(bench.pool, "acme", to=NUMBER)] == expected
    assert [found.id for found in await search.find(bench.pool, "acme", to=NUMBER, cursor=expected[5])] == expected[6:]
    assert [found.id for found in await search.find(bench.pool, "acme", to=NUMBER, state="delivered")] == []
    everything, seen = await search.find(bench.pool, "acme", limit=100), []
    while page := await search.find(bench.pool, "acme", cursor=seen[-1] if seen else None, limit=4):
        seen += [found.id for found in page]
    assert len(seen) == 2 * len(AGES) and seen == [found.id for found in everything]


async def test_a_history_says_when_postgresql_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def key(_: Pool) -> bytes:
        return b"key"

    monkeypatch.setattr(Pool, "recipient_key", key)
    pool = await Pool.open("postgresql://127.0.0.1:1/sluice")
    with pytest.raises(StoreAwayError):
        await history.of_number(pool, "acme", NUMBER)
    await pool.close()


async def test_the_history_of_a_number_by_the_api_and_by_the_command(api: Api, bench: Bench) -> None:
    expected = [id_text(one) for one in await years(bench)]
    seen, path = [], f"/v1/numbers/{NUMBER}/history?limit=4"
    while path:
        r = await api.get(path)
        assert r.status == 200 and r.json["number"] == NUMBER
        seen += r.json["entries"]
        path = r.json["next"]
    assert [(e["message"] or e["inbound"])["id"] for e in seen] == expected
    assert [e["direction"] for e in seen[:2]] == ["outbound", "inbound"] and seen[1]["inbound"]["text"] == "answer 0"
    refused = await api.get("/v1/numbers/12/history")
    assert (refused.status, refused.json["parameter"]) == (422, "number")
    environment = {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["acme"], "COLUMNS": "200"}

    async def trace(*more: str) -> str:
        r = await asyncio.to_thread(CliRunner().invoke, main, ["trace", "8 916 000-00-01", *more], env=environment)
        assert r.exit_code == 0, r.output
        return r.output

    shown = await trace("--limit", "3")
    (answer,) = [line for line in shown.splitlines() if "answer 0" in line]
    assert expected[1] in answer and "received" in answer
    assert "There is more: --cursor " in shown and "The newest that was sent" in shown
    cursor = shown.partition("--cursor ")[2].split()[0]
    assert expected[3] in await trace("--limit", "3", "--cursor", cursor)
