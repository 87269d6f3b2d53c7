"""UCS-2 as handsets read it: UTF-16, big-endian, no byte order mark; a character outside the BMP is a surrogate pair.

In: text. Out: its length in 16-bit units, its octets, and back. Never cuts a pair.
"""

from __future__ import annotations


def units(text: str) -> int:
    """The text's length in 16-bit units. Raises UnicodeEncodeError for a lone surrogate."""
    return len(text.encode("utf-16-be")) >> 1


def encode(text: str) -> bytes:
    """Two octets a unit. Raises UnicodeEncodeError for a lone surrogate, which is not text."""
    return text.encode("utf-16-be")


def decode(data: bytes) -> str:
    """Inverse of `encode`; never fails. A lone surrogate and an odd last octet become U+FFFD."""
    return data.decode("utf-16-be", "replace")
