"""The JSON documents of the stop lists, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import ClassName
from gateway.api.problems import RowFault

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


Version = Annotated[int, Meta(ge=1, description="its number, one row of numbers for all lists", examples=[3])]
How = Literal["import", "replace", "rollback"]


class StopsImported(msgspec.Struct):
    """What a file of numbers came to."""

    version: Annotated[int | None, Meta(description="the version that was made; null: nothing changed")]
    numbers: Annotated[int, Meta(description="numbers that were read", examples=[1000])]
    added: Annotated[int, Meta(description="numbers that no import had put on the list")]
    changed: Annotated[int, Meta(description="numbers of which something else is stopped now, or for another reason")]
    removed: Annotated[int, Meta(description="with `whole`: imported numbers that the file has not, and are off now")]
    unchanged: Annotated[int, Meta(description="numbers that were there already, or came twice")]
    refused: Annotated[int, Meta(description="lines without a number, which were left out")]
    faults: Annotated[Sequence[RowFault], Meta(description="the first of them")]


class StopVersionView(msgspec.Struct, kw_only=True):
    """What was imported into a list, as of one import or return."""

    version: Version
    client: Client | None
    how: Annotated[How, Meta(description="replace: a file that was the whole list; rollback: a return to `back_to`")]
    back_to: Annotated[int | None, Meta(description="the version it returned to; 0: before the first; null: none")]
    classes: Annotated[Sequence[ClassName], Meta(description="what the import stops; none for a rollback")]
    note: Annotated[str, Meta(description="the reason that was given")]
    source: Annotated[str, Meta(description="name of the file", examples=["regulator.csv"])]
    numbers: Annotated[int, Meta(description="imported numbers on the list when it was made")]
    added: Annotated[int, Meta(description="numbers that came onto it")]
    changed: Annotated[int, Meta(description="numbers of which something else is stopped since")]
    removed: Annotated[int, Meta(description="numbers that came off it")]
    created_at: Annotated[datetime, Meta(description="when it was made")]
    created_by: Annotated[
        str, Meta(description="client and key, or the login on the server", examples=["ops/key_0a1b"])
    ]
    current: Annotated[bool, Meta(description="true: the newest of its list, which is in use")]
    kept: Annotated[bool, Meta(description="true: one can return to it; to the newest 30 of a list one can")]


class StopVersions(msgspec.Struct):
    """Versions of what was imported."""

    versions: Annotated[Sequence[StopVersionView], Meta(description="newest first")]


class StopReturn(msgspec.Struct, forbid_unknown_fields=True):
    """Which version to return to."""

    version: Annotated[
        int | None,
        Meta(description="the version; 0: before the first import; null: the one before the newest"),
    ] = None
    client: Annotated[
        str | None, Meta(description="whose list; null: that of the version, or everybody's", examples=["shop"])
    ] = None


class StopChange(msgspec.Struct):
    """A number of which two versions do not stop the same."""

    number: Number
    before: Annotated[Sequence[ClassName], Meta(description="what the earlier one stops; empty: nothing")]
    after: Annotated[Sequence[ClassName], Meta(description="what the later one stops; empty: nothing")]


class StopDiff(msgspec.Struct):
    """What differs between two versions of a list."""

    client: Client | None
    before: Annotated[int, Meta(description="the one version; 0: before the first import")]
    after: Annotated[int, Meta(description="the other")]
    added: Annotated[int, Meta(description="numbers that only the other has")]
    changed: Annotated[int, Meta(description="numbers of which it stops something else")]
    removed: Annotated[int, Meta(description="numbers that it has not")]
    numbers: Annotated[Sequence[StopChange], Meta(description="the first of them")]
