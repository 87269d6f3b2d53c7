"""Which limits of the plan a message counts in, and under which name each is counted.

In: a plan, then what is known of a message at one carrier. Out: `Count`s, which name the same thing in every process.
Pure: how much of them is used is not known here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.plan.document import Limit, Plan

EACH: Final = "*"
CAPS: Final = frozenset({"minute", "hour", "day", "month"})
"""Periods long enough for the router: one that is used up sends a message by another way, or later."""

_KEPT: Final = 20_000


class Rule(msgspec.Struct, frozen=True, gc=False):
    """A `[[limit]]` that counts parts. `words` names it in metrics and logs, whatever its values are."""

    words: str
    parts: int
    per: str
    carrier: str | None
    operator: str | None
    sender: str | None
    client: str | None
    tag: str | None
    klass: str | None
    is_money: bool = False
    """A budget: `parts` are millionths of the default currency."""


class Count(msgspec.Struct, frozen=True, gc=False):
    """What is counted: one rule for one operator, sender, client and tag. `key` is its name in Redis, without a period;
    `mark` its 32 bits in a journey, never 0."""

    key: str
    mark: int
    rule: Rule
    zone: str


class Crowd(msgspec.Struct, frozen=True, gc=False):
    """A `[[limit]]` of messages on their way to one number."""

    words: str
    in_flight: int
    carrier: str | None
    operator: str | None
    sender: str | None
    client: str | None
    tag: str | None
    klass: str | None


class Limits:
    """A plan's limits, made ready. Immutable but for its memory of answers, which is bounded."""

    def __init__(self, plan: Plan) -> None:
        self.zone = plan.defaults.timezone
        self.rules = _merged(_rule(limit) for limit in plan.limits if limit.parts is not None and limit.per)
        self.crowds = tuple(_crowd(limit) for limit in plan.limits if limit.in_flight is not None)
        self._caps = any(rule.per in CAPS for rule in self.rules)
        self._known: dict[tuple[str, str, str, str, str, str], tuple[Count, ...]] = {}
        self._flying: dict[tuple[str, str, str, str, str, str], tuple[Crowd, ...]] = {}

    @property
    def has_caps(self) -> bool:
        """Whether a limit is for a minute or longer."""
        return self._caps

    def concern(self, carrier: str) -> bool:
        """Whether any of them counts something at this carrier."""
        return any(
            carrier_of in (None, carrier)
            for carrier_of in (*(r.carrier for r in self.rules), *(c.carrier for c in self.crowds))
        )

    def counts(self, carrier: str, operator: str, sender: str, client: str, tag: str, klass: str) -> tuple[Count, ...]:
        """All that a message counts in at a carrier. An empty operator or tag is none, and no `"*"` counts it."""
        key = (carrier, operator, sender, client, tag, klass)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = tuple(_count(r, key, self.zone) for r in self.rules if _matches(r, key))
        return found

    def crowds_of(
        self, carrier: str, operator: str, sender: str, client: str, tag: str, klass: str
    ) -> tuple[Crowd, ...]:
        """Limits of messages on their way to one number that hold for a message."""
        key = (carrier, operator, sender, client, tag, klass)
        found = self._flying.get(key)
        if found is None:
            if len(self._flying) >= _KEPT:
                self._flying.clear()
            found = self._flying[key] = tuple(c for c in self.crowds if _matches(c, key))
        return found


def _rule(limit: Limit) -> Rule:
    assert limit.parts is not None and limit.per is not None
    counts = (limit.carrier, limit.operator, limit.sender, limit.client, limit.tag, limit.klass)
    return Rule(f"{_words(limit)} per {limit.per}", limit.parts, limit.per, *counts)


def _crowd(limit: Limit) -> Crowd:
    assert limit.in_flight is not None
    counts = (limit.carrier, limit.operator, limit.sender, limit.client, limit.tag, limit.klass)
    return Crowd(f"{_words(limit)} in flight".strip(), limit.in_flight, *counts)


def _words(limit: Limit) -> str:
    named = {
        "carrier": limit.carrier,
        "operator": limit.operator,
        "sender": limit.sender,
        "client": limit.client,
        "tag": limit.tag,
        "class": limit.klass,
    }
    return " ".join(f"{name} {value}" for name, value in named.items() if value is not None)


def _merged(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Of several that count the same the smallest holds."""
    found: dict[str, Rule] = {}
    for rule in rules:
        known = found.get(rule.words)
        if known is None or rule.parts < known.parts:
            found[rule.words] = rule
    return tuple(found.values())


def _matches(limit: Rule | Crowd, facts: tuple[str, str, str, str, str, str]) -> bool:
    carrier, operator, sender, client, tag, klass = facts
    return (
        limit.carrier in (None, carrier)
        and _is(limit.operator, operator)
        and _is(limit.sender, sender)
        and _is(limit.client, client)
        and _is(limit.tag, tag)
        and limit.klass in (None, klass)
    )


def _is(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted == value or (wanted == EACH and value != "")


def _count(rule: Rule, facts: tuple[str, str, str, str, str, str], zone: str) -> Count:
    carrier, operator, sender, client, tag, klass = facts
    named = (
        ("carrier", rule.carrier, carrier),
        ("operator", rule.operator, operator),
        ("sender", rule.sender, sender),
        ("client", rule.client, client),
        ("tag", rule.tag, tag),
        ("class", rule.klass, klass),
    )
    key = ",".join([rule.per, *(f"{name}={quote(value, safe='')}" for name, asked, value in named if asked)])
    return Count(key, zlib.crc32(key.encode()) or 1, rule, zone)
