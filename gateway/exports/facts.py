"""What is exported: the facts of schema `bi`, a UTC day at a time, and how one day of one is asked for.

In: a fact, a day, a form. Out: what COPY is told. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final, NamedTuple

FORMATS: Final = ("parquet", "csv", "jsonl")
EXCEL: Final = "excel"


class Fact(NamedTuple):
    """A view of schema bi. `day`: its condition for one day, whose partitions are pruned by it."""

    name: str
    day: str


FACTS: Final = (
    Fact("messages", "id >= id_floor('{0} 00:00+00') and id < id_floor('{1} 00:00+00')"),
    Fact("submissions", "sent_at >= '{0} 00:00+00' and sent_at < '{1} 00:00+00'"),
)

Columns = Mapping[str, str]
"""Names and PostgreSQL's types, in order."""


def where(fact: Fact, day: datetime.date) -> str:
    """The condition for one day."""
    return fact.day.format(day, day + datetime.timedelta(days=1))


def partition(fact: Fact, day: datetime.date) -> str:
    """The table that holds it; when that is gone, the day was dropped."""
    return f"days.{fact.name}_{day:%Y%m%d}"


class Copy(NamedTuple):
    """A query, and how COPY is to write what it gives."""

    query: str
    options: Mapping[str, str | bool]


def copy(fact: Fact, day: datetime.date, columns: Columns, form: str) -> Copy:
    """One day as CSV with a header, as CSV for Excel, or as lines of JSON."""
    source = f"from bi.{fact.name} where {where(fact, day)}"
    if form == "jsonl":
        shown = ", ".join(f"{name}::text" if kind == "numeric" else name for name, kind in columns.items())
        # JSON has no control characters: with these as quote and delimiter every line stays as it is.
        query = f"select row_to_json(one) from (select {shown} {source}) one"
        return Copy(query, {"format": "csv", "quote": "\x01", "delimiter": "\x02"})
    if form == EXCEL:
        shown = ", ".join(_excel(name, kind) for name, kind in columns.items())
        return Copy(f"select {shown} {source}", {"format": "csv", "header": True, "delimiter": ";"})
    return Copy(f"select {', '.join(columns)} {source}", {"format": "csv", "header": True})


def _excel(name: str, kind: str) -> str:
    """As Excel reads it where the decimal sign is a comma; it knows no time zones and no more than milliseconds."""
    if kind in ("numeric", "double precision"):
        return f"replace({name}::text, '.', ',') as {name}"
    if kind == "timestamp with time zone":
        return f"to_char({name} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as {name}"
    return name
