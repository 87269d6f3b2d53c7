"""Figures over the API: days of any zone equal the rows, whoever asks; CSV, spreadsheets, Arrow."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.events import AnyFact, Ended, Received
from gateway.ledger.slices import DAY_MS
from gateway.provider import Receipt
from gateway.stats.definitions import DIMENSIONS, FIGURES
from gateway.stats.reading import Asked
from gateway.stats.slicing import slices
from gateway.store import slices as store
from gateway.store.days import day_of
from tests.api_server import Api, running
from tests.ledger_bench import Bench, message, open_bench, rollups_equal_rows, submitted

BEGIN_MS = int(datetime(2026, 3, 26, 0, 0, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    yield bench
    await bench.close()


async def fill(bench: Bench, count: int, seed: int = 1) -> None:
    """Five days of messages of all fates, in disorder."""
    rng = random.Random(seed)
    bench.start()
    told: list[AnyFact] = []
    for n in range(count):
        at = BEGIN_MS + rng.randrange(5 * DAY_MS)
        one = bench.message_id(at)
        of: dict[str, Any] = {"client": rng.choice(("acme", "other")), "klass": rng.choice(("otp", "marketing"))}
        of |= {"parts": n % 3 + 1}
        of |= {"tag": rng.choice(("", "spring")), "sender": rng.choice(("Sluice", "Shop")), "test": n % 17 == 0}
        await bench.accept((one, message(n, to=rng.choice(("+79160000001", "+4479111234", "+12125550100")), **of)))
        sent = at + rng.randrange(5, 90_000)
        name, carrier = f"c{n}", rng.choice(("alpha", "beta"))
        taken = submitted(one, name, carrier=carrier, part=0, parts=of["parts"], sent_ms=sent, answered_ms=sent + 9,
                          currency=rng.choice(("RUB", "EUR")), operator=rng.choice(("mts", "beeline")))  # fmt: skip
        state = rng.choice(("delivered", "delivered", "undeliverable", "expired", ""))
        fate: list[AnyFact] = [taken]
        if state:
            heard = Received(carrier, sent + rng.randrange(100, 4_000_000), Receipt(name, state))
            fate += [heard, heard] if n % 7 == 0 else [heard]
        elif n % 2:
            fate = [Ended(one, "failed", "no_route")]
        told += fate
    rng.shuffle(told)
    for n in range(0, len(told), 100):
        await bench.tell(*told[n : n + 100])
    await bench.until_recorded()


async def test_days_of_any_zone_are_what_the_rows_say(bench: Bench) -> None:
    await fill(bench, 1_200)
    await rollups_equal_rows(bench)
    columns = "id_time(id) as at, client, carrier, state, parts"
    rows = await bench.pool.fetch(f"select {columns} from messages where not test")
    for name in ("UTC", "Europe/Moscow", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "America/St_Johns"):
        zone = ZoneInfo(name)
        for by in (("client",), ("carrier",), ("client", "carrier", "state")):
            expected: Counter[tuple[object, ...]] = Counter()
            for row in rows:
                expected[(datetime.fromtimestamp(row["at"] / 1000, zone).date(), *(row[one] for one in by))] += row[
                    "parts"
                ]
            found = await slices(bench.pool, Asked(BEGIN_MS - DAY_MS, BEGIN_MS + 6 * DAY_MS, by, "day", zone))
            got = {
                (datetime.fromtimestamp(one.at_ms / 1000, zone).date(), *one.values): one.figures.parts for one in found
            }
            assert got == expected, (name, by)


async def test_a_day_is_counted_anew_from_its_rows(bench: Bench) -> None:
    await fill(bench, 200, seed=2)
    day = day_of(BEGIN_MS + DAY_MS)
    await bench.pool.execute("delete from stats_day_carriers")
    await bench.pool.execute("update stats_quarter_all set delivered = 77")
    for n in range(6):
        await store.recount(bench.pool, day - 1 + n)
    await rollups_equal_rows(bench)


async def test_figures_are_defined_alike_in_the_code_and_in_postgresql(bench: Bench) -> None:
    rows = await bench.pool.fetch(
        "select c.relname, a.attname, col_description(c.oid, a.attnum) as says from pg_class c join pg_attribute a on"
        " a.attrelid = c.oid join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'bi' and a.attnum > 0"
        " and c.relname in ('stats_days', 'stats_quarters')"
    )
    known = FIGURES | DIMENSIONS
    for row in rows:
        assert row["says"], row
        if row["attname"] in known:
            assert row["says"] == known[row["attname"]]
    assert {row["attname"] for row in rows} >= set(DIMENSIONS) - {"state"}


async def test_figures_over_the_api(valkey_url: str, postgres_url: str, bench: Bench) -> None:
    await fill(bench, 150, seed=3)
    async with running(valkey_url, postgres_url) as api:
        span = "from=2026-03-25T00:00:00Z&to=2026-04-02T00:00:00Z"
        r = await api.get(f"/v1/stats?{span}&tz=Europe/Moscow&group_by=carrier,country&step=day&filter=class=otp")
        assert r.status == 200, r.json
        group = r.json["groups"][0]
        assert group["at"].endswith("+03:00")
        assert set(group) >= {"carrier", "country", "delivery_rate", "costs", "delivery_latency", "parts_delivered"}
        assert (await count(api, span, "acme")) < (await count(api, span, "ops"))
        assert (await count(api, f"{span}&client=other", "acme")) == 0, "another client's are not shown"
        r = await api.ask("GET", f"/v1/stats/csv?{span}&group_by=carrier&excel=true", key="ops")
        assert r.body.startswith(b"\xef\xbb\xbfcarrier;messages;")
        rows = list(csv.DictReader(io.StringIO(r.body.decode("utf-8-sig")), delimiter=";"))
        assert "," in rows[-1]["delivery_rate"]
        pa = pytest.importorskip("pyarrow")
        r = await api.ask("GET", f"/v1/stats/arrow?{span}&group_by=carrier", key="ops")
        table = pa.ipc.open_stream(r.body).read_all()
        assert table.num_rows == len(rows)
        assert sum(table["messages"].to_pylist()) == await count(api, span, "ops")
        r = await api.ask("GET", f"/v1/stats/csv?{span}&group_by=tag&tag=nobody", key="ops")
        assert r.body.count(b"\n") == 1
        for wrong, name in (("tz=Mars", "tz"), ("group_by=x", "group_by"), ("filter=x", "filter"), ("from=x", "from")):
            r = await api.get(f"/v1/stats?{wrong}")
            assert (r.status, r.json["parameter"]) == (422, name)


async def count(api: Api, span: str, key: str) -> int:
    r = await api.get(f"/v1/stats?{span}", key=key)
    assert r.status == 200, r.json
    return sum(group["messages"] for group in r.json["groups"])
