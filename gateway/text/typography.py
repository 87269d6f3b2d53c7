"""Plain forms of typographic characters, which are not in the GSM alphabet and make a whole text UCS-2 for nothing.

In: text. Out: the text with them replaced. What is in the GSM alphabet never changes, but for a letter and its
combining accent, which become one letter. Letters are never replaced by others, with one exception: Cyrillic letters
inside a Latin word that look the same. Not replaced: what could mean something else then, such as ² and ½.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from gateway.text import gsm7

_PLAIN: Final = {
    **dict.fromkeys("«»“”„‟〝〞″", '"'),
    **dict.fromkeys("‹›‘’‚‛′ʼʹ´`", "'"),
    **dict.fromkeys("‐‑‒–—―−⁃﹘﹣", "-"),
    **dict.fromkeys("•‣●▪∙◦⁎∗·", "*"),
    **dict.fromkeys("\t\xa0\u1680\u202f\u205f\u3000", " "),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
    **dict.fromkeys("\u0085\u2028\u2029\u000b", "\n"),
    # Nothing to see: soft hyphen, zero-width spaces and joiners, byte order mark, left-to-right mark, variants.
    **dict.fromkeys("\xad\u200b\u200c\u200d\u2060\ufeff\u200e\ufe0e\ufe0f", ""),
    "…": "...", "‥": "..", "№": "No", "⁄": "/", "∕": "/", "∶": ":", "×": "x", "±": "+/-", "≤": "<=", "≥": ">=",
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "©": "(c)", "®": "(R)", "™": "(TM)",
    "₽": "RUB", "₴": "UAH", "₸": "KZT", "₺": "TRY", "₼": "AZN", "₾": "GEL", "₹": "INR",
}  # fmt: skip
_TRANSLATION: Final = str.maketrans(_PLAIN)
_AMOUNT: Final = re.compile("(?<=[0-9])(?=[₽₴₸₺₼₾₹])")

_ALIKE: Final = dict(zip("асеорхуіјѕԁԛԝАВЕКМНОРСТУХІЈЅԚԜ", "aceopxyijsdqwABEKMHOPCTYXIJSQW", strict=True))
_ALIKE_WORD: Final = re.compile(f"(?<![\\w])[A-Za-z{''.join(_ALIKE)}]+(?![\\w])")
_ALIKE_TRANSLATION: Final = str.maketrans(_ALIKE)

_END: Final = "…., !?:;)]"
_TOKEN: Final = re.compile(r'[^\s<>"«»“”„]+')
_PIECES: Final = re.compile("[,;()!]")
_SITE: Final = re.compile(
    r"\w\.(?:[a-z]{2,}|рф|рус|дети|москва|онлайн|сайт|орг|ком|бел|укр|қаз|срб|мкд|бг|ею)(?=$|[/?:#])", re.IGNORECASE
)


def to_plain(text: str) -> str:
    """The text in its plain form. It may still hold characters outside the GSM alphabet."""
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    text = _ALIKE_WORD.sub(_latin_word, text)
    return _AMOUNT.sub(" ", text).translate(_TRANSLATION)


def plain_form(character: str) -> str | None:
    """What stands for one character in a plain text; None: itself."""
    return _PLAIN.get(character)


def holds_foreign_link(text: str) -> bool:
    """Whether a link or an address of mail in it has characters outside the GSM alphabet: with others in their place it
    would lead elsewhere."""
    tokens = [token for token in _TOKEN.findall(text) if "." in token or "@" in token or ":" in token]
    return any(not gsm7.fits(link) for token in tokens for link in _links(token.rstrip(_END)))


def _links(token: str) -> list[str]:
    """Links in what stands between spaces and quotes. Wider than they are rather than narrower."""
    for begin in ("://", "www."):
        if (at := token.lower().find(begin)) >= 0:
            return [token[at:]]
    return [piece for piece in _PIECES.split(token) if "@" in piece.strip("@") or _SITE.search(piece.rstrip(_END))]


def _latin_word(found: re.Match[str]) -> str:
    """A word of letters alone, of which some are Latin: whoever wrote it saw a Latin word. One with digits may be a
    code that is compared letter by letter, and one without any Latin letter is Cyrillic."""
    word: str = found[0]
    return word.translate(_ALIKE_TRANSLATION) if re.search("[A-Za-z]", word) else word
