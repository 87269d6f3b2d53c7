"""What a part costs: the rate that says most exactly what it is for.

In: the plan's rates. Out: micro-units (millionths of the currency) for a carrier, an operator and a class. No floats.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.plan.document import Plan

MICRO: Final = 1_000_000


class Price(NamedTuple):
    """The price of one part."""

    micro: int
    currency: str


def micro(price: str) -> int:
    """Millionths of a decimal such as "2.15", exactly. At most six digits after the point."""
    whole, _, fraction = price.partition(".")
    return int(whole) * MICRO + int(fraction.ljust(6, "0"))


def decimal(price_micro: int) -> str:
    """Inverse of `micro`, with at least two digits after the point."""
    whole, fraction = divmod(price_micro, MICRO)
    return f"{whole}.{f'{fraction:06}'.rstrip('0').ljust(2, '0')}"


class Rates:
    """A compiled table of rates."""

    def __init__(self, plan: Plan) -> None:
        self._prices = {
            (rate.carrier, rate.operator, rate.klass): Price(
                micro(rate.price), rate.currency or plan.defaults.currency or ""
            )
            for rate in plan.rates
        }

    def price(self, carrier: str, operator: str, klass: str) -> Price | None:
        """The rate for operator and class, else for the operator, else for the class, else for the carrier."""
        prices = self._prices
        return (
            prices.get((carrier, operator, klass))
            or prices.get((carrier, operator, None))
            or prices.get((carrier, None, klass))
            or prices.get((carrier, None, None))
        )
