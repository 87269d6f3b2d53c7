"""Whether a run kept what docs/architecture.md promises: each check takes the evidence and gives what is wrong.

In: `Evidence`. Out: sentences; none when all is well. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gateway.message import FINAL, RESEND_CLASSES
from tests.chaos.application import FAILED
from tests.chaos.evidence import ACCEPTED, UNCERTAIN, Evidence, Message, Submission

_OPEN: Final = frozenset({"accepted", "scheduled", "routed", "submitted", "unknown"})
_ENDINGS: Final = frozenset({"delivered", "undeliverable", "rejected", "expired", "deleted"})
_NEVER_SENT: Final = frozenset({"validity"})
_SHOWN = 3
Unit = tuple[str, int, int]
"""Message, attempt, part."""


def findings(evidence: Evidence) -> list[str]:
    """What is wrong, by every check."""
    return [f"{check.__name__}: {said}" for check in CHECKS for said in check(evidence)]


def states(e: Evidence) -> Iterator[str]:
    """Every accepted message has one row with a final or waiting state, and nothing else is there."""
    ids = set(e.accepted.values())
    yield from _told("were accepted and are lost", ids - e.messages.keys())
    yield from _told("are in the ledger and nobody was told so", e.messages.keys() - ids)
    if len(ids) != len(e.accepted):
        yield f"{len(e.accepted) - len(ids)} messages share an id"
    counted = Counter(message.state for message in e.messages.values())
    if strange := counted.keys() - FINAL - _OPEN:
        yield f"states that are none: {strange}"
    if sum(counted.values()) != len(e.accepted):
        yield f"states add up to {sum(counted.values())}, accepted were {len(e.accepted)}"
    yield from _told("still wait although their time is over", (m.id for m in e.messages.values() if m.state in _OPEN))


def phones(e: Evidence) -> Iterator[str]:
    """What the ledger says that carriers took is what they took; what they took beside that was in doubt."""
    taken = {(carrier, line.id): line for carrier, line in e.phones}
    if len(taken) != len(e.phones):
        yield f"{len(e.phones) - len(taken)} ids were given twice by a carrier"
    doubtful = {(s.id, s.part) for s in e.submissions if s.kind == UNCERTAIN or s.late}
    booked, false = set[tuple[str, str]](), list[str]()
    for s in e.submissions:
        if s.kind != ACCEPTED:
            continue
        line = taken.get((s.carrier, s.carrier_id))
        if line is None or (e.accepted.get(line.to), line.part, line.parts) != (s.id, s.part, s.parts):
            false.append(s.id)
        booked.add((s.carrier, s.carrier_id))
    yield from _told("are with a carrier by the ledger, and no phone got that part", false)
    rest = [line for key, line in taken.items() if key not in booked]
    yield from _told("reached a phone that nobody sent to", (line.to for line in rest if line.to not in e.accepted))
    known = ((e.accepted.get(line.to, ""), line.part) for line in rest)
    yield from _told(
        "reached a phone, unknown to the ledger and never in doubt", (i for i, p in known if (i, p) not in doubtful)
    )
    arrived = defaultdict[str, set[int]](set)
    parts = {line.to: line.parts for _, line in e.phones}
    for _, line in e.phones:
        arrived[line.to].add(line.part)
    missing = (m.id for m in e.messages.values() if m.state == "delivered" and len(arrived[m.to]) != parts.get(m.to))
    yield from _told("are delivered and on no phone, or not all parts", missing)
    nowhere = [m for m in e.messages.values() if m.to not in parts]
    held = {i for i, _ in doubtful if i in e.messages and e.messages[i].klass not in RESEND_CLASSES}
    forgotten = (m.id for m in nowhere if m.id not in held and not (m.state in FINAL and m.reason in _NEVER_SENT))
    yield from _told("are on no phone, and neither in doubt nor too late to be sent", forgotten)


def doubled(e: Evidence) -> Iterator[str]:
    """Once, but for what was on the wire when something died, and that only in classes that prefer twice to never."""
    extra = extra_parts(e)
    held = {i for i in extra if i in e.messages and e.messages[i].klass not in RESEND_CLASSES}
    yield from _told("came twice in a class that is held", held)
    again = sum(number for i, number in extra.items() if i not in held)
    if again > e.doubtful:
        yield f"{again} parts came twice; at most {e.doubtful} were in doubt"
    in_doubt = {s.id for s in e.submissions if s.kind == UNCERTAIN or s.late}
    yield from _told("came twice and were never in doubt", extra.keys() - in_doubt)


def extra_parts(e: Evidence) -> Counter[str]:
    """By message: parts that a phone got more often than once."""
    times = Counter((line.to, line.part) for _, line in e.phones)
    extra = Counter[str]()
    for (to, _), number in times.items():
        if number > 1:
            extra[e.accepted.get(to, to)] += number - 1
    return extra


def costs(e: Evidence) -> Iterator[str]:
    """Every attempt and part is booked once, by what its carrier bills."""
    told, least, most = _told_by_unit(e), Counter[str](), Counter[str]()
    booked = Counter((s.id, s.attempt, s.part) for s in e.submissions if s.kind == ACCEPTED)
    yield from _told("have a part that one attempt booked twice", (unit[0] for unit, n in booked.items() if n > 1))
    for s in e.submissions:
        if s.kind == ACCEPTED:
            said = told[s.id, s.attempt, s.part]
            most[s.id] += s.price_micro * (not s.on_delivery or "delivered" in said)
            least[s.id] += s.price_micro * (not s.on_delivery or said == {"delivered"})  # else the first one decided
    wrong = (m.id for m in e.messages.values() if not least[m.id] <= m.cost_micro <= most[m.id])
    yield from _told("cost something else than their parts", wrong)


def endings(e: Evidence) -> Iterator[str]:
    """How a message ended is what receipts said of it."""
    told, units = _told_by_unit(e), _units(e.submissions)
    wrong = [m.id for m in e.messages.values() if not _follows(m, units[m.id], told)]
    yield from _told("ended otherwise than their receipts say", wrong)


def _follows(m: Message, attempts: dict[int, set[Unit]], told: dict[Unit, set[str]]) -> bool:
    said = [[told[unit] for unit in units] for units in attempts.values()]
    if m.state == "delivered":
        return any(all("delivered" in unit for unit in units) for units in said)
    if m.state == "undeliverable":
        return any(unit - {"delivered"} for units in said for unit in units)
    if m.state == "expired" and m.reason == "no_receipt":
        return not any(all(unit == {"delivered"} for unit in units) for units in said)
    return True  # ended by us: what a receipt says of it afterwards flips nothing


def _units(submissions: Iterable[Submission]) -> dict[str, dict[int, set[Unit]]]:
    """By message and attempt: all parts of each."""
    found = defaultdict[str, dict[int, set[Unit]]](dict)
    for s in submissions:
        if s.kind in (ACCEPTED, UNCERTAIN):
            found[s.id][s.attempt] = {(s.id, s.attempt, part) for part in range(1, s.parts + 1)}
    return found


def _told_by_unit(e: Evidence) -> dict[Unit, set[str]]:
    told = defaultdict[Unit, set[str]](set)
    for r in e.receipts:
        if r.state in _ENDINGS:
            told[r.id, r.attempt, r.part].add(r.state)
    return told


def callbacks(e: Evidence) -> Iterator[str]:
    """Applications heard of every state at least once, by `seq` without a hole, and the last one is the message's."""
    holes, other, unheard = list[str](), list[str](), list[str]()
    for m in e.messages.values():
        heard = e.heard.get(m.id, {})
        if heard.keys() != set(range(1, m.seq + 1)):
            holes.append(m.id)
        elif m.state in FINAL and heard.get(m.seq) != m.state:
            other.append(m.id)
        wanted = {} if m.id in e.own else {seq: state for seq, state in heard.items() if state in FAILED}
        if e.failures.get(m.id, {}) != wanted:
            unheard.append(m.id)
    yield from _told("have a hole in `seq`, or an event too many", holes)
    yield from _told("were last told of in another state than theirs", other)
    yield from _told("failed, and the endpoint of failures heard otherwise", unheard)
    yield from _told("were heard of and are none of ours", (e.heard.keys() | e.failures.keys()) - e.messages.keys())


def _told(what: str, ids: Iterable[str]) -> Iterator[str]:
    found = sorted(set(ids))
    if found:
        yield f"{len(found)} {what}: {', '.join(found[:_SHOWN])}"


CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (states, phones, doubled, costs, endings, callbacks)
