"""`POST /v1/plans/explain`: where a message would go, and why, by the steps that the router takes.

In: a message that need not exist, and the plan in use, a kept one or a document. Out: number, routes, candidates and
choice. Never: accepts or sends anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from gateway.api import call, diagnosis, render
from gateway.api.call import Answer, Call
from gateway.api.checks import Sender
from gateway.api.documents import MessageFields, Price
from gateway.api.plan_documents import (
    CandidateSeen,
    Chosen,
    HeldBack,
    NumberSeen,
    PlanExplain,
    PlanExplained,
    RouteSeen,
)
from gateway.api.plan_trials import kept_plan, readable_plan
from gateway.api.previewing import TREATMENTS
from gateway.api.problems import Code, Problem, from_faults, problem
from gateway.api.reading import STORE_S, store_away
from gateway.api.render import time_of
from gateway.message import CLASSES, Message, Treatment
from gateway.plan.admission import Barred
from gateway.plan.choice import Choice, Compiled
from gateway.plan.explain import Candidate, Explanation, explain
from gateway.plan.surroundings import Surroundings, Whose
from gateway.plan.windows import NEVER
from gateway.provider import RULES, Reason
from gateway.store.pool import StoreAwayError
from gateway.streams.link import RedisAwayError
from gateway.streams.outlook import outlook
from gateway.text.treatment import treat

SOURCES: Final = {
    "ported": "It was ported: the table of ported numbers says so.",
    "plan": "A prefix of the plan's operator covers it.",
    "numbers": "The numbering plan that was imported says so.",
    "phonenumbers": "The tables of the library phonenumbers say so.",
    "lookup": "The plan's lookup service said so.",
    "rest": "No operator of the plan is known to have it: it belongs to the plan's rest.",
}
"""How an operator is known, in words."""

_decode = msgspec.json.Decoder(PlanExplain).decode


async def explain_plan(c: Call) -> Answer:
    """Explain what would become of a message."""
    body = await c.body()
    if isinstance(body, Problem):
        return body
    try:
        wanted = _decode(body)
    except diagnosis.UNREADABLE as e:
        return diagnosis.of_document(body, e)
    plan = await _plan(c, wanted)
    if isinstance(plan, Problem):
        return plan
    now_ms = c.gate.redis.clock_ms() if wanted.at is None else round(wanted.at.timestamp() * 1000)
    message = _message(c, wanted, now_ms)
    if isinstance(message, Problem):
        return message
    around = c.gate.around(now_ms)
    health: Callable[[str], str] = _unknown
    with contextlib.suppress(RedisAwayError):  # then it is told as if every carrier could send
        around, health = await outlook(c.gate.redis, around)
    return call.answer(_explained(plan, message, around, health))


async def _plan(c: Call, wanted: PlanExplain) -> Compiled | Problem:
    """The plan that is asked, with the data that this process has beside the one in use."""
    live = c.gate.plan()
    if wanted.document is not None:
        found = readable_plan(wanted.document)
        return found if isinstance(found, Problem) else c.gate.compiled(found, 0)
    if wanted.version is None or (live is not None and live.version == wanted.version):
        return live or problem(Code.UNKNOWN_PLAN, "No plan is in use yet: give a `document`, or a `version`.")
    try:
        async with asyncio.timeout(STORE_S):
            kept = await kept_plan(c.gate.pool, wanted.version)
    except (StoreAwayError, TimeoutError):
        return store_away()
    return kept if isinstance(kept, Problem) else c.gate.compiled(kept[1], kept[0])


def _message(c: Call, wanted: PlanExplain, now_ms: int) -> Message | Problem:
    """As it would be accepted. Whether it may go to its recipient is told, not refused."""
    rules = copy.copy(c.gate.rules)
    rules.recipients = None
    fields = MessageFields(to=wanted.to, klass=wanted.klass, sender=wanted.sender, text=wanted.text, tag=wanted.tag)
    sender = Sender(wanted.client or c.client, c.rights.key.id, frozenset(CLASSES), wanted.test)
    checked = rules.check(fields, sender, now_ms, nul=True)
    return checked if isinstance(checked, Message) else from_faults(checked)


def _unknown(carrier: str) -> str:
    return ""


def _explained(plan: Compiled, message: Message, around: Surroundings, health: Callable[[str], str]) -> PlanExplained:
    found = explain(plan, message, around, health=health)
    choice = found.choice
    barred = None if around.barred is None else around.barred(plan, message, around.now_ms)
    chosen = _chosen(choice, message) if isinstance(choice, Choice) else None
    reason = None if isinstance(choice, Choice) else choice.reason
    return PlanExplained(
        version=plan.version or None,
        number=None if found.whose is None else _number(found.whose),
        encoding=message.encoding,
        parts=message.parts,
        held_back=None if barred is None else _held_back(barred),
        routes=[RouteSeen(route.name, route.matched, route.why_not) for route in found.routes],
        route=found.route or None,
        strategy=found.strategy or None,
        candidates=[_candidate(candidate, plan) for candidate in found.candidates],
        choice=chosen,
        reason=reason,
        words=_words(found, barred),
    )


def _number(whose: Whose) -> NumberSeen:
    words = SOURCES.get(whose.source, "")
    return NumberSeen(whose.operator, whose.source, words, whose.country, whose.region, whose.zones)


def _held_back(barred: Barred) -> HeldBack:
    words = RULES[barred.reason].words
    return HeldBack(barred.reason, words[0].upper() + words[1:] + ".", _opens(barred))


def _opens(barred: Barred) -> datetime | None:
    return time_of(barred.opens_ms) if barred.opens_ms and barred.opens_ms != NEVER else None


def _candidate(c: Candidate, plan: Compiled) -> CandidateSeen:
    own = plan.plan.defaults.currency or c.currency
    return CandidateSeen(
        carrier=c.carrier,
        verdict=c.verdict,
        words=c.words,
        live=c.live,
        price=None if c.price_micro is None else render.price(c.price_micro, c.currency),
        cost=None if c.cost_micro is None else render.price(c.cost_micro, own),
        probability=c.probability,
        expected=c.expected,
        messages=c.messages,
        score=None if c.score_micro is None else round(c.score_micro / 1_000_000, 6),
        explored=c.explored,
        sender=c.sender or None,
        until=time_of(c.until_ms) if c.until_ms else None,
    )


def _chosen(choice: Choice, message: Message) -> Chosen:
    sent = treat(message.text, Treatment(choice.treatment))
    return Chosen(
        carrier=choice.carrier,
        price=_price(choice.price_micro, choice),
        cost=_price(choice.price_micro * sent.parts, choice),
        sender=choice.sender or message.sender,
        treatment=TREATMENTS[sent.done],
        parts=sent.parts,
    )


def _price(micro: int, choice: Choice) -> Price | None:
    return render.price(micro, choice.currency)


def _words(found: Explanation, barred: Barred | None) -> str:
    """What becomes of the message."""
    if barred is not None and barred.reason == Reason.STOPPED:
        return "It is not sent: the recipient is on a stop list."
    later = ""
    if barred is not None:
        opens = _opens(barred)
        later = f"It waits for the recipient's hours{f', until {opens.isoformat()}' if opens else ''}. Then: "
    choice = found.choice
    if isinstance(choice, Choice):
        return f"{later}Route `{choice.route}` gives it to `{choice.carrier}`."
    if not found.route:
        return f"{later}It fails: {RULES[choice.reason].words}."
    if choice.wait and choice.reason in (Reason.NO_CARRIER, Reason.LIMIT):
        return f"{later}It waits within its validity: {RULES[choice.reason].words}."
    return f"{later}It fails: {RULES[choice.reason].words}."
