"""What web carriers report by webhook: proofs, receipts and subscribers' messages out of JSON, form and query."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.provider import (
    Callback,
    CallbackRefusedError,
    CallbackRequest,
    Inbound,
    ReadsCallbacks,
    Receipt,
    Reports,
    SettingsError,
)
from providers import http_form, http_json

PUBLIC = "https://sms.example.com"
OPEN: dict[str, Any] = {"proof": {"kind": "none"}, "networks": ["10.0.0.0/8"]}
RECEIPTS = {"message_id": "/id", "state": "/status"}


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


def reader(callbacks: dict[str, Any]) -> ReadsCallbacks:
    reports = Reports(print, _never, _never, print, callbacks_url=PUBLIC)
    made = http_json.open("acme", {"url": "https://h/", "body": {}, "callbacks": callbacks}, reports)
    assert isinstance(made, ReadsCallbacks)
    return made


def request(
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    target: str = "/v1/receipts/acme",
    method: str = "POST",
    remote: str = "10.1.2.3",
    **headers: str,
) -> CallbackRequest:
    raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    parts = urlsplit(target)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallbackRequest(method, parts.path, dict(parse_qsl(parts.query)), given, raw, remote, target)


def read(callbacks: dict[str, Any], *args: Any, **kwargs: Any) -> Callback:
    return reader(OPEN | callbacks).parse_callback(request(*args, **kwargs))


FULL = {
    "list": "/results",
    "message_id": "/messageId",
    "state": "/status/groupName",
    "states": {"UNDELIVERABLE": "undeliverable", "PENDING": "enroute"},
    "code": "/error/id",
    "codes": {"5": "unknown_subscriber"},
    "done": "/doneAt",
    "recipient": "/to",
    "sender": "/sender",
    "echo": "/callbackData",
}


def test_a_list_of_receipts_in_json() -> None:
    results = [
        {"messageId": "m-1", "to": "79001234567", "sender": "Acme", "status": {"groupName": "DELIVERED"},
         "error": {"id": 0}, "doneAt": "2026-01-02T03:04:09.000+0000", "callbackData": "4711"},
        {"messageId": 42, "status": {"groupName": "undeliverable"}, "error": {"id": 5}, "doneAt": "never"},
        {"messageId": "m-3", "status": {"groupName": "TELEPORTED"}, "callbackData": "x"},
    ]  # fmt: skip
    said = read({"receipts": FULL}, {"results": results})
    assert said.receipts == [
        Receipt("m-1", "delivered", "0", "", 1_767_323_049_000, "79001234567", "Acme", 4711,
                "state:DELIVERED code:0", "http"),
        Receipt("42", "undeliverable", "5", "unknown_subscriber", 0, "", "", -1, "state:undeliverable code:5", "http"),
        Receipt("m-3", "unknown", "", "", 0, "", "", -1, "state:TELEPORTED code:", "http"),
    ]  # fmt: skip
    assert (said.status, said.body) == (200, b"")


def test_one_receipt_a_request_and_an_array_of_them() -> None:
    one = {"id": "a", "status": "EXPIRED"}
    assert [r.reason for r in read({"receipts": RECEIPTS}, one).receipts] == ["carrier_expired"]
    assert len(read({"receipts": RECEIPTS}, [one, one]).receipts) == 2


def test_a_form_in_the_carriers_charset() -> None:
    table = {"format": "form", "charset": "windows-1251", "receipts": RECEIPTS | {"sender": "/from"}}
    said = read(table, urlencode({"id": "1", "status": "DELIVRD", "from": "Магазин"}, encoding="cp1251"))
    assert [(r.carrier_message_id, r.state, r.sender) for r in said.receipts] == [("1", "delivered", "Магазин")]


def test_a_query_by_get() -> None:
    table = {"format": "query", "receipts": RECEIPTS | {"states": {"1": "delivered", "2": "undeliverable"}}}
    said = read(table, target="/v1/receipts/acme?id=r-1&status=2", method="GET")
    assert [(r.carrier_message_id, r.state, r.reason) for r in said.receipts] == [
        ("r-1", "undeliverable", "unreachable")
    ]


@pytest.mark.parametrize(
    ("form", "zone", "text", "ms"),
    [
        ("iso", "UTC", "2026-01-02T03:04:09Z", 1_767_323_049_000),
        ("iso", "Europe/Moscow", "2026-01-02 06:04:09", 1_767_323_049_000),
        ("unix", "UTC", "1767323049", 1_767_323_049_000),
        ("unix_ms", "UTC", "1767323049000", 1_767_323_049_000),
        ("%y%m%d%H%M", "UTC", "2601020304", 1_767_323_040_000),
        ("%d.%m.%Y %H:%M:%S", "Europe/Moscow", "02.01.2026 06:04:09", 1_767_323_049_000),
        ("iso", "UTC", "0000-00-00", 0),
        ("unix", "UTC", "nan", 0),
        ("unix", "UTC", "1e300", 0),
    ],
)
def test_moments_as_carriers_write_them(form: str, zone: str, text: str, ms: int) -> None:
    receipts = RECEIPTS | {"done": "/at", "done_format": form, "timezone": zone}
    (receipt,) = read({"receipts": receipts}, {"id": "1", "status": "DELIVRD", "at": text}).receipts
    assert receipt.done_ms == ms


def test_subscribers_messages_beside_receipts_and_what_is_neither() -> None:
    table = {
        "receipts": RECEIPTS | {"list": "/events", "when": {"at": "/type", "words": ["status"]}},
        "inbound": {"list": "/events", "sender": "/from", "recipient": "/to", "text": "/text"},
    }
    events = [{"type": "mo", "from": "79160000001", "to": "1234", "text": "STOP\0"}, {"type": "ping"},
              {"type": "status", "id": 5, "status": "DELIVRD"}]  # fmt: skip
    said = read(table, {"events": events})
    assert said.inbound == [Inbound("79160000001", "1234", "STOP")]
    assert [r.carrier_message_id for r in said.receipts] == ["5"]


def test_the_carrier_hears_what_it_wants() -> None:
    reply = {"status": 202, "body": "ACK/Jasmin", "content_type": "text/html"}
    said = read({"receipts": RECEIPTS, "reply": reply}, {"id": "1", "status": "DELIVRD"})
    assert (said.status, said.body, said.content_type) == (202, b"ACK/Jasmin", "text/html")


@pytest.mark.parametrize("body", ["", "nonsense", "[" * 100_000, "7", '"x"', "[1]", "{}", '{"id": "1"}',
                                  '{"status": "DELIVRD"}'])  # fmt: skip
def test_what_cannot_be_read_is_told_as_such(body: str) -> None:
    with pytest.raises(ValueError, match=r"the body|a receipt|there is no report"):
        read({"receipts": RECEIPTS}, body)
    with pytest.raises(ValueError, match="by POST"):
        read({"receipts": RECEIPTS}, method="GET")


REPORT = {"id": "1", "status": "DELIVRD"}


def told(proof: dict[str, Any], *args: Any, **kwargs: Any) -> int:
    """The status that a request gets: 200 for a good one."""
    try:
        return reader({"proof": proof, "receipts": RECEIPTS}).parse_callback(request(REPORT, *args, **kwargs)).status
    except CallbackRefusedError as e:
        assert "s3cret" not in str(e)
        return e.status


def test_a_word_at_the_end_of_the_path() -> None:
    proof = {"kind": "path", "token": "s3cret-word"}
    assert told(proof, "/v1/receipts/acme/s3cret-word") == 200
    assert told(proof, "/v1/receipts/acme/s3cret-worm") == 403
    assert told(proof, "/v1/receipts/acme") == 401


def test_a_parameter_a_header_and_basic() -> None:
    query = {"kind": "query", "name": "k", "token": "s3cret"}
    assert [told(query, f"/v1/receipts/acme{q}") for q in ("?k=s3cret", "?k=x", "")] == [200, 403, 401]
    header = {"kind": "header", "name": "X-Token", "token": "s3cret", "prefix": "T "}
    assert [told(header, x_token="T s3cret"), told(header, x_token="s3cret"), told(header)] == [200, 403, 401]
    basic = {"kind": "basic", "user": "Aladdin", "password": "open sesame"}
    good = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert [told(basic, authorization=good), told(basic, authorization=good[:-4]), told(basic)] == [200, 403, 401]
    assert told(query, "/v1/receipts/acme?k=%ff%00é") == 403


def test_a_signature_over_the_body_and_the_time() -> None:
    proof = {
        "kind": "hmac",
        "secret": "s3cret",
        "header": "X-Signature",
        "over": ["timestamp", "body"],
        "separator": ".",
        "prefix": "sha256=",
        "timestamp_header": "X-Time",
    }
    body = json.dumps(REPORT).encode()

    def signed(at: int) -> dict[str, str]:
        mac = hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return {"x_signature": f"sha256={mac}", "x_time": str(at)}

    now = int(time.time())
    assert told(proof, **signed(now)) == 200
    assert told(proof, **(signed(now) | {"x_signature": signed(now)["x_signature"].replace("=", "=0")})) == 403
    assert told(proof, **signed(now - 301)) == 403, "too old"
    assert told(proof, x_time=str(now)) == 401
    assert told(proof) == 403


def test_a_signature_over_the_url_and_the_sorted_fields() -> None:
    # The vendor's own validator gave this signature for these fields.
    proof = {
        "kind": "hmac",
        "secret": "0123456789abcdef0123456789abcdef",
        "header": "X-Twilio-Signature",
        "over": ["url", "fields"],
        "digest": "sha1",
        "encoding": "base64",
    }
    fields = {
        "MessageSid": "SM00000000000000000000000000000001",
        "SmsSid": "SM00000000000000000000000000000001",
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "To": "+15005550006",
        "From": "+15005550001",
        "AccountSid": "AC00000000000000000000000000000001",
        "ApiVersion": "2010-04-01",
    }
    callbacks = {"proof": proof, "format": "form", "receipts": {"message_id": "/MessageSid", "state": "/MessageStatus"}}
    reports = Reports(print, _never, _never, print, callbacks_url=PUBLIC)
    table = {"url": "https://h/", "fields": {}, "callbacks": callbacks}
    made = http_form.open("acme", table, reports)
    assert isinstance(made, ReadsCallbacks)
    asked = request(urlencode(fields), "/dlr/twilio?m=42", x_twilio_signature="FnTCaBzO7P0l905oUpMZcffniyQ=")
    (receipt,) = made.parse_callback(asked).receipts
    assert (receipt.carrier_message_id, receipt.state) == ("SM00000000000000000000000000000001", "delivered")


def test_only_the_networks_that_are_listed_may_report() -> None:
    assert read({"receipts": RECEIPTS}, REPORT, remote="::ffff:10.9.9.9").receipts
    for remote in ("192.0.2.1", "::1", "", "nonsense"):
        with pytest.raises(CallbackRefusedError) as caught:
            read({"receipts": RECEIPTS}, REPORT, remote=remote)
        assert caught.value.status == 403


READERS = [
    reader(OPEN | {"receipts": FULL, "inbound": {"list": "/results", "sender": "/from", "text": "/text"}}),
    reader(OPEN | {"receipts": RECEIPTS, "format": "form"}),
    reader(OPEN | {"receipts": RECEIPTS, "format": "query"}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["results", "messageId", "status", "groupName", "text", "from", "id", "doneAt"]), inner
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), JSON.map(lambda v: json.dumps(v).encode())), st.sampled_from(READERS))
def test_no_report_breaks_a_reader(body: bytes, reads: ReadsCallbacks) -> None:
    asked = CallbackRequest("POST", "/v1/receipts/acme", {"id": repr(body)[:50]}, {}, body, "10.1.1.1")
    try:
        said = reads.parse_callback(asked)
    except ValueError:
        return
    assert all(isinstance(r.carrier_message_id, str) and r.state for r in said.receipts)


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ({"receipts": RECEIPTS}, "`callbacks`: missing required field `proof`"),
        ({"proof": {"kind": "none"}, "receipts": RECEIPTS}, "`callbacks.proof` may only be none with `networks`"),
        ({"proof": {"kind": "path", "token": "a/b"}, "receipts": RECEIPTS}, "`callbacks.proof.token` may only hold"),
        ({"proof": {"kind": "query", "token": ""}, "receipts": RECEIPTS}, "`callbacks.proof` may not have an empty"),
        (
            {"proof": {"kind": "hmac", "header": "X-S", "secret": ""}, "receipts": RECEIPTS},
            "`callbacks.proof` may not have an empty secret",
        ),
        (OPEN, "`callbacks` needs `receipts` or `inbound`"),
        (OPEN | {"networks": ["10.0.0.1/8"], "receipts": RECEIPTS}, "`callbacks.networks` must be networks"),
        (OPEN | {"receipts": RECEIPTS | {"state": "status"}}, "`callbacks.receipts.state` must begin"),
        (OPEN | {"receipts": RECEIPTS | {"states": {"A": "gone"}}}, "`callbacks.receipts.states.A` must be one of"),
        (OPEN | {"receipts": RECEIPTS | {"codes": {"1": "gone"}}}, "`callbacks.receipts.codes.1` must be one of"),
        (OPEN | {"receipts": RECEIPTS | {"timezone": "Mars"}}, "`callbacks.receipts.timezone` is not a known zone"),
        (OPEN | {"receipts": RECEIPTS | {"done_format": "rfc"}}, "`callbacks.receipts.done_format` must be iso"),
        (OPEN | {"receipts": RECEIPTS, "charset": "klingon"}, "`callbacks.charset` is not a known charset"),
        (OPEN | {"receipts": RECEIPTS, "suffix": "?{too}"}, "`callbacks.suffix` has a placeholder"),
    ],
)
def test_callbacks_that_cannot_work_are_told_with_their_place(callbacks: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        reader(callbacks)


def test_a_part_of_a_long_message_says_which_one_it_is() -> None:
    inbox = {"sender": "/from", "text": "/text", "concat_ref": "/ref", "concat_total": "/of", "concat_part": "/part"}

    def segment(**given: Any) -> tuple[int, ...]:
        (one,) = read({"inbound": inbox}, {"from": "79161234567", "text": "hi", **given}).inbound
        return one.segment

    assert segment(ref="7", of="2", part="1") == (7, 2, 1)
    assert segment(ref="08B5796", of=3, part=3)[1:] == (3, 3)
    assert segment() == segment(ref="7", of="1", part="1") == segment(ref="7", of="2", part="3") == ()
    assert segment(ref="7", of="x", part="1") == segment(ref="7", of="999", part="1") == ()
