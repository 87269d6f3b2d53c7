"""Templates: documents of the settings whose strings hold placeholders, filled with values. No code, no conditions.

In: strings, tables and lists of the settings. Out: functions that fill them. `{{` and `}}` are braces. A string that is
one placeholder alone becomes its value with its type; a secret is never read as a template. Whoever writes the result
encodes it as a whole: no value can end a field and begin another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

from gateway.provider import SecretText
from providers._web.placeholders import LEFT_OUT, Facts, Value

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
NOTHING: Final = object()
"""What a field is that is to be left out."""

Fill = Callable[[Facts], Any]


class TemplateError(ValueError):
    """A template cannot be used; the text says what would be right."""


def compile_text(text: str, known: Mapping[str, Value], escape: Callable[[str], str] | None = None) -> Fill:
    """A string. The filler gives text, or the bare value where the string is one placeholder and `escape` is None."""
    if isinstance(text, SecretText):
        return _constant(str(text))
    pieces: list[str | Value] = []
    names: list[str] = []
    for found in _PIECE.finditer(text):
        piece, name = found[0], found[1]
        if name is not None:
            pieces.append(_lookup(name, known))
            names.append(name)
        elif piece in ("{", "}"):
            raise TemplateError(f"has a lone `{piece}`: write `{piece}{piece}` for a brace")
        else:
            pieces.append(piece[0] if piece in ("{{", "}}") else piece)
    if not names:
        return _constant("".join(str(piece) for piece in pieces))
    if "items" in names and len(pieces) > 1:
        raise TemplateError("must be {items} alone, which becomes the list of the messages")
    if len(pieces) == 1 and escape is None:
        value = pieces[0]
        assert callable(value)
        return _optional(value) if names[0] in LEFT_OUT else value
    return _joined(tuple(pieces), escape)


def compile_document(document: Any, known: Mapping[str, Value], where: str) -> Fill:
    """A JSON document of the settings. Raises TemplateError that begins with the place, in backticks."""
    if isinstance(document, str):
        try:
            return compile_text(document, known)
        except TemplateError as e:
            raise TemplateError(f"`{where}` {e}") from None
    if isinstance(document, dict):
        fields = [(name, compile_document(inner, known, f"{where}.{name}")) for name, inner in document.items()]
        return lambda facts: {name: value for name, fill in fields if (value := fill(facts)) is not NOTHING}
    if isinstance(document, list):
        items = [compile_document(inner, known, f"{where}[{index}]") for index, inner in enumerate(document)]
        return lambda facts: [value for fill in items if (value := fill(facts)) is not NOTHING]
    return _constant(document)


def compile_url(text: str, known: Mapping[str, Value]) -> Fill:
    """A URL, or a piece of one: values are percent-encoded whole, also their slashes."""
    return compile_text(text, known, lambda value: quote(value, safe=""))


def _lookup(name: str, known: Mapping[str, Value]) -> Value:
    if name in known:
        return known[name]
    if name == "items":
        raise TemplateError("has {items}, which is for `body` and a `batch`; in a form `batch.item` has the fields")
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {{{close[0]}}}?" if close else f"known are {', '.join(sorted(known))}"
    raise TemplateError(f"has a placeholder that nobody knows: {{{name}}}; {hint}")


def _constant(value: Any) -> Fill:
    return lambda facts: value


def _optional(value: Value) -> Fill:
    def fill(facts: Facts) -> Any:
        filled = value(facts)
        return NOTHING if filled == "" else filled

    return fill


def _joined(pieces: tuple[str | Value, ...], escape: Callable[[str], str] | None) -> Fill:
    def fill(facts: Facts) -> str:
        return "".join(
            [p if isinstance(p, str) else escape(str(p(facts))) if escape else str(p(facts)) for p in pieces]
        )

    return fill
