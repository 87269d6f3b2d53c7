"""Telnyx Messaging API v2: one request a message, receipts by webhooks that are signed with Ed25519.

In: an account's settings. Out: a web carrier. Telnyx cuts long texts itself and has one id for all parts.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from gateway.provider import CallbackRefusedError, CallbackRequest, Reason, Reports, SecretText, SettingsError
from providers._web.account import POLL_S, Account, guard, literal, way
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import Pointer, as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import JsonSettings

STATES: Final = {
    "queued": "accepted",
    "sending": "accepted",
    "sent": "enroute",
    "delivered": "delivered",
    "delivery_unconfirmed": "unknown",
    "delivery_failed": "undeliverable",
    "sending_failed": "rejected",
    "expired": "expired",
}
CODES: Final[Mapping[str, Reason]] = {
    "10002": Reason.INVALID_RECIPIENT,
    "10009": Reason.UNAUTHORIZED,
    "10010": Reason.UNAUTHORIZED,
    "10011": Reason.THROTTLED,
    "20100": Reason.NO_CREDIT,
    "40001": Reason.UNREACHABLE,
    "40002": Reason.BLOCKED,
    "40003": Reason.BLOCKED,
    "40004": Reason.BLOCKED,
    "40005": Reason.CARRIER_EXPIRED,
    "40006": Reason.TEMPORARY,
    "40008": Reason.UNREACHABLE,
    "40009": Reason.INVALID_CONTENT,
    "40010": Reason.INVALID_SENDER,
    "40011": Reason.THROTTLED,
    "40012": Reason.INVALID_RECIPIENT,
    "40013": Reason.INVALID_SENDER,
    "40014": Reason.CARRIER_EXPIRED,
    "40015": Reason.BLOCKED,
    "40100": Reason.INVALID_SENDER,
    "40300": Reason.HANDSET,  # the subscriber wrote STOP: that no other carrier may be tried, this reason says too
    "40301": Reason.UNSUPPORTED,
    "40302": Reason.INVALID_CONTENT,
    "40305": Reason.INVALID_SENDER,
    "40306": Reason.INVALID_SENDER,
    "40309": Reason.UNSUPPORTED,
    "40310": Reason.INVALID_RECIPIENT,
    "40312": Reason.UNAUTHORIZED,
    "40314": Reason.UNAUTHORIZED,
    "40315": Reason.INVALID_SENDER,
    "40316": Reason.INVALID_CONTENT,
    "40318": Reason.QUEUE_FULL,
    "40319": Reason.UNSUPPORTED,
    "40320": Reason.INVALID_SENDER,
    "40321": Reason.INVALID_SENDER,
}
"""What Telnyx's codes mean, in answers and receipts alike; others are `carrier_error`, or what their state says."""

MAX_AGE_S: Final = 300
_OURS: Final = frozenset({"message.sent", "message.finalized"})
_OF_A_MESSAGE: Final = {
    "id": Pointer("/id"),
    "state": Pointer("/to/0/status"),
    "code": Pointer("/errors/0/code"),
    "done": Pointer("/completed_at"),
    "to": Pointer("/to/0/phone_number"),
    "from": Pointer("/from/phone_number"),
}


class TelnyxSettings(Account, frozen=True, kw_only=True):
    """An account at Telnyx."""

    api_key: Annotated[Secret, Meta(description="an API key, KEY…")]
    public_key_base64: Annotated[
        str,
        Meta(description="the account's public key, in base64: callbacks must be signed for it; empty: need a token"),
    ] = ""
    messaging_profile_id: Annotated[
        str, Meta(description="the messaging profile; needed for senders that are names")
    ] = ""
    url: Annotated[str, Meta(description="where the API is")] = "https://api.telnyx.com"
    balance_every_s: Annotated[float, Meta(ge=10, description="how often to read what the account has left")] = 300
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0
    currency: Annotated[str, Meta(description="what the account is in")] = "USD"


