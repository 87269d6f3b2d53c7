"""The JSON documents of the stop lists, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import ClassName

MAX_NUMBERS: Final = 10_000
"""In one request."""

Client = Annotated[str, Meta(description="whose messages are stopped; null: everybody's", examples=["shop"])]
Reason = Annotated[str, Meta(max_length=200, description="a note for people", examples=["asked by phone"])]
Number = Annotated[
    str, Meta(description="the number; its middle is hidden without the scope `privacy`", examples=["+7916*****67"])
]


class NewStops(msgspec.Struct, forbid_unknown_fields=True):
    """Numbers to put on a list. All of them, or none where one is no number."""

    numbers: Annotated[
        Sequence[Annotated[str, Meta(max_length=60)]],
        Meta(
            min_length=1,
            description=f"numbers as sending takes them, up to {MAX_NUMBERS:,}",
            examples=[["+79161234567", "+79161234568"]],
        ),
    ]
    client: Annotated[
        str | None,
        Meta(
            description="whose messages are stopped; everybody's when not given, or your own client's where the key has"
            " neither the scope `ops` nor `plan`",
            examples=["shop"],
        ),
    ] = None
    classes: Annotated[
        Sequence[ClassName],
        Meta(description="what is stopped; every class but `otp` when not given", examples=[["marketing"]]),
    ] = ()
    reason: Reason = ""


class StopsAdded(msgspec.Struct):
    """What came onto the list."""

    added: Annotated[int, Meta(description="numbers that were not on the list", examples=[2])]
    changed: Annotated[int, Meta(description="numbers of which more is stopped now, or for another reason")]
    unchanged: Annotated[int, Meta(description="numbers that were there already")]


class OldStops(msgspec.Struct, forbid_unknown_fields=True):
    """Numbers to take off a list. All of them, or none where one is no number."""

    numbers: Annotated[
        Sequence[Annotated[str, Meta(max_length=60)]],
        Meta(
            min_length=1,
            description=f"numbers as sending takes them, up to {MAX_NUMBERS:,}",
            examples=[["+79161234567", "+79161234568"]],
        ),
    ]
    client: Annotated[
        str | None,
        Meta(
            description="whose list; everybody's when not given, or your own client's where the key has neither of the"
            " scopes `ops` and `plan`",
            examples=["shop"],
        ),
    ] = None
    classes: Annotated[Sequence[ClassName], Meta(description="only these classes; all of them when not given")] = ()


class StopsRemoved(msgspec.Struct):
    """What was taken off the list."""

    removed: Annotated[int, Meta(description="numbers that were there", examples=[1])]
    kept: Annotated[
        int, Meta(description="entries of the list that are still there: an operator's, which only he removes")
    ] = 0


class StopView(msgspec.Struct, kw_only=True):
    """An entry of a stop list."""

    number: Number
    client: Client | None
    classes: Annotated[Sequence[ClassName], Meta(description="what is stopped")]
    source: Annotated[
        Literal["operator", "client", "import", "inbound"],
        Meta(description="who put it there; `inbound`: the subscriber, by a message such as STOP"),
    ]
    reason: Annotated[str | None, Meta(description="a note, or the word that the subscriber wrote; null: not yours")]
    who: Annotated[str | None, Meta(description="who put it there; null: not yours to see", examples=["ops/key_0a1b"])]
    at: Annotated[datetime, Meta(description="when it was put there, or changed")]


class StopPage(msgspec.Struct):
    """A page of a stop list."""

    entries: Annotated[Sequence[StopView], Meta(description="newest first")]
    next: Annotated[str | None, Meta(description="the path of the next page; null: this is the last one")] = None


class StopCheck(msgspec.Struct):
    """What is stopped for one number."""

    number: Number
    stopped: Annotated[
        Sequence[ClassName], Meta(description="classes that this client cannot send to it; empty: it gets everything")
    ]
    entries: Annotated[Sequence[StopView], Meta(description="why: everybody's lists, and the client's own")]
