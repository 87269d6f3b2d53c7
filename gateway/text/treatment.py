"""What becomes of a text on a route that transliterates or replaces typography.

In: a message's text and the route's `Treatment`. Out: the text that is sent, with its alphabet and parts. All or
nothing: a text is treated when all of it is GSM 7-bit then and takes no more parts than before, else it stays as it was
(but that a letter and its combining accent become one where that saves a part). Links, mail addresses and codes never
change. The same text always has the same result: parts that are still owed are numbers of it, so a change of these
tables is for a release that says so.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Final

import msgspec

from gateway.message import Treatment
from gateway.text import cyrillic, gsm7, parts, typography

_HEADERS: Final = (parts.UDH_BYTES, 7, 0)
"""Of concatenation: whichever a carrier uses, a treated text takes no more parts."""


class Treated(msgspec.Struct, frozen=True, gc=False):
    """A text as it is sent. `done`: what was done to it; NONE: it is as it came."""

    text: str
    encoding: str
    parts: int
    done: Treatment = Treatment.NONE


def treat(text: str, treatment: str) -> Treated:
    """The text under a route's treatment (a `Treatment`; one that this release does not know does nothing).

    Transliteration comes with typography, and is done only where typography alone does not help.
    """
    encoding, count = parts.measure(text)
    if encoding == "ucs2" and treatment in _STEPS and not typography.holds_foreign_link(text):
        plain = typography.to_plain(text)
        if (found := _better(text, plain, Treatment.TYPOGRAPHY)) is not None:
            return found
        if treatment == Treatment.TRANSLITERATION and not cyrillic.holds_code(plain):
            latin = cyrillic.to_latin(plain)
            if (found := _better(text, latin, Treatment.TRANSLITERATION)) is not None:
                return found
        composed = unicodedata.normalize("NFC", text)
        if (fewer := parts.count(composed, "ucs2")) < count:
            return Treated(composed, "ucs2", fewer, Treatment.TYPOGRAPHY)
    return Treated(text, encoding, count)


_STEPS: Final = frozenset({Treatment.TYPOGRAPHY, Treatment.TRANSLITERATION})


def _better(text: str, treated: str, done: Treatment) -> Treated | None:
    if not treated or not gsm7.fits(treated):
        return None
    for header in _HEADERS:
        if parts.count(treated, "gsm7", header) > parts.count(text, "ucs2", header):
            return None
    return Treated(treated, "gsm7", parts.count(treated, "gsm7"), done)


class Costly(msgspec.Struct, frozen=True):
    """A character that is not in the GSM alphabet, how often it is there, and what it would be under each treatment;
    None: nothing takes its place."""

    character: str
    count: int
    plain: str | None
    latin: str | None


def costly(text: str, most: int = 20) -> list[Costly]:
    """The characters that make a text UCS-2, in the order of their first appearance, `most` at the most."""
    counts = Counter(c for c in text if not gsm7.fits(c))
    found = []
    for character, count in list(counts.items())[:most]:
        plain = typography.plain_form(character)
        latin = cyrillic.to_latin(character) if plain is None else plain
        found.append(Costly(character, count, plain, None if latin == character else latin))
    return found
