"""What every carrier by name lets one set beside its own settings: time-outs, the window, who may call us.

In: typed settings. Out: the tables of a web carrier that are the same for all of them. Never: a carrier's own word.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated, Any, Final

from msgspec import Meta

from gateway.provider import SecretText
from providers._web.secret import Secret
from providers._web.settings import Reach

POLL_S: Final = (10, 30, 60, 120, 300, 600, 1800, 3600, 3600 * 3, 3600 * 6, 3600 * 12, 3600 * 24, 3600 * 48)
"""When carriers are asked about messages where no receipts come."""


class Account(Reach, frozen=True, kw_only=True):
    """Settings that all carriers by name have."""

    callback_token: Annotated[
        Secret | None,
        Meta(description="secret word at the end of the address for reports: letters, digits, - and _, at least 6"),
    ] = None
    callback_networks: Annotated[
        tuple[str, ...], Meta(description="networks that may report, such as 10.0.0.0/8; empty: any")
    ] = ()

    def __post_init__(self) -> None:
        """Also where there are no callbacks yet. Raises ValueError."""
        try:
            for network in self.callback_networks:
                ipaddress.ip_network(network)
        except ValueError:
            raise ValueError("`callback_networks` must be networks such as 10.0.0.0/8") from None


_OWN: Final = frozenset({"callback_token", "callback_networks"})


def way(account: Account) -> dict[str, Any]:
    """Window and time-outs, as a web carrier's settings have them."""
    return {name: getattr(account, name) for name in Account.__struct_fields__ if name not in _OWN}


def callbacks(account: Account, **more: Any) -> dict[str, Any]:
    """`callbacks` of a web carrier, for an account that has a token; else nothing."""
    if account.callback_token is None:
        return {}
    return {"callbacks": {**guard(account), "format": "any", **more}}


def guard(account: Account) -> dict[str, Any]:
    """Who may call: the token as far as there is one, and the networks. Without a token a carrier has to sign."""
    token = account.callback_token
    proof = {"kind": "none"} if token is None else {"kind": "path", "token": token.reveal()}
    return {"proof": proof, "networks": account.callback_networks}


def literal(given: Secret | str) -> SecretText:
    """A setting for a place that may hold placeholders: it is never read as one, and no repr shows it."""
    return SecretText(given.reveal() if isinstance(given, Secret) else given)


def rules(*given: tuple[str, str], **status: Any) -> list[dict[str, Any]]:
    """Errors by a regular expression over the body: (expression, reason)."""
    return [{"pattern": expression, "reason": reason, **status} for expression, reason in given]


def each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """A `translate` that changes every report of a document, one or a list; what is no report stays as it is."""

    def translate(document: Any) -> Any:
        if isinstance(document, list):
            return [change(one) if isinstance(one, dict) else one for one in document]
        return change(document) if isinstance(document, dict) else document

    return translate
