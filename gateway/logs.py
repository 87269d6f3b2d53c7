"""Logs: one JSON object a line, or text for a terminal. `log = logs.stage("router")`, `log.info("routed", count=12)`.

Written: ts, level, stage, event, then the fields. Never written: a message's text, a whole phone number, a secret.
Fields are chosen by the caller; as the last line of defence every string has its long digit runs masked, and of an
exception only what cannot carry a value of a message is kept.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
import traceback
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "text")

# Ids and stream ids keep their digits; everything else that reads like a number does not.
_DIGITS: Final = re.compile(
    r"(?P<kept>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?<!\d)\d{13}-\d{1,20}(?!\d)|\b[0-9a-f]{40}\b)"
    r"|\+\d(?:[ ().-]{0,2}\d){6,}|\d{7,}"
)
_SAFE_WORDS: Final = (OSError, AttributeError, TypeError, NameError, ImportError, RuntimeError, AssertionError)
_SAFE_MODULES: Final = ("gateway.", "providers.", "redis.")
_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def masked(number: str) -> str:
    """A phone number with its middle hidden, at least four digits of it: `+79161234567` gives `+7916*****67`."""
    digits = sum(c.isdigit() for c in number)
    head, tail = max(0, min(4, digits - 6)), 2 if digits > 5 else 0
    shown, seen = [], 0
    for c in number:
        if c.isdigit():
            seen += 1
            c = c if seen <= head or seen > digits - tail else "*"
        shown.append(c)
    return "".join(shown)


def guarded(text: str) -> str:
    """A string with every run of seven and more digits masked; ids stay."""
    return _DIGITS.sub(lambda found: found[0] if found["kept"] else masked(found[0]), text)


def _guarded(value: Any) -> Any:
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, bytes):
        return value.hex() if len(value) == 16 else f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {guarded(str(k)): _guarded(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_guarded(v) for v in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return words(value)
    return guarded(str(value))


def words(error: BaseException) -> str:
    """An exception in words. What other libraries say may quote a value of a message: of them only the type is kept."""
    kind = type(error)
    if sqlstate := getattr(error, "sqlstate", None):
        return f"{kind.__name__} (SQLSTATE {sqlstate})"
    if isinstance(error, _SAFE_WORDS) or kind.__module__.startswith(_SAFE_MODULES):
        return guarded(f"{kind.__name__}: {error}")
    return kind.__name__


def _innermost(error: BaseException) -> BaseException:
    """Of a group of one the exception that it holds: a task group wraps what ended it, and where it came from."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _trace(error: BaseException) -> list[str]:
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return frames + ([f"after {words(cause)}"] if cause else [])


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    entry: dict[str, Any] = {
        "ts": f"{stamp}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "stage": record.name,
        "event": guarded(record.getMessage()),
    }
    extra = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
    for name, value in (extra.pop("fields", {}) | extra).items():
        entry[name if name not in entry else name + "_"] = _guarded(value)
    if record.exc_info and record.exc_info[1] is not None:
        entry["error"] = words(_innermost(record.exc_info[1]))
        entry["trace"] = _trace(_innermost(record.exc_info[1]))
    return entry


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(_entry(record)).decode()


class TextLines(logging.Formatter):
    """For a person at a terminal: time, level, stage, event, then name=value; frames of an error below."""

    def format(self, record: logging.LogRecord) -> str:
        entry = _entry(record)
        trace = entry.pop("trace", [])
        head = f"{entry.pop('ts')[11:-1]} {entry.pop('level'):<7} {entry.pop('stage'):<9} {entry.pop('event')}"
        return "\n  ".join([" ".join([head, *(f"{k}={v}" for k, v in entry.items())]), *trace])


class Stage:
    """The log of one stage. `event` is a few constant words; what varies goes into fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s", event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info("%s", event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        self._logger.warning("%s", event, extra={"fields": fields})

    def error(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        """`error`, if given, is written with where it came from."""
        self._logger.error("%s", event, exc_info=error, extra={"fields": fields})


def stage(name: str) -> Stage:
    """The log of a stage, named as its folder is: api, router, connector, recorder, receipts …"""
    return Stage(name)


def setup(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error), and uncaught exceptions with them. Once a process."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # its lines hold whole query strings
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    stage("process").error("uncaught exception", error)


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Log what nobody awaited in `loop`, as `words` allows; asyncio itself would print the exception's text."""

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("task") or context.get("future")
        name = task.get_name() if isinstance(task, asyncio.Task) else ""
        stage("process").error(str(context["message"]), context.get("exception"), task=name)

    loop.set_exception_handler(report)
