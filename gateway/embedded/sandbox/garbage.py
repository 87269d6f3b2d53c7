"""What a carrier sends when something in it is broken, to see what a peer makes of it.

In: which kind (`rules.Garbage`). Out: bytes that no SMPP session should fall over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.embedded.sandbox import wire
from gateway.smpp import pdu, tlv

UNKNOWN_COMMAND: Final = 0x00010ABC
_NOISE_BYTES: Final = 64
_SENDER: Final = wire.address("+70000000000")


class JunkBody(bytes):
    """Kept in the place of a body until it is answered; never sent again."""


def make(kind: str, sequence: int, random: Callable[[], float]) -> tuple[bytes, bool]:
    """The bytes, and whether a peer should answer them under `sequence`."""
    if kind == "noise":
        return bytes(int(random() * 256) for _ in range(_NOISE_BYTES)), False
    if kind == "length":
        return b"\0\0\0\4", False
    if kind == "command":
        return pdu.encode(UNKNOWN_COMMAND, sequence, pdu.OK, b"what?"), False
    if kind == "truncated":
        return pdu.encode(pdu.DELIVER_SM, sequence, pdu.OK, b"\0" + _SENDER + b"\1\1"), True
    body = wire.inbound(_SENDER, wire.address("Sluice"), 0, b"its last parameter runs past its end")
    return pdu.encode(pdu.DELIVER_SM, sequence, pdu.OK, body + tlv.encode(tlv.MESSAGE_PAYLOAD, b"short")[:-3]), True
