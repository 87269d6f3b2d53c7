"""`/v1/stoplist`: numbers that are not to be sent to, for everybody's messages or for one client's.

In: numbers. Out: what changed, live in every process within a second. Never: another client's list to a client, a
number in full without the scope `privacy`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from gateway import logs
from gateway.api import call, privacy, query
from gateway.api.call import Answer, Call
from gateway.api.problems import Code, Fault, Problem, from_faults, problem
from gateway.api.render import time_of
from gateway.api.stop_documents import (
    MAX_NUMBERS,
    NewStops,
    OldStops,
    StopCheck,
    StopPage,
    StopsAdded,
    StopsRemoved,
    StopView,
)
from gateway.api.webhooks import ask, document
from gateway.live import stops as live_stops
from gateway.message import CLASSES
from gateway.stops.classes import BITS, UNLESS_SAID, classes_of, mask_of
from gateway.store import stops
from gateway.store.stops import Listed, Source, StopRow
from gateway.text import numbers

log = logs.stage("api")

_OF_CLIENTS: Final[tuple[Source, ...]] = ("client", "inbound")
_PUBLISH_S: Final = 5.0
KNOWN_S: Final = 0.7
"""So long the answer to a removal waits: then every process knows of it, and a message that is sent the moment after is
not ended by one that does not."""

_MOST_FAULTS: Final = 100
_TURN_S: Final = 0.002


def is_operator(c: Call) -> bool:
    """Whether the key may handle everybody's lists."""
    return bool(c.rights.scopes & {"ops", "plan", "admin"})


async def add(c: Call) -> Answer:
    """Put numbers on a list."""
    wanted = await document(c, NewStops)
    if isinstance(wanted, Problem):
        return wanted
    client = _whose(c, wanted.client)
    if isinstance(client, Problem):
        return client
    if "\0" in wanted.reason:
        return problem(Code.FORBIDDEN_CHARACTER, "U+0000 cannot be stored: leave it out.", pointer="/reason")
    parsed = await _numbers(c, wanted.numbers)
    if isinstance(parsed, Problem):
        return parsed
    source: Source = "operator" if is_operator(c) else "client"
    listed = Listed(client, mask_of(wanted.classes or UNLESS_SAID), source, c.who, wanted.reason)
    made = await ask(stops.add(c.gate.pool, parsed, listed))
    if isinstance(made, Problem):
        return made
    if made.fresh or made.changed:
        await publish(c)
        if len(parsed) < MAX_NUMBERS:  # a full request is one of many: the last one of them waits for all
            await asyncio.sleep(KNOWN_S)
    return call.answer(StopsAdded(made.fresh, made.changed, len(set(parsed)) - made.fresh - made.changed))


async def remove(c: Call) -> Answer:
    """Take a number off a list, or only a class of it."""
    if wrong := query.known_only(c.request.query, ("client", "class")):
        return wrong
    client = _whose(c, c.request.query.get("client"))
    if isinstance(client, Problem):
        return client
    klass = c.request.query.get("class")
    if klass is not None and klass not in BITS:
        return query.invalid("class", f"`class` is one of {', '.join(CLASSES)}.")
    number = _number(c)
    return number if isinstance(number, Problem) else await _remove(c, (number,), client, (klass,) if klass else ())


async def remove_many(c: Call) -> Answer:
    """Take many numbers off a list."""
    wanted = await document(c, OldStops)
    if isinstance(wanted, Problem):
        return wanted
    client = _whose(c, wanted.client)
    if isinstance(client, Problem):
        return client
    parsed = await _numbers(c, wanted.numbers)
    return parsed if isinstance(parsed, Problem) else await _remove(c, parsed, client, wanted.classes)


async def _remove(c: Call, found: Sequence[str], client: str, classes: Sequence[str]) -> Answer:
    sources, mask = () if is_operator(c) else _OF_CLIENTS, mask_of(classes or CLASSES)
    gone = await ask(stops.remove(c.gate.pool, found, client, who=c.who, mask=mask, sources=sources))
    if isinstance(gone, Problem):
        return gone
    left = await ask(stops.count_of(c.gate.pool, found, client, mask))
    if isinstance(left, Problem):
        return left
    if gone:
        await publish(c)
        await asyncio.sleep(KNOWN_S)
    return call.answer(StopsRemoved(gone, left))


