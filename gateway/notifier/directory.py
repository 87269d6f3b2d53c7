"""Where targets lead now: endpoints with their URLs and secrets, clients' secrets for callback URLs, kept fresh.

In: PostgreSQL, and a call when something has changed. Out: a `Destination` for a target, or why there is none.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

import msgspec

from gateway.callbacks.audience import Target
from gateway.store import endpoints
from gateway.store.endpoints import CallbackSecret, EndpointRow
from gateway.store.pool import Pool

_RELOAD_S: Final = 30.0
_SECRET_S: Final = 5.0
GONE: Final = "the endpoint was removed"


class Destination(msgspec.Struct):
    """Where requests go and what signs them. `url` empty: each event has its own."""

    url: str
    bundle: bool
    source: EndpointRow | CallbackSecret

    def secrets(self, now_ms: int) -> tuple[bytes, ...]:
        """What signs a request now."""
        return self.source.secrets(now_ms)


class Closed(NamedTuple):
    """Nobody is to be told. `removed`: for good; else it was disabled, and what waits can be retried by hand."""

    why: str
    removed: bool


class Directory:
    """Life: `refresh()` whenever there is a moment; `destination` at any time after it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows: dict[str, EndpointRow] = {}
        self._secrets: dict[str, tuple[float, CallbackSecret]] = {}
        self._stale = True
        self._loaded = float("-inf")
        self._lock = asyncio.Lock()
        self.generation = 0
        """Raised whenever endpoints were read anew."""

    def mark_stale(self) -> None:
        """Something has changed."""
        self._stale = True

    async def refresh(self) -> None:
        """Read the endpoints if they have changed. Raises StoreAwayError."""
        async with self._lock:
            now = time.monotonic()
            if not self._stale and now < self._loaded + _RELOAD_S:
                return
            self._stale = False
            try:
                self._rows = {row.id: row for row in await endpoints.everybodys(self._pool)}
            except BaseException:
                self._stale = True
                raise
            self._loaded = now
            self.generation += 1

    async def destination(self, target: Target) -> Destination | Closed:
        """Where it leads. Raises StoreAwayError."""
        if not target.endpoint:
            return Destination("", False, await self._secret(target.client))
        row = self._rows.get(target.endpoint)
        if row is None:
            self.mark_stale()  # made a moment ago, perhaps
            await self.refresh()
            row = self._rows.get(target.endpoint)
        if row is None:
            return Closed(GONE, True)
        if row.disabled_ms is not None:
            return Closed(f"the endpoint is disabled{f': {row.disabled_why}' if row.disabled_why else ''}", False)
        return Destination(row.url, row.bundle, row)

    async def _secret(self, client: str) -> CallbackSecret:
        known = self._secrets.get(client)
        now = time.monotonic()
        if known is not None and now < known[0] + _SECRET_S:
            return known[1]
        if len(self._secrets) > 10_000:
            self._secrets.clear()
        found = await endpoints.callback_secret(self._pool, client)
        self._secrets[client] = (now, found)
        return found

    def counts(self) -> tuple[int, int]:
        """How many endpoints are disabled, and how many fail now."""
        rows = self._rows.values()
        disabled = sum(row.disabled_ms is not None for row in rows)
        return disabled, sum(row.failing_since_ms is not None and row.disabled_ms is None for row in rows)
