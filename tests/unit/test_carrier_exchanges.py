"""What carriers by name send, and what they understand: byte for byte as in tests/golden/carriers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.provider import CallbackRefusedError, CallbackRequest, SecretText, SettingsError
from providers import telnyx, twilio, vonage
from providers._web.secret import Secret
from tests import carrier_exchanges as golden

AGAIN = "look at what is new, then: python -m tests.carrier_exchanges NAME"


@pytest.mark.parametrize("name", golden.NAMES)
def test_requests_answers_and_callbacks_are_those_of_the_golden_file(name: str) -> None:
    kept, made = golden.load(name), golden.made_of(name)
    for kind in ("requests", "answers", "callbacks"):
        for before, now in zip(kept[kind], made[kind], strict=True):
            assert now == before, f"{name}, {before['what']}: {AGAIN}"


@pytest.mark.parametrize("name", golden.NAMES)
def test_no_callback_is_believed_without_its_proof(name: str) -> None:
    given = golden.load(name)
    carrier = golden.opened(name, given["settings"])
    for one in given["callbacks"]:
        bare = {**one, "target": f"/v1/receipts/{name}", "headers": {}, "body": without_proof(one.get("body", ""))}
        assert golden.read(carrier, bare)["refused"] in (400, 401), one["what"]


def without_proof(body: Any) -> Any:
    return {k: v for k, v in body.items() if k != "sig"} if isinstance(body, dict) else body


@pytest.mark.parametrize("name", golden.NAMES)
def test_no_secret_is_in_a_repr(name: str) -> None:
    given = golden.load(name)["settings"]
    carrier = golden.opened(name, given)
    shown = repr(carrier) + repr(vars(golden.inside(carrier))) + repr(vars(carrier))
    known = ("url", "account_sid", "messaging_profile_id", "signature_method", "public_key_base64")
    secrets = [value for setting, value in given.items() if setting not in known]
    assert [secret for secret in secrets if isinstance(secret, str) and len(secret) > 4 and secret in shown] == []


def test_the_signature_of_twilios_own_validator() -> None:
    verify = twilio._verifier(Secret("0123456789abcdef0123456789abcdef"), "https://sms.example.com")
    sid = "SM00000000000000000000000000000001"
    body = (
        f"MessageSid={sid}&SmsSid={sid}&MessageStatus=delivered&SmsStatus=delivered&To=%2B15005550006&From=%2B15005550001"
        "&AccountSid=AC00000000000000000000000000000001&ApiVersion=2010-04-01"
    )
    headers = {"x-twilio-signature": "FnTCaBzO7P0l905oUpMZcffniyQ="}
    target = "/dlr/twilio?m=42"
    verify(CallbackRequest("POST", "/dlr/twilio", {"m": "42"}, headers, body.encode(), "203.0.113.9", target))
    for broken in (body + "&x=", body.replace("delivered", "failed", 1)):
        with pytest.raises(CallbackRefusedError):
            verify(CallbackRequest("POST", "/dlr/twilio", {"m": "42"}, headers, broken.encode(), "203.0.113.9", target))


def test_the_signature_of_telnyx() -> None:
    verify = telnyx._verifier(telnyx._public_key("iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="))
    signature = "1gMxjy21R0wnp8IVLm6hy2etJTiGwsbLdmY0RfSXnsY6djhkXmtMqRw19bFtaZeXdsdDm0AXgKhtAPPqpg2tBg=="
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": "1767323045"}
    body = b'{"data":{"event_type":"message.finalized"}}'
    with golden.at(1_767_323_045 + 300):
        verify(CallbackRequest("POST", "/", {}, headers, body, "203.0.113.9"))
        with pytest.raises(CallbackRefusedError, match="wrong"):
            verify(CallbackRequest("POST", "/", {}, headers, body + b" ", "203.0.113.9"))
    with golden.at(1_767_323_045 + 301), pytest.raises(CallbackRefusedError, match="time"):
        verify(CallbackRequest("POST", "/", {}, headers, body, "203.0.113.9"))


def test_without_a_public_key_telnyx_is_believed_by_the_token_alone() -> None:
    carrier = golden.opened("telnyx", {"api_key": "key-of-telnyx", "callback_token": "token-of-callbacks"})
    given = golden.load("telnyx")["callbacks"][0] | {"headers": {}}
    assert golden.read(carrier, given) == {"refused": 401}
    (receipt,) = golden.read(carrier, given | {"target": "/v1/receipts/telnyx/token-of-callbacks?e=4711"})["receipts"]
    assert (receipt["state"], receipt["echo"]) == ("delivered", 4711)
    assert "/v1/receipts/telnyx/token-of-callbacks?e=4711" in golden.request_of(carrier, [{}])[-1]


def test_a_public_key_that_is_none_is_told_by_name() -> None:
    with pytest.raises(SettingsError, match="`public_key_base64` must be 32 bytes in base64"):
        golden.opened("telnyx", {"api_key": "key-of-telnyx", "public_key_base64": "abc"})
    from_file = golden.opened("telnyx", {"api_key": "key-of-telnyx", "public_key_base64": SecretText("secret")})
    given = golden.load("telnyx")["callbacks"][0]
    assert golden.read(from_file, given) == {"refused": 403}


@pytest.mark.parametrize(
    ("method", "right"),
    [
        ("sha256", "EB25CBCA7787DB6C599514FC2D4AEB6F2B1994D427A3419A3BECDC5EEE18A4FA"),
        ("md5", "278ef60c572e2ee2e8d50a2ec43fde2c"),
        ("md5hash", "390a7937961f9fa937abdbd5a9f3c501"),
    ],
)
def test_the_signatures_of_vonage(method: str, right: str) -> None:
    fields = {
        "msisdn": "79001234567", "to": "Acme", "messageId": "0C0000000000A001", "status": "delivered", "err-code": "0",
        "message-timestamp": "2026-01-02 03:04:05", "timestamp": "1767323045", "nonce": "n-1", "client-ref": "a&b=c",
        "api-key": "abcd1234",
    }  # fmt: skip
    assert vonage.sign("sigsecret123", method, fields) == right.lower()


def test_an_address_that_is_too_long_for_vonage_stays_out_of_its_requests(caplog: pytest.LogCaptureFixture) -> None:
    settings = golden.load("vonage")["settings"] | {"callback_token": "t" * 90}
    carrier = golden.opened("vonage", settings)
    assert "callback=" not in golden.request_of(carrier, [{}])[-1]
    assert [record.message for record in caplog.records] == ["callback address too long"]


def test_a_messaging_service_chooses_the_sender() -> None:
    settings = golden.load("twilio")["settings"] | {"messaging_service_sid": "MG1", "smart_encoded": True}
    body = golden.request_of(golden.opened("twilio", settings), [{}])[-1]
    assert "MessagingServiceSid=MG1" in body and "SmartEncoded=true" in body and "From=" not in body


def test_without_a_way_to_be_called_the_carrier_is_asked_by_and_by() -> None:
    settings = {k: v for k, v in golden.load("infobip")["settings"].items() if k != "callback_token"}
    carrier = golden.opened("infobip", settings)
    assert not hasattr(carrier, "parse_callback") and golden.inside(carrier)._settings.ask is not None
    assert golden.inside(carrier)._settings.ask.after_s and "webhooks" not in golden.request_of(carrier, [{}])[-1]
