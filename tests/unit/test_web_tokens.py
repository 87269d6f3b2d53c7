"""JSON Web Tokens of web carriers: who we are, and who calls us."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from gateway.provider import STAND_IN, CallbackRefusedError, CallbackRequest, SecretText, SettingsError
from providers._web import tokens
from providers._web.secret import Secret
from tests import carrier_exchanges as golden

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode()
CURVE = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
NOW_MS = golden.NOW_S * 1000
FIELDS = {
    *("message_type", "channel", "to", "from", "text", "ttl", "client_ref", "webhook_url", "webhook_version", "sms"),
    *("trusted_recipient", "encoding_type", "content_id", "entity_id", "pool_id"),
}
"""What an SMS may have, in the vendor's own clients."""


def test_a_token_says_who_we_are_and_is_signed_by_the_applications_key() -> None:
    token = tokens.Bearer(KEY, {"application_id": "app-1"})(NOW_MS).removeprefix("Bearer ")
    options = {"verify_exp": False, "require": ["iat", "exp", "jti"]}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], options=options)  # type: ignore[arg-type]
    assert (claims["application_id"], claims["iat"], claims["exp"]) == ("app-1", golden.NOW_S, golden.NOW_S + 900)


def test_a_token_is_used_for_five_minutes_and_never_at_the_end_of_its_life() -> None:
    bearer = tokens.Bearer(KEY, {})
    first = bearer(NOW_MS)
    assert bearer(NOW_MS + 299_999) == first
    assert bearer(NOW_MS + 300_000) != first
    assert bearer(NOW_MS - 3_600_000) != first  # a clock was set back: a token of the future would be refused


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\\n"), PEM.strip(), PEM.replace("\n", "\r\n")])
def test_a_private_key_may_come_from_a_file_or_from_a_variable(text: str) -> None:
    key = tokens.private_key(Secret(text))
    assert key is not None and key.private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("text", ["secret", "", PEM[:200], LOCKED, CURVE.decode(), "-----BEGIN PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_none(text: str) -> None:
    assert tokens.private_key(Secret(text)) is None


def test_a_wrong_private_key_is_told_by_name_and_never_shown() -> None:
    settings = golden.load("vonage_messages")["settings"]
    for text in (SecretText("not-a-key-at-all"), PEM[:200]):
        with pytest.raises(SettingsError, match="`private_key` must be an RSA private key in PEM") as told:
            golden.opened("vonage_messages", settings | {"private_key": text})
        assert text not in str(told.value)
    golden.opened("vonage_messages", settings | {"private_key": STAND_IN})  # a plan is checked without its secrets


def test_a_header_that_is_nested_without_end_is_a_wrong_token() -> None:
    verify = tokens.verifier(Secret("s" * 40), 60, {})
    deep = base64.urlsafe_b64encode(b"[" * 5_000).decode().rstrip("=")
    for token in (f"{deep}.e30.", "a.b.c", "..", "\udcff.e30.e30", "x" * 9000):
        headers = {"authorization": f"Bearer {token}"}
        with pytest.raises(CallbackRefusedError, match="wrong"):
            verify(CallbackRequest("POST", "/", {}, headers, b"{}", "203.0.113.9"))


def test_a_message_has_only_fields_that_vonages_own_clients_have() -> None:
    carrier = golden.opened("vonage_messages", golden.load("vonage_messages")["settings"])
    body = json.loads(golden.request_of(carrier, [{}])[-1])
    assert {*body, *body["sms"]} <= FIELDS
    assert len(body["client_ref"]) <= 100


def test_without_a_token_and_a_signature_vonage_is_not_asked_to_report() -> None:
    settings = golden.load("vonage_messages")["settings"]
    alone = golden.opened("vonage_messages", {name: settings[name] for name in ("application_id", "private_key")})
    assert not hasattr(alone, "parse_callback")
    assert not {"webhook_url", "webhook_version"} & set(json.loads(golden.request_of(alone, [{}])[-1]))
