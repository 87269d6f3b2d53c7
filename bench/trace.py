"""`python -m bench.trace`: how long a look takes by id, ref and number, over many days of messages.

In: how many days, messages a day and looks. Out: a JSON line for each kind of look, with p50 and p99 in ms and what it
cost the processors, on stdout. The looks are those that the API makes, one after another, on a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from gateway.embedded.datadir import short_directory
from gateway.embedded.postgres import Postgres
from gateway.store import history, messages, search
from gateway.store.days import DAY_MS, day_of, partition
from gateway.store.migrate import migrate
from gateway.store.pool import Pool
from gateway.store.recipients import recipient_hash

CLIENT: Final = "shop"
PEOPLE: Final = 200_000
WORST_MS: Final = 20.0
"""What p99 may be."""

_EPOCH: Final = datetime.date(1970, 1, 1)
_SETTINGS: Final = {"fsync": "off", "synchronous_commit": "off", "max_wal_size": "4GB"}

# One day: {s} and {i} are its partitions, {start} its first ms, {n} its messages, {k} its number.
_ID = "(lpad(to_hex({start}::bigint + g * {step}), 12, '0') || '70008000' || lpad(to_hex(g), 12, '0'))::uuid"
_AT = "to_timestamp(({start}::bigint + g * {step}) / 1000.0)"
_DAY = (
    f"""insert into {{messages}} (id, deadline, changed_at, routed_at, submitted_at, final_at, recipient_hash,
    price_micro, cost_micro, accepted_mask, delivered_mask, parts, attempt, units, client, class, recipient, sender,
    text, encoding, state, ref, tag, carrier, operator, route, currency, seq, country)
select {_ID}, {_AT} + interval '1 day', {_AT} + interval '5 s', {_AT} + interval '10 ms', {_AT} + interval '50 ms',
    {_AT} + interval '5 s', p.hash, 2500000, 2500000, 1, 1, 1, 1, 1, '{CLIENT}', 'transactional', p.number, 'Sluice',
    'Your order is on its way and will be with you tomorrow', 'gsm7', 'delivered', 'order-{{k}}-' || g, 'spring',
    'north', 'mts', 'all', 'RUB', 2, 'RU'
from generate_series(0, {{n}} - 1) g
join people p on p.n = (hashint8(g * 1000003::bigint + {{k}}) & 2147483647) % {PEOPLE}""",
    """insert into {submissions} (message_id, sent_at, answered_at, routed_at, price_micro, plan_version, echo, attempt,
    part, parts, kind, late, carrier, carrier_message_id, bind, reason, code, operator, currency, route)
select id, submitted_at, submitted_at, routed_at, 2500000, 3, 7, 1, 0, 1, 0, false, 'north', left(id::text, 8)
    || right(id::text, 8), 'north-1', '', '0', 'mts', 'RUB', 'all' from {messages} where submitted_at < {end}""",
    """insert into {receipts} (message_id, at, done_at, echo, attempt, part, carrier, carrier_message_id, bind, state,
    reason, code, recipient, sender, raw, matched_by)
select id, final_at, final_at, 7, 1, 0, 'north', left(id::text, 8) || right(id::text, 8), 'north-1', 'delivered', '',
    '000', recipient, sender, 'sub:001 stat:DELIVRD err:000', 'id' from {messages} where final_at < {end}""",
    f"""insert into {{inbound}} (id, at, sender_hash, carrier, bind, sender, recipient, text, raw, settled_at, role,
    client)
select {_ID}, {_AT}, p.hash, 'north', 'north-1', p.number, '1234', 'Yes', '', {_AT}, 'message', '{CLIENT}'
from generate_series(5, {{n}} - 1, 10) g
join people p on p.n = (hashint8(g * 7919::bigint + {{k}}) & 2147483647) % {PEOPLE}""",
)
_TABLES: Final = ("messages", "submissions", "receipts", "inbound")


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=400, help="daily partitions with rows")
    parser.add_argument("--messages", type=int, default=5_000, help="a day, each with a submission and a receipt")
    parser.add_argument("--looks", type=int, default=500, help="of each kind, at random")
    parser.add_argument("--check", action="store_true", help=f"exit 1 when a p99 is over {WORST_MS:.0f} ms")
    parser.add_argument("--data", type=Path, help="keep the database here, and take it as it is when it has rows")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> bool:
    """Whether every p99 is good enough."""
    with tempfile.TemporaryDirectory(prefix="sluice-trace-") as temporary:
        async with _postgres(options.data or Path(temporary)) as (pool, server):
            if not await pool.fetchval("select exists (select from messages)"):
                await _fill(pool, options.days, options.messages)
            return await _measure(pool, server, options.looks)


@asynccontextmanager
async def _postgres(directory: Path) -> AsyncIterator[tuple[Pool, int]]:
    """A pool, and the server's process."""
    directory.mkdir(exist_ok=True, parents=True)
    server = Postgres(directory / "data", short_directory(directory / "run"), directory / "log", _SETTINGS)
    await server.start()
    try:
        await migrate(server.url)
        pool = await Pool.open(server.url)
        try:
            yield pool, server.pid
        finally:
            await pool.close()
    finally:
        await server.stop()


