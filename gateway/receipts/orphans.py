"""Which uncertain submission a receipt speaks of: the only one that fits, or none. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.provider import Receipt
from gateway.store.uncertain import Uncertain

_NOT_DIGITS = re.compile(r"\D")
_LEAST_DIGITS = 7


def candidate(receipt: Receipt, at_ms: int, uncertain: Sequence[Uncertain]) -> tuple[Uncertain, str] | None:
    """The submission, and by what it was found: `echo` (our reference came back) or `recipient`.

    Exactly one must fit in everything that the receipt says: recipient, sender, time and echo.
    """
    sent = [u for u in uncertain if u.fact.sent_ms <= at_ms]
    fitting = _between(sent, receipt.recipient, receipt.sender)
    if not fitting and receipt.sender:
        fitting = _between(sent, receipt.sender, receipt.recipient)  # addresses as they were in the submit
    by = "recipient"
    if receipt.echo >= 0:
        fitting, by = [u for u in fitting if u.fact.echo == receipt.echo], "echo"
    return (fitting[0], by) if len(fitting) == 1 else None


def _between(uncertain: Sequence[Uncertain], recipient: str, sender: str) -> list[Uncertain]:
    """Those to this recipient, and from this sender where there is one."""
    digits = _NOT_DIGITS.sub("", recipient)
    if len(digits) < _LEAST_DIGITS:
        return []
    fitting = [u for u in uncertain if _same_number(u.recipient, digits)]
    return [u for u in fitting if _same_sender(u.sender, sender)] if sender else fitting


def _same_number(ours: str, theirs: str) -> bool:
    mine = _NOT_DIGITS.sub("", ours)
    return mine == theirs or (len(theirs) >= 10 and mine.endswith(theirs))


def _same_sender(ours: str, theirs: str) -> bool:
    return ours == theirs or (ours.lstrip("+").isdigit() and ours.lstrip("+") == theirs.lstrip("+"))