SETTINGS = TelnyxSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, TelnyxSettings)
    key = _public_key(account.public_key_base64)
    if account.public_key_base64 and key is None and not isinstance(settings["public_key_base64"], SecretText):
        raise SettingsError(f"carrier {carrier}: `public_key_base64` must be 32 bytes in base64, as Telnyx shows it")
    home = f"{account.url.rstrip('/')}/v2"
    signed = bool(account.public_key_base64)
    reported = signed or account.callback_token is not None
    table = way(account) | {
        "url": f"{home}/messages",
        "auth": {"kind": "bearer", "token": account.api_key.reveal()},
        "body": _body(account, reported),
        "message_id": "/data/id",
        "error_code": "/errors/0/code",
        "errors": [
            *({"code": [code], "reason": reason.value} for code, reason in CODES.items()),
            {"status": [400, 422], "pattern": r'"pointer"\s*:\s*"/to"', "reason": "invalid_recipient"},
            {"status": [400, 422], "pattern": r'"pointer"\s*:\s*"/from"', "reason": "invalid_sender"},
        ],
        "uncertain": ["5xx", 408, 409],  # no request has an idempotency key
        "check": {"url": f"{home}/balance"},
        "ask": {
            "url": f"{home}/messages/{{message_id}}",
            "after_s": () if reported and reports.callbacks_url else POLL_S,
            "receipts": _RECEIPTS,
        },
        "balance": {
            "url": f"{home}/balance",
            "amount": "/data/balance",
            "currency": account.currency,
            "every_s": account.balance_every_s,
            "low": account.balance_low,
        },
    }
    if reported:
        table["callbacks"] = {
            **guard(account),
            "suffix": "?e={echo}",
            "receipts": {**_RECEIPTS, "echo_parameter": "e"},
            "inbound": {"when": {"at": "/text"}, "sender": "/from", "recipient": "/to", "text": "/text"},
        }
    dialect = Dialect(_verifier(key) if signed else None, _meant)
    return make(carrier, convert(carrier, table, JsonSettings), reports, dialect)


_RECEIPTS: Final = {
    "message_id": "/id",
    "state": "/state",
    "states": STATES,
    "code": "/code",
    "codes": {code: reason.value for code, reason in CODES.items()},
    "done": "/done",
    "recipient": "/to",
    "sender": "/from",
}


def _body(account: TelnyxSettings, reported: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "from": "{from_e164}",
        "to": "{to}",
        "text": "{text}",
        "type": "SMS",
        "encoding": "{encoding}",
    }
    if account.messaging_profile_id:
        made["messaging_profile_id"] = literal(account.messaging_profile_id)
    if reported:
        made["webhook_url"] = "{callback_url}"
    return made


def _meant(document: Any) -> Any:
    """An event or a message, as flat as the settings' places expect it; events of other kinds are nothing."""
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise ValueError("there is no event in it")
    payload = data.get("payload") if data.get("record_type") != "message" else data
    if not isinstance(payload, dict):
        raise ValueError("the event has no message")
    found = {name: place.text_at(payload) for name, place in _OF_A_MESSAGE.items()}
    kind = as_text(data.get("event_type"))
    if kind == "message.received":
        return {"from": found["from"], "to": found["to"], "text": payload.get("text")}
    if kind not in _OURS and data is not payload:
        return []
    return {**found, "done": found["done"] or as_text(data.get("occurred_at"))}


def _public_key(text: str) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def _verifier(key: Ed25519PublicKey | None) -> Callable[[CallbackRequest], None]:
    """Checks the signature over the time and the body as it came."""

    def verify(request: CallbackRequest) -> None:
        given = request.headers.get("telnyx-signature-ed25519", "")
        stamp = request.headers.get("telnyx-timestamp", "")
        if not given or not stamp:
            raise CallbackRefusedError(401, "The request has no signature of Telnyx's.")
        try:
            if key is None:
                raise InvalidSignature
            key.verify(base64.b64decode(given, validate=True), stamp.encode() + b"|" + request.body)
        except (InvalidSignature, binascii.Error, ValueError):
            raise CallbackRefusedError(403, "The request's signature is wrong.") from None
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12) or abs(time.time() - int(stamp)) > MAX_AGE_S:
            raise CallbackRefusedError(403, "The request's timestamp is too far from our time.")

    return verify
