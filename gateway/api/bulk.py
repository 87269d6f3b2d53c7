"""`POST /v1/messages/batch`: up to 10,000 messages come in, as one JSON document or as NDJSON.

In: messages, checked one by one. Out: 202 with one result for each, in order. Never: one bad message that stops the
others, a loop held while a whole batch is checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway import logs, metrics
from gateway.api import call, diagnosis, idempotency
from gateway.api.call import Answer, Call
from gateway.api.checks import NOTHING, Sender, canonical
from gateway.api.documents import MAX_BATCH, Accepted, BatchAnswer, MessageFields, NewBatch
from gateway.api.intake import DEADLINE_S, Many, Wish, is_settled, why
from gateway.api.problems import Code, Problem, from_faults, problem
from gateway.api.sending import accepted_by, not_for_tests, result_of
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
    defaults: msgspec.Raw | None = None


_raw = msgspec.json.Decoder(_Raw).decode


class Bulk(msgspec.Struct):
    """A batch as it came. `lines`: where the items stood in NDJSON; `nul`: U+0000 may be somewhere."""

    items: Sequence[MessageFields | bytes]
    defaults: MessageFields
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
    if bulk.defaults is not NOTHING and (faults := c.gate.rules.check_defaults(bulk.defaults, sender, now_ms)):
        return from_faults(faults, pointer="/defaults")
    batch_id = make_id(now_ms, id_tail(0, hashlib.blake2b(seed, digest_size=9).digest() if seed else None))
    many = c.gate.intake.many(seed)
    wanted = await _put_all(c, bulk, sender, now_ms, batch_id, many)
    await many.finish()
    if many.failures and (seed or not many.verdicts):
        # With an Idempotency-Key what is not certain makes the whole request uncertain: a repeat settles it.
        uncertain = [e for e in many.failures.values() if not is_settled(e)]
        if uncertain or not many.verdicts:
            return why((uncertain or list(many.failures.values()))[0])
    answer = _answer(bulk, wanted, many, batch_id)
    await _record(c.gate.redis, Batched(batch_id, c.client, answer.accepted, answer.duplicates, answer.rejected))
    _count(c.client, wanted, answer)
    return call.raw(_encode(answer), 202)


def _read_document(body: bytes) -> Bulk | Problem:
    nul = b"\\u0000" in body
    try:
        batch = _batch(body)
    except diagnosis.UNREADABLE:
        return _read_one_by_one(body, nul)
    return _sized(Bulk(batch.messages, batch.defaults or NOTHING, nul))


def _read_one_by_one(body: bytes, nul: bool) -> Bulk | Problem:
    try:
        raw = _raw(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    defaults = NOTHING
    if raw.defaults is not None:
        try:
            defaults = _item(raw.defaults)
        except diagnosis.UNREADABLE as e:
            return diagnosis.of_document(bytes(raw.defaults), e, "/defaults")
    return _sized(Bulk([bytes(m) for m in raw.messages], defaults, nul))


def _read_lines(body: bytes) -> Bulk | Problem:
    found = [(n, line) for n, line in enumerate(body.split(b"\n"), 1) if line and not line.isspace()]
    nul = b"\\u0000" in body
    return _sized(Bulk([line for _, line in found], NOTHING, nul, [n for n, _ in found]), "")


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
) -> list[Message | Problem]:
    """Check each item and send it on its way."""
    wanted: list[Message | Problem] = []
    turn = time.perf_counter()
    for index, item in enumerate(bulk.items):
        if not index & 15 and time.perf_counter() - turn > _TURN_S:
            await asyncio.sleep(0)
            turn = time.perf_counter()
        checked = _check(c, bulk, index, item, sender, now_ms, batch_id)
        if isinstance(checked, Wish):
            many.put(index, checked)
            wanted.append(checked.message)
        else:
            wanted.append(checked)
    return wanted


def _check(
    c: Call,
    bulk: Bulk,
    index: int,
    item: MessageFields | bytes,
    sender: Sender,
    now_ms: int,
    batch_id: bytes,
) -> Wish | Problem:
    rules, defaults = c.gate.rules, bulk.defaults
    if isinstance(item, MessageFields):
        fields = item
    else:
        try:
            fields = _item(item)
        except diagnosis.UNREADABLE:
            at, whole = bulk.pointer(index), defaults is NOTHING
            return diagnosis.of_message(item, rules, sender, now_ms, whole=whole, pointer=at, line=bulk.line(index))
    checked = rules.check(fields, sender, now_ms, batch_id, defaults, nul=bulk.nul)
    if isinstance(checked, list):
        return from_faults(checked, bulk.line(index), bulk.pointer(index))
    return Wish(checked, canonical(fields, checked, defaults))


def _answer(bulk: Bulk, wanted: Sequence[Message | Problem], many: Many, batch_id: bytes) -> BatchAnswer:
    results: list[Accepted | Problem] = []
    for index, message in enumerate(wanted):
        if isinstance(message, Problem):
            results.append(message)
        elif (verdict := many.verdicts.get(index)) is not None:
            results.append(result_of(message, verdict, bulk.pointer(index), bulk.line(index)))
        else:
            results.append(why(many.failures[index]))
    taken = [r for r in results if isinstance(r, Accepted)]
    duplicates = sum(r.duplicate for r in taken)
    return BatchAnswer(id_text(batch_id), len(taken) - duplicates, duplicates, len(results) - len(taken), results)


async def _record(redis: Redis, fact: Batched) -> None:
    """Write the batch down. Its messages are accepted already, so a failure here is not the client's."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(lookup.record_batch(redis, fact), facts.append(redis.link(0), 0, pack_facts([fact])))
    except (RedisAwayError, ScriptError, TimeoutError) as e:
        log.warning("batch not recorded", reason=e, batch=id_text(fact.id))


def _count(client: str, wanted: Sequence[Message | Problem], answer: BatchAnswer) -> None:
    classes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for message, result in zip(wanted, answer.results, strict=True):
        if isinstance(result, Problem):
            codes[result.code] += 1
        elif not result.duplicate and isinstance(message, Message):
            classes[message.klass] += 1
    for klass, count in classes.items():
        accepted_by(client, klass).inc(count)
    for code, count in codes.items():
        metrics.refused.labels(code).inc(count)
    if answer.duplicates:
        metrics.duplicates.labels(client).inc(answer.duplicates)
