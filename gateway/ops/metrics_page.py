"""docs/metrics.md from the metrics themselves: `python -m gateway.ops.metrics_page > docs/metrics.md`. Pure."""

from __future__ import annotations

from typing import Final

import gateway.metrics  # noqa: F401 - to know them all
from gateway.instruments import KNOWN, Known
from gateway.stats.definitions import DIMENSIONS, FIGURES

STAGES: Final = {
    "HTTP interface": "api",
    "Router, and what waits in Redis": "router",
    "Connectors": "connector",
    "Receipts": "receipts",
    "Recorder": "recorder",
    "Callbacks to applications": "notifier",
}
EVERY: Final = "Every process, or most"

HEAD: Final = """# Metrics

What `/metrics` of each process shows, in the format of Prometheus. Generated from the code by
`python -m gateway.ops.metrics_page`; a test holds this page to it. Dashboards, alerts and their runbooks are in
[monitoring/](monitoring/README.md).

A process with the role `api` shows it on its own address, without a key; others on `metrics_listen`
(`SLUICE_METRICS_LISTEN`). `sluice up` prints the addresses of its processes. A process shows only what its roles set.
Beside what stands here there are `process_…` (CPU, resident memory, open files, start time) and `python_gc_…`, as every
Prometheus client for Python has them.

Labels have few values: carriers and binds of the plan, classes, clients (in two counters only), reasons and states of
closed lists. No number, no text, no id of a message is ever a label. Durations are in seconds, sizes in bytes, times in
seconds since the epoch.
"""

FIGURES_HEAD: Final = """
## Figures of statistics

What `GET /v1/stats`, `sluice stats` and the views `bi.stats_days` and `bi.stats_quarters` tell. A message counts in the
quarter of an hour in which it was accepted, and where it stands now: a late receipt corrects that quarter. The figures
are booked in the transactions that write the messages. At the end stand the dimensions that they can be asked by.

| figure | meaning |
|---|---|
"""

NOTES: Final = """
## Reading them

- Rates: `rate(sluice_messages_accepted_total[5m])`. Series of known labels begin with 0, so the first event counts.
- Quantiles: `histogram_quantile(0.99, sum by (le, class) (rate(sluice_accept_to_wire_seconds_bucket[5m])))`.
- `sluice_queue_…`, `sluice_carrier_live` and `sluice_carrier_mode` are measured by every process with the role
  `router`, each the whole of it: take `max without (instance)`, never the sum. So it is with `sluice_receipts_waiting`,
  `sluice_receipts_waiting_age_seconds` and `sluice_quarantine_values` of every process with the role `receipts`.
- Something waits and nothing moves:
  `sluice_queue_entries > 0 and time() - sluice_queue_moved_timestamp_seconds > 60`.
- `sluice_queue_messages` of `outbox` holds what is with the carrier and not answered too: an entry leaves its outbox
  when its outcome is written down.
"""


def page() -> str:
    """The page."""
    sections = [HEAD]
    for title, stage in STAGES.items():
        mine = [known for known in KNOWN if known.roles[:1] == (stage,) and not _is_shared(known)]
        if mine:
            sections.append(_section(title, mine))
    sections.append(_section(EVERY, [known for known in KNOWN if _is_shared(known)]))
    return "\n".join(sections) + _figures() + NOTES


def _figures() -> str:
    told = FIGURES | {name: DIMENSIONS[name] for name in DIMENSIONS}
    return FIGURES_HEAD + "".join(f"| `{name}` | {says} |\n" for name, says in told.items())


def _is_shared(known: Known) -> bool:
    return not known.roles or len(known.roles) > 2


def _section(title: str, metrics: list[Known]) -> str:
    lines = [f"## {title}", "", "| metric | type | labels | meaning | shown by |", "|---|---|---|---|---|"]
    for known in metrics:
        labels = ", ".join(f"`{label}`" for label in known.labels)
        shown = ", ".join(known.roles) or "all"
        lines.append(f"| `{known.name}` | {known.kind} | {labels} | {known.says}{_buckets(known)} | {shown} |")
    return "\n".join(lines) + "\n"


def _buckets(known: Known) -> str:
    return f". Buckets up to {', '.join(f'{bound:g}' for bound in known.buckets)}" if known.buckets else ""


if __name__ == "__main__":
    print(page(), end="")
