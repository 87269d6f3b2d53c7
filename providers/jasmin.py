"""Jasmin, by its HTTP API: texts out by /send, receipts and subscribers' messages by HTTP callbacks.

In: an account's settings. Out: a web carrier. Jasmin replaces what GSM 03.38 cannot say, so other texts go as UTF-16.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final

from aiosmpplib import SmppCommandStatus
from msgspec import Meta

from gateway.provider import Reports
from gateway.smpp.status import REASONS
from gateway.text import gsm7, ucs2
from providers._web.account import Account, callbacks, each, literal, rules, way
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import as_text
from providers._web.reading import CARRIERS_REASONS, convert, typed
from providers._web.secret import Secret
from providers._web.settings import FormSettings

_GO_ON: Final = frozenset({"ESME_ROK", "ESME_RTHROTTLED", "ESME_RMSGQFUL"})
"""Answers of the SMSC after which Jasmin goes on: it took the message, or will be asked again."""


class JasminSettings(Account, frozen=True, kw_only=True):
    """A user of a Jasmin."""

    url: Annotated[str, Meta(description="of its HTTP API without a path, such as http://127.0.0.1:1401")]
    username: Annotated[str, Meta(description="the user")]
    password: Annotated[Secret, Meta(description="its password; Jasmin takes at most 16 characters")]
    validity: Annotated[
        bool, Meta(description="send validity-period; the user needs the authorization set_validity_period")
    ] = False
    priority: Annotated[
        Annotated[int, Meta(ge=0, le=3)] | None,
        Meta(description="0 to 3; the user needs the authorization set_priority"),
    ] = None
    tags: Annotated[
        str, Meta(pattern=r"^[-a-zA-Z0-9,]*$", description="tags that Jasmin's routes filter by, with commas")
    ] = ""
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0


SETTINGS = JasminSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, JasminSettings)
    url = account.url.rstrip("/")
    user = {"username": literal(account.username), "password": literal(account.password)}
    fields: dict[str, Any] = {
        **user,
        "to": "{to_digits}",
        "from": "{from}",
        "coding": "{encoding}",
        "content": "{gsm7_text}",
        "hex-content": "{ucs2_hex}",
    }
    fields |= {"validity-period": "{validity_min}"} if account.validity else {}
    fields |= {"priority": account.priority} if account.priority is not None else {}
    fields |= {"tags": account.tags} if account.tags else {}
    if account.callback_token is not None and reports.callbacks_url:
        # Level 3: at level 2 nothing would ever be said of a message that the SMSC refuses.
        fields |= {"dlr": "yes", "dlr-url": "{callback_url}", "dlr-level": 3, "dlr-method": "POST"}
    table = way(account) | {
        "url": f"{url}/send",
        "fields": fields,
        "encodings": {"gsm7": 0, "ucs2": 8},
        "check": {"url": f"{url}/balance", "fields": user},
        "balance": {"url": f"{url}/balance", "fields": user, "amount": "/balance", "low": account.balance_low},
        "message_id": {"pattern": r'^\s*Success "([^"]+)"'},
        "error_code": {"pattern": r'^\s*Error "([A-Za-z_ ]{1,40})'},
        "errors": [
            *rules(("throughput exceeded", "throttled"), ("(?i)cannot charge", "no_credit"), status=[403]),
            *rules(
                (r"Argument \[(b')?to'?\]", "invalid_recipient"),
                (r"Argument \[(b')?from'?\]", "invalid_sender"),
                (r"Argument \[(b')?(hex-)?content'?\]", "invalid_content"),
                ("Authorization failed", "unauthorized"),
                status=[400],
            ),
            *rules(("no bound connectors", "temporary"), status=[412]),
            *rules(("Cannot send submit_sm", "temporary"), status=[500]),
        ],
        **callbacks(
            account,
            suffix="?echo={echo}&to={to_digits}",
            charset="latin-1",  # a receipt's `text` and a message's `content` are octets
            reply={"body": "ACK/Jasmin"},
            receipts={
                "when": {"at": "/message_status"},
                "message_id": "/id",
                "state": "/state",
                "code": "/code",
                "codes": {name: reason for name, reason in _codes().items() if name not in _GO_ON},
                "done": "/donedate",
                "done_format": "%y%m%d%H%M",
                "recipient": "/to",
                "echo": "/echo",
            },
            inbound={"when": {"at": "/origin-connector"}, "sender": "/from", "recipient": "/to", "text": "/content"},
        ),
    }
    return make(carrier, convert(carrier, table, FormSettings), reports, Dialect(translate=each(_meant)))


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    """Level 1 tells the answer of the SMSC, level 2 the state of a receipt, both in `message_status`."""
    status = as_text(report.get("message_status"))
    if status.startswith("ESME_"):
        return report | {"state": "enroute" if status in _GO_ON else "rejected", "code": status}
    if "message_status" in report:
        return report | {"state": status, "code": as_text(report.get("err"))}
    return _read(report)


def _read(message: dict[str, Any]) -> dict[str, Any]:
    """A subscriber's message. `binary` has its octets as they came, which `content` repeats and cannot say; `coding` is
    SMPP's data_coding as an octet."""
    try:
        octets = binascii.unhexlify(str(message["binary"]))
    except (KeyError, ValueError):
        return message
    match _number(message.get("coding")):
        case 0:
            return message | {"content": gsm7.decode(octets)}
        case 8:
            return message | {"content": ucs2.decode(octets)}
        case 1 | 3:
            return message | {"content": octets.decode("latin-1")}
    return message


def _number(coding: Any) -> int:
    if isinstance(coding, str) and len(coding) == 1 and not coding.isdigit():
        return ord(coding)
    return int(coding) if isinstance(coding, str) and coding.isascii() and coding.isdigit() and len(coding) < 4 else -1


def _codes() -> dict[str, str]:
    named = {status.value: status.name for status in SmppCommandStatus}
    return {named[s]: r.value for s, r in REASONS.items() if s in named and r in CARRIERS_REASONS}
