"""Vonage Messages API, by an application's key: one request a message, one status for its parts, signed webhooks.

In: an application's settings. Out: a web carrier. Requests carry a token that its private key signs (JWT, RS256);
webhooks carry one that the account's signature secret signs (HS256).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.provider import STAND_IN, Reason, Reports, SettingsError
from providers._web import tokens
from providers._web.account import Account, literal, way
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import Pointer, as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import JsonSettings

VALIDITY_S: Final = (20, 604_800)
STATES: Final = {
    "submitted": "enroute",
    "delivered": "delivered",
    "read": "delivered",
    "rejected": "rejected",
    "undeliverable": "undeliverable",
    "expired": "expired",
}
CODES: Final[Mapping[str, Reason]] = {
    "1000": Reason.THROTTLED,
    "1030": Reason.UNCERTAIN,
    "1050": Reason.BLOCKED,
    "1060": Reason.UNAUTHORIZED,
    "1070": Reason.NO_CREDIT,
    "1080": Reason.UNAUTHORIZED,
    "1090": Reason.INVALID_CONTENT,
    "1100": Reason.TEMPORARY,
    "1120": Reason.INVALID_SENDER,
    "1130": Reason.UNSUPPORTED,
    "1140": Reason.UNSUPPORTED,
    "1150": Reason.UNSUPPORTED,
    "1160": Reason.BLOCKED,
    "1170": Reason.INVALID_RECIPIENT,
    "1180": Reason.UNREACHABLE,
    "1190": Reason.UNKNOWN_SUBSCRIBER,
    "1200": Reason.UNREACHABLE,
    "1210": Reason.BLOCKED,
    "1220": Reason.UNREACHABLE,
    "1230": Reason.CARRIER_ERROR,
    "1240": Reason.HANDSET,  # the subscriber wrote STOP
    "1241": Reason.THROTTLED,
    "1250": Reason.CARRIER_ERROR,
    "1260": Reason.UNREACHABLE,
    "1270": Reason.BLOCKED,
    "1280": Reason.BLOCKED,
    "1290": Reason.UNREACHABLE,
    "1300": Reason.UNKNOWN_SUBSCRIBER,
    "1310": Reason.HANDSET,
    "1320": Reason.UNCERTAIN,  # "already sent": by whom, it does not say
    "1331": Reason.CARRIER_ERROR,
    "1360": Reason.CARRIER_EXPIRED,
}
"""What Vonage's codes mean, in answers and in statuses; others are `carrier_error`, or what their state says."""

_THE_PHONES: Final = frozenset({"1180", "1190", "1200", "1220", "1260", "1290", "1300", "1310"})
"""Codes with which `rejected` speaks of the phone."""
_EXPIRED: Final = "1360"
_IN_TYPE: Final = re.compile(r"#([A-Za-z0-9_.-]{1,40})$")
_ERROR: Final = {name: Pointer(f"/error/{name}") for name in ("code", "type", "title")}


class VonageMessagesSettings(Account, frozen=True, kw_only=True):
    """An application at Vonage."""

    application_id: Annotated[str, Meta(min_length=1, description="the application's id")]
    private_key: Annotated[Secret, Meta(description="its private key: RSA, in PEM")]
    signature_secret: Annotated[
        Secret | None, Meta(description="the account's signature secret: webhooks must be signed with it")
    ] = None
    signature_age_s: Annotated[int, Meta(ge=1, description="older webhooks are refused; they repeat for a day")] = (
        90_000
    )
    url: Annotated[str, Meta(description="where the API is")] = "https://api.nexmo.com"


