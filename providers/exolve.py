"""MTS Exolve, by its SMS API: texts by SendSMS, receipts and subscribers' messages by the events of a number.

In: an account's settings. Out: a web carrier. Of a report's two states `delivery_status` counts: their numbers differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.provider import Reports
from providers._web.account import Account, callbacks, each, rules, way
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import JsonSettings

_DELIVERY: Final = {
    "1": "accepted",
    "2": "enroute",
    "3": "delivered",
    "4": "undeliverable",
    "5": "expired",
    "6": "rejected",
    "QUEUED": "accepted",
    "TRANSMITTED": "enroute",
    "DELIVERED": "delivered",
    "FAILED": "undeliverable",
    "RETRIES_EXCEEDED": "expired",
    "PROHIBITED": "rejected",
}
_STATUS: Final = {**_DELIVERY, "5": "rejected", "UNDERFUNDED": "rejected"}
_UNPAID: Final = ("UNDERFUNDED", "5")
_INCOMING: Final = ("DIRECTION_INCOMING", "1")


class ExolveSettings(Account, frozen=True, kw_only=True):
    """An application of MTS Exolve."""

    api_key: Annotated[Secret, Meta(description="the application's API key")]
    url: Annotated[str, Meta(description="the API, without a method")] = "https://api.exolve.ru/messaging/v1"


SETTINGS = ExolveSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, ExolveSettings)
    url = account.url.rstrip("/")
    table = way(account) | {
        "url": f"{url}/SendSMS",
        "auth": {"kind": "bearer", "token": account.api_key.reveal()},
        # `number` is the sender, `destination` the recipient.
        "body": {"number": "{from_digits}", "destination": "{to_digits}", "text": "{text}"},
        # Whatever it answers but 401 and 403 shows that the key is good.
        "check": {
            "url": f"{url}/GetCount",
            "method": "POST",
            "body": {},
            "status": ["2xx", 400, 404, 405, 422, 429, "5xx"],
        },
        "message_id": "/message_id",
        "errors": [
            *rules(
                ("(?i)balance|insufficient|underfunded", "no_credit"), ("(?i)token", "unauthorized"), status=["4xx"]
            ),
            *rules(
                ("(?i)destination is not permitted", "blocked"),
                ("(?i)destination", "invalid_recipient"),
                status=[400],
            ),
        ],
        **callbacks(
            account,
            receipts={
                "when": {"at": "/state"},
                "message_id": "/message_id",
                "state": "/state",
                "code": "/code",
                "codes": {"UNDERFUNDED": "no_credit"},
                "done": "/date",
                "recipient": "/receiver",
                "sender": "/sender",
            },
            inbound={"when": {"at": "/wrote"}, "sender": "/sender", "recipient": "/receiver", "text": "/wrote"},
        ),
    }
    return make(carrier, convert(carrier, table, JsonSettings), reports, Dialect(translate=each(_meant)))


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    """Which of the two kinds of report it is, and its state."""
    if as_text(report.get("direction")) in _INCOMING:
        return report | {"wrote": report.get("text", "")}
    for name, states in (("delivery_status", _DELIVERY), ("status", _STATUS)):
        if word := as_text(report.get(name)):
            short = word.upper().removeprefix("DELIVERY_").removeprefix("STATUS_")
            unpaid = name == "status" and short in _UNPAID
            return report | {"state": states.get(short, "unknown"), "code": "UNDERFUNDED" if unpaid else word}
    return report
