"""What a plan would have done with last week's messages, and which of its limits last week would have reached.

In: PostgreSQL's statistics and plans made ready. Out: values for the API and the command line. Never changes anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.plan.choice import Compiled
from gateway.plan.document import Plan
from gateway.plan.effect import Effect, effect
from gateway.plan.lines import Lines
from gateway.plan.peaks import Answer, Question, judge, questions
from gateway.plan.problems import Problem, Problems
from gateway.plan.surroundings import Surroundings
from gateway.store.peaks import peak
from gateway.store.pool import Pool
from gateway.store.traffic import MOST, Sampled, sample

WEEK_MS: Final = 7 * 86_400_000


class WhatIf(msgspec.Struct, frozen=True):
    """An effect, and what it rests on."""

    since_ms: int
    until_ms: int
    sampled: int
    """Messages that both plans were asked about; each stands for others of its hour."""
    effect: Effect


async def compare(
    pool: Pool,
    before: Compiled,
    after: Compiled,
    since_ms: int | None = None,
    until_ms: int | None = None,
    most: int = MOST,
    around: Surroundings | None = None,
) -> WhatIf:
    """Ask both plans about a sample of what was accepted in the span; by default in the last week.

    Raises StoreAwayError.
    """
    until_ms = until_ms or round(time.time() * 1000)
    since_ms = until_ms - WEEK_MS if since_ms is None else since_ms
    sent: Sequence[Sampled] = await sample(pool, since_ms, until_ms, most)
    # In a thread, so that tens of thousands of choices do not make other requests wait.
    found = await asyncio.to_thread(effect, before, after, sent, around)
    return WhatIf(since_ms, until_ms, len(sent), found)


async def low_limits(pool: Pool, text: str, plan: Plan) -> list[Problem]:
    """Warnings about limits that last week's busiest periods would have gone beyond. Raises StoreAwayError."""
    until_ms = round(time.time() * 1000)
    asked: list[tuple[Question, Answer | None]] = []
    for question in questions(plan):
        found = await peak(
            pool, until_ms - WEEK_MS, until_ms, question.per, question.only, question.each, plan.defaults.timezone
        )
        asked.append((question, None if found is None else Answer(found.parts, found.at_ms, found.whose)))
    problems = Problems(Lines(text))
    judge(plan, asked, problems)
    return problems
