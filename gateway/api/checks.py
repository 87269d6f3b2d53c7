"""From a message as requested to a `Message` that can be accepted, or everything that is wrong with its fields.

In: decoded fields, the client's rights, Redis' time. Out: a Message, or faults with pointers. Never: I/O; the clock;
a message's text or number in a fault.
"""

from __future__ import annotations

import random
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from phonenumbers import SUPPORTED_REGIONS

from gateway.api.documents import MAX_META_BYTES, MAX_SEND_AHEAD_S, MessageFields
from gateway.api.faults import forbidden, missing, nuls
from gateway.api.problems import Code, Fault
from gateway.api.recipients import Recipients
from gateway.config import Settings, SettingsError
from gateway.message import CLASSES, Message
from gateway.text import numbers, parts, senders

DEFAULT_CLASS: Final = "transactional"
NOTHING: Final = MessageFields()

_encode_meta = msgspec.json.Encoder().encode


class Defaults:
    """Fields that a batch gives to all messages which do not give them."""

    def __init__(self, fields: MessageFields = NOTHING) -> None:
        self.fields = fields
        self._given = [(n, v) for n in MessageFields.__struct_fields__ if (v := getattr(fields, n)) is not None]

    def fill(self, fields: MessageFields) -> None:
        """Give what is missing."""
        for name, value in self._given:
            if getattr(fields, name) is None:
                setattr(fields, name, value)

    def __bool__(self) -> bool:
        return bool(self._given)


class Sender(msgspec.Struct, frozen=True):
    """Who sends: what a key says about the messages that it may send."""

    client: str
    key_id: str
    classes: frozenset[str]
    test: bool = False
    traceparent: str = ""


class Rules:
    """What the settings say about messages. Raises SettingsError for those that cannot work."""

    def __init__(self, settings: Settings) -> None:
        self.region = settings.default_region.upper()
        if self.region not in SUPPORTED_REGIONS:
            raise SettingsError(f"default_region: `{settings.default_region}` is not a region such as RU or DE")
        try:
            self.sender = senders.parse(settings.default_sender)
        except senders.SenderError as e:
            raise SettingsError(f"default_sender: {e}") from e
        self.max_parts = settings.max_parts
        self.max_validity_s = settings.max_validity_s
        self.recipients: Recipients | None = None
        """What is asked about a recipient once the fields are right; None: nothing."""
        self.validity_s = dict.fromkeys(CLASSES, settings.default_validity_s) | {"otp": settings.otp_validity_s}

    def check(
        self,
        fields: MessageFields,
        sender: Sender,
        now_ms: int,
        batch_id: bytes = b"",
        *,
        nul: bool = False,
        asks: bool = True,
    ) -> Message | list[Fault]:
        """The message, or all faults of its fields. `nul`: whether U+0000 may be in it; `asks`: whether its recipient
        is asked about, see `asks`."""
        faults: list[Fault] = []
        klass = fields.klass or DEFAULT_CLASS
        if klass not in sender.classes:
            faults.append(_class_not_allowed(sender))
        text = fields.text
        encoding, count = self._measure(text, faults)
        ref, tag = fields.ref or "", fields.tag or ""
        send_at, meta, url = fields.send_at, fields.meta, fields.callback_url
        if nul:
            faults.extend(nuls({"text": text, "ref": ref, "tag": tag}))
        message = Message(
            sender.client,
            klass,
            self._number(fields.to, faults),
            self.sender if fields.sender is None else _sender(fields.sender, faults),
            text or "",
            encoding,
            count,
            self._validity(fields.validity_s, klass, faults),
            0 if send_at is None else time_of(send_at, now_ms, faults),
            ref,
            tag,
            b"" if meta is None else _meta(meta, faults),
            _url(url, faults) if url else "",
            batch_id,
            random.getrandbits(16),
            sender.key_id,
            sender.test,
            sender.traceparent,
        )
        if faults:
            return faults
        if asks and self.recipients is not None and (fault := self.recipients.fault(message, now_ms)) is not None:
            return [fault]
        return message

    @property
    def asks(self) -> bool:
        """Whether there is any recipient now that may not be sent to."""
        return self.recipients is not None and self.recipients.asks

    def check_defaults(self, defaults: MessageFields, sender: Sender, now_ms: int) -> list[Fault]:
        """What is wrong with a batch's defaults by themselves."""
        checked = self.check(defaults, sender, now_ms, nul=True)
        absent = {Code.MISSING_FIELD} if defaults.klass else {Code.MISSING_FIELD, Code.CLASS_NOT_ALLOWED}
        return [] if isinstance(checked, Message) else [f for f in checked if f.code not in absent]

    def _number(self, to: str | None, faults: list[Fault]) -> str:
        if to is None:
            faults.append(missing("to", "the recipient's number"))
            return ""
        try:
            return numbers.parse(to, self.region)
        except numbers.NumberError as e:
            faults.append(Fault(Code(e.code), e.sentence, "/to"))
            return ""

    def _measure(self, text: str | None, faults: list[Fault]) -> tuple[str, int]:
        if not text:
            faults.append(
                missing("text", "what to send")
                if text is None
                else Fault(Code.TEXT_EMPTY, "The text is empty: give at least one character.", "/text")
            )
            return "", 0
        encoding, count = parts.measure(text)
        if count > self.max_parts:
            faults.append(
                Fault(
                    Code.TEXT_TOO_LONG,
                    f"The text takes {count} parts in {encoding}, and at most {self.max_parts} are sent: shorten it.",
                    "/text",
                )
            )
        return encoding, count

    def _validity(self, validity_s: int | None, klass: str, faults: list[Fault]) -> int:
        if validity_s is None:
            return self.validity_s[klass]
        if validity_s > self.max_validity_s:
            faults.append(
                Fault(
                    Code.VALIDITY_OUT_OF_RANGE,
                    f"The validity is 1 to {self.max_validity_s} seconds.",
                    "/validity_s",
                )
            )
        return validity_s


