"""`sluice send --file --dry-run`: what a run would be, by the gateway's own rules and the prices of its plan.

In: a wish, a sheet, the live plan where the key may read it. Out: sums. Never: anything sent; a file in memory.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.api.checks import Defaults, Rules, Sender
from gateway.api.documents import MessageFields
from gateway.commands.bulk.rows import Row, Sheet
from gateway.commands.bulk.wish import Refusal, Wish, Writer
from gateway.commands.client import Client, Refused
from gateway.commands.numbering.tables import fetch as fetch_tables
from gateway.message import CLASSES, Message
from gateway.numbering.directory import Directory
from gateway.plan.choice import Choice, Compiled
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.text.treatment import treat

SAMPLES: Final = 3


class Sum(msgspec.Struct):
    """Messages of one operator by one carrier."""

    messages: int = 0
    parts: int = 0
    cost_micro: int = 0


class Rehearsal(msgspec.Struct):
    """What the run would be. `sums` by (operator, carrier, currency); empty without a plan."""

    rows: int = 0
    messages: int = 0
    parts: int = 0
    encodings: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    first_refused: dict[str, str] = msgspec.field(default_factory=dict)
    samples: list[dict[str, Any]] = []
    sums: dict[tuple[str, str, str], Sum] = {}
    no_route: int = 0
    plan_version: int | None = None


def rehearse(wish: Wish, sheet: Sheet, rules: Rules, plan: Compiled | None, moved: Callable[[int], None]) -> Rehearsal:
    """Every row once. `moved` hears how many are done. Raises FileFault, click.UsageError."""
    writer, found = Writer(wish, sheet), Rehearsal(plan_version=plan.version if plan else None)
    defaults = Defaults(msgspec.convert(writer.defaults, MessageFields))
    sender = Sender("", "", frozenset(CLASSES))
    for row in sheet.rows():
        found.rows += 1
        checked = _checked(row, writer, defaults, rules, sender)
        if isinstance(checked, Refusal):
            found.refused[checked.code] += 1
            found.first_refused.setdefault(checked.code, f"line {row.line}: {checked.sentence}")
        else:
            _count(checked, found, plan)
        if not found.rows % 1000:
            moved(found.rows)
    return found


def _checked(row: Row, writer: Writer, defaults: Defaults, rules: Rules, sender: Sender) -> Message | Refusal:
    document = writer.message(row)
    if isinstance(document, Refusal):
        return document
    try:
        fields = msgspec.convert(document, MessageFields)
    except msgspec.ValidationError as e:
        return Refusal("invalid_value", str(e))
    defaults.fill(fields)
    checked = rules.check(fields, sender, int(time.time() * 1000), nul=True)
    return Refusal(checked[0].code, checked[0].detail) if isinstance(checked, list) else checked


def _count(message: Message, found: Rehearsal, plan: Compiled | None) -> None:
    found.messages += 1
    found.parts += message.parts
    found.encodings[message.encoding] += 1
    if len(found.samples) < SAMPLES:
        kept = {"to": message.to, "text": message.text, "parts": message.parts, "encoding": message.encoding}
        found.samples.append(kept)
    if plan is None:
        return
    choice = plan.choose(message)
    if not isinstance(choice, Choice):
        found.no_route += 1
        return
    key = (choice.operator, choice.carrier, choice.currency)
    into = found.sums.setdefault(key, Sum())
    into.messages += 1
    parts = treat(message.text, choice.treatment).parts if choice.treatment else message.parts
    into.parts += parts
    into.cost_micro += choice.price_micro * parts


def live_plan(client: Client) -> Compiled | str:
    """The plan in use, or why it cannot be read."""
    try:
        version = client.get("/v1/plans", {"limit": "1"})["active"]
        if version is None:
            return "no plan is active"
        plan = parse(client.get(f"/v1/plans/{version}")["document"])
        known = fetch_tables(client)
    except Refused as e:
        return "the key may not read the plan (scope plan)" if e.status == 403 else e.message
    if not isinstance(plan, Plan):
        return "this release cannot read the plan"
    return Compiled(plan, version, Directory(plan.operators, known))


def amount(micro: int, currency: str) -> str:
    """Money for people."""
    return f"{micro / 1_000_000:,.2f} {currency}"
