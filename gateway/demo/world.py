"""Who sends what when, and how carriers fare with it: the world that demo data is drawn from. Pure.

In: a seed, a day, how many. Out: what became of each message. The same seed gives the same month.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
CLIENT_HEAD: Final = "demo-"
CURRENCY: Final = "RUB"
SEED: Final = 20_261_120

_DAYTIME: Final = (2, 1, 1, 1, 1, 2, 5, 10, 18, 26, 30, 31, 30, 30, 29, 28, 28, 30, 31, 29, 24, 17, 10, 5)
"""Weights of the hours, in the local time of most recipients, which is UTC+3."""
_OFFICE: Final = (0, 0, 0, 0, 0, 0, 0, 1, 6, 20, 26, 24, 20, 22, 24, 24, 20, 12, 4, 1, 0, 0, 0, 0)
_CAMPAIGN: Final = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 60, 20, 4, 2, 10, 30, 12, 2, 0, 0, 0, 0, 0)
_EVEN: Final = (10,) * 24
_UTC_AHEAD: Final = 3
_EVERY_DAY: Final = (1.0, 1.0, 1.0, 1.05, 1.1, 0.85, 0.75)
_WORKDAYS: Final = (1.0, 1.05, 1.05, 1.0, 0.95, 0.15, 0.08)
_CAMPAIGN_DAYS: Final = (0.0, 2.4, 0.0, 2.6, 0.6, 0.0, 0.0)


class Stream(NamedTuple):
    """Messages of one kind from one client. `share`: of an average day's messages."""

    client: str
    klass: str
    sender: str
    tag: str
    share: float
    hours: tuple[int, ...]
    weekdays: tuple[float, ...]
    parts: tuple[int, ...]  # drawn from
    text: str


STREAMS: Final = (
    Stream("demo-bank", "otp", "DemoBank", "login", 0.17, _DAYTIME, _EVERY_DAY, (1,), "Code 4821. Tell nobody."),
    Stream("demo-bank", "otp", "DemoBank", "payment", 0.10, _DAYTIME, _EVERY_DAY, (1, 2), "Code 7310: pay 2,400 RUB"),
    Stream("demo-bank", "alert", "DemoBank", "card", 0.13, _DAYTIME, _EVERY_DAY, (1, 2), "Card *1234: 560 RUB, Cafe"),
    Stream("demo-shop", "transactional", "DemoShop", "order", 0.12, _DAYTIME, _EVERY_DAY, (1, 2, 2), "Order 5512 came"),
    Stream("demo-shop", "marketing", "DemoSale", "autumn", 0.14, _CAMPAIGN, _CAMPAIGN_DAYS, (2, 3), "Up to 40 % off"),
    Stream("demo-shop", "otp", "DemoShop", "login", 0.05, _DAYTIME, _EVERY_DAY, (1,), "Code 9034"),
    Stream("demo-clinic", "transactional", "DemoClinic", "visit", 0.06, _OFFICE, _WORKDAYS, (1, 2), "Tomorrow at 10"),
    Stream(
        "demo-clinic", "transactional", "DemoClinic", "results", 0.03, _OFFICE, _WORKDAYS, (1,), "Results are ready"
    ),
    Stream("demo-taxi", "transactional", "DemoTaxi", "ride", 0.11, _EVEN, _EVERY_DAY, (1, 1, 2), "Your car: A123BC"),
    Stream("demo-taxi", "otp", "DemoTaxi", "login", 0.04, _EVEN, _EVERY_DAY, (1,), "Code 1187"),
    Stream("demo-watch", "alert", "DemoWatch", "", 0.02, _EVEN, (1.0,) * 7, (1, 2), "Server 7: disk 91 %"),
    Stream("demo-watch", "marketing", "DemoWatch", "news", 0.03, _CAMPAIGN, _CAMPAIGN_DAYS, (3,), "What is new"),
)

OPERATORS: Final = {"mts": ("+7916", 31), "megafon": ("+7926", 28), "beeline": ("+7903", 22), "t2": ("+7952", 19)}
"""Numbers begin with; weight."""

_FAILED: Final = (
    ("undeliverable", "unreachable", 46),
    ("undeliverable", "unknown_subscriber", 22),
    ("undeliverable", "handset", 6),
    ("undeliverable", "blocked", 8),
    ("expired", "no_receipt", 18),
)


class Carrier(NamedTuple):
    """How an account at a carrier does. Times are medians in ms; price: of a part, in millionths."""

    name: str
    weight: int
    urgent_weight: int  # for otp and alert
    answer_ms: int
    delivery_ms: int
    refused: float
    failed: float
    price: int


CARRIERS: Final = (
    Carrier("alpha", 45, 20, 60, 4_500, 0.004, 0.035, 2_150_000),
    Carrier("bravo", 35, 5, 140, 9_000, 0.010, 0.070, 1_780_000),
    Carrier("delta", 20, 75, 35, 2_200, 0.002, 0.020, 2_900_000),
)
BAD_CARRIER, BAD_DAY, BAD_HOURS = "bravo", 17, range(9, 15)
"""On one day of the month a carrier is in trouble: what analysts are to find."""


