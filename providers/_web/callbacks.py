"""What a carrier's webhook request means: proof, then receipts and subscribers' messages out of JSON, form or query.

In: a request as any process received it. Out: a `Callback`, CallbackRefusedError without proof, ValueError for what
cannot be read. Pure but for the time, which old signatures are measured against.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from gateway.provider import Callback, CallbackRefusedError, CallbackRequest, Inbound, Reason, Receipt
from gateway.smpp.receipt import STATES
from providers._web import signing
from providers._web.callback_settings import (
    Anybody,
    BasicProof,
    Callbacks,
    HeaderToken,
    PathToken,
    Proof,
    QueryToken,
    Receipts,
    SignedProof,
    When,
)
from providers._web.moments import moment_reader
from providers._web.reading import Fault, charset, reason, states
from providers._web.secret import Secret
from providers._web.spots import pointer, words

MOST_REPORTS: Final = 10_000
_RAW_LIMIT: Final = 300
_LONGEST_TEXT: Final = 100_000
_REASONS: Final = {
    "undeliverable": Reason.UNREACHABLE.value,
    "rejected": Reason.CARRIER_ERROR.value,
    "expired": Reason.CARRIER_EXPIRED.value,
    "deleted": Reason.CARRIER_DELETED.value,
}


class CallbackReader:
    """Reads one carrier's requests. Raises Fault for settings that cannot work."""

    def __init__(self, settings: Callbacks, public_url: str) -> None:
        self._format, self._charset = settings.format, charset(settings.charset, "callbacks.charset")
        if settings.receipts is None and settings.inbound is None:
            raise Fault("callbacks", "needs `receipts` or `inbound`: where a report has what")
        self._guard = Guard(settings, public_url)
        self._receipts = _ReceiptMap(settings.receipts) if settings.receipts is not None else None
        self._inbound = settings.inbound
        if self._inbound is not None:
            i = self._inbound
            self._inbox = pointer(i.list, "callbacks.inbound.list")
            self._sender = pointer(i.sender, "callbacks.inbound.sender")
            self._recipient = pointer(i.recipient, "callbacks.inbound.recipient") if i.recipient else None
            self._text = pointer(i.text, "callbacks.inbound.text")
            self._is_inbound = _condition(i.when, "callbacks.inbound.when")
        self._reply = settings.reply

    def read(self, request: CallbackRequest) -> Callback:
        """The receipts and messages of a request."""
        self._guard.check(request)
        document = self._document(request)
        inbound, taken = self._messages(document)
        receipts = list(self._receipts.read(document, taken)) if self._receipts is not None else []
        reply = self._reply
        return Callback(receipts, inbound, reply.status, reply.body.encode(), reply.content_type)

    def _document(self, request: CallbackRequest) -> Any:
        if self._format == "query":
            return dict(request.query)
        if request.method == "GET":
            raise ValueError("this carrier's reports come in a body, by POST")
        if self._format == "form":
            return form(request.body, self._charset)
        try:
            return msgspec.json.decode(request.body)
        except (msgspec.DecodeError, RecursionError, ValueError):
            raise ValueError("the body is no JSON") from None

    def _messages(self, document: Any) -> tuple[list[Inbound], list[Any]]:
        """Subscribers' messages, and the reports that they were made of."""
        if self._inbound is None:
            return [], []
        found, taken = [], []
        for report in reports(self._inbox.find(document)):
            text = self._text.find(report)
            if not (self._is_inbound(report) if self._is_inbound else isinstance(text, str)):
                continue
            sender = self._sender.text_at(report)
            if not sender or not isinstance(text, str):
                raise ValueError("a subscriber's message has no sender or no text")
            to = self._recipient.text_at(report) if self._recipient else ""
            found.append(Inbound(sender, to, text[:_LONGEST_TEXT].replace("\0", "")))
            taken.append(report)
        return found, taken


class _ReceiptMap:
    """Where a receipt has what, compiled."""

    def __init__(self, r: Receipts) -> None:
        def at(field: str) -> Callable[[Any], str] | None:
            text = getattr(r, field)
            return pointer(text, f"callbacks.receipts.{field}").text_at if text else None

        states(r.states, "callbacks.receipts.states")
        self._states = {k.lower(): v for k, v in {**STATES, **r.states}.items()}
        self._codes = {code: reason(why, f"callbacks.receipts.codes.{code}").value for code, why in r.codes.items()}
        self._list = pointer(r.list, "callbacks.receipts.list")
        self._when = _condition(r.when, "callbacks.receipts.when")
        self._message_id, self._state, self._code = at("message_id"), at("state"), at("code")
        self._recipient, self._sender, self._echo = at("recipient"), at("sender"), at("echo")
        self._done = at("done")
        self._moment = moment_reader(r.done_format, r.timezone, "callbacks.receipts")

    def read(self, document: Any, taken: Sequence[Any]) -> Iterable[Receipt]:
        """Every receipt. ValueError when there is a report that cannot be one."""
        for report in reports(self._list.find(document)):
            if any(report is other for other in taken) or (self._when is not None and not self._when(report)):
                continue
            word = _at(self._state, report)
            message_id, recipient = _at(self._message_id, report), _at(self._recipient, report)
            if not word or not (message_id or recipient):
                raise ValueError("a receipt has no state, or neither an id nor a recipient")
            state = self._states.get(word.lower(), "unknown")
            code = _at(self._code, report)
            why = self._codes.get(code, _REASONS.get(state, "")) if state in _REASONS else ""
            echo = _at(self._echo, report)
            yield Receipt(
                message_id,
                state,
                code[:64],
                why,
                self._moment(self._done(report)) if self._done else 0,
                recipient[:32],
                _at(self._sender, report)[:32],
                int(echo) if echo.isascii() and echo.isdigit() and len(echo) < 6 else -1,
                f"state:{word} code:{code}"[:_RAW_LIMIT],
                "http",
            )


