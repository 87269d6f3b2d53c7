"""A short run of the callbacks' fuzzer; `make fuzz-callbacks` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz_callbacks import NAMES, Fuzz


@pytest.mark.parametrize("name", NAMES)
async def test_no_mutated_callback_makes_an_error_of_ours(name: str) -> None:
    seen = await Fuzz(name).run(1000)
    assert seen["kept"] and seen["refused"] and (seen["nudges"] or (seen["receipts"] and seen["inbound"]))
