"""Logins of analysts: roles that read schema `bi` and nothing else.

In: a name, a password (None: it keeps its own), whether numbers and texts may be seen. Out: the role as it should be;
repeating it is safe. Never: the password on the wire or in the server's log, only its SCRAM verifier (RFC 5803).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import Final

import asyncpg

from gateway.store.pool import connect

GROUP: Final = "sluice_bi"
"""Every analyst's login is a member; pg_hba.conf of the embedded PostgreSQL lets in its members over TCP."""

NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
LEAST_PASSWORD: Final = 12
_ROUNDS: Final = 4096  # what PostgreSQL takes itself
_RECIPIENTS: Final = "recipients"
_PRIVATE: Final = (_RECIPIENTS,)

_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "10min",
    "search_path": "bi",
    "timezone": "UTC",
    "jit": "off",
}


class AnalystError(Exception):
    """The login cannot be made. The text says why, for an operator."""


def scram_verifier(password: str, salt: bytes = b"") -> str:
    """What PostgreSQL stores of a password of printable ASCII."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ROUNDS}:{salt64}${stored64}:{server64}"


def check_password(password: str) -> str:
    """Why it will not do; empty when it will."""
    if len(password) < LEAST_PASSWORD:
        return f"the password has {len(password)} characters: take at least {LEAST_PASSWORD}"
    if not (password.isascii() and password.isprintable()):
        return "the password has characters that are not printable ASCII: programs disagree on how to send those"
    return ""


async def exists(postgres_url: str, name: str) -> bool:
    """Whether the login is there. Raises StoreAwayError."""
    connection = await connect(postgres_url)
    try:
        return bool(await connection.fetchval("select 1 from pg_roles where rolname = $1", name))
    finally:
        await connection.close()


async def grant(postgres_url: str, name: str, password: str | None, with_recipients: bool) -> None:
    """Make the login, or bring it to what is asked. Raises AnalystError and StoreAwayError."""
    connection = await connect(postgres_url)
    try:
        async with connection.transaction():
            await _make(connection, name, password)
            await _allow(connection, name, with_recipients)
            await connection.execute("select fill_dimensions()")
    except asyncpg.InsufficientPrivilegeError as e:
        raise AnalystError(f"{e}: take the URL of the role that owns the tables, with CREATEROLE") from e
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError) as e:
        raise AnalystError("the schema is older than this release: run `sluice db migrate`") from e
    finally:
        await connection.close()


async def remove(postgres_url: str, name: str) -> bool:
    """Drop the login; False: there was none. Raises AnalystError and StoreAwayError."""
    connection = await connect(postgres_url)
    try:
        async with connection.transaction():
            if not await _is_ours(connection, name):
                return False
            await _run(connection, "drop owned by %I", name)
            await _run(connection, "drop role %I", name)
            return True
    except asyncpg.PostgresError as e:
        raise AnalystError(f"{name} cannot be dropped: {e}") from e
    finally:
        await connection.close()


async def _run(connection: asyncpg.Connection, template: str, *values: str) -> None:
    """Statements about roles take no parameters; the server quotes."""
    places = ", ".join(f"${n}::text" for n in range(2, len(values) + 2))
    await connection.execute(await connection.fetchval(f"select format($1::text, {places})", template, *values))


async def _is_ours(connection: asyncpg.Connection, name: str) -> bool:
    """Whether there is such a role. Raises AnalystError when it is somebody else's."""
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", name):
        return False
    member = await connection.fetchval(
        "select 1 from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles r on r.oid = m.member"
        " where g.rolname = $1 and r.rolname = $2",
        GROUP,
        name,
    )
    if not member:
        raise AnalystError(f"{name} is a role that Sluice did not make for an analyst: choose another name")
    return True


async def _make(connection: asyncpg.Connection, name: str, password: str | None) -> None:
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", GROUP):
        await _run(connection, "create role %I nologin", GROUP)
    if not await _is_ours(connection, name):
        assert password is not None
        await _run(connection, "create role %I login in role %I connection limit 10", name, GROUP)
    if password is not None:
        await _run(connection, "alter role %I password %L", name, scram_verifier(password))
    for setting, value in _SETTINGS.items():
        await _run(connection, "alter role %I set %I = %L", name, setting, value)


async def _allow(connection: asyncpg.Connection, name: str, with_recipients: bool) -> None:
    database = await connection.fetchval("select current_database()")
    await _run(connection, "grant connect on database %I to %I", database, GROUP)
    await connection.execute("revoke create on schema public from public")  # which PostgreSQL 14 still grants
    await _run(connection, "grant usage on schema bi, public to %I", GROUP)
    for row in await connection.fetch(
        "select relname from pg_class where relnamespace = 'bi'::regnamespace and relkind in ('r', 'v')"
    ):
        if row["relname"] not in _PRIVATE:
            await _run(connection, "grant select on bi.%I to %I", row["relname"], GROUP)
    verb, to = ("grant", "to") if with_recipients else ("revoke", "from")
    await _run(connection, f"{verb} select on bi.%I {to} %I", _RECIPIENTS, name)
