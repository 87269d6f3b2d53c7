"""The two ways to the stop lists: PostgreSQL and Redis themselves, or a running gateway by HTTP.

In: settings, or the gateway's address and key. Out: the same answers either way. An expected no is an AccessError.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from gateway import logs
from gateway.commands.client import Client, Refused
from gateway.config import Settings
from gateway.live import stops as live_stops
from gateway.sheets.numbers_file import SLICE
from gateway.stops.classes import classes_of, mask_of
from gateway.store import stop_versions, stops
from gateway.store.pool import Pool, StoreAwayError
from gateway.store.stop_versions import Difference, Imported, StopVersion
from gateway.store.stops import Added, Listed, StopRow
from gateway.streams.link import Redis, RedisAwayError, ScriptError

T = TypeVar("T")

_UNKNOWN = "there is no such version of the list that one can return to: sluice stoplist versions"
_PAGE, _ROWS = 500, 10_000  # entries asked for at once, by HTTP and of PostgreSQL


class Change(msgspec.Struct, frozen=True):
    """What is put on a list."""

    client: str | None
    classes: Sequence[str]
    reason: str


class Version(msgspec.Struct):
    """A version of what was imported, as the API writes it."""

    version: int
    client: str | None
    how: str
    back_to: int | None
    classes: tuple[str, ...]
    note: str
    source: str
    numbers: int
    added: int
    changed: int
    removed: int
    created_at: datetime
    created_by: str
    current: bool
    kept: bool


class Access(Protocol):
    """What the command needs of whoever has the lists. Entries are as the API writes them."""

    region: str

    def add(self, numbers: Sequence[str], change: Change) -> Added:
        """Put some numbers on a list."""

    def bring_in(self, slices: Iterable[Sequence[str]], change: Change, source: str, whole: bool) -> Imported:
        """Put a file of them on it, as a version; `source` names the file, `whole`: it is all that is imported."""

    def remove(self, numbers: Sequence[str], client: str | None, classes: Sequence[str]) -> int:
        """Take numbers off; how many were there."""

    def check(self, number: str, client: str | None) -> dict[str, Any]:
        """What is stopped for a number."""

    def entries(self, client: str | None, limit: int | None, full: bool) -> Iterator[dict[str, Any]]:
        """Entries, newest first; None: all of them. `full`: with their numbers."""

    def versions(self, client: str | None, limit: int) -> list[Version]:
        """Versions of one list, or of all (None), newest first."""

    def difference(self, client: str | None, before: int | None, after: int | None, some: int) -> dict[str, Any]:
        """What differs between two versions, as the API writes it."""

    def rollback(self, client: str | None, version: int | None) -> Version:
        """Return to a version, or to the one before the newest."""


class ByServers:
    """For operators on the servers themselves."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.region = settings, settings.default_region.upper()

    def add(self, numbers: Sequence[str], change: Change) -> Added:
        async def work(pool: Pool, redis: Redis) -> Added:
            made = await stops.add(pool, numbers, _listed(change, "operator"))
            await live_stops.publish(pool, redis)
            return made

        return self._run(work)

    def bring_in(self, slices: Iterable[Sequence[str]], change: Change, source: str, whole: bool) -> Imported:
        """In one transaction: all of it counts, or nothing."""

        async def work(pool: Pool, redis: Redis) -> Imported:
            async with stop_versions.importing(pool, _listed(change, "import"), source, whole=whole) as one:
                for numbers in slices:
                    await one.put(numbers)
                if not one.count:
                    raise click.ClickException("there is no number in the file: nothing was imported")
                made = await one.merge()
            await live_stops.publish(pool, redis)
            return made

        return self._run(work)

    def remove(self, numbers: Sequence[str], client: str | None, classes: Sequence[str]) -> int:
        async def work(pool: Pool, redis: Redis) -> int:
            mask = mask_of(classes) if classes else 15
            gone = await stops.remove(pool, numbers, client or "", who=_who(), mask=mask)
            await live_stops.publish(pool, redis)
            return gone

        return self._run(work)

    def check(self, number: str, client: str | None) -> dict[str, Any]:
        async def work(pool: Pool, _: Redis) -> list[StopRow]:
            return await stops.of_number(pool, number)

        rows = self._run(work)
        mask = 0
        for row in rows:
            mask |= row.mask if row.client in ("", client or "") else 0
        shown = [_document(row, True) for row in rows if client is None or row.client in ("", client)]
        return {"number": number, "stopped": classes_of(mask), "entries": shown}

    def entries(self, client: str | None, limit: int | None, full: bool) -> Iterator[dict[str, Any]]:
        if full:
            self._run(lambda pool, _: stops.note_export(pool, client, who=_who()))
        before = 0
        while limit is None or limit > 0:
            size = _ROWS if limit is None else min(limit, _ROWS)
            rows = self._run(lambda pool, _, size=size, before=before: stops.page(pool, client, size, before))  # type: ignore[misc]
            yield from (_document(row, full) for row in rows)
            if len(rows) < size:
                return
            limit, before = None if limit is None else limit - size, rows[-1].id

    def versions(self, client: str | None, limit: int) -> list[Version]:
        return list(map(_version, self._run(lambda pool, _: stop_versions.history(pool, client, limit))))

    def difference(self, client: str | None, before: int | None, after: int | None, some: int) -> dict[str, Any]:
        async def work(pool: Pool, _: Redis) -> Difference:
            pair = await stop_versions.two(pool, client, before, after)
            if pair is None:
                raise click.ClickException(_UNKNOWN)
            return await stop_versions.difference(pool, *pair, some)

        found = self._run(work)
        numbers = [
            {"number": d.recipient, "before": classes_of(d.before), "after": classes_of(d.after)} for d in found.some
        ]
        return {**msgspec.structs.asdict(found), "client": found.client or None, "numbers": numbers}

    def rollback(self, client: str | None, version: int | None) -> Version:
        async def work(pool: Pool, redis: Redis) -> StopVersion:
            pair = await stop_versions.two(pool, client, version, None)
            done = await stop_versions.rollback(pool, pair[0], pair[1], who=_who()) if pair is not None else None
            if done is None:
                raise click.ClickException(_UNKNOWN)
            await live_stops.publish(pool, redis)
            return done

        return _version(self._run(work))

    def _run(self, work: Callable[[Pool, Redis], Awaitable[T]]) -> T:
        settings = self._settings

        async def run() -> T:
            redis = await Redis.open(settings.redis_url, settings.shards)
            pool = await Pool.open(settings.postgres_url, size=1)
            try:
                return await work(pool, redis)
            finally:
                await pool.close()
                await redis.close()

        try:
            return asyncio.run(run())
        except StoreAwayError as e:
            raise click.ClickException(str(e)) from e
        except (RedisAwayError, ScriptError) as e:
            raise click.ClickException(f"{e}: what was changed counts everywhere once Redis is back") from e


