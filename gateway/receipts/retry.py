"""Tries receipts that wait for their submission once more: by any spelling of the carrier's id, then as orphans.

Each turn is one transaction that moves states, roll-ups and callbacks by the same fold as the recorder's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import asyncpg
import msgspec

from gateway import logs, metrics
from gateway.callbacks.audience import NOBODY, Audience
from gateway.events import Received
from gateway.ledger.fold import CarrierId, Fold
from gateway.ledger.rows import Matched
from gateway.provider import Kind
from gateway.receipts.orphans import candidate
from gateway.smpp.ids import form, spellings
from gateway.store import ledger, lookups, uncertain, waiting
from gateway.store.days import DAY_MS, Days
from gateway.store.pool import Pool
from gateway.store.uncertain import Uncertain
from gateway.store.waiting import WaitingReceipt

log = logs.stage("receipts")

TURN = 1_000
PAUSES_MS = (10_000, 60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000)
"""After the first try, which comes a second after the receipt."""

GIVE_UP_MS = 3 * DAY_MS
ORPHAN_TRIES = 1
"""So many ordinary tries come first: the submission itself may still be on its way."""
FAR_TRIES = 2


async def retry(
    pool: Pool, days: Days, now_ms: int, audience: Audience = NOBODY, learnt: Counter[tuple[str, str]] | None = None
) -> int:
    """One turn; how many receipts were due. Raises StoreAwayError, ledger.ConflictError.

    learnt: counts (carrier, form of its ids) of receipts that found their submission by another spelling.
    """
    key = await pool.recipient_key()
    async with pool.transaction() as connection:
        await lookups.use_indexes(connection)
        await ledger.prepare(connection)
        due = await waiting.due(connection, now_ms, TURN)
        if not due:
            return 0
        found = await _submissions(connection, due, now_ms, learnt)
        guesses = await _guesses(connection, [w for w in due if w.id not in found and w.tries >= ORPHAN_TRIES])
        ids = {match[0] for match in found.values()} | {guess.fact.id for guess, _ in guesses.values()}
        fold = Fold(await lookups.rows(connection, ids, lock=True), {}, audience)
        given_up, later = _apply(fold, due, found, guesses, now_ms)
        changes = fold.finish()
        changes.receipts += [(fact, None) for fact in given_up]
        encoded = await ledger.encode(changes, key, now_ms)
        await days.ensure(encoded.days)
        await ledger.write(connection, encoded)
        await waiting.put_off(connection, later)
        put_off = {number for number, _ in later}
        await waiting.remove(connection, [w.id for w in due if w.id not in put_off])
    metrics.receipts_orphaned.inc(len(given_up))
    if guesses or given_up:
        log.info("orphans", matched=len(guesses), given_up=len(given_up))
    return len(due)


def _apply(
    fold: Fold,
    due: Sequence[WaitingReceipt],
    found: dict[int, Matched],
    guesses: dict[int, tuple[Uncertain, str]],
    now_ms: int,
) -> tuple[list[Received], list[tuple[int, int]]]:
    given_up: list[Received] = []
    later: list[tuple[int, int]] = []
    for number, tries, fact in sorted(due, key=lambda w: w.fact.at_ms):
        if match := found.get(number):
            fold.match(fact, match)
            metrics.receipts_matched.labels(match[3]).inc()
        elif guess := guesses.get(number):
            told, by = guess[0].fact, guess[1]
            healed = msgspec.structs.replace(
                told, kind=int(Kind.ACCEPTED), reason="", late=True, carrier_message_id=fact.receipt.carrier_message_id
            )
            fold.apply([healed], fact.at_ms)
            fold.match(fact, (told.id, told.attempt, told.part, by, told.due_micro, told.currency))
            metrics.receipts_matched.labels(by).inc()
        elif fact.at_ms + GIVE_UP_MS <= now_ms:
            given_up.append(fact)
        else:
            later.append((number, now_ms + PAUSES_MS[min(tries, len(PAUSES_MS) - 1)]))
    return given_up, later


async def _submissions(
    connection: asyncpg.Connection,
    due: Sequence[WaitingReceipt],
    now_ms: int,
    learnt: Counter[tuple[str, str]] | None,
) -> dict[int, Matched]:
    ways = {w.id: _ways(w.fact) for w in due}
    far = {way for w in due if w.tries >= FAR_TRIES for way, _ in ways[w.id]}
    near = {way for w in due for way, _ in ways[w.id]} - far
    known = await lookups.submissions(connection, near, now_ms, lookups.NEAR_DAYS) if near else {}
    known |= await lookups.submissions(connection, far, now_ms, lookups.FAR_DAYS) if far else {}
    found: dict[int, Matched] = {}
    for number, tried in ways.items():
        for way, by in tried:
            if match := known.get(way):
                found[number] = (*match[:3], by, *match[4:])
                if learnt is not None and by == "spelling":
                    learnt[way[0], form(tried[0][0][1], way[1])] += 1
                break
    return found


def _ways(fact: Received) -> list[tuple[CarrierId, str]]:
    """The carrier's id as it came, then its other spellings."""
    name = fact.receipt.carrier_message_id
    if not name:
        return []
    return [((fact.carrier, name), "id"), *(((fact.carrier, other), "spelling") for other in spellings(name))]


async def _guesses(
    connection: asyncpg.Connection, orphans: Sequence[WaitingReceipt]
) -> dict[int, tuple[Uncertain, str]]:
    found: dict[int, tuple[Uncertain, str]] = {}
    taken: set[tuple[bytes, int, int]] = set()
    for carrier in sorted({w.fact.carrier for w in orphans}):
        its = [w for w in orphans if w.fact.carrier == carrier]
        first, last = min(w.fact.at_ms for w in its), max(w.fact.at_ms for w in its)
        open_ones = await uncertain.of_carrier(connection, carrier, first - GIVE_UP_MS, last)
        for number, _, fact in its:
            left = [u for u in open_ones if (u.fact.id, u.fact.attempt, u.fact.part) not in taken]
            guess = candidate(fact.receipt, fact.at_ms, left)
            if guess:
                found[number] = guess
                taken.add((guess[0].fact.id, guess[0].fact.attempt, guess[0].fact.part))
    return found
