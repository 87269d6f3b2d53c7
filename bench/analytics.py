"""`python -m bench.analytics`: a month of messages, and how fast the gateway answers what analysts ask of it.

In: how many messages. Out: a line of JSON for the fill, for sizes, for each question and for dropping a day; exit
status 1 when one of them takes longer than it may. Everything runs on own servers, which are removed with their data.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import aiohttp
import asyncpg

from bench.account import cpu_seconds
from bench.dropping import drop_a_day
from bench.history import fill, recounted
from bench.questions import Question, questions
from gateway.embedded.datadir import DataDir
from gateway.embedded.machine import free_bytes
from gateway.embedded.postgres import Postgres
from gateway.embedded.process import Process
from gateway.embedded.valkey import Valkey
from gateway.live.keys import publish
from gateway.stats.summing import sum_up
from gateway.store import keys
from gateway.store.migrate import migrate
from gateway.store.pool import Pool
from gateway.streams.link import Redis

MOST_MS: Final = 300.0
BYTES_A_MESSAGE: Final = 1_900
UNSYNCED: Final = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
"""For the fill only; a failing machine costs it, and no figure depends on it."""

_SIZES: Final = """
select case when n.nspname = 'days' then left(c.relname, -9) else c.relname end as table,
    case when n.nspname = 'days' then left(i.relname, -9) else i.relname end as index,
    sum(pg_relation_size(c.oid))::bigint as table_bytes, sum(pg_relation_size(i.oid))::bigint as index_bytes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_index x on x.indrelid = c.oid left join pg_class i on i.oid = x.indexrelid
