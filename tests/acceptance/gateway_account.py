"""A load whose clients repeat what they are not sure of, and the account of what became of it.

In: a world. Out: assertions that nothing is lost, nothing is doubled beyond what the guarantees allow, and that the
roll-ups equal the rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp
import asyncpg

from gateway.message import CLASSES, RESEND_CLASSES
from tests.acceptance.gateway_world import FULL, World, until
from tests.ledger_bench import slices_equal_rows

FINAL = ("delivered", "undeliverable", "rejected", "failed", "expired", "cancelled")
AGAIN = ("redis_away", "shard_closed", "intake_full", "not_ready")
_CONNECTIONS = 4
_STATES = "select class, state, count(*) from messages where tag = $1 group by class, state"

# Buckets whose roll-up differs from what the rows say now; one statement sees one state of both.
_DIFFERENCES = """
with counted as (
    select date_trunc($1, id_time(id), 'UTC') as at,
           (('x' || substr(replace(id::text, '-', ''), 13, 4))::bit(16)::int >> 2 & 1023)::smallint as shard,
           client, class, carrier, operator, state, tag, currency,
           count(*) as messages, sum(parts)::bigint as parts, sum(cost_micro)::bigint as cost_micro
    from messages where not test group by 1, 2, 3, 4, 5, 6, 7, 8, 9
), booked as (select * from {table} where messages <> 0 or parts <> 0 or cost_micro <> 0)
select c.messages as rows, b.messages as booked, * from counted c
full join booked b using (at, shard, client, class, carrier, operator, state, tag, currency)
where (c.messages, c.parts, c.cost_micro) is distinct from (b.messages, b.parts, b.cost_micro)
"""


class Load:
    """Messages of all classes, each with a ref; what is not certain is repeated with the same refs until it is."""

    def __init__(
        self,
        w: World,
        count: int,
        *,
        tag: str = "load",
        classes: Sequence[str] = CLASSES,
        first: int = 0,
        batch: int = 50,
        ahead: int = 1_000_000,
        key: str = "",
    ) -> None:
        """`ahead`: so many messages may be accepted and not yet with a carrier before the clients wait."""
        self.world, self.count, self.tag, self.classes = w, count, tag, classes
        self.first, self.batch, self.ahead, self.key = first, batch, ahead, key
        self.accepted: dict[int, str] = {}
        self.repeats = 0
        self.refusals: Counter[str] = Counter()
        self._chunks = iter(range(first, first + count, batch))

    def text(self, number: int) -> str:
        return f"{self.classes[number % len(self.classes)]} {self.tag} {number}"

    def message(self, number: int) -> dict[str, str]:
        klass = self.classes[number % len(self.classes)]
        to, ref = f"+7916{number:07d}", f"{self.tag}-{number}"
        return {"to": to, "text": self.text(number), "class": klass, "ref": ref, "tag": self.tag}

    async def run(self) -> None:
        """Send everything; returns when all of it is accepted."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(_CONNECTIONS):
                clients.create_task(self._client())

    async def _client(self) -> None:
        for at in self._chunks:
            await until(self._may_send, "the carriers to keep up", 90)
            left = list(range(at, min(at + self.batch, self.first + self.count)))

            async def sent(left: list[int] = left) -> bool:
                left[:] = await self._send(left)
                return not left

            await until(sent, f"messages from {at} on to be accepted", 90)

    async def _may_send(self) -> bool:
        return len(self.accepted) < self.ahead or len(self.accepted) - await self.world.submits() < self.ahead

    async def _send(self, numbers: Sequence[int]) -> list[int]:
        """Those that have to be sent again."""
        body = {"messages": [self.message(number) for number in numbers]}
        try:
            status, answer = await self.world.post("/v1/messages/batch", body, self.key)
        except (aiohttp.ClientError, TimeoutError, IndexError) as e:  # IndexError: no API process runs
            self.refusals[type(e).__name__] += 1
            return list(numbers)
        if status != 202:
            assert status in (429, 503), (status, answer)
            self.refusals[answer["code"]] += 1
            return list(numbers)
        again: list[int] = []
        for number, result in zip(numbers, answer["results"], strict=True):
            if "id" in result:
                assert self.accepted.setdefault(number, result["id"]) == result["id"]
                self.repeats += result["duplicate"]
            else:
                assert result["code"] in AGAIN, result
                self.refusals[result["code"]] += 1
                again.append(number)
        return again


class Account:
    """The end of a load: states by class, and how often each message reached a phone more than once."""

    def __init__(self, states: Counter[tuple[str, str]], doubled: Counter[str]) -> None:
        self.states, self.doubled = states, doubled

    def of(self, state: str) -> int:
        return sum(number for (_, found), number in self.states.items() if found == state)

    def __repr__(self) -> str:
        return f"states {dict(self.states)}, doubled {dict(self.doubled)}"


