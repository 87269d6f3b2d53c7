"""From a carrier's table of the plan to its typed settings, with one clear sentence for what cannot work.

In: the table with secrets resolved. Out: settings, or SettingsError that names the setting in backticks, with its path.
Never: a value in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar, get_args

import msgspec

from gateway.provider import RECEIPT_STATES, Reason, SettingsError
from providers._web.secret import Secret
from providers._web.settings import Errand, WebSettings

S = TypeVar("S", bound=WebSettings)
T = TypeVar("T")

CARRIERS_REASONS: Final = (
    Reason.THROTTLED,
    Reason.QUEUE_FULL,
    Reason.TEMPORARY,
    Reason.UNCERTAIN,
    Reason.UNAUTHORIZED,
    Reason.NO_CREDIT,
    Reason.INVALID_RECIPIENT,
    Reason.INVALID_SENDER,
    Reason.INVALID_CONTENT,
    Reason.BLOCKED,
    Reason.UNSUPPORTED,
    Reason.UNREACHABLE,
    Reason.UNKNOWN_SUBSCRIBER,
    Reason.HANDSET,
    Reason.CARRIER_ERROR,
    Reason.CARRIER_EXPIRED,
    Reason.CARRIER_DELETED,
)
"""What a carrier may say; the other reasons are the gateway's own."""

_QUOTED: Final = re.compile(r"'[^']*'")
_PLACE: Final = re.compile(r" - at `(?:key in )?\$(?:\.|)([^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_HOST: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(?=[/?#]|$)")


