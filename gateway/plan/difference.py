"""What changes from one plan to another, entry by entry, for people to read before they activate it.

In: two plans. Out: changes as values, in the order of the document. Never: what the change will move or cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.plan.document import Budget, Entry, InboundRule, Limit, Lookup, Plan, Rate, Route, Sender


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry added or removed, or one field of an entry changed."""

    kind: str
    """`added`, `removed` or `changed`."""
    table: str
    name: str
    """The entry's name; a rate is named by its carrier, operator and class."""
    field: str = ""
    before: Any = None
    after: Any = None


def difference(before: Plan, after: Plan) -> list[Change]:
    """Everything that differs. Empty: the plans mean the same, whatever their comments say."""
    changes = list(_fields("defaults", "", before.defaults, after.defaults))
    changes += _values_differ("currencies", before.currencies, after.currencies)
    changes += _fields("stop_words", "", before.stop_words, after.stop_words)
    changes += _entries(_lookups(before), _lookups(after))
    for table in ("carriers", "operators", "rates", "routes", "senders", "limits", "budgets", "windows", "inbound"):
        changes += _entries(getattr(before, table), getattr(after, table))
    changes += _order(before.routes, after.routes)
    return changes


def _lookups(plan: Plan) -> tuple[Lookup, ...]:
    return () if plan.lookup is None else (plan.lookup,)


def _entries(before: Sequence[Entry], after: Sequence[Entry]) -> Iterator[Change]:
    old = {_name(entry): entry for entry in before}
    new = {_name(entry): entry for entry in after}
    for name, entry in old.items():
        if name not in new:
            yield Change("removed", _table(entry), name, before=_values(entry))
    for name, entry in new.items():
        if name not in old:
            yield Change("added", _table(entry), name, after=_values(entry))
        else:
            yield from _fields(_table(entry), name, old[name], entry)


def _fields(table: str, name: str, before: Entry, after: Entry) -> Iterator[Change]:
    yield from _values_differ(table, _values(before), _values(after), name)


def _values_differ(table: str, before: dict[str, Any], after: dict[str, Any], name: str = "") -> Iterator[Change]:
    old, new = dict(_flat(before)), dict(_flat(after))
    for field in [*old, *(field for field in new if field not in old)]:
        if old.get(field) != new.get(field):
            yield Change("changed", table, name, field, old.get(field), new.get(field))


def _order(before: Sequence[Route], after: Sequence[Route]) -> Iterator[Change]:
    """Routes are asked from the first to the last, so that their order is a part of what they mean."""
    old, new = [route.name for route in before], [route.name for route in after]
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield Change("changed", "route", "", "order", old, new)


def _name(entry: Entry) -> str:
    """What makes it the same entry in both plans: its name, or what it is for."""
    match entry:
        case Rate():
            where = entry.operator or (f"+{entry.prefix.removeprefix('+')}" if entry.prefix else "*")
            since = f" from {entry.valid_from}" if entry.valid_from else ""
            return f"{entry.carrier} {where} {entry.klass or '*'}{since}"
        case Limit():
            return _spelt(entry, ("carrier", "operator", "sender", "client", "tag", "klass", "per")) or "in flight"
        case Budget():
            return _spelt(entry, ("client", "tag", "per"))
        case InboundRule():
            return _spelt(entry, ("number", "keyword")) or "*"
        case Sender():
            return " ".join((entry.name, *entry.carriers, *entry.operators, *entry.classes, *entry.clients))
        case _:
            return str(getattr(entry, "name", ""))


def _spelt(entry: Entry, fields: Sequence[str]) -> str:
    return " ".join(
        f"{'class' if field == 'klass' else field} {value}"
        for field in fields
        if (value := getattr(entry, field)) is not None
    )


def _table(entry: Entry) -> str:
    return "inbound" if isinstance(entry, InboundRule) else type(entry).__name__.lower()


def _values(entry: Entry) -> dict[str, Any]:
    """The entry as the document has it, without what it leaves out."""
    values: dict[str, Any] = msgspec.to_builtins(entry)
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(entry)}
    return {name: v for name, v in values.items() if v not in (None, (), {}, []) and v != defaults[name]}


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Fields with dotted names, so that one changed setting is one change."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