async def check(c: Call) -> Answer:
    """What is stopped for a number, and why."""
    if wrong := query.known_only(c.request.query, ("client",)):
        return wrong
    client = _whose(c, c.request.query.get("client"))
    if isinstance(client, Problem):
        return client
    number = _number(c)
    if isinstance(number, Problem):
        return number
    rows = await ask(stops.of_number(c.gate.pool, number))
    if isinstance(rows, Problem):
        return rows
    everything = is_operator(c) and c.request.query.get("client") is None
    entries = [row for row in rows if everything or row.client in ("", client)]
    mask = 0
    for row in entries:
        mask |= row.mask if row.client in ("", client) else 0
    full = await privacy.look(c, "stoplist.look", number=number, found=len(entries))
    shown = number if full else logs.masked(number)
    views = [_view(c, row, full) for row in entries]
    return call.answer(StopCheck(shown, classes_of(mask), views))  # type: ignore[arg-type]


async def list_entries(c: Call) -> Answer:
    """A list, newest first. An operator who names no client sees all of them."""
    given = c.request.query
    if wrong := query.known_only(given, ("client", "limit", "cursor")):
        return wrong
    client = _whose(c, given.get("client"))
    limit, cursor = query.limit(given), query.cursor(given)
    for one in (client, limit, cursor):
        if isinstance(one, Problem):
            return one
    assert isinstance(client, str) and isinstance(limit, int) and not isinstance(cursor, Problem)
    whose = None if is_operator(c) and given.get("client") is None else client
    before = int.from_bytes(cursor, "big") if cursor else 0
    if before > 2**63 - 1:
        before = 0
    rows = await ask(stops.page(c.gate.pool, whose, limit + 1, before))
    if isinstance(rows, Problem):
        return rows
    more = None
    if len(rows) > limit:
        rows = rows[:limit]
        more = query.next_page("/v1/stoplist", given, rows[-1].id.to_bytes(16, "big"))
    headers = {"Link": f'<{more}>; rel="next"'} if more else {}
    full = bool(rows) and await privacy.look(c, "stoplist.look", client or "everybody", found=len(rows))
    return call.answer(StopPage([_view(c, row, full) for row in rows], more), headers=headers)


def _whose(c: Call, given: str | None) -> str | Problem:
    """Whose list is meant; empty: everybody's."""
    if is_operator(c):
        return given or ""
    if given is None or given == c.client:
        return c.client
    return problem(
        Code.SCOPE_MISSING,
        "Another client's list, or everybody's, needs the scope `ops` or `plan`: leave `client` out.",
    )


async def _numbers(c: Call, given: Sequence[str]) -> list[str] | Problem:
    """In E.164. Others have a turn now and then: numbers in odd forms take their time."""
    if len(given) > MAX_NUMBERS:
        return problem(Code.INVALID_VALUE, f"Give at most {MAX_NUMBERS:,} numbers in one request.", pointer="/numbers")
    found: list[str] = []
    faults: list[Fault] = []
    turn = time.perf_counter()
    for place, text in enumerate(given):
        if not place & 15 and time.perf_counter() - turn > _TURN_S:
            await asyncio.sleep(0)
            turn = time.perf_counter()
        try:
            found.append(numbers.parse(text, c.gate.rules.region))
        except numbers.NumberError as e:
            faults.append(Fault(Code(e.code), e.sentence, f"/numbers/{place}"))
            if len(faults) == _MOST_FAULTS:
                break
    return from_faults(faults) if faults else found


def _number(c: Call) -> str | Problem:
    try:
        return numbers.parse(c.params["number"], c.gate.rules.region)
    except numbers.NumberError as e:
        return problem(Code(e.code), e.sentence)


async def publish(c: Call) -> None:
    """Tell every process. The change is committed: when that is not possible now, each process' publisher makes up
    for it."""
    try:
        async with asyncio.timeout(_PUBLISH_S):
            await live_stops.publish(c.gate.pool, c.gate.redis)
    except (*live_stops.NOT_NOW, TimeoutError) as e:
        log.warning("stops_not_published", reason=e)


def _view(c: Call, row: StopRow, full: bool) -> StopView:
    own = is_operator(c) or row.client == c.client
    return StopView(
        number=row.recipient if full else logs.masked(row.recipient),
        client=row.client or None,
        classes=classes_of(row.mask),  # type: ignore[arg-type]
        source=row.source,  # type: ignore[arg-type]
        reason=row.reason if own else None,
        who=row.who if own else None,
        at=time_of(row.at_ms),
    )
