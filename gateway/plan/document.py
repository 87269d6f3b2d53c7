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


Decimal = Annotated[
    str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", description='a decimal in quotes, such as "2.15"')
]
Currencies = Annotated[
    dict[Currency, Decimal],
    Meta(description='a currency and what one unit is worth in that of [defaults], such as EUR = "98.5"'),
]
Zone = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$",
        description='a time zone of the IANA list, such as "Europe/Moscow"',
    ),
]
Clock = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", description='a time of day such as "09:00"')
]
Days = Annotated[
    tuple[Annotated[str, Meta(pattern="^(mon|tue|wed|thu|fri|sat|sun)$")], ...],
    Meta(description='a list of days, such as ["mon", "tue"]'),
]
Texts = Annotated[tuple[str, ...], Meta(description="a list of texts")]
Count = Annotated[int, Meta(ge=1, description="a whole number from 1 on")]
Flag = Annotated[bool, Meta(description="true or false")]
Period = Annotated[
    str, Meta(pattern="^(second|minute|hour|day|month)$", description="one out of second, minute, hour, day, month")
]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the document."""


class Defaults(Entry, frozen=True):
    """`[defaults]`: what entries that say nothing use."""

    currency: Currency | None = None
    shares: Shares = {}
    timezone: Zone = "Europe/Moscow"
    """Of numbers whose own zone is not known, and of days and months in limits, budgets and ladders."""
    explore: Annotated[float, Meta(ge=0, le=10, description="percent of messages, 0 to 10")] = 2.0
    """Share of what `best_value` gives to a carrier that it knows too little of; never of otp and alert."""


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
    billed_on: Annotated[str, Meta(pattern="^(submitted|delivered)$", description='"submitted" or "delivered"')] = (
        "submitted"
    )


class Operator(Entry, frozen=True):
    """`[[operator]]`: a mobile network, known by prefixes of E.164 digits. The longest prefix wins; "" is the rest."""

    name: Name
    prefixes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\+?[0-9]{0,14}|\+?[0-9]{1,14}-\+?[0-9]{1,14})$")], ...],
        Meta(description='a list of prefixes or ranges of them, such as ["7916", "7980-7989"]'),
    ] = ()
    country: Country | None = None
    mcc_mnc: Annotated[str, Meta(pattern=r"^[0-9]{5,6}$", description='MCC and MNC, such as "25001"')] | None = None
    aliases: Annotated[tuple[str, ...], Meta(description="a list of names that registries have for it")] = ()
    """Legal names in numbering plans and registries of ported numbers."""


class Step(Entry, frozen=True):
    """A step of a month ladder: the price of a part once `over` parts were sent in the month."""

    over: Count
    price: Decimal


class Rate(Entry, frozen=True, rename={"klass": "class"}):
    """`[[rate]]`: the price of one part at a carrier. Without operator or class it holds for all; the exacter wins,
    and a rate for an operator is exacter than one for a class. A prefix is exacter than an operator."""

    carrier: Name
    price: Decimal
    operator: Name | None = None
    klass: Annotated[Klass, Meta(description=f"one out of {', '.join(CLASSES)}")] | None = None
    currency: Currency | None = None
    prefix: Annotated[str, Meta(pattern=r"^\+?[0-9]{1,14}$", description='a prefix such as "7916"')] | None = None
    valid_from: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2}))?$",
                description='a day such as "2026-12-01", or a moment with its offset',
            ),
        ]
        | None
    ) = None
    """The newest that is valid already counts. A day begins in the zone of `[defaults]`."""
    ladder: Annotated[
        tuple[Step, ...], Meta(description='a list of steps, such as [{ over = 100000, price = "1.9" }]')
    ] = ()
    ladder_kind: Annotated[str, Meta(pattern="^(marginal|whole_month)$", description='"marginal" or "whole_month"')] = (
        "marginal"
    )
    """marginal: a step's price holds for the parts above it; whole_month: for all parts of the month."""


