"""Writes one day to one file: beside it first, then in its place, so that a reader sees the old or the new one, whole.

In: chunks of CSV or lines of JSON as they come from COPY. Out: a file and the number of its rows. Memory is bounded by
a chunk; Parquet goes by a CSV file beside it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any, Final

from gateway.exports.facts import EXCEL, Columns
from gateway.exports.state import ExportError

BOM: Final = b"\xef\xbb\xbf"
_BLOCK_BYTES: Final = 16 << 20
_ROW_GROUP: Final = 122_880

Source = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
"""Calls what it is given with each chunk."""


def ending_of(form: str) -> str:
    """Of a file's name."""
    return "csv" if form == EXCEL else form


def check_form(form: str) -> None:
    """Raises ExportError when something is missing for it."""
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ExportError("parquet needs pyarrow: pip install pyarrow; csv and jsonl need nothing") from None


class Count:
    """Rows in chunks of CSV, or lines: newlines that stand in no quotes."""

    def __init__(self, quoted: bool) -> None:
        self.rows = 0
        self._quoted, self._open = quoted, False

    def add(self, chunk: bytes) -> None:
        """The next chunk; it may end anywhere."""
        if not self._quoted or (b'"' not in chunk and not self._open):
            self.rows += 0 if self._open else chunk.count(b"\n")
            return
        pieces = chunk.split(b'"')
        self.rows += sum(piece.count(b"\n") for piece in pieces[int(self._open) :: 2])
        self._open ^= len(pieces) % 2 == 0


async def write(target: Path, form: str, columns: Columns, source: Source) -> int:
    """The number of rows. The file is there under its name when this returns. Raises ExportError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, plain = (target.with_name(f".{target.name}.{end}") for end in ("new", "csv"))
    try:
        first = plain if form == "parquet" else fresh
        rows = await _stream(first, form, source)
        if form == "parquet":
            found = await asyncio.to_thread(_to_parquet, plain, fresh, columns)
            if found != rows:
                raise ExportError(f"{target}: {rows} rows were read and {found} written")
        fresh.replace(target)
        return rows
    except OSError as e:
        raise ExportError(f"{target} cannot be written: {e.strerror or e}") from e
    finally:
        fresh.unlink(missing_ok=True)
        plain.unlink(missing_ok=True)


async def _stream(path: Path, form: str, source: Source) -> int:
    count = Count(quoted=form != "jsonl")
    with path.open("wb", buffering=1 << 20) as file:
        if form == EXCEL:
            file.write(BOM)

        async def take(chunk: bytes) -> None:
            file.write(chunk)
            count.add(chunk)

        await source(take)
        _to_disk(file)
    return count.rows - (form != "jsonl")  # the header


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _types(columns: Columns) -> dict[str, Any]:
    import pyarrow as pa

    kinds = {
        "smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64(), "boolean": pa.bool_(),
        "double precision": pa.float64(), "numeric": pa.decimal128(24, 6),
        "timestamp with time zone": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    return {name: kinds.get(kind, pa.string()) for name, kind in columns.items()}


def _to_parquet(plain: Path, target: Path, columns: Columns) -> int:
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = _types(columns)
    convert = csv.ConvertOptions(
        column_types=types,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
        true_values=["t"],
        false_values=["f"],
    )
    read = csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    schema = pa.schema(types.items())
    with (
        target.open("wb") as file,
        csv.open_csv(plain, read, csv.ParseOptions(newlines_in_values=True), convert) as batches,
        parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch, row_group_size=_ROW_GROUP)
        writer.close()
        _to_disk(file)
    return int(parquet.read_metadata(target).num_rows)
