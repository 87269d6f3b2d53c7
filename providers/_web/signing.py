"""HMAC signatures, as carriers write them: made for requests, compared in constant time for callbacks. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

_DIGESTS: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512, "md5": hashlib.md5}


def sign(secret: str, digest: str, encoding: str, parts: Iterable[bytes], separator: str = "") -> str:
    """The signature over the parts, joined. `encoding` is hex, HEX or base64."""
    mac = hmac.new(secret.encode(), separator.encode().join(parts), _DIGESTS[digest])
    if encoding == "base64":
        return base64.b64encode(mac.digest()).decode()
    return mac.hexdigest().upper() if encoding == "HEX" else mac.hexdigest()


def same(given: str, right: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())


def basic(user: str, password: str) -> str:
    """The value of Authorization for HTTP basic (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
