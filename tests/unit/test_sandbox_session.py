"""The sandbox SMSC fed with bytes: no sockets, and a clock that the test moves."""

from __future__ import annotations

import pytest

from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu, tlv
from tests.sandbox_peer import Clock, Peer, acknowledge, make, submit, texts


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_wrong_password_a_stranger_and_a_second_bind_are_refused(clock: Clock) -> None:
    smsc = make(clock)
    for password, system_id, status in ((b"wrong", b"me", 0x0E), (b"secret", b"you", 0x0F)):
        peer = Peer(smsc)
        assert peer.bind(password, system_id=system_id) == status
        assert peer.closed
    peer = Peer(smsc)
    assert peer.bind() == 0
    assert peer.bind() == 0x05
    assert not peer.closed
    assert smsc.report()["binds"] == 1


def test_the_profile_can_refuse_a_kind_of_bind_or_every_bind(clock: Clock) -> None:
    assert Peer(make(clock, binds=["receiver"])).bind() == 0x0D
    assert Peer(make(clock, bind_status=0x0D)).bind() == 0x0D


def test_each_submit_gets_an_id_of_its_own_under_its_sequence(clock: Clock) -> None:
    peer = Peer(make(clock, receipts=0))
    peer.bind()
    answers = peer.send(submit(7), submit(3), submit(9))
    assert [(c, status, sequence) for c, status, sequence, _ in answers] == [
        (pdu.SUBMIT_SM_RESP, 0, n) for n in (7, 3, 9)
    ]
    ids = {body for *_, body in answers}
    assert len(ids) == 3
    assert all(len(i) == 20 and i.endswith(b"\0") for i in ids)


def test_ids_of_a_later_run_are_greater_than_those_before(clock: Clock) -> None:
    first = make(clock).take_ids(1000)
    clock.now += 1
    assert make(clock).take_ids(1) > first + 1000


def test_bytes_that_come_one_by_one_mean_the_same(clock: Clock) -> None:
    peer = Peer(make(clock))
    data = pdu.encode_bind(pdu.BIND_TRANSCEIVER, 1, pdu.Bind(b"me", b"secret")) + submit(2) + submit(3)
    for i in range(len(data)):
        peer.session.receive(data[i : i + 1])
    assert [a[2] for a in peer.read() if a[0] == pdu.SUBMIT_SM_RESP] == [2, 3]


def test_before_a_bind_and_on_a_receiver_submits_are_refused(clock: Clock) -> None:
    smsc = make(clock)
    assert Peer(smsc).send(submit(1))[0][:2] == (pdu.SUBMIT_SM_RESP, 0x04)
    peer = Peer(smsc)
    peer.bind(kind=pdu.BIND_RECEIVER)
    assert peer.send(submit(1)) == [(pdu.SUBMIT_SM_RESP, 0x04, 1, b"")]


def test_an_answer_waits_for_its_delay_and_a_receipt_comes_after_it(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, answer_delay_ms=20, receipt_delay_s=2))
    peer.bind()
    assert peer.send(submit(1)) == []
    assert smsc.next_due() == pytest.approx(clock.now + 0.020, abs=0.001)
    clock.now += 0.0206
    smsc.tick()
    assert [a[0] for a in peer.read()] == [pdu.SUBMIT_SM_RESP]
    clock.now += 1.98
    smsc.tick()
    assert peer.read() == []
    clock.now += 0.04
    smsc.tick()
    assert [a[0] for a in peer.read()] == [pdu.DELIVER_SM]
    assert smsc.next_due() is None


def test_answers_that_leave_late_are_made_up_for_so_that_the_mean_is_what_was_asked_for(clock: Clock) -> None:
    """Timers of the loop count whole milliseconds, and a process that was just woken is late."""
    peer = Peer(smsc := make(clock, answer_delay_ms=20, receipts=0))
    peer.bind()
    for n in range(400):
        peer.send(submit(n + 1))
        began = clock.now
        while not peer.read():
            clock.now += 0.0007  # when the process gets its turn
            smsc.tick()
            assert clock.now - began < 0.030
        clock.now += n % 7 / 10_000
    smsc.tally.reset()
    for n in range(100):
        peer.send(submit(n + 1))
        while not peer.read():
            clock.now += 0.0007
            smsc.tick()
        clock.now += n % 7 / 10_000
    counts = smsc.tally.counts
    assert counts.delayed_s / counts.delayed_answers == pytest.approx(0.020, abs=0.0001)


