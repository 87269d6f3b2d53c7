"""SMSC.ru and the same engine under other names (smscentre.com, smsc.kz): texts, receipts, statuses, balance.

In: an account's settings. Out: a web carrier. Errors come with HTTP 200, and answers in windows-1251 where one does not
say otherwise; both are minded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.provider import CallbackRefusedError, CallbackRequest, Reports, SettingsError
from providers._web import signing
from providers._web.account import POLL_S, Account, callbacks, each, literal, way
from providers._web.callbacks import Dialect, anything
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.pointer import as_text
from providers._web.reading import convert, typed
from providers._web.secret import Secret
from providers._web.settings import FormSettings

_CHARSET: Final = "windows-1251"
_ERRORS: Final = {
    "1": "carrier_error",
    "2": "unauthorized",
    "3": "no_credit",
    "4": "throttled",
    "5": "carrier_error",
    "6": "blocked",
    "7": "invalid_recipient",
    "8": "unsupported",
    "9": "throttled",
}
_BLOCKED_S: Final = 300.0
_STATES: Final = {
    "-3": "unknown",
    "-2": "deleted",
    "-1": "accepted",
    "0": "enroute",
    "1": "delivered",
    "2": "delivered",
    "3": "expired",
    "4": "delivered",
    "20": "undeliverable",
    "22": "rejected",
    "23": "rejected",
    "24": "rejected",
    "25": "undeliverable",
}
_CODES: Final = {
    "1": "unknown_subscriber",
    "6": "unreachable",
    "11": "unsupported",
    "12": "handset",
    "13": "blocked",
    "21": "unsupported",
    "status 22": "invalid_recipient",
    "status 23": "blocked",
    "status 24": "no_credit",
}
_ASKED_AT_ONCE: Final = 50
_DIGESTS: Final[Mapping[str, Callable[[bytes], Any]]] = {"sha1": hashlib.sha1, "md5": hashlib.md5}


class SmscSettings(Account, frozen=True, kw_only=True):
    """An account at SMSC.ru."""

    login: Annotated[str, Meta(description="the login; with `password`")] = ""
    password: Annotated[Secret | None, Meta(description="the password; with `login`")] = None
    apikey: Annotated[Secret | None, Meta(description="the API key, instead of login and password")] = None
    url: Annotated[str, Meta(description="the service, without a path")] = "https://smsc.ru"
    callback_secret: Annotated[
        Secret | None, Meta(description="what reports are signed with, by md5 or sha1; absent: they are not signed")
    ] = None
    currency: Annotated[str, Meta(description="of the account's balance")] = "RUB"
    balance_low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0


SETTINGS = SmscSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    account = typed(carrier, settings, SmscSettings)
    url, user = account.url.rstrip("/"), _user(carrier, account)
    shared = {**user, "fmt": 3, "charset": "utf-8"}
    receipts = {
        "when": {"at": "/status"},
        "message_id": "/id",
        "state": "/status",
        "states": _STATES,
        "code": "/code",
        "codes": _CODES,
        "done": "/at",
        "done_format": "unix",
        "recipient": "/phone",
    }
    table = way(account) | {
        "url": f"{url}/sys/send.php",
        # With the + the service does not try to correct the number.
        "fields": {**shared, "phones": "{to}", "mes": "{text}", "sender": "{from}"},
        "answer_charset": _CHARSET,
        "check": {
            "url": f"{url}/sys/balance.php",
            "method": "POST",
            "fields": shared,
            "refused": r'_code"?\s*:\s*"?2\b',
        },
        "message_id": "/id",
        "error_code": "/error_code",
        "errors": [
            {"code": [code], "reason": reason, "after_s": _BLOCKED_S if code == "4" else 0}
            for code, reason in _ERRORS.items()
        ],
        "ask": {
            "url": f"{url}/sys/status.php",
            "method": "POST",
            "fields": {**shared, "phone": "{recipients}", "id": "{message_ids}", "all": 0},
            "size": _ASKED_AT_ONCE,
            "every_s": 1.0,
            "after_s": () if account.callback_token is not None else POLL_S,
            "receipts": receipts,
        },
        "balance": {
            "url": f"{url}/sys/balance.php",
            "method": "POST",
            "fields": shared,
            "amount": "/balance",
            "currency": account.currency,
            "low": account.balance_low,
        },
        **callbacks(
            account,
            charset=_CHARSET,
            receipts=receipts,
            inbound={"when": {"at": "/wrote"}, "sender": "/phone", "recipient": "/to", "text": "/wrote"},
        ),
    }
    dialect = Dialect(_proof(account.callback_secret) if account.callback_secret is not None else None, each(_meant))
    return make(carrier, convert(carrier, table, FormSettings), reports, dialect)


def _user(carrier: str, account: SmscSettings) -> dict[str, Any]:
    if account.apikey is not None:
        return {"apikey": literal(account.apikey)}
    if not account.login or account.password is None:
        raise SettingsError(f"carrier {carrier}: `login` and `password` are needed, or `apikey`")
    return {"login": literal(account.login), "psw": literal(account.password)}


def _meant(report: dict[str, Any]) -> dict[str, Any]:
    """One form for statuses that were asked for and those that were reported. What has a status is no message."""
    if "status" not in report:
        return report | {"wrote": report["mes"]} if "mes" in report else report
    code, status = as_text(report.get("err")), as_text(report["status"])
    at = report.get("ts") or report.get("last_timestamp")
    return report | {"code": code if code not in ("", "0") else f"status {status}", "at": at}


def _proof(secret: Secret) -> Callable[[CallbackRequest], None]:
    """Every report has a digest over some of its fields and the secret."""

    def verify(request: CallbackRequest) -> None:
        found = anything(request, _CHARSET)
        for report in found if isinstance(found, list) else [found]:
            _verify(report if isinstance(report, dict) else {}, secret.reveal())

    return verify


def _verify(report: Mapping[str, Any], secret: str) -> None:
    names = ("id", "phone", "status") if "status" in report else ("phone", "mes", "to")
    signed = ":".join((*(as_text(report.get(name)) for name in names), secret)).encode()
    for name, digest in _DIGESTS.items():
        if given := as_text(report.get(name)):
            if signing.same(given.lower(), digest(signed).hexdigest()):
                return
            raise CallbackRefusedError(403, "The request's proof is wrong.")
    raise CallbackRefusedError(401, "The request does not prove that it comes from the carrier.")
