"""What carriers report by webhook: read as the plan says, kept in Redis, and only then answered.

In: requests of carriers, which prove themselves. Out: receipts and subscribers' messages as facts, and the answer that
the carrier wants. Never: a word in an answer or a log on what was given as a proof.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from gateway import logs, metrics
from gateway.api.problems import Code, Problem, problem
from gateway.credentials import CredentialError, resolve
from gateway.events import AnyFact, Came, Received, pack_facts
from gateway.message import id_shard
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier
from gateway.plan.parse import is_reference
from gateway.provider import (
    Callback,
    CallbackRefusedError,
    CallbackRequest,
    Nudge,
    ReadsCallbacks,
    Reports,
    SecretText,
    Sent,
    SettingsError,
)
from gateway.provider_modules import open_provider
from gateway.streams import asks, facts
from gateway.streams.asks import Ask, Unit
from gateway.streams.link import Redis, RedisAwayError, ScriptError

log = logs.stage("api")

KEEP_S: Final = 5.0
_BATCH: Final = 500
_REFUSALS: Final = {401: Code.CALLBACK_UNPROVEN, 403: Code.CALLBACK_REFUSED}


class Readers:
    """Who reads the requests of which carrier, by the plan in use. Their providers are opened here and never started.

    A secret that this process cannot read is replaced by a word that nobody knows: what needs it is refused.
    """

    def __init__(self, plan: Callable[[], Compiled | None], public_url: str) -> None:
        self._plan, self._public_url = plan, public_url
        self._made: dict[str, tuple[Carrier, ReadsCallbacks | None]] = {}

    def find(self, name: str) -> ReadsCallbacks | None:
        """The carrier's reader; None for a carrier that is not in the plan or reports in another way."""
        plan = self._plan()
        carrier = plan.carriers.get(name) if plan is not None else None
        if carrier is None:
            self._made.pop(name, None)
            return None
        known = self._made.get(name)
        if known is None or known[0] != carrier:
            known = self._made[name] = carrier, self._open(carrier)
        return known[1]

    def _open(self, carrier: Carrier) -> ReadsCallbacks | None:
        reports = Reports(_ignore, _ignore_later, _ignore_later, _ignore, callbacks_url=self._public_url)
        try:
            made = open_provider(carrier.name, carrier.provider, _readable(carrier.settings, carrier.name), reports)
        except SettingsError as e:
            log.error("carrier settings", carrier=carrier.name, reason=str(e))
            return None
        return made if isinstance(made, ReadsCallbacks) else None


class Desk:
    """Takes requests: `find` knows the carriers' readers, `keep` returns when a callback is durable."""

    def __init__(
        self, find: Callable[[str], ReadsCallbacks | None], keep: Callable[[str, Callback], Awaitable[None]]
    ) -> None:
        self._find, self._keep = find, keep

    def knows(self, carrier: str) -> bool:
        """Whether the carrier reports here."""
        return self._find(carrier) is not None

    async def take(self, carrier: str, request: CallbackRequest) -> Callback | Problem:
        """Read a request, keep what it reports. Raises what `keep` raises."""
        reader = self._find(carrier)
        if reader is None:
            return problem(Code.UNKNOWN_CARRIER, "No carrier of that name reports here.")
        try:
            said = reader.parse_callback(request)
        except CallbackRefusedError as e:
            metrics.carrier_reports.labels(carrier, "refused").inc()
            log.warning("callback refused", carrier=carrier, status=e.status)
            return problem(_REFUSALS[e.status], str(e))
        except ValueError as e:
            metrics.carrier_reports.labels(carrier, "unreadable").inc()
            log.warning("callback unreadable", carrier=carrier, reason=str(e))
            return problem(Code.CALLBACK_UNREADABLE, f"{str(e).capitalize()}.")
        try:
            await self._keep(carrier, said)
        except BaseException:
            metrics.carrier_reports.labels(carrier, "not_kept").inc()
            raise
        metrics.carrier_reports.labels(carrier, "kept").inc()
        for state, number in Counter(r.state for r in said.receipts).items():
            metrics.receipts.labels(carrier, state).inc(number)
        metrics.inbound.labels(carrier).inc(len(said.inbound))
        return said


