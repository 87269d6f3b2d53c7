"""Leases: one owner for a stage of a shard, with a token that every moving script checks.

A lease is {owner, token, until} without a TTL. Scripts compare only the token, and only a takeover after `until` raises
it, so a pause of Redis costs nobody his lease.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

from gateway import metrics
from gateway.streams.link import Link, RedisAwayError

log = logging.getLogger("streams")


class Lease:
    """Life: `await acquire()`, then `hold()` in a task of its own until it returns (lost), or `release()`."""

    def __init__(self, link: Link, key: str, owner: str, ttl_s: float) -> None:
        self.link, self.key, self.ttl_s = link, key, ttl_s
        self.owner = f"{owner}:{os.urandom(4).hex()}"  # two processes of one name never take each other's
        self.token = 0
        self._told_at = float("-inf")  # when we asked for what we were told last
        self._name = key.removeprefix("lease:"), "" if link.shard is None else str(link.shard)
        self._taken, self._losses = metrics.leases_taken.labels(*self._name), metrics.leases_lost.labels(*self._name)

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have taken it over by now."""
        return asyncio.get_running_loop().time() < self._told_at + self.ttl_s

    async def acquire(self) -> int:
        """Wait until the lease is ours; the token."""
        self.token = 0
        metrics.leases.labels(*self._name).set(0)  # wanted: whoever watches sees when nobody holds it
        try:
            self.token = await self._take()
        except BaseException:
            metrics.leases.remove(*self._name)
            raise
        metrics.leases.labels(*self._name).set(1)
        self._taken.inc()
        log.info("lease_taken", extra={"lease": self.link.prefix + self.key, "token": self.token})
        return self.token

    async def _take(self) -> int:
        while True:
            try:
                token, ms = await self._ask(0, self.ttl_s)
            except RedisAwayError:
                await self.link.up()
                continue
            if token:
                return token
            await asyncio.sleep(min(max(ms / 1000, 0.01), self.ttl_s / 5))

    async def hold(self) -> None:
        """Renew until another owner took it over; then return."""
        while True:
            await asyncio.sleep(self.ttl_s / 3)
            try:
                token, _ = await self._ask(self.token, self.ttl_s)
            except RedisAwayError:
                await self.link.up()
                continue
            if not token:
                metrics.leases.labels(*self._name).set(0)
                self._losses.inc()
                log.warning("lease_lost", extra={"lease": self.link.prefix + self.key, "token": self.token})
                return

    async def while_held(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do the work until it ends or the lease is lost; then both are over. What the work raises is raised."""
        tasks = [
            asyncio.create_task(self.hold(), name=f"{name} lease"),
            asyncio.create_task(work, name=name),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def release(self) -> None:
        """Give it up, so that the next owner need not wait."""
        metrics.leases.remove(*self._name)
        if self.token and self.link.is_up:
            try:
                await self._ask(self.token, 0)
            except RedisAwayError:
                log.info("lease_not_released", extra={"lease": self.link.prefix + self.key})
        self.token = 0

    async def _ask(self, token: int, ttl_s: float) -> tuple[int, int]:
        asked_at = asyncio.get_running_loop().time()
        got, ms = await self.link.script("lease", (), (self.key, self.owner, token, int(ttl_s * 1000)))
        self._told_at = asked_at if int(got) and ttl_s else float("-inf")
        return int(got), int(ms)


async def fence(link: Link, carrier: str, token: int) -> bool:
    """Let only `token` move a carrier's entries on this shard; False when a newer one already does."""
    return bool(await link.script("fence", (), (carrier, token)))
