"""The JSON documents of rate sheets and of the registry of senders, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

CSV: Final = "carrier,operator,class,price,currency\nnorth,mts,otp,2.15,RUB\n"
_Carrier = Annotated[str, Meta(max_length=40, description="the plan's name of the carrier, for rows that name none")]
_Note = Annotated[str, Meta(max_length=500, description="what changes, for people")]
_Source = Annotated[str, Meta(max_length=500, description="the name of the file")]
_Keep = Annotated[bool, Meta(description="false: only say what it would change")]
_Activate = Annotated[bool, Meta(description="make it the one in use at once")]
_Rows = Annotated[int, Meta(description="rows of the whole, with those that stay")]
_Operators = Annotated[
    Sequence[str], Meta(description="operators that the plan has no name, alias or MCC-MNC for: their rows do nothing")
]
_Carriers = Annotated[Sequence[str], Meta(description="carriers that the plan does not have")]
_Remarks = Annotated[Sequence[str], Meta(description="what else to know, such as columns that were not used")]
_Kept = Annotated[int | None, Meta(description="the version that was made; null: nothing was kept")]


class NewRates(msgspec.Struct, forbid_unknown_fields=True):
    """A price list. Of the carriers that it names it replaces what begins on its first day or later."""

    document: Annotated[str, Meta(description="the CSV as text", examples=[CSV])]
    carrier: _Carrier = ""
    valid_from: Annotated[str, Meta(description="a day for rows that name none", examples=["2030-01-31"])] = ""
    currency: Annotated[str, Meta(description="a currency for rows that name none", examples=["RUB"])] = ""
    whole: Annotated[bool, Meta(description="true: rows of carriers that it does not name go too")] = False
    keep: _Keep = True
    activate: _Activate = False
    note: _Note = ""
    source: _Source = ""


class NewSenders(msgspec.Struct, forbid_unknown_fields=True):
    """A registry of senders. With a carrier it replaces that carrier's rows, else all of them."""

    document: Annotated[str, Meta(description="the CSV as text", examples=["sender,operators\nBANK,mts\n"])]
    carrier: _Carrier = ""
    keep: _Keep = True
    activate: _Activate = False
    note: _Note = ""
    source: _Source = ""


class PriceChange(msgspec.Struct, rename={"klass": "class"}):
    """A price that differs."""

    carrier: Annotated[str, Meta(description="the carrier", examples=["north"])]
    operator: Annotated[str, Meta(description="the operator, or a prefix with its plus", examples=["mts"])]
    klass: Annotated[str, Meta(description="the class", examples=["otp"])]
    before: Annotated[str | None, Meta(description="the price of a part; null: none", examples=["2.15"])]
    after: Annotated[str | None, Meta(description="the price to come; null: none", examples=["2.05"])]
    currency: Annotated[str, Meta(description="of both; empty where they differ and name it", examples=["RUB"])]
    percent: Annotated[float | None, Meta(description="by how much it rises", examples=[-4.7])]
    parts: Annotated[int, Meta(description="parts sent in the last week")]


class WeekCost(msgspec.Struct):
    """What the parts of the last week cost, and would cost."""

    currency: Annotated[str, Meta(description="the plan's own", examples=["RUB"])]
    parts: Annotated[int, Meta(description="parts that have a price in both")]
    before: Annotated[str, Meta(description="at the prices in use", examples=["2150.00"])]
    after: Annotated[str, Meta(description="at the prices to come", examples=["2050.00"])]
    difference: Annotated[str, Meta(description="with its sign", examples=["-100.00"])]


class Unpriced(msgspec.Struct):
    """A carrier without a price for an operator."""

    carrier: Annotated[str, Meta(description="the carrier", examples=["north"])]
    operator: Annotated[str, Meta(description="the operator", examples=["tele2"])]


class RatesSummary(msgspec.Struct):
    """What a price list changes now."""

    rows: _Rows
    up: Annotated[int, Meta(description="prices, by carrier, operator and class, that rise")]
    down: Annotated[int, Meta(description="prices that fall")]
    new: Annotated[int, Meta(description="prices where there was none")]
    gone: Annotated[int, Meta(description="prices that are no more")]
    biggest: Annotated[Sequence[PriceChange], Meta(description="the biggest changes, those without a price first")]
    without_price: Annotated[Sequence[Unpriced], Meta(description="where some class has no price")]
    unknown_operators: _Operators
    unknown_carriers: _Carriers
    hidden: Annotated[int, Meta(description="rows that do nothing: the plan has a rate of its own for the same")]
    not_comparable: Annotated[Sequence[str], Meta(description="currencies that the plan's table does not have")]
    later: Annotated[int, Meta(description="rows that become valid only later")]
    money: Annotated[WeekCost | None, Meta(description="null: nothing was sent in the last week")]


class LadderView(msgspec.Struct, rename={"klass": "class"}):
    """Where a month ladder stands."""

    carrier: Annotated[str, Meta(description="the carrier", examples=["north"])]
    operator: Annotated[str, Meta(description="the operator; empty: every one", examples=["mts"])]
    klass: Annotated[str, Meta(description="the class; empty: every one", examples=["otp"])]
    kind: Annotated[str, Meta(description="marginal or whole_month", examples=["marginal"])]
    parts: Annotated[int, Meta(description="parts of this month that it counts", examples=[98500])]
    price: Annotated[str, Meta(description="of the next part", examples=["2.15"])]
    currency: Annotated[str, Meta(description="of the prices", examples=["RUB"])]
    next_over: Annotated[int | None, Meta(description="after so many parts the next step begins; null: no more")]
    next_price: Annotated[str | None, Meta(description="its price; null: no more")]
    invoice: Annotated[str, Meta(description="what these parts cost by the carrier's rules", examples=["211775.00"])]


class Ladders(msgspec.Struct):
    """Month ladders that count now."""

    ladders: Annotated[Sequence[LadderView], Meta(description="by carrier, operator and class")]


class SendersSummary(msgspec.Struct):
    """What a registry changes."""

    rows: _Rows
    new: Annotated[int, Meta(description="rows that were not there")]
    gone: Annotated[int, Meta(description="rows that are no more")]
    changed: Annotated[int, Meta(description="rows in another state")]
    unknown_operators: _Operators
    unknown_carriers: _Carriers


class RatesImported(msgspec.Struct):
    """What became of a price list."""

    version: _Kept
    active: Annotated[bool, Meta(description="true: it is in use now")]
    read: Annotated[int, Meta(description="rows of the list itself")]
    remarks: _Remarks
    summary: Annotated[RatesSummary, Meta(description="what it changes")]


class SendersImported(msgspec.Struct):
    """What became of a registry."""

    version: _Kept
    active: Annotated[bool, Meta(description="true: it is in use now")]
    read: Annotated[int, Meta(description="rows of the file itself")]
    remarks: _Remarks
    summary: Annotated[SendersSummary, Meta(description="what it changes")]
