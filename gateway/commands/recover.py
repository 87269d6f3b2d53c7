"""`sluice recover`: after Redis was restored from an older state.

In: a configuration. Out: a line a shard. Exit codes: 0 done, 1 not done, 2 a command that cannot be understood.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.commands.options import CONFIG
from gateway.commands.settings import read_settings
from gateway.commands.teaching import SETTINGS, lesson
from gateway.config import Settings
from gateway.ops.recover import Recovered, recover
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError

WHERE = "say where the gateway's servers are: SLUICE_REDIS_URL and SLUICE_POSTGRES_URL, --config FILE, or the options"


@click.command(
    "recover",
    epilog=lesson("sluice recover --dry-run        # look first", "sluice recover", source=SETTINGS),
)
@CONFIG
@click.option("--redis-url", metavar="URL", help="Redis >= 7 or Valkey.")
@click.option("--postgres-url", metavar="URL", help="PostgreSQL >= 14.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(path: Path | None, redis_url: str | None, postgres_url: str | None, dry_run: bool) -> None:
    """Bring the queues in step with PostgreSQL after Redis was restored from an older state.

    Such shards stay closed: nothing is accepted or sent. Messages that PostgreSQL has and the queues lack are put back,
    those that were sent or ended are taken off, then the shards open. What was sent after the restored state was saved,
    and is not in PostgreSQL either, nobody knows: it may be sent again.
    """
    settings = read_settings(path, redis_url=redis_url, postgres_url=postgres_url)
    try:
        done = asyncio.run(_recover(settings, dry_run))
    except (RedisAwayError, StoreAwayError) as e:
        raise click.ClickException(f"{e}\n  What to do: {WHERE}") from e
    for shard in done:
        click.echo(_line(shard, dry_run))


def _line(done: Recovered, dry_run: bool) -> str:
    if not done.needed:
        return f"shard {done.shard}: in step, nothing to do"
    verb = "would be" if dry_run else "were"
    return (
        f"shard {done.shard}: {done.put_back} messages {verb} put back, {done.taken_off} {verb} taken off;"
        f" {'nothing was changed' if dry_run else 'it is open'}"
    )


async def _recover(settings: Settings, dry_run: bool) -> list[Recovered]:
    redis = await Redis.open(settings.redis_url, settings.shards)
    try:
        pool = await Pool.open(settings.postgres_url)
        try:
            return [await recover(pool, redis.link(shard), shard, dry_run) for shard in range(settings.shards)]
        finally:
            await pool.close()
    finally:
        await redis.close()
