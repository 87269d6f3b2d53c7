"""Brings a database to this release's schema: plain SQL files, each once, each in one transaction.

In: a PostgreSQL URL. Out: the names that were applied now. Never: a second run of a file. A database that is newer than
this release is left alone, so that the old release runs on during an upgrade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources

import asyncpg

from gateway.store.pool import Pool, connect

_CONTRACT = "_contract"
"""A file whose name ends so takes away what the release before still uses; all others only add."""

_LOCK = 7_517_004  # advisory lock: two processes that migrate at once take turns


class MigrationError(Exception):
    """The database cannot be brought to this release's schema. The text says why, for an operator."""


@dataclass(frozen=True)
class Migration:
    """One file of store/migrations."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """What schema_migrations remembers of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All files, in order."""
    files = [f for f in resources.files("gateway.store.migrations").iterdir() if f.name.endswith(".sql")]
    return [Migration(f.name, f.read_text("utf-8")) for f in sorted(files, key=lambda f: f.name)]


def unfit(applied: Collection[str]) -> str:
    """Why this release cannot work on a schema with these migrations; empty when it can.

    A newer schema is fine as long as it only added: then this is the old release during a rolling upgrade.
    """
    known = {migration.name for migration in migrations()}
    if missing := sorted(known.difference(applied)):
        return f"the schema in PostgreSQL is older than this release ({missing[0]} is missing): run `sluice db migrate`"
    for name in sorted(set(applied) - known):
        if name.removesuffix(".sql").endswith(_CONTRACT):
            return f"the schema in PostgreSQL is too new for this release ({name} was applied): install the newer one"
    return ""


async def applied_names(pool: Pool) -> list[str]:
    """The migrations of this database. Raises StoreAwayError; UndefinedTableError when it has none of ours."""
    return [row["name"] for row in await pool.fetch("select name from schema_migrations order by name")]


async def migrate(postgres_url: str) -> list[str]:
    """Apply what is missing. Raises StoreAwayError, or MigrationError with a sentence."""
    connection = await connect(postgres_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "create table if not exists schema_migrations"
            " (name text primary key, sha256 text not null, applied_at timestamptz not null default now())"
        )
        rows = await connection.fetch("select name, sha256 from schema_migrations")
        return await _apply(connection, {row["name"]: row["sha256"] for row in rows})
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection, applied: dict[str, str]) -> list[str]:
    done = []
    for migration in migrations():
        if (known := applied.get(migration.name)) is not None:
            if known != migration.sha256:
                raise MigrationError(
                    f"{migration.name} differs from what was applied to this database:"
                    " the release was changed after it was installed"
                )
            continue
        try:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into schema_migrations (name, sha256) values ($1, $2)", migration.name, migration.sha256
                )
        except asyncpg.PostgresError as e:
            raise MigrationError(f"{migration.name} failed: {e}") from e
        done.append(migration.name)
    return done
