"""`/v1/datasets`: versions of the long things beside the plan, taken as CSV, made active, given back.

In: a file, as a stream. Out: versions. Never: a whole file in memory; a file with too many wrong rows kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from gateway.api import call, query
from gateway.api.call import Answer, Call
from gateway.api.dataset_documents import DatasetEnded, DatasetKept, DatasetReturn, Datasets, DatasetUse, DatasetView
from gateway.api.intake import why
from gateway.api.problems import Code, Problem, RowFault, problem
from gateway.api.reading import store_away
from gateway.api.render import time_of
from gateway.api.webhooks import ask, document
from gateway.datasets import kinds as dataset_kinds
from gateway.datasets.files import UPLOAD, CacheFiles, directory_of
from gateway.datasets.kinds import KINDS, ChildError
from gateway.datasets.report import Report
from gateway.live import datasets as live_datasets
from gateway.store import datasets
from gateway.store.datasets import Dataset
from gateway.store.pool import StoreAwayError
from gateway.streams import using
from gateway.streams.link import RedisAwayError, ScriptError

MAX_BYTES: Final = 4 << 30
_PIECE_BYTES: Final = 1 << 18
_PIECE_S: Final = 30.0
_YES: Final = ("true", "1", "yes")


async def list_datasets(c: Call) -> Answer:
    """Versions, newest first."""
    if wrong := query.known_only(c.request.query, ("kind", "limit")):
        return wrong
    limit = query.limit(c.request.query)
    if isinstance(limit, Problem):
        return limit
    found = await ask(datasets.history(c.gate.pool, c.request.query.get("kind"), limit))
    return found if isinstance(found, Problem) else call.answer(Datasets([view(row) for row in found]))


async def keep_dataset(c: Call) -> Answer:
    """Read a file and keep it as a new version, and make it active if that is asked for."""
    kind = c.params["kind"]
    if kind not in KINDS:
        return unknown_kind()
    given = c.request.query
    if wrong := query.known_only(given, ("note", "source", "activate")):
        return wrong
    files = CacheFiles(directory_of(c.gate.settings.cache_dir, c.gate.settings.redis_url))
    try:
        await asyncio.to_thread(files.open)
        with tempfile.TemporaryDirectory(prefix=UPLOAD, dir=files.directory) as name:
            return await _kept(c, kind, Path(name))
    except OSError as e:
        return problem(Code.NOT_READY, f"This server has no room for the file: {e.strerror}.")


async def get_content(c: Call) -> Answer:
    """The CSV of a version."""
    found = await _row(c)
    if isinstance(found, Problem):
        return found
    if not found.kept:
        return unknown_version(c)
    name = f'attachment; filename="{found.kind}-{found.version}.csv"'
    headers = {"Content-Disposition": name, "ETag": f'"{found.sha256}"', "Content-Type": "text/csv; charset=utf-8"}
    return web.Response(body=datasets.content(c.gate.pool, found.version), headers=headers)


async def activate(c: Call) -> Answer:
    """Make a version the one of its kind that is in use, in every process within a second."""
    found = await _row(c)
    return found if isinstance(found, Problem) else await _activated(c, found.version)


async def rollback(c: Call) -> Answer:
    """Return to a version, or to the one that was in use before."""
    if c.params["kind"] not in KINDS:
        return unknown_kind()
    wanted = await document(c, DatasetReturn)
    if isinstance(wanted, Problem):
        return wanted
    version = wanted.version
    if version is not None and not 0 < version < 2**63:
        return unknown_version(c)
    gate = c.gate
    done = await _asked(live_datasets.rollback(gate.pool, gate.redis, c.params["kind"], version, who=c.who))
    return done if isinstance(done, Problem) else call.answer(view(done))


async def show_use(c: Call) -> Answer:
    """How many processes use the version in use already."""
    kind = c.params["kind"]
    if kind not in KINDS:
        return unknown_kind()
    active = await ask(datasets.active(c.gate.pool, kind))
    if isinstance(active, Problem):
        return active
    try:
        found = await using.versions(c.gate.redis, kind)
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    version = active.version if active is not None else None
    return call.answer(DatasetUse(version, len(found), found.count(version or 0)))


async def deactivate(c: Call) -> Answer:
    """Use no version of a kind any more."""
    kind = c.params["kind"]
    if kind not in KINDS:
        return unknown_kind()
    try:
        ended = await ask(live_datasets.deactivate(c.gate.pool, c.gate.redis, kind, who=c.who))
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    return ended if isinstance(ended, Problem) else call.answer(DatasetEnded(ended))


def view(row: Dataset) -> DatasetView:
    """A version as the API shows it."""
    return DatasetView(
        version=row.version,
        kind=row.kind,
        active=row.active,
        kept=row.kept,
        rows=row.rows,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        note=row.note,
        source=row.source,
        created_at=time_of(row.created_ms),
        created_by=row.created_by,
        activated_at=time_of(row.activated_ms) if row.activated_ms else None,
        activated_by=row.activated_by,
    )


def unknown_kind() -> Problem:
    """There is no such kind."""
    return problem(Code.UNKNOWN_DATASET, f"There is no such kind of datasets; there are {', '.join(KINDS)}.")


def unknown_version(c: Call) -> Problem:
    """There is no such version."""
    kind = c.params["kind"]
    sentence = f"There is no such version of {kind} whose content is kept; GET /v1/datasets lists them."
    return problem(Code.UNKNOWN_DATASET, sentence if kind in KINDS else unknown_kind().detail)


async def _kept(c: Call, kind: str, directory: Path) -> Answer:
    source, target = directory / "given", directory / "kept"
    if refused := await take_body(c, source):
        return refused
    try:
        report = await dataset_kinds.check(kind, source, target)
    except ChildError:
        return problem(Code.DATASET_INVALID, "The file could not be read: see that it is a CSV file of this kind.")
    if not report.is_good:
        return _invalid(report)
    given = c.request.query
    try:
        version = await datasets.put(
            c.gate.pool,
            kind,
            datasets.pieces(target),
            rows=report.rows,
            who=c.who,
            note=given.get("note", ""),
            source=given.get("source", ""),
        )
        row = await datasets.row(c.gate.pool, version)
    except StoreAwayError:
        return store_away()
    assert row is not None, "versions are never deleted"
    if given.get("activate") in _YES:
        done = await _asked(live_datasets.activate(c.gate.pool, c.gate.redis, version, who=c.who))
        if isinstance(done, Problem):
            return done
        row = done
    else:
        await _asked(_published(c, row))  # that nothing is fetched ahead is no harm: keep_published makes up for it
    faults = [RowFault(f.line, f.sentence) for f in report.faults]
    return call.answer(DatasetKept(view(row), report.errors, faults, report.remarks), 201)


async def _published(c: Call, row: Dataset) -> Dataset:
    await live_datasets.publish(c.gate.pool, c.gate.redis)
    return row


async def take_body(c: Call, path: Path) -> Problem | None:
    """The body, into a file, as it comes; or why not."""
    taken = 0
    with path.open("wb") as file:
        try:
            while True:
                async with asyncio.timeout(_PIECE_S):
                    piece = await c.request.content.read(_PIECE_BYTES)
                if not piece:
                    break
                taken += len(piece)
                if taken > MAX_BYTES:
                    return problem(Code.TOO_LARGE, f"The file has more than {MAX_BYTES >> 30} GiB.")
                file.write(piece)
        except TimeoutError:
            return problem(Code.BODY_TOO_SLOW, f"No part of the body arrived for {_PIECE_S:.0f} s.")
        except web.RequestPayloadError:
            return problem(Code.DATASET_INVALID, "The body ends too early, or is not encoded as its headers say.")
    return None if taken else problem(Code.DATASET_INVALID, "The body is empty: it has to be the CSV file itself.")


def _invalid(report: Report) -> Problem:
    faults = tuple(RowFault(f.line, f.sentence) for f in report.faults)
    if faults:
        first = faults[0]
        sentence = f"{report.errors} rows are wrong, {report.tolerated} would be tolerated. Line {first.line}: "
        sentence += first.sentence + "."
    else:
        sentence = " ".join(report.remarks) or "There is no row in it."
    return msgspec.structs.replace(problem(Code.DATASET_INVALID, sentence), row_faults=faults)


async def _row(c: Call) -> Dataset | Problem:
    """The version that the path names: a number, or `active`."""
    kind, text = c.params["kind"], c.params["version"]
    if text == "active":
        found = await ask(datasets.active(c.gate.pool, kind))
    elif text.isascii() and text.isdigit() and len(text) < 19:
        found = await ask(datasets.row(c.gate.pool, int(text)))
    else:
        return unknown_version(c)
    if isinstance(found, Problem):
        return found
    return found if found is not None and found.kind == kind else unknown_version(c)


async def _activated(c: Call, version: int) -> Answer:
    done = await _asked(live_datasets.activate(c.gate.pool, c.gate.redis, version, who=c.who))
    return done if isinstance(done, Problem) else call.answer(view(done))


async def _asked(work: live_datasets.Change) -> Dataset | Problem:
    try:
        done = await ask(work)
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    if isinstance(done, live_datasets.Refused):
        return problem(Code.UNKNOWN_DATASET, done.sentence)
    return done
