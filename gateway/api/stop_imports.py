"""`/v1/stoplist/import` and the versions that imports make: compared, and returned to.

In: a file of numbers, as a stream. Out: versions. Never: a file half imported; an entry that came one by one taken off
by a return to another version.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from gateway import logs
from gateway.api import call, privacy, query
from gateway.api.call import Answer, Call
from gateway.api.datasets import take_body
from gateway.api.documents import ClassName
from gateway.api.problems import Code, Problem, RowFault, problem
from gateway.api.reading import store_away
from gateway.api.render import time_of
from gateway.api.stop_documents import (
    StopChange,
    StopDiff,
    StopReturn,
    StopsImported,
    StopVersions,
    StopVersionView,
)
from gateway.api.stoplist import KNOWN_S, publish
from gateway.api.webhooks import ask, document
from gateway.datasets.files import UPLOAD, CacheFiles, directory_of
from gateway.message import CLASSES
from gateway.sheets.numbers_file import FileFault, Numbers, Slice
from gateway.stops.classes import BITS, UNLESS_SAID, classes_of, mask_of
from gateway.store import stop_versions
from gateway.store.pool import StoreAwayError
from gateway.store.stop_versions import Imported, StopVersion
from gateway.store.stops import Listed

T = TypeVar("T")

_WORK_S: Final = 60.0
_FAULTS: Final = 100
_SLICE: Final = 1_000
_YES: Final = ("true", "1", "yes")
_UNKNOWN: Final = (
    "The list has no such version that one can return to: GET /v1/stoplist/versions lists them, and of a list the"
    " newest thirty are kept."
)


async def import_numbers(c: Call) -> Answer:
    """Put a file of numbers on a list, as a version."""
    given = c.request.query
    if wrong := query.known_only(given, ("client", "classes", "reason", "source", "column", "whole")):
        return wrong
    classes = tuple(given["classes"].split(",")) if "classes" in given else UNLESS_SAID
    classes = CLASSES if classes == ("all",) else classes
    if not set(classes) <= set(BITS):
        return query.invalid("classes", f"`classes` is `all`, or some of {', '.join(CLASSES)} with commas between.")
    source = given.get("source", "")
    reason = given.get("reason") or source
    listed = Listed(given.get("client", ""), mask_of(classes), "import", c.who, reason[:200])
    files = CacheFiles(directory_of(c.gate.settings.cache_dir, c.gate.settings.redis_url))
    try:
        await asyncio.to_thread(files.open)
        with tempfile.TemporaryDirectory(prefix=UPLOAD, dir=files.directory) as name:
            path = Path(name) / "given"
            if refused := await take_body(c, path):
                return refused
            file = Numbers(path, c.gate.rules.region, given.get("column"), "the file", _SLICE)
            return await _imported(c, file, listed, source, given.get("whole", "") in _YES)
    except FileFault as e:
        return problem(Code.DATASET_INVALID, f"{e}.")
    except OSError as e:
        return problem(Code.NOT_READY, f"This server has no room for the file: {e.strerror}.")


async def list_versions(c: Call) -> Answer:
    """What was imported into a list, or into all of them, the newest first."""
    if wrong := query.known_only(c.request.query, ("client", "limit")):
        return wrong
    limit = query.limit(c.request.query)
    if isinstance(limit, Problem):
        return limit
    found = await ask(stop_versions.history(c.gate.pool, c.request.query.get("client"), limit))
    return found if isinstance(found, Problem) else call.answer(StopVersions([view(row) for row in found]))


async def compare(c: Call) -> Answer:
    """What one version of a list has that another has not."""
    given = c.request.query
    if wrong := query.known_only(given, ("client", "from", "to", "limit")):
        return wrong
    before, after, limit = _version(c, "from"), _version(c, "to"), query.limit(given)
    for one in (before, after, limit):
        if isinstance(one, Problem):
            return one
    assert not isinstance(before, Problem) and not isinstance(after, Problem) and isinstance(limit, int)
    pair = await ask(stop_versions.two(c.gate.pool, given.get("client"), before, after))
    if isinstance(pair, Problem):
        return pair
    if pair is None:
        return problem(Code.UNKNOWN_DATASET, _UNKNOWN)
    found = await _long(stop_versions.difference(c.gate.pool, *pair, limit))
    if isinstance(found, Problem):
        return found
    whose, versions = found.client or "everybody", {"before": found.before, "after": found.after}
    full = bool(found.some) and await privacy.look(c, "stoplist.look", whose, found=len(found.some), **versions)
    shown = [
        StopChange(d.recipient if full else logs.masked(d.recipient), _classes(d.before), _classes(d.after))
        for d in found.some
    ]
    counts = (found.added, found.changed, found.removed)
    return call.answer(StopDiff(found.client or None, found.before, found.after, *counts, shown))


async def rollback(c: Call) -> Answer:
    """Return to an earlier version of a list."""
    wanted = await document(c, StopReturn)
    if isinstance(wanted, Problem):
        return wanted
    if wanted.version is not None and not 0 <= wanted.version < 2**63:
        return problem(Code.UNKNOWN_DATASET, _UNKNOWN)
    if wanted.client is not None and "\0" in wanted.client:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.", pointer="/client")
    pair = await ask(stop_versions.two(c.gate.pool, wanted.client, wanted.version, None))
    if isinstance(pair, Problem):
        return pair
    client, target, _ = pair or ("", -1, 0)
    done = await _long(stop_versions.rollback(c.gate.pool, client, target, who=c.who)) if pair is not None else None
    if isinstance(done, Problem):
        return done
    if done is None:
        return problem(Code.UNKNOWN_DATASET, _UNKNOWN)
    await publish(c)
    await asyncio.sleep(KNOWN_S)
    return call.answer(view(done))


def view(row: StopVersion) -> StopVersionView:
    """A version as the API shows it."""
    return StopVersionView(
        version=row.version,
        client=row.client or None,
        how=row.how,  # type: ignore[arg-type]
        back_to=row.back_to,
        classes=_classes(row.mask),
        note=row.note,
        source=row.source,
        numbers=row.numbers,
        added=row.added,
        changed=row.changed,
        removed=row.removed,
        created_at=time_of(row.created_ms),
        created_by=row.created_by,
        current=row.current,
        kept=row.kept,
    )


async def _imported(c: Call, file: Numbers, listed: Listed, source: str, whole: bool) -> Answer:
    slices, faults, refused = file.slices(), list[RowFault](), 0
    try:
        async with stop_versions.importing(c.gate.pool, listed, source, whole=whole) as one:
            while (found := await asyncio.to_thread(_next, slices)) is not None:
                refused += len(found.wrong)
                faults += [RowFault(w.line, w.sentence) for w in found.wrong[: _FAULTS - len(faults)]]
                if found.numbers:
                    await one.put(found.numbers)
            if not one.count:
                return problem(Code.DATASET_INVALID, "There is no number in the file: a number a line is right.")
            made = await one.merge()
            read = one.count
    except StoreAwayError:
        return store_away()
    if made.version is not None:
        await publish(c)
        await asyncio.sleep(KNOWN_S)
    return call.answer(_said(made, read, refused, faults))


def _said(made: Imported, read: int, refused: int, faults: list[RowFault]) -> StopsImported:
    unchanged = read - made.fresh - made.changed
    return StopsImported(made.version, read, made.fresh, made.changed, made.removed, unchanged, refused, faults)


def _next(slices: object) -> Slice | None:
    return next(slices, None)  # type: ignore[call-overload, no-any-return]


def _classes(mask: int) -> Sequence[ClassName]:
    return classes_of(mask)  # type: ignore[return-value]


def _version(c: Call, name: str) -> int | Problem | None:
    text = c.request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return query.invalid(name, f"`{name}` is the number of a version; 0 is what was there before the first.")
    return int(text)


async def _long(work: Awaitable[T]) -> T | Problem:
    """PostgreSQL's answer to what may take its time."""
    try:
        async with asyncio.timeout(_WORK_S):
            return await work
    except (StoreAwayError, TimeoutError):
        return store_away()
