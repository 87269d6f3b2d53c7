"""Applications that send: batches and single messages of all classes, repeated with their refs until each is accepted.

In: a stage, a seed and a count. Out: the id of every message by its number, and what went wrong on the way.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp

from gateway.message import CLASSES
from tests.acceptance.gateway_account import AGAIN
from tests.acceptance.gateway_world import until
from tests.chaos.stage import Stage

SINGLES, OWN = 8, 40
"""One message in so many is sent alone; has a callback URL of its own."""
LONG = 10
"""One in so many has two parts."""
AHEAD = 4_000
"""So many messages may be accepted and not yet with a carrier before the applications wait."""
_SIZES = (20, 100, 300)
_REPEATED = 0.02  # of the requests are sent once more although they were answered
_BATCH_CLIENTS, _SINGLE_CLIENTS = 3, 8
_DEADLINE_S = 300.0


class Traffic:
    """Life: `run` once."""

    def __init__(self, stage: Stage, seed: int, count: int, validity_s: int, own_url: str) -> None:
        self.count = count
        self.accepted: dict[int, str] = {}
        self.repeats = 0
        self.refusals: Counter[str] = Counter()
        self._stage, self._seed, self._validity_s, self._own_url = stage, seed, validity_s, own_url
        self._rng = random.Random(f"traffic {seed}")
        self._underway: dict[str, float] = {}  # number of the phone → when it has expired at the latest
        self._arrived: set[str] = set()
        self._looked_at = 0.0

    def message(self, number: int) -> dict[str, Any]:
        """Message `number`; always the same."""
        klass = CLASSES[number % len(CLASSES)]
        text = f"{klass} {number}" + (" and some more" * 12 if number % LONG == LONG - 1 else "")
        made = {"to": f"+7916{number:07d}", "text": text, "class": klass, "ref": f"{self._seed}-{number}"}
        more: dict[str, Any] = {"validity_s": self._validity_s, "tag": f"tag-{number % 3}"}
        return made | more | ({"callback_url": self._own_url} if number % OWN == 0 else {})

    async def run(self) -> None:
        """Send everything; returns when all of it is accepted."""
        batches = self._batches()
        singles = iter([[number] for number in range(0, self.count, SINGLES)])
        async with asyncio.TaskGroup() as clients:
            for _ in range(_BATCH_CLIENTS):
                clients.create_task(self._client(batches))
            for _ in range(_SINGLE_CLIENTS):
                clients.create_task(self._client(singles))

    def _batches(self) -> Iterator[list[int]]:
        some: list[int] = []
        size = self._rng.choice(_SIZES)
        for number in range(self.count):
            if number % SINGLES:
                some.append(number)
            if len(some) >= size or (some and number == self.count - 1):
                yield some
                some, size = [], self._rng.choice(_SIZES)

    async def _client(self, lots: Iterator[list[int]]) -> None:
        for lot in lots:
            await until(self._may_send, "the carriers to keep up", _DEADLINE_S)
            left = list(lot)

            async def sent(left: list[int] = left) -> bool:
                left[:] = await (self._send_batch(left) if left[0] % SINGLES else self._send_single(left[0]))
                return not left

            try:
                await until(sent, f"message {lot[0]} to be accepted", _DEADLINE_S)
            except AssertionError as e:
                raise AssertionError(f"{e}; clients were told {self.refusals}") from None
            if self._rng.random() < _REPEATED:
                left.extend(lot)
                await until(sent, "a repeated request to be answered", _DEADLINE_S)

    async def _may_send(self) -> bool:
        now = time.monotonic()
        if now > self._looked_at + 0.05:
            self._looked_at = now
            for _, line in self._stage.phones.read():
                self._arrived.add(line.to)
                self._underway.pop(line.to, None)
            for to, until_at in list(self._underway.items()):  # the oldest come first
                if until_at > now:
                    break
                del self._underway[to]
        return len(self._underway) < AHEAD

    async def _send_batch(self, numbers: Sequence[int]) -> list[int]:
        """Those that have to be sent again."""
        found = await self._post("/v1/messages/batch", {"messages": [self.message(number) for number in numbers]})
        if found is None:
            return list(numbers)
        again = []
        for number, result in zip(numbers, found["results"], strict=True):
            if "id" in result:
                self._note(number, result)
            else:
                assert result["code"] in AGAIN, result
                self.refusals[result["code"]] += 1
                again.append(number)
        return again

    async def _send_single(self, number: int) -> list[int]:
        found = await self._post("/v1/messages", self.message(number))
        if found is None:
            return [number]
        self._note(number, found)
        return []

    async def _post(self, path: str, body: Any) -> Any:
        """The answer; None when it is to be asked again."""
        try:
            status, answer = await self._stage.world.post(path, body)
        except (aiohttp.ClientError, TimeoutError, IndexError) as e:  # IndexError: the API is away
            self.refusals[type(e).__name__] += 1
            await asyncio.sleep(0.02)
            return None
        if status in (200, 202):
            return answer
        assert status in (429, 503), (status, answer)
        self.refusals[answer["code"]] += 1
        return None

    def _note(self, number: int, result: dict[str, Any]) -> None:
        to = f"+7916{number:07d}"
        if number not in self.accepted and to not in self._arrived:  # it may be there before we are answered
            self._underway[to] = time.monotonic() + self._validity_s
        assert self.accepted.setdefault(number, result["id"]) == result["id"], "one ref, two messages"
        self.repeats += result["duplicate"]
