"""Which client a subscriber's message is for, by the plan's rules. Pure.

In: the rules, our number or sender that was written to, the text. Out: a client's name, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.plan.document import InboundRule

_LEAST_DIGITS: Final = 9  # what has fewer is a short code, not a number of its own


def client_of(rules: Sequence[InboundRule], number: str, text: str) -> str:
    """The client of the first rule that matches; empty when none does.

    A number matches whatever stands before its digits; a keyword is the first word, whatever its case.
    """
    ours, first = bare(number), keyword(text)
    for rule in rules:
        if rule.number is not None and bare(rule.number) != ours:
            continue
        if rule.keyword is not None and rule.keyword.casefold() != first:
            continue
        return rule.client
    return ""


def number_of(sender: str) -> str:
    """A subscriber's number with its +, which carriers leave out; short codes and names stay as they are."""
    return "+" + sender if sender.isascii() and sender.isdigit() and len(sender) >= _LEAST_DIGITS else sender


def bare(number: str) -> str:
    """A number or a name as it is compared."""
    digits = "".join(c for c in number if c.isdigit())
    return digits if digits and not any(c.isalpha() for c in number) else number.strip().casefold()


def keyword(text: str) -> str:
    """The first word of a text, without what punctuation stands around it."""
    words = text.split(maxsplit=1)
    return words[0].casefold().strip(".,;:!?\"'()[]«»") if words else ""
