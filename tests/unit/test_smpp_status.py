"""What command_status means to us."""

from __future__ import annotations

import pytest
from aiosmpplib import SmppCommandStatus as Status

from gateway.provider import RULES, Kind, Reason
from gateway.smpp import status


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (Status.ESME_RTHROTTLED, Kind.DEFERRED, Reason.THROTTLED),
        (Status.ESME_RMSGQFUL, Kind.DEFERRED, Reason.QUEUE_FULL),
        (Status.ESME_RSYSERR, Kind.DEFERRED, Reason.TEMPORARY),
        (Status.ESME_RX_T_APPN, Kind.DEFERRED, Reason.TEMPORARY),
        (Status.ESME_RINVDSTADR, Kind.REFUSED, Reason.INVALID_RECIPIENT),
        (Status.ESME_RINVSRCADR, Kind.REFUSED, Reason.INVALID_SENDER),
        (Status.ESME_RINVMSGLEN, Kind.REFUSED, Reason.INVALID_CONTENT),
        (Status.ESME_RSUBMITFAIL, Kind.REFUSED, Reason.CARRIER_ERROR),
        (0x0401, Kind.REFUSED, Reason.CARRIER_ERROR),
        (0xFFFFFFFF, Kind.REFUSED, Reason.CARRIER_ERROR),
    ],
)
def test_a_status_is_deferred_where_asking_again_may_help_else_refused(code: int, kind: Kind, reason: Reason) -> None:
    outcome = status.outcome(code)
    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_every_status_of_the_standard_has_an_outcome_with_its_number() -> None:
    for code in Status:
        outcome = status.outcome(code)
        assert outcome.reason is not None and int(outcome.code, 16) == code
        assert (outcome.kind is Kind.DEFERRED) == RULES[outcome.reason].retry


def test_a_late_no_settles_the_attempt() -> None:
    assert all(status.late_outcome(code).kind is Kind.REFUSED for code in Status)


def test_a_status_is_told_by_number_and_by_name_where_it_has_one() -> None:
    assert status.words(0x0E) == "0x0E ESME_RINVPASWD"
    assert status.words(0x0401) == "0x0401"
