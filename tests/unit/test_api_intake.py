"""What stands for a ref and for a body stays what earlier releases remembered."""

from __future__ import annotations

import hashlib

import msgspec

from gateway.api.intake import _ask
from tests.core_builders import message

ASKED = ("+79161234567", "Hello", "otp", None, 60, 0, "", "", b"")


def test_a_ref_and_a_body_have_the_keys_that_earlier_releases_gave_them() -> None:
    made = _ask(0, message(ref="order-1"), ASKED, bytes(9))
    assert made.ref_key == hashlib.blake2b(b"shop\0+79161234567\0order-1", digest_size=16).digest()
    assert made.body_hash == hashlib.blake2b(msgspec.msgpack.encode(ASKED), digest_size=8).digest()
    assert made.ref_key.hex() == "ea26a6945936d6c457b45b1ccb59c12d"
    assert made.body_hash.hex() == "67eb5f2dd954002e"


def test_without_a_ref_nothing_is_hashed() -> None:
    made = _ask(0, message(), (), bytes(9))
    assert (made.ref_key, made.body_hash) == (b"", b"")
