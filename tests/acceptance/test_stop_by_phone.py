"""A subscriber writes STOP and START to a whole gateway, as the sandbox's phone does it."""

from __future__ import annotations

import json
from typing import Any

from tests.installation import Installation, ask, until

PHONE = "+79161234567"


def test_who_writes_stop_is_sent_no_marketing_any_more_until_he_writes_start(installation: Installation) -> None:
    installation.start()
    spring = {"to": PHONE, "text": "Spring", "class": "marketing", "from": "MyShop"}
    installation.delivered(installation.send(PHONE, "Welcome", **{"from": "MyShop"}))
    control = json.loads((installation.data / "sandbox.json").read_text())["control"]

    def write(text: str) -> None:
        said = ask("POST", f"http://{control}/inbound", body={"from": PHONE[1:], "to": "MyShop", "text": text})
        assert said.status == 200, said.body

    def refused() -> Any:
        answer = installation.post("/v1/messages/preview", spring)
        return answer.json() if answer.status == 422 else None

    write("Стоп.")
    problem = until(refused, "the STOP to count")
    assert (problem["code"], problem["pointer"]) == ("recipient_stopped", "/to")
    assert installation.post("/v1/messages", spring).json()["code"] == "recipient_stopped"
    installation.delivered(installation.send(PHONE, "Your order is ready"))
    (entry,) = installation.get(f"/v1/stoplist/{PHONE}").json()["entries"]
    assert (entry["source"], entry["classes"], entry["reason"]) == ("inbound", ["marketing"], "стоп")
    assert installation.get(f"/v1/stoplist/{PHONE}?client={entry['client']}").json()["stopped"] == ["marketing"]
    write("start")
    until(lambda: not refused(), "the START to count")

    def arrives() -> bool:
        """Sent a moment after the API knew of it, one may still meet a router that does not."""
        sent = str(installation.post("/v1/messages", spring).json()["id"])
        ends = ("delivered", "failed")
        return bool(until(lambda: (s := state(sent)) in ends and s, f"{sent} to end") == "delivered")

    def state(message_id: str) -> str:
        return str(installation.get(f"/v1/messages/{message_id}").json()["state"])

    until(arrives, "marketing to arrive again")
    installation.stop()
