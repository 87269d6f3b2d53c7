"""What is wrong with a body that does not decode: the slow and talkative way, taken only after the fast one failed.

In: the bytes. Out: faults with pointers and sentences, all of them at once where the body is at least JSON. Never:
an exception for what a client sent.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, Final, get_args

import msgspec

from gateway.api.admin_documents import Scope
from gateway.api.checks import Rules, Sender
from gateway.api.documents import Class, MessageFields
from gateway.api.faults import escape, forbidden, missing
from gateway.api.problems import Code, Fault, Problem, from_faults, problem

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for a body that it cannot take."""

_TYPES: Final = {f.encode_name: f.type for f in msgspec.structs.fields(MessageFields)}
_EXPECTED: Final = re.compile(r"Expected `(?P<right>[^`]+)`(?:, got `(?P<got>[^`]+)`| (?P<bound>.+))")
_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_FIELD: Final = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<name>.*?)`")
_LISTS: Final = {"scopes": get_args(Scope), "classes": get_args(Class)}
_TRUNCATED: Final = "Input data was truncated"
_TOO_LARGE: Final = re.compile(r"^(Number|Integer value) out of range$")
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_WORDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number with a fraction",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "datetime": "a time such as 2030-01-31T09:00:00+03:00",
}
_CODES: Final = {"class": Code.INVALID_CLASS, "validity_s": Code.VALIDITY_OUT_OF_RANGE, "send_at": Code.SEND_AT_INVALID}
_SENTENCES: Final = {
    Code.INVALID_CLASS: "The class is one of otp, alert, transactional and marketing.",
    Code.VALIDITY_OUT_OF_RANGE: "The validity is a whole number of seconds, at least 1.",
    Code.SEND_AT_INVALID: "`send_at` is not a time: write it as 2030-01-31T09:00:00+03:00.",
    Code.SEND_AT_WITHOUT_OFFSET: "`send_at` has no offset: end it with Z or one such as +03:00.",
}


def not_json(error: BaseException, line: int | None = None, pointer: str = "") -> Problem:
    """The problem of a body that is not JSON at all, or of one of its items."""
    if isinstance(error, UnicodeDecodeError):
        words = "The body is not UTF-8."
    elif isinstance(error, RecursionError):
        words = "The body is nested too deeply."
    elif str(error).startswith(_TRUNCATED):
        words = "The JSON is cut off, or there is none: send the whole document."
    else:
        words = f"{str(error).rstrip('.')}."
    return problem(Code.NOT_JSON, words, line=line, pointer=pointer or None)


def of_message(
    raw: bytes | msgspec.Raw,
    rules: Rules,
    sender: Sender,
    now_ms: int,
    *,
    whole: bool = True,
    pointer: str = "",
    line: int | None = None,
) -> Problem:
    """Why `raw` is not a message. `whole`: recipient and text must be in it; otherwise defaults may give them."""
    value = parse(raw)
    if isinstance(value, msgspec.ValidationError):
        return from_faults([_of_error(str(value), "")], line, pointer)
    if isinstance(value, BaseException):
        return not_json(value, line, pointer)
    if not isinstance(value, dict):
        return from_faults(forbidden(value) or [_wrong_type("A message", "object", _name(value), "")], line, pointer)
    faults = forbidden(value)
    known, broken = {}, {"/" + f.pointer.split("/")[1] for f in faults if f.pointer}
    for name, given in value.items():
        if name not in _TYPES:
            faults.append(_unknown(name, list(_TYPES)))
        elif f"/{escape(name)}" not in broken:
            try:
                known[name] = msgspec.convert(given, _TYPES[name])
            except msgspec.ValidationError as e:
                faults.append(_of_field(name, str(e)))
                broken.add(f"/{name}")
    checked = rules.check(msgspec.convert(known, MessageFields), sender, now_ms, nul=True)
    if isinstance(checked, list):
        faults += [
            f
            for f in checked
            if f.pointer not in broken and (whole or f.code is not Code.MISSING_FIELD) and f not in faults
        ]
    if not faults:
        faults = [Fault(Code.INVALID_VALUE, "The message cannot be read.", "")]
    return from_faults(faults, line, pointer)


def of_document(raw: bytes, error: BaseException, pointer: str = "") -> Problem:
    """Why `raw` is not the document that `error` says it is not; the first fault only, and all bad characters."""
    if not isinstance(error, msgspec.ValidationError):
        value = parse(raw)
        if isinstance(value, BaseException):
            return not_json(value)
        if faults := forbidden(value):
            return from_faults(faults)
        return not_json(error)
    return from_faults([_of_error(str(error), pointer)])


def parse(raw: bytes | msgspec.Raw) -> Any:
    """The JSON value, lone surrogates and all, or the exception that says why it is none."""
    data = bytes(raw)
    try:
        return msgspec.json.decode(data)
    except UNREADABLE as strict:
        if _ESCAPED_SURROGATE.search(data) is None:
            return strict
        try:
            value = json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return strict
        return value if forbidden(value) else strict


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _of_field(name: str, error: str) -> Fault:
    """`error`: msgspec's words for one field's value."""
    path = _AT.search(error)
    inner = _pointer(path["path"]) if path else ""
    text = _AT.sub("", error)
    code = _CODES.get(name, Code.INVALID_VALUE)
    if "timezone" in text:
        code = Code.SEND_AT_WITHOUT_OFFSET
    expected = _EXPECTED.match(text)
    if expected is not None and expected["got"]:
        return _wrong_type(f"`{name}`", expected["right"], expected["got"], f"/{name}{inner}")
    if code in _SENTENCES:
        return Fault(code, _SENTENCES[code], f"/{name}{inner}")
    if expected is not None and expected["bound"].startswith("of length <= "):
        return Fault(
            code, f"`{name}` has at most {expected['bound'].rpartition(' ')[2]} characters.", f"/{name}{inner}"
        )
    if expected is not None and expected["bound"] == "of length >= 1":
        return Fault(code, f"`{name}` is empty: give a value, or leave it out.", f"/{name}{inner}")
    return Fault(code, f"`{name}`: {text}.", f"/{name}{inner}")


def _of_error(error: str, pointer: str) -> Fault:
    path = _AT.search(error)
    at = pointer + (_pointer(path["path"]) if path else "")
    text = _AT.sub("", error)
    if (field := _FIELD.match(text)) is not None:
        if field["what"].startswith("missing"):
            made = missing(field["name"], "it must be given")
        else:
            made = _unknown(field["name"], [])
        return Fault(made.code, made.detail, at + made.pointer)
    name = at.rpartition("/")[2]
    if name and (name in _CODES or name in _TYPES):
        made = _of_field(name, text)
        return Fault(made.code, made.detail, at)
    expected = _EXPECTED.match(text)
    if expected is not None and expected["got"]:
        return _wrong_type(f"`{name}`" if name else "The body", expected["right"], expected["got"], at)
    if _TOO_LARGE.match(text):
        return Fault(Code.INVALID_VALUE, "A number is larger than can be kept: write a smaller one, or a string.", at)
    if text.startswith("Invalid enum value") and (listed := at.rstrip("0123456789").strip("/")) in _LISTS:
        return Fault(Code.INVALID_VALUE, f"`{listed}` is a list out of {', '.join(_LISTS[listed])}.", at)
    return Fault(Code.INVALID_VALUE, f"{text}.", at)


def _pointer(path: str) -> str:
    """msgspec's `.a[0].b` as a JSON pointer; an index that msgspec does not know ends it."""
    return "".join(
        f"/{index if index else escape(name)}"
        for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path.partition("[...]")[0])
    )


def _unknown(name: str, known: list[str]) -> Fault:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}." if known else "leave it out."
    return Fault(Code.UNKNOWN_FIELD, f"There is no field of this name; {hint}", f"/{escape(name)}")


def _wrong_type(what: str, right: str, got: str, pointer: str) -> Fault:
    wanted = " or ".join(_WORDS.get(r, r) for r in right.split(" | ") if r != "null")
    return Fault(Code.WRONG_TYPE, f"{what} must be {wanted}, and this is {_WORDS.get(got, got)}.", pointer)


def _name(value: object) -> str:
    names = {list: "array", str: "str", bool: "bool", int: "int", float: "float", type(None): "null"}
    return names.get(type(value), "object")