class Guard:
    """Whether a request proves that it comes from the carrier. Without a proof nothing of it is read."""

    def __init__(self, settings: Callbacks, public_url: str) -> None:
        self._proof, self._public_url = settings.proof, public_url.rstrip("/")
        self._charset = settings.charset
        try:
            self._networks = tuple(ipaddress.ip_network(network) for network in settings.networks)
        except ValueError:
            raise Fault("callbacks.networks", "must be networks such as 10.0.0.0/8") from None
        proof = settings.proof
        if isinstance(proof, Anybody) and not self._networks:
            raise Fault("callbacks.proof", "may only be none with `networks`: else anybody could report anything")
        if not isinstance(proof, Anybody) and not _word_of(proof).reveal():
            raise Fault("callbacks.proof", "may not have an empty secret: whoever sends nothing would have it")
        if isinstance(proof, PathToken) and not path_word(proof.token.reveal()):
            raise Fault("callbacks.proof.token", "may only hold letters, digits, - and _, at least 6 of them")
        if isinstance(proof, SignedProof) and "timestamp" in proof.over and not proof.timestamp_header:
            raise Fault("callbacks.proof.timestamp_header", "is needed, because the timestamp is signed")

    def check(self, request: CallbackRequest) -> None:
        """Raises CallbackRefusedError."""
        if self._networks and not _is_in(request.remote, self._networks):
            raise CallbackRefusedError(403, "This address may not report for the carrier.")
        given, right = self._compare(self._proof, request)
        if not given and right:
            raise CallbackRefusedError(401, "The request does not prove that it comes from the carrier.")
        if not signing.same(given, right):
            raise CallbackRefusedError(403, "The request's proof is wrong.")

    def _compare(self, proof: Proof, request: CallbackRequest) -> tuple[str, str]:
        match proof:
            case PathToken(token=token):
                return token_of(request.path), token.reveal()
            case QueryToken(name=name, token=token):
                return request.query.get(name, ""), token.reveal()
            case HeaderToken(name=name, token=token, prefix=prefix):
                return request.headers.get(name.lower(), ""), prefix + token.reveal()
            case BasicProof(user=user, password=password):
                return request.headers.get("authorization", ""), signing.basic(user, password.reveal())
            case SignedProof():
                return self._signature(proof, request)
            case Anybody():
                return "", ""

    def _signature(self, proof: SignedProof, request: CallbackRequest) -> tuple[str, str]:
        headers = request.headers
        timestamp = headers.get((proof.timestamp_header or "").lower(), "")
        if proof.timestamp_header:
            age_s = abs(time.time() - int(timestamp)) if timestamp.isascii() and timestamp.isdigit() else 1e18
            if age_s > proof.max_age_s:
                raise CallbackRefusedError(403, "The request's timestamp is missing, or too far from our time.")
        path, _, query = (request.target or request.path).partition("?")
        values: dict[str, Callable[[], bytes]] = {
            "method": lambda: request.method.encode(),
            "url": lambda: (self._public_url + (request.target or request.path)).encode(),
            "path": lambda: path.encode(),
            "query": lambda: query.encode(),
            "body": lambda: request.body,
            "fields": lambda: sorted_fields(request.body, self._charset),
            "timestamp": lambda: timestamp.encode(),
        }
        right = signing.sign(
            proof.secret.reveal(), proof.digest, proof.encoding, [values[n]() for n in proof.over], proof.separator
        )
        given = headers.get(proof.header.lower(), "").strip()
        if proof.encoding == "hex":
            given = given[: len(proof.prefix)] + given[len(proof.prefix) :].lower()
        return given, proof.prefix + right


def _word_of(proof: PathToken | QueryToken | HeaderToken | BasicProof | SignedProof) -> Secret:
    match proof:
        case BasicProof(password=word) | SignedProof(secret=word):
            return word
        case _:
            return proof.token


def token_of(path: str) -> str:
    """What follows the carrier's name in /v1/receipts/<carrier>/<token>."""
    steps = path.split("/")
    return steps[4] if len(steps) == 5 else ""


def path_word(token: str) -> bool:
    """Whether a token can stand in a path as it is."""
    return len(token) >= 6 and token.isascii() and all(c.isalnum() or c in "-_" for c in token)


def form(body: bytes, charset: str) -> dict[str, str]:
    """The fields of a form; of a field that comes twice the first. Raises ValueError."""
    fields: dict[str, str] = {}
    for name, value in _pairs(body, charset):
        fields.setdefault(name, value)
    return fields


def sorted_fields(body: bytes, charset: str) -> bytes:
    """Names and values of a form, sorted by name and joined; of equal names the distinct values, sorted."""
    return "".join(name + value for name, value in sorted(set(_pairs(body, charset)))).encode()


def _pairs(body: bytes, charset: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=1000
        )
    except ValueError:
        raise ValueError("the body is no form") from None


def reports(found: Any) -> list[Mapping[str, Any]]:
    """One report or a list of them. Raises ValueError."""
    made = found if isinstance(found, list) else [found]
    if len(made) > MOST_REPORTS or not all(isinstance(report, dict) for report in made):
        raise ValueError("there is no report where the plan says that there is one")
    return made


def _condition(when: When | None, name: str) -> Callable[[Any], bool] | None:
    if when is None:
        return None
    at, wanted = pointer(when.at, f"{name}.at"), words(when.words)
    return lambda report: at.text_at(report) in wanted if wanted else at.find(report) is not None


def _at(find: Callable[[Any], str] | None, report: Any) -> str:
    return find(report) if find is not None else ""


def _is_in(remote: str, networks: Sequence[Any]) -> bool:
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