where c.relkind = 'r' and n.nspname in ('public', 'days') group by 1, 2 order by 1, 2
"""


class World:
    """Servers, and an API process that is asked."""

    def __init__(self, place: Path) -> None:
        self.directory = DataDir.open(place)
        self.valkey = Valkey(self.directory.valkey, self.directory.run, self.directory.log("valkey"))
        self.postgres = self.server({})
        self.url = ""
        self.key = ""
        self.api: Process | None = None

    def server(self, settings: dict[str, str]) -> Postgres:
        """PostgreSQL as `sluice up` starts it, with more settings."""
        return Postgres(self.directory.postgres, self.directory.run, self.directory.log("postgres"), settings)

    async def open_api(self, stack: AsyncExitStack) -> None:
        """Start what answers, with a key that may see everything."""
        stack.push_async_callback(self.valkey.stop)
        await self.valkey.start()
        pool = await Pool.open(self.postgres.url, size=1)
        redis = await Redis.open(self.valkey.url, 1)
        try:
            _, self.key = await keys.create_key(pool, "bench", who="bench", scopes=keys.SCOPES)
            await publish(pool, redis)
        finally:
            await redis.close()
            await pool.close()
        env = {"SLUICE_REDIS_URL": self.valkey.url, "SLUICE_POSTGRES_URL": self.postgres.url}
        arguments = ("run", "--roles", "api", "--listen", "127.0.0.1:0")
        log, run = self.directory.log("api"), self.directory.run
        self.api = Process("api", arguments, env=env, log=log, run=run, stop_s=20)
        stack.push_async_callback(self.api.stop)
        await self.api.start()
        self.url = str(self.api.said["ready"])

    def cpu_ms(self) -> float:
        """What answering has cost until now, in processes of the API and of PostgreSQL."""
        assert self.api is not None
        return 1000 * sum(cpu_seconds({"api": self.api.pid, "postgres": self.postgres.pid}).values())


@asynccontextmanager
async def filled(place: Path, first: datetime.date, days: int, messages: int, seed: int) -> AsyncIterator[World]:
    """A month in PostgreSQL, and the API. Prints what the fill took."""
    async with AsyncExitStack() as stack:
        w = World(place)
        stack.callback(w.directory.close)
        unsynced = w.server(UNSYNCED)
        await unsynced.start()
        try:
            await migrate(unsynced.url)
            began = time.monotonic()
            await fill(unsynced.url, first, days, messages, seed)
            line = {"measure": "fill", "messages": messages, "days": days, "s": round(time.monotonic() - began, 1)}
            say(line | {"differences_from_recount": await recounted(unsynced.url, first)})
            say({"measure": "sum_up"} | await _summed_up(unsynced.url))
        finally:
            await unsynced.stop()
        stack.push_async_callback(w.postgres.stop)
        await w.postgres.start()
        await w.open_api(stack)
        yield w


async def _summed_up(url: str) -> dict[str, Any]:
    """As the gateway does in the background."""
    pool = await Pool.open(url, size=1)
    try:
        began = time.monotonic()
        made = await sum_up(pool, int(time.time() * 1000))
        await pool.execute("vacuum analyze")
        return {"days_and_weeks": made, "s": round(time.monotonic() - began, 1)}
    finally:
        await pool.close()


async def ask(http: aiohttp.ClientSession, w: World, question: Question) -> dict[str, Any]:
    """Once to warm up, then three times."""
    took, spent, groups = [], 0.0, 0
    for n in range(4):
        cpu, began = w.cpu_ms(), time.perf_counter()
        async with http.get(w.url + question.path, headers={"Authorization": f"Bearer {w.key}"}) as response:
            body = await response.read()
        if response.status != 200:
            raise RuntimeError(f"{question.path}: {response.status} {body[:200].decode()}")
        if n:
            took.append(1000 * (time.perf_counter() - began))
            spent += (w.cpu_ms() - cpu) / 3
        if response.content_type == "application/json":
            document = json.loads(body)
            groups = len(next(iter(value for value in document.values() if isinstance(value, list) and value), ()))
            groups = len(document.get("groups", ())) or groups
        else:
            groups = body.count(b"\n") - 1 if "csv" in response.content_type else 0
    ms, holds = round(median(took), 1), None
    if not question.whole:
        holds = ms <= MOST_MS
    return {"measure": "question", "question": question.name, "ms": ms, "cpu_ms": round(spent), "rows": groups,
            "kB": len(body) // 1000, "holds": holds}  # fmt: skip


async def sizes(url: str, messages: int) -> list[dict[str, Any]]:
    """Megabytes for a million messages, by table and index."""
    connection = await asyncpg.connect(url)
    try:
        tables: dict[str, dict[str, Any]] = {}
        for row in await connection.fetch(_SIZES):
            one = tables.setdefault(row["table"], {"measure": "size", "table": row["table"], "MB": 0.0, "indexes": {}})
            one["MB"] = round(row["table_bytes"] / messages, 2)
            if row["index"] is not None:
                one["indexes"][row["index"]] = round(row["index_bytes"] / messages, 2)
        found = [one for one in tables.values() if one["MB"] or any(one["indexes"].values())]
        whole = await connection.fetchval("select pg_database_size(current_database())")
        return [*found, {"measure": "size", "table": "all", "MB": round(whole / messages, 2)}]
    finally:
        await connection.close()


def say(line: dict[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(line, ensure_ascii=False), flush=True)


async def run(place: Path, messages: int, days: int, seed: int, only: str) -> bool:
    """Everything; whether all of it holds."""
    if free_bytes(place) < messages * BYTES_A_MESSAGE:
        raise SystemExit(f"{place}: {messages:,} messages take about {messages * BYTES_A_MESSAGE / 1e9:.0f} GB")
    until = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = until - datetime.timedelta(days=days)
    good = True
    async with filled(place, since.date(), days, messages, seed) as w, aiohttp.ClientSession() as http:
        for line in await sizes(w.postgres.url, messages):
            say(line)
        for question in questions(since, until):
            if only in question.name:
                line = await ask(http, w, question)
                good &= line["holds"] is not False
                say(line)
        line = await drop_a_day(w.postgres.url, since.date())
        say(line)
    return good and bool(line["holds"])


def main() -> None:
    """Print every measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench.analytics", description=__doc__.partition("\n")[0] or None)
    parser.add_argument("--messages", type=int, default=20_000_000, help="of the whole time (20,000,000)")
    parser.add_argument("--days", type=int, default=30, help="over how many days before today (30)")
    parser.add_argument("--seed", type=int, default=1, help="other messages")
    parser.add_argument("--folder", type=Path, help="where the data is meanwhile; the system's temporary directory")
    parser.add_argument("--only", default="", help="questions with these words in their names")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-analytics-", dir=given.folder) as place:
        good = asyncio.run(run(Path(place), given.messages, given.days, given.seed, given.only))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
