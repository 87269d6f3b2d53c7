"""`sluice senders check`: where it says that a sender may be used."""

from __future__ import annotations

from gateway.commands.senders import _standings
from gateway.plan.document import Carrier, Operator, Plan, Sender
from gateway.plan.senders import Senders


def test_every_carrier_is_shown_those_that_take_test_messages_too() -> None:
    plan = Plan(
        carriers=(Carrier(name="north", provider="smpp"), Carrier(name="trial", provider="smpp", sandbox=True)),
        operators=(Operator(name="mts", prefixes=("7916",)),),
        senders=(Sender(name="BANK", carriers=("trial",)),),
    )
    found = _standings(plan, Senders(plan), "BANK", "", ("otp",))
    assert [(row[0], row[3].state) for row in found] == [("north", "free"), ("trial", "registered")]
