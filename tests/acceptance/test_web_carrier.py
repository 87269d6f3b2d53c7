"""A message by HTTP to a carrier and its receipt by webhook, through everything that `sluice up` starts."""

from __future__ import annotations

import json

from tests.installation import Installation, ask


def test_a_message_goes_to_the_web_carrier_and_its_receipt_comes_by_webhook(installation: Installation) -> None:
    installation.start()
    text = "Long enough for two parts, and the carrier gets it whole. " * 4
    sent = installation.send("+375291234567", text)
    message = installation.delivered(sent)
    assert (message["carrier"], message["operator"], message["parts"]) == ("web", "belarus", 2)
    events = {event["event"]: event for event in message["timeline"]}
    assert events["submitted"]["carrier_message_id"]
    assert events["receipt"]["matched_by"] == "id"
    control = json.loads((installation.data / "sandbox.json").read_text())["control"]
    assert [m["text"] for m in ask("GET", f"http://{control}/phone/+375291234567").json()["messages"]] == [text]
    url = installation.client_env["SLUICE_URL"]
    assert ask("POST", f"{url}/v1/receipts/web/wrong-word", body={"reports": []}).status == 403
    installation.stop()
