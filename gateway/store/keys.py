"""Clients' keys: made, listed, revoked, each with its audit row in one transaction.

In: what a key may do. Out: the secret, once; afterwards only its SHA-256 exists (a key has 192 random bits, so a slow
hash would add nothing). `pack` gives what is mirrored in Redis, so that keys work while PostgreSQL is away.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import time
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from gateway.message import CLASSES, VERSION, UnknownVersionError
from gateway.store import audit
from gateway.store.pool import Pool

SCOPES: Final = ("send", "read", "stats", "ops", "plan", "privacy", "admin")
_CLIENT: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_LOCK: Final = 7_517_006  # advisory lock: the order in which mirrors are written is that of the commits


class KeyRefusedError(ValueError):
    """A key cannot be made like this. The text says what would be right."""


class Key(msgspec.Struct, array_like=True, frozen=True):
    """What a key may do. Fields grow only at the end, with defaults. No networks: from everywhere."""

    id: str
    client: str
    hash: bytes  # SHA-256 of the secret
    scopes: tuple[str, ...]
    classes: tuple[str, ...]
    networks: tuple[str, ...] = ()
    test: bool = False
    expires_ms: int = 0  # 0: never
    messages_per_s: float | None = None  # the client's quota; None: what the settings give, 0: no limit
    burst: int = 0  # 0: what a second gives


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as operators see it. Times are ms since the epoch."""

    id: str
    client: str
    name: str
    scopes: tuple[str, ...]
    classes: tuple[str, ...]
    networks: tuple[str, ...]
    test: bool
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Key]).decode


def hash_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def pack(keys: Sequence[Key]) -> bytes:
    """The mirrored document: version byte and msgpack."""
    return VERSION + _encode(keys)


def unpack(data: bytes) -> list[Key]:
    """Inverse of `pack`. Raises UnknownVersionError or msgspec.DecodeError."""
    if data[:1] != VERSION:
        raise UnknownVersionError(f"keys have version {data[:1]!r}, this release reads {VERSION!r}")
    return _decode(memoryview(data)[1:])


async def create_key(
    pool: Pool,
    client: str,
    *,
    who: str,
    name: str = "",
    scopes: Sequence[str] = ("send", "read", "stats"),
    classes: Sequence[str] = CLASSES,
    networks: Sequence[str] = (),
    test: bool = False,
    expires_ms: int | None = None,
) -> tuple[str, str]:
    """Make a key, and its client when new: (id, secret). Publishing makes it work.

    Raises KeyRefusedError, StoreAwayError.
    """
    _check(client, scopes, classes, networks, expires_ms)
    key_id = "key_" + secrets.token_hex(6)
    secret = ("sk_test_" if test else "sk_") + secrets.token_hex(24)
    async with pool.transaction() as connection:
        await connection.execute("insert into clients (name) values ($1) on conflict do nothing", client)
        await connection.execute(
            "insert into keys (id, client, hash, name, scopes, classes, networks, test, expires_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *(key_id, client, hash_of(secret), name, list(scopes), list(classes), list(networks), test, expires_ms),
        )
        details = {"client": client, "scopes": list(scopes), "classes": list(classes), "test": test}
        await audit.note(connection, who, "key.create", key_id, details)
    return key_id, secret


async def list_keys(pool: Pool, client: str | None = None) -> list[KeyRow]:
    """All keys, or a client's, oldest first; revoked ones too."""
    rows = await pool.fetch(
        "select id, client, name, scopes, classes, networks, test, created_at, expires_at, revoked_at from keys"
        " where $1::text is null or client = $1 order by created_at, id",
        client,
    )
    return [
        KeyRow(
            id=r["id"],
            client=r["client"],
            name=r["name"],
            scopes=tuple(r["scopes"]),
            classes=tuple(r["classes"]),
            networks=tuple(r["networks"]),
            test=r["test"],
            created_ms=r["created_at"],
            expires_ms=r["expires_at"],
            revoked_ms=r["revoked_at"],
        )
        for r in rows
    ]


async def name_of(pool: Pool, key_id: str) -> str:
    """A key's name; empty when it has none. Raises StoreAwayError."""
    return await pool.fetchval("select name from keys where id = $1", key_id) or ""


async def revoke_key(pool: Pool, key_id: str, *, who: str) -> bool:
    """End a key for good; False when there is none such or it was revoked before. Publishing makes it known."""
    async with pool.transaction() as connection:
        status = await connection.execute(
            "update keys set revoked_at = now() where id = $1 and revoked_at is null", key_id
        )
        if status != "UPDATE 1":
            return False
        await audit.note(connection, who, "key.revoke", key_id, {})
        return True


async def live_keys(connection: asyncpg.Connection) -> list[Key]:
    """Every key that works now. One reader at a time until the transaction ends: mirrors keep the order of commits."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    rows = await connection.fetch(
        "select k.id, client, hash, scopes, classes, networks, test, expires_at, quotas from keys k"
        " join clients c on c.name = k.client"
        " where revoked_at is null and c.disabled_at is null and (expires_at is null or expires_at > now())"
        " order by k.id"
    )
    return [
        Key(
            r["id"],
            r["client"],
            r["hash"],
            tuple(r["scopes"]),
            tuple(r["classes"]) or CLASSES,
            tuple(r["networks"]),
            r["test"],
            r["expires_at"] or 0,
            r["quotas"].get("messages_per_s"),
            r["quotas"].get("burst", 0),
        )
        for r in rows
    ]


def _check(
    client: str, scopes: Sequence[str], classes: Sequence[str], networks: Sequence[str], expires_ms: int | None
) -> None:
    if not _CLIENT.fullmatch(client):
        raise KeyRefusedError(
            "a client's name has 1 to 63 small letters, digits and . _ -, and begins with a letter or digit"
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise KeyRefusedError(f"unknown scope `{scope}`; known are {', '.join(SCOPES)}")
    for klass in classes:
        if klass not in CLASSES:
            raise KeyRefusedError(f"unknown class `{klass}`; known are {', '.join(CLASSES)}")
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise KeyRefusedError(f"`{network}` is not a network such as 10.0.0.0/8 or 2001:db8::/32") from None
    if expires_ms is not None and expires_ms <= time.time() * 1000:
        raise KeyRefusedError("the key would have expired already")
