"""A submission as the body of submit_sm: addresses, alphabet, concatenation, validity, our reference.

In: a `Submission` and the time. Out: bytes without the header, or the refusal of what cannot be said in SMPP. Never
encodes twice what repeats over a campaign. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from struct import Struct
from typing import Final

from gateway.provider import Outcome, Reason, Submission, refused
from gateway.smpp import pdu, septets, tlv
from gateway.text import gsm7
from providers.smpp import tables
from providers.smpp.settings import SmppSettings

UDH_BYTES: Final = {"udh8": 6, "udh16": 7, "sar": 6, "message_payload": 6}
"""Bytes that each kind of concatenation takes from a part. An SMSC makes a header of what has none."""

_UDHI: Final = 0x40
_KEPT: Final = 10_000
_VALIDITY_STEP_S: Final = 10
_INTERNATIONAL_DIGITS: Final = 9  # shorter senders without a + are short codes
_MAX_MESSAGE_BYTES: Final = 254
_ON_DISPLAY: Final = tlv.encode(tlv.DEST_ADDR_SUBUNIT, b"\x01")  # 5.3.2.1
_GSM7: Final[dict[str, Callable[[str], bytes]]] = {
    "gsm7": gsm7.encode,
    "gsm7_packed": gsm7.encode,
    "latin1": lambda text: text.encode("latin-1"),
    "ascii": lambda text: text.encode("ascii"),
}
_echo = partial(Struct(">HHH").pack, tlv.USER_MESSAGE_REFERENCE, 2)
_Style = tuple[int, str, str, int]
"""What submits with one middle share: esm_class, alphabet, class, tens of seconds left."""


class Encoder:
    """Encodes one carrier's submissions; with `optional` False for a peer that takes no optional parameters."""

    def __init__(self, settings: SmppSettings, optional: bool = True) -> None:
        self._settings = settings
        self._heads: dict[str, bytes] = {}
        self._middles: dict[_Style, bytes] = {}
        self._gsm7 = _GSM7[settings.gsm7_alphabet]
        self._packed = settings.gsm7_alphabet == "gsm7_packed"
        optional = optional and settings.interface_version != "3.3"
        self._echo = settings.user_message_reference and optional
        self._validity = settings.validity_period != "none"
        self._by = settings.concatenation
        if not optional and self._by == "sar":
            self._by = "udh8"  # of the same size
        self._payload = self._by == "message_payload" and optional
        self._own = tables.parameters(settings.tlvs) if optional else b""
        flashed = settings.flash_classes if optional and settings.flash_by == "dest_addr_subunit" else ()
        self._tails: dict[str, bytes] = dict.fromkeys(flashed, self._own + _ON_DISPLAY)
        self._tail = bool(self._own or self._tails)

    def body(self, s: Submission, now_ms: int) -> bytes | Outcome:
        """The body for one part, or for a whole message, or why there cannot be one."""
        head = self._heads.get(s.sender) or self._head(s.sender)
        if isinstance(head, Outcome):
            return head
        try:
            message = self._gsm7(s.text) if s.encoding == "gsm7" else s.text.encode("utf-16-be")
        except UnicodeEncodeError:
            return refused(Reason.UNSUPPORTED, "alphabet")
        esm_class = 0
        tlvs = _echo(s.echo) if self._echo else b""
        if self._tail:
            tlvs += self._tails.get(s.klass, self._own)
        if s.parts > 1 or self._packed:
            if s.part and not self._packed:
                esm_class, header, more = self._concatenate(s)
                message, tlvs = header + message, tlvs + more
            else:
                joined = self._join(s, message)
                if isinstance(joined, Outcome):
                    return joined
                esm_class, message, more = joined
                tlvs += more
        if len(message) > _MAX_MESSAGE_BYTES:
            return refused(Reason.INVALID_CONTENT, "length")
        # Rounded up: a campaign's messages share their middle.
        left = (s.deadline_ms - now_ms + 9_999) // 10_000 if self._validity else 0
        style = esm_class, s.encoding, s.klass, left
        middle = self._middles.get(style) or self._middle(style, now_ms)
        size = pdu.length_byte(len(message))
        return b"".join((head, s.to.encode("latin-1")[1:], middle, size, message, tlvs))

    def _join(self, s: Submission, message: bytes) -> tuple[int, bytes, bytes] | Outcome:
        """esm_class, short_message and parameters of a packed part, or of a message as a whole."""
        esm_class, header, tlvs = 0, b"", b""
        if s.part and s.parts > 1:
            esm_class, header, tlvs = self._concatenate(s)
        if self._packed and s.encoding == "gsm7":
            message = septets.pack(message, len(header))
        if s.part or s.parts < 2:
            return esm_class, header + message, tlvs
        if not self._payload or len(message) > 0xFFFF:
            return refused(Reason.UNSUPPORTED, "message_payload")
        return 0, b"", tlv.encode(tlv.MESSAGE_PAYLOAD, message)

    def _concatenate(self, s: Submission) -> tuple[int, bytes, bytes]:
        """esm_class, header and parameters that make the part one of several (3GPP TS 23.040, 9.2.3.24.1 and .8)."""
        match self._by:
            case "udh8" | "message_payload":
                return _UDHI, bytes((5, 0, 3, s.concat_ref & 0xFF, s.parts, s.part)), b""
            case "udh16":
                reference = (s.concat_ref & 0xFFFF).to_bytes(2, "big")
                return _UDHI, bytes((6, 8, 4, *reference, s.parts, s.part)), b""
            case "sar":
                pieces = (
                    tlv.encode_short(tlv.SAR_MSG_REF_NUM, s.concat_ref & 0xFFFF),
                    tlv.encode(tlv.SAR_TOTAL_SEGMENTS, bytes((s.parts,))),
                    tlv.encode(tlv.SAR_SEGMENT_SEQNUM, bytes((s.part,))),
                )
                return 0, b"", b"".join(pieces)

    def _head(self, sender: str) -> bytes | Outcome:
        c = self._settings
        source = source_address(c, sender)
        if isinstance(source, Outcome):
            return source
        if len(self._heads) >= _KEPT:
            self._heads.clear()
        head = self._heads[sender] = pdu.submit_head(c.service_type.encode(), *source, c.dest_ton, c.dest_npi)
        return head

    def _middle(self, style: _Style, now_ms: int) -> bytes:
        esm_class, encoding, klass, left = style
        c = self._settings
        if not self._validity:
            validity = b""
        elif c.validity_period == "relative":
            validity = relative_time(max(left, 1) * _VALIDITY_STEP_S)
        else:
            validity = absolute_time(now_ms + left * 10_000)
        middle = pdu.submit_middle(
            esm_class,
            self._coding(encoding, klass),
            protocol_id=c.protocol_id,
            priority=c.priority.get(klass, 0),  # type: ignore[call-overload]
            validity=validity,
            registered_delivery=c.registered_delivery,
        )
        if c.validity_period != "absolute":
            if len(self._middles) >= _KEPT:
                self._middles.clear()
            self._middles[style] = middle
        return middle

    def _coding(self, encoding: str, klass: str) -> int:
        c = self._settings
        if klass in c.flash_classes and c.flash_by == "data_coding":
            return c.flash_gsm7_data_coding if encoding == "gsm7" else c.flash_ucs2_data_coding
        return c.gsm7_data_coding if encoding == "gsm7" else c.ucs2_data_coding


