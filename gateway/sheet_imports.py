"""Price lists and registries of senders brought in: read, put beside what is in use, compared, kept as a new version.

In: a file's bytes. Out: `Imported`: the version, what was read, what it would change. Never: a version made active; a
file with a wrong row kept.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.datasets.report import Report
from gateway.live import volumes as live_volumes
from gateway.plan.document import Plan, Rate, Sender
from gateway.plan.months import month_start_ms
from gateway.plan.parse import parse
from gateway.plan.rates import Rates
from gateway.sheets import changes, kinds, rates, sender_changes, senders
from gateway.sheets.changes import Summary
from gateway.sheets.month import Ladder, ladders
from gateway.sheets.rates import Given
from gateway.sheets.sender_changes import SenderSummary
from gateway.store import datasets, plans
from gateway.store.pool import Pool
from gateway.store.volumes import volumes

_WEEK_MS: Final = 7 * 86_400_000
S = TypeVar("S", Summary, SenderSummary)


class Wish(NamedTuple):
    """How a file is to be taken."""

    given: Given = Given()
    """What rows that say nothing use; `carrier` also says whose rows of a registry are replaced."""
    whole: bool = False
    """The file is all there is: rows of carriers that it does not name go too."""
    keep: bool = True
    note: str = ""
    source: str = ""


class Imported(NamedTuple, Generic[S]):
    """What became of a file. Without a summary something was wrong with it."""

    version: int | None
    """None: nothing was kept."""
    report: Report
    summary: S | None


async def import_rates(pool: Pool, data: bytes, wish: Wish, who: str) -> Imported[Summary]:
    """Bring in a price list. Raises StoreAwayError."""
    sheet = await asyncio.to_thread(rates.read, data, wish.given)
    report = kinds.report(len(sheet.rates), sheet.faults, sheet.remarks)
    if not report.is_good:
        return Imported(None, report, None)
    kept = await active_rates(pool)
    rows = sheet.rates if wish.whole else rates.merged(kept, sheet.rates)
    plan, now_ms = await active_plan(pool), round(time.time() * 1000)
    lately = await volumes(pool, now_ms - _WEEK_MS)
    summary = await asyncio.to_thread(changes.compare, plan, kept, rows, now_ms, lately)
    version = await _keep(pool, "rates", rates.write(rows), len(rows), wish, who)
    return Imported(version, report, summary)


async def import_senders(pool: Pool, data: bytes, wish: Wish, who: str) -> Imported[SenderSummary]:
    """Bring in a registry. Raises StoreAwayError."""
    registry = await asyncio.to_thread(senders.read, data)
    report = kinds.report(len(registry.senders), registry.faults, registry.remarks)
    if not report.is_good:
        return Imported(None, report, None)
    kept = await active_senders(pool)
    rows = sender_changes.merged(kept, registry.senders, "" if wish.whole else wish.given.carrier)
    summary = sender_changes.compare(await active_plan(pool), kept, rows)
    version = await _keep(pool, "senders", senders.write(sender_changes.rows_of(rows)), summary.rows, wish, who)
    return Imported(version, report, summary)


async def active_plan(pool: Pool) -> Plan:
    """The plan in use; an empty one before the first. Raises StoreAwayError."""
    active = await plans.active(pool)
    plan = parse(active.document) if active is not None else Plan()
    return plan if isinstance(plan, Plan) else Plan()


async def active_rates(pool: Pool) -> tuple[Rate, ...]:
    """Rows of the sheet in use. Raises StoreAwayError."""
    return (await asyncio.to_thread(rates.read, await _active(pool, "rates"))).rates


async def active_senders(pool: Pool) -> tuple[Sender, ...]:
    """Rows of the registry in use. Raises StoreAwayError."""
    return (await asyncio.to_thread(senders.read, await _active(pool, "senders"))).senders


async def month(pool: Pool) -> list[Ladder]:
    """Where the ladders of the plan and the sheet in use stand, by the roll-ups. Raises StoreAwayError."""
    plan, rows, now_ms = await active_plan(pool), await active_rates(pool), round(time.time() * 1000)
    made = await asyncio.to_thread(Rates, plan, rows)
    late = [carrier.name for carrier in plan.carriers if carrier.billed_on == "delivered"]
    since_ms = month_start_ms(now_ms, plan.defaults.timezone)
    sent = live_volumes.sums(await volumes(pool, since_ms, None, sorted(made.by_volume), late))
    return ladders(made, now_ms, lambda *key: sent.get(key, 0))


async def content(pool: Pool, version: int) -> bytes:
    """The whole of a version; empty when it is not kept. Raises StoreAwayError."""
    return b"".join([piece async for piece in datasets.content(pool, version)])


async def _active(pool: Pool, kind: str) -> bytes:
    active = await datasets.active(pool, kind)
    return b"" if active is None else await content(pool, active.version)


async def _keep(pool: Pool, kind: str, data: bytes, rows: int, wish: Wish, who: str) -> int | None:
    if not wish.keep:
        return None
    return await datasets.put(pool, kind, [data], rows=rows, who=who, note=wish.note, source=wish.source)
