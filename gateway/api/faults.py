"""Faults that any JSON document may have: what is missing, and characters that cannot be stored or sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.api.problems import Code, Fault

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def missing(name: str, what: str) -> Fault:
    """The fault of a field that must be there."""
    return Fault(Code.MISSING_FIELD, f"`{name}` is missing: {what}.", f"/{name}")


def forbidden(value: object, pointer: str = "") -> list[Fault]:
    """Every lone surrogate and U+0000 in a JSON value, keys of objects included."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            return [
                Fault(
                    Code.FORBIDDEN_CHARACTER,
                    "Half of a surrogate pair is not a character: write the whole pair, or the character in UTF-8.",
                    pointer,
                )
            ]
        return nuls({pointer.removeprefix("/"): value})
    if isinstance(value, list):
        return [f for n, item in enumerate(value) for f in forbidden(item, f"{pointer}/{n}")]
    if isinstance(value, dict):
        return [
            f
            for name, item in value.items()
            for f in (forbidden(name, pointer) or forbidden(item, f"{pointer}/{escape(name)}"))
        ]
    return []


def escape(name: str) -> str:
    """A member's name as it stands in a JSON pointer (RFC 6901, section 3); what is not a character becomes `?`."""
    return name.replace("~", "~0").replace("/", "~1").encode(errors="replace").decode()


def nuls(fields: Mapping[str, str | None]) -> list[Fault]:
    """Every U+0000 in these fields."""
    return [
        Fault(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored or sent: leave it out.", f"/{name}")
        for name, value in fields.items()
        if value and "\0" in value
    ]
