"""What is wrong with a message: codes, pointers, sentences. And what comes of one with which nothing is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import diagnosis
from gateway.api.admin_documents import NewKey
from gateway.api.checks import Defaults, Rules, Sender, canonical
from gateway.api.documents import MessageFields, NewBatch, NewMessage
from gateway.api.problems import TABLE, Code, Fault, Problem, from_faults, problem
from gateway.config import Settings, SettingsError
from gateway.message import CLASSES, Message
from gateway.text import numbers, senders

NOW = 1_790_000_000_000
RULES = Rules(Settings())
SENDER = Sender("acme", "key_1", frozenset(CLASSES), traceparent="00-x")
GOOD = {"to": "+79161234567", "text": "Hello"}


def check(document: Any) -> Message | Problem:
    """As a POST does."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    try:
        fields = msgspec.json.decode(body, type=NewMessage)
    except diagnosis.UNREADABLE:
        return diagnosis.of_message(body, RULES, SENDER, NOW)
    checked = RULES.check(fields, SENDER, NOW, nul=b"\\u0000" in body)
    return from_faults(checked) if isinstance(checked, list) else checked


def at(**ahead: float) -> str:
    return (datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(**ahead)).isoformat()


def test_what_is_not_given_comes_from_the_settings() -> None:
    message = check(GOOD)
    assert isinstance(message, Message)
    assert (message.klass, message.sender, message.validity_s, message.send_at_ms) == (
        "transactional",
        "Sluice",
        86_400,
        0,
    )
    assert (message.client, message.key_id, message.traceparent) == ("acme", "key_1", "00-x")
    otp = check(GOOD | {"class": "otp"})
    assert isinstance(otp, Message) and otp.validity_s == 300


def test_null_is_the_same_as_not_given() -> None:
    nulls = dict.fromkeys(("from", "class", "ref", "validity_s", "send_at", "callback_url", "tag", "meta"))
    message, plain = check(GOOD | nulls), check(GOOD)
    assert isinstance(message, Message) and isinstance(plain, Message)
    assert msgspec.structs.replace(message, concat_ref=0) == msgspec.structs.replace(plain, concat_ref=0)


def test_a_time_in_any_offset_becomes_the_same_instant() -> None:
    utc = datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(days=1)
    times = {utc.isoformat(), utc.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()}
    found = [check(GOOD | {"send_at": t}) for t in times]
    assert [m.send_at_ms for m in found if isinstance(m, Message)] == [NOW + 86_400_000] * 2


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"to": None}, "wrong_type", "/to"),
        ({"to": 79161234567}, "wrong_type", "/to"),
        ({"to": ""}, "number_empty", "/to"),
        ({"to": "12"}, "number_too_short", "/to"),
        ({"to": "+7916123456789012"}, "number_too_long", "/to"),
        ({"to": "MyShop"}, "number_has_letters", "/to"),
        ({"to": "+999123456789"}, "number_country_unknown", "/to"),
        ({"text": ""}, "text_empty", "/text"),
        ({"text": "x" * 1531}, "text_too_long", "/text"),
        ({"text": "ж" * 671}, "text_too_long", "/text"),
        ({"text": "a\0b"}, "forbidden_character", "/text"),
        ({"text": ["a"]}, "wrong_type", "/text"),
        ({"from": ""}, "sender_empty", "/from"),
        ({"from": "TwelveLetter"}, "sender_too_long", "/from"),
        ({"from": "1234567890123456"}, "sender_too_long", "/from"),
        ({"from": "Магазин"}, "sender_alphabet", "/from"),
        ({"from": "a\nb"}, "sender_alphabet", "/from"),
        ({"class": "vip"}, "invalid_class", "/class"),
        ({"class": 1}, "wrong_type", "/class"),
        ({"ref": "x" * 129}, "invalid_value", "/ref"),
        ({"ref": "a\0"}, "forbidden_character", "/ref"),
        ({"tag": "x" * 65}, "invalid_value", "/tag"),
        ({"tag": "\0"}, "forbidden_character", "/tag"),
        ({"validity_s": 0}, "validity_out_of_range", "/validity_s"),
        ({"validity_s": -1}, "validity_out_of_range", "/validity_s"),
        ({"validity_s": 259_201}, "validity_out_of_range", "/validity_s"),
        ({"validity_s": 10**30}, "validity_out_of_range", "/validity_s"),
        ({"validity_s": 1.5}, "wrong_type", "/validity_s"),
        ({"validity_s": True}, "wrong_type", "/validity_s"),
        ({"validity_s": "60"}, "wrong_type", "/validity_s"),
        ({"send_at": at(seconds=-1)}, "send_at_past", "/send_at"),
        ({"send_at": at(days=31)}, "send_at_too_far", "/send_at"),
        ({"send_at": "2030-01-01T00:00:00"}, "send_at_without_offset", "/send_at"),
        ({"send_at": "tomorrow"}, "send_at_invalid", "/send_at"),
        ({"send_at": 1_790_000_000}, "wrong_type", "/send_at"),
        ({"callback_url": "example.com"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "ftp://example.com/"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://u:p@example.com/"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://example.com:99999/"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://example.com/ a"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://пример.рф/"}, "callback_url_invalid", "/callback_url"),
        ({"callback_url": "https://e.com/" + "x" * 2048}, "invalid_value", "/callback_url"),
        ({"meta": {"a": "x" * 1020}}, "meta_too_large", "/meta"),
        ({"meta": {"a": ["\0"]}}, "forbidden_character", "/meta/a/0"),
        ({"meta": [1]}, "wrong_type", "/meta"),
        ({"meta": "x"}, "wrong_type", "/meta"),
        ({"telephone": 1}, "unknown_field", "/telephone"),
        ({"a/b~c": 1}, "unknown_field", "/a~1b~0c"),
    ],
)
def test_a_bad_field_is_refused_by_its_pointer_with_a_sentence(change: dict[str, Any], code: str, pointer: str) -> None:
    found = check(GOOD | change)
    if change == {"to": None}:
        code = "missing_field"
    assert isinstance(found, Problem), found
    assert (found.code, found.pointer) in ((code, pointer), ("wrong_type", pointer))
    assert found.code == code or change == {"to": None}
    assert found.status == TABLE[found.code].status and found.detail.endswith((".", "?"))
    assert [e.pointer for e in found.errors] == [pointer]


