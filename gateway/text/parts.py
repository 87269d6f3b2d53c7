"""Which alphabet a text needs and how many short messages it takes.

In: text without lone surrogates. Out: "gsm7" or "ucs2", the number of parts, and the parts' texts, which joined are
always the text. Never cuts an extension character or a surrogate pair, never drops or changes a character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.text import gsm7, ucs2

PAYLOAD_BYTES: Final = 140
"""User data of one short message (3GPP TS 23.040, section 9.2.3.24), its header included."""

UDH_BYTES: Final = 6
"""A concatenation header with an 8-bit reference; one with a 16-bit reference has 7, SAR and message_payload have 0."""


def choose(text: str) -> str:
    """The smaller alphabet that holds the whole text."""
    return "gsm7" if gsm7.septets(text) >= 0 else "ucs2"


def measure(text: str, udh_bytes: int = UDH_BYTES) -> tuple[str, int]:
    """`choose` and `count` in one pass."""
    length = gsm7.septets(text)
    if length >= 0:
        return "gsm7", 1 if length <= 160 else _count_gsm7(text, length, udh_bytes)
    return "ucs2", _count_ucs2(text, udh_bytes)


def count(text: str, encoding: str, udh_bytes: int = UDH_BYTES) -> int:
    """How many parts `split` makes. Raises ValueError when the text does not fit the encoding."""
    if encoding == "ucs2":
        return _count_ucs2(text, udh_bytes)
    length = _length(text, encoding)
    return 1 if length <= 160 else _count_gsm7(text, length, udh_bytes)


def split(text: str, encoding: str, udh_bytes: int = UDH_BYTES) -> list[str]:
    """The parts' texts, each as long as it can be. One element: no concatenation header is needed.

    Raises ValueError when the text does not fit the encoding.
    """
    length = _length(text, encoding)
    if length <= limit(encoding):
        return [text]
    room = limit(encoding, udh_bytes)
    if length == len(text):
        return [text[i : i + room] for i in range(0, length, room)]
    return _cut(text, room, gsm7.EXTENSION.__contains__ if encoding == "gsm7" else _is_pair)


def limit(encoding: str, udh_bytes: int = 0) -> int:
    """How many septets or 16-bit units one part holds beside a header: 160 and 70, with `UDH_BYTES` 153 and 67."""
    return (PAYLOAD_BYTES - udh_bytes) * 8 // 7 if encoding == "gsm7" else (PAYLOAD_BYTES - udh_bytes) // 2


def _length(text: str, encoding: str) -> int:
    if encoding == "ucs2":
        return ucs2.units(text)
    if encoding != "gsm7":
        raise ValueError(f"unknown encoding {encoding!r}: it is gsm7 or ucs2")
    length = gsm7.septets(text)
    if length < 0:
        raise ValueError("the text has characters outside the GSM 7-bit alphabet")
    return length


def _count_gsm7(text: str, length: int, udh_bytes: int) -> int:
    room = limit("gsm7", udh_bytes)
    return -(-length // room) if length == len(text) else len(_cut(text, room, gsm7.EXTENSION.__contains__))


def _count_ucs2(text: str, udh_bytes: int) -> int:
    if len(text) <= 35:  # even if every character were a pair
        return 1
    length = ucs2.units(text)
    if length <= 70:
        return 1
    room = limit("ucs2", udh_bytes)
    return -(-length // room) if length == len(text) else len(_cut(text, room, _is_pair))


def _is_pair(character: str) -> bool:
    return character > "\uffff"


def _cut(text: str, room: int, is_wide: Callable[[str], bool]) -> list[str]:
    """Cuts before the first character that has no room left; a wide one takes two places."""
    parts: list[str] = []
    start = used = 0
    for position, character in enumerate(text):
        width = 2 if is_wide(character) else 1
        if used + width > room:
            parts.append(text[start:position])
            start, used = position, 0
        used += width
    parts.append(text[start:])
    return parts
