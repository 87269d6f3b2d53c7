"""The spellings of one carrier message id: submit answers and receipts often write the same number differently.

In: an id as a carrier wrote it. Out: the other ways to write it. Never says which one a carrier uses: that is learnt
elsewhere, from hits.
"""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = re.compile(r"[0-9]{1,40}")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,32}")


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
    found.pop(message_id, None)
    return list(found)
