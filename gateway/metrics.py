"""The metrics of this process, by stage. Stages count here; `render` gives what /metrics answers. Never: I/O, numbers.

Labels have few values: carrier, class, a client's name, a `Reason`, a state. On a hot path keep the child that
`.labels(…)` returns, and count batches, not messages.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(f"sluice_{name}", says, labels, registry=REGISTRY)


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(f"sluice_{name}", says, labels, registry=REGISTRY)


def _histogram(name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"sluice_{name}", says, labels, buckets=buckets, registry=REGISTRY)


# api
requests = _histogram("request_seconds", "HTTP requests, by the time they took", FAST, "route", "status")
accepted = _counter("accepted", "Messages answered with 202", "client", "class")
duplicates = _counter("duplicates", "Messages that had been accepted before", "client")
refused = _counter("refused", "Messages and requests refused, by problem code", "code")
commit_messages = _histogram("commit_messages", "Messages of one group commit", SIZES)

# streams
redis_memory = _gauge("redis_memory_bytes", "Memory that Redis uses")
redis_memory_share = _gauge("redis_memory_share", "Memory that Redis uses, as a share of maxmemory")
leases = _gauge("lease_held", "1 while this process holds the lease", "lease")
leases_lost = _counter("leases_lost", "Leases lost to another process or to a pause", "lease")
queued = _gauge("queue_messages", "Messages that wait", "queue", "class", "carrier")
queue_age = _gauge("queue_age_seconds", "Age of the oldest message that waits", "queue", "class", "carrier")

# router
routed = _counter("routed", "Messages moved to an outbox", "carrier", "class")
recalled = _counter("recalled", "Messages taken back from an outbox", "carrier", "reason")
ended = _counter("ended", "Messages that we ended ourselves", "state", "reason")

# connector
marked = _counter("marked", "Submissions noted as on the wire", "carrier", "class")
to_wire = _histogram(
    "to_wire_seconds",
    "From accept or send_at to the wire; of bulk classes the first in line",
    WAITS,
    "class",
)
settled = _counter("settled", "Submissions settled", "carrier", "outcome", "reason")
answers = _histogram("answer_seconds", "From the wire to the carrier's answer", SLOW, "carrier")
in_flight = _gauge("in_flight", "Submissions without an answer yet", "carrier")
binds = _gauge("binds", "Links to the carrier, by state", "carrier", "state")

# receipts
receipts = _counter("receipts", "Receipts by what they report", "carrier", "state")
receipts_matched = _counter("receipts_matched", "Receipts that found their submission, by how", "by")
receipts_unmatched = _gauge("receipts_unmatched", "Receipts that wait for their submission")

# recorder
recorder_transactions = _histogram("recorder_transaction_seconds", "Transactions of the recorder", SLOW)
recorder_rows = _counter("recorder_rows", "Rows written by the recorder", "table")
recorder_batch = _histogram("recorder_batch_events", "Events of one transaction", SIZES)
recorder_lag = _gauge("recorder_lag_seconds", "Age of the oldest event that is not in PostgreSQL", "shard")
shard_open = _gauge("shard_open", "1 while Redis is in step with PostgreSQL and messages move", "shard")
quarantined = _counter("quarantined", "Events kept raw because PostgreSQL refused them")

# process
loop_lag = _histogram("loop_lag_seconds", "How late the event loop was", FAST)
plan_version = _gauge("plan_version", "Version of the plan in use")


Info("sluice_build", "The running release", registry=REGISTRY).info({"version": __version__})


def render() -> tuple[bytes, str]:
    """The body and the content type of /metrics."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
