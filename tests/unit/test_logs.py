"""What a log line holds, and what it never does."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway import logs

NUMBER = "+79161234567"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level, hook = root.level, logs.sys.excepthook
    output = io.StringIO()
    logs.setup("debug", "json", output)
    yield output
    root.handlers[:] = before
    root.setLevel(level)
    logs.sys.excepthook = hook


def entries(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_stage_event_and_fields(lines: io.StringIO) -> None:
    logs.stage("router").info("routed", count=3, carrier="alpha")
    (entry,) = entries(lines)
    assert list(entry) == ["ts", "level", "stage", "event", "count", "carrier"]
    assert (entry["level"], entry["stage"], entry["event"], entry["count"]) == ("info", "router", "routed", 3)
    assert str(entry["ts"]).endswith("Z")


def test_the_extra_of_a_plain_logger_is_written_too(lines: io.StringIO) -> None:
    logging.getLogger("daemon").info("stopped", extra={"stage": "router", "task": None})
    (entry,) = entries(lines)
    assert (entry["stage"], entry["stage_"], entry["task"]) == ("daemon", "router", None)


@pytest.mark.parametrize(
    "text",
    [NUMBER, "79161234567", f"to={NUMBER}", "x79161234567y", "+7 916 123-45-67", "+7 (916) 123 45 67", "id79161234567"],
)
def test_no_whole_number_gets_into_a_line_wherever_it_stands(lines: io.StringIO, text: str) -> None:
    log = logs.stage("api")
    log.info("bad " + text, field=text, deep={"a": [text], text: 1}, error=OSError(text))
    logging.getLogger("aiohttp.server").warning("path %s", text)
    digits = "".join(c for c in lines.getvalue() if c.isdigit())
    assert "9161234567" not in digits
    assert "1234567" not in lines.getvalue()


def test_ids_and_stream_ids_stay_readable(lines: io.StringIO) -> None:
    message_id = "01936b2f-1234-7123-8123-123456789012"
    logs.stage("recorder").info("stopped", id=message_id, after="1732240000000-12", raw=bytes(16))
    (entry,) = entries(lines)
    assert (entry["id"], entry["after"], entry["raw"]) == (message_id, "1732240000000-12", "00" * 16)


def test_an_exception_of_another_library_gives_its_type_and_place_but_not_its_words(lines: io.StringIO) -> None:
    try:
        int("my secret text")
    except ValueError as e:
        logs.stage("api").error("broken", e)
    (entry,) = entries(lines)
    assert entry["error"] == "ValueError"
    assert "test_logs.py" in str(entry["trace"])
    assert "secret" not in lines.getvalue()


async def test_what_ended_a_group_of_tasks_is_named_with_the_place_where_it_came_from(lines: io.StringIO) -> None:
    async def breaks() -> None:
        int("my secret text")

    try:
        async with asyncio.TaskGroup() as inner:
            inner.create_task(breaks())
    except ExceptionGroup as e:
        logs.stage("connector").error("stage_failed", ExceptionGroup("outer", [e]))
    (entry,) = entries(lines)
    assert entry["error"] == "ValueError"
    assert entry["trace"][-1].endswith(" breaks")
    assert "secret" not in lines.getvalue()


def test_a_database_error_is_named_by_its_sqlstate(lines: io.StringIO) -> None:
    class UniqueViolationError(Exception):
        sqlstate = "23505"

    logs.stage("recorder").error("refused", UniqueViolationError("Key (text)=(secret) exists"))
    assert entries(lines)[0]["error"] == "UniqueViolationError (SQLSTATE 23505)"
    assert "secret" not in lines.getvalue()


async def test_what_nobody_awaited_is_logged_without_its_words(lines: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    logs.watch(loop)
    loop.call_exception_handler({"message": "Task exception was never retrieved", "exception": ValueError("secret")})
    assert entries(lines)[0]["error"] == "ValueError"
    assert "secret" not in lines.getvalue()


def test_the_text_format_puts_fields_behind_the_event_and_frames_below() -> None:
    record = logging.LogRecord("api", logging.WARNING, "", 0, "away for %s", ("a while",), None)
    record.fields = {"carrier": "alpha"}
    line = logs.TextLines().format(record)
    assert line[13:] == "warning api       away for a while carrier=alpha"


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+79161234567", "+7916*****67"), ("1234567", "1****67"), ("12345", "*****"), ("8 (916) 123", "8 (***) *23")],
)
def test_a_masked_number_hides_at_least_four_digits(number: str, shown: str) -> None:
    assert logs.masked(number) == shown
