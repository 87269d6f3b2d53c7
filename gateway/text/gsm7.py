"""The GSM 7-bit default alphabet with its extension table (3GPP TS 23.038, sections 6.2.1 and 6.2.1.1).

In: text. Out: whether it fits, its length in septets, and its codes, one octet each (unpacked). Never packs septets.
"""

from __future__ import annotations

import re
from codecs import charmap_decode, charmap_encode
from typing import Final

from aiosmpplib.codec import GSM_BASIC_DECODE_MAP, GSM_EXTENDED_DECODE_MAP

ESCAPE: Final = 0x1B

BASIC: Final = frozenset(GSM_BASIC_DECODE_MAP.values())
"""Characters of one septet."""

EXTENSION: Final = frozenset(GSM_EXTENDED_DECODE_MAP.values())
"""Characters of two septets: the escape and a code."""

_PLAIN_ASCII: Final = "".join(sorted(c for c in BASIC if c.isascii())).encode()
_EXTENSION_ASCII: Final = "".join(sorted(c for c in EXTENSION if c.isascii())).encode()


def _class(characters: frozenset[str], negated: bool = False) -> re.Pattern[str]:
    return re.compile(f"[{'^' if negated else ''}{re.escape(''.join(sorted(characters)))}]")


_OUTSIDE: Final = _class(BASIC | EXTENSION, negated=True)
_EXTENDED: Final = _class(EXTENSION)

_ASCII_CODES: Final = bytes({ord(c): code for code, c in GSM_BASIC_DECODE_MAP.items()}.get(i, 0) for i in range(256))
_CODES: Final[dict[int, bytes]] = {ord(c): bytes((code,)) for code, c in GSM_BASIC_DECODE_MAP.items()} | {
    ord(c): bytes((ESCAPE, code)) for code, c in GSM_EXTENDED_DECODE_MAP.items()
}

# The escape stands for itself while a string is decoded, and what follows it is looked up afterwards.
_CHARACTERS: Final = "".join(
    "\x1b" if code == ESCAPE else GSM_BASIC_DECODE_MAP.get(code, "\ufffd") for code in range(256)
)
_ESCAPED: Final = {GSM_BASIC_DECODE_MAP[code]: character for code, character in GSM_EXTENDED_DECODE_MAP.items()}
_PAIR: Final = re.compile("\x1b(.?)", re.DOTALL)


def septets(text: str) -> int:
    """The text's length in septets, or -1 when a character is outside the alphabet."""
    if text.isascii():
        rest = text.encode().translate(None, _PLAIN_ASCII)
        if not rest:
            return len(text)
        return -1 if rest.translate(None, _EXTENSION_ASCII) else len(text) + len(rest)
    if _OUTSIDE.search(text):
        return -1
    return len(text) + len(_EXTENDED.findall(text))


def fits(text: str) -> bool:
    """Whether every character is in the default alphabet or its extension."""
    return septets(text) >= 0


def encode(text: str) -> bytes:
    """The text's codes, one octet a septet. Raises UnicodeEncodeError for a character outside the alphabet."""
    if text.isascii():
        raw = text.encode()
        if not raw.translate(None, _PLAIN_ASCII):
            return raw.translate(_ASCII_CODES)
    return charmap_encode(text, "strict", _CODES)[0]


def decode(data: bytes) -> str:
    """Inverse of `encode`; never fails. An octet over 0x7F becomes U+FFFD, an escape before a code that the extension
    does not have is dropped, and one before another escape or nothing becomes a space, as the specification asks."""
    text: str = charmap_decode(data, "strict", _CHARACTERS)[0]
    return _PAIR.sub(_unescape, text) if "\x1b" in text else text


def _unescape(pair: re.Match[str]) -> str:
    character: str = pair[1]
    return " " if character in ("", "\x1b") else _ESCAPED.get(character, character)
