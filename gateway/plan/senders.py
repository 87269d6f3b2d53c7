"""Whether a sender may be used: what the registry of senders says for a carrier, an operator, a class and a client.

In: the plan's rows and those of an imported registry. Out: `Standing`, a value with its reason. Never: what happens to
a sender that is not allowed; that is the route's `unregistered`. docs/senders.md has the rules in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.plan.document import Plan, Sender
from gateway.plan.rates import Spellings

_REMEMBERED: Final = 65_536
_WORST_FIRST: Final = {"blocked": 0, "pending": 1, "registered": 2}


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What the registry says of one sender at one candidate."""

    allowed: bool
    state: str
    """`registered`, `pending`, `blocked`; `unregistered`: the registry is kept for this carrier and operator, and has
    no row for it; `free`: the registry says nothing that would matter here."""
    reason: str = ""
    """A sentence; empty when there is nothing to explain."""


FREE: Final = Standing(True, "free")
_REGISTERED: Final = Standing(True, "registered")


class _Row(msgspec.Struct, frozen=True):
    carriers: frozenset[str]
    operators: frozenset[str]
    classes: frozenset[str]
    clients: frozenset[str]
    state: str
    rank: tuple[int, ...]
    """The exactest row has the greatest; of equals the plan's, then the worst."""

    def covers(self, carrier: str, operator: str) -> bool:
        return (not self.carriers or carrier in self.carriers) and (not self.operators or operator in self.operators)

    def is_for(self, klass: str, client: str) -> bool:
        return (not self.classes or klass in self.classes) and (not self.clients or client in self.clients)


class Senders:
    """The registry made ready. Immutable but for its memory of what was asked, which is bounded."""

    def __init__(self, plan: Plan, registry: Iterable[Sender] = ()) -> None:
        names = Spellings(plan.operators)
        self._rows: dict[str, list[_Row]] = {}
        for of_plan, rows in ((True, plan.senders), (False, registry)):
            for sender in rows:
                self._rows.setdefault(sender.name, []).append(_row(sender, names, of_plan))
        for found in self._rows.values():
            found.sort(key=lambda row: row.rank, reverse=True)
        self._cases = {name.casefold(): name for name in self._rows}
        kept = [row for found in self._rows.values() for row in found if row.state != "blocked"]
        self._kept = {(row.carriers, row.operators): row for row in kept}.values()
        self._memory: dict[tuple[str, str, str, str, str], Standing] = {}
        self._governed: dict[tuple[str, str], bool] = {}
        self.is_empty: Final = not self._rows
        """No row at all: every sender is free everywhere."""

    def allowed(self, sender: str, carrier: str, operator: str, klass: str, client: str) -> Standing:
        """What the registry says. An empty sender, which the carrier fills in, is always free."""
        if self.is_empty or not sender:
            return FREE
        key = (sender, carrier, operator, klass, client)
        found = self._memory.get(key)
        if found is None:
            if len(self._memory) >= _REMEMBERED:
                self._memory.clear()
            found = self._memory[key] = self._judge(*key)
        return found

    def governs(self, carrier: str, operator: str) -> bool:
        """Whether the registry is kept for them: some row, of whatever sender, registers one there."""
        key = (carrier, operator)
        if (found := self._governed.get(key)) is None:
            found = self._governed[key] = any(row.covers(carrier, operator) for row in self._kept)
        return found

    def _judge(self, sender: str, carrier: str, operator: str, klass: str, client: str) -> Standing:
        here = [row for row in self._rows.get(sender, ()) if row.covers(carrier, operator)]
        for row in here:  # the exactest first
            if row.is_for(klass, client):
                return _REGISTERED if row.state == "registered" else _refused(sender, row.state, carrier, operator)
        if not self.governs(carrier, operator):
            return FREE
        if sender.lstrip("+").isdigit() and sender not in self._rows:
            return FREE  # numbers are the carrier's own: registries are of names
        return Standing(False, "unregistered", self._why(sender, carrier, operator, klass, client, here))

    def _why(self, sender: str, carrier: str, operator: str, klass: str, client: str, here: list[_Row]) -> str:
        at = _at(carrier, operator)
        if here and not any(not row.clients or client in row.clients for row in here):
            return f"Sender `{sender}` is registered {at}, but not for this client."
        if here:
            classes = sorted({name for row in here for name in row.classes})
            return f"Sender `{sender}` is registered {at} for {', '.join(classes)}, not for {klass}."
        if (other := self._cases.get(sender.casefold(), sender)) != sender:
            return f"Sender `{sender}` is not registered {at}; `{other}` is written otherwise."
        return f"Sender `{sender}` is not registered {at}."


def _refused(sender: str, state: str, carrier: str, operator: str) -> Standing:
    words = {"pending": "is not registered yet", "blocked": "is blocked"}[state]
    return Standing(False, state, f"Sender `{sender}` {words} {_at(carrier, operator)}.")


def _at(carrier: str, operator: str) -> str:
    return f"at carrier `{carrier}` for operator `{operator}`" if operator else f"at carrier `{carrier}`"


def _row(sender: Sender, names: Spellings, of_plan: bool) -> _Row:
    operators = frozenset(names.name(spelling) or spelling for spelling in sender.operators)
    given = (sender.operators, sender.carriers, sender.clients, sender.classes)
    rank = (sum(map(bool, given)), *map(bool, given), of_plan, -_WORST_FIRST[sender.state])
    return _Row(
        frozenset(sender.carriers),
        operators,
        frozenset(sender.classes),
        frozenset(sender.clients),
        sender.state,
        tuple(map(int, rank)),
    )
