"""docs/states.md from states and reasons of the code: `python -m gateway.api.states_page > docs/states.md`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.message import CLASSES, FINAL, RESEND_CLASSES, State
from gateway.provider import RULES, Rule

STATES: Final[Mapping[State, tuple[str, str]]] = {
    State.ACCEPTED: (
        "The message is durably ours and waits for a carrier.",
        "`routed`, `scheduled` after a change of plans, or an end",
    ),
    State.SCHEDULED: (
        "It waits for its `send_at`, for a sending window, or for the next attempt.",
        "`routed` when the time comes; it can be cancelled and rescheduled",
    ),
    State.ROUTED: (
        "A carrier was chosen, and the message waits for its turn there.",
        "`submitted`; `accepted` again when the carrier cannot take it and another is chosen",
    ),
    State.SUBMITTED: (
        "The carrier took it. Its receipt is awaited.",
        "`delivered`, `undeliverable`, `rejected` or `expired`; another attempt after a failure",
    ),
    State.UNKNOWN: (
        "It was on the wire when something broke, and it is not known whether the carrier has it."
        f" Classes {' and '.join(f'`{c}`' for c in CLASSES if c in RESEND_CLASSES)} are sent again instead;"
        f" {' and '.join(f'`{c}`' for c in CLASSES if c not in RESEND_CLASSES)} are held here, so that nothing is sent"
        " twice.",
        "what a receipt says; `expired` after validity and grace",
    ),
    State.DELIVERED: ("The carrier reported that the phone has it, all parts of it.", ""),
    State.UNDELIVERABLE: ("The carrier reported that it could not be delivered.", ""),
    State.REJECTED: ("A carrier refused it for good, and no other was left.", ""),
    State.FAILED: ("We could not hand it to any carrier. Nothing was sent, unless the reason is `uncertain`.", ""),
    State.EXPIRED: (
        "Its validity ended: before a carrier took it, at the carrier, or without a receipt. Where no receipt had come,"
        " one that comes after all still counts.",
        "",
    ),
    State.CANCELLED: ("You took it back before it was on the wire. Nothing was sent.", ""),
}

HEAD: Final = """# States and reasons

Where a message stands is its `state`, why it did not move forward is its `reason`: in `GET /v1/messages/{id}`, in
callbacks, in `sluice trace` and in statistics. Both lists are closed. Generated from the code by
`python -m gateway.api.states_page`; a test holds this page to it.

Every accepted message ends in exactly one final state, or is visibly waiting: then its timeline has an event `waiting`
with the place, the reason and until when. A final state stays. The one exception is in the table.
"""

REASONS: Final = """
## Reasons

What a reason asks of the gateway: **again**: the same carrier is tried again; **elsewhere**: another carrier of the
route is tried; **slower**: the gateway slows down towards this carrier. A reason without any of them ends the attempt;
after `no_answer` and `disconnected` it is not known whether the carrier has the message, and its class decides (see
`unknown`). The carrier's own code stands beside the reason in the timeline, as `code`.

| reason | means | then |
|---|---|---|
"""


def page() -> str:
    """The page."""
    waiting = [s for s in State if s not in FINAL]
    return (
        HEAD
        + "\n## Open states\n\n| state | means | next |\n|---|---|---|\n"
        + _lines((f"`{s}`", *STATES[s]) for s in waiting)
        + "\n## Final states\n\n| state | means |\n|---|---|\n"
        + _lines((f"`{s}`", STATES[s][0]) for s in State if s in FINAL)
        + REASONS
        + _lines((f"`{reason}`", f"{rule.words}", _then(rule)) for reason, rule in RULES.items())
    )


def _then(rule: Rule) -> str:
    told = (("again", rule.retry), ("elsewhere", rule.reroute), ("slower", rule.slow))
    return ", ".join(word for word, holds in told if holds) or "–"


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    print(page(), end="")
