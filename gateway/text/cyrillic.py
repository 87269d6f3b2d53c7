"""Cyrillic in Latin letters, by the table of ICAO Doc 9303 Part 3 (8th edition, section 6, "Transliteration of Cyrillic
characters"), with its exceptions for Belarusian, Bulgarian, Macedonian, Serbian and Ukrainian.

In: text. Out: the text with each letter of the table replaced, in the letter's case. Letters that the table does not
have (Kazakh, Tatar and so on) stay. The language is told by letters that only it has: a text is of one language.
"""

from __future__ import annotations

import re
from typing import Final

_TABLE: Final = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "і": "i",
    "й": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u",
    "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ы": "y", "ъ": "ie", "э": "e", "ю": "iu",
    "я": "ia", "ѵ": "y", "ґ": "g", "ў": "u", "ѫ": "u", "ѓ": "g", "ђ": "d", "ѕ": "dz", "ј": "j", "ќ": "k", "љ": "lj",
    "њ": "nj", "ћ": "c", "џ": "dz", "є": "ie", "ї": "i",
    "ь": "",  # not in the table, and so left out
}  # fmt: skip

_BULGARIAN: Final = {"щ": "sht"}
_MACEDONIAN: Final = {"х": "h", "ц": "c", "ѓ": "gj", "ќ": "kj", "џ": "dj"}
_SERBIAN: Final = {"г": "h", "ж": "z", "х": "h", "ц": "c", "ч": "c", "ш": "s"}
_WITH_DOTTED_I: Final = {"г": "h", "и": "y", "ё": "io"}
"""Ukrainian and Belarusian at once: the one has no ё, the other no и."""

_MARKS: Final = (
    (re.compile("[ѓќѕЃЌЅ]"), _MACEDONIAN),
    (re.compile("[ђћљњџјЂЋЉЊЏЈ]"), _SERBIAN),  # Macedonian has four of these too, and then mostly one of the above
    (re.compile("[іїєґўІЇЄҐЎ]"), _WITH_DOTTED_I),
    (re.compile("ъ[бвгджзклмнпрстфхцчшщ]", re.IGNORECASE), _BULGARIAN),  # Russian has ъ before vowels only
)


def _letters(exceptions: dict[str, str]) -> dict[int, str]:
    """All that is replaced whatever stands beside it; capitals that become several letters are not here."""
    table = _TABLE | exceptions
    capitals = {letter.upper(): latin.upper() for letter, latin in table.items() if len(latin) < 2}
    return str.maketrans(table | capitals)


_RUSSIAN: Final[tuple[dict[str, str], dict[int, str]]] = ({}, _letters({}))
_LANGUAGES: Final = tuple((mark, (exceptions, _letters(exceptions))) for mark, exceptions in _MARKS)
_CAPITAL: Final = re.compile(f"[{''.join(_TABLE).upper()}]")
_STRESS: Final = re.compile("(?<=[Ѐ-ӿ])\u0301")
_CODE: Final = re.compile(
    r"(?<!\w)(?=[A-ZЀ-Я0-9]{4})(?!\d+[A-ZЀ-Я]+(?!\w))(?=[A-Z0-9]*[Ѐ-Я])(?=\D*\d)[A-ZЀ-Я0-9]+(?!\w)"
)


def to_latin(text: str) -> str:
    """The text in Latin letters. A capital that becomes several letters is `Shch` in a word, and `SHCH` among capitals;
    a stress mark over a letter is left out."""
    exceptions, letters = next((found for mark, found in _LANGUAGES if mark.search(text)), _RUSSIAN)
    text = _STRESS.sub("", text)
    return _CAPITAL.sub(lambda found: _capital(text, found.start(), exceptions), text).translate(letters)


def _capital(text: str, at: int, exceptions: dict[str, str]) -> str:
    letter = text[at].lower()
    latin = exceptions.get(letter) or _TABLE[letter]
    return latin.upper() if len(latin) < 2 or _among_capitals(text, at) else latin.capitalize()


def holds_code(text: str) -> bool:
    """Whether there is a code in it that people may have to type, such as СКИДКА20 or А123ВС: capitals and digits, some
    of them Cyrillic. A number with its unit, such as 100РУБ, is none."""
    return _CODE.search(text) is not None


def _among_capitals(text: str, at: int) -> bool:
    """What the letter after it says, else the one before it."""
    following, preceding = text[at + 1 : at + 2], text[at - 1 : at] if at else ""
    return following.isupper() if following.isalpha() else preceding.isupper()
