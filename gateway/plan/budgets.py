"""Which budgets of the plan a message counts in, and what it will probably cost.

In: a compiled plan, then a message. Out: `Purse`s, named as the same thing in every process, and money in millionths of
the default currency. Pure: how much is spent is not known here.
"""

from __future__ import annotations

import zlib
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.message import Message
from gateway.plan.choice import Choice, Compiled
from gateway.plan.document import Budget
from gateway.plan.limits import EACH, Count, Rule
from gateway.plan.rates import FOREVER, Price, micro
from gateway.plan.surroundings import Surroundings

_KEPT: Final = 20_000


class Purse(msgspec.Struct, frozen=True, gc=False):
    """One budget for one client and tag. `count.rule.parts` is its amount in millionths."""

    count: Count
    amount: str
    """As the plan says it, with its currency."""
    refuses: bool
    """Whether what it has no money for is refused; else it is held until the next period."""
    client: str
    tag: str
    """Whose it is; "" where it names none."""


class Budgets:
    """A plan's budgets, made ready. Immutable but for its memory of answers, which is bounded."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        plan = compiled.plan
        self.currency = plan.defaults.currency or ""
        self.zone = plan.defaults.timezone
        self._all = [(budget, self._rule(budget)) for budget in plan.budgets]
        self._known: dict[tuple[str, str], tuple[Purse, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def refuses(self) -> bool:
        """Whether any of them refuses messages."""
        return any(budget.when_spent == "refuse" for budget, _ in self._all)

    @property
    def holds(self) -> bool:
        """Whether any of them holds messages back."""
        return any(budget.when_spent == "hold" for budget, _ in self._all)

    @property
    def each(self) -> list[Budget]:
        """As the plan has them."""
        return [budget for budget, _ in self._all]

    def purses(self, client: str, tag: str) -> tuple[Purse, ...]:
        """All that a message of a client with a tag counts in."""
        key = client, tag
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = tuple(
                self._purse(budget, rule, client, tag)
                for budget, rule in self._all
                if _is(budget.client, client) and _is(budget.tag, tag)
            )
        return found

    def estimate(self, message: Message, now_ms: int) -> int:
        """What all parts cost at the first carrier that the route would take; 0 when that is not known."""
        choice = self._compiled.choose(message, Surroundings(now_ms=now_ms))
        if not isinstance(choice, Choice):
            return 0
        return self.convert(choice.price_micro * message.parts, choice.currency)

    def convert(self, amount_micro: int, currency: str) -> int:
        """Money in the default currency; 0 for one whose worth the plan does not tell."""
        worth = self._compiled.rates.comparable(Price(amount_micro, currency))
        return 0 if worth == FOREVER else worth

    def _rule(self, budget: Budget) -> Rule:
        named = [f"{name} {value}" for name, value in (("client", budget.client), ("tag", budget.tag)) if value]
        amount = self.convert(micro(budget.amount), budget.currency or self.currency)
        words = f"budget {' '.join(named)} per {budget.per}"
        return Rule(words, amount, budget.per, None, None, None, budget.client, budget.tag, None, is_money=True)

    def _purse(self, budget: Budget, rule: Rule, client: str, tag: str) -> Purse:
        mine = (client if budget.client else "", tag if budget.tag else "")
        named = [f"{name}={quote(v, safe='')}" for name, v in zip(("client", "tag"), mine, strict=True) if v]
        key = ",".join([f"budget:{budget.per}", *named])
        count = Count(key, zlib.crc32(key.encode()) or 1, rule, self.zone)
        amount = f"{budget.amount} {budget.currency or self.currency}".strip()
        return Purse(count, amount, budget.when_spent == "refuse", *mine)


def _is(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted == value or (wanted == EACH and value != "")
