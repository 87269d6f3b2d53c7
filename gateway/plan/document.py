"""The plan as a document: the nouns of its TOML, each field with the words that `check` uses when it is wrong.

In: nothing. Out: `Plan` and its parts as typed values, immutable once read. Never: lookups, money arithmetic, files.
A new field goes at the end with a default; an unknown one is refused, so that a misspelt limit never passes for none.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.message import CLASSES

Klass = Annotated[str, Meta(pattern=f"^({'|'.join(CLASSES)})$")]

SHARES: Final = {"otp": 50, "alert": 20, "transactional": 20, "marketing": 10}
"""Percent of a carrier's rate that a class with a backlog is sure of, unless the plan says otherwise."""

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description="a name of up to 40 letters, digits, `_`, `.` and `-`",
    ),
]
Percent = Annotated[int, Meta(ge=0, le=100)]
Shares = Annotated[dict[Klass, Percent], Meta(description="percent by class, such as { otp = 50, marketing = 10 }")]
Classes = Annotated[tuple[Klass, ...], Meta(description=f"a list out of {', '.join(CLASSES)}")]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", description='a currency of three capital letters, such as "RUB"')]
Country = Annotated[
    str, Meta(pattern=r"^[A-Z]{2}$", description='a country of two capital letters (ISO 3166), such as "RU"')
]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the document."""


class Defaults(Entry, frozen=True):
    """`[defaults]`: what entries that say nothing use."""

    currency: Currency | None = None
    shares: Shares = {}


class Carrier(Entry, frozen=True):
    """`[[carrier]]`: one upstream account. Its settings are the provider's business, secrets in them are references."""

    name: Name
    provider: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", description='the name of a provider, such as "smpp"')]
    settings: Annotated[dict[str, Any], Meta(description="a table of the provider's settings")] = {}
    rate_per_s: Annotated[float, Meta(gt=0, description="parts a second, more than 0")] | None = None
    shares: Shares = {}
    classes: Classes = ()
    """Classes that it takes; empty: all."""
    sandbox: Annotated[bool, Meta(description="true or false")] = False
    """Takes what test keys send."""


class Operator(Entry, frozen=True):
    """`[[operator]]`: a mobile network, known by prefixes of E.164 digits. The longest prefix wins; "" is the rest."""

    name: Name
    prefixes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\+?[0-9]{0,14}|\+?[0-9]{1,14}-\+?[0-9]{1,14})$")], ...],
        Meta(min_length=1, description='a list of prefixes or ranges of them, such as ["7916", "7980-7989"]'),
    ]
    country: Country | None = None
    mcc_mnc: Annotated[str, Meta(pattern=r"^[0-9]{5,6}$", description='MCC and MNC, such as "25001"')] | None = None


class Rate(Entry, frozen=True, rename={"klass": "class"}):
    """`[[rate]]`: the price of one part at a carrier. Without operator or class it holds for all; the exacter wins,
    and a rate for an operator is exacter than one for a class."""

    carrier: Name
    price: Annotated[
        str,
        Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", description='a decimal in quotes, such as "2.15"'),
    ]
    operator: Name | None = None
    klass: Annotated[Klass, Meta(description=f"one out of {', '.join(CLASSES)}")] | None = None
    currency: Currency | None = None


class Route(Entry, frozen=True):
    """`[[route]]`: which carriers may take a message, in order of preference. The first route that matches decides; an
    empty condition matches everything; no carriers at all means that the message is refused."""

    name: Name
    carriers: Annotated[tuple[str, ...], Meta(description="a list of carriers' names, the preferred first")]
    classes: Classes = ()
    operators: Names = ()
    countries: Annotated[tuple[Country, ...], Meta(description='a list of countries, such as ["RU", "KZ"]')] = ()
    clients: Names = ()


class Plan(msgspec.Struct, frozen=True):
    """The whole document, entries in the order of the file."""

    defaults: Defaults = Defaults()
    carriers: tuple[Carrier, ...] = ()
    operators: tuple[Operator, ...] = ()
    rates: tuple[Rate, ...] = ()
    routes: tuple[Route, ...] = ()

    def carrier(self, name: str) -> Carrier | None:
        """The carrier of that name."""
        return next((c for c in self.carriers if c.name == name), None)

    def shares_of(self, carrier: Carrier) -> dict[str, int]:
        """Percent of the carrier's rate that each class is sure of."""
        return SHARES | self.defaults.shares | carrier.shares
