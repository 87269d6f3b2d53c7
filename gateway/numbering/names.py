"""Operators' names, as registries and people write them, made comparable.

In: a name such as `Публичное акционерное общество "Мобильные ТелеСистемы"`. Out: `мобильные телесистемы`. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_FORMS: Final = frozenset(
    """ооо оао зао пао ао нао мо гуп муп фгуп фгбу ип llc llp ltd limited pjsc ojsc cjsc jsc inc corp corporation plc co
    gmbh ag kg bv nv sa sas srl spa ab oy as a/s sp zoo тоо тов чао пат прат сп""".split()  # noqa: SIM905
)
"""Legal forms; a name that consists of nothing else keeps them."""

_LONG_FORMS: Final = re.compile(
    r"\b(публичное|открытое|закрытое|непубличное)?\s*акционерное общество\b"
    r"|\bобщество с ограниченной ответственностью\b|\bобщество с дополнительной ответственностью\b"
    r"|\b(федеральное |муниципальное )?(государственное |)унитарное предприятие\b"
    r"|\bтоварищество с ограниченной ответственностью\b"
    r"|\b(public |open |closed )?joint[ -]stock company\b|\blimited liability company\b"
)
_DOTTED: Final = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_NO_WORD: Final = re.compile(r"[^\w+&/]+")


@lru_cache(maxsize=65_536)
def comparable(name: str) -> str:
    """The name in lower case without quotes, punctuation and legal forms; words are apart by one space."""
    text = name.casefold().replace("ё", "е")
    text = _DOTTED.sub(lambda found: found[0].replace(".", ""), text)
    text = _LONG_FORMS.sub(" ", text)
    words = _NO_WORD.sub(" ", text).split()
    named = [word for word in words if word not in _FORMS]
    return " ".join(named or words)