@pytest.mark.parametrize("name", ["to", "text"])
def test_what_must_be_given_is_missed(name: str) -> None:
    found = check({n: v for n, v in GOOD.items() if n != name})
    assert isinstance(found, Problem) and (found.code, found.pointer) == ("missing_field", f"/{name}")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    bad = {"to": 5, "text": "", "from": "TwelveLetter", "class": "vip", "txet": "x", "send_at": "x", "validity_s": 0}
    found = check(bad)
    assert isinstance(found, Problem)
    assert {e.pointer for e in found.errors} == {f"/{name}" for name in bad}
    assert "did you mean `text`" in next(e.detail for e in found.errors if e.pointer == "/txet")


def test_a_problem_never_repeats_a_number_or_a_text() -> None:
    secret = {"to": "+7916123456789012", "text": "my secret text" * 200, "from": "not so secret", "tag": "t" * 99}
    said = msgspec.json.encode(check(secret)).decode()
    assert "7916" not in said and "secret" not in said


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"to":"+79161234567","text":"\xff"}', "not_json"),
        (b'{"to":"+79161234567","text":"\xed\xa0\x80"}', "not_json"),
        (b'{"to":"+79161234567","text":"a\x00b"}', "not_json"),
        (b'{"to":"+79161234567","text":"a"} x', "not_json"),
        (b'{"to":"+79161234567","text":NaN}', "not_json"),
        (b'{"to":"+79161234567","text":"a","meta":' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
        (b'{"to":"+79161234567","text":"a","meta":{"a":1e999}}', "invalid_value"),
        (b"null", "wrong_type"),
        (b"[]", "wrong_type"),
        (b'"\\ud800"', "forbidden_character"),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, code: str) -> None:
    found = check(body)
    assert isinstance(found, Problem) and found.code == code
    assert found.status == (400 if code == "not_json" else 422)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"to":"+79161234567","text":"\\ud83d"}', "/text"),
        (b'{"to":"+79161234567","text":"\\ude00\\ud83d"}', "/text"),
        (b'{"to":"+79161234567","text":"a","meta":{"a":{"b":["\\ud800"]}}}', "/meta/a/b/0"),
        (b'{"to":"+79161234567","text":"a","meta":{"\\udc00":1}}', "/meta"),
        (b'{"to":"+79161234567","text":"a","\\ud800":1}', ""),
        (b'{"to":"+79161234567","text":"a","ref":"\\uD8aB"}', "/ref"),
    ],
)
def test_half_a_surrogate_pair_is_refused_where_it_stands(body: bytes, pointer: str) -> None:
    found = check(body)
    assert isinstance(found, Problem)
    assert (found.code, found.pointer) == ("forbidden_character", pointer)
    assert msgspec.json.encode(found)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    message = check(b'{"to":"+79161234567","text":"\\ud83d\\ude00"}')
    assert isinstance(message, Message) and message.text == "😀" and message.encoding == "ucs2"