def canonical(fields: MessageFields, message: Message) -> tuple[object, ...]:
    """What two requests with one ref must have in common to be the same: its wishes, not our settings."""
    return (
        message.to,
        message.text,
        message.klass,
        fields.sender,
        fields.validity_s,
        message.send_at_ms,
        message.callback_url,
        message.tag,
        message.meta,
    )


def _sender(sender: str, faults: list[Fault]) -> str:
    try:
        return senders.parse(sender)
    except senders.SenderError as e:
        faults.append(Fault(Code(e.code), e.sentence, "/from"))
        return ""


def _class_not_allowed(sender: Sender) -> Fault:
    allowed = ", ".join(name for name in CLASSES if name in sender.classes) or "none"
    return Fault(Code.CLASS_NOT_ALLOWED, f"This key may not send that class; it may send: {allowed}.", "/class")


def time_of(send_at: datetime, now_ms: int, faults: list[Fault]) -> int:
    """`send_at` in ms; adds a fault when it is not between now and 30 days ahead."""
    at_ms = int(send_at.timestamp() * 1000)
    if at_ms < now_ms:
        faults.append(
            Fault(Code.SEND_AT_PAST, "`send_at` is in the past: give a later time, or leave it out.", "/send_at")
        )
    elif at_ms > now_ms + MAX_SEND_AHEAD_S * 1000:
        faults.append(
            Fault(Code.SEND_AT_TOO_FAR, "`send_at` is more than 30 days ahead: give an earlier time.", "/send_at")
        )
    return at_ms


def _meta(meta: dict[str, object], faults: list[Fault]) -> bytes:
    try:
        packed = _encode_meta(meta)
    except RecursionError:  # decoded a few frames above, where there was just room for it
        faults.append(
            Fault(Code.META_TOO_LARGE, f"`meta` is nested too deeply: {MAX_META_BYTES} bytes are kept.", "/meta")
        )
        return b""
    if len(packed) > MAX_META_BYTES:
        faults.append(
            Fault(
                Code.META_TOO_LARGE,
                f"`meta` takes {len(packed)} bytes as JSON, and at most {MAX_META_BYTES} are kept.",
                "/meta",
            )
        )
    elif b"\\u0000" in packed:
        faults.extend(forbidden(meta, "/meta"))
    return packed


def _url(url: str, faults: list[Fault]) -> str:
    if (sentence := url_fault(url)) is not None:
        faults.append(Fault(Code.CALLBACK_URL_INVALID, sentence, "/callback_url"))
    return url


@lru_cache(maxsize=1024)
def url_fault(url: str) -> str | None:
    """What is wrong with a URL that callbacks are to go to; None: nothing."""
    right = "give an address such as https://example.com/sms."
    if not url.isascii() or not url.isprintable() or " " in url:
        return f"The callback URL has characters that a URL cannot have: {right}"
    try:
        u = urlsplit(url)
        u.port  # noqa: B018 - checked by reading it
    except ValueError:
        return f"The callback URL cannot be read: {right}"
    if u.scheme not in ("http", "https") or not u.hostname:
        return f"The callback URL must begin with https:// or http:// and name a host: {right}"
    if u.username is not None or u.fragment:
        return f"The callback URL may have neither a user name nor a fragment: {right}"
    return None
