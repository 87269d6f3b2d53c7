"""What the recorder remembers of the last batches: bounded, and the oldest of a backlog stay."""

from __future__ import annotations

from typing import Any

from gateway.events import Received, Submitted
from gateway.message import Message, id_tail, make_id
from gateway.provider import Receipt
from gateway.recorder.recent import STALE_MS, Recent

NOW_MS = 1_795_300_000_000
MESSAGE = Message("shop", "otp", "+79160000001", "Sluice", "hello", "gsm7", 1, 300)


def submitted(one: bytes, name: str) -> Submitted:
    given: dict[str, Any] = {"reason": "", "code": "", "carrier_message_id": name, "operator": "mts", "price_micro": 1}
    given |= {
        "currency": "RUB",
        "plan_version": 1,
        "route": "r",
        "routed_ms": 1,
        "sent_ms": 2,
        "answered_ms": 3,
        "echo": 4,
    }
    return Submitted(id=one, attempt=1, part=1, parts=1, carrier="alpha", bind="b", kind=0, **given)


def told(recent: Recent, *facts: Any, accepted: tuple[bytes, ...] = (), at_ms: int = NOW_MS) -> None:
    fold = recent.fold()
    fold.accept((one, MESSAGE) for one in accepted)
    fold.apply(facts, at_ms)
    fold.finish()
    recent.keep(fold)
    recent.commit(at_ms)


def ids(number: int) -> tuple[bytes, ...]:
    return tuple(make_id(NOW_MS + n, id_tail(0)) for n in range(number))


def test_a_message_is_remembered_until_it_is_final() -> None:
    recent, (one,) = Recent(), ids(1)
    told(recent, accepted=(one,))
    told(recent, submitted(one, "c1"))
    assert (recent.rows[one].rev, recent.rows[one].message) == (2, None)
    assert recent.submissions == {("alpha", "c1"): (one, 1, 1, "id", 0, "RUB")}
    told(recent, Received("alpha", NOW_MS, Receipt("c1", "delivered")))
    assert (recent.rows, recent.submissions) == ({}, {})


def test_of_a_backlog_the_oldest_stay() -> None:
    recent, some = Recent(capacity=3), ids(5)
    told(recent, accepted=some)
    assert list(recent.rows) == list(some[:3])


def test_what_waits_long_for_a_receipt_makes_room() -> None:
    recent, some = Recent(capacity=3), ids(5)
    told(recent, *(submitted(one, one.hex()) for one in some[:3]), accepted=some[:3])
    told(recent, accepted=some[3:], at_ms=NOW_MS + STALE_MS + 100)
    assert list(recent.rows) == list(some[3:])
    assert not recent.submissions


def test_nothing_is_remembered_after_a_rollback() -> None:
    recent, some = Recent(), ids(2)
    told(recent, *(submitted(one, one.hex()) for one in some), accepted=some)
    recent.forget()
    assert (recent.rows, recent.submissions) == ({}, {})
