"""`/v1/rates/import` and `/v1/senders/import`: price lists and registries of senders, beside what is in use.

In: CSV as text. Out: what it changes, and the version that was kept of it, as `/v1/datasets` has them; where month
ladders stand. Never: a file with a wrong row kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec

from gateway import sheet_imports
from gateway.api import call
from gateway.api.call import Answer, Call
from gateway.api.intake import why
from gateway.api.problems import Code, Problem, RowFault, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.sheet_documents import (
    Ladders,
    LadderView,
    NewRates,
    NewSenders,
    RatesImported,
    RatesSummary,
    SendersImported,
    SendersSummary,
    Unpriced,
)
from gateway.api.webhooks import ask, document
from gateway.datasets.report import Report
from gateway.live import datasets as live_datasets
from gateway.sheet_imports import Wish
from gateway.sheets.rates import Given
from gateway.store import datasets
from gateway.store.pool import StoreAwayError
from gateway.streams.link import RedisAwayError, ScriptError

_IMPORT_S: Final = 60.0
T = TypeVar("T")


async def import_rates(c: Call) -> Answer:
    """Bring in a price list."""
    wanted = await document(c, NewRates)
    if isinstance(wanted, Problem):
        return wanted
    if (wrong := _storable(wanted.note, wanted.source, wanted.carrier)) is not None:
        return wrong
    given = Given(wanted.carrier, wanted.valid_from, wanted.currency)
    wish = Wish(given, wanted.whole, wanted.keep, wanted.note, wanted.source)
    done = await _import(sheet_imports.import_rates(c.gate.pool, wanted.document.encode(), wish, c.who))
    if isinstance(done, Problem):
        return done
    if done.summary is None:
        return _wrong(done.report)
    live = await _tell(c, done.version, wanted.activate)
    if isinstance(live, Problem):
        return live
    found = msgspec.to_builtins(done.summary)
    found["without_price"] = [Unpriced(*pair) for pair in done.summary.without_price]
    summary = msgspec.convert(found, RatesSummary)
    return call.answer(RatesImported(done.version, live, done.report.rows, done.report.remarks, summary))


async def month(c: Call) -> Answer:
    """Where month ladders stand."""
    found = await ask(sheet_imports.month(c.gate.pool))
    if isinstance(found, Problem):
        return found
    return call.answer(Ladders(msgspec.convert(msgspec.to_builtins(found), list[LadderView])))


async def import_senders(c: Call) -> Answer:
    """Bring in a registry of senders."""
    wanted = await document(c, NewSenders)
    if isinstance(wanted, Problem):
        return wanted
    if (wrong := _storable(wanted.note, wanted.source, wanted.carrier)) is not None:
        return wrong
    wish = Wish(Given(wanted.carrier), not wanted.carrier, wanted.keep, wanted.note, wanted.source)
    done = await _import(sheet_imports.import_senders(c.gate.pool, wanted.document.encode(), wish, c.who))
    if isinstance(done, Problem):
        return done
    if done.summary is None:
        return _wrong(done.report)
    live = await _tell(c, done.version, wanted.activate)
    if isinstance(live, Problem):
        return live
    summary = msgspec.convert(msgspec.to_builtins(done.summary), SendersSummary)
    return call.answer(SendersImported(done.version, live, done.report.rows, done.report.remarks, summary))


async def _import(work: Awaitable[T]) -> T | Problem:
    try:
        async with asyncio.timeout(_IMPORT_S):
            return await work
    except (StoreAwayError, TimeoutError):
        return store_away()


async def _tell(c: Call, version: int | None, activate: bool) -> bool | Problem:
    """Let every process fetch what was kept, and use it if that is asked for; whether it is in use."""
    if version is None:
        return False
    try:
        async with asyncio.timeout(STORE_S):
            if activate:
                await live_datasets.activate(c.gate.pool, c.gate.redis, version, who=c.who)
            else:
                await live_datasets.publish(c.gate.pool, c.gate.redis)
    except (StoreAwayError, TimeoutError):
        return store_away()
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    row = await ask(datasets.row(c.gate.pool, version))
    return row if isinstance(row, Problem) else row is not None and row.active


def _wrong(report: Report) -> Problem:
    """The answer to a file with wrong rows, or with none."""
    faults = report.faults
    if not faults:
        return problem(Code.DATASET_INVALID, "There is no row below the names of the columns.", pointer="/document")
    said = problem(Code.DATASET_INVALID, f"Line {faults[0].line}: {faults[0].sentence}", pointer="/document")
    return msgspec.structs.replace(said, row_faults=tuple(RowFault(f.line, f.sentence) for f in faults))


def _storable(*texts: str) -> Problem | None:
    if any("\0" in text for text in texts):
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.")
    return None