def test_meta_is_kept_as_it_was_said() -> None:
    meta = {"n": 123456789012345678901234567890, "f": 1.5, "s": "é", "l": [None, True], "o": {}}
    message = check(GOOD | {"meta": meta})
    assert isinstance(message, Message) and json.loads(message.meta) == meta


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.text(max_size=5), st.lists)))
def test_no_object_makes_a_check_fail_in_another_way(document: dict[str, Any]) -> None:
    found = check(document)
    assert isinstance(found, Problem) and found.status in (400, 422)
    assert msgspec.json.encode(found)


@given(st.binary(max_size=60))
def test_no_bytes_make_a_check_fail_in_another_way(body: bytes) -> None:
    found = check(body)
    assert isinstance(found, Problem) and msgspec.json.encode(found)


def test_defaults_fill_only_what_is_missing() -> None:
    defaults = Defaults(MessageFields(sender="MyShop", tag="spring", to="+79161234567"))
    fields = MessageFields(text="Hello", tag="summer")
    defaults.fill(fields)
    assert (fields.to, fields.sender, fields.tag, fields.klass) == ("+79161234567", "MyShop", "summer", None)
    assert defaults and not Defaults()


def test_defaults_are_not_blamed_for_what_the_messages_give() -> None:
    only_otp = Sender("acme", "key_1", frozenset({"otp"}))
    assert RULES.check_defaults(MessageFields(tag="spring"), only_otp, NOW) == []
    faults = RULES.check_defaults(MessageFields(klass="alert", sender=""), only_otp, NOW)
    assert {f.pointer for f in faults} == {"/class", "/from"}


def test_a_ref_covers_what_was_asked_for_and_not_our_settings() -> None:
    fields = MessageFields(to="+79161234567", text="Hello", validity_s=60, tag="t")
    other = Rules(Settings(default_sender="Other", default_validity_s=5, otp_validity_s=5))
    messages = [rules.check(fields, SENDER, NOW) for rules in (RULES, other)]
    asked = [canonical(fields, m) for m in messages if isinstance(m, Message)]
    assert len(asked) == 2 and asked[0] == asked[1]
    changed = MessageFields(to="+79161234567", text="Hello", validity_s=60, tag="u")
    message = RULES.check(changed, SENDER, NOW)
    assert isinstance(message, Message) and canonical(changed, message) != asked[0]


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b'{"messages":5}', "wrong_type", "/messages"),
        (b'{"defaults":{}}', "missing_field", "/messages"),
        (b'{"messages":[],"x":1}', "unknown_field", "/x"),
        (b'{"messages":[{"to":5}]}', "wrong_type", "/messages/0/to"),
        (b'{"messages":[{"to":"\\ud800"}]}', "forbidden_character", "/messages/0/to"),
        (b"[]", "wrong_type", ""),
        (b"{", "not_json", None),
    ],
)
def test_another_document_is_diagnosed_by_its_first_fault(body: bytes, code: str, pointer: str | None) -> None:
    with pytest.raises(diagnosis.UNREADABLE) as raised:
        msgspec.json.decode(body, type=NewBatch)
    found = diagnosis.of_document(body, raised.value)
    assert (found.code, found.pointer) == (code, pointer)


def test_every_code_has_a_status_a_title_and_a_page() -> None:
    assert set(TABLE) == set(Code)
    for code in Code:
        made = problem(code, "x.")
        assert made.type == f"/docs/problems/{code}" and 400 <= made.status <= 503 and made.title
        assert (made.retry_after_s is not None) == (TABLE[code].retry_after_s > 0)
        if made.status in (429, 503):
            assert made.retry_after_s