class Route(Entry, frozen=True):
    """`[[route]]`: which carriers may take a message, in order of preference. The first route that matches decides; an
    empty condition matches everything; no carriers at all means that the message is refused."""

    name: Name
    carriers: Annotated[tuple[str, ...], Meta(description="a list of carriers' names, the preferred first")]
    classes: Classes = ()
    operators: Names = ()
    countries: Annotated[tuple[Country, ...], Meta(description='a list of countries, such as ["RU", "KZ"]')] = ()
    clients: Names = ()
    prefixes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^\+?[0-9]{1,14}$")], ...],
        Meta(description='a list of prefixes, such as ["7916"]'),
    ] = ()
    senders: Texts = ()
    tags: Texts = ()
    encodings: Annotated[
        tuple[Annotated[str, Meta(pattern="^(gsm7|ucs2)$")], ...], Meta(description='a list out of "gsm7", "ucs2"')
    ] = ()
    min_parts: Count | None = None
    max_parts: Count | None = None
    hours: (
        Annotated[
            str,
            Meta(
                pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
                description='hours of the day such as "22:00-06:00"',
            ),
        ]
        | None
    ) = None
    """In the zone of `[defaults]`."""
    days: Days = ()
    percent: Annotated[float, Meta(gt=0, le=100, description="percent of the messages, more than 0")] | None = None
    """The same share of recipients each time, so that one number keeps its route."""
    strategy: Annotated[
        str,
        Meta(
            pattern="^(priority|cheapest|best_value|weighted|sticky)$",
            description="one out of priority, cheapest, best_value, weighted, sticky",
        ),
    ] = "priority"
    weights: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]], Meta(description="a weight by carrier, such as { a = 70, b = 30 }")
    ] = {}
    """For `weighted` and `sticky`; a carrier that is not named weighs 1."""
    when_none: Annotated[str, Meta(pattern="^(wait|fail)$", description='"wait" or "fail"')] = "wait"
    """What happens while no candidate can take the message: it waits within its validity, or fails."""
    retry_same: Flag = False
    """After a failure that allows it, the same carrier may be tried again at once."""
    unregistered: Annotated[
        str, Meta(pattern="^(send|replace|refuse)$", description='one out of "send", "replace", "refuse"')
    ] = "send"
    """What happens to a sender that the registry does not allow at the candidate; `replace` uses `sender`."""
    sender: Annotated[str, Meta(min_length=1, max_length=15, description="a sender of up to 15 characters")] | None = (
        None
    )
    transliterate: Flag = False
    typography: Annotated[str, Meta(pattern="^(keep|replace)$", description='"keep" or "replace"')] = "keep"


class Sender(Entry, frozen=True):
    """`[[sender]]`: where a sender is registered. Empty lists mean everywhere. Long registries are imported as CSV."""

    name: Annotated[str, Meta(min_length=1, max_length=15, description="a sender of up to 15 characters")]
    carriers: Names = ()
    operators: Names = ()
    classes: Classes = ()
    clients: Names = ()
    state: Annotated[
        str, Meta(pattern="^(registered|pending|blocked)$", description="one out of registered, pending, blocked")
    ] = "registered"


class Limit(Entry, frozen=True, rename={"klass": "class"}):
    """`[[limit]]`: so many parts in a period for what it names, or so many messages in flight to one number.

    `"*"` in `operator`, `sender`, `client` or `tag` means each of them by itself.
    """

    parts: Count | None = None
    per: Period | None = None
    carrier: Name | None = None
    operator: Annotated[str, Meta(description='an operator\'s name, or "*" for each')] | None = None
    sender: Annotated[str, Meta(description='a sender, or "*" for each')] | None = None
    client: Annotated[str, Meta(description='a client\'s name, or "*" for each')] | None = None
    tag: Annotated[str, Meta(description='a tag, or "*" for each')] | None = None
    klass: Annotated[Klass, Meta(description=f"one out of {', '.join(CLASSES)}")] | None = None
    in_flight: Count | None = None
    """Messages to one number that are on their way at the same time; instead of `parts` and `per`."""


