"""A simulated day of a market: three carriers, one that silently degrades for some hours, one cheap and worse.

In: a seed and a strategy. Out: what was paid, and how many messages arrived within the class's deadline. Routing and
estimate are those of the gateway; carriers, phones and time are simulated. Never: sockets, the real clock.
"""

from __future__ import annotations

import random
from collections import defaultdict

import msgspec

from gateway.deliveries import DEADLINE_S, SENT, WIDTH, bucket_ms, slot
from gateway.plan.chances import Chances, Tally
from gateway.plan.choice import Choice, Compiled
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route
from gateway.plan.matching import Facts
from gateway.plan.rates import decimal
from gateway.plan.surroundings import Surroundings

DAY_S = 86_400
STEP_S = 10
"""Prices are asked every second, statistics every so often."""

KLASS = "transactional"
OPERATORS = 4
PER_S = 1.0
"""Messages on average; by day more, by night less."""

_BY_HOUR = (2, 1, 1, 1, 1, 2, 4, 6, 9, 11, 12, 12, 12, 12, 12, 11, 11, 10, 10, 9, 8, 6, 4, 3)


class Day(msgspec.Struct):
    """What a strategy made of it."""

    seed: int
    strategy: str
    sent: int = 0
    delivered: int = 0
    cost_micro: int = 0

    @property
    def share(self) -> float:
        """Of the messages, what arrived in time."""
        return self.delivered / self.sent

    @property
    def cost(self) -> float:
        """Of a message that arrived in time, in units of the currency."""
        return self.cost_micro / 1_000_000 / self.delivered


class _Carrier(msgspec.Struct):
    """How a carrier really is: `worse` of what it would deliver it loses between two times, and says nothing of it."""

    price: int
    delivers: list[float]  # by operator
    median_s: float
    spread: float
    worse: float = 0.0
    begin_s: int = DAY_S
    end_s: int = DAY_S

    def delivery_s(self, operator: int, at_s: int, chance: random.Random) -> float | None:
        """After how long a message arrives; None: never."""
        share = self.delivers[operator]
        if self.begin_s <= at_s < self.end_s:
            share *= 1 - self.worse
        return chance.lognormvariate(0, self.spread) * self.median_s if chance.random() < share else None


class Market:
    """One day's carriers: north is good, south a little dearer, cheap is cheap. North or south degrades."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.seed = seed
        price = dice.uniform(1.9, 2.1)
        begin = dice.randint(8, 14) * 3600 + dice.randint(0, 3599)
        loss, end = dice.uniform(0.3, 0.8), begin + dice.randint(2, 5) * 3600
        bad = dice.choice(("north", "south"))

        def made(name: str, at: float, low: float, high: float) -> _Carrier:
            delivers = [dice.uniform(low, high) for _ in range(OPERATORS)]
            found = _Carrier(int(at * 1000) * 1000, delivers, dice.uniform(3, 8), dice.uniform(0.6, 1.2))
            if name == bad:
                found.worse, found.begin_s, found.end_s = loss, begin, end
            return found

        self.carriers = {
            "north": made("north", price, 0.95, 0.98),
            "south": made("south", price * dice.uniform(1.03, 1.10), 0.95, 0.98),
            "cheap": made("cheap", price * dice.uniform(0.78, 0.86), 0.62, 0.74),
        }

    def plan(self, strategy: str) -> Compiled:
        """The gateway's plan of it."""
        return Compiled(
            Plan(
                defaults=Defaults(currency="RUB"),
                carriers=tuple(Carrier(name=name, provider="smpp") for name in self.carriers),
                operators=tuple(Operator(name=f"o{n}", prefixes=(f"79{n}",)) for n in range(OPERATORS)),
                rates=tuple(Rate(carrier=name, price=decimal(c.price)) for name, c in self.carriers.items()),
                routes=(Route(name="all", carriers=tuple(self.carriers), strategy=strategy),),
            ),
            1,
        )

    def day(self, strategy: str) -> Day:
        """Live through it."""
        return _Life(self, strategy).live()


class _Life:
    def __init__(self, market: Market, strategy: str) -> None:
        self.market, self.plan = market, market.plan(strategy)
        self.day = Day(market.seed, strategy)
        self.dice = random.Random(f"{market.seed} messages")
        self.learns = strategy == "best_value"
        self.tally = Tally(KLASS)
        self.counts: dict[int, dict[tuple[str, str], list[int]]] = defaultdict(lambda: defaultdict(lambda: [0] * WIDTH))
        self.due: dict[int, list[tuple[int, tuple[str, str], int]]] = defaultdict(list)

    def live(self) -> Day:
        chances = Chances({})
        for at_s in range(0, DAY_S, STEP_S):
            for bucket, cell, place in self.due.pop(at_s, ()):
                self.counts[bucket][cell][place] += 1
            if self.learns and at_s % 30 == 0:
                chances = self._learnt(at_s)
            around = Surroundings(now_ms=at_s * 1000, chance=chances.chance)
            wanted = STEP_S * PER_S * 24 * _BY_HOUR[at_s // 3600] / sum(_BY_HOUR)
            for _ in range(int(wanted) + (self.dice.random() < wanted % 1)):
                self._send(at_s, around)
        return self.day

    def _learnt(self, at_s: int) -> Chances:
        now_ms = at_s * 1000
        self.tally.forget(now_ms)
        for bucket in [b for b in self.counts if b in self.tally.buckets or b >= now_ms - 7_200_000]:
            self.tally.put(bucket, dict(self.counts[bucket]))
        return Chances(self.tally.estimate(now_ms))

    def _send(self, at_s: int, around: Surroundings) -> None:
        operator, lot = self.dice.randrange(OPERATORS), self.dice.randbytes(16)
        choice = self.plan.choose(Facts(f"+79{operator}{self.dice.randrange(10**7):07}", KLASS), around, lot=lot)
        assert isinstance(choice, Choice)
        carrier = self.market.carriers[choice.carrier]
        self.day.sent += 1
        self.day.cost_micro += choice.price_micro
        took_s = carrier.delivery_s(operator, at_s, self.dice)
        if took_s is not None and took_s <= DEADLINE_S[KLASS]:
            self.day.delivered += 1
        cell, bucket = (choice.carrier, choice.operator), bucket_ms(KLASS, at_s * 1000)
        self.counts[bucket][cell][SENT] += 1
        if took_s is not None:
            arrives = at_s + (int(took_s) // STEP_S + 1) * STEP_S
            self.due[arrives].append((bucket, cell, slot(int(took_s * 1000))))
