"""Counters and histograms without a lock, as Prometheus reads them."""

from __future__ import annotations

import timeit

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.instruments import KNOWN, Counter, Distribution, Page


def exposed(instrument: Counter | Distribution) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(instrument)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_histogram_counts_each_value_in_its_bucket_and_all_above() -> None:
    waits = Distribution("wait_seconds", "How long", ("kind",), (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        waits.labels("a").observe(value)
    found = exposed(waits)
    assert found["wait_seconds_bucket", "a", "0.1"] == 2, "a bound belongs to its bucket"
    assert found["wait_seconds_bucket", "a", "1.0"] == 3
    assert found["wait_seconds_bucket", "a", "+Inf"] == found["wait_seconds_count", "a"] == 4
    assert found["wait_seconds_sum", "a"] == pytest.approx(7.65)


def test_a_value_may_stand_for_many() -> None:
    waits = Distribution("wait_seconds", "How long", (), (1.0,))
    waits.observe(0.5, 10)
    assert exposed(waits) == {
        ("wait_seconds_bucket", "1.0"): 10,
        ("wait_seconds_bucket", "+Inf"): 10,
        ("wait_seconds_count",): 10,
        ("wait_seconds_sum",): 5,
    }


def test_a_counter_without_labels_begins_with_zero() -> None:
    lost = Counter("lost", "How many", ())
    assert exposed(lost) == {("lost_total",): 0}
    lost.inc(3)
    assert exposed(lost) == {("lost_total",): 3}


def test_a_series_named_beforehand_begins_with_zero_too() -> None:
    lost = Counter("lost", "How many", ("why",))
    assert exposed(lost) == {}
    lost.labels("night")
    assert exposed(lost) == {("lost_total", "night"): 0}


def test_the_wrong_number_of_labels_is_a_mistake_at_once() -> None:
    with pytest.raises(ValueError, match="has the labels why, given"):
        Counter("lost", "How many", ("why",)).labels("a", "b")
    with pytest.raises(ValueError, match="has the labels none, given"):
        Distribution("wait_seconds", "How long", (), (1.0,)).labels("a")


def test_a_process_shows_what_its_roles_set_and_nothing_else() -> None:
    page = Page()
    page.narrow(("recorder",), metrics.PROCESS)
    body = page.render()[0].decode()
    assert "sluice_recorder_transaction_seconds_count" in body
    assert "sluice_redis_up" in body, "every process shows it"
    assert "process_open_fds" in body
    assert "sluice_accept_to_wire_seconds" not in body
    for known in KNOWN:
        name = known.name.removesuffix("_total") if known.kind == "counter" else known.name
        assert (f"# TYPE {known.name} " in body or f"# TYPE {name} " in body) == (
            not known.roles or "recorder" in known.roles
        )


def test_counting_costs_next_to_nothing() -> None:
    """On the data path a batch counts a few of these: at a microsecond each it would still be nothing a message."""
    count = Counter("lost", "How many", ("why",)).labels("a")
    series = Distribution("wait_seconds", "How long", ("kind",), metrics.WAITS).labels("a")
    best = min(timeit.repeat(lambda: (count.inc(), series.observe(0.3)), number=1000, repeat=20)) / 1000
    assert best < 20e-6
