"""JSON Web Tokens (RFC 7519): those that prove who we are, and those that prove who calls us.

In: an application's private key, or the secret that callbacks are signed with. Out: the value of Authorization, or a
callback's claims. Never: a token in a log or a repr; an algorithm that the token itself chooses.
"""

from __future__ import annotations

import hashlib
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.warnings import InsecureKeyLengthWarning

from gateway.provider import CallbackRefusedError, CallbackRequest
from providers._web.secret import Secret

LIFE_S: Final = 900
_RENEW_S: Final = LIFE_S // 3
_SKEW_S: Final = 300
"""Clocks differ: a token from the near future is one of now."""


def private_key(secret: Secret) -> RSAPrivateKey | None:
    """An RSA key in PEM, from a variable also with `\\n` in place of its line ends; None for what is none."""
    text = secret.reveal().replace("\\n", "\n").strip() + "\n"
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):  # TypeError: it has a password of its own
        return None
    return key if isinstance(key, RSAPrivateKey) else None


class Bearer:
    """The value of Authorization by the time (ms): a token is signed anew when a third of its life is over."""

    def __init__(self, key: RSAPrivateKey, claims: Mapping[str, Any]) -> None:
        self._key, self._claims = key, dict(claims)
        self._value, self._renew_s = "", 0

    def __call__(self, now_ms: int) -> str:
        now_s = now_ms // 1000
        if not self._renew_s - _RENEW_S <= now_s < self._renew_s:
            claims = {**self._claims, "iat": now_s, "exp": now_s + LIFE_S, "jti": str(uuid.uuid4())}
            self._value = f"Bearer {jwt.encode(claims, self._key, 'RS256')}"
            self._renew_s = now_s + _RENEW_S
        return self._value


def verifier(secret: Secret, age_s: int, wanted: Mapping[str, str]) -> Callable[[CallbackRequest], None]:
    """Checks a callback's token (HS256), its age, the body that it was made for, and that claims which it has are as
    `wanted`. Raises CallbackRefusedError."""

    def verify(request: CallbackRequest) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise CallbackRefusedError(401, "The request has no token that proves whose it is.")
        claims, now_s = _claims(token.strip(), secret), time.time()
        if not -_SKEW_S <= now_s - _moment(claims.get("iat")) <= age_s:
            raise CallbackRefusedError(403, "The request's token is too far from our time.")
        if now_s > _moment(claims.get("exp", now_s)) + _SKEW_S:
            raise CallbackRefusedError(403, "The request's token has expired.")
        if claims.get("payload_hash", digest := hashlib.sha256(request.body).hexdigest()) != digest:
            raise CallbackRefusedError(403, "The request's token was made for another body.")
        if any(claims.get(name, value) != value for name, value in wanted.items()):
            raise CallbackRefusedError(403, "The request's token was made for somebody else.")

    return verify


def _claims(token: str, secret: Secret) -> dict[str, Any]:
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # how long it is, the carrier decides
        try:
            claims: dict[str, Any] = jwt.decode(token, secret.reveal(), algorithms=["HS256"], options=options)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise CallbackRefusedError(403, "The request's token is wrong.") from None
    return claims


def _moment(value: Any) -> float:
    """Seconds; what is none is long ago."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e12 else 0.0
