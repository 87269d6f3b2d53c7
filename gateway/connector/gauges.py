"""What a connector shows in /metrics: links by state, windows, what limits it, outcomes, time to the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from gateway import metrics
from gateway.connector.flight import Flight
from gateway.connector.lanes import Taken
from gateway.instruments import Count
from gateway.message import CLASSES, RESEND_CLASSES, id_time_ms
from gateway.provider import RECEIPT_STATES, Balance, Link, Prepaid, Submission

STATES: Final = ("connecting", "binding", "bound", "unbinding", "closed", "refused")
LIMITS: Final = ("none", "paused", "draining", "no_bind", "breaker", "memory", "rate", "window")
OUTCOMES: Final = (("accepted", ""), ("deferred", "throttled"), ("uncertain", "no_answer"))


def begin(carrier: str) -> None:
    """Series that begin with 0, so that a rate does not miss their first event."""
    for klass in CLASSES:
        metrics.marked.labels(carrier, klass)
    for outcome, reason in OUTCOMES:
        metrics.settled.labels(carrier, outcome, reason)
    for state in RECEIPT_STATES:
        metrics.receipts.labels(carrier, state)
    for state in STATES:
        metrics.bind_changes.labels(carrier, state)
    for by in LIMITS:
        metrics.limited.labels(carrier, by)
    metrics.taken_over.labels(carrier)
    metrics.inbound.labels(carrier)
    metrics.answers.labels(carrier)


def show_links(carrier: str, links: Sequence[Link], shown: Sequence[Link] = ()) -> Sequence[Link]:
    """The carrier's links as they are now; without links all states are 0. Give back next time what it returns."""
    found = Counter(link.state for link in links)
    for state in STATES:
        metrics.binds.labels(carrier, state).set(found[state])
    for link in links:
        metrics.in_flight.labels(carrier, link.bind).set(link.in_flight)
        metrics.window.labels(carrier, link.bind).set(link.window if link.state == "bound" else 0)
    for bind in {link.bind for link in shown} - {link.bind for link in links}:
        metrics.in_flight.remove(carrier, bind)
        metrics.window.remove(carrier, bind)
    return links


def end(carrier: str, shown: Sequence[Link]) -> None:
    """This process serves the carrier no more: another may, whose figures count."""
    show_links(carrier, (), shown)
    for limit in LIMITS:
        metrics.limited.labels(carrier, limit).set(0)
    metrics.rate_limit.labels(carrier).set(0)
    metrics.unsettled.labels(carrier).set(0)


def show_limits(carrier: str, limited_by: str, rate_per_s: float, unsettled: int) -> None:
    """What keeps the carrier from sending more; an empty word: nothing does."""
    for limit in LIMITS:
        metrics.limited.labels(carrier, limit).set(limit == (limited_by or "none"))
    metrics.rate_limit.labels(carrier).set(rate_per_s)
    metrics.unsettled.labels(carrier).set(unsettled)


def show_balance(carrier: str, provider: object) -> Balance | None:
    """What the carrier's account has left, where the carrier says it."""
    found = provider.balance if isinstance(provider, Prepaid) else None
    if found is not None:
        metrics.balance.labels(carrier, found.currency).set(found.amount)
        metrics.balance_low.labels(carrier, found.currency).set(found.low)
    return found


def hide_balance(carrier: str, shown: Balance | None) -> None:
    """This process serves the carrier no more."""
    if shown is not None:
        metrics.balance.remove(carrier, shown.currency)
        metrics.balance_low.remove(carrier, shown.currency)


def count_outcomes(carrier: str, counts: Mapping[tuple[str, str], int]) -> None:
    """How many submissions came to which outcome, and why."""
    for (outcome, reason), number in counts.items():
        _settled(carrier, outcome, reason).inc(number)


@cache
def _settled(carrier: str, outcome: str, reason: str) -> Count:
    return metrics.settled.labels(carrier, outcome, reason)


@cache
def marked(carrier: str, klass: str) -> Count:
    """Counts submissions that were noted as on the wire."""
    return metrics.marked.labels(carrier, klass)


def count_parked(carrier: str, runs: Sequence[Taken]) -> None:
    """Messages that left for later, by what had no room for them; without words: they are paused."""
    for words, number in Counter(p.words for run in runs for p in run.parked or ()).items():
        metrics.limit_parked.labels(carrier, words or "paused").inc(number)


def observe_to_wire(batch: Sequence[Submission], now_ms: int) -> None:
    """How long messages took to the wire at their first attempt. Of a large batch a few urgent ones stand for all, and
    of a bulk class one of the first in line."""
    seen: set[str] = set()
    step = len(batch) // 5 + 1
    for submission in batch[::step]:
        klass = submission.klass
        if submission.attempt > 1 or submission.part > 1 or klass in seen:
            continue
        if klass not in RESEND_CLASSES:
            seen.add(klass)
        flight: Flight = submission.origin
        asked_ms = max(id_time_ms(submission.message_id), flight.message.send_at_ms)
        times = step if klass in RESEND_CLASSES else 1
        metrics.to_wire.labels(klass).observe(max(0, now_ms - asked_ms) / 1000, times)
