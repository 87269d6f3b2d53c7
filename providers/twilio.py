"""Twilio Programmable Messaging (REST API 2010-04-01): one request a message, receipts by signed status callbacks.

In: an account's settings. Out: a web carrier. Twilio cuts long texts itself and has one id for all segments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from msgspec import Meta

from gateway.provider import CallbackRefusedError, CallbackRequest, Reason, Reports
from providers._web import signing
from providers._web.account import POLL_S, Account, each, guard, literal, way
from providers._web.callbacks import Dialect, sorted_fields
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import FormSettings

LONGEST_VALIDITY_S: Final = 36_000
STATES: Final = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "enroute",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "undeliverable",
    "failed": "rejected",
    "canceled": "rejected",
    "partially_delivered": "unknown",
}
CODES: Final[Mapping[str, Reason]] = {
    "14107": Reason.THROTTLED,
    "20003": Reason.UNAUTHORIZED,
    "20429": Reason.THROTTLED,
    "21211": Reason.INVALID_RECIPIENT,
    "21212": Reason.INVALID_SENDER,
    "21217": Reason.INVALID_RECIPIENT,
    "21408": Reason.BLOCKED,
    "21602": Reason.INVALID_CONTENT,
    "21603": Reason.INVALID_SENDER,
    "21606": Reason.INVALID_SENDER,
    "21608": Reason.BLOCKED,  # a trial account
    "21609": Reason.UNSUPPORTED,  # our callback's address does not please
    "21610": Reason.HANDSET,  # the subscriber wrote STOP: that no other carrier may be tried, this reason says too
    "21611": Reason.QUEUE_FULL,
    "21612": Reason.UNREACHABLE,
    "21614": Reason.INVALID_RECIPIENT,
    "21617": Reason.INVALID_CONTENT,
    "21703": Reason.INVALID_SENDER,
    "30001": Reason.QUEUE_FULL,
    "30002": Reason.UNAUTHORIZED,
    "30003": Reason.UNREACHABLE,
    "30004": Reason.BLOCKED,
    "30005": Reason.UNKNOWN_SUBSCRIBER,
    "30006": Reason.UNREACHABLE,
    "30007": Reason.BLOCKED,
    "30008": Reason.CARRIER_ERROR,
    "30017": Reason.TEMPORARY,
    "30022": Reason.THROTTLED,
    "30023": Reason.THROTTLED,
    "30410": Reason.TEMPORARY,
    "63017": Reason.THROTTLED,
    "63018": Reason.THROTTLED,
}
"""What Twilio's codes mean, in answers and receipts alike; it asks to rely on none, so others are `carrier_error`."""

_RFC_2822: Final = "%a, %d %b %Y %H:%M:%S %z"
_USUAL_PORTS: Final = {"https": 443, "http": 80}


class TwilioSettings(Account, frozen=True, kw_only=True):
    """An account at Twilio."""

    account_sid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+$", description="the Account SID, AC…")]
    auth_token: Annotated[
        Secret, Meta(description="the primary Auth Token: it signs us in, and Twilio's callbacks are signed with it")
    ]
    messaging_service_sid: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9]*$",
            description="MG…: this messaging service chooses senders; the message's is not sent",
        ),
    ] = ""
    smart_encoded: Annotated[bool, Meta(description="Twilio writes look-alike characters in GSM 7-bit")] = False
    url: Annotated[str, Meta(description="where the API is")] = "https://api.twilio.com"
    balance_every_s: Annotated[float, Meta(ge=10, description="how often to read what the account has left")] = 300
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0
    currency: Annotated[str, Meta(description="what the account is in")] = "USD"