class Budget(Entry, frozen=True):
    """`[[budget]]`: what a client or a tag may cost in a period."""

    amount: Decimal
    per: Annotated[str, Meta(pattern="^(day|month)$", description='"day" or "month"')]
    client: Annotated[str, Meta(description='a client\'s name, or "*" for each')] | None = None
    tag: Annotated[str, Meta(description='a tag, or "*" for each')] | None = None
    currency: Currency | None = None
    when_spent: Annotated[str, Meta(pattern="^(refuse|hold)$", description='"refuse" or "hold"')] = "refuse"


class Window(Entry, frozen=True, rename={"from_": "from"}):
    """`[[window]]`: hours of the recipient's day in which its classes may be sent; the rest waits for the opening."""

    name: Name
    from_: Clock
    until: Clock
    classes: Classes = ("marketing",)
    countries: Annotated[tuple[Country, ...], Meta(description='a list of countries, such as ["RU", "KZ"]')] = ()
    operators: Names = ()
    clients: Names = ()
    days: Days = ()
    zone: Zone | None = None
    """Of recipients whose own zone is not known; without it that of `[defaults]`."""


class StopWords(Entry, frozen=True):
    """`[stop_words]`: inbound texts that put their sender on the stop list, and that take it off again."""

    stop: Texts = ("STOP", "STOPALL", "UNSUBSCRIBE", "СТОП", "ОТПИСКА")
    start: Texts = ("START", "СТАРТ")
    classes: Classes = ("marketing",)


class Lookup(Entry, frozen=True):
    """`[lookup]`: an HTTP service that tells the operator of a number (HLR, ported numbers)."""

    url: Annotated[str, Meta(pattern=r"^https?://.*\{number\}", description="a URL with {number} in it")]
    answer: Annotated[
        str, Meta(pattern="^/", description='a JSON pointer to the operator in the answer, such as "/mccmnc"')
    ]
    headers: Annotated[dict[str, Any], Meta(description="a table of headers, secrets as references")] = {}
    timeout_ms: Count = 500
    cache_hours: Count = 24
    price: Decimal | None = None
    currency: Currency | None = None
    budget: Decimal | None = None
    """What it may cost in a day; without it there is no bound."""
    classes: Classes = ()
    countries: Annotated[tuple[Country, ...], Meta(description='a list of countries, such as ["RU", "KZ"]')] = ()
    operators: Names = ()


class InboundRule(Entry, frozen=True):
    """`[[inbound]]`: which client hears of messages that subscribers send. The first rule that matches decides."""

    client: Name
    number: Annotated[str, Meta(description="our number or sender that was written to")] | None = None
    keyword: Annotated[str, Meta(min_length=1, description="the first word of the text")] | None = None


class Plan(msgspec.Struct, frozen=True):
    """The whole document, entries in the order of the file."""

    defaults: Defaults = Defaults()
    carriers: tuple[Carrier, ...] = ()
    operators: tuple[Operator, ...] = ()
    rates: tuple[Rate, ...] = ()
    routes: tuple[Route, ...] = ()
    currencies: dict[str, str] = {}
    """What one unit of a currency is worth in the currency of `[defaults]`, a decimal."""
    senders: tuple[Sender, ...] = ()
    limits: tuple[Limit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    windows: tuple[Window, ...] = ()
    stop_words: StopWords = StopWords()
    lookup: Lookup | None = None
    inbound: tuple[InboundRule, ...] = ()

    def carrier(self, name: str) -> Carrier | None:
        """The carrier of that name."""
        return next((c for c in self.carriers if c.name == name), None)

    def shares_of(self, carrier: Carrier) -> dict[str, int]:
        """Percent of the carrier's rate that each class is sure of."""
        return SHARES | self.defaults.shares | carrier.shares
