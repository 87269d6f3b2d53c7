"""What one can see of a carrier by its answers."""

from __future__ import annotations

from typing import Any

from gateway.connector.vitals import Vitals
from gateway.provider import Outcome, Reason, Receipt, Submission, accepted, refused

NOW_MS = 1_795_300_000_000


def answer(took_ms: int, outcome: Outcome | None = None) -> tuple[Submission, Outcome]:
    s = Submission(b"", 1, 1, 1, "", "", "", "gsm7", 0, 0, "otp", 0, NOW_MS - took_ms if took_ms else 0)
    return s, outcome or accepted("1")


def figures(vitals: Vitals, at_ms: int = NOW_MS) -> dict[str, Any]:
    return vitals.figures(at_ms)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    vitals = Vitals("north")
    for _ in range(100):
        vitals.answered([answer(5)] * 10, NOW_MS)
    assert figures(vitals)["rate_now_per_s"] == 100
    assert figures(vitals, NOW_MS + 10_000)["rate_now_per_s"] == 0


def test_times_to_answer_are_shown_as_median_and_worst_of_a_hundred() -> None:
    vitals = Vitals("north")
    for took_ms in range(1, 101):
        vitals.answered([answer(took_ms)], NOW_MS)
    assert (figures(vitals)["answer_p50_ms"], figures(vitals)["answer_p99_ms"]) == (51, 100)
    assert figures(vitals, NOW_MS + 61_000)["answer_p50_ms"] is None


def test_what_was_not_sent_says_nothing_of_the_carrier() -> None:
    vitals = Vitals("north")
    vitals.answered([answer(0)], NOW_MS)
    assert figures(vitals)["answer_p50_ms"] is None and figures(vitals)["rate_now_per_s"] == 0


def test_a_no_is_counted_by_the_carriers_own_number() -> None:
    vitals = Vitals("north")
    vitals.count_codes(
        [answer(1), answer(1, refused(Reason.BLOCKED, "0x0401")), answer(1, refused(Reason.BLOCKED, "0x0401"))]
    )
    for number in range(1000):
        vitals.count_codes([answer(1, refused(Reason.CARRIER_ERROR, f"0x{number + 0x1000:X}"))])
    codes = figures(vitals)["codes"]
    assert codes["0x0401"] == 2 and codes["other"] > 700 and len(codes) <= 20


def test_the_form_of_ids_is_believed_after_some_hits_and_then_every_receipt_is_read_so() -> None:
    vitals = Vitals("north")
    receipts = [Receipt("26", "delivered"), Receipt("m1", "delivered")]
    vitals.learn({"hex": 2})
    assert vitals.respell(receipts) is receipts
    vitals.learn({"hex": 9, "": 19})  # most receipts found theirs as they came
    assert vitals.respell(receipts) is receipts and vitals.take_received() == 4
    vitals.learn({"hex": 9, "padded_8": 5, "": 14})  # it is sometimes this, sometimes that
    assert vitals.respell(receipts) is receipts
    vitals.learn({"hex": 9, "padded_8": 3, "": 14})
    assert [r.carrier_message_id for r in vitals.respell(receipts)] == ["1A", "m1"]
    assert (figures(vitals)["message_ids"], figures(vitals)["message_ids_hits"]) == ("hex", 9)
