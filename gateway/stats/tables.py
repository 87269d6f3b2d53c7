"""Figures as flat tables: CSV, CSV for spreadsheets, and Arrow. In: groups as documents. Out: bytes. Pure."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from gateway.stats.definitions import QUANTILES
from gateway.stats.reading import Asked

ARROW: Final = "application/vnd.apache.arrow.stream"
_COUNTS: Final = ("messages", "delivered", "undelivered", "cancelled", "unknown", "open", "parts", "parts_delivered")
_RATES: Final = ("delivery_rate", "parts_delivery_rate")
_LATENCIES: Final = tuple(f"{of}_latency_{name}_s" for of in ("submit", "delivery") for name, _ in QUANTILES)

Row = dict[str, Any]
Made = Callable[[Sequence[Row]], bytes]


def heads(asked: Asked) -> Row:
    """A row of nothing, for the names of its columns."""
    keys = [*(["at"] if asked.step else []), *asked.by]
    return dict.fromkeys([*keys, *_COUNTS, *_RATES, "cost", "cost_per_delivered", "currency", *_LATENCIES])


def row(group: Mapping[str, Any], asked: Asked) -> Row:
    """One group. A sum in several currencies stands in none: ask for one with a filter on the carrier."""
    found = heads(asked)
    for name in found:
        if not name.startswith("cost"):
            found[name] = group.get(name)
    for of in ("submit", "delivery"):
        measured = group.get(f"{of}_latency") or {}
        for name, _ in QUANTILES:
            found[f"{of}_latency_{name}_s"] = measured.get(name)
    costs, shares = group["costs"], group["cost_per_delivered"]
    if len(costs) == 1:
        found["cost"], found["currency"] = Decimal(costs[0]["amount"]), costs[0]["currency"]
    elif costs:
        found["currency"] = "+".join(cost["currency"] for cost in costs)
    if len(shares) == 1:
        found["cost_per_delivered"] = Decimal(shares[0]["amount"])
    return found


def csv_of(rows: Sequence[Row], excel: bool = False) -> bytes:
    """UTF-8 with commas; `excel`: with a byte order mark, semicolons and decimal commas."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";" if excel else ",", lineterminator="\r\n" if excel else "\n")
    writer.writerow(rows[0])
    for one in rows:
        writer.writerow([_cell(value, excel) for value in one.values()])
    return text.getvalue().encode("utf-8-sig" if excel else "utf-8")


def _cell(value: object, excel: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") if excel else value.isoformat()
    if isinstance(value, Decimal | float):
        written = f"{value:f}" if isinstance(value, Decimal) else f"{value:.6g}"
        return written.replace(".", ",") if excel else written
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") and excel:
        return "'" + value  # a spreadsheet would take it for a formula
    return str(value)


def has_arrow() -> bool:
    """Whether the package is there: it is large, and an extra."""
    return importlib.util.find_spec("pyarrow") is not None


def arrow_of(rows: Sequence[Row]) -> bytes:
    """A stream of one table."""
    import pyarrow as pa

    kinds: dict[str, Any] = dict.fromkeys(_COUNTS, pa.int64())
    kinds |= dict.fromkeys((*_RATES, *_LATENCIES), pa.float64())
    kinds |= {"cost": pa.decimal128(38, 6), "cost_per_delivered": pa.decimal128(38, 6)}
    kinds |= {"at": pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist([one for one in rows if one["messages"] is not None], schema))
    return sink.getvalue()


def empty(body: bytes, kind: str) -> bytes:
    """Of a table of nothing but its heads, these."""
    return body if kind == ARROW else body.splitlines(keepends=True)[0]
