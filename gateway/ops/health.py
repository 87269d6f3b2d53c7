"""What a process says of itself: /metrics, /healthz (it lives), /readyz (it can do its work), and its loop's lag.

In: checks that stages register. Out: routes for the api's application, or a small server for processes without api.
Never: a secret, a check that waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from aiohttp import web

from gateway import __version__, metrics

Check = Callable[[], str]
"""Why the process cannot work now; empty when it can. Answers at once."""

LAG_EVERY_S = 0.5


class Health:
    """The checks of this process. It is ready when none of them has anything to say."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Register a check under a name that operators will read."""
        self._checks[name] = check
        metrics.check_ok.labels(name).set_function(lambda: not check())

    def drop(self, name: str) -> None:
        """Forget a check whose stage has ended."""
        self._checks.pop(name, None)
        metrics.check_ok.remove(name)

    def reasons(self) -> dict[str, str]:
        """What each check says; empty words are good."""
        return {name: check() for name, check in self._checks.items()}


def routes(health: Health) -> list[web.RouteDef]:
    """The three pages. They need no key."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__})

    async def readyz(_: web.Request) -> web.Response:
        said = health.reasons()
        ready = not any(said.values())
        body = {"ready": ready, "checks": {name: reason or "ok" for name, reason in said.items()}}
        return web.json_response(body, status=200 if ready else 503)

    async def exposition(_: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)]


class HealthServer:
    """The three pages on an address of their own. `open` it, `close` it."""

    def __init__(self, runner: web.AppRunner, url: str) -> None:
        self._runner = runner
        self.url = url

    @classmethod
    async def open(cls, listen: str, health: Health) -> HealthServer:
        """`listen` is HOST:PORT; port 0 takes a free one. Raises OSError when it is taken."""
        host, _, port = listen.rpartition(":")
        application = web.Application()
        application.add_routes(routes(health))
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except BaseException:
            await runner.cleanup()
            raise
        bound = runner.addresses[0]
        return cls(runner, f"http://{host}:{bound[1]}")

    async def close(self) -> None:
        await self._runner.cleanup()


class LogCounter(logging.Handler):
    """Counts what this process had to warn of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by every log line from WARNING on."""
        metrics.log_records.labels("error" if record.levelno >= logging.ERROR else "warning").inc()


async def measure_loop_lag() -> None:
    """Observe how late the event loop wakes us; runs until cancelled."""
    while True:
        due = time.perf_counter() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        metrics.loop_lag.observe(max(0.0, time.perf_counter() - due))
