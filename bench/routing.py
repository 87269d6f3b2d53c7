"""`python -m bench.routing`: what routing saves on a simulated market day, and what a decision costs.

In: nothing. Out: one line of JSON a measurement, and exit status 1 when a floor is missed. Times are CPU times, scaled
by the calibration loop. Never: servers.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench import calibration
from bench.market import Market
from gateway.message import CLASSES, Message, make_id, pack_message
from gateway.numbering.directory import Directory, Tables
from gateway.numbering.ranges import NOTHING, Record, compiled, fill_up
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route
from gateway.plan.surroundings import Chance, Surroundings
from gateway.router.decide import Moves, decide
from gateway.streams.reader import Queued

SEEDS = range(10)
CHEAPER, WORSE = 0.05, 0.005
"""best_value is so much cheaper per delivered message than cheapest, and delivers at most so much less than priority
does: a part of one, and a part of all messages."""

KEYS_US, DIFFERENT_US = 6.0, 25.0
ROUTES, RANGES, OPERATORS, CARRIERS, CLIENTS = 1_000, 1_000_000, 100, 12, 250
MESSAGES, BATCH, RUNS = 10_000, 500, 9
NOW_MS = 1_800_000_000_000
PRIORITIES = ("priority", "priority", "cheapest", "best_value", "sticky", "weighted")


def market_day(seed: int) -> dict[str, Any]:
    """One day under each strategy."""
    market = Market(seed)
    days = {strategy: market.day(strategy) for strategy in ("priority", "cheapest", "best_value")}
    best = days["best_value"]
    cheaper, worse = 1 - best.cost / days["cheapest"].cost, days["priority"].share - best.share
    return {
        "measure": "market_day",
        "seed": seed,
        "messages": best.sent,
        "share": {name: round(day.share, 4) for name, day in days.items()},
        "cost_per_delivered": {name: round(day.cost, 4) for name, day in days.items()},
        "cheaper_than_cheapest": round(cheaper, 4),
        "share_below_priority": round(worse, 4),
        "holds": cheaper >= CHEAPER and worse <= WORSE,
    }


def plan(dice: random.Random) -> Plan:
    """A thousand routes that ask for everything that routes can ask for."""
    carriers = [f"carrier{n}" for n in range(CARRIERS)]
    routes = []
    for n in range(ROUTES):
        routes.append(
            Route(
                name=f"route{n}",
                carriers=tuple(dice.sample(carriers, 3)),
                clients=(f"client{n % CLIENTS}",),
                classes=(CLASSES[n % 4],) if n % 2 else (),
                operators=(f"operator{n % OPERATORS}",) if n % 3 else (),
                senders=(f"sender{n % 40}",) if n % 5 == 0 else (),
                tags=(f"tag{n % 20}",) if n % 7 == 0 else (),
                prefixes=(f"79{n % 100:02}",) if n % 11 == 0 else (),
                encodings=("ucs2",) if n % 13 == 0 else (),
                min_parts=2 if n % 17 == 0 else None,
                hours="08:00-20:00" if n % 19 == 0 else None,
                percent=50.0 if n % 23 == 0 else None,
                strategy=PRIORITIES[n % len(PRIORITIES)],
            )
        )
    routes.append(Route(name="rest", carriers=tuple(carriers[:4]), strategy="best_value"))
    rates = [
        Rate(carrier=name, operator=f"operator{n}", price=f"{dice.randint(100, 300) / 100:.2f}")
        for name in carriers
        for n in range(OPERATORS)
    ]
    return Plan(
        defaults=Defaults(currency="RUB"),
        carriers=tuple(Carrier(name=name, provider="smpp") for name in carriers),
        operators=tuple(Operator(name=f"operator{n}", aliases=(f"Operator No {n}",)) for n in range(OPERATORS)),
        rates=tuple(rates),
        routes=tuple(routes),
    )


def directory(found: Plan, dice: random.Random) -> Directory:
    """A million ranges of a thousand numbers."""
    records = [NOTHING, *(Record(f"Operator No {n}", "RU") for n in range(OPERATORS))]
    first = 79_000_000_000
    starts = (first + n * 1_000 for n in range(RANGES))
    pieces = ((fill_up(str(at)), fill_up(str(at + 1_000)), dice.randint(1, OPERATORS)) for at in starts)
    return Directory(found.operators, Tables(numbers=compiled(pieces, records)))


def entries(dice: random.Random, keys: int) -> list[Queued]:
    """Messages with so many different sets of facts."""
    kinds = [
        {
            "client": f"client{dice.randrange(CLIENTS + 50)}",
            "klass": dice.choice(CLASSES),
            "sender": f"sender{dice.randrange(50)}",
            "tag": f"tag{dice.randrange(25)}",
            "encoding": dice.choice(("gsm7", "ucs2")),
            "parts": dice.choice((1, 1, 1, 2, 3)),
            "to": f"+79{dice.randrange(10**9):09}",
        }
        for _ in range(keys)
    ]
    made = []
    for n in range(MESSAGES):
        kind = kinds[n % keys]
        to = f"{str(kind['to'])[:9]}{dice.randrange(1_000):03}"  # another number of the same range
        message = Message(**(kind | {"to": to}), text="Hello", validity_s=86_400)  # type: ignore[arg-type]
        value = make_id(NOW_MS - 1_000, dice.randbytes(10)) + pack_message(message)
        made.append(Queued(b"1-%d" % n, value, b""))
    return made


def chance(carrier: str, operator: str, klass: str) -> Chance | None:
    """Statistics that know everything."""
    return Chance(0.9, 0.95, 400)


def cost_us(compiled_: Callable[[], Compiled], queued: Sequence[Queued]) -> float:
    """CPU of a message at the router, in batches as it has them; the best of several runs."""
    live, slow, found = (lambda carrier: True), (lambda carrier, klass: False), []
    for _ in range(RUNS):
        made = compiled_()
        gc.collect()
        began = time.process_time()
        for at in range(0, len(queued), BATCH):
            around, known = Surroundings(now_ms=NOW_MS, live=live, slow=slow, chance=chance), Moves()
            for entry in queued[at : at + BATCH]:
                decide(entry, made, around, known)
        found.append((time.process_time() - began) / len(queued) * 1e6)
    return min(found)


def decisions() -> list[dict[str, Any]]:
    """What a decision costs when few kinds of messages come again and again, and when no two are alike."""
    dice = random.Random(1)
    found = plan(dice)
    compiled_ = Compiled(found, 1, directory(found, dice))
    lines = []
    for measure, keys, floor in (("500_keys", 500, KEYS_US), ("all_different", MESSAGES, DIFFERENT_US)):
        queued = entries(dice, keys)
        before = calibration.loop_s()
        known = keys < MESSAGES
        us = cost_us(lambda known=known: compiled_ if known else Compiled(found, 1, compiled_.directory), queued)  # type: ignore[misc]
        speed = calibration.reference().loop_s / min(before, calibration.loop_s())
        line = {"measure": measure, "routes": ROUTES, "ranges": RANGES, "us_per_message": round(us, 2)}
        line |= {"floor_us": round(floor / speed, 2), "speed": round(speed, 3), "holds": us <= floor / speed}
        lines.append(line)
    return lines


def main() -> None:
    """Print every measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__.partition("\n")[0] or None)
    parser.add_argument("--only", choices=("market", "decisions"), help="one of the two")
    only = parser.parse_args().only
    good = True
    for part in ("decisions", "market"):
        if only in (None, part):
            for line in decisions() if part == "decisions" else map(market_day, SEEDS):
                good &= line["holds"]
                print(json.dumps(line), flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
