"""Who may do what: the keys that work now, held in memory and kept fresh from their mirror in Redis.

In: the mirrored document, a request's Authorization header. Out: a `Rights`, or a problem. Costs a hash and a lookup;
never I/O for a request, never a secret kept or logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway import logs, metrics
from gateway.api.checks import Sender
from gateway.api.problems import Code, Problem, problem
from gateway.api.quotas import Quota, Quotas
from gateway.live.keys import MIRROR
from gateway.message import UnknownVersionError
from gateway.store import keys
from gateway.streams.link import Redis, RedisAwayError, ScriptError
from gateway.streams.mirror import Mirror

log = logs.stage("api")

_LOOK_EVERY_S: Final = 0.02

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NO_KEY = problem(Code.NO_KEY, "Give your key in the header `Authorization: Bearer sk_…`.")
_WRONG_KEY = problem(Code.WRONG_KEY, "No key like this one works here: it may have been revoked or mistyped.")
_NOT_LOADED = problem(Code.NOT_READY, "The keys are not known yet: Redis has none, and PostgreSQL cannot be asked.")


class Rights(msgspec.Struct, frozen=True):
    """What the bearer of a key may do. `expires_at` is by this host's clock."""

    key: keys.Key
    scopes: frozenset[str]
    sender: Sender
    networks: tuple[Network, ...]
    expires_at: float
    quota: Quota

    def allow(self, scope: str) -> Problem | None:
        """None when the key has the scope, or one of several with blanks between; `admin` has them all."""
        if scope in self.scopes or "admin" in self.scopes:
            return None
        wanted = scope.split(" ")
        if len(wanted) > 1 and not self.scopes.isdisjoint(wanted):
            return None
        needed = " or ".join(f"`{one}`" for one in wanted)
        return problem(
            Code.SCOPE_MISSING, f"This needs the scope {needed}, and the key has {_listed(self.key.scopes)}."
        )

    def admit(self, remote: str | None) -> Problem | None:
        """None when the key may be used from this address."""
        if not self.networks or is_inside(remote, self.networks):
            return None
        return problem(Code.ADDRESS_NOT_ALLOWED, "The key may not be used from this address.")


class Keyring:
    """The keys of this process. `loaded` tells whether any document was ever seen."""

    def __init__(self, quotas: Quotas | None = None) -> None:
        self._rights: dict[bytes, Rights] = {}
        self.quotas = quotas or Quotas()
        self._version = -1
        self._looked = 0.0
        self._asked = self._served = 0
        self._lock = asyncio.Lock()
        self.loaded = False

    def replace(self, version: int, document: bytes) -> None:
        """Take over a newer document; what cannot be read leaves the old keys at work."""
        try:
            found = keys.unpack(document)
        except (UnknownVersionError, msgspec.DecodeError) as e:
            log.error("keys unreadable", e, version=version)
            return
        self._rights = {key.hash: _rights(key, self.quotas) for key in found}
        self._version, self.loaded = version, True
        metrics.api_keys.set(len(found))
        log.info("keys loaded", version=version, count=len(found))

    def authenticate(self, authorization: str | None) -> Rights | Problem:
        """The rights of the bearer; whether they hold at his address is asked by `Rights.admit`."""
        if not authorization:
            return _NO_KEY
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            return _NO_KEY
        rights = self._rights.get(hashlib.sha256(secret.strip().encode(errors="surrogateescape")).digest())
        if rights is None:
            return _WRONG_KEY if self.loaded else _NOT_LOADED
        if rights.expires_at and rights.expires_at < time.time():
            return problem(Code.KEY_EXPIRED, "The key has expired: ask for a new one.")
        return rights

    async def refresh(self, redis: Redis) -> None:
        """Look for keys made a moment ago, before a stranger is sent away: one look for all who ask meanwhile."""
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._served >= ticket:
                return
            await asyncio.sleep(self._looked + _LOOK_EVERY_S - time.monotonic())
            self._served = self._asked
            with contextlib.suppress(RedisAwayError, ScriptError, TimeoutError):
                async with asyncio.timeout(1.0):
                    found = await Mirror(redis).get(MIRROR)
                if found is not None and found[0] != self._version:
                    self.replace(*found)
            self._looked = time.monotonic()


async def watch(redis: Redis, keyring: Keyring) -> None:
    """Keep the keyring as new as its mirror. Runs until cancelled."""
    await Mirror(redis).watch(MIRROR, keyring.replace)


def _rights(key: keys.Key, quotas: Quotas) -> Rights:
    networks: list[Network] = []
    for text in key.networks:
        with contextlib.suppress(ValueError):
            networks.append(ipaddress.ip_network(text))
    if key.networks and not networks:
        networks.append(ipaddress.ip_network("255.255.255.255/32"))  # unreadable: from nowhere
    sender = Sender(key.client, key.id, frozenset(key.classes), key.test)
    quota = quotas.of(key.client, key.messages_per_s, key.burst)
    return Rights(key, frozenset(key.scopes), sender, tuple(networks), key.expires_ms / 1000, quota)


def is_inside(remote: str | None, networks: Sequence[Network]) -> bool:
    """Whether an address, as a socket or a header gives it, is in one of the networks."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{n}`" for n in names) or "none"
