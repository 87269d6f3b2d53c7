"""What the ledger says about a plan that is not live yet: limits that were too low last week, and what would move."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.plan.choice import Compiled
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.what_if import compare, low_limits
from tests.ledger_bench import Bench, message, open_bench, submitted

PLAN = """
[defaults]
currency = "RUB"
[[carrier]]
name = "alpha"
provider = "smpp"
rate_per_s = {rate}
[[carrier]]
name = "beta"
provider = "smpp"
[[operator]]
name = "mts"
prefixes = [""]
[[rate]]
carrier = "alpha"
price = "2"
[[rate]]
carrier = "beta"
price = "1"
[[route]]
name = "all"
carriers = ["{first}"]
[[limit]]
client = "*"
operator = "mts"
parts = {hour}
per = "hour"
[[limit]]
sender = "BANK"
parts = 1
per = "day"
"""


def document(rate: float = 10, first: str = "alpha", hour: int = 1_000) -> str:
    return PLAN.format(rate=rate, first=first, hour=hour)


def read(text: str) -> Plan:
    plan = parse(text)
    assert isinstance(plan, Plan)
    return plan


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def _busy_minute(bench: Bench) -> None:
    """120 messages of two parts in one minute of two clients, all submitted to alpha."""
    begin = bench.redis.clock_ms() // 60_000 * 60_000 - 600_000
    ids = [bench.message_id(begin + n) for n in range(120)]
    sent = [(i, message(n, parts=2, client="shop" if n < 80 else "bank")) for n, i in enumerate(ids)]
    await bench.accept(*sent)
    await bench.tell(*(submitted(i, f"c{n}", part=0, parts=2) for n, i in enumerate(ids)))
    await bench.until_recorded()


async def test_limits_that_last_week_would_have_reached_are_told_with_their_lines(bench: Bench) -> None:
    text = document(rate=3, hour=100)
    assert await low_limits(bench.pool, text, read(text)) == []
    await _busy_minute(bench)
    found = await low_limits(bench.pool, text, read(text))
    assert [(p.code, p.severity, text.splitlines()[p.line - 1]) for p in found] == [
        ("limit_below_peak", "warning", "rate_per_s = 3"),
        ("limit_below_peak", "warning", "[[limit]]"),
    ]
    assert "busiest second of last week had 4 parts" in found[0].sentence and "lets 3 through" in found[0].sentence
    assert "busiest hour of last week had 160 parts of shop" in found[1].sentence
    text = document(rate=4, hour=160)
    assert await low_limits(bench.pool, text, read(text)) == []
    text += '\n[[limit]]\ntag = "*"\nparts = 1\nper = "day"\n'  # nothing of it had a tag
    assert await low_limits(bench.pool, text, read(text)) == []


async def test_two_plans_are_compared_on_what_was_really_sent(bench: Bench) -> None:
    await _busy_minute(bench)
    before, after = (Compiled(read(document(first=first)), 1) for first in ("alpha", "beta"))
    found = await compare(bench.pool, before, after)
    assert (found.sampled, found.effect.messages, found.effect.moved) == (120, 120, 120)
    assert (found.effect.cost_before_micro, found.effect.cost_after_micro) == (480_000_000, 240_000_000)
    assert [(m.before, m.after, m.parts) for m in found.effect.moves] == [("alpha", "beta", 240)]
    later = await compare(
        bench.pool, before, after, since_ms=found.until_ms + 7_200_000, until_ms=found.until_ms + 9_000_000
    )
    assert later.effect.messages == 0
