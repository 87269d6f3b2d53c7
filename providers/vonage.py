"""Vonage (Nexmo) SMS API: one request a message, an answer and a receipt for each of its parts, signed callbacks.

In: an account's settings. Out: a web carrier. Errors come in answers with HTTP status 200; alphabets are ours to name.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.provider import CallbackRefusedError, CallbackRequest, Kind, Outcome, Reason, Reports
from providers._web import signing
from providers._web.account import Account, each, guard, literal, way
from providers._web.answers import AnswerReader
from providers._web.callbacks import Dialect, anything
from providers._web.carrier import WebCarrier
from providers._web.joined import JoinedCallingCarrier, JoinedCarrier, parted
from providers._web.opening import make
from providers._web.pointer import Pointer, as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import FormSettings
from providers._web.spots import Answer

log = logging.getLogger("web")

VALIDITY_S: Final = (20, 604_800)
LONGEST_CALLBACK: Final = 100
STATES: Final = {
    "accepted": "enroute",
    "buffered": "enroute",
    "delivered": "delivered",
    "expired": "expired",
    "failed": "undeliverable",
    "failed-here": "rejected",
    "rejected": "rejected",
    "unknown": "unknown",
}
STATUSES: Final[Mapping[str, Reason]] = {
    "1": Reason.THROTTLED,
    "2": Reason.CARRIER_ERROR,
    "3": Reason.CARRIER_ERROR,
    "4": Reason.UNAUTHORIZED,
    "5": Reason.TEMPORARY,
    "6": Reason.CARRIER_ERROR,
    "7": Reason.BLOCKED,
    "8": Reason.UNAUTHORIZED,
    "9": Reason.NO_CREDIT,
    "10": Reason.THROTTLED,
    "11": Reason.UNAUTHORIZED,
    "12": Reason.INVALID_CONTENT,
    "14": Reason.UNAUTHORIZED,
    "15": Reason.INVALID_SENDER,
    "22": Reason.UNSUPPORTED,
    "23": Reason.UNSUPPORTED,
    "29": Reason.BLOCKED,
    "32": Reason.UNAUTHORIZED,
    "33": Reason.UNKNOWN_SUBSCRIBER,
}
"""`status` in an answer; others are `carrier_error`."""
CODES: Final[Mapping[str, Reason]] = {
    "2": Reason.UNREACHABLE,
    "3": Reason.UNKNOWN_SUBSCRIBER,
    "4": Reason.HANDSET,
    "5": Reason.UNREACHABLE,
    "6": Reason.BLOCKED,
    "7": Reason.UNREACHABLE,
    "8": Reason.CARRIER_ERROR,
    "9": Reason.INVALID_RECIPIENT,
    "10": Reason.INVALID_CONTENT,
    "11": Reason.CARRIER_ERROR,
    "12": Reason.UNREACHABLE,
    "13": Reason.BLOCKED,
    "14": Reason.BLOCKED,
    "15": Reason.UNREACHABLE,
    "16": Reason.CARRIER_ERROR,
    "50": Reason.INVALID_SENDER,
    "51": Reason.INVALID_SENDER,
    "52": Reason.INVALID_CONTENT,
    "53": Reason.BLOCKED,
    "54": Reason.BLOCKED,
    "99": Reason.CARRIER_ERROR,
}
"""`err-code` in a receipt; others have the reason of their state."""

_FAILED_HERE: Final = frozenset({"8", "11", "16", "99"})
"""Codes with which `failed` does not speak of the phone."""
_WAIT: Final = re.compile(r"wait \[\s*(\d{1,6})\s*\]")  # milliseconds
_DIGESTS: Final = {"md5": hashlib.md5, "sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}


class VonageSettings(Account, frozen=True, kw_only=True):
    """An account at Vonage."""

    api_key: Annotated[Secret, Meta(description="the API key")]
    api_secret: Annotated[Secret, Meta(description="its API secret")]
    signature_secret: Annotated[
        Secret | None, Meta(description="the account's signature secret: callbacks must be signed with it")
    ] = None
    signature_method: Annotated[
        Literal["md5hash", "md5", "sha1", "sha256", "sha512"],
        Meta(description="the account's signature method: md5hash, or an HMAC"),
    ] = "md5hash"
    signature_age_s: Annotated[
        int, Meta(ge=1, description="older signatures are refused; callbacks repeat for a day")
    ] = 90_000
    window: Annotated[int, Meta(ge=10, le=10_000, description="parts without an answer at a time")] = 64
    gather_s: Annotated[float, Meta(gt=0, description="how long a part of a long text waits for the others")] = 10
    url: Annotated[str, Meta(description="where the API is")] = "https://rest.nexmo.com"
    balance_every_s: Annotated[float, Meta(ge=10, description="how often to read what the account has left")] = 300
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0


SETTINGS = VonageSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> JoinedCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, VonageSettings)
    home = account.url.rstrip("/")
    who = {"api_key": literal(account.api_key), "api_secret": literal(account.api_secret)}
    balance = {"url": f"{home}/account/get-balance", "fields": who}
    table = way(account) | {
        "url": f"{home}/sms/json",
        "fields": {
            **who,
            "from": "{from_digits}",
            "to": "{to_digits}",
            "text": "{text}",
            "type": "{encoding}",
            "ttl": "{validity_ms}",
            "status-report-req": "true",
            "callback": "{callback_url}",
            "client-ref": "{echo}",
        },
        "encodings": {"gsm7": "text", "ucs2": "unicode"},
        "shortest_validity_s": VALIDITY_S[0],
        "longest_validity_s": VALIDITY_S[1],
        "success": {"at": "/messages/0/status", "words": ["0"]},
        "message_id": "/messages/0/message-id",
        "error_code": "/messages/0/status",
        "errors": [
            {"code": ["2", "3"], "pattern": r'error-text"\s*:\s*"[^"]*\bto\b', "reason": "invalid_recipient"},
            {"code": ["2", "3", "15"], "pattern": r'error-text"\s*:\s*"[^"]*\bfrom\b', "reason": "invalid_sender"},
            *({"code": [code], "reason": reason.value} for code, reason in STATUSES.items()),
        ],
        "uncertain": ["5xx"],  # no request has an idempotency key
        "check": balance,
        "balance": {
            **balance,
            "amount": "/value",
            "currency": "EUR",
            "every_s": account.balance_every_s,
            "low": account.balance_low,
        },
        **_callbacks(account),
    }
    if not _short_enough(carrier, account, reports):
        del table["fields"]["callback"]
    dialect = Dialect(_verifier(account), each(_meant))
    made = convert(carrier, table, FormSettings)

    def build(inner: Reports) -> WebCarrier:
        return make(carrier, made, inner, dialect, answers=VonageAnswers)

    kind = JoinedCallingCarrier if made.callbacks is not None else JoinedCarrier
    return kind(reports, account.gather_s, build)


def _callbacks(account: VonageSettings) -> dict[str, Any]:
    if account.callback_token is None and account.signature_secret is None:
        return {}
    receipts = {
        "message_id": "/messageId",
        "state": "/status",
        "states": STATES,
        "code": "/err-code",
        "codes": {code: reason.value for code, reason in CODES.items()},
        "done": "/scts",
        "done_format": "%y%m%d%H%M",
        "recipient": "/msisdn",  # as a subscriber's message has it: our sender is `to`
        "sender": "/to",
        "echo": "/client-ref",
    }
    inbound = {
        "when": {"at": "/text"},
        "sender": "/msisdn",
        "recipient": "/to",
        "text": "/text",
        "concat_ref": "/concat-ref",
        "concat_total": "/concat-total",
        "concat_part": "/concat-part",
    }
    return {"callbacks": {**guard(account), "format": "any", "receipts": receipts, "inbound": inbound}}


def _short_enough(carrier: str, account: VonageSettings, reports: Reports) -> bool:
    """Vonage takes no longer address with a message; then it reports to the account's own one."""
    token = account.callback_token.reveal() if account.callback_token is not None else ""
    length = len(f"{reports.callbacks_url}/v1/receipts/{carrier}/{token}")
    if length > LONGEST_CALLBACK and reports.callbacks_url:
        log.warning("callback address too long", extra={"carrier": carrier, "most": LONGEST_CALLBACK})
    return length <= LONGEST_CALLBACK


