"""Optional parameters (SMPP 3.4, 5.3): tag, length, value.

In: the tail of a body, or tags and values. Out: a dict, or bytes. Never: an exception because of what a carrier sent.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

DEST_ADDR_SUBUNIT: Final = 0x0005
RECEIPTED_MESSAGE_ID: Final = 0x001E
USER_MESSAGE_REFERENCE: Final = 0x0204
SC_INTERFACE_VERSION: Final = 0x0210
SAR_MSG_REF_NUM: Final = 0x020C
SAR_TOTAL_SEGMENTS: Final = 0x020E
SAR_SEGMENT_SEQNUM: Final = 0x020F
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_PAYLOAD: Final = 0x0424
MESSAGE_STATE: Final = 0x0427

_head: Final = Struct(">HH")
_short: Final = Struct(">HHH").pack

# | tag 2 | length 2 | value: length | …


def decode(data: bytes) -> dict[int, bytes]:
    """Values by tag; of a repeated tag the first. What runs past the end is left out, with all that follows."""
    found: dict[int, bytes] = {}
    at, size, head = 0, len(data), _head.unpack_from
    while size - at >= 4:
        tag, length = head(data, at)
        at += 4
        if at + length > size:
            break
        found.setdefault(tag, data[at : at + length])
        at += length
    return found


def encode(tag: int, value: bytes) -> bytes:
    """One parameter of any tag. A C string's terminator is the caller's."""
    return _head.pack(tag, len(value)) + value


def encode_short(tag: int, value: int) -> bytes:
    """One parameter with a value of 16 bits, such as USER_MESSAGE_REFERENCE."""
    return _short(tag, 2, value)


def number(value: bytes | None) -> int:
    """A value as an unsigned number of whatever length came; -1 where there is none."""
    return int.from_bytes(value, "big") if value else -1


def text(value: bytes | None) -> str:
    """A C string's characters, with or without its terminator."""
    return value.split(b"\0", 1)[0].decode("latin-1") if value else ""
