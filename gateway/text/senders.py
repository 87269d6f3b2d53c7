"""Senders: what a message may say that it comes from.

In: a sender as an application wrote it. Out: the sender as carriers take it, or SenderError with a code and a sentence.
Never decides whether a carrier has registered it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from gateway.text import gsm7

MAX_SEPTETS: Final = 11
"""An alphanumeric address holds 11 septets (3GPP TS 23.040, section 9.1.2.5)."""

MAX_DIGITS: Final = 15
"""E.164; a short code has fewer."""

_NUMERIC: Final = re.compile(r"\+?[0-9][0-9 ()./-]*")
_SEPARATORS: Final = str.maketrans("", "", " ()./-")


class SenderError(ValueError):
    """No carrier could take this sender. `code` is stable; the text says what would be right."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@lru_cache(maxsize=8192)
def parse(text: str) -> str:
    """The sender as it goes to carriers: `+` and digits, a short code's digits, or up to 11 GSM characters.

    Separators in numbers and spaces around go. Raises SenderError.
    """
    sender = text.strip()
    if not sender:
        raise SenderError("sender_empty", "The sender is empty: give a name such as MyShop, a number or a short code.")
    if _NUMERIC.fullmatch(sender):
        return _numeric(sender.translate(_SEPARATORS))
    return _alphanumeric(sender)


def is_numeric(sender: str) -> bool:
    """Whether a parsed sender is a number or a short code rather than a name."""
    return sender.lstrip("+").isdigit()


def _numeric(sender: str) -> str:
    digits = len(sender.lstrip("+"))
    if digits > MAX_DIGITS:
        raise SenderError(
            "sender_too_long", f"A numeric sender has at most {MAX_DIGITS} digits, and this one has {digits}."
        )
    return sender


def _alphanumeric(sender: str) -> str:
    for character in sender:
        if unicodedata.name(character, "").startswith("CYRILLIC"):
            raise SenderError(
                "sender_alphabet",
                f"Carriers take no Cyrillic senders, and `{character}` is Cyrillic: write the name in Latin letters.",
            )
        if not character.isprintable():
            raise SenderError("sender_alphabet", "A sender is one line without control characters.")
        if not gsm7.fits(character):
            raise SenderError(
                "sender_alphabet",
                f"`{character}` is not in the GSM alphabet: a sender has Latin letters, digits, spaces and signs.",
            )
    septets = gsm7.septets(sender)
    if septets > MAX_SEPTETS:
        raise SenderError(
            "sender_too_long",
            f"An alphanumeric sender has at most {MAX_SEPTETS} GSM characters, and this one takes {septets}.",
        )
    return sender
