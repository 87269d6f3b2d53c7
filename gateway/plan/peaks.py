"""Limits that last week's traffic would have reached: what to ask of the statistics, and what to say of the answers.

In: a plan, then the busiest period for each of its limits. Out: questions, then warnings. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.plan.document import Limit, Plan
from gateway.plan.lines import Path
from gateway.plan.problems import Problems

_EACH: Final = "*"
_DIMENSIONS: Final = (("carrier", "carrier"), ("operator", "operator"), ("client", "client"), ("tag", "tag"))


class Question(msgspec.Struct, frozen=True):
    """What was the busiest `per` of this traffic?"""

    path: Path
    parts: float
    """What the limit lets through."""
    per: str
    only: dict[str, str]
    each: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The busiest one: parts, when it began (ms since the epoch), and whose it was."""

    parts: int
    at_ms: int
    whose: tuple[str, ...] = ()


def questions(plan: Plan) -> Iterator[Question]:
    """One for each limit of parts that statistics can answer: senders are not counted there."""
    for index, carrier in enumerate(plan.carriers):
        if carrier.rate_per_s is not None:
            yield Question(("carrier", index, "rate_per_s"), carrier.rate_per_s, "second", {"carrier": carrier.name})
    for index, limit in enumerate(plan.limits):
        if limit.parts is not None and limit.per is not None and limit.sender is None:
            yield _of_limit(limit, limit.parts, limit.per, ("limit", index))


def _of_limit(limit: Limit, parts: int, per: str, path: Path) -> Question:
    only, each = {}, []
    for name, field in _DIMENSIONS:
        value = getattr(limit, field)
        if value == _EACH:
            each.append(name)
        elif value is not None:
            only[name] = value
    if limit.klass is not None:
        only["class"] = limit.klass
    return Question(path, parts, per, only, tuple(each))


def judge(plan: Plan, asked: Sequence[tuple[Question, Answer | None]], problems: Problems) -> None:
    """Warn of every limit that the busiest period would have gone beyond."""
    zone = ZoneInfo(plan.defaults.timezone)
    for question, answer in asked:
        if answer is None or answer.parts <= question.parts:
            continue
        at = datetime.fromtimestamp(answer.at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
        whose = f" of {' '.join(answer.whose)}" if answer.whose else ""
        sentence = (
            f"The busiest {question.per} of last week had {answer.parts:,} parts{whose} here, on {at}: this lets"
            f" {question.parts:,.10g} through, the rest would wait."
        )
        problems.add(question.path, "limit_below_peak", sentence, "warning")
