"""A short run of the fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

from tests.fuzz_smpp import GROWTH_BYTES, Fuzz


def test_no_mutated_pdu_breaks_a_link_goes_unanswered_or_takes_memory() -> None:
    seen = Fuzz(34).run(20_000)
    assert seen.answers and seen.receipts and seen.inbound and seen.unbinds and seen.out_of_step
    assert seen.growth_bytes <= GROWTH_BYTES
