"""The metrics of this process, by stage. Stages count here; `render` gives what /metrics answers. Never: I/O, numbers.

Labels have few values: carrier, bind, class, a client's name, a `Reason`, a state. On a hot path keep the child that
`.labels(…)` returns, and count batches, not messages. docs/metrics.md is made from this page (`python -m
gateway.ops.metrics_page`). The first argument names the roles whose processes show a metric; none: all do.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Final

from prometheus_client import GCCollector, ProcessCollector

from gateway import __version__
from gateway.instruments import REGISTRY, Counter, Distribution, Page, counter, gauge, histogram
from gateway.message import CLASSES

PROCESS: Final = (ProcessCollector(registry=REGISTRY), GCCollector(registry=REGISTRY))
"""`process_…` (CPU, memory, file descriptors, start) and `python_gc_…`, as every Prometheus client has them."""

FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
DELIVERY: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)

LEASED: Final = "router connector recorder receipts"

# api
requests = histogram(
    "api",
    "http_request_duration_seconds",
    "HTTP requests, from the head to the answer, by the time they took",
    FAST,
    "route",
    "status",
)
accepted = counter("api", "messages_accepted", "Messages answered with 202", "client", "class")
duplicates = counter("api", "messages_duplicate", "Messages that had been accepted before", "client")
refused = counter("api", "refusals", "Requests, and messages of batches, refused, by problem code", "code")
commit_messages = histogram("api", "accept_commit_messages", "Messages of one group commit", SIZES)
commit_seconds = histogram("api", "accept_commit_seconds", "Group commits to Redis, until they are durable", FAST)
api_keys = gauge("api", "api_keys", "Keys that this process would accept")
certificate_ends = gauge(
    "api", "tls_certificate_expiry_timestamp_seconds", "When the API's certificate ends; 0: it speaks plain HTTP"
)

# streams
redis_up = gauge("", "redis_up", "1 while this process has a connection to Redis")
redis_reconnects = counter("", "redis_reconnects", "Connections to Redis made after one was lost")
redis_round_trip = histogram("", "redis_round_trip_seconds", "A short question to Redis, four times a second", FAST)
redis_memory = gauge("", "redis_memory_used_bytes", "Memory that Redis uses")
redis_memory_max = gauge("", "redis_memory_max_bytes", "Redis' maxmemory; 0: none is set")
redis_memory_share = gauge("", "redis_memory_used_ratio", "Used memory as a share of maxmemory; 0 when none is set")
redis_memory_threshold = gauge(
    "api connector",
    "redis_memory_threshold_ratio",
    "Share of maxmemory at which accept answers 429, or sending stops",
    "stops",
)
leases = gauge(LEASED, "lease_held", "1 while this process holds the lease", "lease", "shard")
leases_taken = counter(LEASED, "leases_taken", "Times this process took it, with a new token", "lease", "shard")
leases_lost = counter(LEASED, "leases_lost", "Leases lost to another process or to a pause", "lease", "shard")
shard_open = gauge("", "shard_open", "1 while this process sees the shard open, so that its messages move", "shard")

# what waits in Redis: each router's process measures the whole of it, so take the max over instances, not the sum
queued = gauge("router", "queue_messages", "Messages that wait; in outbox also what is with the carrier, unanswered",
               "queue", "class", "carrier")  # fmt: skip
queue_entries = gauge(
    "router",
    "queue_entries",
    "Entries that wait and should move: of later those that are due; of intake and events an entry holds many",
    "queue",
    "class",
    "carrier",
)
queue_age = gauge("router", "queue_age_seconds", "Age of the oldest entry; in later how long the first has been due",
                  "queue", "class", "carrier")  # fmt: skip
queue_moved = gauge("router", "queue_moved_timestamp_seconds",
                    "When something last left the queue, or nothing was in it, Unix time",
                    "queue", "class", "carrier")  # fmt: skip
queue_left = counter("router", "queue_entries_left", "Entries that left the queue since this process looks at it",
                     "queue", "class", "carrier")  # fmt: skip
queues_measured = gauge("router", "queues_measured_timestamp_seconds", "When the queues were last looked at, Unix time")
redis_aof = gauge("router", "redis_aof_ok", "1 while Redis keeps an append-only file and can write it")
redis_noeviction = gauge("", "redis_noeviction", "1 while Redis' maxmemory-policy is noeviction, as it must be")
carrier_live = gauge("router", "carrier_live", "1 while a connector reports a bind that may send", "carrier")
carrier_breaker = gauge("router", "carrier_breaker", "1 for the state of the carrier's breaker", "carrier", "state")
carrier_aside = gauge(
    "router", "carrier_operator_aside", "1 while an operator is set aside at a carrier, or tried again",
    "carrier", "operator",
)  # fmt: skip
chances_age = gauge(
    "router", "chances_age_seconds", "Age of what is known of carriers' chances of delivery; 0: nothing"
)
carrier_mode = gauge("router", "carrier_mode", "1 for what an operator ordered", "carrier", "mode")

paused = gauge("router", "paused", "1 for a class, client or tag that an operator paused", "kind", "name")

# stop lists
stop_entries = gauge("api router connector", "stop_list_numbers", "Numbers on the stop lists, as this process has them")
stopped = counter(
    "api router connector", "messages_stopped", "Messages that a stop list kept from being sent", "list", "class"
)
stop_requests = counter(
    "receipts", "stop_requests", "Subscribers' messages such as STOP and START, by what they ask for", "wish"
)

# router
intake_wait = histogram(
    "router",
    "accept_to_routed_seconds",
    "From accept (or release) to the outbox; of each batch the first in line, for all of it",
    WAITS,
    "class",
)
routed = counter("router", "messages_routed", "Messages moved to an outbox", "carrier", "class")
recalled = counter("router", "messages_recalled", "Messages taken back from an outbox", "carrier", "reason")
parked = counter(
    "router", "messages_parked", "Messages put off until later, by why: all carriers tried, hours, limits", "reason"
)
ended = counter("router receipts", "messages_ended", "Messages ended by router or matcher", "state", "reason")

# connector
marked = counter("connector", "submissions_marked", "Submissions noted as on the wire", "carrier", "class")
to_wire = histogram(
    "connector",
    "accept_to_wire_seconds",
    "From accept or send_at to the wire, first attempts; of bulk classes the first in line",
    WAITS,
    "class",
)
settled = counter(
    "connector", "submissions_settled", "Submissions with an outcome, and why", "carrier", "outcome", "reason"
)
answers = histogram("connector", "carrier_answer_seconds", "From the wire to the carrier's answer", SLOW, "carrier")
in_flight = gauge("connector", "carrier_in_flight", "Submissions without an answer yet", "carrier", "bind")
window = gauge("connector", "carrier_window", "Submissions that may be without an answer at once", "carrier", "bind")
binds = gauge("connector", "carrier_binds", "Links to the carrier, by state", "carrier", "state")
bind_changes = counter("connector", "carrier_bind_changes", "Times that a link came into a state", "carrier", "state")
limited = gauge("connector", "carrier_limited", "1 for what limits sending now; none: nothing", "carrier", "by")
answer_codes = counter("connector", "answer_codes", "Answers that were no yes, by the carrier's own code",
                       "carrier", "code")  # fmt: skip
rate_limit = gauge("connector", "carrier_rate_limit", "Submissions a second that the plan allows; 0: any", "carrier")
balance = gauge(
    "connector", "carrier_balance", "What the account at the carrier has left, as last read", "carrier", "currency"
)
balance_low = gauge(
    "connector", "carrier_balance_low", "Below it somebody should know, as the plan says", "carrier", "currency"
)
unsettled = gauge("connector", "carrier_unsettled", "Submissions with an outcome not yet written to Redis", "carrier")
limit_parked = counter("connector", "limit_parked_messages",
                       "Messages taken out of an outbox because a limit had no room for them, or their tag is paused",
                       "carrier", "limit")  # fmt: skip
limit_used = gauge("connector", "limit_used_parts", "Parts leased of a limit in this period, all processes together; "
                   'with "*" the value that uses most; take the max over instances', "limit")  # fmt: skip
limit_allowed = gauge("connector", "limit_allowed_parts", "Parts that a limit allows in a period", "limit")
budget_used = gauge("api router", "budget_used", "Money booked of a budget in this period, all processes together, in "
                    'the default currency; with "*" the value that uses most; take the max over instances',
                    "budget")  # fmt: skip
budget_amount = gauge("api router", "budget_amount", "Money of a budget in a period, in the default currency", "budget")
taken_over = counter(
    "connector", "takeover_uncertain_messages", "Messages that a dead connector left in doubt on the wire", "carrier"
)
inbound = counter("api connector", "inbound_messages", "Messages from subscribers", "carrier")
inbound_heard = counter(
    "receipts",
    "inbound_settled",
    "Subscribers' messages put together, and pieces that were none, by outcome",
    "outcome",
)
carrier_reports = counter(
    "api", "carrier_callbacks", "Webhook requests of carriers, by what became of them", "carrier", "result"
)

# receipts
receipts = counter("api connector", "receipts", "Receipts that carriers sent, by what they report", "carrier", "state")
receipts_matched = counter(
    "recorder receipts", "receipts_matched", "Receipts that found their submission, by how", "by"
)
receipts_awaited = gauge("receipts", "receipts_awaited_messages", "Messages with a carrier that no receipt decided yet",
                         "carrier")  # fmt: skip
receipts_awaited_age = gauge(
    "receipts", "receipts_awaited_age_seconds", "Age of the oldest message that waits for its receipt", "carrier"
)
receipts_unmatched = gauge("receipts", "receipts_waiting", "Receipts that wait for their submission")
receipts_waiting_age = gauge("receipts", "receipts_waiting_age_seconds", "Age of the oldest receipt that waits")
receipts_orphaned = counter("receipts", "receipts_orphaned", "Receipts given up after three days without a submission")
quarantine_rows = gauge("receipts", "quarantine_values", "Values in the table quarantine")

# recorder
recorder_transactions = histogram("recorder", "recorder_transaction_seconds", "Transactions of the recorder", SLOW)
recorder_rows = counter("recorder", "recorder_rows", "Rows written by the recorder", "table")
recorder_batch = histogram("recorder", "recorder_transaction_events", "Events of one transaction", SIZES)
recorder_lag = gauge("recorder", "recorder_lag_seconds", "Age of the oldest event read and not yet in PostgreSQL; "
                     "the recorder that holds the shard's lease shows it", "shard")  # fmt: skip
recorder_delay = histogram(
    "recorder",
    "event_to_recorded_seconds",
    "From an event's being durable in Redis (accept, answer, receipt) to its commit in PostgreSQL",
    WAITS,
)
receipt_delay = histogram(
    "recorder", "submit_to_receipt_seconds", "From the carrier's taking it to its receipt", DELIVERY, "carrier"
)
finals = counter("recorder", "messages_final", "Messages that came into a final state, as recorded", "state")
recorder_retries = counter("recorder", "recorder_retries", "Transactions done again, by what was in the way", "why")
quarantined = counter("recorder", "quarantined_values", "Values kept raw because PostgreSQL refused them")

# notifier
callback_attempts = counter(
    "notifier", "callback_attempts", "Requests to applications, by result: 2xx to 5xx, timeout, no_answer", "result"
)
callback_seconds = histogram(
    "notifier", "callback_attempt_seconds", "Requests to applications, by the time they took", SLOW, "result"
)
callback_delay = histogram(
    "notifier", "event_to_callback_seconds", "From an event to the application's having it", DELIVERY
)
callbacks_waiting = gauge("notifier", "callback_events_waiting", "Events that nobody tried to deliver yet", "slot")
callbacks_age = gauge("notifier", "callback_age_seconds", "Age of the oldest event that nobody tried yet", "slot")
callbacks_retrying = gauge("notifier", "callback_events_retrying", "Events that wait for another try", "slot")
callbacks_given_up = counter("notifier", "callback_events_given_up", "Events that no try will be made for any more")
callback_connections = gauge("notifier", "callback_connections", "Open connections to applications")
endpoints_disabled = gauge("notifier", "endpoints_disabled", "Endpoints that were disabled; the max over instances")
endpoints_failing = gauge("notifier", "endpoints_failing", "Endpoints that fail now; the max over instances")

# process
loop_lag = histogram("", "event_loop_lag_seconds", "How late the event loop was, looked at twice a second", FAST)
plan_version = gauge("", "plan_version", "Version of the plan in use; 0: none yet")
lookups = counter(
    "router",
    "number_lookups",
    "Lookups of numbers, by result: answered, remembered, timeout, failed, paused, budget",
    "result",
)
unmapped_names = gauge(
    "router",
    "numbering_unmapped_names",
    "Operators of a dataset that the plan has no name for; max over instances",
    "kind",
)
unmapped_rows = gauge(
    "router", "numbering_unmapped_rows", "Ranges or ported numbers of these operators; max over instances", "kind"
)
dataset_version = gauge("", "dataset_version", "Version of the dataset in use, by kind; 0: none", "kind")
postgres_up = gauge("", "postgres_up", "1 while PostgreSQL answers this process")
postgres_round_trip = histogram("", "postgres_round_trip_seconds", "A short question to PostgreSQL, now and then", FAST)
postgres_connections = gauge("", "postgres_connections", "Connections of this process to PostgreSQL", "state")
check_ok = gauge("", "check_ok", "1 while the check of /readyz has nothing to say", "check")
log_records = counter("", "log_records", "Lines in this process' log of level warning and above", "level")
role = gauge("", "role", "1 for each role of this process", "role")
build = gauge("", "build_info", "1; the labels tell the running release", "version", "python")

LABELS_KNOWN: Final[tuple[tuple[Counter | Distribution, tuple[str, ...]], ...]] = (
    *((to_wire, (klass,)) for klass in CLASSES),
    *((intake_wait, (klass,)) for klass in CLASSES),
    *((receipts_matched, (by,)) for by in ("id", "spelling", "echo", "recipient")),
    *((recorder_retries, (why,)) for why in ("conflict", "postgres")),
    *((callback_attempts, (result,)) for result in ("2xx", "3xx", "4xx", "5xx", "timeout", "no_answer")),
    *((log_records, (level,)) for level in ("warning", "error")),
    *((refused, (code,)) for code in ("intake_full", "redis_away", "shard_closed", "internal_error")),
    *((finals, (state,)) for state in ("delivered", "undeliverable", "rejected", "failed", "expired", "cancelled")),
)
"""Series that begin with 0, because a rate over a series that begins with its first event misses that event."""

_page: Final = Page()


def begin(roles: Iterable[str]) -> None:
    """Say which roles this process has; what only others set is not shown. Once a process, at its start."""
    _page.narrow(roles, PROCESS)
    for name in roles:
        role.labels(name).set(1)


def render() -> tuple[bytes, str]:
    """The body and the content type of /metrics."""
    return _page.render()


for _instrument, _values in LABELS_KNOWN:
    _instrument.labels(*_values)
build.labels(__version__, platform.python_version()).set(1)
