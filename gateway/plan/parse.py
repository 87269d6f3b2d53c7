"""From TOML text to a `Plan`, or to everything that is wrong with its form.

In: the document's text. Out: `Plan`, or problems with lines. Secrets written out are refused here, so that no plan with
one is ever stored. Never looks at what names mean: that is check.py.
"""

from __future__ import annotations

import re
import tomllib
from math import isfinite
from typing import Any, Final, TypeVar, cast

import msgspec

from gateway.plan.document import (
    Budget,
    Carrier,
    Currencies,
    Defaults,
    Entry,
    InboundRule,
    Limit,
    Lookup,
    Operator,
    Plan,
    Rate,
    Route,
    Sender,
    StopWords,
    Window,
)
from gateway.plan.lines import Lines, Path
from gateway.plan.problems import Problem, Problems, close_to

E = TypeVar("E", bound=Entry)

_TABLES: Final = frozenset(
    {
        "defaults",
        "carrier",
        "operator",
        "rate",
        "route",
        "currencies",
        "sender",
        "limit",
        "budget",
        "window",
        "stop_words",
        "lookup",
        "inbound",
    }
)

_DEEPEST: Final = 32
_LARGEST: Final = 2**63 - 1

_SECRET_NAME: Final = re.compile(
    r"(^|_)(pass|passwd|password|passphrase|secret|token|key|apikey|credentials?|authorization)$", re.I
)
_SECRET_IN_URL: Final = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_REFER: Final = 'write { env = "NAME" } or { file = "PATH" }.'
_ERROR_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


def parse(text: str) -> Plan | list[Problem]:
    """The plan, or every problem of form in it."""
    try:
        raw = tomllib.loads(text)
        problems = Problems(Lines(text))
    except tomllib.TOMLDecodeError as e:
        return [_syntax_problem(text, str(e))]
    except RecursionError:
        return [_syntax_problem(text, "it is nested too deeply")]
    except ValueError:  # Python reads no integer of more than 4300 digits
        return [_syntax_problem(text, "a number has too many digits")]
    if _check_values(raw, problems):
        return sorted(problems, key=lambda p: p.line)
    for name in raw.keys() - _TABLES:
        problems.add((name,), "unknown_field", f"`{name}` is not part of a plan.{close_to(name, _TABLES)}")
    plan = Plan(
        _entry(Defaults, raw.get("defaults", {}), ("defaults",), problems) or Defaults(),
        _entries(Carrier, raw, "carrier", problems),
        _entries(Operator, raw, "operator", problems),
        _entries(Rate, raw, "rate", problems),
        _entries(Route, raw, "route", problems),
        _currencies(raw.get("currencies", {}), problems),
        _entries(Sender, raw, "sender", problems),
        _entries(Limit, raw, "limit", problems),
        _entries(Budget, raw, "budget", problems),
        _entries(Window, raw, "window", problems),
        _entry(StopWords, raw.get("stop_words", {}), ("stop_words",), problems) or StopWords(),
        _entry(Lookup, raw["lookup"], ("lookup",), problems) if "lookup" in raw else None,
        _entries(InboundRule, raw, "inbound", problems),
    )
    if isinstance(raw.get("lookup"), dict):
        _check_secrets(raw["lookup"].get("headers"), ("lookup", "headers"), problems)
    for index, carrier in enumerate(raw["carrier"] if isinstance(raw.get("carrier"), list) else []):
        if isinstance(carrier, dict):
            _check_secrets(carrier.get("settings"), ("carrier", index, "settings"), problems)
    return sorted(problems, key=lambda p: p.line) if problems else plan


def _check_values(raw: dict[str, Any], problems: Problems) -> bool:
    """Note what TOML allows and no plan can hold, whatever field it is in; whether there was any."""
    waiting: list[tuple[Path, object]] = [((), raw)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict | list) and len(path) > _DEEPEST:
            problems.add(path[:1], "wrong_value", f"`{path[0]}` is nested too deeply: at most {_DEEPEST} levels.")
        elif isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]
        elif isinstance(value, float) and not isfinite(value):
            problems.add(path, "wrong_value", f"`{path[-1]}` must be a number with an end; leave it out for no limit.")
        elif isinstance(value, int) and abs(value) > _LARGEST:
            problems.add(path, "wrong_value", f"`{path[-1]}` is larger than any number of a plan: write a smaller one.")
    return bool(problems)


