"""What is wrong with a carrier's table, as a sentence that says what would be right.

In: msgspec's error and the settings' type. Out: a sentence with the setting's name in backticks. Never: a value.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import inspect

_PLACE: Final = re.compile(r" - at (`key` in )?`\$\.?([^`]*)`$")
_INSIDE: Final = re.compile(r"(\w+)(?:\[(?:\d+|\.\.\.)\])?")
_FIELD: Final = re.compile(r"Object (?:contains unknown|missing required) field `([^`]*)`")
_QUOTED: Final = re.compile(r"'[^']*'")


def sentence(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """One sentence without its full stop."""
    text = str(error)
    place, field = _PLACE.search(text), _FIELD.match(text)
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    if field and not place:
        name = field[1]
        if name in fields:
            return f"`{name}` is needed: {_description(fields[name])}"
        close = get_close_matches(name, sorted(fields), n=1)
        return f"`{name}` is none of its settings" + (f". Did you mean `{close[0]}`?" if close else "")
    in_key, name = (place[1], place[2]) if place else ("", "")
    inside = _INSIDE.fullmatch(name)
    if inside and inside[1] in fields:
        what = _what(inspect.type_info(fields[inside[1]]), name != inside[1], bool(in_key))
        of = f"a name in `{name}`" if in_key else f"`{name}`"
        if what is not None:
            return f"{of} must be {_right(what)} ({_description(fields[inside[1]])})"
    plain = _QUOTED.sub("", _PLACE.sub("", text)).strip()
    return f"`{name}`: {plain[:1].lower() + plain[1:]}"


def _what(info: inspect.Type, is_inside: bool, is_key: bool) -> inspect.Type | None:
    """The type of a setting, of what is in its list or table, or of the table's names; None for a struct."""
    if isinstance(info, inspect.Metadata):
        return _what(info.type, is_inside, is_key)
    if isinstance(info, inspect.DictType) and (is_inside or is_key):
        info = info.key_type if is_key else info.value_type
    elif isinstance(info, inspect.VarTupleType | inspect.ListType) and is_inside:
        info = info.item_type
    return None if isinstance(info, inspect.StructType) else info


def _description(kind: Any) -> str:
    info = inspect.type_info(kind)
    schema = info.extra_json_schema if isinstance(info, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _right(info: inspect.Type) -> str:
    """What may stand there."""
    match info:
        case inspect.Metadata():
            return _right(info.type)
        case inspect.UnionType():
            return _right(next(t for t in info.types if not isinstance(t, inspect.NoneType)))
        case inspect.LiteralType():
            return f"one out of {', '.join(str(value) for value in info.values)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return ("a whole number" if isinstance(info, inspect.IntType) else "a number") + _bounds(info)
        case inspect.VarTupleType() | inspect.ListType():
            return "a list"
        case inspect.DictType():
            return "a table"
        case inspect.StrType() if info.max_length is not None:
            return f"a text of {info.max_length} characters at most"
    return "a text in quotes"


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.gt is not None:
        return f" above {info.gt:g}"
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}"
    return ""
