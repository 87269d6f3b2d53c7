"""A message's timeline for people: what each moment says and what it means, from the documents of the API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.commands.times import clock
from gateway.provider import RULES, Reason

Moment = Mapping[str, Any]

WAITS: Final = {
    "paused": "an operator paused the carrier: sluice carriers resume NAME; or class, client or tag: sluice pause",
    "draining": "an operator drains the carrier: sluice carriers resume NAME",
    "no_bind": "the carrier has no link now: sluice carriers check NAME",
    "no_connector": "no process serves the carrier: start one with the role connector",
    "settings": "the carrier's settings cannot be used: sluice carriers check NAME",
    "rate": "the carrier's rate is used up",
    "window": "the carrier's window is full: it answers slower than messages come",
    "memory": "Redis is nearly full, so that sending stands still",
    "no_plan": "no plan is active: sluice plan apply FILE --activate",
}
"""Why something waits, beside the reasons of `gateway.provider`."""

_OUTCOMES: Final = {
    "accepted": "the carrier took it; its receipt will tell what became of it",
    "deferred": "the carrier does not take it now; it is tried again",
    "refused": "the carrier refused it",
    "uncertain": "no answer came: it may have reached the phone or not",
}
_STATES: Final = {
    "delivered": "the phone has it",
    "undeliverable": "it did not reach the phone",
    "rejected": "the carrier refused it for good",
    "failed": "we could not hand it to any carrier",
    "expired": "its time was over before it was delivered",
    "cancelled": "it was taken back before it was sent",
    "unknown": "nobody knows yet; a late receipt may still tell",
}
_EVENTS: Final = {
    "scheduled": "it is kept until its time",
    "parked": "it is set aside until then, and tried again",
    "held": "nobody knows whether it was sent; its class is never sent twice",
    "rescheduled": "it has another time now",
    "rewritten": "its route has the text written otherwise, to take fewer parts",
    "asked": "no receipt had come: the carrier was asked what became of it",
    "callback": "what your application was told",
}


def line_of(moment: Moment) -> str:
    """Time, event and what belongs to it."""
    return f"{clock(moment['at'])}  {moment['event']:<11} {says(moment)}".rstrip()


def reason_in_words(reason: str | None) -> str:
    """What a reason means; empty when there is none."""
    if not reason:
        return ""
    if reason in WAITS:
        return WAITS[reason]
    return RULES[Reason(reason)].words if reason in Reason.__members__.values() else reason


def means(m: Moment) -> str:
    """What a moment means to somebody who sees it for the first time; empty where the event says it all."""
    why = reason_in_words(m.get("reason"))
    match m["event"]:
        case "accepted":
            return "it is durably ours, and will end in one final state"
        case "waiting":
            return why or "it waits for its turn"
        case "routed":
            return str(m.get("words") or "")
        case "submitted":
            said = _OUTCOMES.get(m.get("outcome") or "", "it is on the wire, the carrier has not answered yet")
        case "receipt" | "ended":
            said = _STATES.get(m.get("state") or "", "") if m.get("reason") != Reason.NO_RECEIPT else ""
        case "callback" if m.get("error"):
            said = "your application was not told" + ("" if m.get("done_at") else " yet")
        case _:
            said = _EVENTS.get(m["event"], "")
    return f"{said}: {why}" if said and why else said or why


def says(m: Moment) -> str:
    """What belongs to the event, in words."""
    words: list[str | None]
    match m["event"]:
        case "submitted":
            words = [
                _part(m),
                f"to {m['carrier']}" + (f" by {m['bind']}" if m.get("bind") else ""),
                f"{m['outcome']}{_took(m)}" if m.get("outcome") else "",
                _named("from", m.get("sender")),
                _price(m.get("price")),
                _named("id", m.get("carrier_message_id")),
                f"attempt {m['attempt']}" if m.get("attempt", 1) > 1 else "",
                "late answer" if m.get("late") else "",
            ]
        case "accepted":
            key = f"{m['key']} ({m['key_name']})" if m.get("key_name") else m.get("key")
            words = [_named("from client", m.get("client")), _named("key", key)]
        case "routed":
            words = [
                f"to {m['carrier']}" if m.get("carrier") else "",
                _named("route", m.get("route")),
                _named("plan", m.get("plan_version")),
                _named("operator", m.get("operator")),
                _decided(m),
                f"attempt {m['attempt']}" if m.get("attempt", 1) > 1 else "",
            ]
        case "receipt":
            words = [
                _part(m),
                m.get("state"),
                f"from {m['carrier']}" + (f" by {m['bind']}" if m.get("bind") else ""),
                _named("id", m.get("carrier_message_id")),
                _named("matched by", m.get("matched_by")),
            ]
        case "waiting":
            words = [f"in {m.get('where')}", m.get("carrier")]
        case "callback":
            words = [m.get("state"), _told(m)]
        case _:
            words = [m.get("state"), m.get("carrier"), _named("by", m.get("by"))]
    words += [_named("reason", m.get("reason")), _named("code", _code(m))]
    if m.get("until"):
        words.append(f"until {clock(m['until'], day=True)}")
    return ", ".join(w for w in words if w)


def _code(m: Moment) -> str | None:
    """A carrier's code; SMPP's with its name, which the words of an answer end with."""
    code, words = m.get("code"), m.get("words") or ""
    if code and (at := words.rfind(f"({code} ")) >= 0:
        return words[at + 1 :].rstrip(")")
    return code


def _part(m: Moment) -> str:
    return f"part {m['part']} of {m['parts']}" if m.get("part") and m.get("parts", 1) > 1 else ""


def _decided(m: Moment) -> str:
    """How the carrier was chosen, and who was passed over for it."""
    decision = m.get("decision")
    if not decision:
        return ""
    passed = [c for c in decision.get("candidates", ()) if c.get("why_not")]
    over = ", ".join(f"{c['carrier']} {c['why_not'].partition(':')[0]}" for c in passed)
    explored = " to learn how it does" if decision.get("explored") else ""
    return f"chosen by {decision['strategy']}{explored}" + (f" ({over})" if over else "")


def _took(m: Moment) -> str:
    if not m.get("answered_at"):
        return ""
    if m.get("latency_ms") is not None:
        return f" after {m['latency_ms']} ms"
    took = datetime.fromisoformat(m["answered_at"]) - datetime.fromisoformat(m["at"])
    return f" after {took.total_seconds() * 1000:.0f} ms"


def _told(m: Moment) -> str:
    attempt = f", attempt {m['tries']}" if m.get("tries", 1) > 1 else ""
    if m.get("error"):
        again = f", again at {clock(m['next_try_at'])[:8]}" if m.get("next_try_at") else ""
        again = again or (", given up" if m.get("done_at") else "")
        return f"{m.get('host', 'nobody')} did not take it: {m['error']}{attempt}{again}"
    return f"{m.get('host', 'nobody')} answered {m['status']}{attempt}" if m.get("status") else ""


def _price(price: Mapping[str, str] | None) -> str:
    return f"{price['amount']} {price['currency']}" if price else ""


def _named(name: str, value: object) -> str:
    return f"{name} {value}" if value not in (None, "") else ""
