"""Money of budgets, leased in slices as parts of limits are: what a message will probably cost is booked when it comes.

In: messages, as they are accepted or routed. Out: whose budget is spent, and until when. Never: a call per message. A
process that has just used up its slice goes on for a hundredth of the budget while it asks for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.message import Message
from gateway.plan.budgets import Budgets, Purse
from gateway.plan.choice import Compiled
from gateway.plan.periods import bounds
from gateway.streams.allowances import Allowance, Allowances

_SOON_MS: Final = 200


class Short(NamedTuple):
    """A purse that has no money for a message now, and when it will have. Unless it `is_spent` it only has to ask."""

    purse: Purse
    until_ms: int
    is_spent: bool


class Purses:
    """One a process and kind: `refuses` says which budgets it books, those that refuse or those that hold."""

    def __init__(
        self,
        allowances: Allowances,
        plan: Callable[[], Compiled | None],
        clock_ms: Callable[[], int],
        *,
        refuses: bool,
    ) -> None:
        self._allowances, self._plan, self._clock_ms, self._refuses = allowances, plan, clock_ms, refuses
        self._seen: Compiled | None = None
        self._budgets: Budgets | None = None
        self._known: dict[tuple[str, str], tuple[tuple[Purse, Allowance], ...]] = {}

    @property
    def is_open(self) -> bool:
        """Whether the plan has such budgets."""
        plan = self._plan()
        if plan is not self._seen:
            budgets = Budgets(plan) if plan is not None and plan.plan.budgets else None
            wanted = budgets is not None and (budgets.refuses if self._refuses else budgets.holds)
            self._budgets = budgets if wanted else None
            self._seen = plan
            self._known.clear()
        return self._budgets is not None

    def ends_ms(self, purse: Purse) -> int:
        """When the period ends in which a purse is empty."""
        return bounds(self._clock_ms(), purse.count.rule.per, purse.count.zone)[1]

    async def more(self) -> None:
        """Return when some purse has got more, or it is known that there is none."""
        more = asyncio.Event()
        deaf = self._allowances.on_more(more.set)
        try:
            await more.wait()
        finally:
            deaf()

    def take(self, message: Message) -> Short | None:
        """Book what the message will cost. None: all purses have it, or none is asked. What test keys send costs
        nothing."""
        if not self.is_open or message.test:
            return None
        budgets, key = self._budgets, (message.client, message.tag)
        assert budgets is not None
        found = self._known.get(key)
        if found is None:
            purses = [p for p in budgets.purses(*key) if p.refuses is self._refuses]
            found = self._known[key] = tuple((p, self._allowances.of(p.count)) for p in purses)
        if not found:
            return None
        now = self._clock_ms()
        cost = budgets.estimate(message, now)
        for purse, allowance in found:
            if not allowance.affords(cost, now):
                is_spent = allowance.is_spent
                return Short(purse, allowance.place(cost, now) if is_spent else now + _SOON_MS, is_spent)
        for _, allowance in found:
            allowance.spend(cost, now)
        return None
