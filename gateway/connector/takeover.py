"""What a connector that is gone left on the wire: settled before the next one begins to send.

In: the marks of a shard, the journals of this host. Out: verdicts, written down. Never: anything sent.
"""

from __future__ import annotations

import logging

import msgspec

from gateway import metrics
from gateway.connector.committer import Committer
from gateway.connector.flight import Flight, Mark, Verdict, abandoned, apply_treatment
from gateway.connector.journal import Left
from gateway.connector.pump import entry_flight
from gateway.events import Ended
from gateway.message import State, UnknownVersionError, unpack_journey, unpack_message
from gateway.provider import Kind, Provider, Reason
from gateway.streams.reader import Queued, queued

log = logging.getLogger("connector")

_PAGE = 500


async def take_over(committer: Committer, provider: Provider, left: Left) -> None:
    """What is marked and still in the streams is what may have been sent: settle it as the carrier answered, if a
    journal tells that, else by the policy of its class."""
    carrier = committer.carrier
    link, seen, count, doubtful = committer.link, set[bytes](), 0, 0
    now = link.clock_ms()
    marks = await link.call(b"HKEYS", link.prefix + "marks:" + carrier)
    for field in marks:
        stream, first, last = field.split(b"|")
        entries = await _range(committer, stream.decode(), first, last, seen)
        mark = Mark(committer.link.shard or 0, stream.decode(), first, last, len(entries))
        for entry in entries:
            flight, verdict = _abandon(entry, mark, provider, now, left, link.run_id)
            committer.put(flight, verdict)
            doubtful += any(outcome.kind == Kind.UNCERTAIN for _, outcome in flight.answers)
        count += len(entries)
        if not entries:
            await link.call(b"HDEL", link.prefix + "marks:" + carrier, field)
    if count:
        metrics.taken_over.labels(carrier).inc(doubtful)
        told = {"carrier": carrier, "messages": doubtful, "answered": count - doubtful}
        log.warning("uncertain_after_takeover", extra=told)
        await committer.report([])


async def _range(committer: Committer, stream: str, first: bytes, last: bytes, seen: set[bytes]) -> list[Queued]:
    link, found, cursor = committer.link, list[Queued](), first
    while page := await link.call(b"XRANGE", link.prefix + stream, cursor, last, b"COUNT", _PAGE):
        found += [queued(raw) for raw in page]
        cursor = b"(" + page[-1][0]
    fresh = [entry for entry in found if entry.entry_id + stream.encode() not in seen]
    seen.update(entry.entry_id + stream.encode() for entry in fresh)
    return fresh


def _abandon(
    entry: Queued, mark: Mark, provider: Provider, now_ms: int, left: Left, run: bytes
) -> tuple[Flight, Verdict]:
    try:
        message, journey = unpack_message(entry.value[16:]), unpack_journey(entry.journey)
    except (UnknownVersionError, msgspec.DecodeError):
        flight = entry_flight(entry, mark)
        return flight, Verdict([Ended(entry.message_id, State.FAILED, Reason.DAMAGED)])
    flight = Flight(entry, mark, message, journey, 0, [], settled=True)
    if journey.treatment:
        apply_treatment(flight)
        message = flight.message
    texts = (message.text,) if message.parts == 1 else provider.split(message.text, message.encoding)
    return flight, abandoned(flight, texts, provider.whole, now_ms, left.of(flight, run, len(texts)))