def test_a_delay_counts_from_when_the_bytes_came_in(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, answer_delay_ms=20))
    peer.bind()
    peer.session.receive(submit(1), 0.015)
    assert smsc.next_due() == pytest.approx(clock.now + 0.005, abs=0.001)


def test_without_delays_a_receipt_follows_its_answer_in_the_same_write(clock: Clock) -> None:
    peer = Peer(make(clock))
    peer.bind()
    answers = peer.send(submit(1, tlvs=tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, 0xBEEF)))
    assert [a[0] for a in answers] == [pdu.SUBMIT_SM_RESP, pdu.DELIVER_SM]
    message_id = answers[0][3]
    receipt = pdu.decode_short_message(answers[1][3], 0, len(answers[1][3]))
    assert receipt.message.startswith(b"id:" + message_id[:-1] + b" sub:001 dlvrd:001 ")
    assert tlv.decode(receipt.tlvs) == {0x001E: message_id, 0x0427: b"\2", 0x0204: b"\xbe\xef"}


@pytest.mark.parametrize(("registered", "stat", "count"), [(0, "DELIVRD", 0), (2, "DELIVRD", 0), (2, "UNDELIV", 1)])
def test_a_receipt_comes_only_when_it_was_asked_for(clock: Clock, registered: int, stat: str, count: int) -> None:
    peer = Peer(make(clock, stat=stat))
    peer.bind()
    assert len(texts(peer.send(submit(1, registered_delivery=registered)))) == count


def test_receipts_that_were_not_acknowledged_come_again_on_the_next_bind_before_new_ones(clock: Clock) -> None:
    peer = Peer(smsc := make(clock))
    peer.bind()
    first = peer.send(submit(1, text=b"one"), submit(2, text=b"two"))
    peer.send(acknowledge(first)[0])
    peer.drop()
    late = Peer(smsc)
    late.bind(kind=pdu.BIND_TRANSMITTER)
    assert texts(late.send(submit(1, text=b"three"))) == []
    heir = Peer(smsc)
    bind = pdu.encode_bind(pdu.BIND_RECEIVER, 1, pdu.Bind(b"me", b"secret"))
    received = texts(heir.send(bind))
    assert [t.rpartition(b"text:")[2] for t in received] == [b"two", b"three"]
    report = smsc.report()
    assert (report["receipts_sent"], report["receipts_acked"], report["receipts_resent"]) == (3, 1, 1)


def test_a_receipt_that_was_refused_comes_again_later(clock: Clock) -> None:
    peer = Peer(smsc := make(clock))
    peer.bind()
    answers = peer.send(submit(1))
    assert peer.send(*acknowledge(answers, status=0x08)) == []
    clock.now += 6
    smsc.tick()
    again = peer.read()
    assert texts(again) == texts(answers)
    peer.send(*acknowledge(again))
    report = smsc.report()
    assert (report["receipts_refused"], report["receipts_acked"], report["receipts_unacked"]) == (1, 1, 0)


def test_no_more_receipts_are_open_on_a_bind_than_its_window(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, receipt_window=2))
    peer.bind()
    answers = peer.send(*(submit(n, text=b"%d" % n) for n in range(1, 6)))
    assert len(texts(answers)) == 2
    assert smsc.report()["receipts_waiting"] == 3
    assert len(texts(peer.send(*acknowledge(answers)))) == 2


def test_when_too_many_receipts_wait_the_oldest_are_dropped_and_counted(clock: Clock) -> None:
    smsc = Smsc({"me": "secret"}, waiting_limit=2, monotonic=clock.monotonic, wall=clock.wall)
    peer = Peer(smsc)
    peer.bind(kind=pdu.BIND_TRANSMITTER)
    peer.send(*(submit(n, text=b"%d" % n) for n in range(1, 6)))
    assert (smsc.report()["receipts_waiting"], smsc.report()["receipts_dropped"]) == (2, 3)