SETTINGS = VonageMessagesSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one application. Raises SettingsError."""
    account = typed(carrier, settings, VonageMessagesSettings)
    key = tokens.private_key(account.private_key)
    if key is None and account.private_key.reveal() != STAND_IN:
        raise SettingsError(
            f"carrier {carrier}: `private_key` must be an RSA private key in PEM, without a password: the whole file"
            " that Vonage gives, from -----BEGIN PRIVATE KEY----- on"
        )
    called, url = _callbacks(account), f"{account.url.rstrip('/')}/v1/messages"
    table = way(account) | {
        "url": url,
        "body": _body(bool(called)),
        "encodings": {"gsm7": "text", "ucs2": "unicode"},
        "shortest_validity_s": VALIDITY_S[0],
        "longest_validity_s": VALIDITY_S[1],
        "message_id": "/message_uuid",
        "error_code": {"pattern": r'"type"\s*:\s*"[^"]*#([A-Za-z0-9_.-]{1,40})"'},
        "errors": [
            *({"code": [code], "reason": reason.value} for code, reason in CODES.items()),
            {"status": [400, 422], "pattern": r'"name"\s*:\s*"to"', "reason": "invalid_recipient"},
            {"status": [400, 422], "pattern": r'"name"\s*:\s*"from"', "reason": "invalid_sender"},
            {"status": [400, 422], "pattern": r'"name"\s*:\s*"text"', "reason": "invalid_content"},
        ],
        "uncertain": ["5xx", 408, 409],  # no request has an idempotency key
        # There is no request that only shows credentials; this one has nothing in it that could be sent.
        "check": {"url": url, "method": "POST", "body": {"channel": "sms"}, "status": ["2xx", 400, 422]},
        **called,
    }
    verify = None
    if account.signature_secret is not None:
        wanted = {"application_id": account.application_id}
        verify = tokens.verifier(account.signature_secret, account.signature_age_s, wanted)
    authorize = None if key is None else tokens.Bearer(key, {"application_id": account.application_id})
    made = convert(carrier, table, JsonSettings)
    return make(carrier, made, reports, Dialect(verify, _meant), authorize=authorize)


def _body(reported: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "message_type": "text",
        "channel": "sms",
        "to": "{to_digits}",
        "from": "{from_digits}",
        "text": "{text}",
        "ttl": "{validity_s}",
        "client_ref": "{reference}/{echo}",
        "sms": {"encoding_type": "{encoding}"},
    }
    return made | ({"webhook_url": "{callback_url}", "webhook_version": literal("v1")} if reported else {})


def _callbacks(account: VonageMessagesSettings) -> dict[str, Any]:
    token = account.callback_token
    if token is None and account.signature_secret is None:
        return {}
    receipts = {
        "message_id": "/message_uuid",
        "state": "/status",
        "states": STATES,
        "code": "/code",
        "codes": {code: reason.value for code, reason in CODES.items()},
        "done": "/timestamp",
        "recipient": "/to",
        "sender": "/from",
        "echo": "/echo",
    }
    return {
        "callbacks": {
            "proof": {"kind": "none"} if token is None else {"kind": "path", "token": token.reveal()},
            "networks": account.callback_networks,
            "receipts": receipts,
            "inbound": {"when": {"at": "/text"}, "sender": "/from", "recipient": "/to", "text": "/text"},
        }
    }


def _meant(document: Any) -> Any:
    """A webhook as the places above expect it. Of other channels, and pictures, there is nothing to say."""
    if not isinstance(document, dict):
        raise ValueError("the body is no event of the Messages API")
    if document.get("channel", "sms") != "sms" or ("message_type" in document and "text" not in document):
        return []
    code, status = _code(document), document.get("status")
    if status == "rejected" and code == _EXPIRED:
        status = "expired"
    elif status == "rejected" and code in _THE_PHONES:
        status = "undeliverable"
    echo = as_text(document.get("client_ref")).rpartition("/")[2]
    return {**document, "status": status, "code": code, "echo": echo}


def _code(report: dict[str, Any]) -> str:
    """Its number, wherever this version of the API says it: by itself, at the end of `type`, or as `title`."""
    number, kind, title = (place.text_at(report) for place in _ERROR.values())
    named = _IN_TYPE.search(kind)
    return number or (named[1] if named else "") or (title if title.isdigit() else "")