def test_every_code_of_numbers_and_senders_is_in_the_table() -> None:
    for text in ("", "1", "x", "+999123456", "+7916123456789012", "+7916123", "+79161234567 ext 5", "?", "+7" * 40):
        try:
            numbers.parse(text, "ZZ")
        except numbers.NumberError as e:
            assert Code(e.code)
    for text in ("", "TwelveLetters", "Ж", "a\nb", "1" * 20):
        with pytest.raises(senders.SenderError) as raised:
            senders.parse(text)
        assert Code(raised.value.code)


def test_a_problem_leaves_out_what_does_not_apply() -> None:
    assert msgspec.json.decode(msgspec.json.encode(problem(Code.TOO_LATE, "x."))) == {
        "type": "/docs/problems/too_late",
        "title": TABLE[Code.TOO_LATE].title,
        "status": 409,
        "code": "too_late",
        "detail": "x.",
    }
    found = from_faults(
        [Fault(Code.TEXT_EMPTY, "a.", "/text"), Fault(Code.NUMBER_EMPTY, "b.", "/to")], 3, "/messages/1"
    )
    assert (found.code, found.pointer, found.line) == ("text_empty", "/messages/1/text", 3)
    assert [e.pointer for e in found.errors] == ["/messages/1/text", "/messages/1/to"]


@pytest.mark.parametrize("wrong", [{"default_region": "XX"}, {"default_sender": "Слишком"}])
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Rules(Settings(**wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [480, 495, 700, 960, 980, 990, 1100])
@pytest.mark.parametrize("inside", ["1", '"\\u0000"', '"\\ud800"'])
@pytest.mark.parametrize("field", ["meta", "ref", "other"])
def test_however_deep_a_field_is_nested_the_answer_is_a_problem(depth: int, inside: str, field: str) -> None:
    body = f'{{"to":"+79161234567","text":"Hello","{field}":' + '{"a":' * depth + inside + "}" * (depth + 1)
    refused = check(body.encode())
    if not (isinstance(refused, Message) and field == "meta"):
        assert isinstance(refused, Problem) and refused.status in (400, 422)


def test_an_empty_ref_is_refused_because_it_would_protect_nothing() -> None:
    refused = check(GOOD | {"ref": ""})
    assert isinstance(refused, Problem)
    assert (refused.code, refused.pointer) == (Code.INVALID_VALUE, "/ref")
    assert refused.detail == "`ref` is empty: give a value, or leave it out."


@pytest.mark.parametrize("body", [b"", b"{", b'{"to": "+79161234567", "text"'])
def test_a_body_that_is_cut_off_is_told_to_be_sent_whole(body: bytes) -> None:
    refused = check(body)
    assert isinstance(refused, Problem)
    assert refused.detail == "The JSON is cut off, or there is none: send the whole document."


def test_a_number_that_is_too_large_is_told_as_such() -> None:
    refused = check(b'{"to": "+79161234567", "text": "x", "meta": {"a": 1e999}}')
    assert isinstance(refused, Problem) and refused.code == Code.INVALID_VALUE
    assert refused.detail == "A number is larger than can be kept: write a smaller one, or a string."


def test_an_item_of_a_batch_that_is_no_utf8_is_pointed_at() -> None:
    raw = b'{"to": "+79161234567", "text": "\xff"}'
    refused = diagnosis.of_message(raw, RULES, SENDER, NOW, pointer="/messages/1")
    assert (refused.code, refused.pointer) == (Code.NOT_JSON, "/messages/1")


def test_a_forbidden_name_is_pointed_at_by_the_object_it_is_in() -> None:
    refused = check(b'{"to": "+79161234567", "text": "x", "a\\u0000b": 1}')
    assert isinstance(refused, Problem) and (refused.code, refused.pointer) == (Code.FORBIDDEN_CHARACTER, "")


def test_an_unknown_scope_is_told_with_those_that_there_are() -> None:
    body = b'{"client": "shop", "scopes": ["send", "foo"]}'
    with pytest.raises(msgspec.ValidationError) as unreadable:
        msgspec.json.decode(body, type=NewKey)
    refused = diagnosis.of_document(body, unreadable.value)
    assert refused.pointer == "/scopes/1"
    assert refused.detail == "`scopes` is a list out of send, read, stats, ops, plan, privacy, admin."