def test_the_same_text_to_the_same_number_counts_as_doubled(clock: Clock) -> None:
    peer = Peer(smsc := make(clock))
    peer.bind()
    echo = [tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, n) for n in (1, 2)]
    peer.send(submit(1, tlvs=echo[0]), submit(2, tlvs=echo[1]), submit(3, tlvs=echo[1]), submit(4, to="79160000000"))
    report = smsc.report()
    assert (report["submits"], report["distinct"], report["doubled"], report["repeated"]) == (4, 2, 2, 1)


def test_an_account_over_its_rate_is_throttled_until_its_bucket_fills_again(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, throttle_per_s=100, receipts=0))
    peer.bind()
    clock.now += 10
    statuses = [a[1] for a in peer.send(*(submit(n) for n in range(1, 16)))]
    assert sorted(statuses) == [0] * 10 + [0x58] * 5
    clock.now += 0.031
    assert sorted(a[1] for a in peer.send(*(submit(n) for n in range(20, 25)))) == [0] * 3 + [0x58] * 2
    assert smsc.report()["throttled"] == 7


def test_more_unanswered_submits_than_the_window_are_refused_as_queue_full(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, window=2, answer_delay_ms=10, receipts=0))
    peer.bind()
    peer.send(*(submit(n) for n in range(1, 4)))
    clock.now += 0.011
    smsc.tick()
    assert sorted(a[1] for a in peer.read()) == [0, 0, 0x14]
    peer.send(submit(5))
    clock.now += 0.011
    smsc.tick()
    assert [a[1] for a in peer.read()] == [0]


def test_cases_refuse_silence_and_double_by_number(clock: Clock) -> None:
    cases = [
        {"suffix": "0", "status": 0x0B},
        {"suffix": "1", "answered": False},
        {"suffix": "2", "receipts": 2},
        {"text": "ёж", "stat": "UNDELIV"},
    ]
    peer = Peer(smsc := make(clock, cases=cases))
    peer.bind()
    assert peer.send(submit(1, to="7910")) == [(pdu.SUBMIT_SM_RESP, 0x0B, 1, b"")]
    assert [a[0] for a in peer.send(submit(2, to="7911"))] == [pdu.DELIVER_SM]
    assert len(texts(peer.send(submit(3, to="7912")))) == 2
    hedgehog = peer.send(submit(4, to="7913", text="Это ёж".encode("utf-16-be"), data_coding=8))
    assert b"stat:UNDELIV" in texts(hedgehog)[0]
    report = smsc.report()
    assert (report["submits"], report["answers"], report["refused"], report["unanswered"]) == (4, 2, 1, 1)


def test_another_profile_holds_from_the_next_submit_on(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, receipts=0))
    peer.bind()
    smsc.change({"status": 0x08}, anew=False)
    assert peer.send(submit(1)) == [(pdu.SUBMIT_SM_RESP, 0x08, 1, b"")]
    assert smsc.profile.receipts == 0
    assert smsc.change({}, anew=True).receipts == 1


def test_enquire_link_unbind_and_unknown_commands_are_answered(clock: Clock) -> None:
    peer = Peer(make(clock))
    peer.bind()
    assert peer.send(pdu.encode(pdu.ENQUIRE_LINK, 5)) == [(pdu.ENQUIRE_LINK_RESP, 0, 5, b"")]
    assert peer.send(pdu.encode(0x0777, 6)) == [(pdu.GENERIC_NACK, 0x03, 6, b"")]
    assert peer.send(pdu.encode(0x80000777, 7)) == []
    assert not peer.closed
    assert peer.send(pdu.encode(pdu.UNBIND, 8)) == [(pdu.UNBIND_RESP, 0, 8, b"")]
    assert peer.closed


@pytest.mark.parametrize("length", [0, 15, 70_001, 0xFFFFFFFF])
def test_a_length_that_cannot_be_ends_the_connection_after_what_came_before(clock: Clock, length: int) -> None:
    peer = Peer(make(clock, receipts=0))
    peer.bind()
    answers = peer.send(submit(1), length.to_bytes(4, "big") + b"\0\0\0\4" * 3)
    assert [(a[0], a[1]) for a in answers] == [(pdu.SUBMIT_SM_RESP, 0), (pdu.GENERIC_NACK, 0x02)]
    assert peer.closed


