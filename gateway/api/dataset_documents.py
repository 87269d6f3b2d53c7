"""The documents of `/v1/datasets` and `/v1/numbers`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.problems import RowFault

Version = Annotated[int, Meta(ge=1, description="its number, one row of numbers for all kinds", examples=[12])]
Kind = Annotated[str, Meta(description="numbers, ported, rates or senders", examples=["numbers"])]


class DatasetView(msgspec.Struct):
    """One version of a dataset."""

    version: Version
    kind: Kind
    active: Annotated[bool, Meta(description="true: it is the one of its kind that is in use")]
    kept: Annotated[bool, Meta(description="true: its content is still there; of the newest 30 of a kind it is")]
    rows: Annotated[int, Meta(description="how many rows")]
    size_bytes: Annotated[int, Meta(description="size of the CSV")]
    sha256: Annotated[str, Meta(description="of the CSV")]
    note: Annotated[str, Meta(description="what changed, for people")]
    source: Annotated[str, Meta(description="names of the files that it was made of")]
    created_at: Annotated[datetime, Meta(description="when it was kept")]
    created_by: Annotated[
        str, Meta(description="client and key, or the login on the server", examples=["ops/key_0a1b"])
    ]
    activated_at: Annotated[datetime | None, Meta(description="when it was made active last; null: never")]
    activated_by: Annotated[str | None, Meta(description="by whom; null: by nobody")]


class Datasets(msgspec.Struct):
    """Versions of datasets, newest first."""

    datasets: Annotated[Sequence[DatasetView], Meta(description="the versions")]


class DatasetKept(msgspec.Struct):
    """The version that was made, and what was found in the file."""

    dataset: Annotated[DatasetView, Meta(description="the version")]
    errors: Annotated[int, Meta(description="rows that were left out because they are wrong")]
    faults: Annotated[Sequence[RowFault], Meta(description="the first of them")]
    remarks: Annotated[Sequence[str], Meta(description="what else to know, in sentences")]


class DatasetUse(msgspec.Struct):
    """How far processes are with the version in use: they fetch and compile it first."""

    version: Annotated[int | None, Meta(description="the version in use; null: none")]
    processes: Annotated[int, Meta(description="processes that run and use this kind")]
    ready: Annotated[int, Meta(description="those of them that use this version already")]


class DatasetReturn(msgspec.Struct, forbid_unknown_fields=True):
    """Which version to return to."""

    version: Annotated[int | None, Meta(description="the version; null: the one that was in use before")] = None


class DatasetEnded(msgspec.Struct):
    """What became of the version in use."""

    ended: Annotated[bool, Meta(description="false: there was none")]


class RangeView(msgspec.Struct):
    """What a source says of the range that a number is in. Empty: it does not say."""

    operator: Annotated[str, Meta(description="as the source spells it", examples=['ПАО "МТС"'])]
    country: Annotated[str, Meta(description="ISO 3166 alpha-2", examples=["RU"])]
    region: Annotated[str, Meta(description="as the source spells it", examples=["Омская обл."])]
    zones: Annotated[Sequence[str], Meta(description="time zones it may be in", examples=[["Asia/Omsk"]])]
    mcc_mnc: Annotated[str, Meta(description="MCC and MNC", examples=["25001"])]


class NumberView(msgspec.Struct):
    """All that is known of a number. The first of `ported`, `plan`, `numbers`, `phonenumbers` that knows decides."""

    number: Annotated[str, Meta(description="in E.164", examples=["+79161234567"])]
    operator: Annotated[str, Meta(description="the plan's name; empty: no operator of the plan", examples=["mts"])]
    country: Annotated[str, Meta(description="ISO 3166 alpha-2", examples=["RU"])]
    region: Annotated[str, Meta(description="as the source spells it", examples=["Омская обл."])]
    zones: Annotated[Sequence[str], Meta(description="time zones it may be in", examples=[["Asia/Omsk"]])]
    source: Annotated[
        str,
        Meta(description="who knew: ported, plan, numbers, phonenumbers; rest: the plan's rest; empty: nobody"),
    ]
    ported: Annotated[str, Meta(description="its operator among the ported numbers; empty: not ported")]
    plan: Annotated[str, Meta(description="the plan's operator with the longest prefix, the rest included")]
    numbers: Annotated[RangeView | None, Meta(description="its range in the numbering plan; null: none")]
    phonenumbers: Annotated[RangeView | None, Meta(description="what is known of its prefix elsewhere; null: nothing")]


class UnmappedView(msgspec.Struct):
    """An operator of a dataset that the plan has no name for. Its numbers belong to the plan's rest."""

    kind: Kind
    name: Annotated[str, Meta(description="as the source spells it: what an alias in the plan may be")]
    country: Annotated[str, Meta(description="ISO 3166 alpha-2; empty: the source does not say")]
    count: Annotated[int, Meta(description="how many ranges, or ported numbers, it has")]


class Unmapped(msgspec.Struct):
    """Operators that the plan has no name for, the most frequent first."""

    operators: Annotated[Sequence[UnmappedView], Meta(description="the operators")]
