"""Everything is killed while messages are sent; afterwards every figure equals the other: a tenth of `make chaos`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.figures import show
from tests.chaos.run import Order, run
from tests.chaos.stage import VICTIMS

ORDER = Order(messages=30_000, seed=7, validity_s=15)


@pytest.mark.timeout(900)
async def test_when_everything_dies_in_turn_ledger_phones_callbacks_and_statistics_agree(
    tmp_path: Path, cluster: Path
) -> None:
    figures = await run(ORDER, tmp_path / "data", cluster)
    show(figures, sys.stdout)
    assert not figures.findings
    assert (figures.accepted, figures.waiting, figures.lost) == (ORDER.messages, 0, 0)
    assert figures.delivered > ORDER.messages // 2, "hardly anything was sent before its time was over"
    assert set(figures.kills) == set(VICTIMS)
