"""What one `route` script does with the first entries of a lane. Pure.

In: entries, what is struck out of them, plan, surroundings. Out: the script's arguments, and what to count after it.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Sequence

import msgspec

from gateway import metrics
from gateway.events import AnyFact, Ended, Parked, pack_facts
from gateway.plan.admission import list_of
from gateway.plan.choice import Compiled
from gateway.plan.surroundings import Surroundings
from gateway.provider import Reason
from gateway.router.decide import Move, Moves, decide
from gateway.streams.link import Arg
from gateway.streams.packs import Entry


class Batch(msgspec.Struct, gc=False):
    """`targets`: moves that differ; `numbers`: of each message in `values` its target, from 1."""

    leaving: int = 0
    targets: list[Move] = []
    numbers: array[int] = msgspec.field(default_factory=lambda: array("H"))
    values: list[bytes] = []
    facts: list[AnyFact] = []
    struck: set[bytes] = set()
    unreadable: list[bytes] = []
    waited_ms: int = 0  # of the first in line
    paused: list[tuple[str, bytes]] = []
    """(tag, message id) of those that wait until their tag is resumed."""

    def arguments(self) -> list[Arg]:
        """From `facts` on, as described above the script."""
        numbers = self.numbers[:]
        if sys.byteorder != "little":
            numbers.byteswap()
        found: list[Arg] = [pack_facts(self.facts) if self.facts else b""]
        found += (-self.leaving, b"".join(self.struck), len(self.targets))
        for move in self.targets:
            found += (move.op, move.where, move.journey)
        return [*found, numbers.tobytes(), *self.values]

    def count(self, klass: str) -> None:
        """Into the metrics: where the messages of one class went."""
        metrics.intake_wait.labels(klass).observe(max(0, self.waited_ms) / 1000, self.leaving)
        for number, messages in Counter(self.numbers).items():
            move = self.targets[number - 1]
            if move.op == "o":
                metrics.routed.labels(move.where.partition(":")[0], klass).inc(messages)
        for fact in self.facts:
            if isinstance(fact, Ended):
                metrics.ended.labels(fact.state, fact.reason).inc()
                if fact.reason == Reason.STOPPED:
                    metrics.stopped.labels(list_of(fact.by), klass).inc()
            elif isinstance(fact, Parked):
                metrics.parked.labels(fact.reason).inc()


def judged(entries: Sequence[Entry], struck: set[bytes], plan: Compiled, around: Surroundings) -> Batch:
    """Decide for every message. What was struck out only leaves; a pack that cannot be read too."""
    batch, known = Batch(waited_ms=around.now_ms - entries[0].at_ms), Moves()
    add_number, add_value = batch.numbers.append, batch.values.append
    for entry in entries:
        messages = entry.messages
        if entry.packed is None:
            batch.unreadable.append(entry.entry_id)
        elif struck and entry.packed:
            batch.struck.update(q.message_id for q in messages if q.message_id in struck)
            messages = [q for q in messages if q.message_id not in struck]
        batch.leaving += len(messages)
        for queued in messages:
            move = decide(queued, plan, around, known)
            if move.fact is not None:
                batch.facts.append(move.fact)
            if move.tag:
                batch.paused.append((move.tag, queued.message_id))
            if move.op:
                if not move.number:
                    batch.targets.append(move)
                    move.number = len(batch.targets)
                add_number(move.number)
                add_value(queued.value)
    return batch
