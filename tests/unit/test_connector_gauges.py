"""A connector's links and its messages' time to the wire, as /metrics shows them."""

from __future__ import annotations

from gateway import metrics
from gateway.connector.flight import submissions
from gateway.connector.gauges import begin, end, observe_to_wire, show_limits, show_links
from gateway.provider import Link
from tests.core_builders import NOW_MS, flight, journey, message


def observed(klass: str) -> tuple[float, float]:
    """How often, and seconds altogether."""
    samples = [s for m in metrics.to_wire.collect() for s in m.samples if s.labels.get("class") == klass]
    value = {s.name.rpartition("_")[2]: s.value for s in samples if "le" not in s.labels}
    return value.get("count", 0), value.get("sum", 0)


def since(before: tuple[float, float], klass: str) -> tuple[float, float]:
    count, total = observed(klass)
    return count - before[0], round(total - before[1], 3)


def test_every_urgent_message_counts_and_of_a_bulk_class_the_first_in_line() -> None:
    before = {klass: observed(klass) for klass in ("otp", "marketing")}
    flights = [flight(message(klass=klass)) for klass in ("otp", "otp", "marketing", "marketing")]
    observe_to_wire([s for f in flights for s in submissions(f, ("Hello",), True)], NOW_MS + 2000)
    assert since(before["otp"], "otp") == (2, 4.0)
    assert since(before["marketing"], "marketing") == (1, 2.0)


def test_of_a_large_batch_a_few_stand_for_all() -> None:
    before = observed("otp")
    flights = [flight(message(klass="otp")) for _ in range(99)]
    observe_to_wire([s for f in flights for s in submissions(f, ("Hello",), True)], NOW_MS + 2000)
    assert since(before, "otp") == (100, 200.0), "five, for twenty each"


def test_a_scheduled_message_counts_from_its_time_and_a_second_attempt_not_at_all() -> None:
    before = observed("alert")
    later = flight(message(klass="alert", send_at_ms=NOW_MS + 9000))
    again = flight(message(klass="alert"), journey(attempt=2))
    observe_to_wire([s for f in (later, again) for s in submissions(f, ("Hello",), True)], NOW_MS + 9500)
    assert since(before, "alert") == (1, 0.5)


def test_links_are_counted_by_state_and_vanish_with_their_connector() -> None:
    shown = show_links(
        "north",
        [
            Link("a", "bound", 0, in_flight=3, window=10),
            Link("b", "bound", 0, in_flight=4, window=10),
            Link("c", "closed", 0, window=10),
        ],
    )
    body = metrics.render()[0].decode()
    assert 'sluice_carrier_binds{carrier="north",state="bound"} 2.0' in body
    assert 'sluice_carrier_binds{carrier="north",state="closed"} 1.0' in body
    assert 'sluice_carrier_in_flight{bind="a",carrier="north"} 3.0' in body
    assert 'sluice_carrier_window{bind="b",carrier="north"} 10.0' in body
    assert 'sluice_carrier_window{bind="c",carrier="north"} 0.0' in body, "a closed link takes nothing"
    end("north", shown)
    body = metrics.render()[0].decode()
    assert 'sluice_carrier_binds{carrier="north",state="bound"} 0.0' in body
    assert 'bind="a",carrier="north"' not in body


def test_one_word_says_what_limits_a_carrier() -> None:
    show_limits("south", "rate", 50.0, 7)
    body = metrics.render()[0].decode()
    assert 'sluice_carrier_limited{by="rate",carrier="south"} 1.0' in body
    assert 'sluice_carrier_limited{by="none",carrier="south"} 0.0' in body
    show_limits("south", "", 50.0, 0)
    assert 'sluice_carrier_limited{by="none",carrier="south"} 1.0' in metrics.render()[0].decode()


def test_a_connectors_series_begin_with_zero() -> None:
    begin("west")
    body = metrics.render()[0].decode()
    assert 'sluice_submissions_settled_total{carrier="west",outcome="deferred",reason="throttled"} 0.0' in body
    assert 'sluice_receipts_total{carrier="west",state="delivered"} 0.0' in body
