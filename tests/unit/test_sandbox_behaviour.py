"""What a profile can make of the sandbox: fates, forms, links and rates, with bytes and a clock that the test moves."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.embedded.sandbox.profile import make_profile, read_profile, shipped_names
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import pdu, tlv
from gateway.smpp.receipt import ReceiptReader
from tests.sandbox_peer import Answer, Clock, Peer, acknowledge, make, submit, texts


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bound(clock: Clock, kind: int = pdu.BIND_TRANSCEIVER, **profile: Any) -> Peer:
    peer = Peer(make(clock, **profile))
    assert peer.bind(kind=kind) == 0
    return peer


def later(peer: Peer, clock: Clock, seconds: float) -> list[Answer]:
    """What comes once this time has passed."""
    clock.now += seconds
    peer.smsc.tick()
    return peer.read()


def ids(answers: list[Answer]) -> list[str]:
    return [body.rstrip(b"\0").decode() for command, status, _, body in answers if command == pdu.SUBMIT_SM_RESP]


def names(answers: list[Answer]) -> list[str]:
    return [hex(command) for command, *_ in answers]


def stats(answers: list[Answer]) -> list[str]:
    return [found[1].decode() for text in texts(answers) if (found := re.search(rb"stat:(\S+)", text))]


def test_delays_are_drawn_from_a_distribution(clock: Clock) -> None:
    numbers = iter([0.0, 0.5, 0.999])
    smsc = Smsc(
        {"me": "secret"},
        make_profile({"answer_delay_ms": {"least": 100, "most": 300}, "receipts": 0}),
        monotonic=clock.monotonic,
        wall=clock.wall,
        random=lambda: next(numbers, 0.5),
    )
    peer = Peer(smsc)
    peer.bind()
    assert peer.send(submit(1), submit(2), submit(3)) == []
    assert [s for _, _, s, _ in later(peer, clock, 0.101)] == [1]
    assert [s for _, _, s, _ in later(peer, clock, 0.1)] == [2]
    assert [s for _, _, s, _ in later(peer, clock, 0.1)] == [3]


@pytest.mark.parametrize(
    ("form", "answer", "receipt"),
    [
        ({}, r"\d{19}", r"\d{19}"),
        ({"answer": "hex"}, "[0-9a-f]{15,16}", "[0-9a-f]{15,16}"),
        ({"answer": "HEX", "receipt": "decimal"}, "[0-9A-F]{15,16}", r"\d{19}"),
        ({"bits": 32, "zeros": 12, "receipt_zeros": False}, r"00\d{10}", r"[1-9]\d{0,9}"),
        ({"bits": 96, "answer": "hex"}, "[0-9a-f]{23,24}", "[0-9a-f]{23,24}"),
    ],
)
def test_ids_are_spelled_as_the_profile_has_them(clock: Clock, form: dict[str, Any], answer: str, receipt: str) -> None:
    got = bound(clock, ids=form).send(submit(1))
    assert re.fullmatch(answer, ids(got)[0])
    said = re.search(rb"id:(\S+)", texts(got)[0])
    assert said is not None and re.fullmatch(receipt, said[1].decode())
    base = {"HEX": 16, "hex": 16}.get(form.get("answer", ""), 10)
    told = 10 if form.get("receipt") == "decimal" else base
    assert int(ids(got)[0], base) == int(said[1], told), "both are spellings of one number"


@pytest.mark.parametrize("where", ["text", "text_and_tlvs", "tlvs", "payload", "id_in_tlv"])
@pytest.mark.parametrize("command", ["deliver_sm", "data_sm"])
def test_our_own_reader_understands_a_receipt_wherever_it_says_what_it_says(
    clock: Clock, where: str, command: str
) -> None:
    form = {"where": where, "command": command, "dates": "seconds", "timezone": "Europe/Moscow"}
    got = bound(clock, receipt=form, stat="UNDELIV", err="027").send(submit(1))
    [(sent, _, _, body)] = [a for a in got if a[0] in (pdu.DELIVER_SM, pdu.DATA_SM)]
    assert sent == (pdu.DATA_SM if command == "data_sm" else pdu.DELIVER_SM)
    read = pdu.decode_data_sm if command == "data_sm" else pdu.decode_short_message
    message = read(body, 0, len(body))
    found = ReceiptReader(ZoneInfo("Europe/Moscow")).read(message)
    assert found is not None
    assert (found.state, found.carrier_message_id) == ("undeliverable", ids(got)[0])
    assert (found.recipient, found.sender) == ("79161234567", "Sluice")
    if where != "tlvs":
        assert (found.code, found.done_ms) == ("027", int(clock.wall()) * 1000)
    tlvs = tlv.decode(message.tlvs)
    assert (tlv.RECEIPTED_MESSAGE_ID in tlvs) == (where in ("text_and_tlvs", "tlvs", "id_in_tlv"))
    assert (tlv.MESSAGE_PAYLOAD in tlvs) == (where == "payload" or (command == "data_sm" and where != "tlvs"))


def test_receipts_by_data_sm_are_acknowledged_by_its_own_answer(clock: Clock) -> None:
    peer = bound(clock, receipt={"command": "data_sm"})
    [(_, _, sequence, _)] = [a for a in peer.send(submit(1)) if a[0] == pdu.DATA_SM]
    peer.send(pdu.encode(pdu.DATA_SM_RESP, sequence, 0, b"\0"))
    assert peer.smsc.report()["receipts_acked"] == 1
    assert peer.session.unacknowledged == 0


def test_words_dates_labels_and_fields_are_as_the_carrier_writes_them(clock: Clock) -> None:
    form = {
        "where": "text",
        "words": {"DELIVRD": "DELIVERED"},
        "dates": "zeros",
        "omit": ["sub", "dlvrd", "err"],
        "text_label": "Text",
        "echo": False,
    }
    [text] = texts(bound(clock, receipt=form).send(submit(1)))
    said = text.partition(b" ")[2]
    assert said == b"submit date:0000000000 done date:0000000000 stat:DELIVERED Text:hello"


def test_receipts_may_be_lost_doubled_staged_contradicted_early_and_scrambled(clock: Clock) -> None:
    assert stats(bound(clock, receipts=0).send(submit(1))) == []
    assert stats(bound(clock, receipts=2).send(submit(1))) == ["DELIVRD", "DELIVRD"]
    staged = bound(clock, steps=["ACCEPTD", "ENROUTE"], receipt_delay_s=3, then="UNDELIV")
    assert names(staged.send(submit(1))) == [hex(pdu.SUBMIT_SM_RESP)]
    assert [stats(later(staged, clock, 1.02)) for _ in range(3)] == [["ACCEPTD"], ["ENROUTE"], ["DELIVRD"]]
    assert stats(later(staged, clock, 3.1)) == ["UNDELIV"]
    early = bound(clock, early=True, answer_delay_ms=500)
    assert names(early.send(submit(1))) == [hex(pdu.DELIVER_SM)]
    assert names(later(early, clock, 0.6)) == [hex(pdu.SUBMIT_SM_RESP)]
    orders = set()
    for _ in range(60):
        peer = bound(clock, steps=["ACCEPTD", "ENROUTE"], receipt_delay_s=0.3, scrambled=True)
        peer.send(submit(1))
        orders.add(tuple(stats([a for _ in range(4) for a in later(peer, clock, 0.11)])))
    assert len(orders) > 1 and all(sorted(order) == ["ACCEPTD", "DELIVRD", "ENROUTE"] for order in orders)


def test_answers_may_come_twice_or_without_an_id(clock: Clock) -> None:
    assert [s for _, _, s, _ in bound(clock, answer_twice=True, receipts=0).send(submit(7))] == [7, 7]
    got = bound(clock, no_id=True).send(submit(1))
    assert (ids(got), stats(got)) == ([""], [])


def part(sequence: int, number: int, total: int = 3) -> bytes:
    head = bytes((5, 0, 3, 9, total, number))
    return submit(sequence, text=head + b"part", esm_class=0x40)


@pytest.mark.parametrize(("which", "reported"), [("all", 3), ("first", 1), ("last", 1)])
def test_a_carrier_may_report_on_the_first_or_the_last_part_only(clock: Clock, which: str, reported: int) -> None:
    peer = bound(clock, receipt={"parts": which})
    got = peer.send(*(part(n, n) for n in (1, 2, 3)), submit(4))
    assert len(texts(got)) == reported + 1
    whole = ids(got)[{"all": 0, "first": 0, "last": 2}[which]].encode()
    assert texts(got)[0].startswith(b"id:" + whole)


def test_submits_that_the_carrier_does_not_understand_are_refused(clock: Clock) -> None:
    def status(message: bytes, **rules: Any) -> int:
        [(_, answered, _, _), *_] = bound(clock, submits=rules, receipts=0).send(message)
        return answered

    sar = tlv.encode(tlv.SAR_MSG_REF_NUM, b"\0\1") + tlv.encode(tlv.SAR_TOTAL_SEGMENTS, b"\2")
    sar += tlv.encode(tlv.SAR_SEGMENT_SEQNUM, b"\1")
    assert status(part(1, 1), concatenation=["sar"]) == 0x43
    assert status(part(1, 1), concatenation=["udh8"]) == 0
    assert status(submit(1, tlvs=sar), concatenation=["udh8"]) == 0xC1
    assert status(submit(1, data_coding=8), codings=[0]) == 0x104
    assert status(submit(1, tlvs=tlv.encode(tlv.USER_MESSAGE_REFERENCE, b"\0\7")), tlvs="refuse") == 0x02


def test_an_smsc_of_3_3_knows_no_transceivers_and_no_optional_parameters(clock: Clock) -> None:
    smsc = make(clock, version="3.3")
    [(command, status, _, _)] = Peer(smsc).send(pdu.encode_bind(pdu.BIND_TRANSCEIVER, 1, pdu.Bind(b"me", b"secret")))
    assert (command, status) == (pdu.GENERIC_NACK, 0x03)
    transmitter, receiver = Peer(smsc), Peer(smsc)
    [(_, _, _, body)] = transmitter.send(pdu.encode_bind(pdu.BIND_TRANSMITTER, 1, pdu.Bind(b"me", b"secret")))
    assert body == b"SluiceSandbox\0"
    assert receiver.bind(kind=pdu.BIND_RECEIVER) == 0
    assert names(transmitter.send(submit(1))) == [hex(pdu.SUBMIT_SM_RESP)]
    [(_, _, _, body)] = receiver.read()
    assert tlv.RECEIPTED_MESSAGE_ID.to_bytes(2, "big") not in body[-40:]
    [(_, status, _, _)] = transmitter.send(submit(2, tlvs=tlv.encode(tlv.USER_MESSAGE_REFERENCE, b"\0\7")))
    assert status == 0x02


def test_the_rate_counts_parts_also_of_a_text_in_one_payload(clock: Clock) -> None:
    peer = bound(clock, throttle_per_s=10, throttle_burst=4, receipts=0)
    long = submit(1, text=b"", tlvs=tlv.encode(tlv.MESSAGE_PAYLOAD, b"x" * 400))
    assert [s for _, s, _, _ in peer.send(long, submit(2), submit(3))] == [0, 0, 0x58]
    assert [s for _, s, _, _ in later(peer, clock, 0.2)] == []
    assert [s for _, s, _, _ in peer.send(submit(4), submit(5), submit(6))] == [0, 0, 0x58]
    assert peer.smsc.report()["throttled"] == 2


@pytest.mark.parametrize("rate", [50, 500, 5000])
def test_a_bucket_of_a_tenth_of_a_second_takes_its_rate_and_not_more(clock: Clock, rate: int) -> None:
    peer = bound(clock, throttle_per_s=rate, throttle_burst=rate / 10, receipts=0)
    taken = 0
    for _ in range(1000):  # ten seconds, twice what is allowed
        clock.now += 0.01
        taken += sum(s == 0 for _, s, _, _ in peer.send(*(submit(n) for n in range(1, rate // 50 + 1))))
    assert rate * 10 <= taken <= rate * 10 + rate / 10 + 1


def test_a_link_ends_after_its_time_or_its_submits_and_nobody_gets_in_for_a_while(clock: Clock) -> None:
    peer = bound(clock, links={"lives_s": 5, "away_s": 2})
    later(peer, clock, 4.9)
    assert not peer.closed
    later(peer, clock, 0.2)
    assert peer.closed and peer.smsc.is_away
    clock.now += 2
    assert not peer.smsc.is_away
    counted = bound(clock, links={"lives_submits": 3, "ends_by": "unbind"}, receipts=0)
    assert hex(pdu.UNBIND) not in names(counted.send(submit(1), submit(2)))
    assert hex(pdu.UNBIND) in names(counted.send(submit(3)))
    assert counted.smsc.report()["links_ended"] == 1


def test_a_half_open_link_stays_and_says_nothing_and_its_receipts_go_elsewhere(clock: Clock) -> None:
    smsc = make(clock, links={"lives_s": 5, "ends_by": "half_open"}, receipt_delay_s=6)
    mute, other = Peer(smsc), Peer(smsc)
    mute.bind()
    mute.send(submit(1))
    clock.now += 2
    other.bind()
    smsc.tick()
    assert later(mute, clock, 3.5) == []
    assert mute.send(submit(2), pdu.encode(pdu.ENQUIRE_LINK, 9)) == []
    assert not mute.closed
    clock.now += 1
    smsc.tick()
    assert len(texts(other.read())) == 1
    assert mute.read() == []


def test_garbage_is_counted_and_what_a_peer_answers_to_it_is_taken(clock: Clock) -> None:
    peer = bound(clock, links={"garbage_s": 1, "garbage": ["truncated", "tlv", "command"]})
    got = [a for _ in range(3) for a in later(peer, clock, 1.02)]
    assert [c for c, *_ in got] == [pdu.DELIVER_SM, pdu.DELIVER_SM, 0x00010ABC]
    peer.send(*acknowledge(got), pdu.encode(pdu.GENERIC_NACK, 3, 0x03))
    report = peer.smsc.report()
    assert (report["garbage_sent"], report["nacks"], report["malformed"]) == (3, 1, 0)
    assert peer.session.unacknowledged == 0
    peer.drop()
    again = Peer(peer.smsc)
    again.bind()
    assert again.read() == [], "garbage is never sent again"


def test_enquiries_are_sent_and_ignored_as_the_profile_has_it(clock: Clock) -> None:
    peer = bound(clock, links={"enquire_link": "ignore", "enquires_s": 2})
    assert peer.send(pdu.encode(pdu.ENQUIRE_LINK, 5)) == []
    assert names(later(peer, clock, 2.1)) == [hex(pdu.ENQUIRE_LINK)]


def test_another_profile_forgets_what_the_one_before_had_in_mind(clock: Clock) -> None:
    peer = bound(clock, links={"lives_s": 5})
    peer.smsc.use(make_profile({"links": {"lives_s": 20}}))
    later(peer, clock, 10)
    assert not peer.closed
    later(peer, clock, 10.1)
    assert peer.closed


def test_a_carrier_that_is_asked_says_where_a_message_is_and_takes_it_back(clock: Clock) -> None:
    peer = bound(clock, query=True, cancel=True, receipt_delay_s=10, stat="UNDELIV", err="007")
    first, second = (name.encode() for name in ids(peer.send(submit(1), submit(2))))

    def state(name: bytes) -> tuple[int, int]:
        [(_, status, _, body)] = peer.send(pdu.encode(pdu.QUERY_SM, 5, 0, pdu.encode_query(name, 5, 0, b"Sluice")))
        return status, pdu.decode_query_answer(body, 0, len(body))[2] if not status else 0

    def cancel(name: bytes) -> int:
        body = pdu.encode_cancel(b"", name, (5, 0, b"Sluice"), (1, 1, b"79161234567"))
        [(_, status, _, _)] = peer.send(pdu.encode(pdu.CANCEL_SM, 6, 0, body))
        return status

    assert state(first) == (0, 1)
    assert cancel(first) == 0
    assert state(first) == (0, 4)
    assert stats(later(peer, clock, 10.1)) == ["UNDELIV"], "only of the one that was not taken back"
    assert state(second) == (0, 5)
    assert (cancel(second), state(b"unknown")[0], cancel(b"unknown")) == (0x11, 0x67, 0x11)


def test_a_carrier_that_is_not_asked_answers_that_it_does_not_know_the_command(clock: Clock) -> None:
    [(command, status, _, _)] = bound(clock).send(pdu.encode(pdu.QUERY_SM, 5, 0, b"1\0\0\0\0"))
    assert (command, status) == (pdu.GENERIC_NACK, 0x03)


@pytest.mark.parametrize(
    ("alphabet", "body", "shown"),
    [("gsm7", b"\x00", "@"), ("latin1", b"caf\xe9", "café"), ("ascii", b"plain", "plain")],
)
def test_phones_show_what_coding_0_means_at_the_carrier(clock: Clock, alphabet: str, body: bytes, shown: str) -> None:
    peer = bound(clock, submits={"alphabet": alphabet}, receipts=0)
    peer.send(submit(1, text=body))
    assert peer.smsc.handset.show()[0].text == shown


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_takes_messages_and_says_what_it_is_like(clock: Clock, name: str) -> None:
    profile = read_profile(name)
    assert 20 < len(profile.about) < 120
    smsc = Smsc({"me": "secret"}, profile, monotonic=clock.monotonic, wall=clock.wall, random=lambda: 0.9999)
    pair = "transceiver" not in profile.binds
    peer, receiver = Peer(smsc), Peer(smsc)
    assert peer.bind(kind=pdu.BIND_TRANSMITTER if pair else pdu.BIND_TRANSCEIVER) == 0
    assert not pair or receiver.bind(kind=pdu.BIND_RECEIVER) == 0
    got = peer.send(submit(1))
    for _ in range(800):
        got += later(peer, clock, 0.5) + receiver.read()
    assert smsc.report()["answers"] == 1
    assert [m.text for m in smsc.handset.show()] == ["hello"]
