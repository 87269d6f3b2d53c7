"""Where a value stands in an answer, compiled from the settings: a JSON pointer, a regular expression or a header.

In: an answer. Out: text, empty where nothing stands. Never: an exception because of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from providers._web.pointer import Pointer, as_text
from providers._web.reading import Fault, expression
from providers._web.settings import Place, Spot

_SEARCHED: Final = 16_384  # characters of a body that a regular expression looks at
UNREADABLE: Final = object()


class Answer:
    """What a carrier answered. Header names are in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, charset: str = "utf-8") -> None:
        self.status, self.headers, self.body, self._charset = status, headers, body, charset

    @cached_property
    def text(self) -> str:
        """The body as text; UTF-8 whatever the headers say, the carrier's own charset where it is not."""
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return self.body.decode(self._charset, "replace")

    @cached_property
    def document(self) -> Any:
        """The body as JSON; UNREADABLE when it is none."""
        try:
            return msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return UNREADABLE

    def __repr__(self) -> str:
        return f"<answer {self.status}, {len(self.body)} bytes>"


Find = Callable[[Answer, Any], str]
"""Finds a value in an answer, or, for results of a batch, in the result that is given."""


def compile_spot(place: Place | None, name: str, inside: bool = False) -> Find | None:
    """Raises Fault. `inside`: in a result of a batch, where only JSON pointers make sense."""
    if place is None:
        return None
    spot = Spot(path=place) if isinstance(place, str) else place
    given = [field for field in ("path", "pattern", "header") if getattr(spot, field) is not None]
    if len(given) != 1:
        raise Fault(name, "must have exactly one of `path`, `pattern` and `header`")
    if inside and given != ["path"]:
        raise Fault(name, "must be a JSON pointer inside a result, such as /id")
    if spot.pattern is not None:
        return _by_pattern(pattern(spot.pattern, name, groups=True))
    if spot.header is not None:
        header = spot.header.lower()
        return lambda answer, _: as_text(answer.headers.get(header))
    find = pointer(spot.path or "", name).text_at
    return (lambda _, result: find(result)) if inside else (lambda answer, _: find(answer.document))


def pointer(text: str, name: str) -> Pointer:
    """Raises Fault."""
    try:
        return Pointer(text)
    except ValueError as e:
        raise Fault(name, str(e)) from None


def pattern(text: str, name: str, groups: bool = False) -> re.Pattern[str]:
    """Raises Fault."""
    made = expression(text, name)
    if groups and made.groups < 1:
        raise Fault(name, "needs a group (…) around what is wanted")
    return made


def _by_pattern(expression: re.Pattern[str]) -> Find:
    def find(answer: Answer, _: Any) -> str:
        found = expression.search(answer.text[:_SEARCHED])
        return as_text(found[1]) if found else ""

    return find


def reads_json(*places: Place | None) -> bool:
    """Whether one of the places is in a JSON document."""
    return any(isinstance(p, str) or (p is not None and p.path is not None) for p in places)


def words(given: Sequence[str | int | bool]) -> frozenset[str]:
    """Values as they are compared."""
    return frozenset(as_text(word) for word in given)
