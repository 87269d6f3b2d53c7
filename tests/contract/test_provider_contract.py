"""The carrier contract (gateway/provider.py). Every provider passes it unchanged."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.provider import (
    Kind,
    Outcome,
    Provider,
    Reason,
    SettingsError,
    Submission,
    accepted,
    deferred,
    refused,
    uncertain,
)
from tests.contract.carrier import Answer, Arrived, Carrier, Desk

SETTLED = (Kind.ACCEPTED, Kind.REFUSED)
_numbers = itertools.count(1)


def make(text: str = "Your code is 1234", **given: Any) -> Submission:
    number = next(_numbers)
    values: dict[str, Any] = {
        "message_id": number.to_bytes(16, "big"),
        "attempt": 1,
        "part": 1,
        "parts": 1,
        "to": "+79161234567",
        "sender": "Sluice",
        "text": text,
        "encoding": "gsm7",
        "concat_ref": number & 0xFFFF,
        "deadline_ms": int(time.time() * 1000) + 3_600_000,
        "klass": "transactional",
        "echo": number & 0xFFFF,
    }
    return Submission(**values | given)


def put(provider: Provider, *texts: str) -> list[Submission]:
    """Submit one message a text, as this provider takes them."""
    made = [make(text, part=0 if provider.whole else 1) for text in texts]
    provider.submit(made)
    return made


def always(answer: Answer) -> Any:
    return lambda arrived: answer


def only_if_it_hears(carrier: Carrier) -> None:
    if not carrier.hears:
        pytest.skip("this carrier's interface has no messages of subscribers")


def never_twice(outcomes: Sequence[Outcome]) -> bool:
    """One outcome, or an uncertain one and what heals it."""
    kinds = [outcome.kind for outcome in outcomes]
    return len(kinds) == 1 or (len(kinds) == 2 and kinds[0] is Kind.UNCERTAIN and kinds[1] in SETTLED)


# What a carrier says


async def test_an_accepted_submission_has_the_carriers_id_and_knows_when_and_where_it_went(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    before_ms = int(time.time() * 1000)
    (s,) = put(provider, "hello")
    outcome = await desk.outcome(s)
    assert before_ms <= s.sent_ms <= time.time() * 1000
    assert s.bind in {link.bind for link in provider.links()}
    (arrived,) = carrier.arrived
    assert outcome == accepted(arrived.message_id)
    assert (arrived.text, arrived.to, arrived.sender) == ("hello", "+79161234567", "Sluice")


async def test_a_throttled_submission_is_deferred_and_the_carrier_may_be_asked_again(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    carrier.script = always(Answer.THROTTLE)
    (s,) = put(provider, "hello")
    outcome = await desk.outcome(s)
    assert (outcome.kind, outcome.reason) == (Kind.DEFERRED, Reason.THROTTLED) and outcome.code
    carrier.script = always(Answer.ACCEPT)
    await desk.watch.until(lambda: provider.room)
    (again,) = put(provider, "hello")
    assert (await desk.outcome(again)).kind is Kind.ACCEPTED


async def test_room_comes_back_by_itself_after_throttling(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    carrier.script = always(Answer.THROTTLE)
    for s in put(provider, *["hello"] * carrier.capacity):
        await desk.outcome(s)
    await desk.watch.until(lambda: provider.room)


async def test_a_refused_submission_says_why(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    carrier.script = always(Answer.REFUSE)
    (s,) = put(provider, "hello")
    outcome = await desk.outcome(s)
    assert (outcome.kind, outcome.reason) == (Kind.REFUSED, Reason.INVALID_RECIPIENT) and outcome.code


async def test_no_answer_in_time_is_uncertain(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    carrier.script = always(Answer.SILENCE)
    (s,) = put(provider, "hello")
    assert await desk.outcome(s) == uncertain(Reason.NO_ANSWER)


@pytest.mark.parametrize("answer", [Answer.ACCEPT, Answer.REFUSE])
async def test_a_late_answer_heals_an_uncertain_submission_once(
    carrier: Carrier, provider: Provider, desk: Desk, answer: Answer
) -> None:
    carrier.script = always(Answer.SILENCE)
    (s,) = put(provider, "hello")
    await desk.outcome(s)
    carrier.answer(carrier.arrived[0], answer)
    healed = await desk.outcome(s, 2)
    assert healed.kind is (Kind.ACCEPTED if answer is Answer.ACCEPT else Kind.REFUSED)
    carrier.answer(carrier.arrived[0], answer)
    carrier.script = always(Answer.ACCEPT)
    (other,) = put(provider, "after it")
    await desk.outcome(other)
    assert len(desk.of(s)) == 2


async def test_a_long_text_arrives_whole(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    for text, encoding in (("Stop at [here] for 5 € " * 20, "gsm7"), ("Привет, мир 🎈 " * 20, "ucs2")):
        carrier.arrived.clear()
        texts = provider.split(text, encoding)
        assert "".join(texts) == text and (provider.whole or len(texts) > 1)
        if provider.whole:
            batch = [make(text, encoding=encoding, part=0, parts=len(texts))]
        else:
            batch = [make(t, encoding=encoding, part=n, parts=len(texts)) for n, t in enumerate(texts, 1)]
        provider.submit(batch)
        if text.encode(carrier.alphabet, "ignore").decode(carrier.alphabet) != text:
            assert [await desk.outcome(s) for s in batch] == [refused(Reason.UNSUPPORTED, "alphabet")] * len(batch)
            continue
        for s in batch:
            assert (await desk.outcome(s)).kind is Kind.ACCEPTED
        assert "".join(a.text for a in sorted(carrier.arrived, key=lambda a: a.part)) == text


def test_a_short_text_is_one_part(carrier: Carrier, desk: Desk) -> None:
    assert list(carrier.open(desk.reports()).split("hello", "gsm7")) == ["hello"]


# Receipts and inbound messages


async def test_a_receipt_reaches_the_desk_normalised(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    delivery = carrier.send_receipt("42", "undeliverable")
    assert await delivery.kept
    (receipt,) = desk.receipts
    assert (receipt.carrier_message_id, receipt.state) == ("42", "undeliverable")
    assert receipt.reason == Reason.UNREACHABLE
    assert receipt.done_ms and receipt.recipient, (
        "send_receipt should send when it was and to whom; `done`, `recipient`"
    )


async def test_a_receipt_before_the_submits_answer_is_reported_and_the_answer_still_counts(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    carrier.script = always(Answer.SILENCE)
    (s,) = put(provider, "hello")
    await desk.watch.until(lambda: carrier.arrived)
    (arrived,) = carrier.arrived
    assert await carrier.send_receipt(arrived.message_id, "delivered").kept
    assert desk.receipts[0].carrier_message_id == arrived.message_id and not desk.of(s)
    carrier.answer(arrived, Answer.ACCEPT)
    assert await desk.outcome(s) == accepted(arrived.message_id)


@pytest.mark.parametrize("kind", ["receipt", "inbound"])
async def test_a_carrier_has_its_answer_only_when_what_it_sent_is_durable(
    carrier: Carrier, provider: Provider, desk: Desk, kind: str
) -> None:
    if kind == "inbound":
        only_if_it_hears(carrier)
    desk.durable.clear()
    delivery = carrier.send_receipt("1", "delivered") if kind == "receipt" else carrier.send_inbound("STOP")
    await desk.watch.until(lambda: desk.receipts or desk.inbound)
    (s,) = put(provider, "a round trip that overtakes it")
    await desk.outcome(s)
    assert not delivery.kept.done()
    desk.durable.set()
    assert await delivery.kept is True


async def test_a_carrier_is_asked_again_for_what_could_not_be_kept(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    desk.broken = True
    assert await carrier.send_receipt("1", "delivered").kept is False
    desk.broken = False
    assert await carrier.send_receipt("1", "delivered").kept is True


async def test_a_slow_store_holds_up_no_submission(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    desk.durable.clear()
    deliveries = [carrier.send_receipt(f"{n}", "delivered") for n in range(50)]
    for s in put(provider, *["hello"] * 5):
        assert (await desk.outcome(s)).kind is Kind.ACCEPTED
    desk.durable.set()
    assert all([await delivery.kept for delivery in deliveries])
    assert {r.carrier_message_id for r in desk.receipts} == {f"{n}" for n in range(50)}


async def test_a_subscribers_message_is_reported(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    only_if_it_hears(carrier)
    assert await carrier.send_inbound("id:1 stat:DELIVRD err:000").kept
    assert [m.text for m in desk.inbound] == ["id:1 stat:DELIVRD err:000"] and not desk.receipts


# Room


async def test_room_is_never_more_than_the_carrier_allows_and_grows_with_answers(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    carrier.script = always(Answer.SILENCE)
    woken = []
    provider.on_room(lambda: (woken.append(provider.room), desk.watch.touch()))  # type: ignore[func-returns-value]
    sent: list[Submission] = []
    while provider.room:
        sent += put(provider, *["hello"] * provider.room)
    await desk.watch.until(lambda: len(carrier.arrived) == len(sent))
    assert carrier.most == len(sent) <= carrier.capacity
    carrier.answer(carrier.arrived[0], Answer.ACCEPT)
    await desk.watch.until(lambda: any(woken))


async def test_a_batch_larger_than_the_room_overruns_nothing_and_loses_nothing(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    sent = put(provider, *["hello"] * (carrier.capacity * 5))
    await desk.watch.until(lambda: len(desk.outcomes) == len(sent))
    assert carrier.most <= carrier.capacity
    assert all(never_twice(desk.of(s)) for s in sent)


async def test_the_loop_runs_on_while_a_flood_waits_for_its_room(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    sent = put(provider, *["hello"] * (carrier.capacity * 100))
    turns = 0
    while len(desk.outcomes) < len(sent):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 50


# Links


async def test_without_a_link_there_is_no_room_and_submissions_come_back(carrier: Carrier, desk: Desk) -> None:
    provider = carrier.open(desk.reports())
    assert (provider.room, provider.live) == (0, False)
    await carrier.leave()
    await provider.start()
    (s,) = put(provider, "hello")
    outcome = await desk.outcome(s)
    assert (outcome.kind, outcome.reason) == (Kind.DEFERRED, Reason.NOT_BOUND)
    await desk.watch.until(lambda: any(link.error for link in desk.states))
    await provider.close(1.0)
    await carrier.start()


async def test_a_carrier_that_comes_back_is_used_again(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    await carrier.leave()
    await desk.watch.until(lambda: not provider.live)
    assert provider.room == 0
    (lost,) = put(provider, "nobody there")
    assert (await desk.outcome(lost)).kind is Kind.DEFERRED
    await carrier.start()
    await desk.watch.until(lambda: provider.live and provider.room)
    (s,) = put(provider, "hello")
    assert (await desk.outcome(s)).kind is Kind.ACCEPTED


async def test_what_was_on_the_wire_when_the_link_broke_is_uncertain_and_nothing_else_is(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    carrier.script = always(Answer.SILENCE)
    sent = put(provider, *["hello"] * (carrier.capacity + 5))
    await desk.watch.until(lambda: len(carrier.arrived) == carrier.capacity)
    await carrier.leave()
    await desk.watch.until(lambda: len(desk.outcomes) == len(sent))
    kinds = [desk.of(s)[0] for s in sent]
    assert kinds.count(uncertain(Reason.DISCONNECTED)) == carrier.capacity
    assert kinds.count(deferred(Reason.NOT_BOUND)) == 5
    await carrier.start()


async def test_wrong_credentials_are_a_visible_state_and_no_hammer(carrier: Carrier, desk: Desk) -> None:
    carrier.welcome = False
    provider = carrier.open(desk.reports())
    await provider.start()
    await desk.watch.until(
        lambda: {link.state for link in provider.links()} == {"refused"},
        else_see="credentials that are wrong have to show without a message: an HTTP carrier needs a `check`",
    )
    assert all(link.error for link in provider.links())
    assert (provider.live, provider.room) == (False, 0)
    assert carrier.logins == len(provider.links())
    await provider.close(1.0)
    assert carrier.logins == len(provider.links())


async def test_every_link_says_how_it_is(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    links = provider.links()
    assert len({link.bind for link in links}) == len(links)
    assert all(0 < link.since_ms <= time.time() * 1000 and not link.error for link in links)
    assert sum(link.window for link in links) >= provider.room > 0
    assert {link.bind for link in desk.states} == {link.bind for link in links}


# Closing


async def test_closing_waits_for_answers_that_are_on_their_way(
    carrier: Carrier, provider: Provider, desk: Desk
) -> None:
    carrier.script = always(Answer.SILENCE)
    sent = put(provider, *["hello"] * 3)
    await desk.watch.until(lambda: len(carrier.arrived) == 3)
    closing = asyncio.create_task(provider.close(10.0))
    await desk.watch.until(lambda: provider.room == 0)
    for _ in range(50):  # turns in which a goodbye that is said too early arrives
        await asyncio.sleep(0)
    for arrived in carrier.arrived:
        carrier.answer(arrived, Answer.ACCEPT)
    await closing
    assert [desk.of(s)[0].kind for s in sent] == [Kind.ACCEPTED] * 3
    assert not provider.live and {link.state for link in provider.links()} == {"closed"}


async def test_closing_is_bounded_and_reports_the_rest_uncertain(carrier: Carrier, desk: Desk) -> None:
    provider = carrier.open(desk.reports(), answer_timeout_s=60)
    await provider.start()
    await desk.watch.until(lambda: provider.room == carrier.capacity)
    carrier.script = always(Answer.SILENCE)
    desk.durable.clear()
    carrier.send_receipt("1", "delivered")
    sent = put(provider, *["hello"] * (carrier.capacity + 3))
    await desk.watch.until(lambda: len(carrier.arrived) == carrier.capacity and desk.receipts)
    before = time.monotonic()
    await provider.close(0.2)
    assert time.monotonic() - before < 20
    kinds = [desk.of(s)[0].kind for s in sent]
    assert (kinds.count(Kind.UNCERTAIN), kinds.count(Kind.DEFERRED)) == (carrier.capacity, 3)


async def test_closing_ends_every_task_and_connection(carrier: Carrier, desk: Desk) -> None:
    before = asyncio.all_tasks()
    provider = carrier.open(desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    assert all(task.get_name() and "Task-" not in task.get_name() for task in asyncio.all_tasks() - before)
    await provider.close(1.0)
    assert asyncio.all_tasks() == before
    logins = carrier.logins
    await carrier.leave()
    assert carrier.logins == logins


@pytest.mark.parametrize("started", [False, True])
async def test_closing_what_never_connected_ends_at_once(carrier: Carrier, desk: Desk, started: bool) -> None:
    await carrier.leave()
    provider = carrier.open(desk.reports())
    if started:
        await provider.start()
    await asyncio.wait_for(provider.close(5.0), 2.0)
    await carrier.start()


async def test_after_closing_submissions_come_back(carrier: Carrier, provider: Provider, desk: Desk) -> None:
    await provider.close(1.0)
    (s,) = put(provider, "hello")
    outcome = await desk.outcome(s)
    assert (outcome.kind, outcome.reason, provider.room) == (Kind.DEFERRED, Reason.NOT_BOUND, 0)
    assert not carrier.arrived


# Always


ODD: list[dict[str, Any]] = [
    {"text": ""},
    {"text": "я"},
    {"text": "🎈", "encoding": "ucs2"},
    {"text": "\ud800", "encoding": "ucs2"},
    {"text": "\0"},
    {"text": "x" * 5000},
    {"sender": ""},
    {"sender": "Магазин"},
    {"sender": "a\0b"},
    {"sender": "9" * 40},
    {"to": "+7"},
    {"deadline_ms": 0},
    {"deadline_ms": 2**52},
    {"parts": 255, "part": 255},
    {"echo": 65535},
]


@pytest.mark.parametrize("given", ODD, ids=[str(next(iter(odd))) + str(n) for n, odd in enumerate(ODD)])
async def test_submit_never_raises_and_spoils_no_other(
    carrier: Carrier, provider: Provider, desk: Desk, given: dict[str, Any]
) -> None:
    odd, plain = make(**given), make("plain")
    provider.submit([odd, plain])
    assert (await desk.outcome(plain)).kind is Kind.ACCEPTED
    assert (await desk.outcome(odd)).kind in SETTLED and len(desk.of(odd)) == 1


async def test_an_empty_batch_is_nothing(provider: Provider) -> None:
    provider.submit([])
    assert provider.room > 0


async def test_every_submission_has_exactly_one_outcome_whatever_the_carrier_does(carrier: Carrier, desk: Desk) -> None:
    chance = random.Random(20240131)

    def whim(arrived: Arrived) -> Answer:
        return chance.choice([Answer.ACCEPT, Answer.ACCEPT, Answer.REFUSE, Answer.THROTTLE, Answer.SILENCE])

    provider = carrier.open(desk.reports())
    provider.on_room(desk.watch.touch)
    await provider.start()
    carrier.script = whim
    sent: list[Submission] = []
    for number in range(12):
        await desk.watch.until(lambda: provider.live and provider.room)
        sent += put(provider, *["hello"] * (carrier.capacity + 3))
        if number % 4 == 3:
            await desk.watch.until(lambda: carrier.arrived)
            await carrier.leave()
            await carrier.start()
        for arrived in carrier.arrived[-5:]:
            carrier.answer(arrived, Answer.ACCEPT)  # twice, late, or to a link that is gone
    await provider.close(1.0)
    assert len(desk.outcomes) == len(sent)
    assert all(never_twice(desk.of(s)) for s in sent)


async def test_a_secret_is_in_no_log_repr_or_error(
    carrier: Carrier, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = carrier.open(desk.reports())
    carrier.welcome = False
    await provider.start()
    await desk.watch.until(lambda: any(link.error for link in desk.states), else_see="is there a `check`?")
    shown = [repr(provider), str(provider), repr(vars(provider)), repr(provider.links()), repr(desk.states)]
    await provider.close(1.0)
    carrier.welcome = True
    provider = carrier.open(desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    desk.broken = True
    await carrier.send_receipt("1", "delivered").kept
    await carrier.leave()
    await desk.watch.until(lambda: not provider.live)
    await provider.close(1.0)
    await carrier.start()
    shown += [repr(vars(provider)), repr(desk.states), caplog.text]
    shown += [repr(record.__dict__) for record in caplog.records]
    assert caplog.records
    assert not [text for text in shown if carrier.secret in text]


def test_settings_that_cannot_work_are_told_by_name_and_never_by_value(carrier: Carrier, desk: Desk) -> None:
    for wrong in carrier.wrong_settings():
        with pytest.raises(SettingsError) as caught:
            carrier.open(desk.reports(), **wrong)
        assert carrier.secret not in str(caught.value)
