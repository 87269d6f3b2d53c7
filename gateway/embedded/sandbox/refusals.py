"""What is wrong with a profile, in words: the place, what was found, and what the field means.

In: values and the type that they should have. Out: the type's value, or ProfileError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from gateway.plan.problems import close_to

T = TypeVar("T", bound=msgspec.Struct)
Fields = dict[str, tuple[str, dict[str, Any]]]
"""By name, what a field means and, of a table, its fields."""

_AT: Final = re.compile(r" - at `\$\.?(.*)`$")
_STEP: Final = re.compile(r"[A-Za-z_0-9]+")
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`")


class ProfileError(ValueError):
    """A profile cannot be used. The text names the place and says what would be right."""


def read(values: Mapping[str, Any], kind: type[T], place: str = "", others: Sequence[str] = ()) -> T:
    """The values as `kind`. `place`: where they stand; `others`: names that may stand beside the fields. Raises
    ProfileError."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as e:
        raise ProfileError(_told(str(e), kind, place, others)) from e


def fields_of(kind: type[msgspec.Struct]) -> Fields:
    """What the fields of a table mean."""
    found: Fields = {}
    for field in msgspec.structs.fields(kind):
        info: Any = msgspec.inspect.type_info(field.type)
        info = info.type if isinstance(info, msgspec.inspect.Metadata) else info
        table = fields_of(info.cls) if isinstance(info, msgspec.inspect.StructType) else {}
        found[field.encode_name] = (meaning(field.type), table)
    return found


def meaning(kind: object) -> str:
    """What a field's type says of itself, with the words that it takes."""
    info: Any = msgspec.inspect.type_info(kind)
    if not isinstance(info, msgspec.inspect.Metadata):
        return ""
    says: str = (info.extra_json_schema or {}).get("description", "")
    inner: Any = info.type
    if isinstance(inner, msgspec.inspect.VarTupleType):
        inner = inner.item_type
    if isinstance(inner, msgspec.inspect.LiteralType) and not all(str(value) in says for value in inner.values):
        says += f" ({', '.join(f'`{value}`' for value in inner.values)})"
    return says


def _told(error: str, kind: type[msgspec.Struct], place: str, others: Sequence[str]) -> str:
    at = _AT.search(error)
    inside, said = at[1] if at else "", _AT.sub("", error)
    path = ".".join(filter(None, (place, inside)))
    known, meant = fields_of(kind), ""
    for step in _STEP.findall(inside):
        if step not in known:
            break
        meant, known = known[step]
    unknown = _UNKNOWN.search(said)
    if unknown is None:
        return ": ".join(filter(None, (path, said))) + (f"; it is: {meant}" if meant and not known else "")
    name = ".".join(filter(None, (path, unknown[1])))
    return f"{name}: no such field.{close_to(unknown[1], (*known, *others))}"
