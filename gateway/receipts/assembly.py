"""Subscribers' messages out of pieces as carriers deliver them: parts joined, repeats found, waiting bounded.

In: pieces of some subscribers, what was settled lately among them. Out: whole messages and repeats; what is in neither
waits. Pure. Two subscribers, or two of our numbers, never share a message, whatever their references.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

SAME_MS: Final = 60_000
"""The same text again so soon is a carrier's repetition: its answer was lost on the way."""
PARTS_MS: Final = 300_000
"""How long a missing part is waited for, from the first that came."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One row of `inbound`. `total` 0: not one of several. `head`: the message that a settled one belongs to."""

    id: bytes
    at_ms: int
    carrier: str
    sender: str
    recipient: str
    text: str
    raw: bytes
    reference: int = -1
    total: int = 0
    number: int = 0
    settled: bool = False
    head: bytes = b""


class Whole(msgspec.Struct, frozen=True):
    """A message. `pieces` are its parts in order, the first that came is its head; `missing` parts never came."""

    head: Piece
    pieces: Sequence[Piece]
    text: str
    missing: int = 0


class Assembled(msgspec.Struct):
    """What one look brought. `repeats`: a piece, and the head of the message that it repeats."""

    wholes: list[Whole] = []
    repeats: list[tuple[Piece, bytes]] = []
    damaged: list[Piece] = []
    waiting: list[tuple[Piece, int]] = []
    """Pieces that wait for others, and until when (ms)."""


class _Open:
    """A message of several parts as far as it came; `head` is set once it was settled."""

    def __init__(self, first: Piece) -> None:
        self.parts = {first.number: first}
        self.first_ms, self.total = first.at_ms, first.total
        self.head = first.head
        self.repeats: list[Piece] = []


def assemble(pieces: Iterable[Piece], now_ms: int) -> Assembled:
    """Every piece that is not settled gets its place, or waits."""
    found = Assembled()
    by_dialogue: defaultdict[tuple[str, str, str], list[Piece]] = defaultdict(list)
    for piece in sorted(pieces, key=lambda p: (p.at_ms, p.id)):
        if not piece.sender:
            if not piece.settled:
                found.damaged.append(piece)
        else:
            by_dialogue[piece.carrier, piece.sender, piece.recipient].append(piece)
    for dialogue in by_dialogue.values():
        _take_single([p for p in dialogue if not p.total], found)
        _take_parts([p for p in dialogue if p.total], now_ms, found)
    found.wholes.sort(key=lambda w: (w.head.at_ms, w.head.id))
    return found


def _take_single(pieces: Sequence[Piece], found: Assembled) -> None:
    latest: dict[tuple[str, bytes], Piece] = {}
    for piece in pieces:
        before = latest.get((piece.text, piece.raw))
        if before is not None and piece.at_ms - before.at_ms <= SAME_MS:
            if not piece.settled:
                found.repeats.append((piece, before.head or before.id))
            continue
        latest[piece.text, piece.raw] = piece
        if not piece.settled:
            found.wholes.append(Whole(piece, (piece,), piece.text))


def _take_parts(pieces: Sequence[Piece], now_ms: int, found: Assembled) -> None:
    started: defaultdict[tuple[int, int], list[_Open]] = defaultdict(list)
    for piece in pieces:
        _place(piece, started[piece.reference, piece.total])
    for opened in started.values():
        for one in opened:
            _close(one, now_ms, found)


def _place(piece: Piece, opened: list[_Open]) -> None:
    """Into the newest message that it may belong to, or a new one."""
    for one in reversed(opened):
        if piece.at_ms - one.first_ms > PARTS_MS:
            break
        same = one.parts.get(piece.number)
        if piece.settled and one.head == piece.head:
            one.parts.setdefault(piece.number, piece)
            return
        if same is not None and (same.text, same.raw) == (piece.text, piece.raw):
            one.repeats.append(piece)
            return
        if same is None and not one.head and not piece.settled:
            one.parts[piece.number] = piece
            return
    opened.append(_Open(piece))


def _close(one: _Open, now_ms: int, found: Assembled) -> None:
    head = one.head
    fresh = [part for _, part in sorted(one.parts.items()) if not part.settled]
    if not head:
        until_ms = one.first_ms + PARTS_MS
        if len(one.parts) < one.total and now_ms < until_ms:
            found.waiting += [(piece, until_ms) for piece in (*fresh, *one.repeats)]
            return
        first = min(fresh, key=lambda p: (p.at_ms, p.id))
        head = first.id
        text = "".join(part.text for part in fresh)
        found.wholes.append(Whole(first, fresh, text, one.total - len(fresh)))
    found.repeats += [(piece, head) for piece in one.repeats if not piece.settled]
