"""The module that docs/adding-a-provider.md shows is a provider."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests import carrier_exchanges as golden

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text("utf-8")
SETTINGS = {"api_key": "key-of-acme"}


@pytest.fixture
def acme() -> Iterator[ModuleType]:
    found = re.search(r'```python\n(""".*?)```', PAGE, re.DOTALL)
    assert found is not None
    made = sys.modules["providers.acme"] = ModuleType("providers.acme")
    exec(compile(found[1], "providers/acme.py", "exec"), vars(made))
    yield made
    del sys.modules["providers.acme"]


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


def test_what_the_page_points_to_is_there() -> None:
    root = Path(__file__).parents[2]
    for name in set(re.findall(r"`(\w+\.py)`", PAGE)) - {"acme.py"}:
        places = ("providers", "tests/contract", "tests/unit", "tests", "gateway")
        assert any((root / place / name).exists() for place in places), name
