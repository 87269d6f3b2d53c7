"""`sluice export` on a real database: what is in the files, what a second run does, what a broken one leaves."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.exports import files
from gateway.exports.state import Directory
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted

DAY_MS = 86_400_000


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    """Three messages: one today, with a submission and odd words; two yesterday."""
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    now = bench.redis.clock_ms()
    ids = [bench.message_id(now - days * DAY_MS) for days in (0, 1, 1)]
    odd = 'say "hi",\\ twice\nand ; over'
    await bench.accept(
        (ids[0], message(0, tag="spring", ref=odd)),
        *((one, message(n, validity_s=200_000)) for n, one in enumerate(ids[1:], 1)),
    )
    await bench.tell(submitted(ids[0], "c-0", sent_ms=now, answered_ms=now + 35))
    await bench.until_recorded()
    bench.ids, bench.now = ids, now  # type: ignore[attr-defined]
    yield bench
    await bench.close()


async def run(postgres_url: str, to: Path, *arguments: str) -> Result:
    command = ["export", "--postgres-url", postgres_url, "--to", str(to), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


def file_of(to: Path, fact: str, at_ms: int, ending: str) -> Path:
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    return to / fact / f"day={day}" / f"{fact}-{day}.{ending}"


async def test_parquet_has_the_rows_of_each_day_with_types(bench: Any, postgres_url: str, tmp_path: Path) -> None:
    done = await run(postgres_url, tmp_path / "x")
    assert done.exit_code == 0, done.output
    yesterday = pyarrow.parquet.read_table(file_of(tmp_path / "x", "messages", bench.now - DAY_MS, "parquet"))
    assert yesterday.num_rows == 2
    (row,) = pyarrow.parquet.read_table(file_of(tmp_path / "x", "messages", bench.now, "parquet")).to_pylist()
    assert row["id"] == str(await bench.value("select id::text from bi.messages where tag = 'spring'"))
    assert (row["ref"], row["price"], row["reason"]) == ('say "hi",\\ twice\nand ; over', Decimal("2.5"), None)
    assert row["accepted_at"] == datetime.fromtimestamp(bench.now / 1000, UTC)
    (row,) = pyarrow.parquet.read_table(file_of(tmp_path / "x", "submissions", bench.now, "parquet")).to_pylist()
    assert (row["carrier"], row["outcome"], row["late"]) == ("alpha", "accepted", False)
    assert row["seconds_to_answer"] == 0.035
    assert not [path for path in (tmp_path / "x").rglob("*") if path.name.startswith(".messages")]


async def test_csv_excel_and_jsonl_have_the_same_rows(bench: Any, postgres_url: str, tmp_path: Path) -> None:
    for form, more in (("csv", ()), ("csv", ("--excel",)), ("jsonl", ())):
        done = await run(postgres_url, tmp_path / (form + "".join(more)), "--format", form, *more)
        assert done.exit_code == 0, done.output
    with file_of(tmp_path / "csv", "messages", bench.now, "csv").open(newline="") as file:
        (plain,) = csv.DictReader(file)
    path = file_of(tmp_path / "csv--excel", "messages", bench.now, "csv")
    assert path.read_bytes().startswith(files.BOM)
    with path.open(newline="", encoding="utf-8-sig") as file:
        (excel,) = csv.DictReader(file, delimiter=";")
    (line,) = file_of(tmp_path / "jsonl", "messages", bench.now, "jsonl").read_text().splitlines()
    lines = json.loads(line)
    assert plain["ref"] == excel["ref"] == lines["ref"] == 'say "hi",\\ twice\nand ; over'
    assert (Decimal(plain["price"]), excel["price"][:3], Decimal(lines["price"])) == (Decimal("2.5"), "2,5", 2.5)
    assert isinstance(lines["price"], str)
    assert excel["accepted_at"] == f"{datetime.fromtimestamp(bench.now / 1000, UTC):%Y-%m-%d %H:%M:%S}"


async def test_a_second_run_writes_only_days_that_changed(bench: Any, postgres_url: str, tmp_path: Path) -> None:
    await run(postgres_url, tmp_path)
    today, yesterday = (file_of(tmp_path, "messages", bench.now - n * DAY_MS, "parquet") for n in (0, 1))
    before = (today.stat().st_mtime_ns, yesterday.stat().st_mtime_ns)
    same = await run(postgres_url, tmp_path)
    assert "0 rows in 0 days" in same.output
    assert (today.stat().st_mtime_ns, yesterday.stat().st_mtime_ns) == before
    # A receipt that comes a day late.
    await bench.tell(submitted(bench.ids[1], "c-1", sent_ms=bench.now - DAY_MS))
    await bench.tell(receipt("c-1", at_ms=bench.redis.clock_ms()))
    await bench.until_recorded()
    late = await run(postgres_url, tmp_path)
    assert late.exit_code == 0, late.output
    assert yesterday.stat().st_mtime_ns > before[1]
    states = pyarrow.parquet.read_table(yesterday).column("state").to_pylist()
    assert sorted(states) == ["accepted", "delivered"]


async def test_a_run_that_broke_off_is_gone_on_with(
    bench: Any, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = files.write, list[Path]()

    async def full_disk(target: Path, *more: Any) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(target)
        return await write(target, *more)

    monkeypatch.setattr(files, "write", full_disk)
    broken = await run(postgres_url, tmp_path)
    assert (broken.exit_code, "No space left" in broken.output) == (1, True)
    monkeypatch.setattr(files, "write", write)
    at = written[0].stat().st_mtime_ns
    rest = await run(postgres_url, tmp_path)
    assert rest.exit_code == 0, rest.output
    assert written[0].stat().st_mtime_ns == at
    assert "again" not in rest.output


async def test_a_day_that_the_database_dropped_stays_in_the_files(
    bench: Any, postgres_url: str, tmp_path: Path
) -> None:
    await run(postgres_url, tmp_path)
    yesterday = datetime.fromtimestamp((bench.now - DAY_MS) / 1000, UTC)
    await bench.pool.execute(f"drop table days.messages_{yesterday:%Y%m%d}")
    assert (await run(postgres_url, tmp_path, "--all")).exit_code == 0
    assert file_of(tmp_path, "messages", bench.now - DAY_MS, "parquet").exists()


async def test_a_directory_of_another_form_or_in_use_is_left_alone(
    bench: Any, postgres_url: str, tmp_path: Path
) -> None:
    await run(postgres_url, tmp_path)
    other = await run(postgres_url, tmp_path, "--format", "csv")
    assert (other.exit_code, "has parquet" in other.output) == (1, True)
    held = Directory.open(tmp_path, "parquet")
    try:
        busy = await run(postgres_url, tmp_path)
        assert (busy.exit_code, "another export" in busy.output) == (1, True)
    finally:
        held.close()
    assert (await run(postgres_url, tmp_path, "--excel")).exit_code == 2
    assert (await run(postgres_url, tmp_path, "--since", "yesterday")).exit_code == 2


def test_rows_are_counted_wherever_chunks_end() -> None:
    text = b'a,b\r\n1,"x\ny"\n2,"say ""no"""\n3,plain\n"\n\n",4\n'
    whole = files.Count(quoted=True)
    whole.add(text)
    split = files.Count(quoted=True)
    for n in range(len(text)):
        split.add(text[n : n + 1])
    assert (whole.rows, split.rows) == (5, 5)
