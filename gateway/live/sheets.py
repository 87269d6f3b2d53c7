"""Rate sheets and the registry of senders beside the plan in use: swapped in every process when a version is activated.

In: the datasets `rates` and `senders`. Out: a `LivePlan` whose prices and senders are those of the newest versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway import logs
from gateway.live.datasets import Content, LiveDatasets
from gateway.live.plan import LivePlan
from gateway.sheets import rates, senders
from gateway.sheets.table import Fault

log = logs.stage("plan")


def attach(datasets: LiveDatasets, plan: LivePlan) -> None:
    """Keep the plan's prices and senders as the datasets have them. Before `datasets.watch` only."""

    async def take_rates(content: Content | None) -> None:
        sheet = rates.Sheet((), ()) if content is None else await asyncio.to_thread(rates.read, bytes(content.data))
        _warn("rates", content, sheet.faults)
        await plan.use_sheet(sheet.rates)

    async def take_senders(content: Content | None) -> None:
        found = (
            senders.Registry((), ()) if content is None else await asyncio.to_thread(senders.read, bytes(content.data))
        )
        _warn("senders", content, found.faults)
        plan.use_registry(found.senders)

    datasets.on_change("rates", take_rates)
    datasets.on_change("senders", take_senders)


def _warn(kind: str, content: Content | None, faults: Sequence[Fault]) -> None:
    """What is kept was checked: only another release's spelling can be strange to this one."""
    if content is not None and faults:
        line, why = faults[0]
        log.error("dataset_rows_not_read", kind=kind, version=content.version, rows=len(faults), line=line, why=why)
