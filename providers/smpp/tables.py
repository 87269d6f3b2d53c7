"""The tables inside an SMPP carrier's settings: codes, receipt codes, optional parameters.

In: what the plan says. Out: `Codes`, reasons by code, bytes; or ValueError with the row's name and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.provider import Reason
from gateway.smpp import tlv
from gateway.smpp.receipt import bare_code
from gateway.smpp.status import GIVEN, Codes

_OURS: Final = {
    tlv.USER_MESSAGE_REFERENCE: "user_message_reference",
    tlv.SAR_MSG_REF_NUM: "concatenation",
    tlv.SAR_TOTAL_SEGMENTS: "concatenation",
    tlv.SAR_SEGMENT_SEQNUM: "concatenation",
    tlv.MESSAGE_PAYLOAD: "concatenation",
}
_LONGEST: Final = 65_535


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a command_status of this carrier means."""

    reason: Annotated[str, Meta(description="a reason, such as throttled or invalid_recipient")]
    retry: Annotated[
        bool | None, Meta(description="whether this carrier may be asked again; absent: as the reason says")
    ] = None


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of an optional parameter, by its type: exactly one of these."""

    string: Annotated[str | None, Meta(description="octets of a text, without an end mark")] = None
    cstring: Annotated[str | None, Meta(description="a text that ends with a zero octet")] = None
    octets: Annotated[str | None, Meta(description='octets in hexadecimal, such as "0A0B"')] = None
    uint8: Annotated[Annotated[int, Meta(ge=0, le=0xFF)] | None, Meta(description="a number of one octet")] = None
    uint16: Annotated[Annotated[int, Meta(ge=0, le=0xFFFF)] | None, Meta(description="a number of two octets")] = None
    uint32: Annotated[Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] | None, Meta(description="a number of four octets")] = (
        None
    )


def codes(table: Mapping[str, Code]) -> Codes:
    """The meaning of statuses. Raises ValueError."""
    return Codes({_number(name, "codes", 0xFFFFFFFF): (_reason(f"codes.{name}", row.reason), row.retry)
                  for name, row in table.items()})  # fmt: skip


def receipt_codes(table: Mapping[str, str]) -> dict[str, str]:
    """Reasons by the `err` of a receipt, as `bare_code` writes it. Raises ValueError."""
    return {bare_code(code): _reason(f"receipt_codes.{code}", word).value for code, word in table.items()}


def parameters(table: Mapping[str, Parameter]) -> bytes:
    """Optional parameters as bytes. Raises ValueError."""
    return b"".join(_parameter(name, row) for name, row in table.items())


def _parameter(name: str, row: Parameter) -> bytes:
    tag = _number(name, "tlvs", 0xFFFF)
    if tag in _OURS:
        raise ValueError(f"`tlvs.{name}` is what the setting `{_OURS[tag]}` sends")
    given = [field for field in row.__struct_fields__ if getattr(row, field) is not None]
    if len(given) != 1:
        kinds = ", ".join(row.__struct_fields__)
        raise ValueError(f"`tlvs.{name}` must have exactly one of {kinds}")
    value = _octets(name, given[0], getattr(row, given[0]))
    if len(value) > _LONGEST:
        raise ValueError(f"`tlvs.{name}` is longer than {_LONGEST} octets")
    return tlv.encode(tag, value)


def _octets(name: str, kind: str, value: str | int) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(int(kind.removeprefix("uint")) // 8, "big")
    try:
        if kind == "octets":
            return bytes.fromhex(value)
        return value.encode("latin-1") + (b"\0" if kind == "cstring" else b"")
    except ValueError:
        right = "must be pairs of hexadecimal digits" if kind == "octets" else "may only hold Latin-1 characters"
        raise ValueError(f"`tlvs.{name}` {right}") from None


def _number(name: str, table: str, most: int) -> int:
    try:
        number = int(name, 0)
    except ValueError:
        number = -1
    if not 0 < number <= most:
        raise ValueError(f'`{table}.{name}` must be a number from 1 to {most:#x}, such as "0x{0x45:02X}"')
    return number


def _reason(name: str, word: str) -> Reason:
    if word not in GIVEN:
        raise ValueError(f"`{name}` must have a reason out of {', '.join(GIVEN)}")
    return Reason(word)
