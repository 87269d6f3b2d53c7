"""Slices of statistics: what changed messages add to and take from tables `stats_day_…` and finer ones. Pure.

A row of these tables is for a quarter of an hour, an hour or a UTC day of accepting and dimensions but the state: each
state has its columns for messages, parts and cost; latencies are histograms (gateway/latencies.py). Four views of
the same: `all` has every dimension; `sides`, `carriers` and `clients` have those asked most, and few rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gateway.latencies import UNITS
from gateway.ledger.rows import Cell
from gateway.message import State

QUARTER_MS: Final = 900_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

DIMENSIONS: Final = ("client", "class", "carrier", "operator", "country", "sender", "tag", "reason")
STATES: Final = tuple(str(state) for state in State)
COUNTS: Final = tuple(name for state in STATES for name in (state, f"{state}_parts", f"{state}_cost_micro"))
LATENCIES: Final = ("submit_latency", "delivery_latency")
COLUMNS: Final = (*COUNTS, *LATENCIES)


class View(NamedTuple):
    """Tables of two grains with the same dimensions."""

    name: str
    dimensions: tuple[str, ...]
    fine: str = "hour"

    @property
    def tables(self) -> tuple[str, str]:
        """The one with the fine grain, and that of days."""
        return f"stats_{self.fine}_{self.name}", f"stats_day_{self.name}"


VIEWS: Final = (
    View("all", DIMENSIONS, "quarter"),
    View("sides", ("client", "class", "carrier", "operator")),
    View("carriers", ("class", "carrier", "operator", "country", "reason")),
    View("clients", ("client", "class", "sender", "tag", "reason")),
)
GRAINS: Final = {"quarter": QUARTER_MS, "hour": HOUR_MS, "day": DAY_MS}

Key = tuple[int | str, ...]
"""at (ms), shard, the view's dimensions, currency."""

Sums = dict[str, int]
"""By column; what is missing is 0."""

_NAMES: Final = {state: (state, f"{state}_parts", f"{state}_cost_micro") for state in STATES}


class Slices:
    """What one transaction books, by table."""

    def __init__(self) -> None:
        self._quarters: dict[Key, Sums] = {}

    def add(self, cell: Cell, messages: int, parts: int, cost_micro: int, took: Iterable[int]) -> None:
        """Messages that count in a cell now."""
        self._book(cell, messages, parts, cost_micro, took, 1)

    def take(self, cell: Cell, messages: int, parts: int, cost_micro: int, took: Iterable[int]) -> None:
        """Messages that counted there."""
        self._book(cell, messages, parts, cost_micro, took, -1)

    def _book(self, cell: Cell, messages: int, parts: int, cost_micro: int, took: Iterable[int], sign: int) -> None:
        minute_ms, shard, client, klass, carrier, operator, state, tag, currency, sender, country, reason = cell
        if country is None:
            return
        at_ms = minute_ms - minute_ms % QUARTER_MS
        key = (at_ms, shard, client, klass, carrier, operator, country, sender, tag, reason, currency)
        sums = self._quarters.setdefault(key, {})
        for name, number in zip(_NAMES[state], (messages, parts, cost_micro), strict=True):
            sums[name] = sums.get(name, 0) + sign * number
        for code, number in Counter(took).items():
            submit, delivery = code >> 7, code & 127
            sums["submit_latency"] = sums.get("submit_latency", 0) + sign * number * UNITS[submit - 1]
            if delivery:
                sums["delivery_latency"] = sums.get("delivery_latency", 0) + sign * number * UNITS[delivery - 1]

    def tables(self) -> dict[str, dict[Key, Sums]]:
        """By the name of the table what changes in it."""
        quarters = _without_nothing(self._quarters)
        found = {}
        for view in VIEWS:
            fine, days = view.tables
            found[fine] = quarters if view.fine == "quarter" else _projected(quarters, view)
            found[days] = _by(found[fine], DAY_MS)
        return found


def _projected(quarters: Mapping[Key, Sums], view: View) -> dict[Key, Sums]:
    hours = _by(quarters, GRAINS[view.fine])
    places = (0, 1, *(2 + DIMENSIONS.index(name) for name in view.dimensions), 2 + len(DIMENSIONS))
    return _summed((tuple(key[n] for n in places), sums) for key, sums in hours.items())


def _by(changes: Mapping[Key, Sums], grain_ms: int) -> dict[Key, Sums]:
    return _summed(((int(key[0]) // grain_ms * grain_ms, *key[1:]), sums) for key, sums in changes.items())


def _summed(pairs: Iterable[tuple[Key, Sums]]) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    for key, sums in pairs:
        known = found.get(key)
        if known is None:
            found[key] = dict(sums)
        else:
            for name, number in sums.items():
                known[name] = known.get(name, 0) + number
    return _without_nothing(found)


def _without_nothing(found: Mapping[Key, Sums]) -> dict[Key, Sums]:
    return {key: sums for key, sums in found.items() if any(sums.values())}
