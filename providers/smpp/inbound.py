"""What a carrier delivers, sorted: receipts, and messages that subscribers wrote.

In: deliveries of a session. Out: `Receipt` and `Inbound`. Never: an exception because of their content; what cannot be
read is an `Inbound` with nothing but its raw bytes, so that it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from gateway.provider import Inbound, Receipt
from gateway.smpp import septets, tlv
from gateway.smpp.pdu import ShortMessage
from gateway.smpp.receipt import ReceiptReader
from gateway.smpp.session import Delivery
from gateway.text import gsm7, ucs2
from providers.smpp import tables
from providers.smpp.settings import SmppSettings

_UDHI = 0x40
_CODECS = {1: "latin-1", 3: "latin-1", 5: "iso2022_jp", 6: "iso8859_5", 7: "iso8859_8", 14: "euc_kr"}


class DeliveryReader:
    """Reads one carrier's deliveries."""

    def __init__(self, settings: SmppSettings) -> None:
        self.receipts = ReceiptReader(
            ZoneInfo(settings.receipt_timezone),
            settings.receipt_states,
            codes=tables.receipt_codes(settings.receipt_codes),
            form=settings.message_ids,
            whole=settings.receipts_for != "all",
            unflagged=settings.unflagged_receipts,
        )
        self._packed = settings.gsm7_alphabet == "gsm7_packed"
        self._latin = not settings.gsm7_alphabet.startswith("gsm7")

    def sort(self, deliveries: Sequence[Delivery], bind: str) -> tuple[list[Receipt], list[Inbound]]:
        """Receipts and inbound messages, each in the order of arrival."""
        receipts: list[Receipt] = []
        inbound: list[Inbound] = []
        read = self.receipts.read
        for _, _, m in deliveries:
            if isinstance(m, bytes):
                inbound.append(Inbound("", "", "", (), bind, m))
            elif (receipt := read(m, bind)) is not None:
                receipts.append(receipt)
            else:
                inbound.append(self.inbound(m, bind))
        return receipts, inbound

    def inbound(self, m: ShortMessage, bind: str) -> Inbound:
        """A subscriber's message, or one segment of it."""
        tlvs = tlv.decode(m.tlvs) if m.tlvs else {}
        payload = m.message or tlvs.get(tlv.MESSAGE_PAYLOAD, b"")
        segment: tuple[int, ...] = ()
        header_bytes = 0
        if (m.esm_class & _UDHI and _may_have_header(payload)) or _has_unflagged_header(payload):
            header_bytes = payload[0] + 1
            header, payload = payload[1 : payload[0] + 1], payload[payload[0] + 1 :]
            segment = concatenation(header)
        elif tlv.SAR_MSG_REF_NUM in tlvs:
            total, number = tlvs.get(tlv.SAR_TOTAL_SEGMENTS), tlvs.get(tlv.SAR_SEGMENT_SEQNUM)
            segment = _segment(tlv.number(tlvs[tlv.SAR_MSG_REF_NUM]), tlv.number(total), tlv.number(number))
        text = self._text(payload, m.data_coding, header_bytes)
        raw = payload if text is None else b""
        text = text and text.replace("\0", "")  # some end texts as C strings; PostgreSQL has no such character
        return Inbound(m.source.decode("latin-1"), m.dest.decode("latin-1"), text or "", segment, bind, raw)

    def _text(self, payload: bytes, coding: int, header_bytes: int) -> str | None:
        """The text behind a header of that size; None for octets that are none."""
        kind = gsm_alphabet(coding)
        if kind == "ucs2":
            return ucs2.decode(payload)
        if kind == "gsm7":
            if self._packed:
                payload = septets.unpack(payload, header_bytes)
            return payload.decode("latin-1") if self._latin else gsm7.decode(payload)
        codec = _CODECS.get(coding)
        return payload.decode(codec, "replace") if codec else None


def _may_have_header(payload: bytes) -> bool:
    """False where the flag of a header stands over what is no more than a text."""
    return bool(payload) and not (payload[0] >= len(payload) and payload.isascii() and payload.decode().isprintable())


def _has_unflagged_header(payload: bytes) -> bool:
    """A concatenation header to which nobody set the flag: no text begins so."""
    if not payload.startswith((b"\5\0\3", b"\6\x08\4")) or len(payload) <= payload[0] + 1:
        return False
    return bool(concatenation(payload[1 : payload[0] + 1]))


def gsm_alphabet(coding: int) -> str:
    """gsm7, ucs2 or "" for a data_coding (SMPP 3.4, 5.2.19), with the groups of 3GPP TS 23.038 (4) that are not the
    standard's own: flash messages, automatic deletion, message waiting."""
    group = coding & 0xF0
    if coding == 0 or coding & 0xFC == 0xF0 or group in (0xC0, 0xD0):
        return "gsm7"
    if group in (0x10, 0x40, 0x50):
        return {0: "gsm7", 8: "ucs2"}.get(coding & 0x0C, "")
    return "ucs2" if coding == 8 or group == 0xE0 else ""


def concatenation(header: bytes) -> tuple[int, ...]:
    """(reference, total, number) out of a user data header (3GPP TS 23.040, 9.2.3.24); empty when there is none."""
    at = 0
    while at + 2 <= len(header):
        element, size = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + size]
        if element == 0 and len(value) == 3:
            return _segment(value[0], value[1], value[2])
        if element == 8 and len(value) == 4:
            return _segment(value[0] << 8 | value[1], value[2], value[3])
        at += 2 + size
    return ()


def _segment(reference: int, total: int, number: int) -> tuple[int, ...]:
    return (reference, total, number) if 1 <= number <= total and total > 1 and reference >= 0 else ()