class ByHttp:
    """For whoever has a key."""

    region = ""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self, numbers: Sequence[str], change: Change) -> Added:
        body = {"numbers": numbers, "client": change.client, "classes": change.classes, "reason": change.reason}
        said = self._client.post("/v1/stoplist", body)
        return Added(said["added"], said["changed"])

    def bring_in(self, slices: Iterable[Sequence[str]], change: Change, source: str, whole: bool) -> Imported:
        """In one request, as a version. A client's own key has none: its numbers are single entries, request by
        request, and repeating after a failure is safe."""
        with tempfile.TemporaryDirectory(prefix="sluice-import-") as name:
            path = Path(name) / "numbers.csv"
            with path.open("w", encoding="utf-8") as file:
                file.write("to\n")
                for numbers in slices:
                    file.writelines(f"{number}\n" for number in numbers)
            asked = {"classes": ",".join(change.classes), "reason": change.reason, "source": source}
            asked |= {"client": change.client} if change.client else {}
            asked |= {"whole": "true"} if whole else {}
            try:
                made = self._client.upload(f"/v1/stoplist/import?{urlencode(asked)}", path, "text/csv")
            except Refused as e:
                if e.code != "scope_missing" or whole:
                    raise
                return self._one_by_one(path, change)
            return Imported(made["version"], made["added"], made["changed"], made["removed"])

    def _one_by_one(self, path: Path, change: Change) -> Imported:
        fresh = changed = 0
        with path.open(encoding="utf-8") as file:
            next(file)
            while numbers := [line.rstrip() for line in islice(file, SLICE)]:
                made = self.add(numbers, change)
                fresh, changed = fresh + made.fresh, changed + made.changed
        return Imported(None, fresh, changed)

    def remove(self, numbers: Sequence[str], client: str | None, classes: Sequence[str]) -> int:
        said = self._client.post("/v1/stoplist/remove", {"numbers": numbers, "client": client, "classes": classes})
        return int(said["removed"])

    def check(self, number: str, client: str | None) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/v1/stoplist/{quote(number, safe='')}", {"client": client})
        return found

    def entries(self, client: str | None, limit: int | None, full: bool) -> Iterator[dict[str, Any]]:
        whose = f"&client={quote(client, safe='')}" if client else ""
        path: str | None = f"/v1/stoplist?limit={min(limit or _PAGE, _PAGE)}{whose}"
        while path is not None and limit != 0:
            page = self._client.get(path)
            for entry in page["entries"]:
                if full and "*" in entry["number"]:
                    raise click.ClickException("numbers in full need a key with the scope `privacy`")
                yield entry
                limit = None if limit is None else limit - 1
                if limit == 0:
                    return
            path = page["next"]

    def versions(self, client: str | None, limit: int) -> list[Version]:
        found = self._client.get("/v1/stoplist/versions", {"client": client, "limit": str(limit)})
        return msgspec.convert(found["versions"], list[Version])

    def difference(self, client: str | None, before: int | None, after: int | None, some: int) -> dict[str, Any]:
        asked = {"client": client, "from": _text(before), "to": _text(after), "limit": str(some)}
        found: dict[str, Any] = self._client.get("/v1/stoplist/diff", asked)
        return found

    def rollback(self, client: str | None, version: int | None) -> Version:
        done = self._client.post("/v1/stoplist/rollback", {"version": version, "client": client})
        return msgspec.convert(done, Version)


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)


def _version(row: StopVersion) -> Version:
    found = msgspec.structs.asdict(row)
    mask, created_ms = found.pop("mask"), found.pop("created_ms")
    found |= {"client": row.client or None, "classes": classes_of(mask)}
    return Version(created_at=datetime.fromtimestamp(created_ms / 1000, UTC), **found)


def _listed(change: Change, source: stops.Source) -> Listed:
    return Listed(change.client or "", mask_of(change.classes), source, _who(), change.reason)


def _document(row: StopRow, full: bool) -> dict[str, Any]:
    return {
        "number": row.recipient if full else logs.masked(row.recipient),
        "client": row.client or None,
        "classes": classes_of(row.mask),
        "source": row.source,
        "reason": row.reason,
        "who": row.who,
        "at": datetime.fromtimestamp(row.at_ms / 1000, UTC).isoformat(),
    }


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
