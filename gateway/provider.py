"""The carrier contract: what the gateway hands to a provider, what a provider reports back, and why things fail.

A provider opens with its carrier's settings and a `Reports`, takes batches of submissions and reports batches of
outcomes. Policy (retry, rate, breaker, reroute) is never a provider's business. Pure: no I/O here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import msgspec


class Reason(StrEnum):
    """Why a message did not move forward. Closed: it is also the metric label and the word clients see."""

    THROTTLED = "throttled"
    QUEUE_FULL = "queue_full"
    TEMPORARY = "temporary"
    NO_ANSWER = "no_answer"
    DISCONNECTED = "disconnected"
    NOT_BOUND = "not_bound"
    UNAUTHORIZED = "unauthorized"
    NO_CREDIT = "no_credit"
    INVALID_RECIPIENT = "invalid_recipient"
    INVALID_SENDER = "invalid_sender"
    INVALID_CONTENT = "invalid_content"
    BLOCKED = "blocked"
    UNSUPPORTED = "unsupported"
    UNREACHABLE = "unreachable"
    UNKNOWN_SUBSCRIBER = "unknown_subscriber"
    HANDSET = "handset"
    CARRIER_ERROR = "carrier_error"
    CARRIER_EXPIRED = "carrier_expired"
    CARRIER_DELETED = "carrier_deleted"
    NO_ROUTE = "no_route"
    NO_CARRIER = "no_carrier"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    VALIDITY = "validity"
    NO_RECEIPT = "no_receipt"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    DAMAGED = "damaged"
    LIMIT = "limit"
    PAUSED = "paused"
    BUDGET = "budget"
    SENDER_NOT_REGISTERED = "sender_not_registered"
    STOPPED = "stopped"
    WINDOW_HOURS = "window_hours"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a `Reason` asks of the connector, and what it tells the client.

    retry: may the same carrier be tried again; reroute: may another carrier be tried; slow: should the bind slow down.
    """

    retry: bool
    reroute: bool
    slow: bool
    words: str


RULES: Mapping[Reason, Rule] = {
    Reason.THROTTLED: Rule(True, True, True, "the carrier asked us to slow down"),
    Reason.QUEUE_FULL: Rule(True, True, True, "the carrier's queue is full"),
    Reason.TEMPORARY: Rule(True, True, False, "the carrier had a temporary error"),
    Reason.NO_ANSWER: Rule(False, False, False, "the carrier did not answer in time"),
    Reason.DISCONNECTED: Rule(False, False, False, "the link to the carrier broke before it answered"),
    Reason.NOT_BOUND: Rule(True, True, False, "no link to the carrier was up"),
    Reason.UNAUTHORIZED: Rule(False, True, False, "the carrier refused our credentials"),
    Reason.NO_CREDIT: Rule(False, True, False, "the account at the carrier has no credit"),
    Reason.INVALID_RECIPIENT: Rule(False, False, False, "the carrier says that the number is not valid"),
    Reason.INVALID_SENDER: Rule(False, True, False, "the carrier does not accept this sender"),
    Reason.INVALID_CONTENT: Rule(False, False, False, "the carrier does not accept this text"),
    Reason.BLOCKED: Rule(False, True, False, "the carrier blocked the message"),
    Reason.UNSUPPORTED: Rule(False, True, False, "the carrier does not support what the message asks for"),
    Reason.UNREACHABLE: Rule(False, False, False, "the phone could not be reached"),
    Reason.UNKNOWN_SUBSCRIBER: Rule(False, False, False, "the network does not know this subscriber"),
    Reason.HANDSET: Rule(False, False, False, "the phone refused the message"),
    Reason.CARRIER_ERROR: Rule(False, True, False, "the carrier reported an error"),
    Reason.CARRIER_EXPIRED: Rule(False, False, False, "the carrier gave up after the message's validity"),
    Reason.CARRIER_DELETED: Rule(False, False, False, "the carrier deleted the message"),
    Reason.NO_ROUTE: Rule(False, False, False, "no route of the plan takes this message"),
    Reason.NO_CARRIER: Rule(False, False, False, "no carrier of the route could take the message in time"),
    Reason.ATTEMPTS_EXHAUSTED: Rule(False, False, False, "every carrier of the route was tried"),
    Reason.VALIDITY: Rule(False, False, False, "the validity ended before the message could be handed over"),
    Reason.NO_RECEIPT: Rule(False, False, False, "no receipt came within validity and grace"),
    Reason.UNCERTAIN: Rule(False, False, False, "it is not known whether the carrier took the message"),
    Reason.CANCELLED: Rule(False, False, False, "the client cancelled the message"),
    Reason.DAMAGED: Rule(False, False, False, "a stored value could not be read"),
    Reason.LIMIT: Rule(False, False, False, "a limit of the plan has no room for it"),
    Reason.PAUSED: Rule(False, False, False, "an operator paused its carrier, class, client or tag"),
    Reason.BUDGET: Rule(False, False, False, "the budget of its client or tag is spent"),
    Reason.SENDER_NOT_REGISTERED: Rule(False, False, False, "no carrier of the route may use this sender"),
    Reason.STOPPED: Rule(False, False, False, "the recipient is on a stop list for this class"),
    Reason.WINDOW_HOURS: Rule(False, False, False, "it is outside the hours in which the recipient may be sent to"),
}


