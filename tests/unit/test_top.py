"""What `sluice top` makes of what processes and carriers say: rates, the rule that says what limits, pages of 80."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from gateway import metrics
from gateway.commands.tables import plain_lines, rich_table
from gateway.commands.target import metrics_of
from gateway.commands.watch import page
from gateway.commands.watch.carrier import judge
from gateway.commands.watch.limits import limit_of
from gateway.commands.watch.sample import Reading, Sample, read
from gateway.commands.watch.view import STAGES, View, view

NOW = 1_800_000_000.0
BOUND = {"bind": "a", "state": "bound", "since_ms": 0, "error": "", "in_flight": 3, "window": 10}


def carrier(name: str = "north", mode: str = "running", **status: Any) -> dict[str, Any]:
    return {"name": name, "mode": mode, "status": {"at_ms": NOW * 1000, "live": True, "links": [BOUND]} | status}


def reading(name: str, at: float, **values: Any) -> Reading:
    """`outbox="north:50:2.5"` and `intake=…` are queues; others are metrics, plain or with labels."""
    lines = []
    for metric, value in values.items():
        if metric in ("intake", "outbox"):
            carrier, count, age = value.split(":")
            labels = f'{{queue="{metric}",class="otp",carrier="{carrier}"}}'
            lines += [f"sluice_queue_messages{labels} {count}", f"sluice_queue_age_seconds{labels} {age}"]
        elif isinstance(value, dict):
            lines += [f"sluice_{metric}{{{labels}}} {number}" for labels, number in value.items()]
        else:
            lines.append(f"{metric} {value}")
    return read(name, at, "\n".join(lines) + "\n")


def looked(*carriers: dict[str, Any], cpu: float = 0.1, late_s: float = 0.0, roles: str = "router", **now: Any) -> View:
    """One process, looked at twice, a second apart."""
    role = {"role": {f'role="{name}"': 1 for name in roles.split()}}
    lag = {"sluice_event_loop_lag_seconds_count": 10, "sluice_event_loop_lag_seconds_sum": 1.0}
    before = reading("dispatch", 0.0, process_cpu_seconds_total=5.0, **lag, **role)
    lag = {"sluice_event_loop_lag_seconds_count": 12, "sluice_event_loop_lag_seconds_sum": 1.0 + 2 * late_s}
    after = reading("dispatch", 1.0, process_cpu_seconds_total=5.0 + cpu, **lag, **role, **now)
    return view(Sample(NOW - 1, [before]), Sample(NOW, [after], carriers or (carrier(),)))


def test_rates_are_added_up_over_processes_and_a_restart_counts_from_zero() -> None:
    def at(when: float, north: int, west: int) -> Sample:
        one = reading("a", when, messages_routed_total={'carrier="north",class="otp"': north})
        other = reading("b", when, messages_routed_total={'carrier="west",class="otp"': west})
        return Sample(NOW, [one, other])

    assert view(None, at(0.0, 10, 10)).rates["routed"] is None
    assert view(at(0.0, 10, 100), at(2.0, 30, 40)).rates["routed"] == 10 + 20
    away = Sample(NOW, [Reading("a", 1.0, {}, "refused"), at(2.0, 30, 40).readings[1]])
    assert view(at(0.0, 10, 30), away).rates["routed"] == 5
    assert [p.error for p in view(None, away).processes] == ["refused", ""]


def test_queues_that_every_process_measures_are_counted_once() -> None:
    two = [reading(name, 0.0, intake=":50:2.5") for name in ("a", "b")]
    assert [(q.messages, q.age_s) for q in view(None, Sample(NOW, two)).queues] == [(50, 2.5)]


def test_what_is_shown_is_a_metric_that_the_gateway_has() -> None:
    text = metrics.render()[0].decode()
    names = [name.removesuffix("_total") for name, _ in STAGES.values()]
    names += ["queue_messages", "queue_age_seconds", "recorder_lag_seconds", "redis_memory_used_ratio", "check_ok"]
    names += ["redis_memory_threshold_ratio", "shard_open", "role", "refusals", "event_loop_lag_seconds"]
    for name in names:
        assert f"# TYPE sluice_{name}" in text, name


@pytest.mark.parametrize(
    ("v", "what", "words"),
    [
        (looked(), "nothing", "what comes in goes out"),
        (looked(intake=":5:0.2", outbox="north:9:0.3"), "nothing", "what comes in"),
        (looked(outbox="north:3:60"), "nothing", "what comes in"),  # all of it is with the carrier
        (looked(carrier(limited_by="window", answer_ms=800), outbox="north:50:2.5"), "window", "47 wait for it"),
        (looked(carrier(links=[BOUND | {"in_flight": 9}]), outbox="north:50:2.5"), "window", "(9 of 10)"),
        (looked(carrier(limited_by="rate", rate_per_s=5), outbox="north:50:2.5"), "rate", "rate of 5 parts"),
        (looked(carrier(live=False, links=[], last_error="x"), outbox="north:50:9"), "no_bind", "The last error: x."),
        (looked(carrier(mode="paused"), outbox="north:50:9"), "paused", "sluice carriers resume north"),
        (looked(carrier(at_ms=0), outbox="north:50:9"), "no_connector", "role connector"),
        (looked(carrier(), carrier("west", mode="paused"), outbox="west:50:9"), "paused", "carrier west"),
        (looked(carrier(), outbox="north:50:9", cpu=0.95, roles="connector"), "cpu", "95% of a core"),
        (looked(carrier(), outbox="north:50:9", late_s=0.2, roles="connector"), "machine", "200 ms late"),
        (looked(carrier(), outbox="north:50:9", roles="connector"), "unclear", "nothing shows why"),
        (looked(intake=":50:9"), "router", "50 wait to be routed"),
        (looked(intake=":50:9", cpu=0.9), "cpu", "CPU of dispatch"),
        (looked(intake=":50:9", roles="api"), "router", "no process with the role router"),
        (looked(carrier(live=False), intake=":50:9"), "no_bind", "no carrier can send"),
        (looked(intake=":50:9", outbox="north:50:9"), "unclear", "carrier north"),  # the one downstream
        (looked(recorder_lag_seconds={'shard="0"': 12}), "recorder", "12 s behind"),
        (looked(recorder_lag_seconds={'shard="0"': 12}, intake=":50:9"), "router", "to be routed"),
        (looked(cpu=0.99, roles="api"), "cpu", "takes in no more"),
        (looked(redis_memory_used_ratio={"": 0.75}), "memory", "75% full: new messages get 429 from 70%"),
        (looked(redis_memory_used_ratio={"": 0.9}, outbox="north:50:9"), "memory", "sending stops"),
        (looked(shard_open={'shard="0"': 0}), "shard_closed", "sluice recover"),
        (looked(check_ok={'check="plan"': 0}), "no_plan", "sluice plan apply"),
        (looked(check_ok={'check="redis"': 0}), "redis", "cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_limits_is_told_by_one_rule(v: View, what: str, words: str) -> None:
    limit = limit_of(v)
    assert (limit.what, words in limit.sentence) == (what, True), limit


def test_a_carrier_that_cannot_send_is_told_though_nothing_waits() -> None:
    assert "carrier north cannot send" in limit_of(looked(carrier(mode="draining"))).sentence


def test_a_carrier_is_judged_in_one_sentence() -> None:
    assert judge(carrier(), int(NOW * 1000)).sentence == "It is fine."
    half = carrier(links=[BOUND, BOUND | {"bind": "b", "state": "refused"}], last_error="wrong password")
    verdict = judge(half, int(NOW * 1000))
    assert verdict.ok and verdict.sentence == "It sends. 1 of 2 links are up. The last error: wrong password."
    assert not judge({"name": "x", "mode": "running", "status": {}}, 0).ok
    gone = judge(carrier(at_ms=0), int(NOW * 1000))
    assert (gone.limited_by, gone.links, gone.window) == ("no_connector", 0, 0)  # its last report holds no more


def full() -> View:
    names = ("north-long-name", "west")
    sent = {f'carrier="{name}",class="otp"': 5.0 for name in names}
    two = [BOUND, BOUND | {"bind": "b"}]
    return looked(
        *(carrier(name, limited_by="window", links=two, last_error="it said something long " * 5) for name in names),
        outbox="north-long-name:1234567:86400",
        intake=":7654321:12.5",
        submissions_marked_total=sent,
        roles="router connector recorder receipts",
        redis_memory_used_bytes={"": 123456789},
    )


def drawn(width: int, **given: Any) -> str:
    out = Console(file=io.StringIO(), width=width, force_terminal=True, **given)
    v = full()
    out.print(page.page(v, limit_of(v)))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_page_fits_into_80_columns_and_nothing_is_cut() -> None:
    shown = drawn(80, color_system=None)
    assert max(len(line) for line in shown.splitlines()) <= 80
    for words in ("north-long-name", "1,234,561", "7,654,321", "1 d", "6/20", "recorder", "118 MB"):
        assert words in shown, shown
    assert "…" not in shown


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;36m" in drawn(80, color_system="standard") or "\x1b[36m" in drawn(80, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "36m" not in drawn(80, color_system="standard")


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_look() -> None:
    v = full()
    line = page.line_of(v, limit_of(v))
    assert "\n" not in line and "accepted=" in line and "limit: carrier north-long-name" in line
    assert page.plain(v, limit_of(v))[0] == line
    assert page.document(v, limit_of(v))["limit"]["what"] == "window"


def test_plain_tables_are_aligned_and_never_cut() -> None:
    columns = [page.Column("a"), page.Column("number", right=True)]
    assert plain_lines(columns, [["x" * 200, "1"], ["Ж", "23456789"]])[1:] == [
        f"{'x' * 200}         1",
        f"Ж{' ' * 199}  23456789",
    ]
    assert rich_table(columns, [["x", "1"]]).row_count == 1


def test_metrics_are_named_or_not() -> None:
    assert metrics_of("api=http://a:1/metrics, http://b:2/metrics?x=1,") == (
        ("api", "http://a:1/metrics"),
        ("b:2", "http://b:2/metrics?x=1"),
    )
    assert metrics_of("") == ()
