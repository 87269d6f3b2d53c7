"""Infobip SMS API v3: many messages in one request under our own ids, receipts in batches to a secret address.

In: an account's settings. Out: a web carrier. A request that is refused as a whole says which of its messages were
wrong: those are refused, the others may go again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from gateway.provider import Outcome, Reason, Reports, deferred, refused
from providers._web.account import POLL_S, Account, callbacks, way
from providers._web.answers import AnswerReader
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import Pointer, as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import JsonSettings
from providers._web.spots import Answer

LONGEST_VALIDITY_S: Final = 48 * 3600
GROUPS: Final = {
    "0": "accepted",
    "1": "enroute",
    "2": "undeliverable",
    "3": "delivered",
    "4": "expired",
    "5": "rejected",
}
"""What a status group is, but for two statuses: taken by Infobip (26), and by the operator (2), which is no end."""
STATUSES: Final = {("1", "26"): "accepted", ("3", "2"): "enroute"}
REASONS: Final[Mapping[str, Reason]] = {
    "MISSING_TO": Reason.INVALID_RECIPIENT,
    "REJECTED_DESTINATION": Reason.BLOCKED,
    "REJECTED_DESTINATION_NOT_REGISTERED": Reason.BLOCKED,
    "REJECTED_DND": Reason.HANDSET,  # the subscriber wants none: that no other carrier may be tried, this says too
    "REJECTED_DUPLICATE_MESSAGE_ID": Reason.UNCERTAIN,  # it has this message of ours already, and will report on it
    "REJECTED_FLOODING_FILTER": Reason.BLOCKED,
    "REJECTED_INVALID_DESTINATION": Reason.INVALID_RECIPIENT,
    "REJECTED_INVALID_UDH": Reason.INVALID_CONTENT,
    "REJECTED_MESSAGE_TOO_LONG": Reason.INVALID_CONTENT,
    "REJECTED_NETWORK": Reason.UNSUPPORTED,
    "REJECTED_NOT_ENOUGH_CREDITS": Reason.NO_CREDIT,
    "REJECTED_PREFIX_MISSING": Reason.INVALID_RECIPIENT,
    "REJECTED_PREPAID_PACKAGE_EXPIRED": Reason.NO_CREDIT,
    "REJECTED_ROUTE_NOT_AVAILABLE": Reason.UNSUPPORTED,
    "REJECTED_SENDER": Reason.INVALID_SENDER,
    "REJECTED_SOURCE": Reason.INVALID_SENDER,
    "REJECTED_SYSTEM_ERROR": Reason.TEMPORARY,
    "EC_ABSENT_SUBSCRIBER": Reason.UNREACHABLE,
    "EC_ILLEGAL_SUBSCRIBER": Reason.BLOCKED,
    "EC_UNKNOWN_SUBSCRIBER": Reason.UNKNOWN_SUBSCRIBER,
}
"""Names of statuses (in answers and receipts) and of errors (in receipts). The group decides the state; a name that is
not here leaves the reason that its state has."""

_PLACES: Final = (
    ("destinations", Reason.INVALID_RECIPIENT),
    ("sender", Reason.INVALID_SENDER),
    ("", Reason.INVALID_CONTENT),
)
_VIOLATION: Final = re.compile(r"messages\[(\d{1,4})\]\.?(\w*)")
_ASKED_AT_ONCE: Final = 40
"""Their ids have room in the 2048 characters that the parameter may have."""


class InfobipSettings(Account, frozen=True, kw_only=True):
    """An account at Infobip."""

    url: Annotated[str, Meta(description="the account's base URL, such as https://xxxxx.api.infobip.com")]
    api_key: Annotated[Secret, Meta(description="an API key that may send SMS")]
    batch_size: Annotated[int, Meta(ge=1, le=1000, description="messages of one request at the most")] = 100
    transliteration: Annotated[
        Literal[
            "", "TURKISH", "GREEK", "CYRILLIC", "SERBIAN_CYRILLIC", "CENTRAL_EUROPEAN", "BALTIC", "NON_UNICODE",
            "PORTUGUESE", "COLOMBIAN", "BULGARIAN_CYRILLIC", "ALL",
        ],
        Meta(description="what Infobip writes in GSM 7-bit: CYRILLIC, ALL and so on; empty: texts stay as they are"),
    ] = ""  # fmt: skip
    balance_every_s: Annotated[float, Meta(ge=10, description="how often to read what the account has left")] = 300
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0
    currency: Annotated[str, Meta(description="what the account is in")] = "EUR"


SETTINGS = InfobipSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, InfobipSettings)
    home = account.url.rstrip("/")
    meaning = {
        "message_id": "/messageId",
        "state": "/state",
        "code": "/code",
        "codes": {name: reason.value for name, reason in REASONS.items()},
        "done": "/doneAt",
        "recipient": "/to",
        "sender": "/sender",
    }
    reported = account.callback_token is not None and bool(reports.callbacks_url)
    table = way(account) | {
        "url": f"{home}/sms/3/messages",
        "auth": {"kind": "header", "name": "Authorization", "prefix": "App ", "key": account.api_key.reveal()},
        "headers": {"Accept": "application/json"},
        "body": {"messages": "{items}"},
        "longest_validity_s": LONGEST_VALIDITY_S,
        "error_code": "/errorCode",
        "batch": {
            "size": account.batch_size,
            "item": _message(account, reported),
            "results": "/messages",
            "match": "/messageId",
            "success": {"at": "/status/groupId", "words": [0, 1, 3]},
            "message_id": "/messageId",
            "error_code": "/status/name",
        },
        "errors": [{"code": [name], "reason": reason.value} for name, reason in REASONS.items()],
        "uncertain": ["5xx"],  # whether an id that comes twice is noticed is nowhere promised
        "check": {"url": f"{home}/sms/3/logs", "fields": {"limit": 1}},
        "ask": {
            "url": f"{home}/sms/3/logs",
            "fields": {"messageId": "{message_ids}", "limit": _ASKED_AT_ONCE},
            "size": _ASKED_AT_ONCE,
            "after_s": () if reported else POLL_S,
            "every_s": 1,
            "receipts": {"list": "/results", **meaning},
        },
        "balance": {
            "url": f"{home}/account/1/balance",
            "amount": "/balance",
            "currency": account.currency,
            "every_s": account.balance_every_s,
            "low": account.balance_low,
        },
        **callbacks(
            account,
            receipts={"list": "/results", "echo": "/echo", **meaning},
            inbound={
                "list": "/results",
                "when": {"at": "/text"},
                "sender": "/from",
                "recipient": "/to",
                "text": "/text",
            },
        ),
    }
    made = convert(carrier, table, JsonSettings)
    return make(carrier, made, reports, Dialect(translate=_meant), answers=InfobipAnswers)


def _message(account: InfobipSettings, reported: bool) -> dict[str, Any]:
    content = {"text": "{text}"}
    if account.transliteration:
        content["transliteration"] = account.transliteration
    message: dict[str, Any] = {
        "sender": "{from_digits}",
        "destinations": [{"to": "{to_digits}", "messageId": "{reference}"}],
        "content": content,
        "options": {"validityPeriod": {"amount": "{validity_s}", "timeUnit": "SECONDS"}},
    }
    if reported:
        delivery = {"url": "{callback_url}"}
        message["webhooks"] = {
            "delivery": delivery,
            "contentType": "application/json",
            "callbackData": "{reference}/{echo}",
        }
    return message


class InfobipAnswers(AnswerReader):
    """Also reads what a whole request was refused for."""

    def read(self, answer: Answer, references: Sequence[str]) -> list[Outcome]:
        """One outcome for each of the messages."""
        outcomes = super().read(answer, references)
        if answer.status != 400:
            return outcomes
        wrong = _violations(answer)
        if not any(index < len(references) for index in wrong):
            return outcomes
        good = deferred(Reason.TEMPORARY, code="beside a wrong one")
        return [refused(wrong[index], o.code) if index in wrong else good for index, o in enumerate(outcomes)]


def _violations(answer: Answer) -> dict[int, Reason]:
    found: dict[int, Reason] = {}
    violations = Pointer("/violations").find(answer.document)
    for violation in violations if isinstance(violations, list) else []:
        place = _VIOLATION.match(Pointer("/property").text_at(violation))
        if place is not None:
            reason = next(reason for word, reason in _PLACES if place[2].startswith(word))
            found.setdefault(int(place[1]), reason)
    return found


def _meant(document: Any) -> Any:
    """States by the ids of a status, which stay, rather than by its words."""
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list):
        return document
    return {**document, "results": [_report(one) if isinstance(one, dict) else one for one in results]}


def _report(report: dict[str, Any]) -> dict[str, Any]:
    status, error = report.get("status"), report.get("error")
    if not isinstance(status, dict):
        return report
    group, number = as_text(status.get("groupId")), as_text(status.get("id"))
    state = STATUSES.get((group, number)) or GROUPS.get(group, "unknown")
    code = as_text(status.get("name"))
    if group != "5" and isinstance(error, dict) and as_text(error.get("id")) not in ("", "0"):
        code = as_text(error.get("name")) or as_text(error.get("id"))
    # A log says `destination` where a receipt says `to`.
    echo = as_text(report.get("callbackData")).rpartition("/")[2]
    return {"to": report.get("destination"), **report, "state": state, "code": code, "echo": echo}
