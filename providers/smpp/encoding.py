"""A submission as the body of submit_sm: addresses, alphabet, concatenation, validity, our reference.

In: a `Submission` and the time. Out: bytes without the header, or the refusal of what cannot be said in SMPP. Never
encodes twice what repeats over a campaign. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from gateway.provider import Outcome, Reason, Submission, refused
from gateway.smpp import pdu, tlv
from gateway.text import gsm7
from providers.smpp.settings import SmppSettings

UDH_BYTES: Final = {"udh8": 6, "udh16": 7, "sar": 6}
"""Bytes that each kind of concatenation takes from a part. An SMSC makes a header out of SAR parameters."""

_UDHI: Final = 0x40
_KEPT: Final = 10_000
_VALIDITY_STEP_S: Final = 10
_INTERNATIONAL_DIGITS: Final = 9  # shorter senders without a + are short codes
_MAX_MESSAGE_BYTES: Final = 254
_GSM7: Final[dict[str, Callable[[str], bytes]]] = {
    "gsm7": gsm7.encode,
    "latin1": lambda text: text.encode("latin-1"),
    "ascii": lambda text: text.encode("ascii"),
}


class Encoder:
    """Encodes one carrier's submissions."""

    def __init__(self, settings: SmppSettings) -> None:
        self._settings = settings
        self._heads: dict[str, bytes] = {}
        self._middles: dict[tuple[int, int, int], bytes] = {}
        self._gsm7 = _GSM7[settings.gsm7_alphabet]
        self._echo = settings.user_message_reference
        self._validity = settings.validity_period != "none"
        self._codings = {"gsm7": settings.gsm7_data_coding, "ucs2": settings.ucs2_data_coding}

    def body(self, s: Submission, now_ms: int) -> bytes | Outcome:
        """The body for one part, or why there cannot be one."""
        head = self._heads.get(s.sender) or self._head(s.sender)
        if isinstance(head, Outcome):
            return head
        try:
            message = self._gsm7(s.text) if s.encoding == "gsm7" else s.text.encode("utf-16-be")
        except UnicodeEncodeError:
            return refused(Reason.UNSUPPORTED, "alphabet")
        esm_class, tlvs = 0, tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, s.echo) if self._echo else b""
        if s.parts > 1:
            esm_class, header, more = self._concatenate(s)
            message, tlvs = header + message, tlvs + more
        if len(message) > _MAX_MESSAGE_BYTES:
            return refused(Reason.INVALID_CONTENT, "length")
        # Rounded up: a campaign's messages share their middle.
        left = (s.deadline_ms - now_ms + 9_999) // 10_000 if self._validity else 0
        key = esm_class, self._codings[s.encoding], left
        middle = self._middles.get(key) or self._middle(key, now_ms)
        size = pdu.length_byte(len(message))
        return b"".join((head, s.to.encode("latin-1")[1:], middle, size, message, tlvs))

    def _concatenate(self, s: Submission) -> tuple[int, bytes, bytes]:
        """esm_class, header and parameters that make the part one of several (3GPP TS 23.040, 9.2.3.24.1 and .8)."""
        match self._settings.concatenation:
            case "udh8":
                return _UDHI, bytes((5, 0, 3, s.concat_ref & 0xFF, s.parts, s.part)), b""
            case "udh16":
                reference = (s.concat_ref & 0xFFFF).to_bytes(2, "big")
                return _UDHI, bytes((6, 8, 4, *reference, s.parts, s.part)), b""
            case "sar":
                return (
                    0,
                    b"",
                    b"".join(
                        (
                            tlv.encode_short(tlv.SAR_MSG_REF_NUM, s.concat_ref & 0xFFFF),
                            tlv.encode(tlv.SAR_TOTAL_SEGMENTS, bytes((s.parts,))),
                            tlv.encode(tlv.SAR_SEGMENT_SEQNUM, bytes((s.part,))),
                        )
                    ),
                )

    def _head(self, sender: str) -> bytes | Outcome:
        ton, npi = address_kind(sender)
        c = self._settings
        try:
            source = sender.removeprefix("+").encode("latin-1") if ton != 5 else sender.encode("latin-1")
        except UnicodeEncodeError:
            return refused(Reason.INVALID_SENDER, "alphabet")
        if len(source) > 20 or b"\0" in source:
            return refused(Reason.INVALID_SENDER, "length")
        if len(self._heads) >= _KEPT:
            self._heads.clear()
        head = self._heads[sender] = pdu.submit_head(
            c.service_type.encode(),
            ton if c.source_ton is None else c.source_ton,
            npi if c.source_npi is None else c.source_npi,
            source,
            c.dest_ton,
            c.dest_npi,
        )
        return head

    def _middle(self, key: tuple[int, int, int], now_ms: int) -> bytes:
        esm_class, coding, left = key
        if not self._validity:
            validity = b""
        elif self._settings.validity_period == "relative":
            validity = relative_time(max(left, 1) * _VALIDITY_STEP_S)
        else:
            return pdu.submit_middle(esm_class, coding, validity=absolute_time(now_ms + left * 10_000))
        if len(self._middles) >= _KEPT:
            self._middles.clear()
        middle = self._middles[key] = pdu.submit_middle(esm_class, coding, validity=validity)
        return middle


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