async def account(load: Load, *, uncertain: int = 0, deadline_s: float = 900.0 if FULL else 60.0) -> Account:
    """Wait until all rests, and check everything.

    `uncertain`: how many messages may have been on the wire when something died; 0 when nothing may be left unknown.
    """
    w, expected = load.world, load.count
    assert len(load.accepted) == expected
    assert len(set(load.accepted.values())) == expected
    states: Counter[tuple[str, str]] = Counter()

    async def resting() -> bool:
        try:
            found = await w.rows(_STATES, load.tag)
        except (OSError, asyncpg.PostgresError):
            return False
        states.clear()
        states.update({(row["class"], row["state"]): row["count"] for row in found})
        over = sum(number for (_, state), number in states.items() if state in FINAL)
        held = sum(number for (_, state), number in states.items() if state == "unknown")
        return over + held == expected and held <= uncertain

    try:
        await until(resting, "every message to end", deadline_s)
    except AssertionError as e:
        told = f"{dict(states)}; {load.refusals}; waiting: {await _queues(w)}; {w.last_words()}"
        raise AssertionError(f"{e}: {told}") from None
    given_up = {key: number for key, number in states.items() if key[1] not in ("delivered", "unknown")}
    assert not given_up, f"the carriers took everything, and yet: {given_up}"
    ids = {str(row["id"]) for row in await w.rows("select id from messages where tag = $1", load.tag)}
    assert ids == set(load.accepted.values()), "rows and acceptances differ"
    doubled = await _doubled(load, states)
    held = sum(number for (klass, _), number in doubled.items() if klass not in RESEND_CLASSES)
    again = sum(number for (klass, _), number in doubled.items() if klass in RESEND_CLASSES)
    assert held == 0, f"doubled in classes that are held: {doubled}"
    assert again <= uncertain, f"doubled: {doubled}"
    assert not [key for key in states if key[1] == "unknown" and key[0] in RESEND_CLASSES]
    await check_ledger(w)
    return Account(states, Counter({klass: n for (klass, _), n in doubled.items()}))


async def _doubled(load: Load, states: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """How often messages came again, by class; and everything that is delivered is on a phone."""
    seen: Counter[str] = Counter()
    for carrier in load.world.carriers.values():
        seen.update(text for text in await carrier.texts() if f" {load.tag} " in text)
    wanted = {load.text(number): str(number) for number in load.accepted}
    assert not set(seen) - set(wanted), "phones got what nobody sent"
    missing = Counter(text.split()[0] for text in wanted if not seen[text])
    for klass in load.classes:
        excused = sum(n for (k, state), n in states.items() if k == klass and state != "delivered")
        assert missing[klass] <= excused, f"lost: {missing} are on no phone; {dict(states)}"
    doubled: Counter[tuple[str, str]] = Counter()
    for text, times in seen.items():
        if times > 1:
            doubled[text.split()[0], "again"] += times - 1
    return doubled


async def check_ledger(w: World) -> None:
    """Roll-ups and slices of statistics equal the rows, and nothing is in quarantine."""
    await check_rollups(w)
    await _check_slices(w)


async def check_rollups(w: World) -> None:
    """The roll-ups by minute and hour equal the rows, and nothing is in quarantine."""
    for table, unit in (("stats_minute", "minute"), ("stats_hour", "hour")):
        wrong: list[Any] = await w.rows(_DIFFERENCES.format(table=table), unit)
        assert not wrong, f"{table} differs from messages: {[dict(row) for row in wrong[:3]]}"
    kept = await w.rows("select what, error, count(*) from quarantine group by what, error")
    assert not kept, f"quarantine: {[dict(row) for row in kept]}"


async def _check_slices(w: World) -> None:
    """Unless a former release was at work, which knows no slices: `sluice db recount` is for that."""
    connection = await asyncpg.connect(w.postgres.url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            if not await connection.fetchval("select exists (select from messages where country is null)"):
                await slices_equal_rows(connection)
    finally:
        await connection.close()


async def _queues(w: World) -> dict[str, int]:
    """Streams that hold something, and marks."""
    found: dict[str, int] = {}
    async for key in w.redis.scan_iter("*"):
        kind = await w.redis.type(key)
        if kind == b"stream":
            found[key.decode("latin-1")] = await w.redis.xlen(key)
        elif kind == b"zset":
            found[key.decode("latin-1")] = await w.redis.zcard(key)
        elif b":marks:" in key:
            found[key.decode("latin-1")] = len(await w.redis.hgetall(key))
    return {name: size for name, size in found.items() if size}