SETTINGS = TwilioSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, TwilioSettings)
    home = f"{account.url.rstrip('/')}/2010-04-01/Accounts/{account.account_sid}"
    sender = {"From": "{from_e164}"}
    if account.messaging_service_sid:
        sender = {"MessagingServiceSid": literal(account.messaging_service_sid)}
    fields = {"To": "{to}", **sender, "Body": "{text}", "ValidityPeriod": "{validity_s}"}
    if account.smart_encoded:
        fields["SmartEncoded"] = "true"
    meaning = {"states": STATES, "codes": {code: reason.value for code, reason in CODES.items()}}
    table = way(account) | {
        "url": f"{home}/Messages.json",
        "auth": {"kind": "basic", "user": account.account_sid, "password": account.auth_token.reveal()},
        "fields": {**fields, "StatusCallback": "{callback_url}"},
        "longest_validity_s": LONGEST_VALIDITY_S,
        "message_id": "/sid",
        "error_code": "/code",
        "errors": [{"code": [code], "reason": reason.value} for code, reason in CODES.items()],
        "uncertain": ["5xx"],  # no request has an idempotency key
        "check": {"url": f"{home}/Messages.json", "fields": {"PageSize": 1}},
        "ask": {
            "url": f"{home}/Messages/{{message_id}}.json",
            "after_s": () if reports.callbacks_url else POLL_S,
            "receipts": {
                "message_id": "/sid",
                "state": "/status",
                "code": "/error_code",
                "done": "/date_updated",
                "done_format": _RFC_2822,
                "recipient": "/to",
                "sender": "/from",
                **meaning,
            },
        },
        "balance": {
            "url": f"{home}/Balance.json",
            "amount": "/balance",
            "currency": account.currency,
            "every_s": account.balance_every_s,
            "low": account.balance_low,
        },
        "callbacks": {
            **guard(account),
            "format": "any",
            "suffix": "?e={echo}",
            "receipts": {
                "message_id": "/MessageSid",
                "state": "/MessageStatus",
                "code": "/ErrorCode",
                "done": "/RawDlrDoneDate",
                "done_format": "%y%m%d%H%M",
                "recipient": "/To",
                "sender": "/From",
                "echo_parameter": "e",
                **meaning,
            },
            "inbound": {"when": {"at": "/Body"}, "sender": "/From", "recipient": "/To", "text": "/Body"},
        },
    }
    dialect = Dialect(_verifier(account.auth_token, reports.callbacks_url), each(_meant))
    return make(carrier, convert(carrier, table, FormSettings), reports, dialect)


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    """A subscriber's message has a text, and a state that is none of ours; older callbacks have their names only."""
    if report.get("MessageStatus", report.get("SmsStatus")) in ("received", "receiving"):
        return {name: value for name, value in report.items() if name not in ("MessageStatus", "SmsStatus")}
    if "SmsStatus" in report:
        return {"MessageStatus": report["SmsStatus"], "MessageSid": report.get("SmsSid"), **report}
    return report


def _verifier(token: Secret, public_url: str) -> Callable[[CallbackRequest], None]:
    """Checks X-Twilio-Signature: HMAC-SHA1 over the public URL as Twilio called it, and a form's sorted fields."""

    def verify(request: CallbackRequest) -> None:
        given = request.headers.get("x-twilio-signature", "")
        if not given:
            raise CallbackRefusedError(401, "The request has no signature of Twilio's.")
        fields, known = b"", request.query.get("bodySHA256")
        if known is not None:
            if not signing.same(known.lower(), hashlib.sha256(request.body).hexdigest()):
                raise CallbackRefusedError(403, "The request's body is not the one that was signed.")
        elif request.method != "GET":
            fields = sorted_fields(request.body, "utf-8")
        url = public_url.rstrip("/") + (request.target or request.path)
        # Every one is compared: how long it takes tells nothing.
        right = [signing.same(given, _signature(token, said, fields)) for said in _spellings(url)]
        if not any(right):
            raise CallbackRefusedError(403, "The request's signature is wrong: is callbacks_url what Twilio calls?")

    return verify


def _signature(token: Secret, url: str, fields: bytes) -> str:
    mac = hmac.new(token.reveal().encode(), url.encode() + fields, hashlib.sha1)
    return base64.b64encode(mac.digest()).decode()


def _spellings(url: str) -> Iterator[str]:
    """The URL, and the same with its usual port in it or left out."""
    yield url
    parts = urlsplit(url)
    usual = _USUAL_PORTS.get(parts.scheme)
    start, host = f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}://{parts.hostname}"
    if usual is not None:
        yield (f"{start}:{usual}" if parts.port is None else host) + url[len(start) :]
