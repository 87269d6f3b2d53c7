"""Kannel, by the HTTP interface of its smsbox: texts by sendsms, receipts by dlr-url, subscribers' messages by get-url.

In: an account's settings. Out: a web carrier. Kannel gives no message ids: our own reference travels in dlr-url.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.provider import CallbackRequest, Reports
from gateway.smpp.status import REASONS
from providers._web.account import Account, callbacks, each, literal, rules, way
from providers._web.callbacks import Dialect, form
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import as_text
from providers._web.reading import CARRIERS_REASONS, convert, typed
from providers._web.secret import Secret
from providers._web.settings import TextSettings

_DLR: Final = "?id={reference}&echo={echo}&d=%d&a=%A&f=%F&ts=%T&to=%p&from=%P"
"""A receipt travels back, so %p is the recipient and %P the sender. Kannel percent-encodes what it puts in."""

_STATES: Final = {
    "1": "delivered",
    "2": "undeliverable",
    "4": "enroute",
    "8": "enroute",
    "16": "rejected",
    "32": "enroute",
}
_STAT: Final = re.compile(r"\bstat:\s?(\w+)")
_CODE: Final = re.compile(r"\berr:\s?(\w+)|^NACK/(\w+)")


class KannelSettings(Account, frozen=True, kw_only=True):
    """A `sendsms-user` of a Kannel."""

    url: Annotated[str, Meta(description="of sendsms, such as http://127.0.0.1:13013/cgi-bin/sendsms")]
    username: Annotated[str, Meta(description="`username` of the group sendsms-user")]
    password: Annotated[Secret, Meta(description="its `password`")]
    smsc: Annotated[str, Meta(description="`smsc-id` that Kannel is to route by; empty: as Kannel is configured")] = ""
    account: Annotated[str, Meta(description="a word for Kannel's access log")] = ""
    dlr_mask: Annotated[
        int, Meta(ge=0, le=63, description="which receipts to ask for; 19 is the least that tells ends")
    ] = 31


SETTINGS = KannelSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, KannelSettings)
    headers: dict[str, Any] = {
        "X-Kannel-Username": literal(account.username),
        "X-Kannel-Password": literal(account.password),
        "X-Kannel-To": "{to}",
        "X-Kannel-From": "{from}",
        # Without coding=2, and without the charset of the body beside it, Cyrillic text arrives as garbage.
        "X-Kannel-Coding": "{encoding}",
        "X-Kannel-Validity": "{validity_min}",
    }
    headers |= {
        name: literal(given)
        for name, given in (("X-Kannel-SMSC", account.smsc), ("X-Kannel-Account", account.account))
        if given
    }
    if account.callback_token is not None and reports.callbacks_url and account.dlr_mask:
        headers |= {"X-Kannel-DLR-Mask": str(account.dlr_mask), "X-Kannel-DLR-URL": "{callback_url}"}
    table = way(account) | {
        "url": account.url,
        "headers": headers,
        "text": "{text}",
        "encodings": {"gsm7": 0, "ucs2": 2},
        # Who may not send hears 403 before Kannel misses the receiver's number.
        "check": {"url": account.url, "method": "POST", "status": [400], "refused": "Authorization failed"},
        "success": {"status": [202]},
        "message_id": "reference",
        "errors": [
            *rules(("Not routable", "carrier_error"), ("Authorization failed", "unauthorized"), status=[403]),
            *rules(
                ("(?i)receiver number", "invalid_recipient"),
                ("(?i)black-lists", "blocked"),
                ("(?i)sender missing", "invalid_sender"),
                ("(?i)charset or body", "invalid_content"),
                status=[400],
            ),
            {"status": [503], "reason": "throttled"},
        ],
        **callbacks(
            account,
            suffix=_DLR,
            receipts={
                "when": {"at": "/d"},
                "message_id": "/id",
                "state": "/state",
                "code": "/code",
                "codes": _codes(),
                "done": "/ts",
                "done_format": "unix",
                "recipient": "/to",
                "sender": "/from",
                "echo": "/echo",
            },
            inbound={"when": {"at": "/text"}, "sender": "/from", "recipient": "/to", "text": "/text"},
        ),
    }
    return make(carrier, convert(carrier, table, TextSettings), reports, Dialect(decode=decode, translate=each(_meant)))


def decode(request: CallbackRequest) -> dict[str, str]:
    """The fields of the URL, each in its own alphabet: %A holds what the SMSC wrote, %b what a subscriber did, in the
    charset that %C names. Raises ValueError."""
    octets = form(request.target.partition("?")[2].encode("ascii", "replace"), "latin-1")
    utf16 = octets.get("charset", "").upper().startswith("UTF-16")
    return {name: _text(value, "utf-16-be" if utf16 and name == "text" else "utf-8") for name, value in octets.items()}


def _text(octets: str, charset: str) -> str:
    try:
        return octets.encode("latin-1").decode(charset)
    except UnicodeDecodeError:
        return octets


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    """%d tells little; what the SMSC wrote (%A) tells which of the ends it was."""
    if "d" not in report:
        return report
    kind, wrote = as_text(report["d"]), as_text(report.get("a"))
    stat, code = _STAT.search(wrote), _CODE.search(wrote)
    state = _STATES.get(kind, "unknown") if kind else ""
    if kind == "2" and stat is not None:
        state = stat[1]
    return report | {"state": state, "code": (code[1] or code[2]) if code is not None else ""}


def _codes() -> dict[str, str]:
    """A NACK has the SMPP status in decimal."""
    return {str(int(status)): reason.value for status, reason in REASONS.items() if reason in CARRIERS_REASONS}
