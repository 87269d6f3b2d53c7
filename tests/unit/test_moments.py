"""The timeline of a message as the API tells it: everything, in order, in words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api.moments import code_in_words, time_of, timeline
from gateway.message import id_tail, make_id
from gateway.store.messages import CallbackSeen, Found, Note, ReceiptSeen, Submission, Timeline, Wait

AT = 1_795_300_000_000
ROW = Found(
    id=make_id(AT, id_tail(0, bytes(9))), client="shop", klass="otp", recipient="+79161234567", sender="Sluice",
    text="hello", encoding="gsm7", parts=1, state="delivered", reason="", ref="", tag="", meta="", callback_url="",
    batch_id=b"", send_at_ms=0, deadline_ms=AT + 300_000, attempt=2, carrier="south", operator="mts", route="urgent",
    plan_version=3, price_micro=1, cost_micro=1, currency="RUB", routed_ms=AT + 900, submitted_ms=AT + 1_000,
    final_ms=AT + 3_000, changed_ms=AT + 3_000, seq=1, key_id="key_1", test=False, traceparent="",
)  # fmt: skip


def submission(attempt: int, at: int, **given: Any) -> Submission:
    fields: dict[str, Any] = {
        "attempt": attempt, "part": 0, "parts": 1, "kind": 0, "late": False, "carrier": "north", "bind": "north-1",
        "reason": "", "code": "", "carrier_message_id": "c1", "operator": "mts", "route": "urgent", "plan_version": 3,
        "price_micro": 1, "currency": "RUB", "routed_ms": AT + at - 5, "sent_ms": AT + at, "answered_ms": AT + at + 41,
    }  # fmt: skip
    return Submission(**(fields | given))


def told(**given: Any) -> CallbackSeen:
    fields: dict[str, Any] = {
        "seq": 1, "at_ms": AT + 3_000, "state": "delivered", "reason": "", "url": "https://app.example/cb", "tries": 1,
        "done_ms": AT + 3_100, "error": "", "status": 200, "outcome": "delivered", "next_try_ms": 0, "endpoint": "",
    }  # fmt: skip
    return CallbackSeen(**(fields | given))


def seen(**given: Any) -> Timeline:
    empty: dict[str, Any] = {"submissions": [], "receipts": [], "notes": [], "waits": [], "callbacks": []}
    return Timeline(**(empty | given))


def test_a_timeline_is_whole_in_order_and_ends_with_the_end() -> None:
    refused = submission(1, 10, kind=2, reason="invalid_sender", code="0x0A")
    receipt = ReceiptSeen(
        AT + 3_000, 2, 0, "south", "south-1", "delivered", "", "000", AT + 2_900, "id:c2 …", "id", "c2"
    )
    moments = timeline(
        ROW,
        seen(
            submissions=[refused, submission(2, 1_000, carrier="south")],
            receipts=[receipt],
            notes=[Note(AT + 60, "parked", 1, "", "temporary", "", AT + 900)],
            waits=[Wait(AT + 500, "later", "north", "rate", 0)],
            callbacks=[told()],
            key_name="web",
        ),
    )
    assert [m.event for m in moments] == [
        "accepted", "routed", "submitted", "parked", "waiting", "routed", "submitted", "receipt", "ended", "callback",
    ]  # fmt: skip
    assert [m.at for m in moments] == sorted(m.at for m in moments)
    accepted, routed, submitted, *_, back, ended, callback = moments
    assert (accepted.client, accepted.key, accepted.key_name) == ("shop", "key_1", "web")
    assert (routed.plan_version, routed.route, routed.carrier, routed.attempt) == (3, "urgent", "north", 1)
    assert routed.words == "the first rule that takes it is urgent, and north the first carrier of it that can send now"
    assert (submitted.bind, submitted.latency_ms, submitted.code) == ("north-1", 41, "0x0A")
    assert submitted.words == ("the carrier refused it: the carrier does not accept this sender (0x0A ESME_RINVSRCADR)")
    assert (back.raw, back.carrier_message_id, back.done_at) == ("id:c2 …", "c2", time_of(AT + 2_900))
    assert (ended.state, ended.at) == ("delivered", time_of(AT + 3_000))
    assert (callback.host, callback.status, callback.at) == ("app.example", 200, time_of(AT + 3_100))


def test_an_end_that_is_noted_is_told_once() -> None:
    note = Note(AT + 3_000, "ended", 0, "delivered", "", "north", 0)
    assert [m.event for m in timeline(ROW, seen(notes=[note]))].count("ended") == 1


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"failures": ""}, [(3_100, 1, 200, None)]),
        (
            {"failures": f'[{AT + 3_050},500,"answered 500"]\n', "tries": 2},
            [(3_050, 1, 500, None), (3_100, 2, 200, None)],
        ),
        (
            {
                "failures": f'[{AT + 3_050},0,"no answer"]\n[{AT + 5_000},503,"busy"]\n',
                "tries": 2, "outcome": "", "done_ms": 0, "error": "busy", "status": 503, "next_try_ms": AT + 9_000,
            },
            [(3_050, 1, None, None), (5_000, 2, 503, 9_000)],
        ),
        (
            {"failures": f'[{AT + 3_050},500,"answered 500"]\n', "outcome": "failed", "error": "it was removed"},
            [(3_050, 1, 500, None), (3_100, 1, 200, None)],
        ),
    ],
)  # fmt: skip
def test_every_attempt_to_tell_an_application_is_a_moment(given: dict[str, Any], shown: list[tuple[Any, ...]]) -> None:
    moments = [m for m in timeline(ROW, seen(callbacks=[told(**given)])) if m.event == "callback"]
    assert [
        (
            round(m.at.timestamp() * 1000) - AT,
            m.tries,
            m.status,
            m.next_try_at and round(m.next_try_at.timestamp() * 1000) - AT,
        )
        for m in moments
    ] == shown


def test_codes_of_smpp_have_names_and_others_stay() -> None:
    assert code_in_words("0x58") == "0x58 ESME_RTHROTTLED" and code_in_words("0x0401") == "0x0401"
    assert code_in_words("21211") == "21211" and code_in_words("0xzz") == "0xzz" and code_in_words("") == ""