class Submission(msgspec.Struct, gc=False, eq=False):
    """One attempt to hand one part to one carrier. `part` counts from 1; 0 when the provider takes messages whole."""

    message_id: bytes
    attempt: int
    part: int
    parts: int
    to: str  # E.164 with +
    sender: str
    text: str  # this part's text; the whole text for part 0
    encoding: str  # "gsm7" | "ucs2"
    concat_ref: int
    deadline_ms: int
    klass: str
    echo: int  # 16 bits from message id, attempt and part: user_message_reference (SMPP 3.4, 5.3.2.17)
    sent_ms: int = 0  # set by the provider when the bytes go out
    bind: str = ""  # set by the provider
    origin: Any = None  # the connector's own; a provider hands it back untouched
    prepared: Any = None  # the provider's own: what it made of it ahead


class SecretText(str):
    """A value of a carrier's settings that came from an environment variable or a file. Its repr does not show it, and
    a provider never reads it as anything but itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


STAND_IN: Final = SecretText("secret")
"""What stands for each secret while a plan is checked where its secrets are not."""


class Kind(IntEnum):
    """What a carrier said to a submission."""

    ACCEPTED = 0
    DEFERRED = 1  # certainly not taken; may be tried again
    REFUSED = 2  # certainly not taken; this carrier will not take it
    UNCERTAIN = 3  # may or may not have been taken


class Outcome(msgspec.Struct, gc=False, frozen=True):
    """A carrier's answer as a value. `after_s`: the carrier's own wish for a pause; `code`: its own code, as text."""

    kind: Kind
    carrier_message_id: str = ""
    reason: Reason | None = None
    code: str = ""
    after_s: float = 0.0


def accepted(carrier_message_id: str) -> Outcome:
    """The carrier took it. An empty id means that receipts cannot be matched."""
    return Outcome(Kind.ACCEPTED, carrier_message_id)


def deferred(reason: Reason, after_s: float = 0.0, code: str = "") -> Outcome:
    """Not taken now."""
    return Outcome(Kind.DEFERRED, "", reason, code, after_s)


def refused(reason: Reason, code: str = "") -> Outcome:
    """Not taken, and asking this carrier again will not help."""
    return Outcome(Kind.REFUSED, "", reason, code)


def uncertain(reason: Reason = Reason.NO_ANSWER, code: str = "") -> Outcome:
    """Bytes may have left and no answer came. A later `accepted` or `refused` for the same submission heals it."""
    return Outcome(Kind.UNCERTAIN, "", reason, code)


RECEIPT_STATES = ("accepted", "enroute", "delivered", "undeliverable", "rejected", "expired", "deleted", "unknown")


class Receipt(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A carrier's later report on one submission, normalised. `state` is one of RECEIPT_STATES."""

    carrier_message_id: str
    state: str
    code: str = ""  # the carrier's err field as it came
    reason: str = ""  # a Reason value for what did not succeed
    done_ms: int = 0  # the carrier's own done date; 0: none or not readable
    recipient: str = ""  # as the carrier wrote it
    sender: str = ""
    echo: int = -1  # user_message_reference, -1: none
    raw: str = ""  # receipt text without the message's own text
    bind: str = ""
    whole: bool = False  # speaks for all parts of its message: this carrier reports on one of them


