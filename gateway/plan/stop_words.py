"""What a subscriber means who writes STOP or START. Pure.

In: the text of an inbound message, the plan's words. Out: `stop`, `start` or nothing. The whole text has to be the
word: who writes "please don't stop" wants something else.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final, Literal

from gateway.plan.document import StopWords

LONGEST: Final = 40
"""A longer text is no word, whatever it is."""

Wish = Literal["stop", "start", ""]


def wish_of(text: str, words: StopWords) -> Wish:
    """What the text asks for; punctuation and blanks around it, and its case, mean nothing."""
    if len(text) > LONGEST:
        return ""
    return _known(words).get(plain(text), "")


def plain(text: str) -> str:
    """A word as it is compared: without what stands around it, blanks as one space, letters without their case."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    begin, end = 0, len(folded)
    while begin < end and not folded[begin].isalnum():
        begin += 1
    while end > begin and not folded[end - 1].isalnum():
        end -= 1
    return " ".join(folded[begin:end].split())


@lru_cache(maxsize=8)
def _known(words: StopWords) -> dict[str, Wish]:
    """A word that is in both lists stops: that is the wish which must not be missed."""
    start: dict[str, Wish] = {plain(word): "start" for word in words.start}
    stop: dict[str, Wish] = {plain(word): "stop" for word in words.stop}
    return {word: wish for word, wish in (start | stop).items() if word}
