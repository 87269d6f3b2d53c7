"""Which tables a question is answered from, and which of their rows. Pure.

Booked tables are always right. Summaries are read for days and weeks where they are fresh, so that a question by any
dimensions meets few rows; the tables with every dimension stand in for them elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from gateway.ledger.slices import DAY_MS
from gateway.stats.spans import Span, with_hours
from gateway.store.figures import Part
from gateway.store.summaries import BOOKED, BY_HOURS, WEEK_MS, Fresh, week_of
from gateway.store.summaries import VIEWS as SUMMARIES


def booked(dimensions: set[str]) -> str | None:
    """The booked view with the fewest rows that knows all of these and has few; None: there is none."""
    return next((name for name in ("clients", "carriers", "sides") if dimensions <= set(BOOKED[name])), None)


def summary(dimensions: set[str]) -> str:
    """The summary with the fewest rows that knows all of these."""
    return next(name for name, known in SUMMARIES.items() if dimensions <= set(known))


def booked_parts(view: str, needed: Sequence[Span], fresh: Fresh) -> list[Part]:
    """From a booked view, and from its weeks where they are fresh."""
    tables = {"hour": f"stats_hour_{view}", "quarter": "stats_quarter_all"}
    found = list[Part]()
    for span in with_hours(needed):
        if span.grain == "day":
            found += _joined(_days(view, span, Fresh(frozenset(), fresh.weeks), f"stats_day_{view}"), span)
        else:
            found.append(Part(tables[span.grain], span.begin_ms, span.end_ms, span.uses))
    return found


def summed_parts(view: str, needed: Sequence[Span], fresh: Fresh) -> list[Part]:
    """From a summary where it is fresh, else from the tables with every dimension."""
    found = list[Part]()
    for span in needed:
        if span.grain == "day":
            found += _joined(_days(view, span, fresh), span)
        elif view in BY_HOURS and span.begin_ms - span.begin_ms % DAY_MS in fresh.days:
            tables = {"hour": f"summary_hour_{view}", "quarter": "stats_quarter_all"}
            found += [Part(tables[one.grain], one.begin_ms, one.end_ms, one.uses) for one in with_hours([span])]
        else:
            found.append(Part("stats_quarter_all", span.begin_ms, span.end_ms, span.uses))
    return found


def _days(view: str, span: Span, fresh: Fresh, booked: str = "stats_day_all") -> Iterator[tuple[str, int, int]]:
    at = span.begin_ms
    while at < span.end_ms:
        if week_of(at) == at and at + WEEK_MS <= span.end_ms and at in fresh.weeks:
            yield f"summary_week_{view}", at, at + WEEK_MS
            at += WEEK_MS
        else:
            is_summed = view != "all" and at in fresh.days
            yield f"summary_day_{view}" if is_summed else booked, at, at + DAY_MS
            at += DAY_MS


def _joined(days: Iterator[tuple[str, int, int]], span: Span) -> Iterator[Part]:
    for table, some in groupby(days, key=lambda one: one[0]):
        first, *rest = some
        yield Part(table, first[1], rest[-1][2] if rest else first[2], span.uses)
