"""What a template may say of a submission: `{to}`, `{text}`, `{validity_s}` and so on, each with its value.

In: a submission, the time, and what the carrier's settings say of alphabets and callbacks. Out: text or a number.
Pure. The table is also the documentation of placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from gateway.message import id_text
from gateway.provider import Submission

_SHORT_CODE: Final = 8  # digits at the most
_FARTHEST_MS: Final = 253_402_300_799_000  # the last second of the year 9999


@dataclass(frozen=True)
class Context:
    """What is the same for all submissions of one carrier."""

    carrier: str
    encodings: Mapping[Any, Any] = field(default_factory=dict)
    classes: Mapping[Any, Any] = field(default_factory=dict)
    ucs2_hex: bool = False
    longest_validity_s: int = 259_200
    callback_url: Callable[[Facts], str] = lambda facts: ""
    shortest_validity_s: int = 1


@dataclass(slots=True)
class Facts:
    """One submission at the moment when its request is made. `index` counts from 0 within a batch."""

    s: Submission
    now_ms: int
    context: Context
    index: int = 0

    @property
    def reference(self) -> str:
        """Our own id of this submission: message, attempt and part."""
        return f"{id_text(self.s.message_id)}-{self.s.attempt}-{self.s.part}"

    @property
    def validity_s(self) -> int:
        """How long the message is still worth something, within what the carrier takes."""
        left = (self.s.deadline_ms - self.now_ms + 999) // 1000
        return max(self.context.shortest_validity_s, min(left, self.context.longest_validity_s))


def _iso(ms: int) -> str:
    moment = datetime.fromtimestamp(max(0, min(ms, _FARTHEST_MS)) / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _hex(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()


def _e164(facts: Facts) -> str:
    sender = facts.s.sender
    return f"+{sender}" if sender.isascii() and sender.isdigit() and len(sender) > _SHORT_CODE else sender


def _text(facts: Facts) -> str:
    s = facts.s
    return _hex(s.text) if facts.context.ucs2_hex and s.encoding == "ucs2" else s.text


def _udh(facts: Facts) -> str:
    """The user data header of a part (3GPP TS 23.040, 9.2.3.24.1) in hex; empty for what is whole."""
    s = facts.s
    if s.part == 0 or s.parts < 2:
        return ""
    return bytes((5, 0, 3, s.concat_ref & 0xFF, s.parts & 0xFF, s.part & 0xFF)).hex().upper()


Value = Callable[[Facts], Any]

OF_A_SUBMISSION: Final[Mapping[str, tuple[Value, str]]] = {
    "to": (lambda f: f.s.to, "the recipient with the leading +"),
    "to_digits": (lambda f: f.s.to.removeprefix("+"), "the recipient without +"),
    "from": (lambda f: f.s.sender, "the sender"),
    "from_digits": (lambda f: f.s.sender.removeprefix("+"), "the sender without +"),
    "from_e164": (_e164, "the sender, with + before a number that is longer than a short code"),
    "text": (_text, 'the text; UTF-16 in hex for `ucs2_text = "hex"`'),
    "text_hex": (lambda f: _hex(f.s.text), "the text as UTF-16 (big endian) in hex"),
    "gsm7_text": (lambda f: f.s.text if f.s.encoding != "ucs2" else "", "the text if it is gsm7, else empty"),
    "ucs2_hex": (
        lambda f: _hex(f.s.text) if f.s.encoding == "ucs2" else "",
        "the text as UTF-16 (big endian) in hex if it is ucs2, else empty",
    ),
    "id": (lambda f: id_text(f.s.message_id), "our message's id"),
    "reference": (lambda f: f.reference, "our submission's id: message, attempt and part"),
    "echo": (lambda f: f.s.echo, "16 bits (a number) that a receipt may bring back"),
    "attempt": (lambda f: f.s.attempt, "the attempt, from 1 (a number)"),
    "part": (lambda f: f.s.part, "this part, from 1; 0: the whole text (a number)"),
    "parts": (lambda f: f.s.parts, "how many parts (a number)"),
    "concat_ref": (lambda f: f.s.concat_ref, "what the parts of one message share (a number)"),
    "udh_hex": (_udh, "a part's user data header in hex; empty for a whole text"),
    "encoding": (
        lambda f: f.context.encodings.get(f.s.encoding, f.s.encoding),
        "gsm7 or ucs2, or what `encodings` says of it",
    ),
    "class": (lambda f: f.context.classes.get(f.s.klass, f.s.klass), "the class, or what `classes` says of it"),
    "validity_s": (lambda f: f.validity_s, "seconds until the message is worth nothing (a number)"),
    "validity_min": (lambda f: -(-f.validity_s // 60), "the same in minutes, rounded up (a number)"),
    "validity_ms": (lambda f: f.validity_s * 1000, "the same in milliseconds (a number)"),
    "valid_until": (lambda f: _iso(f.now_ms + f.validity_s * 1000), "the moment of it, RFC 3339 in UTC"),
    "valid_until_unix": (lambda f: f.now_ms // 1000 + f.validity_s, "the moment of it, Unix seconds (a number)"),
    "callback_url": (lambda f: f.context.callback_url(f), "where this carrier's receipts reach us"),
    "index": (lambda f: f.index, "place in a batch, from 0 (a number)"),
}
OF_A_REQUEST: Final[Mapping[str, tuple[Value, str]]] = {
    "carrier": (lambda f: f.context.carrier, "the carrier's name in the plan"),
    "now": (lambda f: _iso(f.now_ms), "the time, RFC 3339 in UTC"),
    "now_unix": (lambda f: f.now_ms // 1000, "the time, Unix seconds (a number)"),
}
SINGLE: Final[Mapping[str, Value]] = {n: v for n, (v, _) in {**OF_A_SUBMISSION, **OF_A_REQUEST}.items()}
SHARED: Final[Mapping[str, Value]] = {n: v for n, (v, _) in OF_A_REQUEST.items()}
LEFT_OUT: Final = frozenset({"from", "from_digits", "from_e164", "callback_url", "udh_hex", "gsm7_text", "ucs2_hex"})
"""A field that is nothing but one of these is left out where it is empty."""
