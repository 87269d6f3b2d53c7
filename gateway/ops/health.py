"""What a process says of itself: /metrics, /healthz (it lives), /readyz (it can do its work), and its loop's lag.

In: checks that stages register. Out: the three pages; pages.py serves them where there is no api. Never: a secret, a
check that waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from gateway import __version__, metrics

Check = Callable[[], str]
"""Why the process cannot work now; empty when it can. Answers at once."""

LAG_EVERY_S = 0.5


class Page(msgspec.Struct, frozen=True):
    """What is answered, whoever asks: no page needs a key."""

    status: int
    content_type: str
    body: bytes


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

    def page(self, path: str) -> Page:
        """The page of a path, 404 where there is none."""
        match path:
            case "/healthz":
                return _json(200, {"status": "ok", "version": __version__})
            case "/readyz":
                said = self.reasons()
                ready = not any(said.values())
                checks = {name: reason or "ok" for name, reason in said.items()}
                return _json(200 if ready else 503, {"ready": ready, "checks": checks})
            case "/metrics":
                body, content_type = metrics.render()
                return Page(200, content_type, body)
        return Page(404, "text/plain; charset=utf-8", b"There are /metrics, /healthz and /readyz.\n")


def _json(status: int, document: object) -> Page:
    return Page(status, "application/json; charset=utf-8", msgspec.json.encode(document))


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
