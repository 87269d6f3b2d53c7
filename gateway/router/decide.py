"""What becomes of one message at the router. Pure: plan and surroundings are arguments.

In: a queued entry. Out: a destination outbox with its journey, a time to try again, or the fact that ends the message.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from gateway.events import AnyFact, Ended, Parked
from gateway.message import (
    Journey,
    Message,
    State,
    Try,
    UnknownVersionError,
    id_time_ms,
    pack_journey,
    unpack_journey,
    unpack_message,
)
from gateway.plan.choice import NOTHING, Choice, Compiled, NoRoute
from gateway.plan.surroundings import Surroundings
from gateway.provider import RULES, Reason
from gateway.router.admission import held_back
from gateway.streams.keys import lane
from gateway.streams.reader import Queued

MAX_ATTEMPTS = 12
"""Attempts of one message over all carriers before it fails."""

ROUND = Try("", "round")
"""Stands in `tried` where every candidate had been tried and all may be tried again."""

AT_ONE = 3
"""Attempts at one carrier in a round, where the route says `retry_same`."""

_BACKOFF_S = (5, 15, 60, 300)


class Move(msgspec.Struct, gc=False):
    """Where to: "o" to outbox `where` (<carrier>:<lane>), "l" to later at `where` (ms), "" when `fact` ends it.

    `number`: among the targets of a batch.
    """

    op: str
    where: str = ""
    journey: bytes = b""
    fact: AnyFact | None = None
    number: int = 0
    tag: str = ""
    """That is paused."""


class Moves:
    """Moves of fresh messages under one plan at one time: by their choice, and, where nothing else decides, by whose
    their number is. Both stand there by their places in memory, and are held so that the places stay taken."""

    __slots__ = ("by_choice", "by_whose", "held")

    def __init__(self) -> None:
        self.by_choice: dict[tuple[int, str, str], Move] = {}  # place in memory, class, client
        self.by_whose: dict[tuple[int, str, str, bool], Move] = {}  # the same, whether it is a test
        self.held: list[object] = []


def decide(entry: Queued, plan: Compiled, around: Surroundings, known: Moves | None = None) -> Move:
    """Choose for one entry. Never raises for what is stored: an unreadable entry ends as `damaged`.

    Fresh messages of one kind get the same Move out of `known`, which is good for one batch.
    """
    if known is not None and not entry.journey and around.waits is None:
        move = _fresh(entry.value, plan, around, known)
        if move is not None:
            return move
    message_id, now_ms = entry.message_id, around.now_ms
    try:
        message = unpack_message(entry.value, 16)
        journey = unpack_journey(entry.journey) if entry.journey else None
    except (UnknownVersionError, msgspec.DecodeError):
        return Move("", fact=Ended(message_id, State.FAILED, Reason.DAMAGED))
    attempt = journey.attempt if journey else 0
    if message.deadline_ms(message_id) <= now_ms:
        return Move("", fact=Ended(message_id, State.EXPIRED, Reason.VALIDITY, attempt))
    if around.barred is not None and (barred := around.barred(plan, message, now_ms)) is not None:
        fact = held_back(message_id, message, journey, barred)
        if isinstance(fact, Parked):
            return Move("l", str(fact.until_ms), entry.journey, fact)
        if fact is not None:
            return Move("", fact=fact)
    if around.waits is not None and (wait := around.waits(message, journey is None)) is not None:
        deadline_ms = message.deadline_ms(message_id)
        due = min(wait.until_ms or deadline_ms, deadline_ms)
        tag = message.tag if wait.reason == Reason.PAUSED else ""
        return Move("l", str(due), entry.journey, Parked(message_id, attempt, wait.reason, due), tag=tag)
    if journey is not None and journey.pinned:
        if message.test and journey.carrier not in plan.sandboxes:
            return Move("", fact=Ended(message_id, State.FAILED, Reason.NO_ROUTE, attempt))
        return Move("o", f"{journey.carrier}:{lane(message.klass, message.client)}", entry.journey)
    tried = journey.tried if journey else ()
    choice = choose(plan, message, message_id, tried, around)
    if isinstance(choice, Choice):
        routed_ms = max(now_ms, id_time_ms(message_id))  # our reading of Redis' clock may be a moment behind
        place = journey.place if journey is not None and journey.carrier == choice.carrier else 0
        return _send(message, choice, attempt + 1, tried, plan.version, routed_ms, place)
    if journey is not None and choice.reason == Reason.ATTEMPTS_EXHAUSTED:
        return _again(message_id, message, journey, now_ms)
    if choice.reason == Reason.LIMIT and choice.wait:
        due = min(max(choice.until_ms, now_ms + 1), message.deadline_ms(message_id))
        return Move("l", str(due), entry.journey, Parked(message_id, attempt, choice.reason, due))
    return Move("", fact=Ended(message_id, State.FAILED, choice.reason, attempt))


def _fresh(value: bytes, plan: Compiled, around: Surroundings, known: Moves) -> Move | None:
    """The same for a message without a past that a live carrier takes, which is nearly every one; None for others."""
    try:
        m = unpack_message(value, 16)
    except (UnknownVersionError, msgspec.DecodeError):
        return None
    accepted_ms, now_ms = int.from_bytes(value[:6], "big"), around.now_ms
    if max(accepted_ms, m.send_at_ms) + m.validity_s * 1000 <= now_ms or accepted_ms > now_ms:
        return None
    if around.barred is not None and around.barred(plan, m, now_ms) is not None:
        return None
    coarse = plan.is_coarse and around.is_steady and around.full is None
    if coarse:
        whose = plan.whose(m.to)
        network = id(whose), m.klass, m.client, m.test
        if (move := known.by_whose.get(network)) is not None:
            return move
    choice = plan.choose(m, around, NOTHING, NOTHING, value[:16])
    if not isinstance(choice, Choice):
        return None
    kind = id(choice), m.klass, m.client
    move = known.by_choice.get(kind)
    if move is None:
        move = known.by_choice[kind] = _send(m, choice, 1, (), plan.version, now_ms)
        known.held.append(choice)
    if coarse and not choice.is_drawn:
        known.by_whose[network] = move
        known.held.append(whose)
    return move


def choose(
    plan: Compiled, message: Message, message_id: bytes, tried: tuple[Try, ...], around: Surroundings
) -> Choice | NoRoute:
    """A carrier that can send; else one that may come to, unless the route wants an end; never one that this round has
    tried, but where the route wants that."""
    exclude, again = tried_now(tried) if tried else (NOTHING, NOTHING)
    found = plan.choose(message, around, exclude, again, message_id)
    if isinstance(found, NoRoute) and found.reason == Reason.NO_CARRIER and found.wait:
        return plan.choose(message, around, exclude, again, message_id, waiting=True)
    return found


def tried_now(tried: tuple[Try, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Carriers tried since the last round began; those of them that might be tried again at once."""
    names = [t.carrier for t in tried]
    now = tried[len(names) - names[::-1].index("") :] if "" in names else tried
    times = Counter(t.carrier for t in now)
    hopeless = {t.carrier for t in now if not RULES[_reason(t.reason)].retry}
    return frozenset(times), frozenset(c for c, n in times.items() if n < AT_ONE and c not in hopeless)


