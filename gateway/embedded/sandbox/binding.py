"""Who may bind, and how: by the accounts and the profile in force.

In: the body of a bind request. Out: a status, the account, and the answer.
"""

from __future__ import annotations

import hmac
from typing import Final

from gateway.embedded.sandbox import wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu

KINDS: Final = {
    pdu.BIND_TRANSCEIVER: "transceiver",
    pdu.BIND_TRANSMITTER: "transmitter",
    pdu.BIND_RECEIVER: "receiver",
}
SYSTEM_ID: Final = b"SluiceSandbox"


def examine(
    smsc: Smsc, known: Account | None, command: int, data: bytes, begin: int, end: int
) -> tuple[int, Account | None]:
    """The status of the answer, and the account when it is 0. `known`: the one that the connection has already."""
    profile = smsc.profile
    if known is not None:
        return wire.ALREADY_BOUND, None
    if profile.bind_status:
        return profile.bind_status, None
    if profile.version == "3.3" and command == pdu.BIND_TRANSCEIVER:
        return wire.BAD_COMMAND, None
    if KINDS[command] not in profile.binds:
        return wire.BIND_FAILED, None
    try:
        bind = pdu.decode_bind(data, begin, end)
    except pdu.BodyError:
        return wire.BAD_LENGTH, None
    account = smsc.accounts.get(bind.system_id.decode("latin-1"))
    if account is None:
        return wire.BAD_SYSTEM_ID, None
    if not hmac.compare_digest(account.password.encode(), bind.password):
        return wire.BAD_PASSWORD, None
    return pdu.OK, account


def answer(smsc: Smsc, command: int, sequence: int, status: int) -> bytes:
    """The answer; SMPP 3.3 knows neither transceivers nor sc_interface_version."""
    if smsc.profile.version == "3.3":
        if command == pdu.BIND_TRANSCEIVER:
            return pdu.encode(pdu.GENERIC_NACK, sequence, status)
        return pdu.encode(command | pdu.ANSWER, sequence, status, b"" if status else SYSTEM_ID + b"\0")
    return pdu.encode_bind_answer(command, sequence, b"" if status else SYSTEM_ID, status)
