"""Requests of web carriers: templates, encodings, authentication, signatures, batches."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.provider import Reports, SecretText, SettingsError, Submission
from providers import http_form, http_json
from providers._web import signing
from providers._web.placeholders import SINGLE, Facts

NOW_MS = 1_700_000_000_000
ID = bytes.fromhex("018bcfe5687b7000a4a7f6d7b4d6e8c1")
CALLBACKS = {"proof": {"kind": "path", "token": "word-1"}, "receipts": {"message_id": "/id", "state": "/state"}}


def submission(**given: Any) -> Submission:
    values: dict[str, Any] = {
        "message_id": ID,
        "attempt": 2,
        "part": 0,
        "parts": 1,
        "to": "+79161234567",
        "sender": "Sluice",
        "text": "Hi",
        "encoding": "gsm7",
        "concat_ref": 7,
        "deadline_ms": NOW_MS + 90_500,
        "klass": "otp",
        "echo": 4711,
    }
    return Submission(**values | given)


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


REPORTS = Reports(print, _never, _never, print, callbacks_url="https://sms.example.com/")


class Request:
    """The bytes of a request, taken apart."""

    def __init__(self, provider: Any, table: dict[str, Any], *submissions: Submission) -> None:
        made = provider.open("acme", {"url": "https://api.example.com/sms"} | table, REPORTS)
        maker = made._maker
        facts = [Facts(s, NOW_MS, maker.context, n) for n, s in enumerate(submissions or (submission(),))]
        self.bytes: bytes = maker.make(facts)
        head, _, self.body = self.bytes.partition(b"\r\n\r\n")
        line, *headers = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = dict(header.split(": ", 1) for header in headers)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)


def json_request(body: Any, *submissions: Submission, **table: Any) -> Request:
    return Request(http_json, {"body": body, **table}, *submissions)


def form_request(fields: dict[str, Any], *submissions: Submission, **table: Any) -> Request:
    return Request(http_form, {"fields": fields, **table}, *submissions)


def test_every_placeholder_has_its_value_and_numbers_stay_numbers() -> None:
    body = {name: f"{{{name}}}" for name in SINGLE if name != "udh_hex"}
    assert json_request(body, callbacks=CALLBACKS).json == {
        "to": "+79161234567",
        "to_digits": "79161234567",
        "from": "Sluice",
        "from_digits": "Sluice",
        "from_e164": "Sluice",
        "text": "Hi",
        "gsm7_text": "Hi",
        "text_hex": "00480069",
        "id": "018bcfe5-687b-7000-a4a7-f6d7b4d6e8c1",
        "reference": "018bcfe5-687b-7000-a4a7-f6d7b4d6e8c1-2-0",
        "echo": 4711,
        "attempt": 2,
        "part": 0,
        "parts": 1,
        "concat_ref": 7,
        "encoding": "gsm7",
        "class": "otp",
        "validity_s": 91,
        "validity_min": 2,
        "validity_ms": 91_000,
        "valid_until": "2023-11-14T22:14:51Z",
        "valid_until_unix": 1_700_000_091,
        "callback_url": "https://sms.example.com/v1/receipts/acme/word-1",
        "carrier": "acme",
        "now": "2023-11-14T22:13:20Z",
        "now_unix": 1_700_000_000,
        "index": 0,
    }


def test_a_document_keeps_its_form_and_text_around_placeholders() -> None:
    body = {"a": [{"b": "to {to}, {{as is}}"}, 7, True, None], "n": "{validity_s} s", "{to}": "a key is no template"}
    assert json_request(body).json == {
        "a": [{"b": "to +79161234567, {as is}"}, 7, True, None],
        "n": "91 s",
        "{to}": "a key is no template",
    }


NASTY = 'a"b\\c\r\nX-Evil: 1\t{to}&to=+70000000000%26=?# é 🎈'


def test_no_value_ends_a_field_and_begins_another() -> None:
    s = submission(text=NASTY, sender="A&b=c\r\n{to}")
    made = json_request({"t": "{text}", "x": "<{text}>"}, s)
    assert made.json == {"t": NASTY, "x": f"<{NASTY}>"}
    assert form_request({"to": "{to}", "t": "{text}"}, s).fields == [("to", "+79161234567"), ("t", NASTY)]
    made = json_request(
        {}, s, url="https://h/a/{text}/b?x={from}", headers={"X-From": "<{from}>"}, query={"q": "{text}"}
    )
    assert made.headers["X-From"] == "<A&b=c{to}>"
    assert "X-Evil" not in made.headers
    target = urlsplit(made.target)
    assert target.path.count("/") == 3
    assert dict(parse_qsl(target.query)) == {"x": "A&b=c\r\n{to}", "q": NASTY}


def test_a_secret_is_never_read_as_a_template() -> None:
    secret = SecretText("{to} {{ {nobody}")
    assert json_request({"password": secret, "deep": [secret]}).json == {"password": str(secret), "deep": [str(secret)]}
    assert form_request({"psw": secret}).fields == [("psw", str(secret))]
    assert repr(secret) == "<secret>"


def test_what_is_empty_and_may_be_is_left_out() -> None:
    made = json_request(
        {"from": "{from}", "cb": "{callback_url}", "udh": "{udh_hex}", "l": ["{from}"]}, submission(sender="")
    )
    assert made.json == {"l": []}


def test_a_part_has_its_header_in_hex() -> None:
    made = json_request({"udh": "{udh_hex}"}, submission(part=2, parts=3), long_messages="parts")
    assert made.json == {"udh": "050003070302"}


def test_alphabets_and_classes_are_called_as_the_carrier_calls_them() -> None:
    body = {"e": "{encoding}", "c": "{class}", "t": "{text}"}
    table = {"encodings": {"ucs2": 8}, "classes": {"otp": "high"}, "ucs2_text": "hex"}
    assert json_request(body, submission(text="я🎈", encoding="ucs2"), **table).json == {
        "e": 8,
        "c": "high",
        "t": "044FD83CDF88",
    }
    assert json_request(body, submission(klass="alert"), **table).json == {"e": "gsm7", "c": "alert", "t": "Hi"}


def test_the_validity_is_at_least_a_second_and_at_most_what_the_carrier_takes() -> None:
    assert json_request({"v": "{validity_s}"}, submission(deadline_ms=0)).json == {"v": 1}
    late = submission(deadline_ms=2**52)
    assert json_request({"v": "{validity_s}", "u": "{valid_until}"}, late, longest_validity_s=60).json == {
        "v": 60,
        "u": "2023-11-14T22:14:20Z",
    }


def test_a_form_is_written_in_the_carriers_charset() -> None:
    made = form_request({"mes": "{text}", "to": ["{to}", "2"]}, submission(text="Привет"), charset="windows-1251")
    assert made.body == b"mes=%CF%F0%E8%E2%E5%F2&to=%2B79161234567&to=2"
    assert made.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=windows-1251"
    with pytest.raises(UnicodeEncodeError):
        form_request({"mes": "{text}"}, submission(text="🎈"), charset="windows-1251")


def test_get_puts_the_fields_into_the_url() -> None:
    made = form_request({"text": "{text}", "to": "{to}"}, url="http://h:13013/cgi-bin/sendsms?smsc=a", method="GET")
    assert (made.method, made.body) == ("GET", b"")
    assert made.target == "/cgi-bin/sendsms?smsc=a&text=Hi&to=%2B79161234567"
    assert made.headers["Host"] == "h:13013" and "Content-Length" not in made.headers


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"kind": "bearer", "token": "t0k"}, "Authorization", "Bearer t0k"),
        ({"kind": "header", "name": "Authorization", "key": "k", "prefix": "App "}, "Authorization", "App k"),
        ({"kind": "header", "name": "X-API-Key", "key": "k"}, "X-API-Key", "k"),
        ({"kind": "basic", "user": "Aladdin", "password": "open sesame"}, "Authorization",
         "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617, section 2
    ],
)  # fmt: skip
def test_who_we_are_stands_in_a_header(auth: dict[str, str], header: str, value: str) -> None:
    assert json_request({}, auth=auth).headers[header] == value


def test_who_we_are_may_stand_in_the_url() -> None:
    assert json_request({}, auth={"kind": "query", "name": "apikey", "key": "a&b"}).target == "/sms?apikey=a%26b"


def test_hmac_is_that_of_the_standard() -> None:
    # RFC 4231, 4.3 (test case 2) and RFC 2202, 3 (test case 2)
    what = [b"what do ya want ", b"for nothing?"]
    assert signing.sign("Jefe", "sha256", "hex", what) == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert signing.sign("Jefe", "sha1", "HEX", what) == "EFFCDF6AE5EB2FA2D27416D5F184DF9C259A7C79"


def test_a_request_is_signed_over_the_parts_that_the_settings_name() -> None:
    signature = {
        "secret": "s3cr3t",
        "header": "X-Signature",
        "over": ["method", "path", "query", "timestamp", "body"],
        "separator": "|",
        "prefix": "v1=",
        "timestamp_header": "X-Time",
    }
    made = json_request({"t": "{text}"}, signature=signature, query={"a": "1"})
    signed = b"|".join((b"POST", b"/sms", b"a=1", b"1700000000", made.body))
    assert made.headers["X-Time"] == "1700000000"
    assert made.headers["X-Signature"] == "v1=" + hmac.new(b"s3cr3t", signed, hashlib.sha256).hexdigest()


def test_a_nonce_is_new_for_every_request() -> None:
    signature = {"secret": "s", "header": "X-S", "over": ["nonce", "url"], "nonce_header": "X-N", "digest": "sha512"}
    first, second = (json_request({}, signature=signature).headers for _ in range(2))
    assert first["X-N"] != second["X-N"]
    signed = first["X-N"].encode() + b"https://api.example.com/sms"
    assert first["X-S"] == hmac.new(b"s", signed, hashlib.sha512).hexdigest()


def test_a_batch_is_one_request_with_a_list() -> None:
    batch = {"size": 10, "item": {"to": "{to}", "n": "{index}"}, "results": "/messages"}
    s, other = submission(), submission(to="+375291234567")
    made = json_request({"bulk": {"list": "{items}"}, "at": "{now_unix}"}, s, other, batch=batch)
    assert made.json == {
        "bulk": {"list": [{"to": "+79161234567", "n": 0}, {"to": "+375291234567", "n": 1}]},
        "at": 1_700_000_000,
    }


def test_a_batch_in_a_form_numbers_or_repeats_its_fields() -> None:
    batch = {"size": 10, "item": {"m[{index}][to]": "{to_digits}", "text": "{text}"}, "results": ""}
    made = form_request({"login": "me"}, submission(), submission(to="+3752"), batch=batch)
    assert made.fields == [
        ("login", "me"), ("m[0][to]", "79161234567"), ("text", "Hi"), ("m[1][to]", "3752"), ("text", "Hi"),
    ]  # fmt: skip


def test_a_callback_url_may_carry_what_the_carrier_fills_in_and_our_reference() -> None:
    callbacks = CALLBACKS | {"proof": {"kind": "query", "token": "a b"}, "suffix": "?ref={reference}&state=%d"}
    assert json_request({"cb": "{callback_url}"}, callbacks=callbacks).json["cb"] == (
        "https://sms.example.com/v1/receipts/acme?ref=018bcfe5-687b-7000-a4a7-f6d7b4d6e8c1-2-0&state=%d&token=a+b"
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"body": {"a": [{"b": "{too}"}]}}, r"`body.a\[0\].b` has a placeholder that nobody knows: {too}; did"),
        ({"body": {"a": "{to"}}, r"`body.a` has a lone `{`"),
        ({"body": {}, "headers": {"Host": "a"}}, "`headers.host` is written by the gateway itself"),
        ({"body": {}, "headers": {"A B": "a"}}, "headers"),
        ({"body": {}, "url": "https://{to}.example.com"}, "`url` must be a URL"),
        ({"body": {}, "url": "https://me:pass@h/"}, "`url` must be a URL"),
        ({"body": {}, "url": "https://h:99999/"}, "`url` has a port that does not exist"),
        ({"body": {}, "url": "https://h/a b"}, "`url` may hold no spaces"),
        ({"body": {}, "url": "https://api..example.com/"}, "`url` names no host that there could be"),
        ({"body": {}, "check": {"url": "https://other.example.com/"}}, "`check.url` must be on the same host"),
        ({"body": {}, "auth": {"kind": "bearer", "token": "a\nb"}}, "`auth.token` may only hold printable"),
        ({"body": {}, "auth": {"kind": "cookie"}}, "`auth.kind`: invalid value .one of bearer, header, query, basic"),
        ({"body": {}, "batch": {"size": 5, "item": {}}}, '`body` needs a place for the messages of a batch'),
        ({"body": {"l": "x{items}"}, "batch": {"size": 5, "item": {}}}, "`body.l` must be {items} alone"),
        ({"body": {"l": "{items}", "t": "{text}"}, "batch": {"size": 5, "item": {}}}, "`body.t` has a placeholder"),
        ({"body": {}, "signature": {"secret": "s", "header": "S", "over": ["nonce"]}}, "`signature.nonce_header` is "),
        ({}, "missing required field `body`"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_work_is_told_with_its_place(table: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        http_json.open("acme", {"url": "https://api.example.com/sms"} | table, REPORTS)


def test_a_form_has_no_tables_and_a_known_charset() -> None:
    for table, words in (
        ({"fields": {"a": {"b": "c"}}}, "`fields.a` must be a text"),
        ({"fields": {}, "charset": "klingon"}, "`charset` is not a known charset"),
    ):
        with pytest.raises(SettingsError, match=words):
            http_form.open("acme", {"url": "https://api.example.com/sms", **table}, REPORTS)
