"""A registry of senders as CSV: which names are registered at which carriers and operators, for which classes.

In: the bytes of a registry as people have it. Out: the rows as the plan's own `Sender`, and every fault with its line;
`write` gives the one spelling in which registries are kept and exported.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.plan.document import Sender
from gateway.sheets import cells, table
from gateway.sheets.cells import CellError
from gateway.sheets.table import Fault, Line

COLUMNS: Final = ("sender", "carriers", "operators", "classes", "clients", "state")
"""As they are written."""

NAMES: Final = {
    "sender": (
        *("name", "sender id", "senderid", "sender name", "alpha name", "originator", "source", "from", "title"),
        *("имя", "имя отправителя", "отправитель", "подпись", "альфа имя", "альфаимя", "буквенное имя"),
    ),
    "carriers": ("carrier", "provider", "supplier", "перевозчик", "поставщик", "провайдер", "канал", "агрегатор"),
    "operators": ("operator", "network", "networks", "оператор", "операторы", "оператор связи", "сеть", "сети"),
    "classes": (
        *("class", "type", "traffic", "traffic type", "класс", "классы", "тип", "тип трафика", "вид трафика"),
        *("категория",),
    ),
    "clients": ("client", "customer", "application", "клиент", "клиенты", "заказчик"),
    "state": ("status", "registration", "статус", "состояние"),
}
_STATES: Final = {
    "registered": ("active", "approved", "ok", "yes", "зарегистрирован", "зарегистрировано", "активен", "активно"),
    "pending": ("in progress", "waiting", "requested", "на регистрации", "ожидает", "в работе", "на согласовании"),
    "blocked": ("rejected", "refused", "no", "заблокирован", "заблокировано", "отклонен", "отклонено", "отказ"),
}
_STATE_OF: Final = {s: state for state, others in _STATES.items() for s in (state, *others)} | {"": "registered"}
_NAME_CHARACTERS: Final = 15


class Registry(NamedTuple):
    """A registry, read."""

    senders: tuple[Sender, ...]
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...] = ()


def read(data: bytes) -> Registry:
    """Every row that can be understood, and what is wrong with the others."""
    found = table.read(data, NAMES, ("sender",))
    faults, senders = list(found.faults), []
    seen: dict[tuple[object, ...], int] = {}
    for line in found.lines:
        try:
            sender = _sender(line)
        except CellError as e:
            faults.append(Fault(line.number, str(e)))
            continue
        places = (frozenset(x) for x in (sender.carriers, sender.operators, sender.classes, sender.clients))
        first = seen.setdefault((sender.name, *places), line.number)
        if first == line.number:
            senders.append(sender)
        else:
            faults.append(Fault(line.number, f"Line {first} is for the same sender and places: leave one of them out."))
    return Registry(tuple(senders), tuple(sorted(faults)), tuple(found.remarks))


def _sender(line: Line) -> Sender:
    get = line.cells.get
    name = get("sender", "")
    if not 1 <= len(name) <= _NAME_CHARACTERS:
        right = f"write one of 1 to {_NAME_CHARACTERS} characters."
        raise CellError(f"`{name[:40]}` is no sender: {right}" if name else f"This row names no sender: {right}")
    state = _STATE_OF.get(" ".join(get("state", "").casefold().replace("ё", "е").split()))
    if state is None:
        raise CellError(f"`{get('state', '')[:40]}` is no state: write registered, pending or blocked.")
    classes = tuple(klass for klass in cells.klasses(get("classes", "")) if klass is not None)
    lists = {name: cells.listed(get(name, "")) for name in ("carriers", "operators", "clients")}
    return Sender(name=name, classes=classes, state=state, **lists)


def write(senders: Iterable[Sender]) -> bytes:
    """The registry in the one spelling."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for s in senders:
        lists = ("|".join(some) for some in (s.carriers, s.operators, s.classes, s.clients))
        rows.writerow((s.name, *lists, s.state))
    return text.getvalue().encode()
