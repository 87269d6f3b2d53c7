"""Ends messages whose receipt never came: `expired` with reason `no_receipt` after their deadline and a grace.

Only what is with a carrier is ended here, and not before a carrier that can be asked was asked about it; what waits in
our own queues ends there.
"""

from __future__ import annotations

from gateway import logs, metrics
from gateway.callbacks.audience import NOBODY, Audience
from gateway.events import Ended
from gateway.ledger.fold import Fold
from gateway.message import State
from gateway.provider import Reason
from gateway.receipts.last_questions import ANSWER_MS, LastQuestions
from gateway.store import deadlines, ledger, lookups, notes
from gateway.store.days import Days, day_of
from gateway.store.ledger import DUE_MS
from gateway.store.pool import Pool

log = logs.stage("receipts")

TURN = 2_000
SPANS = 20


def exactness_ms(grace_s: int) -> int:
    """How long after its time a message may end at the latest: whoever waits an hour for a receipt does not mind ten
    minutes, whoever waits a minute does."""
    return min(DUE_MS, max(1_000, grace_s * 1_000 // 6))


async def expire(
    pool: Pool,
    days: Days,
    now_ms: int,
    grace_s: int,
    audience: Audience = NOBODY,
    questions: LastQuestions | None = None,
) -> int:
    """One turn; how many messages were ended or spans looked at. Without `questions` nobody is asked before.

    Raises StoreAwayError, RedisAwayError, ledger.ConflictError.
    """
    key = await pool.recipient_key()
    async with pool.transaction() as connection:
        await lookups.use_indexes(connection)
        await ledger.prepare(connection)
        before_ms, exactness = now_ms - grace_s * 1000, exactness_ms(grace_s)
        spans = await deadlines.due(connection, before_ms, SPANS, begun=exactness < DUE_MS)
        ended = 0
        for span in spans:
            ids = await deadlines.overdue(connection, span, TURN, before_ms)
            if questions is not None and ids:
                waiting, asked = await questions.keep_open(connection, ids, span.due_ms, grace_s, now_ms)
                await days.ensure({day_of(now_ms)})
                await notes.add(connection, asked)
                ids = [message_id for message_id in ids if message_id not in waiting]
                if waiting and not ids:
                    await deadlines.look_again(connection, span, before_ms + ANSWER_MS)
                    continue
            fold = Fold(await lookups.rows(connection, ids, lock=True), {}, audience)
            for message_id in ids:
                fold.apply([Ended(message_id, State.EXPIRED, Reason.NO_RECEIPT)], now_ms)
            changes = fold.finish()
            encoded = await ledger.encode(changes, key, now_ms)
            await days.ensure(encoded.days)
            await ledger.write(connection, encoded)
            ended += len(changes.changed)
            if ids:
                break  # one transaction stays small; the span is looked at again
            if span.due_ms > before_ms:
                await deadlines.look_again(connection, span, min(before_ms + exactness, span.due_ms - 1))
            elif await deadlines.queued(connection, span):
                await deadlines.look_again(connection, span, now_ms + exactness)
            else:
                await deadlines.done(connection, span)
    if ended:
        metrics.ended.labels(State.EXPIRED, Reason.NO_RECEIPT).inc(ended)
        log.info("expired_without_receipt", messages=ended)
    return len(spans)
