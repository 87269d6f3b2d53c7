"""What is unusual about failures: which reason has grown, and whose fault that is. Pure.

In: counts by carrier and operator and by client and sender, now and in the same hours of earlier days. Out: findings. A
growth is laid on the scope where it stands out most; what that explains is taken from scopes that share its messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.ledger.slices import COUNTS
from gateway.stats.definitions import UNDELIVERED
from gateway.stats.evidence import share_score
from gateway.stats.slicing import Slice

SILENT: Final = "silence"
"""Stands where a reason stands: no receipt came."""

_DELIVERED, _EXPIRED, _SUBMITTED, _UNKNOWN = map(COUNTS.index, ("delivered", "expired", "submitted", "unknown"))
_FAILED: Final = tuple(COUNTS.index(state) for state in UNDELIVERED if state != "expired")

_SCORE: Final = 6.0
_LEAST_MESSAGES: Final = 60
_LEAST_MORE: Final = 12.0
_LEAST_SHARE: Final = 0.02


class Scope(NamedTuple):
    """Whose messages: an empty name stands for all."""

    carrier: str = ""
    operator: str = ""
    client: str = ""
    sender: str = ""

    @property
    def is_of_clients(self) -> bool:
        return bool(self.client or self.sender)

    def has(self, other: Scope) -> bool:
        """Whether all messages of the other one are in it."""
        return all(not mine or mine == its for mine, its in zip(self, other, strict=True))


class Cell(msgspec.Struct):
    """Messages of a scope that had a fate, and how many had each bad one."""

    all: int = 0
    bad: dict[str, int] = {}

    def add(self, messages: int, fate: str, bad: int) -> None:
        self.all += messages
        if bad:
            self.bad[fate] = self.bad.get(fate, 0) + bad


class Growth(NamedTuple):
    """A reason that has grown in a scope."""

    scope: Scope
    reason: str
    score: float
    share: float
    usual: float
    more: float
    """Messages beyond what is usual."""


Cells = Mapping[Scope, Cell]


def carrier_cells(slices: Iterable[Slice]) -> dict[Scope, Cell]:
    """Of slices by carrier, operator and reason."""
    return _cells(slices, lambda c, o: (Scope(c), Scope("", o), Scope(c, o)) if c else ())


def client_cells(slices: Iterable[Slice]) -> dict[Scope, Cell]:
    """Of slices by client, sender and reason."""
    return _cells(slices, lambda c, s: (Scope(client=c), Scope(client=c, sender=s)))


def _cells(slices: Iterable[Slice], scopes: Callable[[str, str], Iterable[Scope]]) -> dict[Scope, Cell]:
    pairs: defaultdict[tuple[str, str], Cell] = defaultdict(Cell)
    for one in slices:
        first, second, reason = one.values
        counts = one.figures.counts
        silent, failed = counts[_SUBMITTED] + counts[_UNKNOWN], sum([counts[at] for at in _FAILED])
        if reason == "no_receipt":
            silent += counts[_EXPIRED]
        else:
            failed += counts[_EXPIRED]
        cell = pairs[first, second]
        cell.add(counts[_DELIVERED] + failed, reason or "other", failed)
        cell.add(silent, SILENT, silent)
    found: defaultdict[Scope, Cell] = defaultdict(Cell)
    for (first, second), cell in pairs.items():
        for scope in scopes(first, second):
            whole = found[scope]
            whole.all += cell.all
            for fate, bad in cell.bad.items():
                whole.bad[fate] = whole.bad.get(fate, 0) + bad
    return found


def growths(now: Cells, earlier: Sequence[Cells]) -> list[Growth]:
    """What stands out, the clearest first, each message's trouble once."""
    candidates = [growth for scope, cell in now.items() for growth in _of(scope, cell, earlier)]
    shares = {(growth.scope, growth.reason): growth for growth in candidates}
    kept: list[Growth] = []
    left = [growth for growth in candidates if _stands_out(growth)]
    while left:
        best = max(left, key=lambda growth: (growth.score * _breadth(growth, shares), growth.more))
        kept.append(best)
        left = [rest for growth in left if growth is not best and (rest := _without(growth, best, shares)) is not None]
    return kept


def _of(scope: Scope, cell: Cell, earlier: Sequence[Cells]) -> Iterator[Growth]:
    if cell.all < _LEAST_MESSAGES:
        return
    before = [cells.get(scope, Cell()) for cells in earlier]
    total = sum(one.all for one in before)
    if total < _LEAST_MESSAGES:
        return
    for reason, bad in cell.bad.items():
        usual = [(one.bad.get(reason, 0), one.all) for one in before]
        expected = sum(good for good, _ in usual) / total
        more = bad - expected * cell.all
        if more > 0:
            score = share_score(bad, cell.all, usual)
            yield Growth(scope, reason, score, bad / cell.all, expected, more)


def _stands_out(growth: Growth) -> bool:
    grown = growth.share - growth.usual
    return (
        growth.score >= _SCORE
        and growth.more >= _LEAST_MORE
        and grown >= _LEAST_SHARE
        and growth.share >= 1.8 * growth.usual
    )


def _breadth(growth: Growth, shares: Mapping[tuple[Scope, str], Growth]) -> float:
    """A carrier or an operator of which all parts have grown alike is named before any of its parts."""
    scope = growth.scope
    if scope.is_of_clients:
        parts = [g for (s, r), g in shares.items() if r == growth.reason and s != scope and scope.has(s) and s.sender]
        narrow = bool(scope.sender)
    else:
        parts = [g for (s, r), g in shares.items() if r == growth.reason and s != scope and scope.has(s) and s.carrier]
        narrow = bool(scope.carrier and scope.operator)
    if narrow:
        return 1.0
    rise = growth.share - growth.usual
    alike = sum(part.more for part in parts if part.share - part.usual >= 0.5 * rise)
    even = len([part for part in parts if part.share - part.usual >= 0.5 * rise])
    return 1.5 if even >= 2 and alike >= 0.8 * growth.more else 0.5


def _without(growth: Growth, best: Growth, shares: Mapping[tuple[Scope, str], Growth]) -> Growth | None:
    """What is left of it when the messages of `best` are left out; None: it does not stand out any more."""
    mine, its = growth.scope, best.scope
    if its.has(mine) and not (mine.is_of_clients and not its.is_of_clients):
        return None if growth.reason == best.reason or growth.share < 1.5 * best.share else growth
    if growth.reason != best.reason:
        return growth
    if mine.is_of_clients != its.is_of_clients:
        explained = min(growth.more, best.more)
    elif mine.has(its):
        explained = best.more
    else:
        both = Scope(*(a or b for a, b in zip(mine, its, strict=True)))
        crosses = both.has(mine) or mine.has(both)
        shared = shares.get((both, growth.reason)) if crosses and its.has(both) else None
        explained = shared.more if shared else 0.0
    rest = growth.more - explained
    if rest <= 0.0 or rest < 0.25 * growth.more:
        return None
    part = rest / growth.more
    left = growth._replace(
        more=rest, score=growth.score * part, share=growth.usual + (growth.share - growth.usual) * part
    )
    return left if _stands_out(left) else None
