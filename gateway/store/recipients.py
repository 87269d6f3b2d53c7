"""The keyed hash that stands for a phone number where it must be found but not shown. Pure."""

from __future__ import annotations

from hashlib import blake2b

HASH_BYTES = 16


def recipient_hash(key: bytes, number: str) -> bytes:
    """Of an E.164 number with its +; `key` is `Pool.recipient_key()`."""
    return blake2b(number.encode(), digest_size=HASH_BYTES, key=key).digest()
