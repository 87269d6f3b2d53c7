"""Delivery receipts as carriers really write them (SMPP 3.4, appendix B, and its many dialects).

In: a decoded deliver_sm or data_sm. Out: a `Receipt`, or None for what a subscriber wrote. Never: an exception because
of a receipt's content. A field that cannot be read is empty; the rest of the receipt counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Final

from gateway.provider import Reason, Receipt
from gateway.smpp import tlv
from gateway.smpp.ids import respell
from gateway.smpp.pdu import ShortMessage
from gateway.smpp.status import GSM_CAUSES, MESSAGE_STATES

STATES: Final[Mapping[str, str]] = {
    "DELIVRD": "delivered",
    "DELIVERED": "delivered",
    "DELIVERD": "delivered",
    "UNDELIV": "undeliverable",
    "UNDELIVERABLE": "undeliverable",
    "UNDELIVERED": "undeliverable",
    "UNDELIVRD": "undeliverable",
    "FAILED": "undeliverable",
    "REJECTD": "rejected",
    "REJECTED": "rejected",
    "ACCEPTD": "accepted",
    "ACCEPTED": "accepted",
    "ACKED": "accepted",
    "BUFFRED": "enroute",
    "BUFFERED": "enroute",
    "BUFFERD": "enroute",
    "ENROUTE": "enroute",
    "EN_ROUTE": "enroute",
    "EXPIRED": "expired",
    "DELETED": "deleted",
    "UNKNOWN": "unknown",
}
"""Spellings of `stat`, in capitals. A carrier's settings may add to them."""

_REASONS: Final = {
    "undeliverable": Reason.UNREACHABLE.value,
    "rejected": Reason.CARRIER_ERROR.value,
    "expired": Reason.CARRIER_EXPIRED.value,
    "deleted": Reason.CARRIER_DELETED.value,
}
_TYPE: Final = 0x3C  # esm_class (5.2.12): the bits that say what a message is
_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20
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
        if kind != _RECEIPT and kind != _INTERMEDIATE and not self._is_one(m, tlvs or {}):
            return None
        text = m.message
        if m.data_coding or not text or m.esm_class & _UDH:
            text = _plain(m, tlvs or {})
        raw, message_id, stat, code, done = _fields(text)
        state = self._states.get(stat) or (self._spelling(stat) if stat else "")
        echo = -1
        if tlvs:
            message_id = tlv.text(tlvs.get(tlv.RECEIPTED_MESSAGE_ID)) or message_id
            echo = tlv.number(tlvs.get(tlv.USER_MESSAGE_REFERENCE))
            state = state or MESSAGE_STATES.get(tlv.number(tlvs.get(tlv.MESSAGE_STATE)), "")
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
            self._date(done) if done else 0,
            m.source.decode("latin-1"),
            m.dest.decode("latin-1"),
            echo,
            raw,
            bind,
            self._whole,
        )

    def _is_one(self, m: ShortMessage, tlvs: Mapping[int, bytes]) -> bool:
        """Whether what has no flag of a receipt is one all the same."""
        return tlv.RECEIPTED_MESSAGE_ID in tlvs or (self.unflagged and looks_like_one(m.message))

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
            found = self._dates[digits] = _date_ms(digits, self._timezone)
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


def _plain(m: ShortMessage, tlvs: Mapping[int, bytes]) -> bytes:
    """The receipt's text out of message_payload, UCS-2, or from behind a user data header."""
    text = m.message or tlvs.get(tlv.MESSAGE_PAYLOAD, b"")
    if m.esm_class & _UDH and text and text[0] < 0x20:
        text = text[text[0] + 1 :]
    if m.data_coding == 8 and b"\0" in text[:2]:
        text = text.decode("utf-16-be", "replace").encode("latin-1", "replace")
    return text


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
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(head):
        key = name.lower()
        found.setdefault(b"id" if key.endswith(b"id") else key[:3], value)
    return (
        head[:_RAW_LIMIT].decode("latin-1"),
        found.get(b"id", b"").decode("latin-1"),
        found.get(b"sta", b""),
        found.get(b"err", b"").decode("latin-1"),
        found.get(b"don", b""),
    )


def _network_error(value: bytes, code: str, reason: str) -> tuple[str, str]:
    """Code and reason out of network_error_code (5.3.2.31): type of network, and its error."""
    if len(value) != 3:
        return code, reason
    number = int.from_bytes(value[1:], "big")
    if value[0] == 3 and number in GSM_CAUSES:
        reason = GSM_CAUSES[number].value
    return code or str(number), reason


def _date_ms(digits: bytes, timezone: tzinfo) -> int:
    """YYMMDDhhmm, YYMMDDhhmmss or YYYYMMDDhhmmss in `timezone`; 0 for anything else, zeros too."""
    if not digits.isdigit() or len(digits) not in (10, 12, 14):
        return 0
    padded = (b"20" + digits if len(digits) < 14 else digits).ljust(14, b"0").decode()
    try:
        moment = datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=timezone)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
