"""From rows and stored messages to the documents that clients see. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.api import moments
from gateway.api.documents import BatchView, MessageView
from gateway.api.moments import By, price, time_of, time_or_none, words
from gateway.events import Batched
from gateway.message import FINAL, Message, id_text, id_time_ms
from gateway.store.messages import BatchFound, Found, Timeline

__all__ = ["batch", "found", "just_accepted", "just_batched", "price", "time_of", "words"]

_FINAL: Final = frozenset(str(s) for s in FINAL)


def found(row: Found, timeline: Timeline | None = None) -> MessageView:
    """A message that PostgreSQL has."""
    return MessageView(
        id=id_text(row.id),
        state=row.state,  # type: ignore[arg-type]
        reason=row.reason or None,
        reason_text=words(row.reason),
        to=row.recipient,
        sender=row.sender,
        klass=row.klass,  # type: ignore[arg-type]
        text=row.text,
        parts=row.parts,
        parts_delivered=row.parts_delivered,
        encoding=row.encoding,
        ref=row.ref or None,
        tag=row.tag or None,
        carrier=row.carrier or None,
        operator=row.operator or None,
        price=price(row.cost_micro, row.currency),
        accepted_at=time_of(row.accepted_ms),
        changed_at=time_of(row.changed_ms),
        validity_s=(row.deadline_ms - max(row.accepted_ms, row.send_at_ms)) // 1000,
        send_at=time_or_none(row.send_at_ms),
        callback_url=row.callback_url or None,
        batch_id=id_text(row.batch_id) if row.batch_id else None,
        meta=msgspec.Raw(row.meta.encode()) if row.meta else None,
        test=row.test,
        timeline=None if timeline is None else moments.timeline(row, timeline),
        retry_of=id_text(timeline.retry_of) if timeline is not None and timeline.retry_of else None,
        retried_as=id_text(timeline.retried_as) if timeline is not None and timeline.retried_as else None,
    )


def just_accepted(message_id: bytes, message: Message, accepted_ms: int, key_name: str = "") -> MessageView:
    """A message that PostgreSQL does not have yet."""
    scheduled = message.send_at_ms > accepted_ms
    return MessageView(
        id=id_text(message_id),
        state="scheduled" if scheduled else "accepted",
        reason=None,
        to=message.to,
        sender=message.sender,
        klass=message.klass,  # type: ignore[arg-type]
        text=message.text,
        parts=message.parts,
        encoding=message.encoding,
        ref=message.ref or None,
        tag=message.tag or None,
        carrier=None,
        operator=None,
        price=None,
        accepted_at=time_of(accepted_ms),
        changed_at=time_of(accepted_ms),
        validity_s=message.validity_s,
        send_at=time_or_none(message.send_at_ms),
        callback_url=message.callback_url or None,
        batch_id=id_text(message.batch_id) if message.batch_id else None,
        meta=msgspec.Raw(message.meta) if message.meta else None,
        test=message.test,
        timeline=moments.beginning(By(message.client, message.key_id, key_name), accepted_ms, message.send_at_ms),
    )


def batch(row: BatchFound) -> BatchView:
    """A batch that PostgreSQL has. Messages that it does not have yet count as accepted."""
    states = dict(row.states)
    if (behind := row.accepted - sum(states.values())) > 0:
        states["accepted"] = states.get("accepted", 0) + behind
    return BatchView(
        id=id_text(row.id),
        accepted_at=time_of(row.at_ms),
        accepted=row.accepted,
        duplicates=row.duplicates,
        rejected=row.rejected,
        open=sum(count for state, count in states.items() if state not in _FINAL),
        states=states,
    )


def just_batched(fact: Batched) -> BatchFound:
    """A batch that PostgreSQL does not have yet."""
    return BatchFound(fact.id, fact.client, id_time_ms(fact.id), fact.accepted, fact.duplicates, fact.rejected, {})