class Submission(NamedTuple):
    """One attempt: the carrier takes a message whole."""

    carrier: str
    sent_ms: int
    answered_ms: int
    accepted: bool
    price: int


class Sample(NamedTuple):
    """One message and what became of it."""

    at_ms: int
    stream: Stream
    recipient: str
    operator: str
    parts: int
    state: str
    reason: str
    submissions: tuple[Submission, ...]
    final_ms: int
    random: bytes  # nine bytes for its id


def day_of(begin_ms: int, number: int, weekday: int, messages: int, seed: int) -> Iterator[Sample]:
    """Messages of one UTC day in the order of accepting. `number`: of the day in its month; `messages`: of an average
    day; `weekday`: 0 is Monday."""
    rng = Random(f"{seed}:{number}")  # noqa: S311
    numbers = [max(0, round(rng.gauss(1, 0.04) * s.share * s.weekdays[weekday] * messages)) for s in STREAMS]
    times = [
        (at, which)
        for which, (stream, count) in enumerate(zip(STREAMS, numbers, strict=True))
        for at in _times(rng, stream, count)
    ]
    times.sort()
    for at, which in times:
        yield _sample(rng, STREAMS[which], begin_ms + at, number)


def _times(rng: Random, stream: Stream, count: int) -> Iterator[int]:
    weights = list(accumulate(stream.hours[(hour + _UTC_AHEAD) % 24] for hour in range(24)))
    for hour in rng.choices(range(24), cum_weights=weights, k=count):
        yield hour * 3_600_000 + int(rng.random() * 3_600_000)


_operator_names = tuple(OPERATORS)
_operator_weights = tuple(accumulate(weight for _, weight in OPERATORS.values()))
_urgent = tuple(accumulate(c.urgent_weight for c in CARRIERS))
_calm = tuple(accumulate(c.weight for c in CARRIERS))
_failed_weights = tuple(accumulate(weight for *_, weight in _FAILED))


def _sample(rng: Random, stream: Stream, at_ms: int, number: int) -> Sample:
    operator = rng.choices(_operator_names, cum_weights=_operator_weights)[0]
    recipient = f"{OPERATORS[operator][0]}{rng.randrange(10_000_000):07d}"
    parts, identity = rng.choice(stream.parts), rng.randbytes(9)
    draw = rng.random()
    if draw < 0.002:
        return Sample(at_ms, stream, recipient, operator, parts, "failed", "no_carrier", (), at_ms + 900_000, identity)
    if draw < 0.005 and stream.klass == "marketing":
        return Sample(at_ms, stream, recipient, operator, parts, "cancelled", "cancelled", (), at_ms + 60_000, identity)
    urgent = stream.klass in ("otp", "alert")
    first = rng.choices(CARRIERS, cum_weights=_urgent if urgent else _calm)[0]
    sent_ms = at_ms + _took(rng, 12 if urgent else 90)
    tried = []
    for carrier in (first, *(c for c in CARRIERS if c is not first)):
        trouble = _in_trouble(carrier, number, at_ms)
        answered = sent_ms + _took(rng, carrier.answer_ms * (20 if trouble else 1))
        taken = rng.random() >= (0.12 if trouble else carrier.refused)
        tried.append(Submission(carrier.name, sent_ms, answered, taken, carrier.price))
        if taken:
            state, reason, final = _end(rng, carrier, operator, trouble, sent_ms, answered)
            return Sample(at_ms, stream, recipient, operator, parts, state, reason, tuple(tried), final, identity)
        sent_ms = answered + 5
    return Sample(
        at_ms, stream, recipient, operator, parts, "rejected", "blocked", tuple(tried), tried[-1].answered_ms, identity
    )


def _in_trouble(carrier: Carrier, number: int, at_ms: int) -> bool:
    return carrier.name == BAD_CARRIER and number == BAD_DAY and at_ms % DAY_MS // 3_600_000 in BAD_HOURS


def _end(
    rng: Random, carrier: Carrier, operator: str, trouble: bool, sent_ms: int, answered_ms: int
) -> tuple[str, str, int]:
    """State, reason, and when."""
    chance = carrier.failed * (2.2 if (carrier.name, operator) == ("bravo", "t2") else 1)
    if rng.random() < (0.45 if trouble else chance):
        state, reason, _ = rng.choices(_FAILED, cum_weights=_failed_weights)[0]
        wait = DAY_MS if state == "expired" else _took(rng, carrier.delivery_ms * 12)
        return state, reason, answered_ms + wait
    return "delivered", "", max(answered_ms, sent_ms + _took(rng, carrier.delivery_ms * (8 if trouble else 1)))


def _took(rng: Random, median_ms: int) -> int:
    """Most near the median, a few far above."""
    return int(median_ms * math.exp(rng.gauss(0, 0.55))) + 1
