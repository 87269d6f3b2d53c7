"""Requests that send no message: the check of the credentials, what became of messages, what the account has left.

In: settings, and for questions the messages asked about. Out: bytes for the wire. Raises Fault for settings that cannot
work; pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.provider import Sent
from providers._web.requests import Head, after_host, compiled, document, encode_form, form_fields
from providers._web.settings import Errand
from providers._web.template import compile_url

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
_json = msgspec.json.Encoder().encode


class Asked:
    """The messages of one question. `listed`: values that a list of the document may take whole."""

    __slots__ = ("listed", "sents")

    def __init__(self, sents: Sequence[Sent], listed: bool) -> None:
        self.sents, self.listed = sents, listed

    def all(self, values: list[str]) -> Any:
        """One value a message, in order: a list, or in a form one text with commas."""
        return values if self.listed else ",".join(values)


OF_A_QUESTION: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "message_id": (lambda a: a.sents[0].carrier_message_id, "the carrier's id of the message"),
    "to": (lambda a: a.sents[0].to, "the recipient with the leading +"),
    "to_digits": (lambda a: a.sents[0].to.removeprefix("+"), "the recipient without +"),
    "message_ids": (
        lambda a: a.all([s.carrier_message_id for s in a.sents]),
        "the ids of all messages asked about: a list in JSON, with commas in a form",
    ),
    "recipients": (
        lambda a: a.all([s.to.removeprefix("+") for s in a.sents]),
        "their recipients without +, in the same order",
    ),
}
_KNOWN: Final[Mapping[str, Any]] = {name: value for name, (value, _) in OF_A_QUESTION.items()}


class ErrandMaker:
    """Makes requests of one kind. `asks`: whether placeholders of `OF_A_QUESTION` may stand in it."""

    def __init__(self, head: Head, errand: Errand, where: str, asks: bool = False) -> None:
        known = _KNOWN if asks else {}
        self._head, self._method = head, errand.method
        self._url = compiled(compile_url, after_host(errand.url) or "/", known, f"{where}.url")
        self._fields = form_fields(errand.fields, known, f"{where}.fields")
        self._body = document(errand.body, known, f"{where}.body") if errand.body is not None else None

    def make(self, now_ms: int, sents: Sequence[Sent] = ()) -> bytes:
        """The bytes of a request."""
        asked: Any = Asked(sents, self._body is not None)
        path = str(self._url(asked))
        kind: str | None = None  # that of a message's request
        query, body = encode_form(self._fields, asked, "utf-8"), b""
        if self._body is not None:
            body, kind = _json(self._body(asked)), JSON
        elif self._method == "POST":
            query, body, kind = "", query.encode("ascii"), FORM if self._fields else None
        return self._head.make(self._method, path, query, [], body, now_ms, kind)
