"""Examples for the OpenAPI document and the pages: of each document, and of the problem of each code.

In: a type or a code. Out: JSON values that are right by the type, because they are made from it. A type without an
example of its own gets one from its fields' examples.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.api.admin_documents import KeyView, NewKey, NewPlan, PlanVersionView
from gateway.api.checks import Rules, Sender
from gateway.api.diagnosis import UNREADABLE, of_message
from gateway.api.documents import (
    Accepted,
    BatchAnswer,
    BatchView,
    MessageFields,
    MessageView,
    Moment,
    NewBatch,
    NewMessage,
    Price,
)
from gateway.api.explanations import EXPLANATIONS
from gateway.api.problems import Code, PlanFault, Problem, from_faults, problem
from gateway.api.sending import read
from gateway.config import Settings
from gateway.message import CLASSES

_AT: Final = "2030-01-31T06:00:00Z"
_GOOD: Final[Mapping[str, Any]] = {"to": "+79161234567", "text": "Your code is 4711"}
_ID: Final = "0199c1a2-7a3e-7c11-8f00-5a1d2e3f4a5b"

REQUESTS: Final[Mapping[Any, Mapping[str, tuple[str, Any]]]] = {
    NewMessage: {
        "code": (
            "A code, safe to repeat",
            NewMessage(to="+79161234567", text="Your code is 4711", klass="otp", ref="login-4711", validity_s=300),
        ),
        "least": ("As little as possible", NewMessage(to="+79161234567", text="Hello")),
        "later": (
            "Tomorrow morning, with a campaign's tag",
            NewMessage(
                to="+79161234567",
                text="Spring is here: everything is 20 % off.",
                sender="MyShop",
                klass="marketing",
                send_at=datetime(2030, 1, 31, 9, tzinfo=UTC),
                tag="spring",
                meta={"customer": 1042},
            ),
        ),
    },
    NewBatch: {
        "two": (
            "Two messages of one campaign",
            NewBatch(
                messages=[
                    MessageFields(to="+79161234567", text="Dear Anna, spring is here.", ref="spring-1"),
                    MessageFields(to="+79161234568", text="Dear Boris, spring is here.", ref="spring-2"),
                ],
                defaults=MessageFields(sender="MyShop", klass="marketing", tag="spring"),
            ),
        )
    },
}
_T: Final = datetime(2030, 1, 31, 6, tzinfo=UTC)
_BATCH: Final = "0199c1a2-7a3e-7c11-8f00-9b8c7d6e5f40"
_SENT: Final = Moment(
    at=_T,
    event="submitted",
    attempt=1,
    parts=1,
    carrier="north",
    operator="mts",
    route="otp",
    plan_version=7,
    outcome="accepted",
    carrier_message_id="7a1b2c",
    price=Price("0.35", "RUB"),
)
_ANSWERS: Final[Mapping[Any, Any]] = {
    Moment: _SENT,
    MessageView: MessageView(
        id=_ID,
        state="delivered",
        reason=None,
        to="+79161234567",
        sender="MyShop",
        klass="otp",
        text="Your code is 4711",
        parts=1,
        encoding="gsm7",
        ref="login-4711",
        tag=None,
        carrier="north",
        operator="mts",
        price=Price("0.35", "RUB"),
        accepted_at=_T,
        changed_at=_T + timedelta(seconds=3),
        validity_s=300,
        timeline=[
            Moment(_T, "accepted"),
            _SENT,
            Moment(_T + timedelta(seconds=3), "receipt", attempt=1, carrier="north", state="delivered"),
        ],
    ),
    BatchAnswer: BatchAnswer(_BATCH, 2, 0, 0, [Accepted(_ID, "accepted", 1, "gsm7", False)] * 2),
    BatchView: BatchView(_BATCH, _T, 2, 0, 0, 1, {"delivered": 1, "submitted": 1}),
    PlanFault: PlanFault(12, "/route/0/carriers/0", "unknown_carrier", "The plan has no carrier `nort`.", "error"),
    PlanVersionView: PlanVersionView(
        version=7,
        active=True,
        note="north is cheaper now",
        sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        created_at=_T,
        created_by="ops/key_0a1b2c3d4e5f",
        activated_at=_T,
        activated_by="ops/key_0a1b2c3d4e5f",
    ),
    NewPlan: NewPlan('[[carrier]]\nname = "north"\nprovider = "smpp"\n', "north is cheaper now"),
    NewKey: NewKey("shop", "mobile app", ("send", "read")),
    KeyView: KeyView(
        id="key_0a1b2c3d4e5f",
        client="shop",
        name="mobile app",
        scopes=("send", "read"),
        classes=("otp",),
        networks=(),
        test=False,
        created_at=_T,
        expires_at=None,
        revoked_at=None,
    ),
}


def of_request(kind: Any) -> dict[str, Any]:
    """The `examples` of a request body (OpenAPI 3.1, Example Object)."""
    named = REQUESTS.get(kind)
    if named is None:
        return {"example": {"value": of(kind)}}
    return {name: {"summary": says, "value": _given(value)} for name, (says, value) in named.items()}


def lines(kind: Any) -> str:
    """A body of NDJSON."""
    first, second = dict(_GOOD), {**_GOOD, "to": "+79161234568", "ref": "r-2"}
    return "".join(json.dumps(line) + "\n" for line in ((first, second) if kind is MessageFields else (of(kind),)))


@cache
def of(kind: Any) -> Any:
    """An example of a document."""
    if kind in _ANSWERS:
        return _without_defaults(_ANSWERS[kind])
    return _of(inspect.type_info(kind))


@cache
def of_code(code: Code) -> Problem:
    """A problem with this code as the gateway says it, without a request id."""
    e = EXPLANATIONS.get(code)
    if e is None:
        return problem(code, "See this code's page.")
    if e.given is None:
        return problem(code, e.detail, pointer=e.pointer, parameter=e.parameter)
    body, now_ms = json.dumps({**_GOOD, **e.given}).encode(), int(time.time() * 1000)
    rules, sender = Rules(Settings()), Sender("shop", "key_0a1b2c3d4e5f", frozenset(CLASSES))
    try:
        found = read(body, rules, sender, now_ms)
    except UNREADABLE:
        return of_message(body, rules, sender, now_ms)
    assert isinstance(found, list), f"the example of {code} is a good message"
    return from_faults(found)


def _given(value: Any) -> Any:
    """A request as one writes it: without the fields that are not given."""
    return _without_null(msgspec.to_builtins(value))


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(one) for name, one in value.items() if one is not None}
    return [_without_null(one) for one in value] if isinstance(value, list) else value


def _without_defaults(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _of(info: inspect.Type) -> Any:
    if isinstance(info, inspect.Metadata):
        shown = (info.extra_json_schema or {}).get("examples")
        return shown[0] if shown else _of(info.type)
    if isinstance(info, inspect.StructType):
        if info.cls in _ANSWERS:
            return of(info.cls)
        return {
            field.encode_name: _of(field.type)
            for field in info.fields
            if field.required or not isinstance(_plain(field.type), inspect.NoneType)
        }
    if isinstance(info, inspect.UnionType):
        return _of(next((one for one in info.types if not isinstance(one, inspect.NoneType)), info.types[0]))
    if isinstance(info, inspect.LiteralType):
        return info.values[0]
    if isinstance(info, inspect.ListType | inspect.CollectionType | inspect.VarTupleType):
        return [_of(info.item_type)]
    return _SIMPLE.get(type(info))


def _plain(info: inspect.Type) -> inspect.Type:
    return _plain(info.type) if isinstance(info, inspect.Metadata) else info


_SIMPLE: Final[Mapping[type[inspect.Type], Any]] = {
    inspect.StrType: "text",
    inspect.IntType: 1,
    inspect.FloatType: 1.5,
    inspect.BoolType: False,
    inspect.DateTimeType: _AT,
    inspect.DictType: {},
    inspect.RawType: {"order": 1042},
    inspect.AnyType: {},
    inspect.BytesType: "",
}
