"""The spellings of one carrier message id: submit answers and receipts often write the same number differently.

In: an id as a receipt wrote it. Out: the other ways to write it; the form that turned one into the id of the submit
answer, so that the next is found at once. Which form a carrier uses is learnt elsewhere, from hits.
"""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = re.compile(r"[0-9]{1,40}")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,32}")
_WIDTHS: Final = (8, 9, 10, 12, 16, 19, 20)
FORM: Final = r"^(auto|same|decimal|hex|hex_lower|hex_padded_[0-9]{1,2}|hex_lower_padded_[0-9]{1,2}|padded_[0-9]{1,2})$"
"""Names of forms: what submit answers have where receipts have another spelling."""


def spellings(message_id: str) -> list[str]:
    """Every other spelling: without leading zeros, hexadecimal as decimal, decimal as hexadecimal of either case, with
    zeros to 8 and 16 digits. `812FC7470000001B` and `9308878062554710043` name each other. Empty for what is no number.
    """
    found: dict[str, None] = {}
    digits = message_id[2:] if message_id[:2] in ("0x", "0X") else message_id
    if _DECIMAL.fullmatch(message_id):
        found[message_id.lstrip("0") or "0"] = None
        value = f"{int(message_id):x}"
        for text in (
            value.upper(),
            value,
            value.upper().zfill(8),
            value.zfill(8),
            value.upper().zfill(16),
            value.zfill(16),
        ):
            found[text] = None
    if _HEX.fullmatch(message_id):
        found[str(int(digits, 16))] = None
        bare = digits.lstrip("0") or "0"
        for text in (bare, bare.upper(), bare.lower()):
            found[text] = None
    for width in _WIDTHS:
        if len(digits) < width and _HEX.fullmatch(message_id):
            found[digits.zfill(width)] = None
    found.pop(message_id, None)
    return list(found)


def form(receipt_id: str, submit_id: str) -> str:
    """The form that makes the submit answer's id out of a receipt's; `auto` when no form does."""
    if receipt_id == submit_id:
        return "same"
    names = ["decimal", "hex", "hex_lower", f"padded_{len(submit_id)}"]
    names += [f"hex_padded_{len(submit_id)}", f"hex_lower_padded_{len(submit_id)}"]
    return next((name for name in names if respell(receipt_id, name) == submit_id), "auto")


def respell(receipt_id: str, form: str) -> str:
    """A receipt's id as the submit answer has it; unchanged where the form says nothing about it."""
    kind, _, width = form.partition("padded_")
    kind = kind.rstrip("_")
    if kind == "decimal" and _HEX.fullmatch(receipt_id):
        return str(int(receipt_id, 16))
    if kind in ("hex", "hex_lower") and _DECIMAL.fullmatch(receipt_id):
        value = f"{int(receipt_id):x}" if kind == "hex_lower" else f"{int(receipt_id):X}"
        return value.zfill(int(width or 0))
    return receipt_id.zfill(int(width)) if width and not kind else receipt_id
