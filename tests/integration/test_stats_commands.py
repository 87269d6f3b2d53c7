"""`sluice stats` for any slice, `incidents`, `carriers score` and `db recount`, on planted traffic."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.latencies import slot
from gateway.ledger.slices import DAY_MS, HOUR_MS, Slices
from gateway.store import slices
from gateway.store.days import Days, day_of
from gateway.store.pool import Pool
from tests.api_server import Api, running


async def planted(pool: Pool, now_ms: int) -> None:
    """Eight days of two carriers; in the last hours one of them fails."""
    await Days(pool).ensure(range(day_of(now_ms) - 9, day_of(now_ms)))
    for day in range(8):
        booked = Slices()
        for hour in range(1, 6):
            minute = (now_ms - day * DAY_MS - hour * HOUR_MS) // 60_000 * 60_000
            for carrier in ("north", "south"):
                for operator in ("mts", "tele2"):
                    fails = 60 if not day and carrier == "north" else 5
                    took = [(slot(300) + 1 << 7) + slot(2_000 * (n % 9 + 1)) + 1 for n in range(100 - fails)]
                    cell = (minute, 0, "acme", "otp", carrier, operator)
                    booked.add((*cell, "delivered", "", "RUB", "Sluice", "RU", ""), len(took), len(took), 9, took)
                    failed = (*cell, "undeliverable", "", "RUB", "Sluice", "RU", "handset")
                    booked.add(failed, fails, fails, 9, [(slot(300) + 1) << 7] * fails)
        async with pool.transaction() as connection:
            await slices.add(connection, booked.tables())


async def run(api: Api, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("SLUICE_URL", api.server.url)
    monkeypatch.setenv("SLUICE_KEY", api.secrets["ops"])
    return await asyncio.to_thread(CliRunner().invoke, main, list(words))


async def test_the_commands_show_what_was_planted(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with running(valkey_url, postgres_url) as api:
        await planted(api.pool, int(time.time() * 1000))
        r = await run(api, monkeypatch, "incidents")
        assert r.exit_code == 0, r.output
        assert "1. Carrier north: 60% fail with `handset`" in " ".join(r.output.split()), r.output
        assert "2. " not in r.output
        r = await run(api, monkeypatch, "incidents", "--since", "6h", "--json")
        (one,) = json.loads(r.output)["incidents"]
        assert (one["kind"], one["carrier"], one["reason"]) == ("failures", "north", "handset")
        r = await run(api, monkeypatch, "carriers", "score", "--since", "24h", "--all")
        assert "60.0%" not in r.output and "40.0%" in r.output and "handset 600" in r.output, r.output
        asked = ("stats", "--since", "9d", "--step", "day", "--tz", "Asia/Kolkata", "--by", "reason", "--latency")
        r = await run(api, monkeypatch, *asked)
        assert r.exit_code == 0 and "handset" in r.output and "arrived: half" in r.output, r.output
        r = await run(api, monkeypatch, "stats", "--since", "24h", "--by", "country", "--excel")
        assert "RU;2000;" in r.output, r.output
        r = await run(api, monkeypatch, "stats", "--since", "24h", "--by", "country", "--csv")
        assert "RU,2000," in r.output
        pytest.importorskip("pyarrow")
        r = await run(api, monkeypatch, "stats", "--by", "country", "--arrow", str(tmp_path / "figures.arrow"))
        assert r.exit_code == 0 and (tmp_path / "figures.arrow").stat().st_size > 500, r.output
        r = await run(api, monkeypatch, "stats", "--by", "country", "--step", "minute")
        assert r.exit_code == 2


async def test_a_day_as_any_other_has_no_incident(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(valkey_url, postgres_url) as api:
        r = await run(api, monkeypatch, "incidents")
        assert r.exit_code == 0 and "Nothing unusual" in r.output, r.output
        r = await run(api, monkeypatch, "carriers", "score")
        assert "No carrier took a message" in r.output


def test_days_are_counted_anew(postgres_url: str) -> None:
    r = CliRunner().invoke(main, ["db", "recount", "--since", "2030-01-01", "--until", "2030-01-02",
                                  "--postgres-url", postgres_url])  # fmt: skip
    assert r.output == "2030-01-01  0 messages\n2030-01-02  0 messages\n"
