"""Connections to PostgreSQL, and the one place that tells "the server is away" from "the server refused".

On every connection of ours a uuid is 16 bytes and a timestamptz is milliseconds since the epoch (int), as everywhere in
the gateway; jsonb is the decoded value. Opening a pool needs no server: the gateway starts while PostgreSQL is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import msgspec

_EPOCH_2000_US = 946_684_800_000_000
_int64 = struct.Struct(">q")
_SETTINGS = {
    "application_name": "sluice",
    "timezone": "UTC",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # a plan made for other days' partitions is never used again
}
_CONNECT_S = 5.0
_LOST_S = 0.5
"""How long after a server's last word its connection may still seem open."""


class StoreAwayError(Exception):
    """PostgreSQL cannot be reached, or the connection broke: it is not known whether the last statement ran."""


_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

_CONFUSED = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""A wrong call, or a call after the server has said that it ends and before the connection has ended."""

_LOST_ON_RETURN = (*_AWAY, asyncpg.InternalClientError)
"""The server ended a connection that was just being given back: what it was borrowed for is done. The pool throws it
away."""


@contextmanager
def _connecting() -> Iterator[None]:
    try:
        yield
    except _AWAY as e:
        raise StoreAwayError(f"PostgreSQL is away: {type(e).__name__}: {e}") from e


def _is_closed(connection: asyncpg.Connection) -> bool:
    try:
        closed: bool = connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool took it back when the server closed it
    return closed


@contextmanager
def _using(connection: asyncpg.Connection) -> Iterator[None]:
    try:
        yield
    except (*_AWAY, *_CONFUSED) as e:
        if isinstance(e, (*_CONFUSED, OSError)) and not _is_closed(connection):
            raise  # a wrong call, or an error of the borrower's own: not a lost server
        raise StoreAwayError(f"PostgreSQL went away: {type(e).__name__}: {e}") from e


async def _hear_of_the_end(connection: asyncpg.Connection) -> None:
    ended = asyncio.Event()
    with contextlib.suppress(asyncpg.InterfaceError, TimeoutError):
        connection.add_termination_listener(lambda _: ended.set())
        if not connection.is_closed():
            await asyncio.wait_for(ended.wait(), _LOST_S)


def _time_out(data: bytes) -> int:
    return int((_int64.unpack(data)[0] + _EPOCH_2000_US) // 1000)


def _time_in(ms: int, pack: Callable[[int], bytes] = _int64.pack) -> bytes:
    return pack(ms * 1000 - 946_684_800_000_000)  # a constant, because this runs ten times a message


def _json_out(data: bytes) -> Any:
    return msgspec.json.decode(memoryview(data)[1:])  # the first byte is the version of jsonb's format


def _json_in(value: Any) -> bytes:
    return b"\x01" + msgspec.json.encode(value)


def _wake_at_the_end(connection: asyncpg.Connection) -> None:
    """asyncpg wakes those who wait for an answer when a connection ends, but not those who wait to write more of a COPY
    because the server was slow: they would wait for ever."""
    protocol = connection._protocol
    connection.add_termination_listener(lambda _: protocol.resume_writing())


async def _prepare(connection: asyncpg.Connection) -> None:
    _wake_at_the_end(connection)
    for name, encode, decode in (
        ("uuid", bytes, bytes),
        ("timestamptz", _time_in, _time_out),
        ("jsonb", _json_in, _json_out),
    ):
        await connection.set_type_codec(name, schema="pg_catalog", format="binary", encoder=encode, decoder=decode)


async def connect(url: str) -> asyncpg.Connection:
    """One connection of its own. Raises StoreAwayError."""
    with _connecting():
        connection = await asyncpg.connect(url, timeout=_CONNECT_S, server_settings=_SETTINGS)
        await _prepare(connection)
        return connection


class Pool:
    """A bounded pool. Everything on it raises StoreAwayError when the server is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._recipient_key = b""

    @classmethod
    async def open(cls, url: str, size: int = 8) -> Pool:
        """Opens no connection yet."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            timeout=_CONNECT_S,
            init=_prepare,
            server_settings=_SETTINGS,
            max_cached_statement_lifetime=0,  # a kept plan (store/reach.py) goes with its statement
        )
        return cls(pool)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection."""
        with _connecting():
            connection = await self._pool.acquire()
        try:
            with _using(connection):
                try:
                    yield connection
                except _CONFUSED:
                    await _hear_of_the_end(connection)
                    raise
        finally:
            with contextlib.suppress(*_LOST_ON_RETURN):
                await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection with a transaction open: committed at the end, rolled back on an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """All rows."""
        async with self.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
            return rows

    async def fetchrow(self, sql: str, *values: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        """The first value of the first row, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> str:
        """Run a statement; PostgreSQL's word on what it did."""
        async with self.connection() as connection:
            status: str = await connection.execute(sql, *values)
            return status

    @property
    def connections(self) -> tuple[int, int]:
        """Open ones in use and idle."""
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle

    async def recipient_key(self) -> bytes:
        """The key of `recipients.recipient_hash`; read once."""
        if not self._recipient_key:
            self._recipient_key = await self.fetchval("select value from secrets where name = 'recipient'")
        return self._recipient_key

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for borrowed connections up to `timeout_s`, then cut them."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout_s)
        except TimeoutError:
            self._pool.terminate()
