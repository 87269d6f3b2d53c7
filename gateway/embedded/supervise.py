"""Keeps a row of services alive: starts them in order, starts again what dies, stops them in reverse.

In: services. Out: notes for a person. Never: gives up on a service that ran once, starts one while stopping.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.embedded.child import StartError

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
CALM_S = 30.0
"""What ran this long begins with the first pause again when it dies."""


class Service(Protocol):
    """Something that can be started and stopped again and again."""

    name: str
    log: Path

    async def start(self) -> None:
        """Returns when it is ready; raises StartError or OSError and leaves nothing running."""
        ...

    async def stop(self) -> None:
        """Bounded."""
        ...

    async def kill(self) -> None:
        """At once."""
        ...

    async def wait(self) -> int:
        """Until it dies; its exit status."""
        ...


class Supervisor:
    """Owns the services that it started and one task for each."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self.services: list[Service] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, service: Service) -> None:
        """Start a service and keep it alive from then on. Raises StartError or OSError."""
        await service.start()
        self.services.append(service)
        self._keepers.append(asyncio.create_task(self._keep(service), name=f"keep {service.name}"))

    async def failed(self) -> None:
        """Returns never; raises what a keeper met that nobody expected. Call after the last start."""
        await asyncio.gather(*self._keepers)

    async def stop(self) -> None:
        """Stop everything, the last first. Bounded by the services' own bounds."""
        await self._let_go()
        for service in reversed(self.services):
            await service.stop()
        self.services.clear()

    async def kill(self) -> None:
        """End everything at once, as a crash would."""
        for service in reversed(self.services):
            await service.kill()

    async def _let_go(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()

    async def _keep(self, service: Service) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            since = time.monotonic()
            code = await service.wait()
            if time.monotonic() - since > CALM_S:
                pause_s = FIRST_PAUSE_S
            why = f" (see {service.log})" if code >= 0 else ""
            self._note(f"{service.name} {ending(code)}{why}; starting it again")
            pause_s = await self._restart(service, pause_s)
            self._note(f"{service.name} is back")

    async def _restart(self, service: Service, pause_s: float) -> float:
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            try:
                await service.start()
            except (StartError, OSError) as e:
                self._note(f"{service.name} cannot be started: {e}")
            else:
                return pause_s


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
