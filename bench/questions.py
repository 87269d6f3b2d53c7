"""What an analyst asks of a month: every figure the API gives, by every dimension, step, zone, filter and format.

In: a span. Out: names and paths. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode

from gateway.ledger.slices import DIMENSIONS
from gateway.stats.slicing import BY

PAIRS: Final = (
    "carrier,operator", "carrier,reason", "operator,reason", "carrier,country", "class,carrier", "carrier,state",
    "client,class", "client,carrier", "client,operator", "client,country", "client,sender", "client,tag",
    "client,reason", "client,state", "sender,carrier", "sender,operator", "sender,reason", "sender,tag", "tag,carrier",
    "tag,operator", "tag,country", "tag,reason", "sender,country",
)  # fmt: skip
MORE: Final = (
    "carrier,operator,reason", "client,sender,reason", "client,sender,tag", "client,carrier,reason",
    "client,operator,reason", "client,carrier,operator", "sender,carrier,operator", "tag,carrier,operator",
    "sender,operator,reason", "client,class,sender,tag,operator", ",".join(DIMENSIONS),
)  # fmt: skip
FILTERS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("client=client00", ("", *BY, "carrier,reason", "operator,reason", "sender,operator", "tag,carrier")),
    ("carrier=carrier0", ("operator", "client", "sender", "reason")),
    ("operator=operator00", ("carrier", "client", "tag", "reason")),
    ("class=otp,country=RU", ("carrier", "sender", "reason")),
    ("tag=tag07,sender=Sender3", ("", "operator", "carrier,state")),
    ("state=delivered", ("carrier", "client")),
)
STEPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("day", ("", "carrier", "client", "operator", "sender,carrier", "state")),
    ("week", ("", "carrier,operator", "client,sender", ",".join(DIMENSIONS))),
    ("month", ("", "client,carrier")),
    ("hour", ("", "carrier", "client", "sender,operator")),
    ("quarter", ("", "carrier", "tag")),
)
ZONES: Final = ("Europe/Moscow", "Asia/Kathmandu")
LISTS: Final = (("", "state"), ("", "client,carrier"), ("day", "state"), ("hour", "carrier"), ("minute", "state"))
"""Sums of `by` and `step`, as the first release gave them."""


class Question(NamedTuple):
    """A path of the API with its query."""

    name: str
    path: str
    whole: bool = False
    """It asks for thousands of groups at once, or for what no summary knows: it may take longer."""


def questions(since: datetime, until: datetime) -> Iterator[Question]:
    """All of them."""
    span = {"from": since.isoformat(), "to": until.isoformat()}
    yield _stats("all", span)
    for by in (*BY, *PAIRS, *MORE):
        yield _stats(f"by {by}", span, group_by=by)
    for only, dimensions in FILTERS:
        for by in dimensions:
            yield _stats(f"by {by or 'nothing'} where {only}", span, group_by=by, filter=only)
    for step, dimensions in STEPS:
        for by in dimensions:
            yield _stats(f"by {by or 'nothing'} each {step}", span, group_by=by, step=step)
            for zone in ZONES:
                yield _stats(f"by {by or 'nothing'} each {step} in {zone}", span, group_by=by, step=step, tz=zone)
    for zone in ZONES:
        yield _stats(f"by client,operator in {zone}", span, group_by="client,operator", tz=zone)
    for kind in ("csv", "arrow"):
        for by, step in (("client,sender,reason", ""), ("carrier,operator", "week")):
            yield _stats(f"by {by} each {step or 'span'} as {kind}", span, kind, group_by=by, step=step)
    for by, step in (("client,class,sender,tag,operator", ""), ("carrier", "hour")):
        whole = _stats(f"by {by} each {step or 'span'}, whole", span, "csv", group_by=by, step=step)
        yield whole._replace(whole=True)
    old = {"since": since.isoformat(), "until": until.isoformat()}
    for step, by in LISTS:
        yield _stats(f"sums by {by} each {step or 'span'}", old, by=by, **({"step": step} if step else {}))
    yield Question("scorecards", "/v1/scorecards?" + urlencode(old))
    hours = {"since": (until - timedelta(hours=15)).isoformat(), "until": (until - timedelta(hours=9)).isoformat()}
    yield Question("incidents", "/v1/incidents?" + urlencode(hours))


def _stats(name: str, span: dict[str, str], kind: str = "", **given: str) -> Question:
    query = span | {key: value for key, value in given.items() if value}
    return Question(name, f"/v1/stats{'/' + kind if kind else ''}?{urlencode(query)}")
