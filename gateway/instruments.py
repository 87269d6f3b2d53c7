"""How metrics are made: prometheus_client's gauges and exposition, counters and histograms for one event loop.

In: names, meanings, labels, the roles that set them. Out: instruments in `REGISTRY`, and `KNOWN`, from which the
documentation is generated. Never: a lock on the data path; a process counts in its event loop only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY: Final = CollectorRegistry()
PREFIX: Final = "sluice_"


class Known(NamedTuple):
    """What there is to know of one instrument. `roles`: whose processes show it; none: every process does."""

    name: str
    kind: str
    says: str
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    instrument: Collector
    buckets: tuple[float, ...] = ()


KNOWN: Final[list[Known]] = []


class Count:
    """One counter. In one event loop it needs no lock, and so costs a message a seventh of what a locked one does."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, number: float = 1) -> None:
        """Count so many more."""
        self.value += number


class Counter(Collector):
    """Counters that differ by their labels."""

    def __init__(self, name: str, says: str, labels: Sequence[str]) -> None:
        self._name, self._says, self._labels = name, says, tuple(labels)
        self._counts: dict[tuple[str, ...], Count] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Count:
        """The counter of these labels; keep it where it is used often."""
        count = self._counts.get(values)
        if count is None:
            _check(self._name, self._labels, values)
            count = self._counts[values] = Count()
        return count

    def inc(self, number: float = 1) -> None:
        """Count where there are no labels."""
        self.labels().inc(number)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What prometheus_client asks of a collector."""
        family = CounterMetricFamily(self._name, self._says, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count.value)
        yield family


class Series:
    """The observations of one set of labels."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value; `times` when it stands for so many."""
        self.counts[bisect_left(self._bounds, value)] += times
        self.total += value * times


class Distribution(Collector):
    """Histograms that differ by their labels. A value may stand for many."""

    def __init__(self, name: str, says: str, labels: Sequence[str], bounds: tuple[float, ...]) -> None:
        self._name, self._says, self._labels, self._bounds = name, says, tuple(labels), bounds
        self._series: dict[tuple[str, ...], Series] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Series:
        """The series of these labels; keep it where it is used often."""
        series = self._series.get(values)
        if series is None:
            _check(self._name, self._labels, values)
            series = self._series[values] = Series(self._bounds)
        return series

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value where there are no labels."""
        self.labels().observe(value, times)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What prometheus_client asks of a collector."""
        family = HistogramMetricFamily(self._name, self._says, labels=self._labels)
        for values, series in self._series.items():
            below, buckets = 0, []
            for bound, count in zip((*self._bounds, float("inf")), series.counts, strict=True):
                below += count
                buckets.append((floatToGoString(bound), below))  # type: ignore[no-untyped-call]
            family.add_metric(values, buckets, series.total)
        yield family


def _check(name: str, labels: tuple[str, ...], values: tuple[str, ...]) -> None:
    if len(values) != len(labels):
        raise ValueError(f"{name} has the labels {', '.join(labels) or 'none'}, given {values}")


def counter(roles: str, name: str, says: str, *labels: str) -> Counter:
    """A counter; /metrics adds `_total` to its name."""
    made = Counter(PREFIX + name, says, labels)
    REGISTRY.register(made)
    KNOWN.append(Known(f"{PREFIX}{name}_total", "counter", says, labels, tuple(roles.split()), made))
    return made


def gauge(roles: str, name: str, says: str, *labels: str) -> Gauge:
    """A gauge."""
    made = Gauge(PREFIX + name, says, labels, registry=REGISTRY)
    KNOWN.append(Known(PREFIX + name, "gauge", says, labels, tuple(roles.split()), made))
    return made


def histogram(roles: str, name: str, says: str, bounds: tuple[float, ...], *labels: str) -> Distribution:
    """A histogram."""
    made = Distribution(PREFIX + name, says, labels, bounds)
    REGISTRY.register(made)
    KNOWN.append(Known(PREFIX + name, "histogram", says, labels, tuple(roles.split()), made, bounds))
    return made


class Page:
    """What /metrics shows of this process: everything, until it is told which roles the process has."""

    def __init__(self) -> None:
        self._shown = REGISTRY

    def narrow(self, roles: Iterable[str], always: Iterable[Collector]) -> None:
        """Leave out what only other roles set: a 0 that nobody counts is no figure."""
        wanted, shown = set(roles), CollectorRegistry()
        for collector in always:
            shown.register(collector)
        for known in KNOWN:
            if not known.roles or wanted.intersection(known.roles):
                shown.register(known.instrument)
        self._shown = shown

    def render(self) -> tuple[bytes, str]:
        """The body and the content type."""
        return generate_latest(self._shown), CONTENT_TYPE_LATEST
