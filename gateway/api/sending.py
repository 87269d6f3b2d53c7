"""`POST /v1/messages` and `/v1/messages/preview`: one message comes in.

In: a JSON document. Out: 202 when Redis has it durably. Never: a message half checked, an answer before it is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

import msgspec

from gateway import metrics
from gateway.api import call, diagnosis, idempotency, previewing
from gateway.api.call import Answer, Call
from gateway.api.checks import Rules, Sender, canonical
from gateway.api.documents import Accepted, NewMessage
from gateway.api.intake import FAILURES, Wish, why
from gateway.api.problems import Code, Fault, Problem, from_faults, problem
from gateway.instruments import Count
from gateway.message import Message, id_text, id_time_ms
from gateway.streams.accept import Verdict

_decode = msgspec.json.Decoder(NewMessage).decode
_encode = msgspec.json.Encoder().encode


async def send_one(c: Call) -> Answer:
    """Accept one message."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    if refused := not_for_tests(c):
        return refused
    key = c.request.headers.get(idempotency.HEADER)
    if key is None:
        return await _accept(c, body, c.gate.redis.clock_ms(), b"")

    async def run(first_ms: int, seed: bytes) -> Answer:
        return await _accept(c, body, first_ms, seed)

    return await idempotency.once(c, key, body, run)


async def preview(c: Call) -> Answer:
    """Say what a message would be."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    wish = _wish(c, body, c.gate.redis.clock_ms())
    if isinstance(wish, Problem):
        return wish
    now_ms, recipients = c.gate.redis.clock_ms(), c.gate.rules.recipients
    waits_ms = recipients.waits_ms(wish.message, now_ms) if recipients is not None else 0
    return call.answer(previewing.preview(wish.message, c.gate.plan(), now_ms, waits_ms))


def not_for_tests(c: Call) -> Problem | None:
    """What a test key is told where the plan has no sandbox: its messages never go to a real carrier."""
    if not c.rights.key.test:
        return None
    plan = c.gate.plan()
    if plan is not None and any(carrier.sandbox for carrier in plan.plan.carriers):
        return None
    return problem(Code.TEST_KEY, "This is a test key, and the plan has no sandbox carrier: use another key.")


def result_of(message: Message, verdict: Verdict) -> Accepted | None:
    """What the client hears about a message; None: its ref is in conflict."""
    kind = verdict.kind
    if kind == "conflict":
        return None
    scheduled = message.send_at_ms and message.send_at_ms > id_time_ms(verdict.id)
    state: Literal["scheduled", "accepted"] = "scheduled" if scheduled else "accepted"
    return Accepted(id_text(verdict.id), state, message.parts, message.encoding, kind == "duplicate")


def conflict(verdict: Verdict, pointer: str = "", line: int | None = None) -> Problem:
    """What the client hears when the ref belongs to another message."""
    return problem(
        Code.REF_CONFLICT,
        "This ref was used for another message to this recipient: take a new ref, or send the same message.",
        pointer=pointer + "/ref",
        line=line,
        id=id_text(verdict.id),
    )


def count(client: str, classes: Mapping[str, int], duplicates: int) -> None:
    """Count what was accepted, by class."""
    for klass, number in classes.items():
        _accepted(client, klass).inc(number)
    if duplicates:
        metrics.duplicates.labels(client).inc(duplicates)


@cache
def _accepted(client: str, klass: str) -> Count:
    return metrics.accepted.labels(client, klass)


class Said(msgspec.Struct, gc=False):
    """The answer to a message that was taken: 202, or 200 for one that we had."""

    status: int
    body: bytes


def said(client: str, message: Message, verdict: Verdict) -> Said | Problem:
    """What the client hears about a message that was tried; counts it."""
    result = result_of(message, verdict)
    if result is None:
        return conflict(verdict)
    if result.duplicate:
        count(client, {}, 1)
        return Said(200, _encode(result))
    _accepted(client, message.klass).inc()
    return Said(202, _encode(result))


NOT_NOW: Final = frozenset({Code.RECIPIENT_STOPPED, Code.WINDOW_CLOSED})
"""What is said of a recipient, not of the message: it may be one that was accepted before."""


def read(body: bytes, rules: Rules, sender: Sender, now_ms: int, *, asks: bool = True) -> Wish | list[Fault]:
    """The message of a body, or what is wrong with its fields. Raises one of diagnosis.UNREADABLE."""
    fields = _decode(body)
    checked = rules.check(fields, sender, now_ms, nul=b"\\u0000" in body, asks=asks)
    if isinstance(checked, list):
        return checked
    return Wish(checked, canonical(fields, checked) if checked.ref else ())


async def _accept(c: Call, body: bytes, now_ms: int, seed: bytes) -> Answer:
    if refused := c.rights.quota.take(1):
        return refused
    wish = _wish(c, body, now_ms)
    if isinstance(wish, Problem):
        return await _repeated(c, body, now_ms) or wish if wish.code in NOT_NOW else wish
    if c.gate.budgets is not None and (spent := await c.gate.budgets.refuse(wish.message)) is not None:
        return spent
    try:
        verdict = await c.gate.intake.take(wish, c.request.task, seed)
    except FAILURES as e:
        return why(e)
    answer = said(c.client, wish.message, verdict)
    return answer if isinstance(answer, Problem) else call.raw(answer.body, answer.status)


async def _repeated(c: Call, body: bytes, now_ms: int) -> Answer | None:
    """The answer to a message that was accepted before its recipient was stopped; None: this is the first of it."""
    wish = read(body, c.gate.rules, c.sender(), now_ms, asks=False)
    if isinstance(wish, list):
        return None
    try:
        (verdict,) = await c.gate.intake.known((wish,))
    except FAILURES as e:
        return why(e)
    if verdict is None:
        return None
    answer = said(c.client, wish.message, verdict)
    return answer if isinstance(answer, Problem) else call.raw(answer.body, answer.status)


def _wish(c: Call, body: bytes, now_ms: int) -> Wish | Problem:
    sender, rules = c.sender(), c.gate.rules
    try:
        wish = read(body, rules, sender, now_ms)
    except diagnosis.UNREADABLE:
        return diagnosis.of_message(body, rules, sender, now_ms)
    return from_faults(wish) if isinstance(wish, list) else wish
