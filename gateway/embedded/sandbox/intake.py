"""Takes the submits of one read: decides each one's fate, answers, counts, keeps, and schedules receipts.

In: positions of submit_sm in a read. Out: answers now or later, receipts now or later. The hot path of the sandbox:
under a profile with plain fates all that are alike are dealt with at once; `single` does what is peculiar.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.embedded.sandbox import choosing, magic, single, trouble, wire
from gateway.embedded.sandbox.handset import Kept
from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.magic_receipts import follow
from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.profile import Fate
from gateway.embedded.sandbox.single import Spot
from gateway.embedded.sandbox.smsc import Smsc
from gateway.embedded.sandbox.spread import Spread
from gateway.smpp import pdu

_MAGIC = magic.PREFIX.encode()


class Lot:
    """Submits of one read that share a fate. Those to a magic number are in `taken`: their receipts differ."""

    __slots__ = ("answers", "bodies", "delay_s", "fate", "magic", "receipt_s", "taken", "template", "wants")

    def __init__(self, smsc: Smsc, fate: Fate, wall: float, magic: Magic | None = None) -> None:
        assert not isinstance(fate.answer_delay_ms, Spread) and not isinstance(fate.receipt_delay_s, Spread)
        self.fate = fate
        self.magic = magic
        self.delay_s, self.receipt_s = fate.answer_delay_ms / 1000, fate.receipt_delay_s
        self.taken: list[tuple[wire.Submit, int]] = []
        self.template = smsc.template(fate.stat, fate.err, wall, wall + self.delay_s + self.receipt_s)
        self.answers: list[bytes] = []
        self.bodies: list[bytes] = []
        # registered_delivery (5.2.17): 1 any final state, 2 failures only, 3 success only (SMPP 5.0)
        self.wants = wire.wanted(fate.stat)


def take_submits(smsc: Smsc, peer: Peer, data: bytes, spots: Sequence[Spot], arrived: float) -> None:
    """Take them in order. Delays count from `arrived`, by the monotonic clock: when the read began."""
    if not spots:
        return
    counts = smsc.tally.counts
    wall = smsc.wall()
    counts.submits += len(spots)
    counts.first_submit = counts.first_submit or wall
    counts.last_submit = wall
    if peer.account is None or peer.kind == "receiver":
        counts.refused += len(spots)
        peer.send(b"".join([pdu.encode(pdu.SUBMIT_SM_RESP, sequence, wire.NOT_BOUND) for sequence, _, _ in spots]))
        return
    if not smsc.choice.is_plain:
        single.take(smsc, peer, peer.account, data, spots, arrived)
    else:
        for lot in _sort(smsc, peer, data, spots, wall):
            _dispatch(smsc, peer, lot, arrived)
    if not smsc.profile.links.are_plain:
        trouble.took(smsc, peer, len(spots))


def _sort(smsc: Smsc, peer: Peer, data: bytes, spots: Sequence[Spot], wall: float) -> list[Lot]:
    profile, choice = smsc.profile, smsc.choice
    differs = choice.has_cases or profile.throttle_per_s > 0 or profile.window > 0
    lot = plain = Lot(smsc, choice.default, wall)
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
            single.malformed(smsc, peer, sequence)
            continue
        row = choosing.magic_row(smsc, submit) if magical and submit.recipient.startswith(_MAGIC, 2) else None
        if differs or row is not None:
            fate = choosing.fate_of(smsc, peer, submit) if differs else choice.default
            if row is not None and not fate.status:
                fate = choosing.magic_fate(smsc, row, submit)
            lot = lots.get(id(fate)) or lots.setdefault(id(fate), Lot(smsc, fate, wall, row))
        else:
            lot = plain
        fate = lot.fate
        if fate.status:
            lot.answers.append(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, fate.status))
            continue
        message_id = b"%d" % number
        lot.answers.append(pack(36, pdu.SUBMIT_SM_RESP, 0, sequence, message_id))
        key = hash(submit.recipient + submit.body)
        messages.append(key)
        submissions.append(key ^ hash(submit.echo))
        if lot.magic is not None:
            lot.taken.append((submit, number))
        elif lot.wants[submit.registered & wire.REPLY_BITS]:
            body = wire.receipt(lot.template, submit, message_id)
            lot.bodies.append(body)
        number += 1
        if keeps or (watches and submit.recipient.startswith(watch, 2)):
            keep(Kept(wall, message_id, submit))
    smsc.tally.messages.add(messages)
    smsc.tally.submissions.add(submissions)
    return list(lots.values())


def _dispatch(smsc: Smsc, peer: Peer, lot: Lot, arrived: float) -> None:
    fate, count, delay_s = lot.fate, len(lot.answers), lot.delay_s
    counts = smsc.tally.counts
    if not count or peer.account is None:
        return
    if fate.status:
        counts.refused += count
        counts.throttled += count if lot.magic is not None and fate.status == magic.THROTTLED else 0
    else:
        counts.answers += count if fate.answered else 0
        counts.unanswered += 0 if fate.answered else count
    if fate.answered:
        answers = b"".join(lot.answers)
        if delay_s:
            smsc.answer_later(arrived, delay_s, peer, answers, count)
        else:
            peer.answer(answers, count)
    if lot.magic is not None:
        for submit, number in lot.taken:
            follow(smsc, peer, peer.account, lot.magic, submit, number, arrived)
        return
    bodies = lot.bodies if fate.receipts == 1 else lot.bodies * fate.receipts
    if not bodies:
        return
    counts.receipts_made += len(bodies)
    if delay_s or lot.receipt_s:
        smsc.send_later(arrived + delay_s + lot.receipt_s, peer.account, peer, bodies)
    else:
        peer.account.deliver(bodies, peer)
