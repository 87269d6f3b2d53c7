"""What `sluice carriers check` prints of a carrier's state."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.commands import carrier_check, carriers
from gateway.commands.watch.carrier import judge


def shown(capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    now_ms = int(time.time() * 1000)
    link = {"bind": "trx1", "state": "bound", "since_ms": now_ms - 60_000, "error": "", "in_flight": 3, "window": 10}
    status = {"at_ms": now_ms, "live": True, "links": [link], "rate_per_s": 100.0} | more
    carrier = {"name": "north", "mode": "running", "status": status}
    carriers._show(carrier, judge(carrier, now_ms))
    return capsys.readouterr().out


def test_rate_answers_receipts_codes_and_ids_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        capsys,
        rate_now_per_s=42.5,
        answer_p50_ms=11,
        answer_p99_ms=250,
        receipts_awaited=1234,
        receipts_awaited_since_ms=int(time.time() * 1000) - 3_600_000,
        message_ids="hex",
        codes={"0x58": 12},
        warnings=["`password` is long"],
    )
    for words in (
        "42.5 parts a second",
        "after 11 ms",
        "250 ms",
        "1,234 messages",
        "1 h",
        '"hex"',
        "12 of 0x58",
        "`password` is long",
    ):
        assert words in text


def test_what_is_not_known_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, message_ids=None, codes={}, receipts_awaited=0, receipts_awaited_since_ms=None)
    assert not any(words in text for words in ("message ids", "codes", "receipts", "answers"))


def test_the_list_shows_what_is_sent_and_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    status = {"at_ms": int(time.time() * 1000), "live": True, "links": [], "rate_now_per_s": 42.5, "rate_per_s": 100.0}
    carriers._list([{"name": "north", "mode": "running", "status": status}])
    assert "42.5/100" in capsys.readouterr().out


@pytest.mark.parametrize(("said", "shown"), [("y", True), ("n", False), ("s", None)])
async def test_whoever_holds_the_phone_is_asked_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, shown: bool | None
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(carrier_check, "_ask", lambda: said)
    assert await carrier_check._phone_of_a_person(as_json=False)("Sluice-1", "Sluice-1 test") is shown
    assert "Sluice-1 test" in capsys.readouterr().out


async def test_nobody_is_asked_where_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert await carrier_check._phone_of_a_person(as_json=False)("a", "a b") is None
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert await carrier_check._phone_of_a_person(as_json=True)("a", "a b") is None
