"""`sluice stats`: states as columns, gaps as nothing, plots of any length in the width there is."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Console

from gateway.commands import stats
from gateway.commands.figures import pivot, series, sparkline, step_for, whole
from gateway.commands.tables import Column, show

SINCE = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)


def group(state: str, messages: int, cost: str | None = None, **values: str) -> dict[str, Any]:
    price = {"amount": cost, "currency": "RUB"} if cost else None
    return {"state": state, "messages": messages, "parts": messages * 2, "cost": price, **values}


GROUPS = [
    group("delivered", 90, "180.5", **{"class": "otp", "at": "2030-01-01T10:00:00+00:00"}),
    group("expired", 5, "10", **{"class": "otp", "at": "2030-01-01T10:00:00+00:00"}),
    group("rejected", 5, **{"class": "otp", "at": "2030-01-01T11:00:00+00:00"}),
    group("submitted", 7, "14", **{"class": "alert", "at": "2030-01-01T11:00:00+00:00"}),
    group("cancelled", 1, **{"class": "alert", "at": "2030-01-01T11:00:00+00:00"}),
]


def test_states_become_columns_and_add_up() -> None:
    found = pivot(GROUPS, ("class",))
    otp, alert = found[("otp",)], found[("alert",)]
    assert (otp.messages, otp.delivered, otp.undelivered, otp.open, otp.rate) == (100, 90, 10, 0, 0.9)
    assert (alert.messages, alert.open, alert.cancelled, alert.rate) == (8, 7, 1, 0.0)
    total = whole(found.values())
    assert (total.messages, total.parts, total.cost) == (108, 216, {"RUB": Decimal("204.5")})


def test_a_series_has_every_step_of_the_span() -> None:
    points = series(GROUPS, SINCE, SINCE + timedelta(hours=4), "hour")
    assert [p.messages for p in points] == [0, 95, 13, 0, 0]


def test_a_series_keeps_what_came_in_a_first_step_that_the_span_cuts() -> None:
    cut = group("delivered", 12, "24", **{"class": "otp", "at": "2030-01-01T09:30:00+00:00"})
    points = series([cut, *GROUPS], SINCE, SINCE + timedelta(hours=4), "hour")
    assert [p.messages for p in points] == [12, 95, 13, 0, 0]


def test_the_step_suits_the_span() -> None:
    spans = (timedelta(minutes=30), timedelta(hours=24), timedelta(days=30))
    assert [step_for(SINCE, SINCE + span) for span in spans] == ["minute", "hour", "day"]


def test_a_sparkline_shows_the_highest_and_nothing_and_keeps_its_width() -> None:
    assert sparkline([0, 1, 4, 8], 10) == "·▂▅█"
    assert sparkline([0, 0], 10) == "··"
    assert sparkline([], 10) == ""
    assert len(sparkline([1.0] * 1000, 60)) <= 60
    assert sparkline([1, 2], 10, highest=16) == "▁▂"


def test_the_table_fits_into_80_columns_by_leaving_out_what_is_spare() -> None:
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    groups = pivot([g | {"messages": g["messages"] * 123_456, "carrier": "north"} for g in GROUPS], ("class",))
    stats._table(out, ["class"], groups)
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80 and "…" not in shown
    assert "11,111,040" in shown and "204.50 RUB" in shown
    show([Column("a"), Column("b", spare=True)], [["x" * 79, "gone"]], out)
    assert "gone" not in out.file.getvalue()


def test_csv_has_a_line_for_each_group() -> None:
    lines = stats._csv(["class"], pivot(GROUPS, ("class",))).splitlines()
    assert lines[0] == "class,messages,delivered,undelivered,cancelled,open,parts,delivery_rate,cost,currency"
    assert lines[1:] == ["otp,100,90,10,0,0,200,0.9000,190.5,RUB", "alert,8,0,0,1,7,16,0.0000,14,RUB"]
