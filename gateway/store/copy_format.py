"""Rows in PostgreSQL's binary COPY format (its documentation of COPY, "Binary Format"). In: values. Out: bytes. Pure.

A row is its number of columns (2 bytes), then for each column its length (4 bytes, -1: NULL) and its value:
    00 02 | 00 00 00 02 "ok" | ff ff ff ff
A value that its type cannot hold raises struct.error, or PostgreSQL refuses it.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

import asyncpg

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
LENGTH_16: Final = b"\0\0\0\x10"
"""Stands before a uuid of 16 bytes."""

Row = tuple[bytes, ...]
"""A whole row, in pieces."""

K = TypeVar("K")
V = TypeVar("V")

_length = struct.Struct(">i").pack
_int2 = struct.Struct(">ih").pack
_int4 = struct.Struct(">ii").pack
_int8 = struct.Struct(">iq").pack


def _time(ms: int) -> bytes:
    return _int8(8, ms * 1000 - 946_684_800_000_000)  # from 1970 to 2000, where PostgreSQL's time begins


def _bytes(value: bytes) -> bytes:
    return _length(len(value)) + value


def integer(value: int) -> bytes:
    """An int column."""
    return _int4(4, value)


_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "smallint": lambda value: _int2(2, value),
    "int": integer,
    "bigint": lambda value: _int8(8, value),
    "bool": lambda value: b"\0\0\0\x01\x01" if value else b"\0\0\0\x01\0",
    "text": lambda value: _bytes(value.encode()),
    "bytea": _bytes,
    "uuid": _bytes,
    "timestamptz": _time,
}


class Known(dict[K, V]):
    """What many rows have alike, made once: `known[key]`. Bounded: when it is full it begins anew."""

    def __init__(self, make: Callable[[K], V], capacity: int = 20_000) -> None:
        super().__init__()
        self._make, self._capacity = make, capacity

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if len(self) >= self._capacity:
            self.clear()
        self[key] = value
        return value


def alike(kinds: Sequence[str], columns: int = 0) -> Known[tuple[Any, ...], bytes]:
    """Neighbouring columns of these types whose values, None among them, rows share. `columns`: they begin a row."""
    encoders = [_ENCODERS[kind] for kind in kinds]
    head = struct.pack(">h", columns) if columns else b""

    def encode(values: tuple[Any, ...]) -> bytes:
        parts = [NULL if v is None else encode(v) for encode, v in zip(encoders, values, strict=True)]
        return head + b"".join(parts)

    return Known(encode, 4_000)


def packs(layout: str) -> Known[tuple[int, ...], Callable[..., bytes]]:
    """A whole row in one call: `packs[lengths](values)`. `layout` is a struct format with {} for what varies in length.

    In half the time that joining its pieces takes.
    """
    return Known(lambda lengths: struct.Struct(">" + layout.format(*lengths)).pack, 4_000)


times: Final[Known[int, bytes]] = Known(_time)
"""A timestamptz column from milliseconds: 12 bytes."""

times_or_null: Final[Known[int, bytes]] = Known(lambda ms: _time(ms) if ms else NULL)
"""The same where 0 is NULL."""


def rows(encoded: Iterable[Row]) -> bytes:
    """Some rows, for `copy`."""
    return b"".join(chain.from_iterable(encoded))


async def _file(slices: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield _HEADER
    for some in slices:
        yield some
    yield _TRAILER


async def copy(connection: asyncpg.Connection, table: str, columns: Sequence[str], slices: Sequence[bytes]) -> None:
    """Add the rows of these slices, each whole rows."""
    await connection.copy_to_table(table, source=_file(slices), columns=columns, format="binary")
