"""Golden exchanges against the vendors' own schemas (tests/schemas), and no field of ours that they do not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from openapi_schema_validator import OAS30Validator, OAS31Validator

from tests import carrier_exchanges as golden

SCHEMAS = Path(__file__).parents[1] / "schemas"
VALIDATORS = {"twilio": OAS30Validator, "vonage": OAS30Validator, "infobip": OAS31Validator}


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.openapi.json").read_text("utf-8"))
    return found


def strict(schema: Any) -> Any:
    """The same schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(inner) for key, inner in schema.items()}
    if isinstance(made.get("properties"), dict):
        made["additionalProperties"] = False
    return made


def problems(name: str, schema: dict[str, Any], value: Any) -> list[str]:
    whole = strict(schema) | {"components": strict(document(name)["components"])}
    return [f"{list(e.absolute_path)}: {e.message}" for e in VALIDATORS[name](whole).iter_errors(value)]


def ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def form(text: str, **kinds: Any) -> dict[str, Any]:
    """A form's fields, those in `kinds` as what they stand for."""
    return {name: kinds.get(name, str)(value) for name, value in parse_qsl(text, keep_blank_values=True)}


def boolean(text: str) -> bool:
    return {"true": True, "false": False}[text]


def requests(name: str) -> list[tuple[str, str]]:
    return [(one["what"], one["request"][-1]) for one in golden.load(name)["requests"] if "messages" in one]


def test_the_excerpts_are_what_they_say() -> None:
    assert {name: document(name)["openapi"][:3] for name in VALIDATORS} == {
        "twilio": "3.0",
        "vonage": "3.0",
        "infobip": "3.1",
    }
    assert problems("vonage", ref("SMS"), {"messages": [{"teleported": "1"}]})


def test_twilios_requests() -> None:
    paths = document("twilio")["paths"]
    create = paths["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]["requestBody"]["content"]
    schema = create["application/x-www-form-urlencoded"]["schema"]
    for what, body in requests("twilio"):
        fields = form(body, ValidityPeriod=int, SmartEncoded=boolean)
        assert problems("twilio", schema, fields) == [], what
        assert 1 <= fields["ValidityPeriod"] <= 36_000 and fields["To"][0] == "+"


def test_twilios_messages_have_what_we_read() -> None:
    taken = [one for one in golden.load("twilio")["answers"] if isinstance(one["body"], dict) and "sid" in one["body"]]
    assert taken and [problems("twilio", ref("api.v2010.account.message"), one["body"]) for one in taken] == [
        [] for _ in taken
    ]
    settings = golden.inside(golden.opened("twilio", golden.load("twilio")["settings"]))._settings
    assert settings.ask is not None
    r = settings.ask.receipts
    known = document("twilio")["components"]["schemas"]["api.v2010.account.message"]["properties"]
    assert {p[1:] for p in (r.message_id, r.state, r.code, r.done, r.recipient, r.sender)} <= set(known)
    states = set(document("twilio")["components"]["schemas"]["message_enum_status"]["enum"])
    assert states - set(r.states) == {"received", "receiving"}


def test_vonages_requests() -> None:
    for what, body in requests("vonage"):
        fields = form(body, ttl=int, **{"status-report-req": boolean})
        assert problems("vonage", ref("NewMessage"), fields) == [], what
        assert fields["to"].isdigit() and len(fields["client-ref"]) <= 40 and len(fields["callback"]) <= 100


def test_vonages_answers_and_receipts_have_what_we_read() -> None:
    given = golden.load("vonage")
    for one in given["answers"]:
        if isinstance(one["body"], dict):
            taken = [m for m in one["body"]["messages"] if m["status"] == "0"]
            assert problems("vonage", ref("SMS"), {**one["body"], "messages": taken}) == [], one["what"]
            refused = [m for m in one["body"]["messages"] if m["status"] != "0"]
            assert problems("vonage", ref("Error"), {**one["body"], "messages": refused}) == [], one["what"]
    receipts = [one for one in given["callbacks"] if isinstance(one.get("body"), dict) and "err-code" in one["body"]]
    assert receipts and [problems("vonage", ref("DeliveryReceipt"), one["body"]) for one in receipts] == [
        [] for _ in receipts
    ]
    callbacks = golden.inside(golden.opened("vonage", given["settings"]))._settings.callbacks
    assert callbacks is not None and callbacks.receipts is not None
    r = callbacks.receipts
    known = document("vonage")["components"]["schemas"]["DeliveryReceipt"]["properties"]
    assert {p[1:] for p in (r.message_id, r.state, r.code, r.done, r.recipient, r.sender, r.echo)} <= set(known)


def test_infobips_requests() -> None:
    for what, body in requests("infobip"):
        assert problems("infobip", ref("SmsRequest"), json.loads(body)) == [], what


def test_infobips_answers_and_receipts_have_what_we_read() -> None:
    given = golden.load("infobip")
    for one in given["answers"]:
        if isinstance(one["body"], dict) and not one.get("asked") and "requestError" not in one["body"]:
            schema = "SmsResponse" if one["status"] == 200 else "ApiError"
            assert problems("infobip", ref(schema), one["body"]) == [], one["what"]
    plain = ("delivered", "several at once", "expired", "rejected", "waiting", "only taken")
    receipts = [one for one in given["callbacks"] if one["what"] in plain]
    assert len(receipts) == len(plain)
    for one in receipts:
        assert problems("infobip", ref("SmsDeliveryResult"), one["body"]) == [], one["what"]


@pytest.mark.parametrize("name", sorted(VALIDATORS))
def test_the_schemas_licence_is_with_them(name: str) -> None:
    assert "MIT" in document(name)["info"]["x-license-text"][:20] and document(name)["info"]["x-license-text"][200:]
