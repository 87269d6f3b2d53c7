"""What `GET /v1/messages/{id}` tells of a decision, from the router to the document."""

from __future__ import annotations

from gateway.api import render
from gateway.api.documents import Considered, Decision, Price
from gateway.connector.flight import submitted
from gateway.message import unpack_journey
from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Route, Sender
from gateway.plan.surroundings import Surroundings
from gateway.provider import accepted
from gateway.router.decide import decide
from gateway.store import messages
from tests.core_builders import answered, flight, message, queued
from tests.ledger_bench import open_bench


async def test_the_timeline_says_why_a_carrier_was_chosen_and_what_replaced_the_sender(
    valkey_url: str, postgres_url: str
) -> None:
    compiled = Compiled(
        Plan(
            defaults=Defaults(currency="RUB"),
            carriers=tuple(Carrier(name=name, provider="smpp") for name in ("north", "south", "east")),
            operators=(Operator(name="mts", prefixes=("7916",)),),
            rates=(
                Rate(carrier="north", price="2.15"),
                Rate(carrier="south", price="0.019", currency="EUR"),
                Rate(carrier="east", price="1"),
            ),
            currencies={"EUR": "100"},
            senders=(Sender(name="INFO"),),
            routes=(
                Route(
                    name="all",
                    carriers=("north", "south", "east"),
                    strategy="cheapest",
                    unregistered="replace",
                    sender="INFO",
                ),
            ),
        ),
        7,
    )
    bench = await open_bench(valkey_url, postgres_url)
    try:
        one, m = bench.message_id(), message(sender="SHOP")
        around = Surroundings(now_ms=bench.redis.clock_ms() + 1, live=lambda carrier: carrier != "east")
        move = decide(queued(m, id=one), compiled, around)
        assert move.where == "south:marketing:shop"
        sent = answered(flight(m, unpack_journey(move.journey)), accepted("c1"))
        submission, outcome = sent.answers[0]
        assert submission.sender == "INFO"
        submission.sent_ms = around.now_ms
        submission.message_id = one
        await bench.accept((one, m))
        await bench.tell(submitted(sent, submission, outcome, around.now_ms))
        bench.start()
        await bench.until_recorded()
        found = await messages.get(bench.pool, one, None)
        assert found is not None
        view = render.found(found, await messages.timeline(bench.pool, found))
    finally:
        await bench.close()
    (moment,) = [moment for moment in view.timeline or () if moment.event == "submitted"]
    assert (moment.sender, moment.operator, moment.route, moment.plan_version) == ("INFO", "mts", "all", 7)
    assert moment.decision == Decision(
        "cheapest",
        "plan",
        None,
        [
            Considered("east", Price("1.00", "RUB"), None, "down: it cannot send now"),
            Considered("south", Price("0.019", "EUR")),
            Considered("north", Price("2.15", "RUB")),
        ],
    )
