"""The module that docs/adding-a-provider.md shows is a provider."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from gateway.provider import SettingsError
from tests import carrier_exchanges as golden
from tests.contract.page_carriers import PAGE
from tests.contract.page_carriers import acme as of_the_page

SETTINGS = {"api_key": "key-of-acme"}


@pytest.fixture
def acme() -> ModuleType:
    return of_the_page()


def test_it_sends_and_understands_answers(acme: ModuleType) -> None:
    carrier = golden.opened("acme", SETTINGS)
    lines = golden.request_of(carrier, [{}])
    assert lines[0] == "POST /sms HTTP/1.1" and "Authorization: Bearer key-of-acme" in lines
    assert json.loads(lines[-1])["report_to"] == "https://sms.example.com/v1/receipts/acme?e=4711"
    assert golden.outcomes_of(carrier, {"status": 200, "body": {"id": "7"}}) == [["accepted", "7", "", ""]]
    assert golden.outcomes_of(carrier, {"status": 400, "body": {"code": 40}})[0][2] == "invalid_recipient"
    assert golden.question_of(carrier, ["7"])[0] == "GET /sms/7 HTTP/1.1"


def test_it_believes_only_what_is_signed(acme: ModuleType) -> None:
    carrier = golden.opened("acme", SETTINGS)
    body = json.dumps({"id": "7", "status": "done", "to": "+79001234567"})
    right = hmac.new(b"key-of-acme", body.encode(), hashlib.sha256).hexdigest()
    given = {
        "method": "POST",
        "target": "/v1/receipts/acme?e=4711",
        "headers": {"X-Acme-Signature": right},
        "body": body,
    }
    (receipt,) = golden.read(carrier, given)["receipts"]
    assert (receipt["carrier_message_id"], receipt["state"], receipt["echo"]) == ("7", "delivered", 4711)
    assert golden.read(carrier, given | {"body": body + " "}) == {"refused": 403}
    assert golden.read(carrier, given | {"headers": {}}) == {"refused": 401}


def test_its_token_and_networks_count_too(acme: ModuleType) -> None:
    body = json.dumps({"id": "7", "status": "done"})
    headers = {"X-Acme-Signature": hmac.new(b"key-of-acme", body.encode(), hashlib.sha256).hexdigest()}
    given = {"method": "POST", "target": "/v1/receipts/acme", "headers": headers, "body": body}
    assert golden.read(golden.opened("acme", SETTINGS | {"callback_token": "token-of-acme"}), given) == {"refused": 401}
    assert golden.read(golden.opened("acme", SETTINGS | {"callback_networks": ["192.0.2.0/24"]}), given) == {
        "refused": 403
    }


def test_a_setting_that_is_none_is_told_with_the_one_that_was_meant(acme: ModuleType) -> None:
    with pytest.raises(SettingsError, match=r"`api_kei` is none of its settings. Did you mean `api_key`\?"):
        golden.opened("acme", {"api_kei": "key-of-acme"})


def test_a_golden_file_begins_with_what_every_carrier_has(acme: ModuleType) -> None:
    begun = golden.begun("acme")
    assert begun["settings"] == {"api_key": "api_key-of-acme"} and begun["callbacks"][0]["sign"]
    unsigned = golden.begun("kannel")
    assert unsigned["settings"]["callback_token"] in unsigned["callbacks"][0]["target"]


def test_what_the_page_points_to_is_there() -> None:
    root = Path(__file__).parents[2]
    for name in set(re.findall(r"`(\w+\.py)`", PAGE)) - {"acme.py"}:
        places = ("providers", "tests/contract", "tests/unit", "tests", "gateway")
        assert any((root / place / name).exists() for place in places), name
