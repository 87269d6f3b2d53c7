"""What the sandbox does with submit_sm and deliver_sm on its hot path, beside the codec of `gateway.smpp`.

In: a read's bytes and positions. Out: slices of them, or deliver_sm bodies. Never decodes a field that only travels
through, and never raises for what a peer sent.
"""

from __future__ import annotations

import time
from struct import Struct
from typing import Final, NamedTuple

from gateway.embedded.sandbox.forms import STATES
from gateway.smpp import tlv

ANSWER: Final = Struct(">IIII20s")
"""submit_sm_resp with an id of 19 digits and its NUL."""

NOT_BOUND, ALREADY_BOUND, BAD_LENGTH, BAD_COMMAND = 0x04, 0x05, 0x02, 0x03  # SMPP 3.4, 5.1.3
BIND_FAILED, BAD_PASSWORD, BAD_SYSTEM_ID = 0x0D, 0x0E, 0x0F

ECHO_HEAD: Final = tlv.USER_MESSAGE_REFERENCE.to_bytes(2, "big") + b"\0\2"
UDH_INDICATOR: Final = 0x40
REPLY_BITS: Final = 0x03  # of registered_delivery: the SMSC's receipt


def wanted(stat: str) -> tuple[bool, bool, bool, bool]:
    """Whether a receipt is wanted, by REPLY_BITS of registered_delivery (5.2.17): 1 any final state, 2 failures only, 3
    success only (SMPP 5.0)."""
    return (False, True, stat != "DELIVRD", stat == "DELIVRD")


class Submit(NamedTuple):
    """One submit_sm. Addresses are TON, NPI, digits and NUL as they came: a receipt turns them round unread."""

    source: bytes
    recipient: bytes
    esm_class: int
    registered: int
    coding: int
    body: bytes  # short_message, or message_payload when that is empty
    echo: bytes  # the user_message_reference TLV whole, or empty
    tlvs: bytes  # all TLVs as they came


# submit_sm (SMPP 3.4, 4.4.1), as far as it matters here:
# | service_type Z | ton npi source Z | ton npi recipient Z | esm pid prio | schedule Z | validity Z |
# | registered replace coding canned | length | short_message | TLVs |
def read_submit(data: bytes, begin: int, end: int) -> Submit | None:
    """The submit_sm whose body lies at `begin` to `end`; None when it does not hold together."""
    find = data.find
    service = find(0, begin)
    source = find(0, service + 3)
    recipient = find(0, source + 3)
    schedule = find(0, recipient + 4)
    validity = find(0, schedule + 1)
    if not begin <= service < source < recipient < schedule < validity < end - 5:
        return None
    text = validity + 6
    tail = text + data[validity + 5]
    if tail > end:
        return None
    tlvs = data[tail:end]
    body = data[text:tail]
    echo = tlvs
    if tlvs and not (len(tlvs) == 6 and tlvs[:4] == ECHO_HEAD):
        found = tlv.decode(tlvs)
        value = found.get(tlv.USER_MESSAGE_REFERENCE)
        echo = ECHO_HEAD + value if value is not None and len(value) == 2 else b""
        body = body or found.get(tlv.MESSAGE_PAYLOAD, b"")
    return Submit(
        data[service + 1 : source + 1],
        data[source + 1 : recipient + 1],
        data[recipient + 1],
        data[validity + 1],
        data[validity + 3],
        body,
        echo,
        tlvs,
    )


# deliver_sm (4.6.1) with a receipt (appendix B) and the TLVs receipted_message_id and message_state:
# | service_type Z | ton npi source Z | ton npi recipient Z | 04 0 0 | Z | Z | 0 0 0 0 | length | text | TLVs |
def receipt_template(stat: str, err: str, submitted: float, done: float) -> tuple[bytes, int]:
    """What receipts of one minute and fate share, for `receipt`, and its text's length without the message's text.

    Times are seconds since the epoch and are written in UTC.
    """
    delivered = "001" if stat == "DELIVRD" else "000"
    dates = [time.strftime("%y%m%d%H%M", time.gmtime(t)) for t in (submitted, done)]
    words = f" sub:001 dlvrd:{delivered} submit date:{dates[0]} done date:{dates[1]} stat:{stat} err:{err} text:"
    template = (
        b"\0%b%b\x04\0\0\0\0\0\0\0\0%cid:%b"
        + words.encode("ascii").replace(b"%", b"%%")
        + b"%b\x00\x1e\x00\x14%b\0\x04\x27\x00\x01"
        + bytes((STATES.get(stat, STATES["UNKNOWN"]),)).replace(b"%", b"%%")
        + b"%b"
    )
    return template, len(words) + 3 + 19


def receipt(template: tuple[bytes, int], submit: Submit, message_id: bytes) -> bytes:
    """The body of a receipt for a submit that was answered with `message_id` (19 digits)."""
    words, length = template
    plain = submit.coding == 0 and not submit.esm_class & UDH_INDICATOR
    text = submit.body[:20] if plain else b""
    return words % (submit.recipient, submit.source, length + len(text), message_id, text, message_id, submit.echo)


def address(value: str) -> bytes:
    """TON, NPI, digits and NUL of a number or a name."""
    digits = value.removeprefix("+")
    ton, npi = (1, 1) if digits.isdecimal() else (5, 0)
    return bytes((ton, npi)) + digits.encode("ascii", "replace") + b"\0"


class InboundBody(bytes):
    """A deliver_sm body that is a subscriber's message, not a receipt."""


class DataBody(bytes):
    """A receipt's body that goes by data_sm."""


def inbound(sender: bytes, recipient: bytes, coding: int, body: bytes, esm_class: int = 0) -> InboundBody:
    """The deliver_sm of a subscriber's message; addresses are TON, NPI, digits and NUL. A `body` of over 254 octets
    travels as message_payload."""
    short, payload = (body, b"") if len(body) <= 254 else (b"", body)
    tail = tlv.encode(tlv.MESSAGE_PAYLOAD, payload) if payload else b""
    fixed = bytes((esm_class, 0, 0, 0, 0, 0, 0, coding, 0, len(short)))
    return InboundBody(b"\0" + sender + recipient + fixed + short + tail)
