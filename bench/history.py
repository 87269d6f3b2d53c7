"""Fills an empty database with a month of messages as a busy gateway would have left it, inside PostgreSQL.

In: connections, days, how many messages, a seed. Out: messages, submissions, receipts and the roll-ups of their rows.
The combinations are skewed, as they are in life: a client has few senders and tags, three networks have half of
everything, each network has a carrier that takes most of it. Never: a message through the gateway.
"""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import asyncpg

from gateway.ledger.slices import COLUMNS, VIEWS
from gateway.store import changed_days, slices
from gateway.store.days import DAY_MS, Days, partition
from gateway.store.pool import Pool

CLIENTS, CARRIERS, OPERATORS, SENDERS, TAGS = 20, 6, 40, 10, 30
CLASSES: Final = ("otp", "transactional", "marketing", "alert")
COUNTRIES: Final = (("RU", "7916"), ("KZ", "7701"), ("BY", "37529"), ("UZ", "99890"), ("AM", "3749"), ("GE", "9955"))
BY_HOUR: Final = (1, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 9, 8, 8, 8, 8, 9, 9, 8, 6, 4, 3, 2)
SLOTS: Final = 2_000
"""A draw picks one of so many places, which each kind of message has as many of as it is frequent."""

_TABLES: Final = """
create temporary table streams (slot integer primary key, client text, class text, sender text, tag text, long float);
create temporary table networks (slot integer primary key, operator text, country text, prefix text, best text,
    other text, third text, pace float);
create temporary table hours (slot integer primary key, hour integer)
"""

_DRAWN: Final = """
create temporary table drawn on commit drop as
select row_number() over (order by at) as n, d.*,
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' ||
        lpad(to_hex({day} * 100000000::bigint + k), 15, '0'))::uuid as id,
    case when fate = 'failed' then null else at + make_interval(secs => 0.02 + pace * 0.08 * -ln(1 - a)) end as sent,
    exp(0.7 * (b + c + e - 1.5) * 2 + 1.3 + pace) as took
from (
    select k, date_trunc('milliseconds', to_timestamp({day} * 86400.0)
            + make_interval(hours => h.hour, secs => 3599 * second)) as at,
        s.client, s.class, s.sender, s.tag, o.operator, o.country, o.prefix, o.pace,
        case when which < 0.87 then o.best when which < 0.98 then o.other else o.third end as carrier,
        case when length < s.long then 2 else 1 end as parts,
        case when f < 0.920 then 'delivered' when f < 0.955 then 'undeliverable' when f < 0.970 then 'expired'
             when f < 0.985 then 'submitted' when f < 0.995 then 'rejected' else 'failed' end as fate,
        case when f < 0.920 then ''
             when f < 0.955 then (array['unreachable', 'unreachable', 'unreachable', 'unknown_subscriber',
                 'unknown_subscriber', 'handset', 'carrier_expired', 'carrier_error'])[1 + floor(why * 8)]
             when f < 0.970 then 'no_receipt' when f < 0.985 then ''
             when f < 0.995 then (array['invalid_recipient', 'blocked', 'invalid_sender'])[1 + floor(why * 3)]
             else 'no_route' end as reason,
        random() as a, random() as b, random() as c, random() as e
    from (
        select k, floor(random() * {slots})::integer as s, floor(random() * {slots})::integer as o,
            floor(random() * {slots})::integer as h, random() as second, random() as which, random() as length,
            random() as f, random() as why
        from generate_series(1, {messages}) k
    ) draw
    join streams s on s.slot = draw.s join networks o on o.slot = draw.o join hours h on h.slot = draw.h
) d order by at
"""

_FINAL: Final = "case when fate in ('delivered', 'undeliverable') then sent + make_interval(secs => took)"

