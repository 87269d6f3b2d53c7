"""The matcher: one leased task that tries waiting receipts again and ends what waited for a receipt in vain.

In and out: PostgreSQL alone. Never: a receipt thrown away; what matches nothing for three days becomes an orphan.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable

import asyncpg

from gateway import logs
from gateway.callbacks.audience import NOBODY, Audience
from gateway.config import Settings
from gateway.plan.choice import Compiled
from gateway.plan.document import StopWords
from gateway.receipts.expiry import exactness_ms, expire
from gateway.receipts.inbound import hear
from gateway.receipts.last_questions import LastQuestions
from gateway.receipts.overdue import Asked, ask_overdue
from gateway.receipts.retry import retry
from gateway.receipts.stop_requests import StopRequests
from gateway.store.days import Days
from gateway.store.ledger import ConflictError
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.learnt import add_forms
from gateway.streams.lease import Lease
from gateway.streams.link import Redis, RedisAwayError

log = logs.stage("receipts")

IDLE_S = 0.5
_EXPIRE_EVERY_S = 30.0
_ASK_ON_S = 1.0  # while there is more to ask about
_AWAY_S = 1.0


async def run_matcher(
    settings: Settings,
    redis: Redis,
    pool: Pool,
    owner: str = "",
    audience: Callable[[], Audience] = lambda: NOBODY,
    plan: Callable[[], Compiled | None] = lambda: None,
    stops_changed: Callable[[], None] = lambda: None,
) -> None:
    """Until cancelled. Matchers of several processes take turns by a lease, in which `owner` names this one.
    `audience`: who is to be told of messages, `plan`: the plan, as this process knows them now; `stops_changed` is
    called when subscribers have changed the stop lists."""
    owner = owner or f"{socket.gethostname()}:{os.getpid()}"
    while True:
        lease = Lease(redis.link(None), "lease:receipts", owner, settings.lease_s)
        await lease.acquire()
        try:
            await lease.while_held(_work(settings, redis, pool, audience, plan, stops_changed), "receipts matcher")
        finally:
            await lease.release()


async def _work(
    settings: Settings,
    redis: Redis,
    pool: Pool,
    audience: Callable[[], Audience],
    plan: Callable[[], Compiled | None],
    stops_changed: Callable[[], None],
) -> None:
    days, loop = Days(pool), asyncio.get_running_loop()
    expire_at, ask_at, told, asked, questions = 0.0, 0.0, "", Asked(), LastQuestions(redis)
    while True:
        try:
            learnt: Counter[tuple[str, str]] = Counter()
            busy = await retry(pool, days, redis.clock_ms(), audience(), learnt)
            if learnt:
                await add_forms(redis, learnt)
            compiled = plan()
            rules = compiled.plan.inbound if compiled is not None else ()
            words = compiled.plan.stop_words if compiled is not None else StopWords()
            busy += await hear(pool, rules, redis.clock_ms(), audience(), StopRequests(words, stops_changed))
            if loop.time() >= ask_at:
                found = await ask_overdue(pool, redis, settings.receipt_grace_s, asked)
                usual_s = min(_EXPIRE_EVERY_S, exactness_ms(settings.receipt_grace_s) / 1000)
                ask_at = loop.time() + (_ASK_ON_S if found else usual_s)
            if loop.time() >= expire_at:
                grace_s = settings.receipt_grace_s
                busy += await expire(pool, days, redis.clock_ms(), grace_s, audience(), questions)
                if not busy:
                    expire_at = loop.time() + min(_EXPIRE_EVERY_S, exactness_ms(grace_s) / 1000)
            told = ""
            if not busy:
                await asyncio.sleep(IDLE_S)
        except (ConflictError, asyncpg.DeadlockDetectedError):
            continue
        except RedisAwayError:
            await asyncio.sleep(_AWAY_S)
        except (StoreAwayError, asyncpg.PostgresError) as e:
            if told != type(e).__name__:
                told = type(e).__name__
                log.warning("matcher_waits_for_postgres", why=told)
            days.forget()
            await asyncio.sleep(_AWAY_S)
