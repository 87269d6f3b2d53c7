"""Magic numbers: what the sandbox does with a message to each of them, and how the message ends. One closed table.

The sandbox plays it, docs/test-keys.md shows it and tests run it. Pure data. The numbers are +44 7700 900000 to 900999,
which Ofcom keeps for drama: they are written like mobile numbers and are never given to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.message import State
from gateway.provider import Reason

PREFIX: Final = "447700900"
"""How the digits of every magic number begin. A number of the range that is not in the table is delivered."""

THROTTLED, QUEUE_FULL, SYSTEM_ERROR = 0x58, 0x14, 0x08  # command_status: SMPP 3.4, 5.1.3
BAD_RECIPIENT, BAD_SENDER, SUBMIT_FAILED = 0x0B, 0x0A, 0x45
BAD_CODING = 0x0104  # SMPP 5.0, 4.7.6

UNKNOWN_SUBSCRIBER, BARRED, ABSENT, MEMORY_FULL = 1, 13, 27, 32  # 3GPP TS 29.002, 17.6.6


class Said(NamedTuple):
    """One receipt. `after_s` counts from the answer to the submit, below zero: before it. `cause`: of the GSM network,
    0: none is told."""

    after_s: float = 0.0
    stat: str = "DELIVRD"
    cause: int = 0


DELIVERED: Final = Said()


class Magic(msgspec.Struct, frozen=True, kw_only=True):
    """One number. Seconds are those of an unhurried sandbox.

    title: what happens, for a reader. state, reason: how the message ends. stays: in which state it stays until its
    validity and the grace for receipts are over, where it does.
    """

    number: str
    title: str
    state: State = State.DELIVERED
    reason: Reason | None = None
    stays: State | None = None
    refusals: tuple[int, ...] = ()
    """What the first tries are answered with, one after another."""
    status: int = 0
    """What every try is answered with; not 0: refused for good."""
    answered: bool = True
    answer_s: float = 0.0
    receipts: tuple[Said, ...] = (DELIVERED,)
    second: tuple[Said, ...] | None = None
    """Receipts of the second part, where they differ; of a message taken whole when it has several parts."""
    reply: str = ""
    """What the phone writes back."""

    @property
    def digits(self) -> str:
        """The number without its +."""
        return self.number[1:]

    def receipts_of(self, part: int, parts: int) -> Sequence[Said]:
        """What is reported of a part; of a whole message where `part` is 0."""
        if self.second is not None and (part == 2 or (part == 0 and parts > 1)):
            return self.second
        return self.receipts


def _failed(number: str, title: str, said: Said, state: State, reason: Reason) -> Magic:
    return Magic(number=number, title=title, receipts=(said,), state=state, reason=reason)


def _refused(number: str, title: str, status: int, reason: Reason) -> Magic:
    return Magic(number=number, title=title, status=status, receipts=(), state=State.REJECTED, reason=reason)


_UNDELIVERABLE: Final = State.UNDELIVERABLE

TABLE: Final = (
    # 0xx: the phone gets it
    Magic(number="+447700900001", title="delivered at once"),
    Magic(number="+447700900002", title="delivered after 5 seconds", receipts=(Said(5.0),)),
    Magic(number="+447700900003", title="delivered after 30 seconds: a late receipt", receipts=(Said(30.0),)),
    Magic(number="+447700900004", title="the carrier takes 2 seconds to answer, then delivers", answer_s=2.0),
    Magic(number="+447700900005", title="delivered, and the receipt comes twice", receipts=(DELIVERED, DELIVERED)),
    Magic(
        number="+447700900006",
        title="delivered, and the receipt comes 3 seconds before the carrier's answer",
        answer_s=3.0,
        receipts=(Said(-3.0),),
    ),
    Magic(
        number="+447700900007",
        title="delivered, and 2 seconds later a receipt says that it was not: the first one counts",
        receipts=(DELIVERED, Said(2.0, "UNDELIV", ABSENT)),
    ),
    Magic(number="+447700900008", title="delivered, and the phone writes back: YES", reply="YES"),
    # 1xx: the carrier takes it, and the phone does not get it
    _failed(
        "+447700900101",
        "the phone is switched off or out of reach",
        Said(stat="UNDELIV", cause=ABSENT),
        _UNDELIVERABLE,
        Reason.UNREACHABLE,
    ),
    _failed(
        "+447700900102",
        "nobody has this number",
        Said(stat="UNDELIV", cause=UNKNOWN_SUBSCRIBER),
        _UNDELIVERABLE,
        Reason.UNKNOWN_SUBSCRIBER,
    ),
    _failed(
        "+447700900103",
        "the subscriber bars messages",
        Said(stat="UNDELIV", cause=BARRED),
        _UNDELIVERABLE,
        Reason.BLOCKED,
    ),
    _failed(
        "+447700900104",
        "the phone's memory is full",
        Said(stat="UNDELIV", cause=MEMORY_FULL),
        _UNDELIVERABLE,
        Reason.HANDSET,
    ),
    _failed("+447700900105", "the carrier deletes it", Said(stat="DELETED"), _UNDELIVERABLE, Reason.CARRIER_DELETED),
    _failed(
        "+447700900106",
        "the carrier tries until it expires",
        Said(stat="EXPIRED"),
        State.EXPIRED,
        Reason.CARRIER_EXPIRED,
    ),
    _failed(
        "+447700900107",
        "the carrier takes it and rejects it later",
        Said(stat="REJECTD"),
        State.REJECTED,
        Reason.CARRIER_ERROR,
    ),
    Magic(
        number="+447700900108",
        title="of a text of several parts the second is not delivered; one of one part is",
        second=(Said(stat="UNDELIV", cause=ABSENT),),
        state=_UNDELIVERABLE,
        reason=Reason.UNREACHABLE,
    ),
    # 2xx: the carrier refuses it; there is no receipt
    _refused("+447700900201", "the carrier refuses it", SUBMIT_FAILED, Reason.CARRIER_ERROR),
    _refused("+447700900202", "the carrier refuses the sender", BAD_SENDER, Reason.INVALID_SENDER),
    _refused("+447700900203", "the carrier refuses the number", BAD_RECIPIENT, Reason.INVALID_RECIPIENT),
    _refused("+447700900204", "the carrier refuses the text", BAD_CODING, Reason.INVALID_CONTENT),
    # 3xx: the carrier takes it only later
    Magic(number="+447700900301", title="throttled three times, then delivered", refusals=(THROTTLED,) * 3),
    Magic(
        number="+447700900302", title="the carrier's queue is full twice, then delivered", refusals=(QUEUE_FULL,) * 2
    ),
    Magic(
        number="+447700900303",
        title="a temporary error, and delivered by a second attempt 5 seconds later",
        refusals=(SYSTEM_ERROR,),
    ),
    # 4xx: nobody knows
    Magic(
        number="+447700900401",
        title="the carrier never answers",
        answered=False,
        receipts=(),
        stays=State.UNKNOWN,
        state=State.EXPIRED,
        reason=Reason.NO_RECEIPT,
    ),
    Magic(
        number="+447700900402",
        title="the carrier takes it, and no receipt ever comes",
        receipts=(),
        stays=State.SUBMITTED,
        state=State.EXPIRED,
        reason=Reason.NO_RECEIPT,
    ),
)

BY_DIGITS: Final = {magic.digits: magic for magic in TABLE}
