"""How `sluice trace` shows a message: every moment with its distance and what it means, in 80 columns."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from rich.console import Console

from gateway.commands import trace
from gateway.commands.timeline import WAITS, means, says
from gateway.commands.times import future, length, short, span
from gateway.provider import Reason

AT = datetime(2030, 1, 31, 9, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    return (AT + timedelta(seconds=seconds)).isoformat()


SUBMITTED = {
    "event": "submitted",
    "at": at(0.012),
    "answered_at": at(0.035),
    "attempt": 1,
    "carrier": "north",
    "bind": "north-0",
    "outcome": "accepted",
    "operator": "mts",
    "route": "urgent",
    "plan_version": 3,
    "carrier_message_id": "5f3a6b2c1d0e",
    "price": {"amount": "2.15", "currency": "RUB"},
}
ROUTED = {
    "event": "routed",
    "at": at(0.004),
    "attempt": 1,
    "carrier": "north",
    "operator": "mts",
    "route": "urgent",
    "plan_version": 3,
    "words": "the first rule that takes it is urgent",
}
MESSAGE: dict[str, Any] = {
    "id": "0190f8a4-7c30-7000-8000-5f3a6b2c1d0e",
    "state": "undeliverable",
    "reason": "unreachable",
    "to": "+79161234567",
    "from": "MyShop",
    "class": "otp",
    "text": "Your code is 4711",
    "parts": 1,
    "encoding": "gsm7",
    "ref": "order-1",
    "tag": None,
    "carrier": "north",
    "operator": "mts",
    "price": {"amount": "2.15", "currency": "RUB"},
    "accepted_at": at(0),
    "timeline": [
        {"event": "accepted", "at": at(0), "client": "shop", "key": "key_0a1b", "key_name": "web"},
        ROUTED,
        SUBMITTED,
        {"event": "waiting", "at": at(5), "where": "outbox", "carrier": "north", "reason": "paused"},
        {"event": "receipt", "at": at(184), "carrier": "north", "state": "undeliverable", "reason": "unreachable"},
    ],
}


def shown(terminal: bool) -> str:
    out = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
    trace.show_message(out, MESSAGE)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_moment_has_its_distance_and_what_it_means(terminal: bool) -> None:
    text = " ".join(shown(terminal).split())
    for words in (
        "0190f8a4-7c30-7000-8000-5f3a6b2c1d0e undeliverable: ",
        "+79161234567 from MyShop, otp",
        "from client shop, key key_0a1b (web)",
        "it is durably ours",
        "to north, route urgent, plan 3, operator mts",
        "the first rule that takes it is urgent",
        "+12 ms submitted",
        "accepted after 23 ms",
        "its receipt will tell",
        "+5 s waiting",
        "sluice carriers resume NAME",
        "+3 min 4 s receipt",
        "it did not reach the phone",
    ):
        assert words in text, text


def test_the_timeline_fits_into_80_columns() -> None:
    timeline = shown(True).partition("\n\n")[2]
    assert max(len(line) for line in timeline.splitlines()) <= 80


def test_every_event_and_reason_has_a_meaning() -> None:
    for event in (
        "accepted",
        "scheduled",
        "waiting",
        "submitted",
        "parked",
        "held",
        "rescheduled",
        "asked",
        "callback",
    ):
        assert means({"event": event, "at": at(0)}), event
    for reason in (*Reason, *WAITS):
        moment = {"event": "waiting", "at": at(0), "reason": str(reason), "where": "outbox"}
        assert means(moment) and says(moment)


def test_lengths_of_time_are_read_and_written_as_people_do() -> None:
    assert [span(s) for s in (0.0123, 1, 1.25, 59.94, 61, 3600, 90_061, 259_200)] == [
        "12 ms", "1 s", "1.2 s", "59.9 s", "1 min 1 s", "1 h", "1 d 1 h", "3 d",
    ]  # fmt: skip
    assert length("90min") == timedelta(minutes=90) and length("soon") is None
    assert short(at(0), AT) == AT.astimezone().strftime("%H:%M:%S")
    assert short(at(0), AT + timedelta(days=3)) == AT.astimezone().strftime("%m-%d %H:%M")
    ahead = future("2h")
    assert ahead is not None and timedelta(hours=1) < datetime.fromisoformat(ahead) - datetime.now(UTC)
    assert future("2030-01-31T09:00:00+03:00") is not None
    with pytest.raises(click.BadParameter, match="a span such as"):
        future("soon")


def test_a_decision_is_told_with_who_was_passed_over() -> None:
    decision = {
        "strategy": "best_value",
        "explored": True,
        "candidates": [{"carrier": "east", "why_not": "down: it cannot send now"}, {"carrier": "north"}],
    }
    assert "chosen by best_value to learn how it does (east down)" in says(ROUTED | {"decision": decision})
    assert "chosen" not in says(ROUTED)
    assert "from INFO" in says(SUBMITTED | {"sender": "INFO"})


def test_an_answer_has_its_code_in_words() -> None:
    words = "the carrier refused it: the carrier says that the number is not valid (0x0B ESME_RINVDSTADR)"
    refused = SUBMITTED | {"outcome": "refused", "reason": "invalid_recipient", "code": "0x0B", "words": words}
    assert "code 0x0B ESME_RINVDSTADR" in says(refused | {"latency_ms": 41}) and "after 23 ms" in says(refused)
    assert "after 41 ms" in says(refused | {"latency_ms": 41})


def test_each_attempt_to_tell_an_application_has_its_line() -> None:
    failed = {
        "event": "callback",
        "at": at(1),
        "state": "delivered",
        "host": "app",
        "tries": 1,
        "error": "answered 500",
    }
    assert says(failed) == "delivered, app did not take it: answered 500"
    last = failed | {"tries": 2, "next_try_at": at(9)}
    assert "answered 500, attempt 2, again at " in says(last)
    assert says(last | {"next_try_at": None, "done_at": at(9)}).endswith("attempt 2, given up")
