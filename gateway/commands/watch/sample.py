"""One look at an installation: every process' /metrics and the carriers, all at once.

In: addresses. Out: `Sample`, numbers by name and labels; a process that does not answer is a reading without numbers.
Never: waits longer than TIMEOUT_S, an exception for a process that is away.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway.commands.client import Client, Refused

TIMEOUT_S: Final = 2.0

Labels = Mapping[str, str]


class Reading(msgspec.Struct, frozen=True):
    """One process. `values` by the metric's name; `error` says why there are none."""

    name: str
    at: float
    values: Mapping[str, Sequence[tuple[Labels, float]]] = {}
    error: str = ""

    def of(self, name: str) -> Sequence[tuple[Labels, float]]:
        """Every series of a metric, without the prefix sluice_."""
        return self.values.get(f"sluice_{name}", ())

    def one(self, name: str) -> float | None:
        """A metric without labels, by its whole name."""
        found = self.values.get(name)
        return found[0][1] if found else None

    @property
    def roles(self) -> frozenset[str]:
        """What the process does."""
        return frozenset(labels["role"] for labels, value in self.of("role") if value)


class Sample(msgspec.Struct, frozen=True):
    """All processes and carriers at one moment. `refusal`: why the carriers are not known."""

    at: float
    readings: Sequence[Reading]
    carriers: Sequence[Mapping[str, Any]] = ()
    refusal: str = ""


def read(name: str, at: float, text: str) -> Reading:
    """From a page of metrics. What is no such page is a reading with an error."""
    values: dict[str, list[tuple[Labels, float]]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values.setdefault(sample.name, []).append((sample.labels, sample.value))
    except ValueError:
        return Reading(name, at, {}, "what it answers are no metrics")
    return Reading(name, at, values)


def look(client: Client, metrics: Sequence[tuple[str, str]]) -> Sample:
    """Ask everybody at once."""
    with ThreadPoolExecutor(max_workers=len(metrics) + 1, thread_name_prefix="look") as pool:
        carriers = pool.submit(_carriers, client)
        readings = list(pool.map(lambda pair: _reading(client, *pair), metrics))
        found, refusal = carriers.result()
    return Sample(time.time(), readings, found, refusal)


def _reading(client: Client, name: str, url: str) -> Reading:
    try:
        page = client.page(url, TIMEOUT_S)
    except Refused as e:
        return Reading(name, time.monotonic(), {}, e.message)
    return read(name, time.monotonic(), page.decode("utf-8", "replace"))


def _carriers(client: Client) -> tuple[Sequence[Mapping[str, Any]], str]:
    try:
        return client.get("/v1/carriers")["carriers"], ""
    except Refused as e:
        return (), e.message
