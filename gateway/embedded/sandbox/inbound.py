"""A subscriber's message on its way to us: in one part or several, cut, ordered and damaged as somebody wishes.

In: what the control port was asked. Out: bodies of deliver_sm. Raises ValueError for a wish that cannot be.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.embedded.sandbox import wire
from gateway.smpp import tlv
from gateway.text import gsm7, parts, ucs2


class InboundAsk(msgspec.Struct, forbid_unknown_fields=True):
    """A message that a subscriber sends us."""

    sender: Annotated[str, Meta(pattern=r"^\+?[0-9]{3,20}$")] = msgspec.field(name="from")
    to: Annotated[str, Meta(pattern=r"^\+?[0-9A-Za-z ]{1,20}$")]
    text: str
    system_id: str = ""
    web: bool = False
    """To the callback URL that the last message of the web carrier named, instead of a bind."""
    concatenation: Literal["udh8", "udh16", "sar", "message_payload"] = "udh8"
    reference: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    """Of its parts; None: the next one."""
    order: Literal["in_order", "reversed"] = "in_order"
    double: tuple[int, ...] = ()
    """Parts that come twice, from 1."""
    leave_out: tuple[int, ...] = ()
    """Parts that never come."""


def bodies(ask: InboundAsk, reference: int) -> list[wire.InboundBody]:
    """One a part, in the order in which they are sent. `reference`: when the wish has none."""
    encoding = parts.choose(ask.text)
    coding, encode = (0, gsm7.encode) if encoding == "gsm7" else (8, ucs2.encode)
    sender, recipient = wire.address(ask.sender), wire.address(ask.to)
    if ask.concatenation == "message_payload":
        payload = tlv.encode(tlv.MESSAGE_PAYLOAD, encode(ask.text))
        return [wire.InboundBody(wire.inbound(sender, recipient, coding, b"") + payload)]
    texts = parts.split(ask.text, encoding, _HEADERS[ask.concatenation])
    for number in (*ask.double, *ask.leave_out):
        if not 1 <= number <= len(texts):
            raise ValueError(f"double, leave_out: this text has {len(texts)} parts, and there is no part {number}")
    if len(texts) == 1:
        made = [wire.inbound(sender, recipient, coding, encode(ask.text))]
    else:
        reference = ask.reference if ask.reference is not None else reference
        made = [
            _part(ask.concatenation, sender, recipient, coding, encode(text), (reference, len(texts), number))
            for number, text in enumerate(texts, 1)
        ]
    numbered = list(enumerate(made, 1))
    if ask.order == "reversed":
        numbered.reverse()
    return [b for n, b in numbered if n not in ask.leave_out for _ in range(2 if n in ask.double else 1)]


_HEADERS = {"udh8": 6, "udh16": 7, "sar": 0}


def _part(
    way: str, sender: bytes, recipient: bytes, coding: int, text: bytes, place: tuple[int, int, int]
) -> wire.InboundBody:
    reference, total, number = place
    if way == "sar":
        tlvs = tlv.encode(tlv.SAR_MSG_REF_NUM, reference.to_bytes(2, "big"))
        tlvs += tlv.encode(tlv.SAR_TOTAL_SEGMENTS, bytes((total,)))
        tlvs += tlv.encode(tlv.SAR_SEGMENT_SEQNUM, bytes((number,)))
        return wire.InboundBody(wire.inbound(sender, recipient, coding, text) + tlvs)
    if way == "udh16":
        head = b"\6\x08\4" + reference.to_bytes(2, "big") + bytes((total, number))
    else:
        head = bytes((5, 0, 3, reference & 0xFF, total, number))
    return wire.inbound(sender, recipient, coding, head + text, wire.UDH_INDICATOR)
