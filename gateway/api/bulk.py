"""`POST /v1/messages/batch`: up to 10,000 messages come in, as one JSON document or as NDJSON.

In: messages, checked one by one. Out: 202 with one result for each, in order. Never: one bad message that stops the
others, a loop held while a whole batch is checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway import logs, metrics
from gateway.api import call, diagnosis, idempotency
from gateway.api.call import Answer, Call
from gateway.api.checks import Defaults, Sender, canonical
from gateway.api.documents import MAX_BATCH, Accepted, BatchAnswer, MessageFields, NewBatch
from gateway.api.faults import forbidden
from gateway.api.intake import DEADLINE_S, FAILURES, Many, Wish, is_settled, why
from gateway.api.problems import Code, Problem, from_faults, problem
from gateway.api.sending import NOT_NOW, conflict, count, not_for_tests, result_of
from gateway.events import Batched, pack_facts
from gateway.message import Message, id_tail, id_text, make_id
from gateway.streams import facts, lookup
from gateway.streams.link import Redis, RedisAwayError, ScriptError

log = logs.stage("api")

NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_TURN_S: Final = 0.002  # others have a turn after this much checking

_item = msgspec.json.Decoder(MessageFields).decode
_batch = msgspec.json.Decoder(NewBatch).decode
_encode = msgspec.json.Encoder().encode


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    """A batch whose messages are decoded one by one, because some do not decode."""

    messages: list[msgspec.Raw]
    defaults: msgspec.Raw = msgspec.Raw(b"null")


_raw = msgspec.json.Decoder(_Raw).decode


class Bulk(msgspec.Struct):
    """A batch as it came. `lines`: where the items stood in NDJSON; `nul`: U+0000 may be somewhere."""

    items: Sequence[MessageFields | bytes]
    defaults: Defaults
    nul: bool
    lines: Sequence[int] = ()

    def pointer(self, index: int) -> str:
        """Where an item is in the document."""
        return "" if self.lines else f"/messages/{index}"

    def line(self, index: int) -> int | None:
        """The item's line in NDJSON."""
        return self.lines[index] if self.lines else None


