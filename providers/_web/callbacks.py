"""What a carrier's webhook request means: proof, then receipts and subscribers' messages out of JSON, form or query.

In: a request as any process received it. Out: a `Callback`, CallbackRefusedError without proof, ValueError for what
cannot be read. Pure but for the time, which old signatures are measured against.
"""

from __future__ import annotations

import ipaddress
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from gateway.provider import Callback, CallbackRefusedError, CallbackRequest, Inbound, Reason, Receipt, Sent
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
_LONGEST_RAW: Final = 20_000
_REASONS: Final = {
    "undeliverable": Reason.UNREACHABLE.value,
    "rejected": Reason.CARRIER_ERROR.value,
    "expired": Reason.CARRIER_EXPIRED.value,
    "deleted": Reason.CARRIER_DELETED.value,
}


Bad = tuple[str, Any]
"""Why a report cannot be read, and the report."""


class Read(NamedTuple):
    """What a document's receipts were, and what could not be one."""

    receipts: list[Receipt]
    unreadable: list[Bad]


@dataclass(frozen=True)
class Dialect:
    """What tables cannot say of a carrier's reports. All are pure.

    verify: a proof beside the settings' own; raises CallbackRefusedError. translate: a document, whatever is in it, as
    the settings' places expect it; raises ValueError for one that cannot be read. decode: instead of `format`.
    """

    verify: Callable[[CallbackRequest], None] | None = None
    translate: Callable[[Any], Any] | None = None
    decode: Callable[[CallbackRequest], Any] | None = None


class CallbackReader:
    """Reads one carrier's requests. Raises Fault for settings that cannot work."""

    def __init__(self, settings: Callbacks, public_url: str, dialect: Dialect | None = None) -> None:
        self._dialect = dialect or Dialect()
        self._format, self._charset = settings.format, charset(settings.charset, "callbacks.charset")
        if settings.receipts is None and settings.inbound is None:
            raise Fault("callbacks", "needs `receipts` or `inbound`: where a report has what")
        self.guard = Guard(settings, public_url, self._dialect.verify is not None)
        self._receipts = ReceiptMap(settings.receipts) if settings.receipts is not None else None
        self._inbound = settings.inbound
        if self._inbound is not None:
            i = self._inbound
            self._inbox = pointer(i.list, "callbacks.inbound.list")
            self._sender = pointer(i.sender, "callbacks.inbound.sender")
            self._recipient = pointer(i.recipient, "callbacks.inbound.recipient") if i.recipient else None
            self._text = pointer(i.text, "callbacks.inbound.text")
            self._is_inbound = _condition(i.when, "callbacks.inbound.when")
            self._segment = [
                pointer(place, f"callbacks.inbound.{name}").text_at
                for name, place in (("ref", i.concat_ref), ("total", i.concat_total), ("part", i.concat_part))
                if place
            ]
        self._reply = settings.reply

    def read(self, request: CallbackRequest) -> Callback:
        """The receipts and messages of a request; what cannot be read among them as raw bytes."""
        self.guard.check(request)
        dialect = self._dialect
        if dialect.verify is not None:
            dialect.verify(request)
        document = self.document(request)
        if dialect.translate is not None:
            document = dialect.translate(document)
        inbound, taken, bad = self._messages(document)
        receipts: list[Receipt] = []
        if self._receipts is not None:
            read = self._receipts.read(document, taken, None, request.query)
            receipts, bad = read.receipts, bad + read.unreadable
        if bad and not receipts and not inbound:
            raise ValueError(bad[0][0])
        reply = self._reply
        found = [*inbound, *(Inbound("", "", "", (), "http", raw_of(report)) for _, report in bad)]
        return Callback(receipts, found, reply.status, reply.body.encode(), reply.content_type)

    def document(self, request: CallbackRequest) -> Any:
        """What a request says, decoded. Raises ValueError."""
        if self._dialect.decode is not None:
            return self._dialect.decode(request)
        if self._format == "query":
            return dict(request.query)
        if self._format == "any":
            return anything(request, self._charset)
        if request.method == "GET":
            raise ValueError("this carrier's reports come in a body, by POST")
        if self._format == "form":
            return form(request.body, self._charset)
        return json_of(request.body)

    def _messages(self, document: Any) -> tuple[list[Inbound], list[Any], list[Bad]]:
        """Subscribers' messages, the reports that they were made of, and those that look like messages and are none."""
        if self._inbound is None:
            return [], [], []
        found: list[Inbound] = []
        taken: list[Any] = []
        bad: list[Bad] = []
        for report in reports(self._inbox.find(document)):
            text = self._text.find(report)
            if not (self._is_inbound(report) if self._is_inbound else isinstance(text, str)):
                continue
            taken.append(report)
            sender = self._sender.text_at(report)
            if not sender or not isinstance(text, str):
                bad.append(("a subscriber's message has no sender or no text", report))
                continue
            to = self._recipient.text_at(report) if self._recipient else ""
            segment = _segment([at(report) for at in self._segment])
            found.append(Inbound(sender, to, text[:_LONGEST_TEXT].replace("\0", ""), segment))
        return found, taken, bad