async def _fill(pool: Pool, days: int, a_day: int) -> None:
    key, begun = await pool.recipient_key(), time.monotonic()
    last = day_of(int(time.time() * 1000))
    people = [(n, number, recipient_hash(key, number)) for n, number in ((n, f"+7916{n:07d}") for n in range(PEOPLE))]
    async with pool.connection() as connection:
        await connection.execute("create table people (n int primary key, number text, hash bigint)")
        await connection.copy_records_to_table("people", records=people)
        await connection.execute("analyze people")
        for k, day in enumerate(range(last - days + 1, last + 1)):
            await connection.execute("select ensure_day($1)", _EPOCH + datetime.timedelta(days=day))
            names = {table: partition(table, day) for table in _TABLES}
            end = f"'{_EPOCH + datetime.timedelta(days=day + 1)} 00:00+00'"
            given = {"start": day * DAY_MS, "step": DAY_MS // a_day, "n": a_day, "k": k, "end": end}
            await connection.execute(";".join(statement.format(**names, **given) for statement in _DAY))
            say(f"\r{k + 1} of {days} days", end="")
        await connection.execute("vacuum analyze")
    say(f", {days * a_day:,} messages in {time.monotonic() - begun:.0f} s")


async def _measure(pool: Pool, server: int, looks: int) -> bool:
    async def by_id(message_id: bytes) -> None:
        found = await messages.get(pool, message_id, CLIENT)
        assert found is not None
        seen = await messages.timeline(pool, found)
        assert seen.submissions, "the timeline has a hole"

    async def by_ref(ref: str) -> None:
        found = await search.find(pool, CLIENT, ref=ref, limit=51)
        assert [one.ref for one in found] == [ref]

    async def to_number(number: str) -> None:
        assert {one.recipient for one in await search.find(pool, CLIENT, to=number, limit=51)} <= {number}

    async def with_number(number: str) -> None:
        assert await history.of_number(pool, CLIENT, number, limit=51)

    async def newest(_: object) -> None:
        assert len(await search.find(pool, CLIENT, limit=51)) == 51

    rows = await pool.fetch("select id, ref, recipient from messages tablesample bernoulli (0.5)")
    chosen = random.Random(7).sample(rows, min(looks, len(rows)))
    good = True
    kinds: tuple[tuple[str, Callable[[Any], Awaitable[None]], Sequence[Any]], ...] = (
        ("id", by_id, [row["id"] for row in chosen]),
        ("ref", by_ref, [row["ref"] for row in chosen]),
        ("to", to_number, [row["recipient"] for row in chosen]),
        ("number", with_number, [row["recipient"] for row in chosen]),
        ("newest", newest, chosen),
    )
    for kind, look, values in kinds:
        for value in values[:20]:  # warm: the server's caches and the plans that the connection keeps
            await look(value)
        busy = _busy_s(server)
        took = sorted([await _timed(look, value) for value in values])
        cost = (_busy_s(server) - busy) * 1000 / len(took)
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        good &= p99 <= WORST_MS
        told = {"look": kind, "looks": len(took), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        print(json.dumps(told | {"cpu_ms": round(cost, 2)}), flush=True)
    return good


def _busy_s(server: int) -> float:
    """What this process and the server's have used of the processors."""
    tick, total = os.sysconf("SC_CLK_TCK"), time.process_time()
    for process in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = process.read_text().rpartition(") ")[2].split()
            if server in (int(process.parent.name), int(fields[1])):
                total += (int(fields[11]) + int(fields[12])) / tick
    return total


async def _timed(look: Callable[[Any], Awaitable[None]], value: Any) -> float:
    begun = time.perf_counter()
    await look(value)
    return (time.perf_counter() - begun) * 1000


def say(words: str, end: str = "\n") -> None:
    """To people."""
    print(words, end=end, file=sys.stderr, flush=True)


def main() -> None:
    """The command."""
    options = parse()
    good = asyncio.run(run(options))
    sys.exit(1 if options.check and not good else 0)


if __name__ == "__main__":
    main()