def _send(
    message: Message, choice: Choice, attempt: int, tried: tuple[Try, ...], version: int, now_ms: int, place: int = 0
) -> Move:
    journey = Journey(
        attempt,
        choice.carrier,
        choice.operator,
        choice.price_micro,
        choice.currency,
        version,
        choice.route,
        now_ms,
        tried=tried,
        treatment=choice.treatment,
        place=place,
        billed_on_delivery=choice.billed_on_delivery,
        sender=choice.sender,
        record=choice.record,
    )
    return Move("o", f"{choice.carrier}:{lane(message.klass, message.client)}", pack_journey(journey))


def _again(message_id: bytes, message: Message, journey: Journey, now_ms: int) -> Move:
    """Every candidate of the route was tried: begin another round later, where that can help."""
    reasons = [_reason(t.reason) for t in journey.tried if t.carrier]
    last = reasons[-1]
    rounds = sum(1 for t in journey.tried if not t.carrier)
    hope = any(RULES[r].retry or r == Reason.UNCERTAIN for r in reasons)
    if not hope or journey.attempt >= MAX_ATTEMPTS:
        state = State.FAILED if RULES[last].retry or last == Reason.UNCERTAIN else State.REJECTED
        return Move("", fact=Ended(message_id, state, last, journey.attempt))
    pause_s = 1 if last == Reason.UNCERTAIN else _BACKOFF_S[min(rounds, len(_BACKOFF_S) - 1)]
    due = min(now_ms + pause_s * 1000, message.deadline_ms(message_id))
    grown = msgspec.structs.replace(journey, tried=(*journey.tried, ROUND))
    return Move("l", str(due), pack_journey(grown), Parked(message_id, journey.attempt, last, due))


def _reason(text: str) -> Reason:
    """What is stored may come from a newer release with more reasons than this one knows."""
    try:
        return Reason(text)
    except ValueError:
        return Reason.CARRIER_ERROR
