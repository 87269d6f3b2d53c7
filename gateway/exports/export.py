"""The export: every day of a span that is not there yet, or changed since, as files.

In: a URL, a directory, a span of UTC days. Out: files and what was done. A day and its number of changes are read in
one snapshot, so a change is either in the file or after its number. Never: touches a day that the database dropped.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

import asyncpg

from gateway.exports import files
from gateway.exports.facts import FACTS, Columns, Fact, copy, partition, where
from gateway.exports.state import Day, Directory, ExportError
from gateway.store.pool import StoreAwayError, connect


class Task(NamedTuple):
    """A day of a fact that is to be written."""

    fact: Fact
    day: datetime.date
    again: bool


class Watcher(Protocol):
    """What a person sees meanwhile."""

    def begin(self, tasks: int) -> None: ...

    def done(self, task: Task, rows: int) -> None: ...


class Done(NamedTuple):
    """What an export did; `kept`: days that were there and had not changed."""

    days: int
    again: int
    rows: int
    kept: int


async def export(
    postgres_url: str,
    directory: Directory,
    since: datetime.date | None,
    until: datetime.date,
    watcher: Watcher,
    everything: bool = False,
) -> Done:
    """From `since` (None: the oldest day) up to and without `until`. `everything`: also what has not changed. Raises
    ExportError and StoreAwayError; what was written until then stays, and the next call goes on from there."""
    files.check_form(directory.state.form)
    try:
        connection = await connect(postgres_url)
        try:
            return await _export(connection, directory, since, until, watcher, everything)
        finally:
            await connection.close()
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as e:
        raise ExportError("the schema is older than this release: run `sluice db migrate`") from e
    except asyncpg.InsufficientPrivilegeError as e:
        raise ExportError(f"{e}: take the URL of the role that owns the tables") from e
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError) as e:
        raise StoreAwayError(f"PostgreSQL went away: {e}") from e
    except OSError as e:
        raise ExportError(f"{directory.path} cannot be written: {e.strerror or e}") from e


async def _export(
    connection: asyncpg.Connection,
    directory: Directory,
    since: datetime.date | None,
    until: datetime.date,
    watcher: Watcher,
    everything: bool,
) -> Done:
    await connection.execute("select fill_dimensions()")
    generation = await connection.fetchval("select generation from bi.settled")
    state = directory.state
    if state.generation != generation:
        # Numbers of another database say nothing here: every day counts as changed, until it is written.
        state.facts = {
            fact: {day: Day(one.rows, -1) for day, one in days.items()} for fact, days in state.facts.items()
        }
        state.generation = generation
    stored = await _stored(connection, since, until)
    changed = {row["day"]: row["changed_seq"] for row in await connection.fetch("select * from bi.changed_days")}
    tasks, kept = [], 0
    for fact in FACTS:
        for day in stored[fact.name]:
            known = state.facts.get(fact.name, {}).get(day.isoformat())
            if everything or known is None or changed.get(day, 0) > known.changed_seq:
                tasks.append(Task(fact, day, known is not None))
            else:
                kept += 1
    watcher.begin(len(tasks))
    total = 0
    columns = {fact.name: await _columns(connection, fact) for fact in FACTS}
    for task in tasks:
        rows = await _write(connection, directory, task, columns[task.fact.name])
        total += rows
        watcher.done(task, rows)
    return Done(len(tasks), sum(task.again for task in tasks), total, kept)


async def _stored(
    connection: asyncpg.Connection, since: datetime.date | None, until: datetime.date
) -> Mapping[str, list[datetime.date]]:
    """The days of each fact that the database has."""
    rows = await connection.fetch(
        "select relname from pg_class where relnamespace = 'days'::regnamespace and relkind = 'r'"
    )
    names = {row["relname"] for row in rows}
    found: dict[str, list[datetime.date]] = {}
    for fact in FACTS:
        head = f"{fact.name}_"
        days = (name.removeprefix(head) for name in names if name.startswith(head))
        known = sorted(datetime.date.fromisoformat(day) for day in days if day.isdigit())
        found[fact.name] = [day for day in known if (since is None or day >= since) and day < until]
    return found


async def _columns(connection: asyncpg.Connection, fact: Fact) -> Columns:
    rows = await connection.fetch(
        "select attname, format_type(atttypid, null) as kind from pg_attribute"
        " where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum",
        f"bi.{fact.name}",
    )
    return {row["attname"]: row["kind"] for row in rows}


async def _write(connection: asyncpg.Connection, directory: Directory, task: Task, columns: Columns) -> int:
    fact, day, form = task.fact, task.day, directory.state.form
    target = directory.file_of(fact.name, day.isoformat(), files.ending_of(form))
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        settled = await connection.fetchval("select changed_seq from bi.settled")
        if await connection.fetchval("select to_regclass($1)", partition(fact, day)) is None:
            return 0  # dropped while we were about it: what was exported stays
        expected = await connection.fetchval(f"select count(*) from bi.{fact.name} where {where(fact, day)}")
        rows = 0
        if expected:
            query, options = copy(fact, day, columns, form)

            async def source(take: Callable[[bytes], Awaitable[None]]) -> None:
                await connection.copy_from_query(query, output=take, **options)

            rows = await files.write(target, form, columns, source)
        else:
            target.unlink(missing_ok=True)
    if rows != expected:
        target.unlink(missing_ok=True)
        raise ExportError(f"{target}: the database has {expected} rows and {rows} were written")
    directory.keep(fact.name, day.isoformat(), Day(rows, settled))
    return rows
