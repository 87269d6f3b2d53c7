"""SMS Aero, by its API v2: texts, statuses, balance. What its callbacks say is not documented, so none is believed.

In: an account's settings. Out: a web carrier. A callback only makes us ask for the status, which alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.message import id_bytes
from gateway.provider import Callback, CallbackRequest, Nudge, Reports
from providers._web.account import POLL_S, Account, callbacks, each, rules, way
from providers._web.callbacks import Dialect
from providers._web.carrier import WebCarrier
from providers._web.opening import CallingCarrier, make
from providers._web.pointer import as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import FormSettings

_SELDOM_S: Final = (300, 1800, 7200, 3600 * 6, 3600 * 24)
"""When a status is asked for all the same, should a callback not have come."""
_LONGEST_ID: Final = 32


class SmsAeroSettings(Account, frozen=True, kw_only=True):
    """An account at SMS Aero."""

    email: Annotated[str, Meta(description="the account's e-mail address")]
    api_key: Annotated[Secret, Meta(description="its API key")]
    url: Annotated[str, Meta(description="the gate; gate.smsaero.org and gate.smsaero.net are spare ones")] = (
        "https://gate.smsaero.ru/v2"
    )
    test: Annotated[bool, Meta(description="use testsend: nothing is delivered")] = False
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0


SETTINGS = SmsAeroSettings


class SmsAeroCarrier(CallingCarrier):
    """Reads callbacks without believing them."""

    def parse_callback(self, request: CallbackRequest) -> Callback:
        """What to ask about. Raises CallbackRefusedError, ValueError."""
        self.reader.guard.check(request)
        document = self.reader.document(request)
        found = [n for report in _reports(document) if (n := _nudge(report, request.query)) is not None]
        return Callback(nudges=found[:1])


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, SmsAeroSettings)
    url, test = account.url.rstrip("/"), "test" if account.test else ""
    fields = {"number": "{to_digits}", "text": "{text}", "sign": "{from}"}
    if account.callback_token is not None and reports.callbacks_url:
        fields |= {"callbackUrl": "{callback_url}", "callbackFormat": "JSON"}
    receipts = {"list": "/data", "message_id": "/id", "state": "/state", "code": "/status", "recipient": "/number"}
    table = way(account) | {
        "url": f"{url}/sms/{test}send",
        "auth": {"kind": "basic", "user": account.email, "password": account.api_key.reveal()},
        "fields": fields,
        "check": {"url": f"{url}/auth", "method": "POST", "refused": r'"success"\s*:\s*false'},
        "success": {"at": "/success", "words": [True]},
        "message_id": "/data/id",
        "error_code": {"pattern": r'"result"\s*:\s*"([a-z ]{1,32})"'},
        "errors": [
            {"code": ["no credits"], "reason": "no_credit"},
            *rules(
                (r'(?i)"(reason|message)"\s*:\s*"[^"]*\b(number|phone)', "invalid_recipient"),
                (r'(?i)"(reason|message)"\s*:\s*"[^"]*\bsign', "invalid_sender"),
                (r'"result"\s*:\s*"reject"|"success"\s*:\s*false', "carrier_error"),
                status=["2xx", 400, 422],
            ),
        ],
        "ask": {
            "url": f"{url}/sms/{test}status",
            "method": "POST",
            "fields": {"id": "{message_id}"},
            "every_s": 0.05,
            "after_s": _SELDOM_S if account.callback_token is not None else POLL_S,
            "receipts": receipts | {"done": "/dateAnswer", "done_format": "unix"},
        },
        "balance": {
            "url": f"{url}/balance",
            "method": "POST",
            "amount": "/data/balance",
            "currency": "RUB",
            "low": account.balance_low,
        },
        **callbacks(account, suffix="?ref={reference}&to={to_digits}", receipts=receipts),
    }
    dialect = Dialect(translate=_status)
    return make(carrier, convert(carrier, table, FormSettings), reports, dialect, SmsAeroCarrier)


def _status(document: Any) -> Any:
    """The state of each message of an answer: a failure counts when number and word say the same."""
    if not isinstance(document, dict):
        return document
    return document | {"data": each(_meant)(document.get("data"))}


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    number, word = as_text(report.get("status")), as_text(report.get("extendStatus")).lower()
    state = "unknown"
    if number == "1" or word == "delivery":
        state = "delivered"
    elif number in ("0", "4", "8") or word == "queue":
        state = "accepted"
    elif number == "3" or word == "smsc submit":
        state = "enroute"
    elif number == "2" and "fail" in word:
        state = "undeliverable"
    elif number == "6" and "reject" in word:
        state = "rejected"
    return report | {"state": state}


def _reports(document: Any) -> list[Mapping[str, Any]]:
    found = document if isinstance(document, list) else [document]
    return [report for report in found if isinstance(report, dict)]


def _nudge(report: Mapping[str, Any], query: Mapping[str, str]) -> Nudge | None:
    """Our reference comes back in our own URL, the carrier's id in its report."""
    carrier_id = as_text(report.get("id"))[:_LONGEST_ID]
    if not (carrier_id.isascii() and carrier_id.isdigit()):
        return None
    identity, _, rest = query.get("ref", "").rpartition("-")
    identity, _, attempt = identity.rpartition("-")
    try:
        return Nudge(id_bytes(identity), int(attempt), int(rest), carrier_id, query.get("to", "")[:_LONGEST_ID])
    except ValueError:
        return None