class Keeper:
    """Appends facts to the events of their shards; what comes while a script is under way goes with the next one."""

    def __init__(self, redis: Redis, run: Callable[[Coroutine[Any, Any, None], str], None]) -> None:
        self._redis, self._run = redis, run
        self._waiting: dict[int, deque[tuple[list[AnyFact], asyncio.Future[None]]]] = {}

    async def keep(self, carrier: str, said: Callback) -> None:
        """Returns when all of it is durable. Raises RedisAwayError, ScriptError or TimeoutError."""
        now = self._redis.clock_ms()
        by_shard: dict[int, list[AnyFact]] = {}
        for receipt in said.receipts:
            by_shard.setdefault(self._shard(receipt.recipient), []).append(Received(carrier, now, receipt))
        for inbound in said.inbound:
            by_shard.setdefault(self._shard(inbound.sender), []).append(Came(carrier, now, inbound))
        if nudges := [n for n in said.nudges if id_shard(n.message_id) < self._redis.shards]:
            await asks.put(self._redis, carrier, [_question(nudge, now) for nudge in nudges])
        futures = [self._put(shard, some) for shard, found in by_shard.items() for some in _pieces(found)]
        async with asyncio.timeout(KEEP_S):
            for future in futures:
                await asyncio.shield(future)

    def _shard(self, number: str) -> int:
        if self._redis.shards == 1:
            return 0
        return self._redis.shard_of("+" + "".join(c for c in number if c.isdigit()))

    def _put(self, shard: int, some: list[AnyFact]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look)
        waiting = self._waiting.get(shard)
        if waiting is None:
            self._waiting[shard] = deque([(some, future)])
            self._run(self._append(shard), f"carriers' reports {shard}")
        else:
            waiting.append((some, future))
        return future

    async def _append(self, shard: int) -> None:
        waiting = self._waiting[shard]
        batch: list[asyncio.Future[None]] = []
        try:
            while waiting:
                blob: list[AnyFact] = []
                batch = []
                while waiting and len(blob) + len(waiting[0][0]) <= _BATCH:
                    some, future = waiting.popleft()
                    blob += some
                    batch.append(future)
                try:
                    await facts.append(self._redis.link(shard), shard, pack_facts(blob))
                except (RedisAwayError, ScriptError) as e:
                    _settle(batch, e)
                else:
                    _settle(batch, None)
        finally:
            del self._waiting[shard]
            _settle([*batch, *(future for _, future in waiting)], RedisAwayError("the gateway stops"))


def _question(nudge: Nudge, now_ms: int) -> Ask:
    unit = Unit(nudge.part, Sent(nudge.carrier_message_id, "", nudge.recipient))
    return Ask("query", nudge.message_id, nudge.attempt, [unit], until_ms=now_ms + asks.KEPT_S * 1000)


def _pieces(found: Sequence[AnyFact]) -> list[list[AnyFact]]:
    return [list(found[at : at + _BATCH]) for at in range(0, len(found), _BATCH)]


def _settle(batch: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for future in batch:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


def _look(future: asyncio.Future[None]) -> None:
    """Whoever waited may have given up: nobody need hear of its error then."""
    if not future.cancelled():
        future.exception()


def _readable(settings: dict[str, Any], carrier: str) -> dict[str, Any]:
    found: dict[str, Any] = _read(settings, carrier)
    return found


def _read(value: Any, carrier: str) -> Any:
    if is_reference(value):
        try:
            return resolve({"secret": value})["secret"]
        except CredentialError as e:
            log.warning("callbacks without a secret", carrier=carrier, reason=e.sentence)
            return SecretText(secrets.token_hex(32))
    if isinstance(value, dict):
        return {name: _read(inner, carrier) for name, inner in value.items()}
    return [_read(inner, carrier) for inner in value] if isinstance(value, list) else value


def _ignore(_: object) -> None:
    """A provider that is not started reports nothing."""


async def _ignore_later(_: Sequence[Any]) -> None:
    """As above, for what is awaited."""
