"""Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, one for each secret that is valid.

In: secrets as bytes. Out: header values. Source: https://www.standardwebhooks.com, "Signature scheme". Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

PREFIX: Final = "whsec_"
TOLERANCE_S: Final = 300


class SignatureError(ValueError):
    """The request was not signed by the secret. The text says what is wrong with it."""


def new_secret() -> bytes:
    """256 random bits."""
    return random.token_bytes(32)


def secret_text(secret: bytes) -> str:
    """The secret as applications keep it."""
    return PREFIX + base64.b64encode(secret).decode()


def secret_bytes(text: str) -> bytes:
    """Inverse of `secret_text`. Raises ValueError."""
    try:
        return base64.b64decode(text.removeprefix(PREFIX) + "==", validate=False)
    except binascii.Error as e:
        raise ValueError(f"a secret is {PREFIX} and base64") from e


def sign(secrets: Iterable[bytes], webhook_id: str, at_s: int, body: bytes) -> str:
    """The value of webhook-signature: one signature a secret, separated by blanks."""
    signed = b"%b.%d.%b" % (webhook_id.encode(), at_s, body)
    return " ".join(
        ["v1," + binascii.b2a_base64(_digest(secret, signed), newline=False).decode() for secret in secrets]
    )


def _digest(secret: bytes, signed: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) from pads that are hashed already: half the time of hmac.digest."""
    inner, outer = _pads(secret)
    within, around = inner.copy(), outer.copy()
    within.update(signed)
    around.update(within.digest())
    digest: bytes = around.digest()
    return digest


@lru_cache(maxsize=4096)
def _pads(secret: bytes) -> tuple[Any, Any]:
    key = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    return hashlib.sha256(bytes(b ^ 0x36 for b in key)), hashlib.sha256(bytes(b ^ 0x5C for b in key))


def verify(secret: bytes, headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Raise SignatureError unless the request is signed by the secret and was made within five minutes."""
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id, at, signatures = (given.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (webhook_id and at and signatures):
        raise SignatureError("a header is missing: webhook-id, webhook-timestamp or webhook-signature")
    if not (at.isascii() and at.isdigit()) or abs(int(at) - now_s) > TOLERANCE_S:
        raise SignatureError("webhook-timestamp is more than five minutes off")
    wanted = sign((secret,), webhook_id, int(at), body)
    if not any(hmac.compare_digest(wanted, one) for one in signatures.split(" ")):
        raise SignatureError("no signature in webhook-signature is made with this secret")
