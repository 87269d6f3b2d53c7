"""What the contract suite asks of a carrier that it scripts, and the desk that stands in for the connector.

A carrier kind joins the suite with a class that fulfils `Carrier` and a line in `conftest.CARRIERS`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from gateway.provider import Inbound, Link, Outcome, Provider, Receipt, Reports, Submission


class Answer(Enum):
    """What the carrier says to a submission."""

    ACCEPT = "accept"
    THROTTLE = "throttle"
    REFUSE = "refuse"  # the recipient's number is not valid
    SILENCE = "silence"


@dataclass(eq=False)
class Arrived:
    """A submission as the carrier got it. `message_id` is the id that it gives when it accepts."""

    text: str
    to: str
    sender: str
    part: int
    parts: int
    message_id: str
    handle: Any


@dataclass(eq=False)
class Delivery:
    """Something that the carrier reports. `kept`: True once the provider said so, False when it asked for it again."""

    kept: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Watch:
    """Waiting for a condition without sleeping: whoever changes something touches it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def touch(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(self, condition: Callable[[], object], deadline_s: float = 10.0, else_see: str = "") -> None:
        """`else_see`: what an author of a provider should look at when that does not come true."""
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            hint = f"; {else_see}" if else_see else ""
            raise AssertionError(f"in {deadline_s:g} s this did not come true: {_source(condition)}{hint}") from None


def _source(condition: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)


class Carrier(Protocol):
    """One account at a carrier that speaks its real protocol on a real socket of this machine."""

    secret: str
    capacity: int
    """Submissions without an answer that the account allows at once."""
    most: int
    """The most that there ever were."""
    logins: int
    """Times that credentials came."""
    script: Callable[[Arrived], Answer]
    arrived: list[Arrived]
    welcome: bool
    """Whether credentials are accepted."""
    hears: bool
    """Whether it passes on what subscribers write."""
    alphabet: str
    """What its texts can be written in; others are refused as unsupported."""

    def __init__(self, watch: Watch) -> None: ...

    async def start(self) -> None:
        """Be reachable. Again after `leave`, at the same address."""

    async def leave(self) -> None:
        """Be gone: refuse connections and cut those that there are."""

    def open(self, reports: Reports, **more: Any) -> Provider:
        """A provider with this account's settings and time-outs far under a second."""

    def answer(self, arrived: Arrived, answer: Answer) -> None:
        """Say now what was not said at once."""

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        """Report a state out of provider.RECEIPT_STATES."""

    def send_inbound(self, text: str) -> Delivery:
        """A subscriber wrote."""

    def wrong_settings(self) -> Sequence[dict[str, Any]]:
        """Settings that cannot work; the secret stands where it may be quoted by mistake."""


class Desk:
    """Records what a provider reports."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.outcomes: dict[Submission, list[Outcome]] = {}
        self.receipts: list[Receipt] = []
        self.inbound: list[Inbound] = []
        self.states: list[Link] = []
        self.durable = asyncio.Event()
        self.durable.set()
        self.broken = False

    def reports(self) -> Reports:
        return Reports(self._outcomes, self._receipts, self._inbound, self._state)

    def _outcomes(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        for submission, outcome in batch:
            self.outcomes.setdefault(submission, []).append(outcome)
        self.watch.touch()

    async def _receipts(self, batch: Sequence[Receipt]) -> None:
        self.receipts += batch
        await self._keep()

    async def _inbound(self, batch: Sequence[Inbound]) -> None:
        self.inbound += batch
        await self._keep()

    async def _keep(self) -> None:
        self.watch.touch()
        await self.durable.wait()
        if self.broken:
            raise ConnectionError("the store is away")

    def _state(self, link: Link) -> None:
        self.states.append(link)
        self.watch.touch()

    def of(self, submission: Submission) -> list[Outcome]:
        return self.outcomes.get(submission, [])

    async def outcome(self, submission: Submission, number: int = 1) -> Outcome:
        await self.watch.until(lambda: len(self.of(submission)) >= number)
        return self.of(submission)[number - 1]
