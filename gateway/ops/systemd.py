"""What a service manager is told of this process, by the protocol of sd_notify(3): one datagram a change.

In: `NOTIFY_SOCKET` and `WATCHDOG_USEC` of the environment. Out: READY, STATUS, STOPPING, and WATCHDOG from the event
loop itself: a loop that hangs, or a stage that ended, feeds no more. Without a socket it says nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

from gateway import logs

log = logs.stage("ops")

LOOK_S = 1.0
"""How often the status is looked at, and the watchdog fed at least."""

_FEEDS = 3  # in the time after which systemd would give us up


class Systemd:
    """The socket of the service manager, or none. `tell` at any time; `feed` as a task that is stopped last."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        """`address`: a path, or `@` and a name in the abstract namespace; `watchdog_s` 0: nobody waits to be fed."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s if address else 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._complained = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int = 0) -> Systemd:
        """As systemd tells its services. A watchdog meant for another process is not ours to feed."""
        address, text = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", "") in ("", str(pid or os.getpid()))
        return cls(address if address[:1] in ("/", "@") else "", int(text) / 1e6 if ours and text.isdecimal() else 0.0)

    def tell(self, *fields: str) -> None:
        """Send `NAME=value` fields; a manager that does not listen stops nothing here."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(field.replace("\n", " ") for field in fields).encode(), self._address)
        except BlockingIOError:
            return  # it has not read what we said before; the next feed comes soon
        except OSError as e:
            if not self._complained:
                log.warning("systemd_does_not_listen", reason=e)
            self._complained = True

    async def feed(self, alive: Callable[[], bool], status: Callable[[], str]) -> None:
        """Feed the watchdog while everything is alive, and tell each new status. Runs until cancelled."""
        pause, told = min(LOOK_S, self.watchdog_s / _FEEDS or LOOK_S), ""
        while self._socket is not None:
            if self.watchdog_s and alive():
                self.tell("WATCHDOG=1")
            if (said := status()) != told:
                self.tell(f"STATUS={said}")
                told = said
            await asyncio.sleep(pause)
        await asyncio.Event().wait()

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def status_line(reasons: Mapping[str, str]) -> str:
    """The checks of this process in one line, as `systemctl status` shows it."""
    wrong = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    return "not ready: " + "; ".join(wrong) if wrong else "ready"
