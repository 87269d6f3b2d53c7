"""What SMPP's numbers mean to us: command_status to an outcome, message_state and GSM causes to states and reasons.

In: numbers as carriers send them, known or not. Out: `Outcome`, `Reason`, words for a log. Never: an exception for a
number that nobody listed; such a status is permanent (CARRIER_ERROR) and is told by its number.
"""

from __future__ import annotations

from typing import Final

from aiosmpplib import SmppCommandStatus as Status

from gateway.provider import RULES, Outcome, Reason, deferred, refused

# SMPP 3.4, 5.1.3. What is not here is CARRIER_ERROR: this carrier will not take it, another may.
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
    Status.ESME_RINVOPTPARSTREAM: Reason.UNSUPPORTED,
    Status.ESME_ROPTPARNOTALLWD: Reason.UNSUPPORTED,
    Status.ESME_RINVPARLEN: Reason.UNSUPPORTED,
    Status.ESME_RMISSINGOPTPARAM: Reason.UNSUPPORTED,
    Status.ESME_RINVOPTPARAMVAL: Reason.UNSUPPORTED,
    # SMPP 5.0, 4.7.6
    0x0100: Reason.UNAUTHORIZED,  # ESME_RSERTYPUNAUTH
    0x0101: Reason.BLOCKED,  # ESME_RPROHIBITED
    0x0102: Reason.TEMPORARY,  # ESME_RSERTYPUNAVAIL
    0x0103: Reason.UNAUTHORIZED,  # ESME_RSERTYPDENIED
    0x0104: Reason.INVALID_CONTENT,  # ESME_RINVDCS
}

CREDENTIALS: Final = frozenset(
    {Status.ESME_RBINDFAIL, Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP}
)
"""Answers to a bind that asking again soon will not change."""

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


def reason(status: int) -> Reason:
    """Why a request was answered with this status, which is not 0."""
    return REASONS.get(status, Reason.CARRIER_ERROR)


def outcome(status: int) -> Outcome:
    """What an answer with this status, which is not 0, means for a submission: deferred where asking again may help."""
    why = reason(status)
    return deferred(why, code=code(status)) if RULES[why].retry else refused(why, code(status))


def late_outcome(status: int) -> Outcome:
    """The same for an answer after the time-out: the attempt is settled as not taken, whoever may try again."""
    return refused(reason(status), code(status))
