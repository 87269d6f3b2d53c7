"""How a carrier is, from its row of `/v1/carriers`: numbers, and one sentence with what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

STALE_MS: Final = 5_000
"""A connector reports twice a second; one that was silent this long is gone."""

FULL: Final = 0.9
"""A window is full that is in use to this share."""


class Verdict(msgspec.Struct, frozen=True):
    """`ok`: it can send now. `limited_by`: paused, draining, no_connector, settings, no_bind, breaker, memory, rate,
    window or nothing. The other numbers are those of its links."""

    ok: bool
    limited_by: str
    sentence: str
    links: int = 0
    bound: int = 0
    in_flight: int = 0
    window: int = 0


def judge(carrier: Mapping[str, Any], now_ms: int) -> Verdict:
    """What a row of `/v1/carriers` says."""
    name, mode, status = carrier["name"], carrier["mode"], carrier["status"]
    gone = _limit(mode, status, 0, 0, now_ms) == "no_connector"  # what it reported last holds no more
    links = () if gone else status.get("links", ())
    bound = [link for link in links if link["state"] == "bound"]
    in_flight = sum(link["in_flight"] for link in links)
    window = sum(link["window"] for link in bound)
    limit = _limit(mode, status, in_flight, window, now_ms)
    sentence = _sentence(name, limit, status, len(links), len(bound), in_flight, window)
    ok = limit in ("", "rate", "window")
    return Verdict(ok, limit, sentence, len(links), len(bound), in_flight, window)


def _limit(mode: str, status: Mapping[str, Any], in_flight: int, window: int, now_ms: int) -> str:
    if mode != "running":
        return "paused" if mode == "paused" else "draining"
    if "at_ms" not in status or now_ms - status["at_ms"] > STALE_MS:
        return "no_connector"
    limit = str(status.get("limited_by") or "")
    if not limit and not status.get("live"):
        return "no_bind"
    if not limit and window and in_flight >= FULL * window:
        return "window"
    return limit


def _sentence(
    name: str, limit: str, status: Mapping[str, Any], links: int, bound: int, in_flight: int, window: int
) -> str:
    error = status.get("last_error") or ""
    last = f" The last error: {error}." if error else ""
    match limit:
        case "paused":
            return f"An operator paused it: its links stay, nothing is sent. To go on: sluice carriers resume {name}"
        case "draining":
            return f"An operator drains it: it gets nothing new. To go on: sluice carriers resume {name}"
        case "no_connector":
            return "No process serves it: start one with the role connector, or see that the plan still names it."
        case "settings":
            return f"Its settings cannot be used.{last} Change the plan: sluice plan show, then sluice plan apply"
        case "no_bind":
            tried = f"None of its {links} links is up." if links else "It has no link."
            return f"{tried}{last} Look for the address, the account and the firewall; it is tried again by itself."
        case "breaker":
            breaker = status.get("breaker", {})
            why = f" ({breaker['why']})" if breaker.get("why") else ""
            if breaker.get("state") == "half_open":
                return f"Its breaker is half open: a few messages try whether it works again.{last}"
            return f"Its breaker is open after failures in a row{why}: others are used; it is tried again soon.{last}"
        case "memory":
            return "Redis is nearly full, so that nothing is sent: give Redis more memory, or let queues drain."
        case "rate":
            rate = status.get("rate_per_s")
            allowed = f" of {rate:g} parts a second" if rate else ""
            return f"It sends as fast as its rate{allowed} allows: rate_per_s in the plan."
        case "window":
            answer = status.get("answer_ms") or 0
            slow = f" and it answers after {answer:g} ms" if answer else ""
            return f"Its windows are full ({in_flight} of {window}){slow}: more binds or a larger window would help."
    failing = status.get("operators") or {}
    if failing:
        names = ", ".join(f"{operator} ({b['why']})" if b.get("why") else operator for operator, b in failing.items())
        return (
            f"It sends, but most of what it gets for {names} fails: others are used for that; it is tried again soon."
        )
    some = f" {bound} of {links} links are up.{last}" if bound < links else ""
    return f"It is fine.{some}" if not some else f"It sends.{some}"