_MESSAGES: Final = f"""
insert into messages (id, deadline, changed_at, routed_at, submitted_at, final_at, recipient_hash, plan_version,
    price_micro, cost_micro, accepted_mask, delivered_mask, undeliverable_mask, parts, attempt, units, client, class,
    recipient, sender, text, encoding, state, reason, tag, carrier, operator, route, currency, country)
select id, at + interval '1 day', coalesce(sent, at), sent, case when fate <> 'rejected' then sent end,
    {_FINAL} when fate = 'expired' then at + interval '25 hours' when fate <> 'submitted' then coalesce(sent, at) end,
    hashtextextended(prefix || n, 0), 1, case when fate = 'failed' then 0 else 1250000 end,
    case when fate in ('failed', 'rejected') then 0 else 1250000 * parts end,
    (fate not in ('failed', 'rejected'))::int,
    (fate = 'delivered')::int, (fate = 'undeliverable')::int, parts, (fate <> 'failed')::int, (fate <> 'failed')::int,
    client, class, '+' || prefix || n, sender,
    'Your code is 123456. Nobody will ever ask you for it; tell it to nobody.', 'gsm7',
    fate, reason, tag, case when fate = 'failed' then '' else carrier end,
    case when fate = 'failed' then '' else operator end, 'main', case when fate = 'failed' then '' else 'RUB' end,
    country
from drawn order by id
"""

_SUBMISSIONS: Final = """
insert into submissions (message_id, sent_at, answered_at, routed_at, price_micro, plan_version, echo, attempt, part,
    parts, kind, late, carrier, carrier_message_id, bind, reason, code, operator, currency, route)
select id, sent, sent + interval '31 ms', sent, 1250000, 1, 0, 1, 0, parts, case fate when 'rejected' then 2 else 0 end,
    false, carrier, case fate when 'rejected' then '' else $1 || to_hex(n) end, carrier || '-1',
    case fate when 'rejected' then reason else '' end, '', operator, 'RUB', 'main'
from drawn where sent is not null order by n
"""

_RECEIPTS: Final = """
insert into receipts (message_id, at, done_at, echo, attempt, part, carrier, carrier_message_id, bind, state, reason,
    code, recipient, sender, raw, matched_by)
select id, sent + make_interval(secs => took), sent + make_interval(secs => took), 0, 1, 0, carrier,
    $1 || to_hex(n), carrier || '-1', fate, reason, '', '+' || prefix || n, sender, '', 'id'
from drawn where fate in ('delivered', 'undeliverable') order by n
"""