async def send_batch(c: Call) -> Answer:
    """Accept many messages."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    if refused := not_for_tests(c):
        return refused
    if c.gate.intake.crowded:
        return problem(Code.INTAKE_FULL, "Too many batches are being taken in at once: repeat this later.")
    key = c.request.headers.get(idempotency.HEADER)
    if key is None:
        return await _accept(c, body, c.gate.redis.clock_ms(), b"")

    async def run(first_ms: int, seed: bytes) -> Answer:
        return await _accept(c, body, first_ms, seed)

    return await idempotency.once(c, key, body, run)


async def _accept(c: Call, body: bytes, now_ms: int, seed: bytes) -> Answer:
    sender = c.sender()
    bulk = _read_lines(body) if c.request.content_type in NDJSON else _read_document(body)
    if isinstance(bulk, Problem):
        return bulk
    if refused := c.rights.quota.take(len(bulk.items)):
        return refused
    if bulk.defaults and (faults := c.gate.rules.check_defaults(bulk.defaults.fields, sender, now_ms)):
        return from_faults(faults, pointer="/defaults")
    batch_id = make_id(now_ms, id_tail(0, hashlib.blake2b(seed, digest_size=9).digest() if seed else None))
    many = c.gate.intake.many(seed)
    wanted, stopped = await _put_all(c, bulk, sender, now_ms, batch_id, many)
    await many.finish()
    if stopped:
        await _find_repeated(c, stopped, wanted, many)
    if many.failures and (seed or not many.verdicts):
        # With an Idempotency-Key what is not certain makes the whole request uncertain: a repeat settles it.
        uncertain = [e for e in many.failures.values() if not is_settled(e)]
        if uncertain or not many.verdicts:
            return why((uncertain or list(many.failures.values()))[0])
    answer = _answer(c, bulk, wanted, many, batch_id)
    await _record(c.gate.redis, Batched(batch_id, c.client, answer.accepted, answer.duplicates, answer.rejected))
    return call.raw(_encode(answer), 202)


def _read_document(body: bytes) -> Bulk | Problem:
    nul = b"\\u0000" in body
    try:
        batch = _batch(body)
    except diagnosis.UNREADABLE:
        return _read_one_by_one(body, nul)
    return _sized(Bulk(batch.messages, Defaults(batch.defaults) if batch.defaults else Defaults(), nul))


def _read_one_by_one(body: bytes, nul: bool) -> Bulk | Problem:
    try:
        raw = _raw(body)
    except diagnosis.UNREADABLE as e:
        apart = _apart(body)
        if apart is None:
            return diagnosis.of_document(body, e)
        raw = apart
    defaults = Defaults()
    if (given := bytes(raw.defaults)) != b"null":
        try:
            defaults = Defaults(_item(given))
        except diagnosis.UNREADABLE as e:
            return diagnosis.of_document(given, e, "/defaults")
    return _sized(Bulk([bytes(m) for m in raw.messages], defaults, nul))


def _apart(body: bytes) -> _Raw | None:
    """The messages where some of them have half a surrogate pair, which makes a document unreadable as a whole."""
    value = diagnosis.parse(body)
    if not isinstance(value, dict) or value.keys() - {"messages", "defaults"}:
        return None
    messages, defaults = value.get("messages"), value.get("defaults")
    if not isinstance(messages, list) or forbidden(defaults):
        return None
    return _Raw([msgspec.Raw(json.dumps(m).encode()) for m in messages], msgspec.Raw(json.dumps(defaults).encode()))


def _read_lines(body: bytes) -> Bulk | Problem:
    found = [(n, line) for n, line in enumerate(body.split(b"\n"), 1) if line and not line.isspace()]
    nul = b"\\u0000" in body
    return _sized(Bulk([line for _, line in found], Defaults(), nul, [n for n, _ in found]), "")


def _sized(bulk: Bulk, pointer: str = "/messages") -> Bulk | Problem:
    if not bulk.items:
        return problem(Code.NO_MESSAGES, f"Give 1 to {MAX_BATCH} messages.", pointer=pointer)
    if len(bulk.items) > MAX_BATCH:
        return problem(
            Code.TOO_MANY_MESSAGES, f"A batch has at most {MAX_BATCH} messages: send several batches.", pointer=pointer
        )
    return bulk


async def _put_all(
    c: Call, bulk: Bulk, sender: Sender, now_ms: int, batch_id: bytes, many: Many
) -> tuple[list[Message | Problem], dict[int, Wish]]:
    """Check each item and send it on its way. Beside them those whose recipient is stopped and which may be repeats."""
    wanted: list[Message | Problem] = []
    stopped: dict[int, Wish] = {}
    turn = time.perf_counter()
    budgets = c.gate.budgets if c.gate.budgets is not None and c.gate.budgets.is_open else None
    check, defaults, nul, asks = c.gate.rules.check, bulk.defaults, bulk.nul, c.gate.rules.asks
    for index, item in enumerate(bulk.items):
        if not index & 15 and time.perf_counter() - turn > _TURN_S:
            await asyncio.sleep(0)
            turn, asks = time.perf_counter(), c.gate.rules.asks
        fields = item if isinstance(item, MessageFields) else _decoded(c, bulk, index, item, sender, now_ms)
        if isinstance(fields, Problem):
            wanted.append(fields)
            continue
        if defaults:
            defaults.fill(fields)
        message = check(fields, sender, now_ms, batch_id, nul=nul, asks=asks)
        if isinstance(message, list):
            wanted.append(from_faults(message, bulk.line(index), bulk.pointer(index)))
            if fields.ref and message[0].code in NOT_NOW:
                whole = check(fields, sender, now_ms, batch_id, nul=nul, asks=False)
                if isinstance(whole, Message):
                    stopped[index] = Wish(whole, canonical(fields, whole))
        elif budgets is not None and (spent := await budgets.refuse(message, bulk.pointer(index), bulk.line(index))):
            wanted.append(spent)
        else:
            many.put(index, message, canonical(fields, message) if message.ref else ())
            wanted.append(message)
    return wanted, stopped


async def _find_repeated(c: Call, stopped: Mapping[int, Wish], wanted: list[Message | Problem], many: Many) -> None:
    """Of those whose recipient is stopped, what was accepted before that."""
    try:
        verdicts = await c.gate.intake.known(list(stopped.values()))
    except FAILURES as e:
        for index, wish in stopped.items():
            wanted[index], many.failures[index] = wish.message, e
        return
    for (index, wish), verdict in zip(stopped.items(), verdicts, strict=True):
        if verdict is not None:
            wanted[index], many.verdicts[index] = wish.message, verdict


def _decoded(c: Call, bulk: Bulk, index: int, item: bytes, sender: Sender, now_ms: int) -> MessageFields | Problem:
    try:
        return _item(item)
    except diagnosis.UNREADABLE:
        at, line, whole = bulk.pointer(index), bulk.line(index), not bulk.defaults
        return diagnosis.of_message(item, c.gate.rules, sender, now_ms, whole=whole, pointer=at, line=line)


def _answer(c: Call, bulk: Bulk, wanted: Sequence[Message | Problem], many: Many, batch_id: bytes) -> BatchAnswer:
    results: list[Accepted | Problem] = []
    classes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for index, message in enumerate(wanted):
        if isinstance(message, Problem):
            refused = message
        elif (verdict := many.verdicts.get(index)) is None:
            refused = why(many.failures[index])
        elif (settled := result_of(message, verdict)) is not None:
            classes["" if settled.duplicate else message.klass] += 1
            results.append(settled)
            continue
        else:
            refused = conflict(verdict, bulk.pointer(index), bulk.line(index))
        codes[refused.code] += 1
        results.append(refused)
    duplicates = classes.pop("", 0)
    count(c.client, classes, duplicates)
    for code, number in codes.items():
        metrics.refused.labels(code).inc(number)
    return BatchAnswer(id_text(batch_id), classes.total(), duplicates, codes.total(), results)


async def _record(redis: Redis, fact: Batched) -> None:
    """Write the batch down. Its messages are accepted already, so a failure here is not the client's."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(lookup.record_batch(redis, fact), facts.append(redis.link(0), 0, pack_facts([fact])))
    except (RedisAwayError, ScriptError, TimeoutError) as e:
        log.warning("batch not recorded", reason=e, batch=id_text(fact.id))
