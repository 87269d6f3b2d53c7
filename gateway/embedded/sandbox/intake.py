"""Takes the submits of one read: decides each one's fate, answers, counts, keeps, and schedules receipts.

In: positions of submit_sm in a read. Out: answers now or later, receipts now or later. The hot path of the sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.embedded.sandbox import magic, wire
from gateway.embedded.sandbox.handset import Kept, segment
from gateway.embedded.sandbox.handset import decode as decode_text
from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.magic_receipts import follow
from gateway.embedded.sandbox.profile import Fate
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu

if TYPE_CHECKING:
    from gateway.embedded.sandbox.session import Session

_MAGIC = magic.PREFIX.encode()

Spot = tuple[int, int, int]
"""Sequence number, and where the body of a PDU begins and ends in a read."""


class Lot:
    """Submits of one read that share a fate. Those to a magic number are in `taken`: their receipts differ."""

    __slots__ = ("answers", "bodies", "fate", "magic", "taken", "template", "wants")

    def __init__(self, fate: Fate, template: tuple[bytes, int], magic: Magic | None = None) -> None:
        self.fate = fate
        self.magic = magic
        self.taken: list[tuple[wire.Submit, bytes]] = []
        self.template = template
        self.answers: list[bytes] = []
        self.bodies: list[bytes] = []
        # registered_delivery (5.2.17): 1 any final state, 2 failures only, 3 success only (SMPP 5.0)
        self.wants = (False, True, fate.stat != "DELIVRD", fate.stat == "DELIVRD")


def take_submits(smsc: Smsc, session: Session, data: bytes, spots: Sequence[Spot], arrived: float) -> None:
    """Take them in order. Delays count from `arrived`, by the monotonic clock: when the read began."""
    if not spots:
        return
    counts = smsc.tally.counts
    wall = smsc.wall()
    counts.submits += len(spots)
    counts.first_submit = counts.first_submit or wall
    counts.last_submit = wall
    if session.account is None or session.kind == "receiver":
        counts.refused += len(spots)
        session.send(b"".join([pdu.encode(pdu.SUBMIT_SM_RESP, sequence, wire.NOT_BOUND) for sequence, _, _ in spots]))
        return
    lots = _sort(smsc, session, data, spots, wall)
    for lot in lots:
        _dispatch(smsc, session, lot, arrived)


def _sort(smsc: Smsc, session: Session, data: bytes, spots: Sequence[Spot], wall: float) -> list[Lot]:
    profile, choice, counts = smsc.profile, smsc.choice, smsc.tally.counts
    differs = choice.has_cases or profile.throttle_per_s > 0 or profile.window > 0
    lot = plain = Lot(choice.default, smsc.template(choice.default, wall))
    lots = {id(lot.fate): lot}
    messages: list[int] = []
    submissions: list[int] = []
    read, pack = wire.read_submit, wire.ANSWER.pack
    keep, watch = smsc.handset.keep, profile.watch.lstrip("+").encode()
    keeps, watches, magical = smsc.keeps, bool(watch), profile.magic
    number = smsc.take_ids(len(spots))
    for sequence, begin, end in spots:
        submit = read(data, begin, end)
        if submit is None:
            counts.malformed += 1
            counts.refused += 1
            session.send(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, wire.BAD_LENGTH))
            continue
        row = magic.BY_DIGITS.get(_digits(submit)) if magical and submit.recipient.startswith(_MAGIC, 2) else None
        if differs or row is not None:
            fate = _choose(smsc, session, submit) if differs else choice.default
            if row is not None and not fate.status:
                fate = smsc.tries.fate(row, hash(submit.source + submit.recipient + submit.body), profile.magic_speed)
            lot = lots.get(id(fate)) or lots.setdefault(id(fate), Lot(fate, smsc.template(fate, wall), row))
        else:
            lot = plain
        fate = lot.fate
        if fate.status:
            lot.answers.append(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, fate.status))
            continue
        message_id = b"%d" % number
        number += 1
        lot.answers.append(pack(36, pdu.SUBMIT_SM_RESP, 0, sequence, message_id))
        key = hash(submit.recipient + submit.body)
        messages.append(key)
        submissions.append(key ^ hash(submit.echo))
        if lot.magic is not None:
            lot.taken.append((submit, message_id))
        elif lot.wants[submit.registered & wire.REPLY_BITS]:
            body = wire.receipt(lot.template, submit, message_id)
            lot.bodies.append(body)
        if keeps or (watches and submit.recipient.startswith(watch, 2)):
            keep(Kept(wall, message_id, submit))
    smsc.tally.messages.add(messages)
    smsc.tally.submissions.add(submissions)
    return list(lots.values())


def _choose(smsc: Smsc, session: Session, submit: wire.Submit) -> Fate:
    profile, choice = smsc.profile, smsc.choice
    account = session.account
    if profile.window:
        session.unanswered += 1
        if session.unanswered > profile.window:
            return choice.full
    if profile.throttle_per_s and account is not None:
        burst = profile.throttle_burst or max(1.0, profile.throttle_per_s / 10)
        if not account.allow(smsc.monotonic(), profile.throttle_per_s, burst):
            smsc.tally.counts.throttled += 1
            return choice.throttled
    if not choice.has_cases:
        return choice.default
    place = segment(submit)
    return choice.of(_digits(submit), decode_text(place.coding, place.body), smsc.random())


def _digits(submit: wire.Submit) -> str:
    return submit.recipient[2:-1].decode("latin-1")


def _dispatch(smsc: Smsc, session: Session, lot: Lot, arrived: float) -> None:
    fate, count = lot.fate, len(lot.answers)
    counts = smsc.tally.counts
    if not count or session.account is None:
        return
    if fate.status:
        counts.refused += count
        counts.throttled += count if lot.magic is not None and fate.status == magic.THROTTLED else 0
    else:
        counts.answers += count if fate.answered else 0
        counts.unanswered += 0 if fate.answered else count
    delay_s = fate.answer_delay_ms / 1000
    if fate.answered:
        answers = b"".join(lot.answers)
        if delay_s:
            smsc.answers.put(arrived + delay_s, (session, answers, count, arrived))
        else:
            session.answer(answers, count)
    if lot.magic is not None:
        for submit, message_id in lot.taken:
            follow(smsc, session, session.account, lot.magic, submit, message_id, arrived)
        return
    bodies = lot.bodies if fate.receipts == 1 else lot.bodies * fate.receipts
    if not bodies:
        return
    counts.receipts_made += len(bodies)
    if delay_s or fate.receipt_delay_s:
        smsc.send_later(arrived + delay_s + fate.receipt_delay_s, session.account, session, bodies)
    else:
        session.account.deliver(bodies, session)
