"""A request as bytes: URL, headers, authentication, body, for one submission or a batch of them.

In: submissions. Out: the bytes for the wire, or the refusal of what the carrier's alphabet cannot say. Values are
encoded as a whole by JSON, by form or by percent-encoding, never pasted into text. Pure but for a nonce.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import msgspec

from gateway.provider import SecretText
from providers._web import signing
from providers._web.placeholders import SHARED, SINGLE, Context, Facts, Value
from providers._web.pointer import as_text
from providers._web.reading import Fault, charset
from providers._web.settings import (
    AnySettings,
    Basic,
    Bearer,
    FormSettings,
    HeaderKey,
    JsonSettings,
    QueryKey,
    TextSettings,
)
from providers._web.template import NOTHING, Fill, TemplateError, compile_document, compile_text, compile_url

ITEMS: Final = "{items}"
_AGENT: Final = "sluice"
_RESERVED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"})

_json = msgspec.json.Encoder().encode


class Target:
    """Where a URL leads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url.split("{", 1)[0])
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        usual = self.port == (443 if self.tls else 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.header = host if usual else f"{host}:{self.port}"
        self.origin = f"{'https' if self.tls else 'http'}://{self.header}"


class RequestMaker:
    """Makes one carrier's requests. Raises Fault for settings that cannot work."""

    def __init__(self, settings: AnySettings, context: Context, authorize: Callable[[int], str] | None = None) -> None:
        """`authorize`: the value of Authorization by the time (ms), where it changes."""
        self._settings, self.context = settings, context
        self.target = Target(settings.url)
        if not _is_name(self.target.host):
            raise Fault("url", "names no host that there could be: a label of it is empty or too long")
        self.head = Head(settings, self.target, authorize)
        batch = settings.batch
        self.size = batch.size if batch is not None else 1
        known = SINGLE if batch is None else SHARED
        self._url = compiled(compile_url, after_host(settings.url) or "/", known, "url")
        self._query = form_fields(settings.query, known, "query")
        self._headers = [
            (n, compiled(compile_text, v, known, f"headers.{n}"))
            for n, v in settings.headers.items()
            if not is_constant(v)
        ]
        self._body = _body(settings, known)
        self._in_url = isinstance(settings, FormSettings) and settings.method == "GET"

    def make(self, batch: Sequence[Facts]) -> bytes:
        """The bytes of a request for these. Raises UnicodeEncodeError for what cannot be said."""
        first = batch[0]
        body = self._body.fill(batch)
        query = encode_form(self._query, first, "utf-8")
        if self._in_url:
            query, body = "&".join(filter(None, (query, body.decode("ascii")))), b""
        headers = [(name, header_value(fill(first))) for name, fill in self._headers]
        return self.head.make(self._settings.method, str(self._url(first)), query, headers, body, first.now_ms)


class Head:
    """Request line and headers, with what proves who we are."""

    def __init__(self, settings: AnySettings, target: Target, authorize: Callable[[int], str] | None = None) -> None:
        self._target, self._signature, self._authorize = target, settings.signature, authorize
        given = {name.lower() for name in settings.headers}
        if found := sorted(given & _RESERVED):
            raise Fault(f"headers.{found[0]}", "is written by the gateway itself")
        fixed = [f"Host: {target.header}"]
        if "user-agent" not in given:
            fixed.append(f"User-Agent: {_AGENT}")
        if "accept" not in given:
            fixed.append("Accept: */*")
        fixed.append("Accept-Encoding: identity")
        self._type = "" if "content-type" in given else content_type(settings)
        self._query = ""
        match settings.auth:
            case Bearer(token=token):
                fixed.append(f"Authorization: Bearer {_visible(token.reveal(), 'auth.token')}")
            case HeaderKey(name=name, key=key, prefix=prefix):
                fixed.append(f"{name}: {_visible(prefix + key.reveal(), 'auth.key')}")
            case QueryKey(name=name, key=key):
                self._query = f"{quote_plus(name)}={quote_plus(key.reveal())}"
            case Basic(user=user, password=password):
                fixed.append(f"Authorization: {signing.basic(user, password.reveal())}")
        for name, value in settings.headers.items():
            if is_constant(value):
                fixed.append(f"{name}: {_visible(str(value), f'headers.{name}')}")
        self._fixed = "\r\n".join(fixed)

    def make(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        body: bytes,
        now_ms: int,
        kind: str | None = None,
    ) -> bytes:
        """The whole request. `kind`: its Content-Type, where it is not that of a message's."""
        if self._query:
            query = "&".join(filter(None, (query, self._query)))
        target = path if not query else f"{path}{'&' if '?' in path else '?'}{query}"
        lines = [f"{method} {target} HTTP/1.1", self._fixed, *(f"{name}: {value}" for name, value in headers)]
        if self._authorize is not None:
            lines.append(f"Authorization: {self._authorize(now_ms)}")
        if body or method in ("POST", "PUT"):
            if kind := self._type if kind is None else kind:
                lines.append(f"Content-Type: {kind}")
            lines.append(f"Content-Length: {len(body)}")
        if self._signature is not None:
            lines += self._sign(method, target, body, now_ms)
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def _sign(self, method: str, target: str, body: bytes, now_ms: int) -> list[str]:
        s, lines = self._signature, []
        assert s is not None
        timestamp, nonce = str(now_ms // 1000), secrets.token_hex(16) if s.nonce_header else ""
        path, _, query = target.partition("?")
        parts = {
            "method": method.encode(),
            "url": (self._target.origin + target).encode(),
            "host": self._target.header.encode(),
            "path": path.encode(),
            "query": query.encode(),
            "body": body,
            "timestamp": timestamp.encode(),
            "nonce": nonce.encode(),
        }
        if s.timestamp_header:
            lines.append(f"{s.timestamp_header}: {timestamp}")
        if s.nonce_header:
            lines.append(f"{s.nonce_header}: {nonce}")
        made = signing.sign(s.secret.reveal(), s.digest, s.encoding, (parts[name] for name in s.over), s.separator)
        lines.append(f"{s.header}: {s.prefix}{made}")
        return lines


def is_constant(text: str) -> bool:
    """Whether a header is the same in every request."""
    return isinstance(text, SecretText) or bool(
        text and text.isascii() and text.isprintable() and not set(text) & {*"{}"}
    )


class JsonBody:
    """A JSON document (RFC 8259), always UTF-8."""

    def __init__(self, settings: JsonSettings, known: Mapping[str, Value]) -> None:
        batch = settings.batch
        extra: dict[str, Value] = {} if batch is None else {"items": _items}
        self._fill = document(settings.body, {**known, **extra}, "body")
        self._item = document(batch.item, SINGLE, "batch.item") if batch is not None else None
        if batch is not None and ITEMS not in repr(settings.body):
            raise Fault("body", f'needs a place for the messages of a batch: the string "{ITEMS}"')

    def fill(self, batch: Sequence[Facts]) -> bytes:
        """The bytes."""
        if self._item is None:
            return _json(self._fill(batch[0]))
        shared = Shared(batch[0], [self._item(facts) for facts in batch])
        return _json(self._fill(shared))


class Shared(Facts):
    """What the document of a batch is made of: any of its messages, and all of its items."""

    __slots__ = ("items",)

    def __init__(self, first: Facts, items: list[Any]) -> None:
        super().__init__(first.s, first.now_ms, first.context)
        self.items = items


def _items(facts: Facts) -> list[Any]:
    assert isinstance(facts, Shared)
    return facts.items


Fields = list[tuple[Fill, Fill]]


class FormBody:
    """A form (application/x-www-form-urlencoded) in the carrier's charset. In a batch the item's fields are repeated,
    `{index}` in a name tells them apart."""

    def __init__(self, settings: FormSettings, known: Mapping[str, Value]) -> None:
        self._charset = charset(settings.charset, "charset")
        self._fields = form_fields(settings.fields, known, "fields")
        self._item = None if settings.batch is None else form_fields(settings.batch.item, SINGLE, "batch.item")

    def fill(self, batch: Sequence[Facts]) -> bytes:
        """The bytes; all ASCII."""
        made = [encode_form(self._fields, batch[0], self._charset)]
        if self._item is not None:
            made += [encode_form(self._item, facts, self._charset) for facts in batch]
        return "&".join(filter(None, made)).encode("ascii")


class TextBody:
    """The text itself, in UTF-8."""

    def __init__(self, settings: TextSettings, known: Mapping[str, Value]) -> None:
        self._fill = compiled(compile_text, settings.text, known, "text")

    def fill(self, batch: Sequence[Facts]) -> bytes:
        """The bytes. Raises UnicodeEncodeError."""
        return str(self._fill(batch[0])).encode()


def _body(settings: AnySettings, known: Mapping[str, Value]) -> JsonBody | FormBody | TextBody:
    if isinstance(settings, JsonSettings):
        return JsonBody(settings, known)
    return FormBody(settings, known) if isinstance(settings, FormSettings) else TextBody(settings, known)


def form_fields(table: Mapping[str, Any], known: Mapping[str, Value], where: str) -> Fields:
    """Compiled names and values; a list repeats its field. Raises Fault."""
    made: Fields = []
    for name, value in table.items():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, dict | list):
                raise Fault(f"{where}.{name}", "must be a text, a number or a list of them: a form has no tables")
            made.append((compiled(compile_text, name, known, where), document(one, known, f"{where}.{name}")))
    return made


def encode_form(fields: Fields, facts: Facts, encoding: str) -> str:
    """Names and values, percent-encoded. Raises UnicodeEncodeError for what the charset cannot say."""
    made = []
    for name, fill in fields:
        if (value := fill(facts)) is not NOTHING:
            text = value if isinstance(value, str) else as_text(value)
            made.append(f"{quote_plus(str(name(facts)))}={quote_plus(text.encode(encoding))}")
    return "&".join(made)


def content_type(settings: AnySettings) -> str:
    """The Content-Type of requests."""
    if isinstance(settings, JsonSettings):
        return "application/json"
    if isinstance(settings, TextSettings):
        return settings.content_type
    said = "" if settings.charset.lower() in ("utf-8", "utf8") else f"; charset={settings.charset}"
    return f"application/x-www-form-urlencoded{said}"


def document(value: Any, known: Mapping[str, Value], where: str) -> Fill:
    """`compile_document`. Raises Fault."""
    try:
        return compile_document(value, known, where)
    except TemplateError as e:
        name, _, sentence = str(e).removeprefix("`").partition("` ")
        raise Fault(name, sentence) from None


def compiled(
    compiler: Callable[[str, Mapping[str, Value]], Fill], text: str, known: Mapping[str, Value], where: str
) -> Fill:
    """A template. Raises Fault."""
    try:
        return compiler(text, known)
    except TemplateError as e:
        raise Fault(where, str(e)) from None


def header_value(value: Any) -> str:
    """A header's value: what would end it is left out. Raises UnicodeEncodeError."""
    text = "" if value is NOTHING else value if isinstance(value, str) else as_text(value)
    text.encode("latin-1")
    return text.translate(_CONTROLS).strip()


def _visible(secret: str, where: str) -> str:
    if not secret or any(c < " " or c > "~" for c in secret):
        raise Fault(where, "may only hold printable ASCII characters, because it goes into a header")
    return secret


def _is_name(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def after_host(url: str) -> str:
    """Path and query of a URL, as they are written."""
    rest = url.split("://", 1)[1]
    at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:] if rest[at:] else ""


_CONTROLS: Final = dict.fromkeys((*range(32), 127))
