"""Where month ladders stand: what was sent, the price of the next part, the next step, what the invoice would say.

In: rates made ready, the time, parts sent in the month. Out: `Ladder` values. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.plan.rates import Rates, decimal


class Ladder(msgspec.Struct, frozen=True, rename={"klass": "class"}):
    """A rate with a ladder that counts now."""

    carrier: str
    operator: str
    """Empty: every operator."""
    klass: str
    """Empty: every class."""
    kind: str
    """marginal or whole_month"""
    parts: int
    """Sent in the month, as far as the ladder counts them."""
    price: str
    """Of the next part."""
    currency: str
    next_over: int | None
    """The count after which the next step begins; None: this is the last."""
    next_price: str | None
    invoice: str
    """What these parts cost by the carrier's rules."""


def ladders(rates: Rates, now_ms: int, used: Callable[[str, str, str], int]) -> list[Ladder]:
    """Every ladder of a rate that is valid now, by carrier, operator and class."""
    found = []
    for tariff in rates.tariffs():
        carrier, _, operator, klass = tariff.key
        if not tariff.steps or rates.version(tariff.key, now_ms) is not tariff:
            continue
        parts = used(carrier, operator, klass)
        ahead = next(((over, price) for over, price in tariff.steps if over > parts), None)
        price = tariff.at(parts)
        found.append(
            Ladder(
                carrier,
                operator,
                klass,
                "whole_month" if tariff.whole_month else "marginal",
                parts,
                decimal(price.micro),
                price.currency,
                ahead[0] if ahead else None,
                decimal(ahead[1].micro) if ahead else None,
                decimal(tariff.month_micro(parts)),
            )
        )
    return sorted(found, key=lambda ladder: (ladder.carrier, ladder.operator, ladder.klass))