def _segment(given: list[str]) -> tuple[int, ...]:
    """(reference, total, number) of a part; empty for a whole text, and for what makes no sense."""
    if len(given) != 3 or not all(given):
        return ()
    ref, total, part = (int(word) if word.isascii() and word.isdigit() and len(word) < 10 else -1 for word in given)
    if ref < 0:  # any word will do
        ref = zlib.crc32(given[0].encode("utf-8", "surrogatepass"))
    return (ref & 0xFFFF, total, part) if 1 < total < 256 and 0 < part <= total else ()


class ReceiptMap:
    """Where a receipt has what, compiled."""

    def __init__(self, r: Receipts, where: str = "callbacks.receipts") -> None:
        def at(field: str) -> Callable[[Any], str] | None:
            text = getattr(r, field)
            return pointer(text, f"{where}.{field}").text_at if text else None

        states(r.states, f"{where}.states")
        self._states = {k.lower(): v for k, v in {**STATES, **r.states}.items()}
        self._codes = {code: reason(why, f"{where}.codes.{code}").value for code, why in r.codes.items()}
        self._list = pointer(r.list, f"{where}.list")
        self._when = _condition(r.when, f"{where}.when")
        self._message_id, self._state, self._code = at("message_id"), at("state"), at("code")
        self._recipient, self._sender, self._echo = at("recipient"), at("sender"), at("echo")
        self._echo_parameter = r.echo_parameter
        self._done = at("done")
        self._moment = moment_reader(r.done_format, r.timezone, where)

    def read(
        self,
        document: Any,
        taken: Sequence[Any],
        alone: Sent | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Read:
        """Every receipt, and what cannot be one. `taken`: reports that are something else; `alone`: the only message
        that there was a question about; `query`: of our URL. Raises ValueError when there are no reports at all."""
        receipts: list[Receipt] = []
        bad: list[Bad] = []
        echoed = (query or {}).get(self._echo_parameter, "") if self._echo_parameter else ""
        for report in reports(self._list.find(document), others=bad):
            if any(report is other for other in taken) or (self._when is not None and not self._when(report)):
                continue
            message_id, recipient = _at(self._message_id, report), _at(self._recipient, report)
            if alone is not None and not message_id:
                message_id, recipient = alone.carrier_message_id, recipient or alone.to
            word = _at(self._state, report)
            if word and (message_id or recipient):
                receipts.append(self._receipt(report, word, message_id, recipient, echoed))
            else:
                bad.append(("a receipt has no state, or neither an id nor a recipient", report))
        return Read(receipts, bad)

    def _receipt(self, report: Any, word: str, message_id: str, recipient: str, echoed: str) -> Receipt:
        state = self._states.get(word.lower(), "unknown")
        code = _at(self._code, report)
        why = self._codes.get(code, _REASONS.get(state, "")) if state in _REASONS else ""
        echo = _at(self._echo, report) or echoed
        return Receipt(
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
    """Whether a request proves that it comes from the carrier. Without a proof nothing of it is read. `verified`: a
    dialect asks for a proof of its own."""

    def __init__(self, settings: Callbacks, public_url: str, verified: bool = False) -> None:
        self._proof, self._public_url = settings.proof, public_url.rstrip("/")
        self._charset = settings.charset
        try:
            self._networks = tuple(ipaddress.ip_network(network) for network in settings.networks)
        except ValueError:
            raise Fault("callbacks.networks", "must be networks such as 10.0.0.0/8") from None
        proof = settings.proof
        if isinstance(proof, Anybody) and not self._networks and not verified:
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


def anything(request: CallbackRequest, charset: str) -> Any:
    """JSON, a form, or the query of the URL, which also stands in for fields that a body does not have. UTF-8, or in
    `charset` what is not. Raises ValueError."""
    query = request.target.partition("?")[2].encode("ascii", "replace")
    fields = _in_either(query, charset)
    if request.method == "GET" or not request.body:
        return fields
    if request.body.lstrip()[:1] in (b"{", b"["):
        found = json_of(request.body)
        return {**fields, **found} if isinstance(found, dict) else found
    return {**fields, **_in_either(request.body, charset)}


def _in_either(raw: bytes, charset: str) -> dict[str, str]:
    try:
        return form(raw, "utf-8")
    except ValueError:
        return form(raw, charset)


def json_of(body: bytes) -> Any:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise ValueError("the body is no JSON") from None


def raw_of(report: Any) -> bytes:
    """A report that could not be read, as it is kept."""
    return msgspec.json.encode(report)[:_LONGEST_RAW]


def _pairs(body: bytes, charset: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding=charset, errors="strict", max_num_fields=1000
        )
    except ValueError:
        raise ValueError("the body is no form") from None


def reports(found: Any, others: list[Bad] | None = None) -> list[Mapping[str, Any]]:
    """One report or a list of them; what is none among them goes to `others`. Raises ValueError."""
    made = found if isinstance(found, list) else [found]
    if len(made) > MOST_REPORTS or (made and not any(isinstance(report, dict) for report in made)):
        raise ValueError("there is no report where the plan says that there is one")
    if others is not None:
        others += [("it is no report", report) for report in made if not isinstance(report, dict)]
    return [report for report in made if isinstance(report, dict)]


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
