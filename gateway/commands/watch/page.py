"""A view as a page of a terminal, as one line, or as a document. Pure: nothing is printed here."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.commands.tables import Column, plain_lines, rich_table
from gateway.commands.times import span
from gateway.commands.watch.limits import Limit
from gateway.commands.watch.view import View

BAR: Final = 10
_COLOURS: Final = {"nothing": "green", "rate": "yellow", "window": "yellow", "quota": "yellow", "recorder": "yellow"}


def page(v: View, limit: Limit) -> Group:
    """For a terminal of 80 columns and more."""
    parts: list[RenderableType] = [_rates(v), Text()]
    verdict = Text.assemble(("limit  ", "bold"), (limit.sentence, _COLOURS.get(limit.what, "bold red")))
    parts += [verdict, *([Text(_paused(v), "bold yellow")] if v.paused else []), Text()]
    for columns, rows in _tables(v):
        if rows:
            parts += [rich_table(columns, rows), Text()]
    return Group(*parts, Text(_footer(v), "dim"))


def plain(v: View, limit: Limit) -> list[str]:
    """The same without a terminal."""
    lines = [line_of(v, limit), ""]
    for columns, rows in _tables(v):
        lines += [*plain_lines(columns, rows), ""] if rows else []
    return [*lines, _footer(v)]


def line_of(v: View, limit: Limit) -> str:
    """One line a look."""
    rates = " ".join(f"{stage}={_per_s(rate)}" for stage, rate in v.rates.items())
    at = time.strftime("%H:%M:%S", time.localtime(v.at))
    paused = f" {_paused(v)}" if v.paused else ""
    return f"{at} {rates} waiting={_waiting(v)} lag={v.recorder_lag_s:.1f}s limit: {limit.sentence}{paused}"


def document(v: View, limit: Limit) -> dict[str, Any]:
    """For programs."""
    made: dict[str, Any] = msgspec.to_builtins(v)
    return {"limit": msgspec.to_builtins(limit), **made}


def _rates(v: View) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for stage in v.rates:
        grid.add_column(stage, justify="right", no_wrap=True)
    grid.add_row(*(Text(_per_s(rate), "bold cyan" if rate else "") for rate in v.rates.values()))
    return grid


def _tables(v: View) -> list[tuple[list[Column], list[tuple[str, ...]]]]:
    return [_carriers(v), _queues(v), _processes(v)]


def _carriers(v: View) -> tuple[list[Column], list[tuple[str, ...]]]:
    columns = [Column("carrier", whole=True), Column("sent", right=True), Column("window", whole=True)]
    columns += [Column("waiting", right=True), Column("links", right=True), Column("limited by")]
    rows: list[tuple[str, ...]] = []
    for c in v.carriers:
        waiting = f"{c.waiting:,} {span(c.age_s)}" if c.waiting else "0"
        links = f"{c.verdict.bound}/{c.verdict.links}"
        rows.append(
            (c.name, _per_s(c.per_s), bar(c.verdict.in_flight, c.verdict.window), waiting, links, c.verdict.limited_by)
        )
        if len(c.binds) > 1:
            rows += [(f"  {name}", "", bar(used, window), "", "", "") for name, used, window in c.binds]
    return columns, rows


def _queues(v: View) -> tuple[list[Column], list[tuple[str, ...]]]:
    columns = [Column("queue", whole=True), Column("class"), Column("carrier")]
    columns += [Column("messages", right=True), Column("oldest", right=True)]
    return columns, [(q.name, q.klass, q.carrier, f"{q.messages:,}", span(q.age_s)) for q in v.queues]


def _processes(v: View) -> tuple[list[Column], list[tuple[str, ...]]]:
    columns = [Column("process", whole=True), Column("CPU", right=True), Column("memory", right=True), Column("roles")]
    rows: list[tuple[str, ...]] = []
    for p in v.processes:
        cpu = f"{p.cpu:.0%}" if p.cpu is not None else "-"
        memory = size(p.memory_bytes) if p.memory_bytes else "-"
        rows.append((p.name, cpu, memory, p.error or ", ".join(p.roles)))
    return columns, rows


def _footer(v: View) -> str:
    words = [f"Redis {size(v.redis_bytes)}" + (f" ({v.redis_share:.0%} of maxmemory)" if v.redis_share else "")]
    words += [f"recorder {v.recorder_lag_s:.1f} s behind", f"plan version {v.plan_version}"]
    words += [f"refused {_per_s(per_s)} {code}" for code, per_s in sorted(v.refused.items())]
    words += [f"carriers not known: {v.refusal}"] if v.refusal else []
    return ", ".join(words)


def _paused(v: View) -> str:
    return f"paused: {', '.join(v.paused)}"


def _waiting(v: View) -> int:
    return sum(c.waiting for c in v.carriers) + sum(q.messages for q in v.queues if q.name == "intake")


def _per_s(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"


def bar(used: int, whole: int) -> str:
    """How full something is, drawn and in numbers."""
    filled = min(BAR, round(BAR * used / whole)) if whole else 0
    return f"{'█' * filled}{'░' * (BAR - filled)} {used}/{whole}"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")
