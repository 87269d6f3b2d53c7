"""A message's timeline for people: one line a moment, from the documents of the API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Moment = Mapping[str, Any]


def clock(at: str, day: bool = False) -> str:
    """A time of the API in local time, to the millisecond."""
    local = datetime.fromisoformat(at).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S") + f".{local.microsecond // 1000:03d}"


def line_of(moment: Moment) -> str:
    """Time, event and what belongs to it."""
    return f"{clock(moment['at'])}  {moment['event']:<11} {says(moment)}".rstrip()


def says(m: Moment) -> str:
    """What belongs to the event, in words."""
    words: list[str | None]
    match m["event"]:
        case "submitted":
            words = [
                _part(m),
                f"to {m['carrier']}" + (f" by {m['bind']}" if m.get("bind") else ""),
                f"{m['outcome']}{_took(m)}",
                _named("route", m.get("route")),
                _named("operator", m.get("operator")),
                _named("plan", m.get("plan_version")),
                _price(m.get("price")),
                _named("id", m.get("carrier_message_id")),
                f"attempt {m['attempt']}" if m.get("attempt", 1) > 1 else "",
                "late answer" if m.get("late") else "",
            ]
        case "receipt":
            words = [_part(m), m.get("state"), f"from {m['carrier']}", _named("matched by", m.get("matched_by"))]
        case "waiting":
            words = [f"in {m.get('where')}", m.get("carrier")]
        case _:
            words = [m.get("state"), m.get("carrier"), _named("by", m.get("by"))]
    words += [_named("reason", m.get("reason")), _named("code", m.get("code"))]
    if m.get("until"):
        words.append(f"until {clock(m['until'], day=True)}")
    return ", ".join(w for w in words if w)


def _part(m: Moment) -> str:
    return f"part {m['part']} of {m['parts']}" if m.get("part") and m.get("parts", 1) > 1 else ""


def _took(m: Moment) -> str:
    if not m.get("answered_at"):
        return ""
    took = datetime.fromisoformat(m["answered_at"]) - datetime.fromisoformat(m["at"])
    return f" after {took.total_seconds() * 1000:.0f} ms"


def _price(price: Mapping[str, str] | None) -> str:
    return f"{price['amount']} {price['currency']}" if price else ""


def _named(name: str, value: object) -> str:
    return f"{name} {value}" if value not in (None, "") else ""
