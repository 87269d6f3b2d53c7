"""TLS of the API: a certificate and its key from two files, tried before they are used, taken over when they change.

In: paths. Out: a context for the listener, or one line that says what is wrong. Never: a key's content in a message; a
broken new pair in place of a working old one.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from gateway import logs, metrics
from gateway.config import Settings, SettingsError

log = logs.stage("api")

LOOK_EVERY_S: Final = 1.0
_VERIFY: Final = {9: "is not valid yet", 10: "has expired"}  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED


class Pair(NamedTuple):
    """Where the certificate with its chain and the key are."""

    cert: Path
    key: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when a file does, also when it is replaced by a link to another. Raises OSError."""
        found = (self.cert.stat(), self.key.stat())
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)


def pair_of(settings: Settings) -> Pair | None:
    """The files that the settings name; None: no TLS. Raises SettingsError when only one is named."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        missing = "tls_key" if settings.tls_cert else "tls_cert"
        raise SettingsError(f"{missing}: tls_cert and tls_key belong together: name both files, or neither")
    return Pair(Path(settings.tls_cert), Path(settings.tls_key)) if settings.tls_cert else None


def check(settings: Settings) -> None:
    """Raises SettingsError with one line when the pair cannot be used."""
    if (pair := pair_of(settings)) is not None:
        _load(pair)


def open_context(pair: Pair) -> ssl.SSLContext:
    """A context for a listener, TLS 1.2 or newer. Raises SettingsError."""
    context, ends_s = _load(pair)
    metrics.certificate_ends.set(ends_s)
    return context


async def keep_fresh(pair: Pair, context: ssl.SSLContext) -> None:
    """Take new files over as they come; connections that are open stay. Runs until cancelled."""
    seen, complained = pair.stamp(), ""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            stamp = pair.stamp()
            if stamp == seen:
                continue
            _, ends_s = await asyncio.to_thread(_load, pair)
            context.load_cert_chain(pair.cert, pair.key, password=_no_password)
        except (OSError, SettingsError) as e:  # half written, perhaps: the next look may find it whole
            if str(e) != complained:
                complained = str(e)
                log.warning("the new certificate is not used", reason=e)
            continue
        seen, complained = stamp, ""
        metrics.certificate_ends.set(ends_s)
        log.info("certificate taken over", ends_s=int(ends_s))


def _load(pair: Pair) -> tuple[ssl.SSLContext, float]:
    """A context of the pair, tried in a handshake with itself, and when it ends."""
    for name, path, mark in (
        ("tls_cert", pair.cert, "-----BEGIN CERTIFICATE-----"),
        ("tls_key", pair.key, "PRIVATE KEY-----"),
    ):
        try:
            text = path.read_text("ascii", errors="replace")
        except OSError as e:
            raise SettingsError(f"{name}: {path} cannot be read: {e.strerror}") from e
        if mark not in text:
            raise SettingsError(f"{name}: {path} has no {'certificate' if name == 'tls_cert' else 'key'} in PEM form")
        if name == "tls_key" and "ENCRYPTED" in text:
            raise SettingsError(f"{name}: {path} is encrypted, and nobody is there to ask: give the key without")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(pair.cert, pair.key, password=_no_password)
        return context, _try(context, pair)
    except ssl.SSLCertVerificationError as e:
        words = _VERIFY.get(e.verify_code, f"cannot be used: {e.verify_message}")
        raise SettingsError(f"tls_cert: the certificate in {pair.cert} {words}") from e
    except ssl.SSLError as e:
        if e.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"tls_key: the key in {pair.key} does not belong to {pair.cert}") from e
        raise SettingsError(f"tls_cert: {pair.cert} and {pair.key} cannot be used: {e.reason or e}") from e


def _try(context: ssl.SSLContext, pair: Pair) -> float:
    """Shake hands in memory as a client that trusts just this certificate; when it ends, in s since the epoch."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(pair.cert)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = context.wrap_bio(up, down, server_side=True), trusting.wrap_bio(down, up)
    done = False
    while not done:
        done = _step(client)
        done = _step(server) and done
    found = client.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _no_password() -> str:
    return ""