def _currencies(table: object, problems: Problems) -> dict[str, str]:
    if not isinstance(table, dict):
        problems.add(("currencies",), "wrong_type", "`currencies` is a table: write [currencies] above its fields.")
        return {}
    for name, value in table.items():
        try:
            msgspec.convert({name: value}, Currencies)
        except msgspec.ValidationError:
            problems.add(("currencies", name), "wrong_value", f"`{name}` must be {_words(Currencies)}.")
    return table


def is_reference(value: object) -> bool:
    """Whether a setting's value says where the value is: `{ env = "NAME" }` or `{ file = "PATH" }`."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("env", "file")


def _syntax_problem(text: str, error: str) -> Problem:
    found = _ERROR_LINE.search(error)
    line = int(found[1]) if found else text.count("\n") + 1
    words = _ERROR_LINE.sub("", error).replace("(at end of document)", "").strip()
    return Problem(line=line, pointer="", code="not_toml", sentence=f"This is not TOML: {words}.")


def _entries(kind: type[E], document: dict[str, Any], name: str, problems: Problems) -> tuple[E, ...]:
    tables = document.get(name, [])
    if not isinstance(tables, list):
        problems.add((name,), "wrong_type", f"`{name}` is a list of tables: write [[{name}]] above each.")
        return ()
    found = (_entry(kind, table, (name, index), problems) for index, table in enumerate(tables))
    return tuple(entry for entry in found if entry is not None)


def _entry(kind: type[E], table: object, path: Path, problems: Problems) -> E | None:
    """One table, field by field, so that every problem of it is told at once."""
    if not isinstance(table, dict):
        problems.add(path, "wrong_type", f"`{path[0]}` is a table: write [{path[0]}] above its fields.")
        return None
    before = len(problems)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in table.keys() - fields.keys():
        problems.add((*path, name), "unknown_field", f"`{name}` is not a field of {path[0]}.{close_to(name, fields)}")
    for name, field in fields.items():
        if name in table:
            _check_field(table[name], field.type, (*path, name), problems)
        elif field.required:
            problems.add(path, "missing_field", f"This {path[0]} has no `{name}`: it must be {_words(field.type)}.")
    return None if len(problems) > before else msgspec.convert(table, kind)


def _check_field(value: object, kind: Any, path: Path, problems: Problems) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        problems.add(path, "wrong_value", f"`{path[-1]}` must be {_words(kind)}.")


def _words(kind: Any) -> str:
    """What a field's type says of itself; of a union, what its first described member says."""
    info = msgspec.inspect.type_info(kind)
    for candidate in info.types if isinstance(info, msgspec.inspect.UnionType) else (info,):
        if isinstance(candidate, msgspec.inspect.Metadata):
            return cast(str, (candidate.extra_json_schema or {})["description"])
    raise AssertionError(f"a field of type {kind!r} has no description")


def _check_secrets(settings: object, path: Path, problems: Problems) -> None:
    """A name that looks like a secret needs a reference, and so does a URL with a password in it."""
    if isinstance(settings, list):
        for index, value in enumerate(settings):
            _check_secrets(value, (*path, index), problems)
    if isinstance(settings, str) and _SECRET_IN_URL.search(settings):
        problems.add(path, "secret_literal", f"`{path[-1]}` holds a password: {_REFER}")
    if not isinstance(settings, dict):
        return
    for name, value in settings.items():
        here = (*path, name)
        if is_reference(value):
            if not isinstance(next(iter(value.values())), str) or not next(iter(value.values())):
                problems.add(here, "wrong_value", f"`{name}` refers to nothing: {_REFER}")
        elif _SECRET_NAME.search(name) and not isinstance(value, bool):
            problems.add(here, "secret_literal", f"`{name}` must not stand in the plan: {_REFER}")
        else:
            _check_secrets(value, here, problems)


def references(value: object, path: Path = ()) -> list[tuple[Path, dict[str, str]]]:
    """Every reference in a carrier's settings, with its path inside them."""
    if is_reference(value):
        return [(path, cast(dict[str, str], value))]
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for step, inner in steps for found in references(inner, (*path, step))]
