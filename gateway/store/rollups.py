"""Books a delta into `stats_minute` and `stats_hour`."""

from __future__ import annotations

import asyncpg

from gateway.ledger.rollup import Delta, by_hour

_UPSERT = """insert into {table} (at, shard, client, class, carrier, operator, state, tag, currency,
        messages, parts, cost_micro)
    select * from unnest($1::timestamptz[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[])
    on conflict (at, shard, client, class, carrier, operator, state, tag, currency) do update
    set messages = {table}.messages + excluded.messages, parts = {table}.parts + excluded.parts,
        cost_micro = {table}.cost_micro + excluded.cost_micro"""


async def add(connection: asyncpg.Connection, delta: Delta) -> None:
    """In the order of the keys, so that two writers never wait for each other in a circle."""
    for table, part in (("stats_minute", delta), ("stats_hour", by_hour(delta))):
        if part:
            columns = zip(*((*bucket, *sums) for bucket, sums in sorted(part.items())), strict=True)
            await connection.execute(_UPSERT.format(table=table), *map(list, columns))
