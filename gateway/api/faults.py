"""Faults that any JSON document may have: what is missing, and characters that cannot be stored or sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.api.problems import Code, Fault

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HALF: Final = "Half of a surrogate pair is not a character: write the whole pair, or the character in UTF-8."
_NUL: Final = "U+0000 cannot be stored or sent: leave it out."


def missing(name: str, what: str) -> Fault:
    """The fault of a field that must be there."""
    return Fault(Code.MISSING_FIELD, f"`{name}` is missing: {what}.", f"/{name}")


def forbidden(value: object, pointer: str = "") -> list[Fault]:
    """Every lone surrogate and U+0000 in a JSON value, keys of objects included. However deep it is nested."""
    faults: list[Fault] = []
    waiting = [(pointer, value)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, str):
            faults += _characters(value, at)
        elif isinstance(value, list):
            waiting += reversed([(f"{at}/{n}", item) for n, item in enumerate(value)])
        elif isinstance(value, dict):
            inner: list[tuple[str, object]] = []
            for name, item in value.items():
                if wrong := _characters(name, at):
                    faults += wrong
                else:
                    inner.append((f"{at}/{escape(name)}", item))
            waiting += reversed(inner)
    return faults


def _characters(text: str, pointer: str) -> list[Fault]:
    """What is wrong with the characters of a string that stands at `pointer`."""
    if _SURROGATE.search(text):
        return [Fault(Code.FORBIDDEN_CHARACTER, _HALF, pointer)]
    return [Fault(Code.FORBIDDEN_CHARACTER, _NUL, pointer)] if "\0" in text else []


def escape(name: str) -> str:
    """A member's name as it stands in a JSON pointer (RFC 6901, section 3); what is not a character becomes `?`."""
    return name.replace("~", "~0").replace("/", "~1").encode(errors="replace").decode()


def nuls(fields: Mapping[str, str | None]) -> list[Fault]:
    """Every U+0000 in these fields."""
    return [
        Fault(Code.FORBIDDEN_CHARACTER, _NUL, f"/{name}") for name, value in fields.items() if value and "\0" in value
    ]
