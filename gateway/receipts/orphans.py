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
    recipient = _NOT_DIGITS.sub("", receipt.recipient)
    if len(recipient) < _LEAST_DIGITS:
        return None
    fitting = [u for u in uncertain if u.fact.sent_ms <= at_ms and _same_number(u.recipient, recipient)]
    if receipt.sender:
        fitting = [u for u in fitting if _same_sender(u.sender, receipt.sender)]
    by = "recipient"
    if receipt.echo >= 0:
        fitting, by = [u for u in fitting if u.fact.echo == receipt.echo], "echo"
    return (fitting[0], by) if len(fitting) == 1 else None


def _same_number(ours: str, theirs: str) -> bool:
    mine = _NOT_DIGITS.sub("", ours)
    return mine == theirs or (len(theirs) >= 10 and mine.endswith(theirs))


def _same_sender(ours: str, theirs: str) -> bool:
    return ours == theirs or (ours.lstrip("+").isdigit() and ours.lstrip("+") == theirs.lstrip("+"))