class VonageAnswers(AnswerReader):
    """Reads an answer that has an entry for every part of one message."""

    def read(self, answer: Answer, references: Sequence[str]) -> list[Outcome]:
        """One outcome; a `Parted` one where there were several parts."""
        entries = Pointer("/messages").find(answer.document)
        if not isinstance(entries, list) or len(entries) < 2:
            return [self._paced(super().read(answer, references)[0], answer)]
        each_one = [
            Answer(answer.status, answer.headers, msgspec.json.encode({"messages": [entry]})) for entry in entries
        ]
        return [parted([self._paced(super(VonageAnswers, self).read(one, references)[0], one) for one in each_one])]

    def _paced(self, outcome: Outcome, answer: Answer) -> Outcome:
        """How long to wait stands in the words of a refusal."""
        if outcome.kind is Kind.DEFERRED and outcome.reason is Reason.THROTTLED and not outcome.after_s:
            found = _WAIT.search(answer.text[:4096])
            if found is not None:
                return msgspec.structs.replace(outcome, after_s=int(found[1]) / 1000)
        return outcome


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    status, code = report.get("status"), as_text(report.get("err-code"))
    if status == "failed" and code in _FAILED_HERE:
        return {**report, "status": "failed-here"}
    if isinstance(status, str) and "messageId" in report and "text" in report and "err-code" not in report:
        return {name: value for name, value in report.items() if name != "status"}
    return report


def _verifier(account: VonageSettings) -> Callable[[CallbackRequest], None] | None:
    """Checks `sig`: over all other parameters, sorted, wherever they came."""
    secret = account.signature_secret
    if secret is None:
        return None

    def verify(request: CallbackRequest) -> None:
        given = anything(request, "utf-8")
        fields = {name: _text(value) for name, value in given.items()} if isinstance(given, dict) else {}
        sig = fields.pop("sig", "")
        if not sig:
            raise CallbackRefusedError(401, "The request has no signature of Vonage's.")
        right = sign(secret.reveal(), account.signature_method, fields)
        if not signing.same(sig.lower(), right):
            raise CallbackRefusedError(403, "The request's signature is wrong.")
        stamp = fields.get("timestamp", "")
        age_s = abs(time.time() - int(stamp)) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else 1e18
        if age_s > account.signature_age_s:
            raise CallbackRefusedError(403, "The request's timestamp is missing, or too far from our time.")

    return verify


def sign(secret: str, method: str, fields: Mapping[str, str]) -> str:
    """The signature of a callback's parameters, in lower case."""
    escaped = ((name, value.replace("&", "_").replace("=", "_")) for name, value in sorted(fields.items()))
    joined = "".join(f"&{name}={value}" for name, value in escaped).encode("utf-8", "surrogatepass")
    if method == "md5hash":
        return hashlib.md5(joined + secret.encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), joined, _DIGESTS[method]).hexdigest()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)
