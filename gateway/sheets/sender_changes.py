"""What another registry of senders changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from gateway.plan.document import Plan, Sender
from gateway.plan.rates import Spellings

_Place = tuple[str, frozenset[str], frozenset[str], frozenset[str], frozenset[str]]


class SenderSummary(msgspec.Struct, frozen=True):
    """Everything that a person wants to know before activating."""

    rows: int
    new: int
    gone: int
    changed: int
    """Rows of the same places in another state."""
    unknown_operators: tuple[str, ...]
    """Spellings that the plan has no operator for: their rows register nothing there."""
    unknown_carriers: tuple[str, ...]


def compare(plan: Plan, before: Iterable[Sender], after: Iterable[Sender]) -> SenderSummary:
    """What changes when `after` takes the place of `before`."""
    old, new = ({_place(sender): sender.state for sender in rows} for rows in (before, rows_of(after)))
    names, carriers = Spellings(plan.operators), {carrier.name for carrier in plan.carriers}
    return SenderSummary(
        rows=len(new),
        new=len(new.keys() - old.keys()),
        gone=len(old.keys() - new.keys()),
        changed=sum(old[place] != new[place] for place in old.keys() & new.keys()),
        unknown_operators=tuple(sorted({o for place in new for o in place[2] if names.name(o) is None})),
        unknown_carriers=tuple(sorted({c for place in new for c in place[1]} - carriers)),
    )


def merged(kept: Sequence[Sender], new: Sequence[Sender], carrier: str) -> tuple[Sender, ...]:
    """The registry after an import. With a carrier its own rows are replaced; without, all of them are."""
    if not carrier:
        return tuple(new)
    its = (msgspec.structs.replace(row, carriers=row.carriers or (carrier,)) for row in new)
    return (*(row for row in kept if row.carriers != (carrier,)), *its)


def rows_of(senders: Iterable[Sender]) -> list[Sender]:
    """Once each."""
    return list({_place(sender): sender for sender in senders}.values())


def _place(sender: Sender) -> _Place:
    s = sender
    return s.name, frozenset(s.carriers), frozenset(s.operators), frozenset(s.classes), frozenset(s.clients)