class Inbound(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A message from a subscriber. `segment` is (reference, total, number) of a concatenated one, else empty."""

    sender: str
    recipient: str
    text: str
    segment: tuple[int, ...] = ()
    bind: str = ""
    raw: bytes = b""


class Link(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The state of one bind. `state`: connecting, binding, bound, unbinding, closed or refused."""

    bind: str
    state: str
    since_ms: int
    error: str = ""
    in_flight: int = 0
    window: int = 0


def host_clock_ms() -> int:
    """Milliseconds since the epoch by this host's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Reports:
    """Where a provider reports. `on_outcomes` and `on_state` return at once; the other two are awaited until what they
    were given is durable, and only then does the carrier get its answer."""

    on_outcomes: Callable[[Sequence[tuple[Submission, Outcome]]], None]
    on_receipts: Callable[[Sequence[Receipt]], Awaitable[None]]
    on_inbound: Callable[[Sequence[Inbound]], Awaitable[None]]
    on_state: Callable[[Link], None]
    clock_ms: Callable[[], int] = host_clock_ms
    """The gateway's clock: what a provider stamps is compared with what Redis stamped."""
    callbacks_url: str = ""
    """Where carriers reach `/v1/receipts/` from outside, such as https://sms.example.com; empty: nowhere."""
    polls: PollBook | None = None
    """Where a provider keeps what it is going to ask about; None: in its memory alone."""


class Nudge(msgspec.Struct, frozen=True):
    """A message of which a webhook tells no state that could be trusted: the carrier is asked. `part` as submitted."""

    message_id: bytes
    attempt: int
    part: int
    carrier_message_id: str
    recipient: str = ""


class CallbackRequest(msgspec.Struct, frozen=True):
    """A carrier's webhook request, as any process received it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote: str
    target: str = ""
    """Path and query as they came, before anything was decoded."""


class Callback(msgspec.Struct, frozen=True):
    """What a webhook request meant, and the answer that the carrier wants once it is durable."""

    receipts: Sequence[Receipt] = ()
    inbound: Sequence[Inbound] = ()
    """What cannot be read among what can is an `Inbound` with nothing but its raw bytes, so that it is kept."""
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    nudges: Sequence[Nudge] = ()


class CallbackRefusedError(Exception):
    """A webhook request does not prove that it comes from the carrier. The text never shows what was given.

    status: 401 without any proof, 403 with a wrong one.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class SettingsError(ValueError):
    """A carrier's settings cannot work. The text names the setting and says what would be right, never its value."""


class Provider(Protocol):
    """A carrier's protocol for one carrier account, with all its binds.

    Made by `providers.<name>.open(carrier, settings, reports)`, which raises SettingsError; `settings` is the carrier's
    table of the plan with secrets resolved. Life: `start()` once, then `submit` any number of times, then `close()`.
    """

    whole: bool
    """True: takes a message whole as part 0. False: takes it part by part."""

    def split(self, text: str, encoding: str) -> Sequence[str]:
        """The parts' texts as this carrier's concatenation cuts them. Pure; one element: no concatenation."""
        ...

    async def start(self) -> None:
        """Begin to connect; returns at once. A carrier that is away is a state, not an exception."""
        ...

    @property
    def room(self) -> int:
        """How many submissions it would put on the wire now; 0 without a live bind, below 0 when some wait inside."""
        ...

    @property
    def live(self) -> bool:
        """Whether at least one bind can submit."""
        ...

    def links(self) -> Sequence[Link]:
        """Every bind as it is now."""
        ...

    def on_room(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever `room` grew."""
        ...

    def submit(self, batch: Sequence[Submission]) -> None:
        """Put the batch on the wire. Never raises for a carrier's "no". Every submission gets exactly one outcome, and
        after an `uncertain` at most one more that heals it. What cannot be sent at all comes back `deferred`."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Take no more, wait for what is in flight up to `timeout_s`, report the rest uncertain, release everything."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A provider that can do part of its work on submissions before there is room for them."""

    def prepare(self, batch: Sequence[Submission]) -> None:
        """These will most likely be submitted soon; not surely, and not surely in this order."""
        ...


@runtime_checkable
class Warns(Protocol):
    """A provider that finds something in its settings that may not work as it is meant."""

    @property
    def warnings(self) -> Sequence[str]:
        """Each a sentence with the setting's name in backticks, never its value."""
        ...


class Sent(msgspec.Struct, array_like=True, frozen=True):
    """A submission that a carrier took, as one asks the carrier for it. Fields grow only at the end, with defaults."""

    carrier_message_id: str
    sender: str
    to: str
    bind: str = ""


class Poll(msgspec.Struct, array_like=True, frozen=True):
    """A message that a provider is going to ask its carrier about: when, and how often it has. Fields grow only at the
    end, with defaults."""

    due_ms: int
    before: int
    sent: Sent


class PollBook(Protocol):
    """What outlives a provider's process, so that the next one goes on where it ended."""

    async def read(self) -> Sequence[Poll]:
        """All that is kept. Raises OSError while it cannot be reached."""
        ...

    async def write(self, polls: Sequence[Poll], over: Sequence[str]) -> None:
        """Keep these instead of what was kept of the same ids; forget those ids. Raises OSError as above."""
        ...


@runtime_checkable
class Asks(Protocol):
    """A provider that can ask its carrier about what it took, where the carrier's settings allow it."""

    can_query: bool
    can_cancel: bool

    async def query(self, sent: Sent) -> Receipt | None:
        """What became of it; None: the carrier did not say. Never raises for a carrier's "no"."""
        ...

    async def cancel(self, sent: Sent) -> Outcome:
        """Take it back: `accepted` when the carrier did, `refused` when it would not, else `uncertain`."""
        ...


class Balance(msgspec.Struct, frozen=True):
    """What an account at a carrier had left at a moment. `low`: below it somebody should know."""

    amount: float
    currency: str
    at_ms: int
    low: float = 0.0


@runtime_checkable
class Prepaid(Protocol):
    """A provider that reads now and then what its account has left."""

    balance: Balance | None
    """As last read; None: never yet, or the carrier does not say."""


@runtime_checkable
class ReadsCallbacks(Protocol):
    """A provider whose carrier reports by webhook. A pure function of the request: it may run in another process."""

    def parse_callback(self, request: CallbackRequest) -> Callback:
        """Raises CallbackRefusedError for a request that proves nothing, ValueError for one that cannot be read."""
        ...
