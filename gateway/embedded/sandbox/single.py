"""Takes submits one by one: what a profile with delays that are drawn, ids and receipts of its own, or fates that are
not plain needs. `intake` deals with all that are alike at once, and much faster.

In: positions of submit_sm in a read. Out: answers now or later, receipts now or later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.embedded.sandbox import choosing, magic, wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.handset import Kept, segment
from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.magic_receipts import follow
from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.profile import Fate
from gateway.embedded.sandbox.smsc import Smsc
from gateway.embedded.sandbox.spread import draw
from gateway.embedded.sandbox.taken import Known
from gateway.smpp import pdu

Spot = tuple[int, int, int]
"""Sequence number, and where the body of a PDU begins and ends in a read."""


def take(smsc: Smsc, peer: Peer, account: Account, data: bytes, spots: Sequence[Spot], arrived: float) -> None:
    """Take them in order. Delays count from `arrived`, by the monotonic clock."""
    for sequence, begin, end in spots:
        submit = wire.read_submit(data, begin, end)
        if submit is None:
            malformed(smsc, peer, sequence)
            continue
        row = choosing.magic_row(smsc, submit)
        fate = choosing.fate_of(smsc, peer, submit)
        if row is not None and not fate.status:
            fate = choosing.magic_fate(smsc, row, submit)
        if fate.status:
            _refuse(smsc, peer, sequence, fate, row, arrived)
        else:
            _accept(smsc, peer, account, sequence, submit, fate, row, arrived)


def malformed(smsc: Smsc, peer: Peer, sequence: int) -> None:
    """Answer a submit that does not hold together."""
    smsc.tally.counts.malformed += 1
    smsc.tally.counts.refused += 1
    peer.send(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, wire.BAD_LENGTH))


def _refuse(smsc: Smsc, peer: Peer, sequence: int, fate: Fate, row: Magic | None, arrived: float) -> None:
    counts = smsc.tally.counts
    counts.refused += 1
    counts.throttled += row is not None and fate.status == magic.THROTTLED
    if fate.answered:
        delay_s = draw(fate.answer_delay_ms, smsc.random) / 1000
        _answer(smsc, peer, pdu.encode(pdu.SUBMIT_SM_RESP, sequence, fate.status), fate, arrived, delay_s)


def _accept(
    smsc: Smsc,
    peer: Peer,
    account: Account,
    sequence: int,
    submit: wire.Submit,
    fate: Fate,
    row: Magic | None,
    arrived: float,
) -> None:
    number, wall = smsc.take_ids(1), smsc.wall()
    message_id = b"" if fate.no_id else smsc.profile.ids.answered(number)
    _keep(smsc, submit, message_id, wall)
    delay_s = draw(fate.answer_delay_ms, smsc.random) / 1000
    reports = [] if row is not None or fate.no_id else _reports(smsc, submit, fate, delay_s)
    made = [
        (after_s, [smsc.receipt(submit, number, stat, fate.err, wall, wall + after_s)]) for after_s, stat in reports
    ]
    if smsc.profile.query or smsc.profile.cancel:
        done_at = wall + max((after_s for after_s, _ in reports), default=delay_s)
        smsc.taken.note(message_id, Known(fate.stat, fate.err, done_at, [bodies for _, bodies in made]))
    counts = smsc.tally.counts
    counts.answers += fate.answered
    counts.unanswered += not fate.answered
    counts.receipts_made += len(made)
    early = [report for report in made if fate.early and report[0] <= 0]
    _deliver(smsc, peer, account, early, arrived)
    if fate.answered:
        answer = pdu.encode(pdu.SUBMIT_SM_RESP, sequence, pdu.OK, message_id + b"\0")
        _answer(smsc, peer, answer, fate, arrived, delay_s)
    if row is not None:
        follow(smsc, peer, account, row, submit, number, arrived)
    _deliver(smsc, peer, account, made[len(early) :], arrived)


def _keep(smsc: Smsc, submit: wire.Submit, message_id: bytes, wall: float) -> None:
    """For the phone, and to see what comes twice."""
    key = hash(submit.recipient + submit.body)
    smsc.tally.messages.add([key])
    smsc.tally.submissions.add([key ^ hash(submit.echo)])
    watch = smsc.profile.watch.lstrip("+").encode()
    if smsc.keeps or (watch and submit.recipient.startswith(watch, 2)):
        smsc.handset.keep(Kept(wall, message_id, submit))


def _answer(smsc: Smsc, peer: Peer, answer: bytes, fate: Fate, arrived: float, delay_s: float) -> None:
    answers = answer * 2 if fate.answer_twice else answer
    if delay_s:
        smsc.answer_later(arrived, delay_s, peer, answers, 1)
    else:
        peer.answer(answers, 1)


def _reports(smsc: Smsc, submit: wire.Submit, fate: Fate, delay_s: float) -> list[tuple[float, str]]:
    if not (_is_reported(smsc, submit) and wire.wanted(fate.stat)[submit.registered & wire.REPLY_BITS]):
        return []
    return timetable(fate, delay_s, smsc.random)


def timetable(fate: Fate, delay_s: float, random: Callable[[], float]) -> list[tuple[float, str]]:
    """What is reported of a message that was answered after `delay_s`, and when, in seconds from its arrival."""
    begin_s = 0.0 if fate.early else delay_s
    last_s = draw(fate.receipt_delay_s, random)
    words = [*fate.steps, fate.stat]
    times = [begin_s + last_s * n / len(words) for n in range(1, len(words) + 1)]
    if fate.then:
        words.append(fate.then)
        times.append(begin_s + 2 * last_s)
    if fate.scrambled:
        times.sort(key=lambda _: random())
    return sorted([report for report in zip(times, words, strict=True) for _ in range(fate.receipts)], key=_time)


def _time(report: tuple[float, str]) -> float:
    return report[0]


def _is_reported(smsc: Smsc, submit: wire.Submit) -> bool:
    which = smsc.choice.receipt.parts
    if which == "all":
        return True
    place = segment(submit)
    return place.total < 2 or place.number == (1 if which == "first" else place.total)


def _deliver(
    smsc: Smsc, peer: Peer, account: Account, made: Sequence[tuple[float, list[bytes]]], arrived: float
) -> None:
    for after_s, bodies in made:
        if after_s > 0:
            smsc.send_later(arrived + after_s, account, peer, bodies)
        else:
            account.deliver(bodies, peer)