def test_a_submit_that_does_not_hold_together_is_answered_by_its_header(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, receipts=0))
    peer.bind()
    answers = peer.send(pdu.encode(pdu.SUBMIT_SM, 4, 0, b"\0\1\1"), submit(5))
    assert sorted((a[2], a[1]) for a in answers) == [(4, 0x02), (5, 0)]
    assert smsc.report()["malformed"] == 1


def test_an_answer_to_a_receipt_that_was_never_sent_is_only_counted(clock: Clock) -> None:
    peer = Peer(smsc := make(clock))
    peer.bind()
    assert peer.send(pdu.encode(pdu.DELIVER_SM_RESP, 99, 0, b"\0")) == []
    assert smsc.report()["malformed"] == 1


def test_delayed_answers_of_a_broken_connection_are_dropped_and_its_receipts_are_not(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, answer_delay_ms=20))
    peer.bind()
    peer.send(submit(1))
    peer.drop()
    clock.now += 1
    smsc.tick()
    assert peer.read() == []
    assert smsc.report()["receipts_waiting"] == 1


def test_only_watched_numbers_are_shown_when_nothing_is_kept(clock: Clock) -> None:
    peer = Peer(smsc := make(clock, keep=0, watch="+7999"))
    peer.bind()
    peer.send(submit(1, to="79161234567"), submit(2, to="79991234567"))
    assert [m.to for m in smsc.handset.show()] == ["+79991234567"]


def test_a_magic_numbers_receipt_is_not_a_moment_early_and_its_seconds_can_be_made_shorter(clock: Clock) -> None:
    for speed, late_s in ((1, 30.0), (10, 3.0)):
        smsc = make(clock, magic_speed=speed)
        peer = Peer(smsc)
        peer.bind()
        assert [c for c, *_ in peer.send(submit(1, "447700900003"))] == [pdu.SUBMIT_SM_RESP]
        clock.now += late_s - 0.001
        smsc.tick()
        assert peer.read() == []
        clock.now += 0.021
        smsc.tick()
        assert [text.split()[-3] for text in texts(peer.read())] == [b"stat:DELIVRD"]


def test_a_magic_numbers_receipt_can_come_before_the_answer(clock: Clock) -> None:
    smsc = make(clock)
    peer = Peer(smsc)
    peer.bind()
    assert [c for c, *_ in peer.send(submit(1, "447700900006"))] == [pdu.DELIVER_SM]
    clock.now += 3
    smsc.tick()
    assert [c for c, *_ in peer.read()] == [pdu.SUBMIT_SM_RESP]


def test_a_magic_numbers_receipt_names_the_networks_cause_and_goes_only_to_who_wants_one(clock: Clock) -> None:
    peer = Peer(make(clock))
    peer.bind()
    _, (_, _, _, body) = peer.send(submit(1, "447700900103"))
    assert tlv.decode(pdu.decode_short_message(body, 0, len(body)).tlvs)[tlv.NETWORK_ERROR_CODE] == b"\x03\x00\x0d"
    for registered, answers in ((0, 1), (2, 2), (3, 1)):
        assert len(peer.send(submit(1, "447700900103", registered_delivery=registered))) == answers


def test_magic_can_be_turned_off_and_a_profile_that_refuses_comes_before_it(clock: Clock) -> None:
    for profile, status in (({"magic": False}, 0), ({"cases": [{"suffix": "0202", "status": 8}]}, 8), ({}, 0x0A)):
        peer = Peer(make(clock, **profile))
        peer.bind()
        assert peer.send(submit(1, "447700900202"))[0][1] == status


def test_a_magic_number_beside_others_in_one_read_leaves_their_fates_alone(clock: Clock) -> None:
    peer = Peer(make(clock))
    peer.bind()
    answers = peer.send(submit(1), submit(2, "447700900201"), submit(3), submit(4, "447700900001"))
    said = {sequence: status for c, status, sequence, _ in answers if c == pdu.SUBMIT_SM_RESP}
    assert said == {1: 0, 2: 0x45, 3: 0, 4: 0}
    assert len(texts(answers)) == 3
