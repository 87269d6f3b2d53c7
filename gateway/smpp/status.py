"""What SMPP's numbers mean to us: command_status to an outcome, message_state and GSM causes to states and reasons.

In: numbers as carriers send them, known or not. Out: `Outcome`, `Reason`, words for a log. Never: an exception for a
number that nobody listed; such a status is permanent (CARRIER_ERROR) and is told by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiosmpplib import SmppCommandStatus as Status

from gateway.provider import RULES, Outcome, Reason, deferred, refused

# SMPP 3.4, 5.1.3, whole. What is not here is CARRIER_ERROR: this carrier will not take it, another may.
REASONS: Final[dict[int, Reason]] = {
    Status.ESME_RINVMSGLEN: Reason.INVALID_CONTENT,
    Status.ESME_RINVCMDLEN: Reason.UNSUPPORTED,
    Status.ESME_RINVCMDID: Reason.UNSUPPORTED,
    Status.ESME_RINVBNDSTS: Reason.NOT_BOUND,
    Status.ESME_RALYBND: Reason.NOT_BOUND,
    Status.ESME_RINVPRTFLG: Reason.UNSUPPORTED,
    Status.ESME_RINVREGDLVFLG: Reason.UNSUPPORTED,
    Status.ESME_RSYSERR: Reason.TEMPORARY,
    Status.ESME_RINVSRCADR: Reason.INVALID_SENDER,
    Status.ESME_RINVDSTADR: Reason.INVALID_RECIPIENT,
    Status.ESME_RBINDFAIL: Reason.UNAUTHORIZED,
    Status.ESME_RINVPASWD: Reason.UNAUTHORIZED,
    Status.ESME_RINVSYSID: Reason.UNAUTHORIZED,
    Status.ESME_RMSGQFUL: Reason.QUEUE_FULL,
    Status.ESME_RINVSERTYP: Reason.UNSUPPORTED,
    Status.ESME_RINVESMCLASS: Reason.UNSUPPORTED,
    Status.ESME_RINVSRCTON: Reason.INVALID_SENDER,
    Status.ESME_RINVSRCNPI: Reason.INVALID_SENDER,
    Status.ESME_RINVDSTTON: Reason.INVALID_RECIPIENT,
    Status.ESME_RINVDSTNPI: Reason.INVALID_RECIPIENT,
    Status.ESME_RINVSYSTYP: Reason.UNAUTHORIZED,
    Status.ESME_RINVREPFLAG: Reason.UNSUPPORTED,
    Status.ESME_RTHROTTLED: Reason.THROTTLED,
    Status.ESME_RINVSCHED: Reason.UNSUPPORTED,
    Status.ESME_RINVEXPIRY: Reason.UNSUPPORTED,
    Status.ESME_RINVDFTMSGID: Reason.UNSUPPORTED,
    Status.ESME_RX_T_APPN: Reason.TEMPORARY,
    Status.ESME_RX_P_APPN: Reason.CARRIER_ERROR,
    Status.ESME_RX_R_APPN: Reason.CARRIER_ERROR,
    Status.ESME_RINVOPTPARSTREAM: Reason.UNSUPPORTED,
    Status.ESME_ROPTPARNOTALLWD: Reason.UNSUPPORTED,
    Status.ESME_RINVPARLEN: Reason.UNSUPPORTED,
    Status.ESME_RMISSINGOPTPARAM: Reason.UNSUPPORTED,
    Status.ESME_RINVOPTPARAMVAL: Reason.UNSUPPORTED,
    Status.ESME_RINVMSGID: Reason.CARRIER_ERROR,
    Status.ESME_RCANCELFAIL: Reason.CARRIER_ERROR,
    Status.ESME_RREPLACEFAIL: Reason.CARRIER_ERROR,
    Status.ESME_RINVNUMDESTS: Reason.UNSUPPORTED,
    Status.ESME_RINVDLNAME: Reason.UNSUPPORTED,
    Status.ESME_RINVDESTFLAG: Reason.UNSUPPORTED,
    Status.ESME_RINVSUBREP: Reason.UNSUPPORTED,
    Status.ESME_RCNTSUBDL: Reason.UNSUPPORTED,
    Status.ESME_RSUBMITFAIL: Reason.CARRIER_ERROR,
    Status.ESME_RINVNUMMSGS: Reason.UNSUPPORTED,
    Status.ESME_RQUERYFAIL: Reason.CARRIER_ERROR,
    Status.ESME_RDELIVERYFAILURE: Reason.CARRIER_ERROR,
    Status.ESME_RUNKNOWNERR: Reason.CARRIER_ERROR,
    # SMPP 5.0, 4.7.6
    0x0100: Reason.UNAUTHORIZED,  # ESME_RSERTYPUNAUTH
    0x0101: Reason.BLOCKED,  # ESME_RPROHIBITED
    0x0102: Reason.TEMPORARY,  # ESME_RSERTYPUNAVAIL
    0x0103: Reason.UNAUTHORIZED,  # ESME_RSERTYPDENIED
    0x0104: Reason.INVALID_CONTENT,  # ESME_RINVDCS
    0x0105: Reason.UNSUPPORTED,  # ESME_RINVSRCADDRSUBUNIT
    0x0106: Reason.UNSUPPORTED,  # ESME_RINVDSTADDRSUBUNIT
    **dict.fromkeys(range(0x0107, 0x0113), Reason.UNSUPPORTED),  # of broadcasts
}

CREDENTIALS: Final = frozenset(
    {Status.ESME_RBINDFAIL, Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP}
)
"""Answers to a bind that asking again soon will not change."""

GIVEN: Final = (
    Reason.THROTTLED, Reason.QUEUE_FULL, Reason.TEMPORARY, Reason.UNAUTHORIZED, Reason.NO_CREDIT,
    Reason.INVALID_RECIPIENT, Reason.INVALID_SENDER, Reason.INVALID_CONTENT, Reason.BLOCKED, Reason.UNSUPPORTED,
    Reason.UNREACHABLE, Reason.UNKNOWN_SUBSCRIBER, Reason.HANDSET, Reason.CARRIER_ERROR, Reason.CARRIER_EXPIRED,
    Reason.CARRIER_DELETED,
)  # fmt: skip
"""Reasons that a carrier may have; the others are our own."""

MESSAGE_STATES: Final[dict[int, str]] = {
    0: "enroute",  # SMPP 5.0: scheduled
    1: "enroute",
    2: "delivered",
    3: "expired",
    4: "deleted",
    5: "undeliverable",
    6: "accepted",
    7: "unknown",
    8: "rejected",
    9: "undeliverable",  # SMPP 5.0: skipped
}
"""The message_state parameter (SMPP 3.4, 5.2.28) as our receipt states."""

GSM_CAUSES: Final[dict[int, Reason]] = {
    1: Reason.UNKNOWN_SUBSCRIBER,
    5: Reason.UNKNOWN_SUBSCRIBER,
    6: Reason.UNREACHABLE,
    9: Reason.UNKNOWN_SUBSCRIBER,
    11: Reason.UNSUPPORTED,
    12: Reason.HANDSET,
    13: Reason.BLOCKED,
    21: Reason.UNSUPPORTED,
    27: Reason.UNREACHABLE,
    31: Reason.HANDSET,
    32: Reason.HANDSET,
    33: Reason.UNREACHABLE,
    34: Reason.CARRIER_ERROR,
    35: Reason.CARRIER_ERROR,
    36: Reason.CARRIER_ERROR,
}
"""Errors of the mobile application part (3GPP TS 29.002, 17.6.6), as network_error_code of type 3 carries them."""


def code(status: int) -> str:
    """A status as text that is the same everywhere: 0x0B, 0x58, 0x0401."""
    return f"0x{status:02X}" if status < 0x100 else f"0x{status:04X}"


def words(status: int) -> str:
    """A status for a person: its number, and its name where the standard has one."""
    try:
        return f"{code(status)} {Status(status).name}"
    except ValueError:
        return code(status)


class Codes:
    """What one carrier's statuses mean: REASONS, with rows of its settings over them.

    A row says the reason, and whether this carrier may be asked again where that is not as the reason says.
    """

    def __init__(self, own: Mapping[int, tuple[Reason, bool | None]] | None = None) -> None:
        self._own = own or {}

    def reason(self, status: int) -> Reason:
        """Why a request was answered with this status, which is not 0."""
        own = self._own.get(status)
        return own[0] if own is not None else REASONS.get(status, Reason.CARRIER_ERROR)

    def outcome(self, status: int) -> Outcome:
        """What an answer with it means for a submission: deferred where asking this carrier again may help."""
        why = self.reason(status)
        own = self._own.get(status)
        again = RULES[why].retry if own is None or own[1] is None else own[1]
        return deferred(why, code=code(status)) if again else refused(why, code(status))

    def late_outcome(self, status: int) -> Outcome:
        """The same for an answer after the time-out: the attempt is settled as not taken, whoever may try again."""
        return refused(self.reason(status), code(status))


STANDARD: Final = Codes()


def is_known(status: int) -> bool:
    """Whether the table has a row for it."""
    return status in REASONS


def reason(status: int) -> Reason:
    """Why a request was answered with this status, which is not 0."""
    return STANDARD.reason(status)


def outcome(status: int) -> Outcome:
    """What an answer with this status, which is not 0, means for a submission."""
    return STANDARD.outcome(status)


def late_outcome(status: int) -> Outcome:
    """The same for an answer after the time-out."""
    return STANDARD.late_outcome(status)
