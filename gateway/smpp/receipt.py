"""Delivery receipts as carriers really write them (SMPP 3.4, appendix B, and its many dialects).

In: a decoded deliver_sm or data_sm. Out: a `Receipt`, or None for what a subscriber wrote. Never: an exception because
of a receipt's content. A field that cannot be read is empty; the rest of the receipt counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from gateway.provider import Reason, Receipt
from gateway.smpp import tlv
from gateway.smpp.dates import receipt_ms
from gateway.smpp.ids import respell
from gateway.smpp.pdu import ShortMessage
from gateway.smpp.status import GSM_CAUSES, MESSAGE_STATES

_WORDS: Final = {
    "delivered": "DELIVRD DELIVERED DELIVERD DELIVRED DELIVER DELIVERE DELVRD DLVRD",
    "undeliverable": "UNDELIV UNDELIVERABLE UNDELIVERED UNDELIVRD UNDELIVERD UNDELIVE UNDELVRD UNDELVR UNDLVRD UNDEL "
    "NOT_DELIVERED FAILED FAIL SKIPPED SKIPPD",
    "rejected": "REJECTD REJECTED REJECTE REJECT",
    "accepted": "ACCEPTD ACCEPTED ACCEPTE ACCEPT ACKED",
    "enroute": "BUFFRED BUFFERED BUFFERD BUFFERE ENROUTE EN_ROUTE QUEUED PENDING SCHEDULED SCHEDLD SCHEDUL SENT",
    "expired": "EXPIRED EXPIRD EXPIRE",
    "deleted": "DELETED DELETD DELETE CANCELED CANCELLED CANCELD CANCELE CANCELL",
    "unknown": "UNKNOWN UNKNOWEN UNKNWN",
}
STATES: Final[Mapping[str, str]] = {word: state for state, words in _WORDS.items() for word in words.split()}
"""Spellings of `stat`, in capitals, also as they are when cut to the standard's seven characters. A carrier's settings
may add to them."""

_REASONS: Final = {
    "undeliverable": Reason.UNREACHABLE.value,
    "rejected": Reason.CARRIER_ERROR.value,
    "expired": Reason.CARRIER_EXPIRED.value,
    "deleted": Reason.CARRIER_DELETED.value,
}
_TYPE: Final = 0x3C  # esm_class (5.2.12): the bits that say what a message is
_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20
_FLAGS: Final = _RECEIPT | _INTERMEDIATE
_UDH: Final = 0x40
_RAW_LIMIT: Final = 300
_DATES_KEPT: Final = 4096

# id:IIIIIIIIII sub:SSS dlvrd:DDD submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD err:E Text: . . .
_BY_THE_BOOK: Final = re.compile(
    rb"id:(\S+)(?: sub:\d+)?(?: dlvrd:\d+)?(?: submit date:\d+)? done date:(\d+) stat:([A-Z]+) err:(\w+)(?=\s|$)"
).match
_FIELD: Final = re.compile(
    rb"""(?:^|[\s,;|]) ((?:message|msg)?_?id | stat(?:e|us)? | err(?:or)? | done[ _]?date) \s*[:=][ \t]*
    (?! (?:id|sub|dlvrd|submit|done|stat|err|text) [ _a-z]* [:=] ) ([^\s,;|]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_TEXT: Final = re.compile(rb"(?:^|[\s,;|])text\s*[:=]", re.IGNORECASE)
_DONE: Final = re.compile(rb"done[ _]?date\s*[:=][ \t]*(\d[\d \t.:/TZ+-]{,40})", re.IGNORECASE)
_OWN: Final = re.compile(rb"text:", re.IGNORECASE)
# Fields with nothing between them, or with what is no blank: id:7sub:001 or id:7/sub:001/
_GLUED: Final = re.compile(
    rb"""(id|stat|err|done\ ?date):(.*?)
    (?=[\s/&#\\]*(?:sub|dlvrd|submit\ ?date|done\ ?date|stat|err):|[\s/&#\\]*$)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class ReceiptReader:
    """Reads one carrier's receipts. `timezone` is that of its dates; `states` adds spellings of `stat` to STATES;
    `codes` are reasons by `bare_code`; `form` makes the submit answer's id of a receipt's; `whole`: one speaks for all
    parts; `unflagged`: they are told by their text alone.

    `unmapped` counts the spellings that no table knows: their state is `unknown`.
    """

    def __init__(
        self,
        timezone: tzinfo = UTC,
        states: Mapping[str, str] | None = None,
        *,
        codes: Mapping[str, str] | None = None,
        form: str = "auto",
        whole: bool = False,
        unflagged: bool = False,
    ) -> None:
        self._timezone, self._codes, self._whole = timezone, codes or {}, whole
        self.unflagged = unflagged
        self._form = "" if form in ("auto", "same") else form
        self._own = bool(self._codes or self._form)
        self._states = {name.encode(): state for name, state in {**STATES, **(states or {})}.items()}
        self._dates: dict[bytes, int] = {}
        self.unmapped: Counter[str] = Counter()

    def read(self, m: ShortMessage, bind: str = "") -> Receipt | None:
        """The receipt that `m` is; None when it is a message from a subscriber."""
        tlvs = tlv.decode(m.tlvs) if m.tlvs else None
        kind = m.esm_class & _TYPE
        if not kind & _FLAGS and not self._is_one(m, tlvs or {}):
            return None
        text = m.message
        if m.data_coding or not text or m.esm_class & _UDH or b"\0" in text:
            text = _plain(m, m.message or (tlvs or {}).get(tlv.MESSAGE_PAYLOAD, b""))
        raw, message_id, stat, code, done = _fields(text)
        if tlvs and not message_id and not stat and m.message and tlv.MESSAGE_PAYLOAD in tlvs:
            raw, message_id, stat, code, done = _fields(_plain(m, tlvs[tlv.MESSAGE_PAYLOAD]))
        state = self._states.get(stat) or (self._spelling(stat) if stat else "")
        echo = -1
        if tlvs:
            message_id = tlv.text(tlvs.get(tlv.RECEIPTED_MESSAGE_ID)).strip() or message_id
            echo = tlv.number(tlvs.get(tlv.USER_MESSAGE_REFERENCE))
            if not state or state == "unknown":
                state = _state_of(tlvs) or state
        if not state:
            state = "enroute" if kind == _INTERMEDIATE else "unknown"
        reason = _REASONS.get(state, "")
        if tlvs and reason and tlv.NETWORK_ERROR_CODE in tlvs:
            code, reason = _network_error(tlvs[tlv.NETWORK_ERROR_CODE], code, reason)
        if self._own:
            message_id = respell(message_id, self._form)
            reason = self._codes.get(bare_code(code), reason) if reason else reason
        return Receipt(
            message_id,
            state,
            code,
            reason,
            self._date(done) if done.strip() else 0,
            m.source.decode("latin-1"),
            m.dest.decode("latin-1"),
            echo,
            raw,
            bind,
            self._whole,
        )

    def _is_one(self, m: ShortMessage, tlvs: Mapping[int, bytes]) -> bool:
        """Whether what has no flag of a receipt is one all the same."""
        if tlv.RECEIPTED_MESSAGE_ID in tlvs:
            return True
        return self.unflagged and looks_like_one(_plain(m, m.message or tlvs.get(tlv.MESSAGE_PAYLOAD, b"")))

    def _spelling(self, stat: bytes) -> str:
        """The state behind a spelling that is not in capitals, or that nobody knows."""
        found = self._states.get(stat.upper(), "")
        if not found and (len(self.unmapped) < 100 or stat.decode("latin-1") in self.unmapped):
            self.unmapped[stat.decode("latin-1")] += 1
        return found

    def _date(self, digits: bytes) -> int:
        """Milliseconds since the epoch; 0 for what is no date. Receipts of one minute share theirs."""
        found = self._dates.get(digits)
        if found is None:
            if len(self._dates) >= _DATES_KEPT:
                self._dates.clear()
            whole = receipt_ms(digits, self._timezone)
            found = self._dates[digits] = whole or receipt_ms(digits.split()[0], self._timezone)
        return found


def looks_like_one(text: bytes) -> bool:
    """Whether a text has what every receipt has, an id and a state; a subscriber could have written it all the same."""
    found = _BY_THE_BOOK(text)
    return found is not None or all(_dialect(text)[1:3])


def reason_of(state: str) -> str:
    """The reason that a receipt's state stands for where nothing more is known; empty where it succeeded or may."""
    return _REASONS.get(state, "")


def bare_code(code: str) -> str:
    """A receipt's code as it is looked up: `err:045`, `err:45` and `err:0045` are one."""
    return code.upper().lstrip("0") or "0"


def _plain(m: ShortMessage, text: bytes) -> bytes:
    """A receipt's text from behind a user data header, out of UCS-2, and without the zeros of C strings."""
    if m.esm_class & _UDH and text and text[0] < 0x20:
        text = text[text[0] + 1 :]
    if b"\0" in text:
        if order := _octet_order(text):
            text = text.decode(order, "replace").encode("latin-1", "replace")
        text = text.replace(b"\0", b"")
    return text


def _octet_order(text: bytes) -> str:
    """The codec of a text in UCS-2, whatever data_coding says; empty for one with an octet a character."""
    if text.startswith((b"\xfe\xff", b"\xff\xfe")):
        return "utf-16"
    high, low = text[0:40:2], text[1:40:2]
    if high and not any(high):
        return "utf-16-be"
    return "utf-16-le" if low and not any(low) else ""


def _fields(text: bytes) -> tuple[str, str, bytes, str, bytes]:
    """Receipt text without the message's own, id, stat, err, done date."""
    found = _BY_THE_BOOK(text)
    if found is None:
        return _dialect(text)
    message_id, done, stat, code = found.groups()
    return found[0][:_RAW_LIMIT].decode("latin-1"), message_id.decode("latin-1"), stat, code.decode("latin-1"), done


def _dialect(text: bytes) -> tuple[str, str, bytes, str, bytes]:
    """The same for any order, capitals, separators and gaps."""
    own = _TEXT.search(text)
    head = text[: own.start()] if own else text
    found = _named(_FIELD.findall(head))
    if b":" in found.get(b"sta", b":"):
        glued = _named(_GLUED.findall(_OWN.split(text[:_RAW_LIMIT], 1)[0]))
        found = glued if glued.get(b"sta") else found
    if done := _DONE.search(head):
        found[b"don"] = done[1]
    return (
        head[:_RAW_LIMIT].decode("latin-1"),
        _unquoted(found.get(b"id", b"")).decode("latin-1"),
        _unquoted(found.get(b"sta", b"")).rstrip(b"."),
        _unquoted(found.get(b"err", b"")).decode("latin-1"),
        found.get(b"don", b""),
    )


def _named(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        key = name.lower()
        found.setdefault(b"id" if key.endswith(b"id") else key[:3], value)
    return found


def _unquoted(value: bytes) -> bytes:
    return value[1:-1] if len(value) > 2 and value[:1] == value[-1:] and value[:1] in b"\"'" else value


def _state_of(tlvs: Mapping[int, bytes]) -> str:
    """The state in message_state, of whatever length, or written as a digit; empty where there is none."""
    number = tlv.number(tlvs.get(tlv.MESSAGE_STATE))
    return MESSAGE_STATES.get(number - 0x30 if 0x30 <= number <= 0x39 else number, "")


def _network_error(value: bytes, code: str, reason: str) -> tuple[str, str]:
    """Code and reason out of network_error_code (5.3.2.31): type of network, and its error."""
    if len(value) != 3:
        return code, reason
    number = int.from_bytes(value[1:], "big")
    if value[0] == 3 and number in GSM_CAUSES:
        reason = GSM_CAUSES[number].value
    return code or str(number), reason
