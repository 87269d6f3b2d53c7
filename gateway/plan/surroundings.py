"""What routing knows beside the plan and the message: whose number it is, the time, who is live, what is full.

In: nothing. Out: values and the shapes of the questions that choice.py asks. Each answer is good for one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from gateway.message import Message
    from gateway.plan.admission import Barred
    from gateway.plan.choice import Compiled
    from gateway.provider import Reason


class Whose(msgspec.Struct, frozen=True, gc=False):
    """The network that a number belongs to, and how that is known. Empty strings: not known."""

    operator: str
    """The plan's name; "" when no operator of the plan covers the number."""
    country: str = ""
    """ISO 3166 alpha-2."""
    region: str = ""
    """As the source spells it."""
    zones: tuple[str, ...] = ()
    """IANA time zones that the number may be in."""
    source: str = ""
    """`ported`, `plan`, `numbers`, `phonenumbers`, `lookup` or, for the plan's rest, `rest`."""


class Directory(Protocol):
    """Whose number it is."""

    def find(self, to: str) -> Whose | None:
        """The network of an E.164 number with its plus; None when nothing at all covers it."""


class Chance(msgspec.Struct, frozen=True, gc=False):
    """How a carrier did for an operator in recent hours."""

    delivered: float
    """Lower bound of the probability that a message is delivered within its class's deadline, 0 to 1."""
    expected: float
    """The estimate itself."""
    messages: int
    """How many messages it rests on; 0: nothing is known."""


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Why a message is put off, and until when (ms); 0: until somebody says otherwise, or it expires."""

    reason: Reason
    until_ms: int


class Surroundings(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The world at one moment. Defaults: everything is live, nothing is full, nothing was sent this month."""

    now_ms: int = 0
    """Since the epoch, by the clock of Redis."""
    is_steady: bool = False
    """Whether `live`, `slow` and `aside` say the same of a carrier however often they are asked."""
    live: Callable[[str], bool] | None = None
    """Whether a carrier takes messages now: it has a live bind, an open breaker does not hold it, nobody paused it."""
    full: Callable[[str, str, str, str, str, str, int], int] | None = None
    """(carrier, operator, sender, client, tag, class, parts) → 0, or until when (ms) a limit has no room for them."""
    slow: Callable[[str, str], bool] | None = None
    """(carrier, class) → whether more waits there than it sends in a while: others come first."""
    aside: Callable[[str, str], bool] | None = None
    """(carrier, operator) → whether most of what goes there fails: others come first. A no may be one of few, as with
    `live`."""
    chance: Callable[[str, str, str], Chance | None] | None = None
    """(carrier, operator, class) → how likely delivery is."""
    used: Callable[[str, str, str], int] | None = None
    """(carrier, operator, class) → parts sent there in this month; "" in place of operator or class: all of them."""
    barred: Callable[[Compiled, Message, int], Barred | None] | None = None
    """(plan, message, time) → why it may not go to its recipient now: stop lists and sending hours."""
    waits: Callable[[Message, bool], Wait | None] | None = None
    """(message, whether it comes for the first time) → why it has to wait whatever carriers say: its tag is paused, its
    budget is spent. None: none has to."""
