"""Callbacks as data: events, signatures, pauses, addresses, whom to tell."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from gateway.callbacks import address, audience, event, signing
from gateway.callbacks.audience import Audience, Listener, url_target
from gateway.callbacks.backoff import GIVE_UP_MS, PAUSES_S, next_try_ms, retry_after_s
from gateway.callbacks.event import Event
from gateway.notifier.request import place_of

ONE = bytes.fromhex("019aa1b2c3d4700081a2b3c4d5e6f708")
NOW_MS = 1_795_300_000_123


def test_an_events_document_is_the_one_that_is_promised() -> None:
    told = json.loads(event.document(Event(ONE, 2, NOW_MS, "failed", "no_route", "order-1", "", '{"a": [1]}')))
    assert told == {
        "type": "message.failed",
        "timestamp": "2026-11-21T22:26:40.123Z",
        "data": {
            "event_id": "evt_019aa1b2c3d4700081a2b3c4d5e6f708_2",
            "seq": 2,
            "id": "019aa1b2-c3d4-7000-81a2-b3c4d5e6f708",
            "ref": "order-1",
            "state": "failed",
            "reason": "no_route",
            "tag": None,
            "meta": {"a": [1]},
        },
    }


def test_only_an_event_of_a_test_message_says_so() -> None:
    plain = Event(ONE, 1, NOW_MS, "delivered")
    tested = Event(ONE, 1, NOW_MS, "delivered", test=True)
    assert b'"test"' not in event.document(plain)
    assert json.loads(event.document(tested))["data"] == json.loads(event.document(plain))["data"] | {"test": True}


def test_the_types_are_the_final_states_and_those_that_one_asks_for() -> None:
    assert set(event.TYPES) - set(event.DEFAULT_TYPES) == {"message.submitted", "message.unknown", "message.inbound"}
    assert len(event.DEFAULT_TYPES) == 6


@given(st.lists(st.builds(Event, st.binary(min_size=16, max_size=16), st.integers(1, 9), st.just(NOW_MS), st.text())))
def test_events_survive_the_outbox(events: list[Event]) -> None:
    assert event.unpack(event.pack(events)) == events


def test_an_event_id_can_be_read_back() -> None:
    assert event.parse_event_id(event.event_id(ONE, 12)) == (ONE, 12)
    for wrong in ("", "evt_", "evt_12_1", f"evt_{ONE.hex()}_", f"evt_{ONE.hex()}_x", f"evt_{'z' * 32}_1"):
        assert event.parse_event_id(wrong) is None


def test_a_bundles_id_follows_from_its_events() -> None:
    events = [Event(ONE, n, NOW_MS, "delivered") for n in (1, 2)]
    webhook_id, body = event.bundle(events)
    assert webhook_id == event.bundle(events)[0] != event.bundle(events[:1])[0]
    assert [e["data"]["seq"] for e in json.loads(body)] == [1, 2]


@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=3), st.binary(max_size=200))
def test_the_public_library_verifies_our_signatures_and_we_verify_its(secrets: list[bytes], raw: bytes) -> None:
    body, now = json.dumps({"raw": raw.hex()}).encode(), int(time.time())
    signature = signing.sign(secrets, "evt_1", now, body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "Webhook-Signature": signature}
    for secret in secrets:
        hook = Webhook(signing.secret_text(secret))
        hook.verify(body, headers)
        theirs = hook.sign("evt_1", datetime.fromtimestamp(now, UTC), body.decode())
        signing.verify(secret, headers | {"Webhook-Signature": theirs}, body, now)


@pytest.mark.parametrize(
    "change",
    [{"webhook-id": "evt_2"}, {"webhook-timestamp": "1"}, {"webhook-signature": "v1,AAAA"}, {"webhook-id": ""}],
)
def test_a_changed_request_is_not_verified(change: dict[str, str]) -> None:
    secret, now = signing.new_secret(), 1_800_000_000
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = signing.sign([secret], "evt_1", now, b"{}")
    signing.verify(secret, headers, b"{}", now)
    with pytest.raises(signing.SignatureError):
        signing.verify(secret, headers | change, b"{}", now)
    with pytest.raises(signing.SignatureError):
        signing.verify(secret, headers, b"{ }", now)


def test_tries_spread_over_three_days_and_end_with_them() -> None:
    now, tries, times = 0, 0, []
    while True:
        tries += 1
        found = next_try_ms(tries, now, GIVE_UP_MS, spread=0.5)
        if found is None:
            break
        now = found
        times.append(now / 1000)
    assert [round(b - a) for a, b in zip([0.0, *times], times, strict=False)][:8] == list(PAUSES_S)
    assert times[-1] == 72 * 3600, "the last try is at the very end"
    assert 15 <= len(times) <= 25


@given(st.integers(1, 40), st.floats(0, 1))
def test_pauses_are_spread_and_retry_after_is_a_least(tries: int, spread: float) -> None:
    pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
    found = next_try_ms(tries, 0, GIVE_UP_MS, spread=spread)
    assert found is not None and 0.8 * pause_s * 1000 - 1 <= found <= 1.2 * pause_s * 1000 + 1
    assert (next_try_ms(1, 0, GIVE_UP_MS, 7_200) or 0) >= 7_200_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Sun, 22 Nov 2026 00:01:00 GMT", 60),
        ("soon", 0),
        ("", 0),
        ("-5", 0),
        ("9" * 30, 86_400),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    assert retry_after_s(value, now) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "168.63.129.16", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001:db8::1",
        "fec0::1", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    assert address.refusal(text, ())


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_taken(text: str) -> None:
    assert address.refusal(text, ()) == ""


def test_a_network_that_is_allowed_is_taken_and_no_other() -> None:
    allowed = address.networks(("127.0.0.0/8", "fd00::/8"))
    assert [address.refusal(text, allowed) for text in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1")] == ["", "", ""]
    assert address.refusal("10.0.0.1", allowed) == "a private address"


def test_a_client_is_told_at_the_endpoints_that_chose_the_state() -> None:
    told = Audience([Listener("ep_1", "shop", ("delivered", "failed")), Listener("ep_2", "shop", ("delivered",))])
    assert [t.endpoint for t in told.targets("shop", "", "delivered")] == ["ep_1", "ep_2"]
    assert [t.endpoint for t in told.targets("shop", "", "failed")] == ["ep_1"]
    assert told.targets("shop", "", "submitted") == () == told.targets("other", "", "delivered")
    assert told.of("other") is None
    (target,) = told.targets("shop", "https://a.example/x", "delivered")
    assert (target.endpoint, target.name) == ("", "shop https://a.example")
    assert told.targets("shop", "https://a.example/x", "submitted") == ()


def test_callback_urls_of_one_origin_are_one_target_of_the_client() -> None:
    assert url_target("shop", "https://a.example/1") == url_target("shop", "https://A.example/2?x=1")
    assert url_target("shop", "https://a.example/1") != url_target("other", "https://a.example/1")
    assert url_target("shop", "https://[broken").name == "shop unreadable"


def test_the_mirror_of_listeners_can_be_read_back() -> None:
    listeners = [Listener("ep_1", "shop", ("delivered",), 7)]
    assert audience.unpack(audience.pack(listeners)) == listeners
    with pytest.raises(ValueError, match="version"):
        audience.unpack(b"\x09")


def test_a_url_becomes_a_request_line_and_a_host() -> None:
    place = place_of("https://hooks.example:8443/a/b?c=d")
    assert place is not None
    assert (place.secure, place.host, place.port) == (True, "hooks.example", 8443)
    assert place.head.startswith(b"POST /a/b?c=d HTTP/1.1\r\nHost: hooks.example:8443\r\n")
    assert place_of("http://[::1]") is not None
    for wrong in (
        "ftp://a.example",
        "http://",
        "http://a.example/ b",
        "http://a.example/\r\nX: y",
        "http://a.example:99999/",
    ):
        assert place_of(wrong) is None