class Kinds:
    """What there is, and how often: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.streams = list(_places(_streams(dice)))
        self.networks = list(_places(_networks(dice)))
        self.hours = list(_places([(weight, (hour,)) for hour, weight in enumerate(BY_HOUR)]))


Weighted = tuple[float, tuple[Any, ...]]


def _streams(dice: random.Random) -> list[Weighted]:
    found: dict[tuple[Any, ...], float] = {}
    for n in range(CLIENTS):
        classes = dice.sample(CLASSES, 1 + n % 3)
        senders = dice.sample(range(SENDERS), dice.randint(1, 3))
        tags = dice.sample(range(TAGS), dice.randint(2, 6))
        for rank, tag in enumerate(tags):
            for klass in classes[: 1 + rank % 2]:
                for sender in senders[: 1 + dice.randint(0, 1)]:
                    key = (f"client{n:02}", klass, f"Sender{sender}", f"tag{tag:02}" if rank else "")
                    found[key] = (n + 1) ** -0.8 * (rank + 1) ** -0.7
    return [(weight, (*key, dice.choice((0.02, 0.1, 0.5)))) for key, weight in found.items()]


def _networks(dice: random.Random) -> list[Weighted]:
    found = []
    for n in range(OPERATORS):
        country, prefix = COUNTRIES[0 if n < 8 else 1 + n % (len(COUNTRIES) - 1)]
        first, second, third = dice.sample(range(CARRIERS), 3)
        names = (f"operator{n:02}", country, prefix, f"carrier{first}", f"carrier{second}", f"carrier{third}")
        found.append(((n + 1) ** -1.1, (*names, dice.uniform(0.5, 1.5))))
    return found


def _places(kinds: Sequence[Weighted]) -> Iterator[tuple[Any, ...]]:
    """Each kind as often as its weight says, at least once."""
    total, at, seen = sum(weight for weight, _ in kinds), 0, 0.0
    for left, (weight, values) in zip(range(len(kinds), 0, -1), kinds, strict=True):
        seen += weight
        until = max(at + 1, min(round(SLOTS * seen / total), SLOTS - left + 1))
        for slot in range(at, until if left > 1 else SLOTS):
            yield (slot, *values)
        at = until


async def fill(url: str, first: datetime.date, days: int, messages: int, seed: int, workers: int = 2) -> None:
    """`messages` over `days` from `first`, the same number each day. Raises StoreAwayError."""
    pool = await Pool.open(url, size=workers + 1)
    try:
        number = (first - datetime.date(1970, 1, 1)).days
        await Days(pool).ensure(range(number, number + days + 2))
        kinds, left = Kinds(seed), iter(range(days))

        async def work() -> None:
            async with pool.connection() as connection:
                await _prepare(connection, kinds)
                for n in left:
                    await _fill_day(connection, number + n, -(-messages // days), seed + n)

        await asyncio.gather(*(work() for _ in range(workers)))
        async with pool.transaction() as connection:
            await connection.execute("select fill_dimensions()")
            await changed_days.note(connection, range(number, number + days + 2))
    finally:
        await pool.close()


async def _prepare(connection: asyncpg.Connection, kinds: Kinds) -> None:
    await connection.execute("set work_mem = '512MB'")
    await connection.execute("set synchronous_commit = off")
    await connection.execute(_TABLES)
    for table in ("streams", "networks", "hours"):
        await connection.copy_records_to_table(table, records=getattr(kinds, table))
        await connection.execute(f"analyze {table}")


async def _fill_day(connection: asyncpg.Connection, day: int, messages: int, seed: int) -> None:
    async with connection.transaction():
        await connection.execute("select setseed($1)", (seed % 1000) / 1000)
        await connection.execute(_DRAWN.format(slots=SLOTS, messages=messages, day=day))
        await connection.execute("analyze drawn")
        await connection.execute(_MESSAGES)
        for statement in (_SUBMISSIONS, _RECEIPTS):
            await connection.execute(statement, f"{day:x}-")
        await connection.execute("drop table drawn")
        await roll_up(connection, day)


async def roll_up(connection: asyncpg.Connection, day: int) -> None:
    """The roll-ups of one day, which has none yet, from its messages."""
    await connection.execute(slices.counted_anew(partition("messages", day), VIEWS[0], VIEWS[0].tables[0]))
    begin, end = day * DAY_MS, (day + 1) * DAY_MS
    sums = ", ".join(f"sum({name})" for name in COLUMNS)
    for view in VIEWS:
        fine, daily = view.tables
        names = f"shard, {', '.join(view.dimensions)}, currency"
        for table, source, grain in ((fine, VIEWS[0].tables[0], "hour"), (daily, fine, "day")):
            if table != source:
                await connection.execute(
                    f"insert into {table} (at, {names}, {', '.join(COLUMNS)}) select date_trunc('{grain}', at, 'UTC'),"
                    f" {names}, {sums} from {source} where at >= $1 and at < $2 group by 1, {names}",
                    begin,
                    end,
                )
    for unit in ("minute", "hour"):
        await connection.execute(
            f"insert into stats_{unit} (at, shard, client, class, carrier, operator, state, tag, currency, messages,"
            f" parts, cost_micro) select date_trunc('{unit}', id_time(id), 'UTC') as at, 0, client, class, carrier,"
            f" operator, state, tag, currency, count(*), sum(parts), sum(cost_micro)"
            f" from {partition('messages', day)} group by 1, client, class, carrier, operator, state, tag, currency"
        )


async def recounted(url: str, day: datetime.date) -> int:
    """Count one day anew, as `sluice db recount` does; in how many rows that differs from what was there."""
    pool = await Pool.open(url, size=2)
    number = (day - datetime.date(1970, 1, 1)).days
    begin, end = number * DAY_MS, (number + 1) * DAY_MS
    try:
        async with pool.connection() as connection:
            for table in slices.TABLES:
                await connection.execute(
                    f"create temporary table was_{table} as select * from {table}"
                    f" where at >= to_timestamp({begin / 1000}) and at < to_timestamp({end / 1000})"
                )
            await slices.recount(pool, number)
            different = 0
            for table in slices.TABLES:
                now = f"select * from {table} where at >= $1 and at < $2"
                different += await connection.fetchval(
                    f"select count(*) from ((({now}) except table was_{table}) union all"
                    f" (table was_{table} except ({now}))) d", begin, end,
                )  # fmt: skip
            return different
    finally:
        await pool.close()
