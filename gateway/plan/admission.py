"""Whether a message may go to its recipient now: stop lists and sending hours. Asked when it is accepted, routed and
about to be sent. Pure: the lists are a question to this process' own memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.message import Message
from gateway.plan.choice import Compiled
from gateway.plan.windows import Windows
from gateway.provider import Reason

Which = Callable[[str, str, str], str]
"""(number, client, class) → `global` or `client` for the list that stops it, or ""."""


Barring = Callable[["Compiled | None", Message, int], "Barred | None"]
"""(plan, message, time) → why it may not go now."""


class Barred(msgspec.Struct, frozen=True, gc=False):
    """It may not go. `stopped`: for good, `by` a list. `window_hours`: until `opens_ms`, or NEVER; it may till
    `closes_ms` then."""

    reason: Reason
    by: str = ""
    opens_ms: int = 0
    closes_ms: int = 0


LISTS: Final = {"global": "stop list of everybody", "client": "stop list of the client"}
"""How a timeline names what stopped a message."""

_STOPPED: Final = {by: Barred(Reason.STOPPED, by) for by in LISTS}


def list_of(words: str) -> str:
    """Which list it was, from how a timeline names it."""
    return next((by for by, said in LISTS.items() if said == words), "")


def nobody(number: str, client: str, klass: str) -> str:
    """Lists that are empty."""
    return ""


class Admission:
    """One a stage; keeps the windows of the plan that it was asked about last."""

    def __init__(self, which: Which = nobody, is_any: Callable[[], bool] = lambda: True) -> None:
        """`is_any`: whether there is anything on any list."""
        self._which, self._is_any = which, is_any
        self._plan: Compiled | None = None
        self._windows: Windows | None = None

    def barred(self, plan: Compiled | None, m: Message, now_ms: int) -> Barred | None:
        """Why it may not go now; None: it may. What test keys send does not wait for hours."""
        if by := self._which(m.to, m.client, m.klass):
            return _STOPPED[by]
        windows = self._windows if plan is self._plan else self._follow(plan)
        if windows is None or m.klass not in windows.classes or m.test:
            return None
        assert plan is not None
        whose = plan.directory.find(m.to)
        opens_ms = windows.opens_ms(m.klass, m.client, whose, now_ms)
        if not opens_ms:
            return None
        return Barred(Reason.WINDOW_HOURS, "", opens_ms, windows.closes_ms(m.klass, m.client, whose))

    def question(self, plan: Compiled | None) -> Barring | None:
        """`barred` for a while; None: nobody is, because the lists are empty and the plan has no hours."""
        windows = self._windows if plan is self._plan else self._follow(plan)
        return self.barred if windows is not None or self._is_any() else None

    def zones(self, plan: Compiled, m: Message) -> tuple[str, ...]:
        """The time zones that its hours are of, for people."""
        windows = self._windows if plan is self._plan else self._follow(plan)
        return windows.zones(m.klass, m.client, plan.directory.find(m.to)) if windows is not None else ()

    def _follow(self, plan: Compiled | None) -> Windows | None:
        self._plan = plan
        self._windows = Windows(plan.plan) if plan is not None and plan.plan.windows else None
        return self._windows
