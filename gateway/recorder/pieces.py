"""Entries of the events stream, decoded, in pieces that can be divided until one bad value stands alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.events import AnyFact, pack_facts, unpack_facts
from gateway.message import RESEND_CLASSES, Message, pack_message, unpack_message
from gateway.store.offsets import StreamId, stream_id, stream_id_text
from gateway.store.quarantine import Refused
from gateway.streams.facts import Entry


class Piece(msgspec.Struct, gc=False):
    """An entry or a part of one. `broken`: values of it that cannot be read."""

    at: StreamId
    run: str
    accepted: Sequence[tuple[bytes, Message]]
    facts: Sequence[AnyFact]
    broken: Sequence[Refused] = ()

    @property
    def at_ms(self) -> int:
        """When the entry was made."""
        return self.at[0]

    @property
    def size(self) -> int:
        """Events in it."""
        return len(self.accepted) + len(self.facts)

    @property
    def urgent(self) -> bool:
        """Whether it brings urgent messages; of an entry with several lanes the first and the last are looked at."""
        a = self.accepted
        return bool(a) and (a[0][1].klass in RESEND_CLASSES or a[-1][1].klass in RESEND_CLASSES)


def decode(entry: Entry) -> Piece:
    """Never fails: what cannot be read is `broken`."""
    at = stream_id(entry.id)
    broken: list[Refused] = []
    try:
        accepted = [(message_id, unpack_message(value)) for message_id, value in entry.accepted]
    except (ValueError, msgspec.DecodeError):
        accepted = _one_by_one(at, entry.accepted, broken)
    facts: list[AnyFact] = []
    if entry.facts:
        try:
            facts = unpack_facts(entry.facts)
        except (ValueError, msgspec.DecodeError) as e:
            broken.append(Refused(stream_id_text(at), "facts", None, str(e), entry.facts))
    return Piece(at, entry.run.decode(), accepted, facts, broken)


def _one_by_one(
    at: StreamId, values: Sequence[tuple[bytes, bytes]], broken: list[Refused]
) -> list[tuple[bytes, Message]]:
    accepted: list[tuple[bytes, Message]] = []
    for message_id, value in values:
        try:
            accepted.append((message_id, unpack_message(value)))
        except (ValueError, msgspec.DecodeError) as e:
            broken.append(Refused(stream_id_text(at), "accepted", message_id, str(e), value))
    return accepted


def divide(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]] | None:
    """Two halves in order; None when there is nothing left to divide."""
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return pieces[:middle], pieces[middle:]
    (piece,) = pieces
    if piece.size < 2:
        return None
    accepted, facts = piece.accepted, piece.facts
    if accepted and facts:
        first, second = (accepted, facts[:0]), (accepted[:0], facts)
    else:
        a, f = len(accepted) // 2, len(facts) // 2
        first, second = (accepted[:a], facts[:f]), (accepted[a:], facts[f:])
    return (Piece(piece.at, piece.run, *first, piece.broken),), (Piece(piece.at, piece.run, *second),)


def refused(piece: Piece, error: Exception) -> Sequence[Refused]:
    """The single value of a piece that the store would not take."""
    entry = stream_id_text(piece.at)
    reason = f"{type(error).__name__}: {error}"
    for message_id, message in piece.accepted:
        return [*piece.broken, Refused(entry, "accepted", message_id, reason, pack_message(message))]
    for fact in piece.facts:
        found = getattr(fact, "id", None)
        return [*piece.broken, Refused(entry, type(fact).__name__.lower(), found, reason, pack_facts([fact]))]
    return piece.broken