def source_address(c: SmppSettings, sender: str) -> tuple[int, int, bytes] | Outcome:
    """Type of number, numbering plan and characters of a sender, or why it cannot be one."""
    ton, npi = address_kind(sender)
    try:
        source = sender.removeprefix("+").encode("latin-1") if ton != 5 else sender.encode("latin-1")
    except UnicodeEncodeError:
        return refused(Reason.INVALID_SENDER, "alphabet")
    if len(source) > 20 or b"\0" in source:
        return refused(Reason.INVALID_SENDER, "length")
    return (ton if c.source_ton is None else c.source_ton, npi if c.source_npi is None else c.source_npi, source)


def address_kind(sender: str) -> tuple[int, int]:
    """Type of number and numbering plan by a sender's form (SMPP 3.4, 5.2.5 and 5.2.6)."""
    if not sender:
        return 0, 0
    digits = sender.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return 5, 0
    return (1, 1) if sender[0] == "+" or len(digits) >= _INTERNATIONAL_DIGITS else (3, 0)


def relative_time(seconds: int) -> bytes:
    """A span as SMPP writes it (7.1.1.2), without years and months: they have no fixed length. At most 99 days."""
    days, rest = divmod(min(seconds, 99 * 86_400), 86_400)
    return b"0000%02d%02d%02d%02d000R" % (days, rest // 3600, rest // 60 % 60, rest % 60)


def absolute_time(time_ms: int) -> bytes:
    """A moment as SMPP writes it (7.1.1.1), in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%y%m%d%H%M%S000+").encode()
