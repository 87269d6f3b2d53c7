"""What a phone would show: kept submits of one number, parts joined, decoded.

In: submits as they came off the wire. Out: whole messages, and those that still wait for parts. Work is done when
somebody looks, so keeping costs the SMSC next to nothing. Memory is bounded by the number of submits kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from gateway.embedded.sandbox.wire import UDH_INDICATOR, Submit
from gateway.smpp import septets, tlv
from gateway.text import gsm7, ucs2


class Kept(NamedTuple):
    """A submit that was accepted, when (seconds since the epoch) and under which id."""

    at: float
    message_id: bytes
    submit: Submit


class Segment(NamedTuple):
    """One submit's place in a message: `reference` -1 when it is whole."""

    reference: int
    total: int
    number: int
    coding: int
    body: bytes


class Shown(msgspec.Struct):
    """A message on the handset. `at` is when its last part came; `missing` are numbers of parts that have not."""

    to: str
    sender: str
    text: str
    at: float
    first_at: float
    parts: int
    missing: list[int]
    ids: list[str]
    coding: int
    class_: int | None = msgspec.field(default=None, name="class")  # 0: flash


DECODERS: dict[int, Callable[[bytes], str]] = {
    0: gsm7.decode,
    1: lambda body: body.decode("ascii", "replace"),
    3: lambda body: body.decode("latin-1"),
    8: ucs2.decode,
}


def decode(coding: int, body: bytes, alphabet: str = "gsm7", header_bytes: int = 0) -> str:
    """Text by data_coding (5.2.19), with message classes (0xF0 to 0xFF: 0 or 8 bit); unknown ones as hex. `alphabet`:
    what 0 means (`rules.Submits`)."""
    if coding & 0xF0 == 0xF0:
        coding = 4 if coding & 4 else 0
    elif coding & 0xC0 == 0 and coding & 0x10:  # general group with a class: bits 2 and 3 are the alphabet
        coding = {0: 0, 1: 4, 2: 8, 3: 4}[coding >> 2 & 3]
    if coding == 0 and alphabet != "gsm7":
        if alphabet == "gsm7_packed":
            return gsm7.decode(septets.unpack(body, header_bytes))
        coding = 1 if alphabet == "ascii" else 3
    decoder = DECODERS.get(coding)
    return decoder(body) if decoder else body.hex()


def segment(submit: Submit) -> Segment:
    """The place of a submit, from its user data header (3GPP TS 23.040, 9.2.3.24) or the SAR TLVs."""
    body = submit.body
    if submit.esm_class & UDH_INDICATOR and body:
        end = 1 + body[0]
        header, body = body[1:end], body[end:]
        for tag, value in _elements(header):
            if tag == 0x00 and len(value) == 3:
                return Segment(value[0], value[1], value[2], submit.coding, body)
            if tag == 0x08 and len(value) == 4:
                return Segment(value[0] << 8 | value[1], value[2], value[3], submit.coding, body)
        return Segment(-1, 1, 1, submit.coding, body)
    if len(submit.tlvs) > 6:
        found = tlv.decode(submit.tlvs)
        tags = (tlv.SAR_MSG_REF_NUM, tlv.SAR_TOTAL_SEGMENTS, tlv.SAR_SEGMENT_SEQNUM)
        reference, total, number = (tlv.number(found.get(tag)) for tag in tags)
        if reference >= 0 and total > 0 and number > 0:
            return Segment(reference, total, number, submit.coding, body)
    return Segment(-1, 1, 1, submit.coding, body)


def _elements(header: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 2 <= len(header):
        length = header[position + 1]
        yield header[position], header[position + 2 : position + 2 + length]
        position += 2 + length


class Handset:
    """The last `keep` accepted submits, and the messages that they make. `alphabet`: what data_coding 0 means; `note`
    is told of each as well."""

    def __init__(self, keep: int, note: Callable[[Kept], None] | None = None) -> None:
        self._kept: deque[Kept] = deque(maxlen=keep)
        self._note = note
        self.keep: Callable[[Kept], None] = self._kept.append if note is None else self._keep_noted
        self.alphabet = "gsm7"

    def _keep_noted(self, kept: Kept) -> None:
        if self._note is not None:
            self._note(kept)
        self._kept.append(kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def show(self, number: str = "", limit: int = 1000) -> list[Shown]:
        """Messages to `number` (digits, a leading + is ignored; empty: to all), newest last."""
        wanted = number.lstrip("+").encode("ascii", "replace")
        shown: list[Shown] = []
        open_parts: dict[tuple[bytes, bytes, int, int], dict[int, tuple[Kept, Segment]]] = {}
        for kept in self._kept:
            if wanted and kept.submit.recipient[2:-1] != wanted:
                continue
            place = segment(kept.submit)
            if place.reference < 0 or place.total < 2:
                shown.append(_join({1: (kept, place)}, 1, self.alphabet))
                continue
            key = (kept.submit.recipient, kept.submit.source, place.reference, place.total)
            parts = open_parts.setdefault(key, {})
            parts[place.number] = (kept, place)
            if all(n in parts for n in range(1, place.total + 1)):
                shown.append(_join(open_parts.pop(key), place.total, self.alphabet))
        shown += [_join(parts, key[3], self.alphabet) for key, parts in open_parts.items()]
        shown.sort(key=lambda m: m.at)
        return shown[-limit:]


def _join(parts: dict[int, tuple[Kept, Segment]], total: int, alphabet: str) -> Shown:
    ordered = [parts[n] for n in sorted(parts)]
    kept, place = ordered[0]
    coding = place.coding
    flash = coding & 3 if coding & 0xF0 == 0xF0 or (coding & 0xC0 == 0 and coding & 0x10) else None
    if alphabet == "gsm7_packed" and coding == 0:  # octets of a part begin with a border of its own
        text = "".join(decode(0, p.body, alphabet, len(k.submit.body) - len(p.body)) for k, p in ordered)
    else:
        text = decode(coding, b"".join(p.body for _, p in ordered), alphabet)
    return Shown(
        to="+" + kept.submit.recipient[2:-1].decode("ascii", "replace"),
        sender=_address(kept.submit.source),
        text=text,
        at=max(k.at for k, _ in ordered),
        first_at=min(k.at for k, _ in ordered),
        parts=total,
        missing=[n for n in range(1, total + 1) if n not in parts],
        ids=[k.message_id.decode("ascii") for k, _ in ordered],
        coding=coding,
        class_=flash,
    )


def _address(address: bytes) -> str:
    digits = address[2:-1].decode("ascii", "replace")
    return "+" + digits if address[0] == 1 and digits.isdigit() else digits
