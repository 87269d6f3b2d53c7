"""The spellings of one carrier message id: submit answers and receipts often write the same number differently.

In: an id as a receipt wrote it. Out: the other ways to write it; the form that turned one into the id of the submit
answer, so that the next is found at once. Which form a carrier uses is learnt elsewhere, from hits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

_DECIMAL: Final = re.compile(r"[0-9]{1,40}")
_SIGNED: Final = re.compile(r"-[0-9]{1,19}")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,32}")
_UUID: Final = re.compile(r"([0-9a-fA-F]{8})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{12})")
_WIDTHS: Final = (8, 9, 10, 12, 16, 19, 20)
FORM: Final = r"^(auto|same|(decimal|hex|hex_lower)(_padded_[0-9]{1,2})?|padded_[0-9]{1,2}|upper|lower)$"
"""Names of forms: what submit answers have where receipts have another spelling."""


def spellings(message_id: str) -> list[str]:
    """Every other spelling: without leading zeros, hexadecimal as decimal, decimal as hexadecimal of either case, with
    zeros to the usual widths, as a signed number, a UUID with dashes or not. `812FC7470000001B` and
    `9308878062554710043` name each other. Empty for what is no number.
    """
    found: dict[str, None] = {}
    digits = message_id[2:] if message_id[:2] in ("0x", "0X") else message_id
    is_decimal, is_hex = _DECIMAL.fullmatch(message_id), _HEX.fullmatch(message_id)
    if is_decimal:
        found |= dict.fromkeys((message_id.lstrip("0") or "0", *_as_hex(int(message_id)), *_signed(int(message_id))))
    if is_hex:
        bare, value = digits.lstrip("0") or "0", str(int(digits, 16))
        found |= dict.fromkeys((value, bare, bare.upper(), bare.lower(), digits.upper(), digits.lower()))
        found |= dict.fromkeys(_wider(value) + _wider(digits) + _signed(int(digits, 16)))
    if _SIGNED.fullmatch(message_id):
        for bits in (32, 64):
            if (unsigned := int(message_id) + (1 << bits)) > 0:
                found |= dict.fromkeys((str(unsigned), *_as_hex(unsigned)))
    if groups := _UUID.fullmatch(message_id):
        for text in ("-".join(groups.groups()), "".join(groups.groups())):
            found |= dict.fromkeys((text, text.upper(), text.lower()))
    found.pop(message_id, None)
    return list(found)


def _as_hex(value: int) -> list[str]:
    texts = (f"{value:X}", f"{value:x}")
    return [*texts, *(wide for text in texts for wide in _wider(text))]


def _wider(digits: str) -> list[str]:
    return [digits.zfill(width) for width in _WIDTHS if len(digits) < width]


def _signed(value: int) -> list[str]:
    """The same 32 or 64 bits as a number below zero."""
    return [str(value - (1 << bits)) for bits in (32, 64) if value >> (bits - 1) == 1]


def form(receipt_id: str, submit_id: str) -> str:
    """The form that makes the submit answer's id out of a receipt's; `auto` when no form does."""
    return next(iter(fitting(receipt_id, submit_id)), "auto")


def fitting(receipt_id: str, submit_id: str) -> list[str]:
    """Every form that does, the usual first. One id may not tell: without a letter `hex` and `hex_lower` are alike."""
    width = len(submit_id)
    names = ["decimal", "hex", "hex_lower", f"padded_{width}", "upper", "lower"]
    names += [f"hex_padded_{width}", f"hex_lower_padded_{width}", f"decimal_padded_{width}"]
    same = ["same"] if receipt_id == submit_id else []
    return same or [name for name in names if respell(receipt_id, name) == submit_id]


def usual(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The forms that fit most pairs of a receipt's id and a submit's, the usual first; empty when none fits any."""
    found = Counter(name for pair in pairs for name in fitting(*pair))
    most = max(found.values(), default=0)
    return [name for name, count in found.items() if count == most]


def respell(receipt_id: str, form: str) -> str:
    """A receipt's id as the submit answer has it; unchanged where the form says nothing about it."""
    kind, _, width = form.partition("padded_")
    kind = kind.rstrip("_")
    if kind == "decimal" and _HEX.fullmatch(receipt_id):
        return str(int(receipt_id, 16)).zfill(int(width or 0))
    if kind in ("hex", "hex_lower") and _DECIMAL.fullmatch(receipt_id):
        value = f"{int(receipt_id):x}" if kind == "hex_lower" else f"{int(receipt_id):X}"
        return value.zfill(int(width or 0))
    if kind in ("upper", "lower"):
        return receipt_id.upper() if kind == "upper" else receipt_id.lower()
    return receipt_id.zfill(int(width)) if width and not kind else receipt_id
