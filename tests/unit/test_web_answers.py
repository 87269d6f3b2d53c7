"""What web carriers' answers mean, as the plan's settings say."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from gateway.provider import (
    RULES,
    Kind,
    Outcome,
    Reason,
    Reports,
    SettingsError,
    accepted,
    deferred,
    refused,
    uncertain,
)
from providers import http_json
from providers._web.reading import CARRIERS_REASONS
from providers._web.spots import Answer


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


REPORTS = Reports(print, _never, _never, print)
URL = "https://api.example.com/sms"


def read(
    table: dict[str, Any], status: int, body: str | bytes = "", references: tuple[str, ...] = ("ref-1",), **headers: str
) -> list[Outcome]:
    made = http_json.open("acme", {"url": URL, "body": {"m": "{items}"} if "batch" in table else {}} | table, REPORTS)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else body.encode()
    return made._reader.read(Answer(status, given, raw, table.get("answer_charset", "utf-8")), references)


def one(table: dict[str, Any], status: int, body: str | bytes = "", **headers: str) -> Outcome:
    (outcome,) = read(table, status, body, **headers)
    return outcome


ID = {"message_id": "/id"}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"id": "abc"}', "abc"),
        ('{"id": 439166538239448536}', "439166538239448536"),
        ('{"id": 123456789012345678901234567890}', "123456789012345678901234567890"),
        ('{"id": 7.0}', "7"),
    ],
)
def test_the_id_is_text_whatever_the_carrier_makes_of_it(body: str, found: str) -> None:
    assert one(ID, 200, body) == accepted(found)


def test_the_id_may_be_deep_in_a_header_or_behind_a_word() -> None:
    assert one({"message_id": "/messages/0/message~1id"}, 201, '{"messages":[{"message/id":"x"}]}') == accepted("x")
    assert one({"message_id": {"header": "X-Id"}}, 200, x_id="h-1") == accepted("h-1")
    assert one({"message_id": {"pattern": r'^Success "([^"]+)"$'}}, 200, 'Success "07-a"') == accepted("07-a")


def test_our_own_reference_is_the_id_of_carriers_that_give_none() -> None:
    assert one({"message_id": "reference"}, 202, "0: Accepted for delivery") == accepted("ref-1")
    assert one({}, 202, "0: Accepted for delivery") == accepted("")


SAYS = ID | {"success": {"at": "/status", "words": [0, "ok"]}, "error_code": "/error_code"}


def test_a_yes_needs_its_word_where_the_settings_name_one() -> None:
    assert one(SAYS, 200, '{"status": 0, "id": 5}') == accepted("5")
    assert one(SAYS, 200, '{"status": "ok"}') == accepted(""), "sent, only untracked"
    assert one(SAYS, 200, '{"status": 9, "id": 5}') == refused(Reason.CARRIER_ERROR, "9")
    assert one(SAYS, 200, '{"status": "no", "error_code": 7}') == refused(Reason.CARRIER_ERROR, "7")


def test_a_success_that_says_an_error_code_is_none() -> None:
    table = {"message_id": "/id", "error_code": "/error_code"}
    assert one(table, 200, '{"error": "invalid number", "error_code": 7, "id": 1002}').kind is Kind.REFUSED
    assert one(table, 200, '{"error_code": null, "id": 1002}') == accepted("1002")


@pytest.mark.parametrize("body", ["", "<html>Bad proxy</html>", '{"id":', "[" * 100_000, b"\xff\xfe", "[]", '{"x": 1}'])
def test_an_answer_of_success_that_nobody_can_read_is_uncertain(body: str | bytes) -> None:
    assert one(ID, 200, body).kind is Kind.UNCERTAIN
    assert one(SAYS, 200, body).kind is Kind.UNCERTAIN


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, refused(Reason.CARRIER_ERROR, "400")),
        (401, refused(Reason.UNAUTHORIZED, "401")),
        (402, refused(Reason.NO_CREDIT, "402")),
        (403, refused(Reason.UNAUTHORIZED, "403")),
        (404, refused(Reason.CARRIER_ERROR, "404")),
        (408, deferred(Reason.TEMPORARY, 0, "408")),
        (429, deferred(Reason.THROTTLED, 0, "429")),
        (302, refused(Reason.CARRIER_ERROR, "302")),
        (500, uncertain(Reason.UNCERTAIN, "500")),
        (502, uncertain(Reason.UNCERTAIN, "502")),
        (503, deferred(Reason.TEMPORARY, 0, "503")),
        (504, uncertain(Reason.UNCERTAIN, "504")),
        (520, uncertain(Reason.UNCERTAIN, "520")),
    ],
)
def test_a_status_that_no_rule_names_means_what_it_usually_means(status: int, outcome: Outcome) -> None:
    assert one(ID, status, '{"id": "not an id of a success"}') == outcome


def test_what_is_uncertain_is_for_the_settings_to_say() -> None:
    assert one({"uncertain": []}, 500) == deferred(Reason.TEMPORARY, 0, "500")
    assert one({"uncertain": ["5xx"]}, 503).kind is Kind.UNCERTAIN


ERRORS = ID | {
    "error_code": "/error/code",
    "errors": [
        {"status": [403], "pattern": "throughput exceeded", "reason": "throttled", "after_s": 2},
        {"status": ["4xx"], "code": [21211, "21614"], "reason": "invalid_recipient"},
        {"code": ["9"], "reason": "uncertain"},
        {"status": [500], "reason": "temporary"},
        {"code": ["30001"], "reason": "queue_full"},
    ],
}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (403, 'Error "User throughput exceeded"', deferred(Reason.THROTTLED, 2, "403")),
        (403, 'Error "Authentication failure"', refused(Reason.UNAUTHORIZED, "403")),
        (400, '{"error": {"code": 21211}}', refused(Reason.INVALID_RECIPIENT, "21211")),
        (400, '{"error": {"code": "21614"}}', refused(Reason.INVALID_RECIPIENT, "21614")),
        (200, '{"error": {"code": "21614"}}', refused(Reason.CARRIER_ERROR, "21614")),
        (200, '{"error": {"code": "9"}}', uncertain(Reason.UNCERTAIN, "9")),
        (500, "", deferred(Reason.TEMPORARY, 0, "500")),
        (200, '{"error": {"code": 30001}, "id": "x"}', deferred(Reason.QUEUE_FULL, 0, "30001")),
        (200, '{"id": "x"}', accepted("x")),
    ],
)
def test_the_first_rule_that_holds_decides(status: int, body: str, outcome: Outcome) -> None:
    assert one(ERRORS, status, body) == outcome


def test_each_reason_of_a_rule_gives_the_kind_that_the_table_of_reasons_says() -> None:
    for reason in CARRIERS_REASONS:
        kind = one({"errors": [{"status": [400], "reason": reason.value}]}, 400).kind
        doubt = reason is Reason.UNCERTAIN
        assert kind is (Kind.UNCERTAIN if doubt else Kind.DEFERRED if RULES[reason].retry else Kind.REFUSED)


@pytest.mark.parametrize(
    ("given", "after_s"),
    [("7", 7.0), ("0", 0.0), ("99999999", 3600.0), ("soon", 0.0), ("-3", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_the_pause_that_the_carrier_wants(given: str, after_s: float) -> None:
    assert one({}, 429, retry_after=given) == deferred(Reason.THROTTLED, after_s, "429")


def test_retry_after_may_be_a_moment() -> None:
    outcome = one({}, 503, retry_after=formatdate(time.time() + 30, usegmt=True))
    assert outcome.reason is Reason.TEMPORARY and 25 < outcome.after_s <= 30


def test_an_answer_in_another_charset_is_read() -> None:
    table = {"answer_charset": "windows-1251", "error_code": {"pattern": "ошибка (\\d+)"}}
    assert one(table, 200, "ошибка 7".encode("cp1251")).code == "7"
    assert one(table, 200, "ошибка 8").code == "8", "UTF-8 is tried first"


BATCH: dict[str, Any] = {
    "batch": {"size": 10, "item": {}, "results": "/messages", "message_id": "/id", "error_code": "/code"},
    "error_code": "/code",
    "errors": [{"code": [1], "reason": "throttled"}],
}


def test_every_message_of_a_batch_has_its_own_result() -> None:
    body = '{"messages": [{"id": "a"}, {"code": 1}, {"code": 6}, {}]}'
    assert read(BATCH, 200, body, ("r1", "r2", "r3", "r4")) == [
        accepted("a"),
        deferred(Reason.THROTTLED, 0, "1"),
        refused(Reason.CARRIER_ERROR, "6"),
        uncertain(Reason.UNCERTAIN, "200"),
    ]


def test_results_in_any_order_are_found_by_our_reference() -> None:
    table = BATCH | {"batch": BATCH["batch"] | {"match": "/ref"}}
    body = '{"messages": [{"ref": "r2", "id": "b"}, {"ref": "r1", "id": "a"}, "odd"]}'
    assert read(table, 200, body, ("r1", "r2", "r3")) == [
        accepted("a"),
        accepted("b"),
        uncertain(Reason.UNCERTAIN, "no result"),
    ]


@pytest.mark.parametrize("body", ['{"messages": [{"id": "a"}]}', '{"messages": {}}', "{}", "no JSON"])
def test_results_that_nobody_can_tell_apart_are_uncertain(body: str) -> None:
    assert {o.kind for o in read(BATCH, 200, body, ("r1", "r2"))} == {Kind.UNCERTAIN}


def test_a_refused_batch_is_refused_for_each() -> None:
    assert read(BATCH, 429, '{"code": 1}', ("r1", "r2")) == [deferred(Reason.THROTTLED, 0, "1")] * 2
    assert read(BATCH, 200, '{"code": 5}', ("r1", "r2")) == [refused(Reason.CARRIER_ERROR, "5")] * 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"message_id": "id"}, "`message_id` must begin with `/`"),
        ({"message_id": {"path": "/a", "header": "b"}}, "`message_id` must have exactly one of"),
        ({"message_id": {"pattern": "id=\\d+"}}, "`message_id` needs a group"),
        ({"error_code": {"pattern": "(["}}, "`error_code` is no regular expression"),
        ({"success": {"at": "/s"}}, "`success.words` is needed"),
        ({"success": {"words": ["x"]}}, "`success.at` is needed"),
        ({"success": {"status": ["2x"]}}, r"`success.status\[0\]`"),
        ({"errors": [{"status": [1000], "reason": "throttled"}]}, r"`errors\[0\].status\[0\]`"),
        ({"errors": [{"status": [400], "reason": "validity"}]}, r"`errors\[0\].reason` must be one of throttled"),
        ({"errors": [{"reason": "throttled"}]}, r"`errors\[0\]` has no condition"),
        (
            BATCH | {"batch": BATCH["batch"] | {"message_id": {"header": "X"}}},
            "`batch.message_id` must be a JSON pointer",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_told_with_its_place(table: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        one(table, 200)