class Fault(Exception):
    """Something in the settings cannot work: `name` is its path, such as `errors[2].reason`."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"`{name}` {sentence}")


def typed(carrier: str, table: Mapping[str, Any], kind: type[T]) -> T:
    """The table as its types say. Raises SettingsError."""
    try:
        return msgspec.convert(dict(table), kind, dec_hook=_secret)
    except msgspec.ValidationError as problem:
        raise SettingsError(f"carrier {carrier}: {_words(str(problem), kind)}") from None


def convert(carrier: str, table: Mapping[str, Any], kind: type[S]) -> S:
    """Typed settings that make sense together. Raises SettingsError."""
    settings = typed(carrier, table, kind)
    try:
        check(settings)
    except Fault as fault:
        raise SettingsError(f"carrier {carrier}: {fault}") from None
    return settings


def check(settings: WebSettings) -> None:
    """What types cannot say. Raises Fault."""
    url(settings.url, "url")
    for name, errand in (("check", settings.check), ("ask", settings.ask), ("balance", settings.balance)):
        if errand is not None:
            _errand(errand, name, settings)
    if settings.check is not None:
        expression(settings.check.refused, "check.refused")
    charset(settings.answer_charset, "answer_charset")
    for index, rule in enumerate(settings.errors):
        reason(rule.reason, f"errors[{index}].reason")
        if not (rule.status or rule.code or rule.pattern):
            raise Fault(f"errors[{index}]", "has no condition: give it `status`, `code` or `pattern`")
    signature = settings.signature
    for part in ("timestamp", "nonce"):
        if signature is not None and part in signature.over and not getattr(signature, f"{part}_header"):
            raise Fault(f"signature.{part}_header", f"is needed, because {part} is signed: the carrier must see it")
    if settings.batch is not None and settings.long_messages == "parts":
        raise Fault("batch", "cannot be had with long_messages in parts")


def _errand(errand: Errand, name: str, settings: WebSettings) -> None:
    url(errand.url, f"{name}.url")
    if _origin(errand.url) != _origin(settings.url):
        raise Fault(f"{name}.url", "must be on the same host as `url`")
    if errand.body is not None and errand.fields:
        raise Fault(f"{name}.body", "and `fields` cannot both be sent")
    if errand.body is not None and errand.method == "GET":
        raise Fault(f"{name}.body", 'needs method = "POST"')


def expression(text: str, name: str) -> re.Pattern[str]:
    """Raises Fault for what is no regular expression."""
    try:
        return re.compile(text)
    except re.error as e:
        raise Fault(name, f"is no regular expression: {e.msg}") from None


def url(text: str, name: str) -> None:
    """Raises Fault for a URL that we cannot call."""
    found = _HOST.match(text)
    if found is None:
        raise Fault(
            name,
            "must be a URL such as https://api.example.com/sms, without a user and without placeholders in its host",
        )
    if found[2] and not 0 < int(found[2][1:]) < 65_536:
        raise Fault(name, "has a port that does not exist")
    if any(c <= " " or c == "\x7f" for c in text):
        raise Fault(name, "may hold no spaces and no line ends")
    if "#" in text:
        raise Fault(name, "may have no fragment (#…)")


def _origin(text: str) -> str:
    found = _HOST.match(text)
    return found[0].lower() if found else ""


def reason(word: str, name: str) -> Reason:
    """The reason of that name. Raises Fault."""
    if word not in CARRIERS_REASONS:
        raise Fault(name, f"must be one of {', '.join(CARRIERS_REASONS)}")
    return Reason(word)


def states(table: Mapping[str, str], name: str) -> None:
    """Raises Fault for states that nobody knows."""
    for word, state in table.items():
        if state not in RECEIPT_STATES:
            raise Fault(f"{name}.{word}", f"must be one of {', '.join(RECEIPT_STATES)}")


def charset(word: str, name: str) -> str:
    """Raises Fault for a charset that nobody knows."""
    try:
        "a".encode(word)
    except (LookupError, UnicodeError):
        raise Fault(name, "is not a known charset, such as utf-8, windows-1251 or latin-1") from None
    return word


def _words(problem: str, kind: type) -> str:
    """msgspec's sentence with the place first, and what is meant. It quotes a value that is not one of a choice's; none
    is repeated."""
    place, unknown = _PLACE.search(problem), _UNKNOWN.fullmatch(problem)
    if unknown:
        return f"`{unknown[1]}` is none of its settings{_near(unknown[1], kind)}"
    sentence = _QUOTED.sub("", _PLACE.sub("", problem)).replace("Object ", "").replace("  ", " ").strip()
    if not place or not place[1]:
        return sentence
    meant = _described(kind, place[1])
    sentence = "has not the right form" if "regex" in sentence else f"{sentence[0].lower()}{sentence[1:]}"
    return f"`{place[1].replace('[...]', '')}`: {sentence}{f' ({meant})' if meant else ''}"


def _near(name: str, kind: type) -> str:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    close = get_close_matches(name, names, n=1)
    return f". Did you mean `{close[0]}`?" if close else f", which are {', '.join(names)}"


def _described(kind: Any, path: str) -> str:
    """The words of the field at a path; of a table of kinds, the kinds."""
    meant = ""
    for step in re.findall(r"[^.\[\]]+", path):
        tables = [t for t in _members(kind) if isinstance(t, type) and issubclass(t, msgspec.Struct)]
        tags = [str(t.__struct_config__.tag) for t in tables if t.__struct_config__.tag_field == step]
        if tags:
            return f"one of {', '.join(tags)}"
        fields = [f for t in tables for f in msgspec.structs.fields(t) if f.encode_name == step]
        if fields:
            kind = fields[0].type
            meant = next((m.description for m in getattr(kind, "__metadata__", ()) if m.description), meant)
        elif not step.isdigit() and step != "...":
            break
    return meant


def _members(kind: Any) -> list[Any]:
    """The types that a field's type is made of, at any depth."""
    found = [kind]
    for inner in get_args(kind):
        found += _members(inner)
    return found


def _secret(kind: type, value: object) -> Secret:
    if kind is not Secret or not isinstance(value, str):
        raise TypeError("Expected `str`")
    return Secret(str(value))
