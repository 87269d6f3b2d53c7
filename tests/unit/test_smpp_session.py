"""The session without I/O: what goes in is bytes and the time, what comes out is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from aiosmpplib import SmppCommandStatus as Status
from hypothesis import given
from hypothesis import strategies as st

from gateway.provider import Kind, Outcome, Reason, accepted, uncertain
from gateway.smpp import pdu
from gateway.smpp.session import (
    Answered,
    BindRefused,
    Bound,
    Broken,
    Delivery,
    Event,
    Fed,
    Limits,
    PeerUnbinds,
    Session,
    Unbound,
)
from gateway.smpp.status import Codes

LIMITS = Limits(window=10, answer_timeout_s=5, stall_s=20, enquire_link_s=30, link_timeout_s=3)
BIND = pdu.Bind(b"account", b"password")
BODY = pdu.encode_short_message(pdu.ShortMessage(source=b"Sluice", dest=b"79161234567", message=b"hi"))
RECEIPT = pdu.encode_short_message(pdu.ShortMessage(source=b"79161234567", esm_class=4, message=b"id:1 stat:DELIVRD"))


def sequences(data: bytes) -> list[int]:
    return [p[2] for p in pdu.split(data)[0]]


def commands(fed: Fed[str]) -> list[tuple[int, int, int]]:
    return [p[:3] for p in pdu.split(b"".join(fed.output))[0]]


def bound(first_sequence: int = 1) -> Session[str]:
    session: Session[str] = Session(LIMITS, 0.0, first_sequence=first_sequence)
    (bind,) = sequences(session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0))
    fed = session.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, bind, b"smsc"), 0.0)
    assert fed.events == [Bound()] and session.state == "bound"
    return session


def submit(session: Session[str], *names: str, now: float = 1.0) -> list[int]:
    return sequences(session.submit(names, [BODY] * len(names), now))


def answer(sequence: int, message_id: str = "id", status: int = 0) -> bytes:
    if status:
        return pdu.encode(pdu.SUBMIT_SM_RESP, sequence, status)
    return pdu.encode_submit_answers([(sequence, message_id.encode())])


def refusal(sequence: int, status: Status) -> bytes:
    return answer(sequence, status=int(status))


# Binding


def test_a_refused_bind_tells_its_status() -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    session.bind(pdu.BIND_TRANSMITTER, BIND, 0.0)
    fed = session.feed(pdu.encode_bind_answer(pdu.BIND_TRANSMITTER, 1, b"", 0x0E), 0.1)
    assert fed.events == [BindRefused(0x0E)] and session.state != "bound"


def test_a_nack_to_the_bind_refuses_it() -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    assert session.feed(pdu.encode(pdu.GENERIC_NACK, 0, 3), 0.1).events == [BindRefused(3)]


def test_a_bind_answer_to_nothing_binds_nothing() -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    assert session.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 99, b"smsc"), 0.1).events == []
    assert session.state == "binding"


def test_an_unanswered_bind_ends_the_link() -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    assert session.sweep(2.9).events == []
    assert session.sweep(3.0).events == [Broken("the bind was not answered")]


def test_there_is_no_room_before_the_bind_is_answered() -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    assert session.room(0.0) == 0
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    assert session.room(0.0) == 0
    assert bound().room(0.0) == 10


# Submitting and answers


def test_answers_in_any_order_find_their_submissions() -> None:
    session = bound()
    one, two, three = submit(session, "a", "b", "c")
    assert (session.in_flight, session.room(1.0)) == (3, 7)
    fed = session.feed(answer(three, "3") + answer(one, "1") + answer(two, "2"), 1.1)
    assert fed.answers == [("c", accepted("3")), ("a", accepted("1")), ("b", accepted("2"))]
    assert (session.in_flight, session.room(1.1)) == (0, 10)


def test_the_context_is_known_before_the_bytes_are_handed_out() -> None:
    session = bound()
    written = session.submit(["a"], [BODY], 1.0)
    assert session.in_flight == 1  # and only now can anyone write them
    assert session.feed(answer(sequences(written)[0]), 1.0).answers == [("a", accepted("id"))]


def test_an_error_answer_without_a_body_is_read_from_its_header() -> None:
    session = bound()
    (one,) = submit(session, "a")
    fed = session.feed(pdu.encode(pdu.SUBMIT_SM_RESP, one, 0x0B), 1.1)
    assert fed.answers == [("a", Outcome(Kind.REFUSED, "", Reason.INVALID_RECIPIENT, "0x0B"))]


def test_an_accepting_answer_without_a_body_has_an_empty_id() -> None:
    session = bound()
    (one,) = submit(session, "a")
    assert session.feed(pdu.encode(pdu.SUBMIT_SM_RESP, one), 1.1).answers == [("a", accepted(""))]


def test_a_nack_answers_the_submission_of_its_sequence() -> None:
    session = bound()
    one, two = submit(session, "a", "b")
    fed = session.feed(pdu.encode(pdu.GENERIC_NACK, two, 3) + pdu.encode(pdu.GENERIC_NACK, 0, 3), 1.1)
    assert [(c, o.kind) for c, o in fed.answers] == [("b", Kind.REFUSED)]
    assert session.in_flight == 1 and one


def test_two_answers_for_one_sequence_are_one() -> None:
    session = bound()
    (one,) = submit(session, "a")
    assert len(session.feed(answer(one) + answer(one, "other") + answer(4711), 1.1).answers) == 1
    assert session.counts["answer to nothing"] == 2


def test_an_answer_of_another_command_answers_nothing() -> None:
    session = bound()
    (one,) = submit(session, "a")
    for command in (pdu.ENQUIRE_LINK_RESP, pdu.DELIVER_SM_RESP, pdu.UNBIND_RESP, pdu.BIND_TRANSCEIVER | pdu.ANSWER):
        assert session.feed(pdu.encode(command, one), 1.1).answers == []
    assert session.in_flight == 1 and session.state == "bound"


def test_sequence_numbers_wrap_in_the_middle_of_a_write() -> None:
    session = bound(first_sequence=pdu.MAX_SEQUENCE - 2)
    used = submit(session, "a", "b", "c", "d")
    assert used == [pdu.MAX_SEQUENCE - 1, pdu.MAX_SEQUENCE, 1, 2]
    fed = session.feed(b"".join(answer(s, str(s)) for s in used), 1.1)
    assert [c for c, _ in fed.answers] == ["a", "b", "c", "d"]
    assert submit(session, "e") == [3]


# Time


def test_what_is_not_answered_in_time_is_uncertain_and_gives_its_room_back() -> None:
    session = bound()
    submit(session, "a", now=1.0)
    submit(session, "b", now=2.0)
    assert session.sweep(5.9).answers == []
    assert session.sweep(6.0).answers == [("a", uncertain(Reason.NO_ANSWER))]
    assert session.room(6.0) == 9
    assert session.sweep(7.0).answers == [("b", uncertain(Reason.NO_ANSWER))]


@pytest.mark.parametrize(
    ("late", "outcome"),
    [
        (answer(2, "late"), accepted("late")),
        (refusal(2, Status.ESME_RINVDSTADR), Outcome(Kind.REFUSED, "", Reason.INVALID_RECIPIENT, "0x0B")),
        (refusal(2, Status.ESME_RTHROTTLED), Outcome(Kind.REFUSED, "", Reason.THROTTLED, "0x58")),
    ],
)
def test_a_late_answer_heals_once(late: bytes, outcome: Outcome) -> None:
    session = bound()
    assert submit(session, "a") == [2]
    session.sweep(6.0)
    assert session.feed(late, 7.0).answers == [("a", outcome)]
    assert session.feed(late, 7.1).answers == []


def test_a_lost_link_makes_everything_in_flight_uncertain_once() -> None:
    session = bound()
    submit(session, "a", "b")
    assert session.lose() == [("a", uncertain(Reason.DISCONNECTED)), ("b", uncertain(Reason.DISCONNECTED))]
    assert session.lose() == [] and session.room(1.0) == 0
    assert session.feed(answer(2), 1.0).answers == []


def test_a_silent_link_is_asked_and_then_given_up() -> None:
    session = bound()
    assert commands(session.sweep(29.9)) == []
    assert commands(session.sweep(30.0)) == [(pdu.ENQUIRE_LINK, 0, 2)]
    assert session.sweep(32.9).events == []
    assert session.sweep(33.0).events == [Broken("enquire_link was not answered")]


def test_any_sign_of_life_counts() -> None:
    session = bound()
    session.sweep(30.0)
    session.feed(pdu.encode(pdu.ENQUIRE_LINK_RESP, 2), 31.0)
    assert session.sweep(60.0).events == [] and session.sweep(60.9).output == []
    assert commands(session.sweep(61.0)) == [(pdu.ENQUIRE_LINK, 0, 3)]


def test_a_link_that_lives_but_answers_no_submit_is_given_up_by_its_own_watchdog() -> None:
    session = bound()
    submit(session, "a", now=1.0)
    events: list[Event] = []
    for second in range(1, 22):
        session.feed(pdu.encode(pdu.ENQUIRE_LINK, second), float(second))
        events += session.sweep(float(second)).events
    assert events == [Broken("submits are not answered")]


def test_an_idle_session_does_not_stall() -> None:
    session = bound()
    (one,) = submit(session, "a", now=1.0)
    session.feed(answer(one), 2.0)
    submit(session, "b", now=100.0)
    session.feed(pdu.encode(pdu.ENQUIRE_LINK, 1), 101.0)
    assert session.sweep(101.0).events == []


# Slowing down


def test_one_flight_of_throttling_answers_halves_the_window_once_and_pauses() -> None:
    session = bound()
    flight = submit(session, *"abcdefgh")
    fed = session.feed(b"".join(refusal(s, Status.ESME_RTHROTTLED) for s in flight), 1.0)
    assert {o for _, o in fed.answers} == {Outcome(Kind.DEFERRED, "", Reason.THROTTLED, "0x58")}
    assert session.room(1.0) == 0 and session.pace.allowed == 5
    assert session.room(session.pace.paused_until) == 5


def test_throttling_for_ever_never_stops_a_bind_for_long() -> None:
    session, now = bound(), 1.0
    for _ in range(50):
        (one,) = submit(session, "a", now=now)
        session.feed(refusal(one, Status.ESME_RTHROTTLED), now)
        assert now < session.pace.paused_until <= now + 5.0
        now = session.pace.paused_until
        assert session.room(now) >= 1


def test_the_window_grows_back_with_what_is_accepted() -> None:
    session = bound()
    (one,) = submit(session, "a")
    session.feed(refusal(one, Status.ESME_RTHROTTLED), 1.0)
    assert session.pace.allowed == 5
    for _ in range(50):
        (one,) = submit(session, "a", now=2.0)
        session.feed(answer(one), 2.0)
    assert session.pace.allowed == 10


def test_a_full_queue_of_one_recipient_does_not_stall_the_rest() -> None:
    session = bound()
    for _ in range(20):
        one, two = submit(session, "full", "fine")
        session.feed(refusal(one, Status.ESME_RMSGQFUL) + answer(two), 1.0)
        assert session.room(1.0) == 10


def test_a_queue_that_is_full_for_everyone_slows_the_bind() -> None:
    session = bound()
    flight = submit(session, *"abc")
    session.feed(b"".join(refusal(s, Status.ESME_RMSGQFUL) for s in flight), 1.0)
    assert session.room(1.0) == 0 and session.pace.allowed == 5


# Deliveries


def test_a_delivery_is_answered_only_when_the_owner_says_so() -> None:
    session = bound()
    fed = session.feed(pdu.encode_many(pdu.DELIVER_SM, 7, [RECEIPT, RECEIPT]), 1.0)
    assert fed.output == [] and len(fed.deliveries) == 2
    written = session.acknowledge(fed.deliveries)
    assert [p[:3] for p in pdu.split(written)[0]] == [(pdu.DELIVER_SM_RESP, 0, 7), (pdu.DELIVER_SM_RESP, 0, 8)]


def test_a_damaged_delivery_is_kept_whole_and_answered_by_its_header() -> None:
    session = bound()
    for command in (pdu.DELIVER_SM, pdu.DATA_SM):
        raw = pdu.encode(command, 9, pdu.OK, RECEIPT[:12])
        fed = session.feed(raw, 1.0)
        assert fed.deliveries == [(command, 9, raw)] and session.state == "bound"
        assert [p[:3] for p in pdu.split(session.acknowledge(fed.deliveries))[0]] == [(command | pdu.ANSWER, 0, 9)]
    assert session.counts["damaged delivery"] == 2


def test_data_sm_is_a_delivery() -> None:
    session = bound()
    body = b"\0\1\1" + b"79161234567\0" + b"\5\0" + b"Sluice\0" + b"\4\1\0"
    ((command, sequence, m),) = session.feed(pdu.encode(pdu.DATA_SM, 3, pdu.OK, body), 1.0).deliveries
    assert isinstance(m, pdu.ShortMessage) and (command, sequence, m.esm_class) == (pdu.DATA_SM, 3, 4)


# Other things that peers say


def test_enquire_link_is_answered_at_once() -> None:
    assert commands(bound().feed(pdu.encode(pdu.ENQUIRE_LINK, 5), 1.0)) == [(pdu.ENQUIRE_LINK_RESP, 0, 5)]


def test_an_unknown_request_is_refused_and_an_unknown_answer_ignored() -> None:
    session = bound()
    assert commands(session.feed(pdu.encode(0x00000777, 5), 1.0)) == [(pdu.GENERIC_NACK, 3, 5)]
    assert commands(session.feed(pdu.encode(0x80000777, 5), 1.0)) == []
    assert commands(session.feed(pdu.encode(pdu.ALERT_NOTIFICATION, 5), 1.0)) == []
    assert session.state == "bound"


def test_an_unbind_in_mid_window_is_answered_and_answers_still_count() -> None:
    session = bound()
    (one,) = submit(session, "a")
    fed = session.feed(pdu.encode(pdu.UNBIND, 5), 1.0)
    assert commands(fed) == [(pdu.UNBIND_RESP, 0, 5)] and fed.events == [PeerUnbinds()]
    assert session.room(1.0) == 0
    assert session.feed(answer(one), 1.1).answers == [("a", accepted("id"))]


def test_our_unbind_is_over_when_it_is_answered_or_nacked() -> None:
    for command in (pdu.UNBIND_RESP, pdu.GENERIC_NACK):
        session = bound()
        (sequence,) = sequences(session.unbind())
        assert session.feed(pdu.encode(command, sequence), 1.0).events == [Unbound()]


# The stream of bytes


@given(st.lists(st.integers(1, 40), max_size=30), st.booleans())
def test_however_bytes_are_cut_the_same_happens(sizes: Sequence[int], byte_by_byte: bool) -> None:
    def run(cuts: Sequence[int]) -> tuple[list[tuple[str, Outcome]], list[int], list[Event], bytes]:
        session = bound()
        flight = submit(session, *"abcd")
        data = (
            answer(flight[1], "one")
            + pdu.encode_many(pdu.DELIVER_SM, 1, [RECEIPT, RECEIPT[:10], RECEIPT])
            + refusal(flight[0], Status.ESME_RTHROTTLED)
            + pdu.encode(pdu.ENQUIRE_LINK, 9)
            + answer(flight[3], "three")
            + pdu.encode(pdu.UNBIND, 10)
        )
        answers: list[tuple[str, Outcome]] = []
        deliveries: list[Delivery] = []
        events: list[Event] = []
        output: list[bytes] = []
        at = 0
        for size in [*cuts, len(data)]:
            fed = session.feed(data[at : at + size], 1.0)
            at += size
            answers += fed.answers
            deliveries += fed.deliveries
            events += fed.events
            output += fed.output
        return answers, [d[1] for d in deliveries], events, b"".join(output)

    assert run([1] * 400 if byte_by_byte else sizes) == run([])


ANSWER = st.tuples(
    st.integers(0, 12),  # which submit; the last ones are nobody's
    st.sampled_from([0, 0, 0, 0, int(Status.ESME_RTHROTTLED), int(Status.ESME_RINVDSTADR)]),
    st.sampled_from(["", "12345", "12346", "ABCDE", "1 345", " 123 ", "12-45", "1234é", "0" * 64, "1" * 120]),
    st.sampled_from([b"\0", b"\0", b"\0", b"", b"\0\0", b"\0more"]),
)


@given(st.lists(ANSWER, max_size=30), st.lists(st.integers(1, 200), max_size=20))
def test_answers_that_come_together_mean_what_they_mean_one_by_one(
    given_answers: Sequence[tuple[int, int, str, bytes]], cuts: Sequence[int]
) -> None:
    def run(pieces: Callable[[list[bytes]], list[bytes]]) -> object:
        session = bound()
        flight = submit(session, *"abcdefghij")
        data = [
            pdu.encode(pdu.SUBMIT_SM_RESP, [*flight, 900, 901, 902][n], status, message_id.encode("latin-1") + end)
            for n, status, message_id, end in given_answers
        ]
        found = [answered for piece in pieces(data) for answered in session.feed(piece, 2.0).answers]
        return found, session.counts, session.in_flight, session.room(2.0), session.state

    def cut(data: list[bytes]) -> list[bytes]:
        whole, at = b"".join(data), 0
        pieces = []
        for size in cuts:
            pieces.append(whole[at : at + size])
            at += size
        return [*pieces, whole[at:]]

    one_by_one = run(lambda data: data)
    assert run(lambda data: [b"".join(data)]) == one_by_one
    assert run(cut) == one_by_one


def test_half_a_pdu_changes_nothing() -> None:
    session = bound()
    (one,) = submit(session, "a")
    data = answer(one, "some id")
    fed = session.feed(data[:-1], 1.0)
    assert (fed.answers, fed.output, session.in_flight) == ([], [], 1)
    assert session.feed(data[-1:], 1.0).answers == [("a", accepted("some id"))]


@pytest.mark.parametrize("length", [0, 3, 15, 70_001, 0xFFFFFFFF])
def test_an_absurd_length_ends_the_link_after_what_came_before_it(length: int) -> None:
    session = bound()
    (one,) = submit(session, "a")
    fed = session.feed(answer(one) + length.to_bytes(4, "big") + bytes(12), 1.0)
    assert fed.answers == [("a", accepted("id"))]
    assert fed.events == [Broken(f"a PDU claims {length} bytes")]
    assert commands(fed) == [(pdu.GENERIC_NACK, 2, 0)]


def test_an_absurd_length_is_noticed_byte_by_byte_and_never_buffered() -> None:
    session = bound()
    events: list[Event] = []
    for octet in b"\xff\xff\xff\xff" + bytes(12):
        events += session.feed(bytes((octet,)), 1.0).events
    assert events == [Broken("a PDU claims 4294967295 bytes")]


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_no_sound_header_breaks_a_session_whatever_its_body(bodies: list[bytes], command: int, status: int) -> None:
    session = bound()
    submit(session, "a")
    known = (command, pdu.SUBMIT_SM_RESP, pdu.DELIVER_SM, pdu.DATA_SM, pdu.GENERIC_NACK)
    for number, body in enumerate(bodies):
        fed = session.feed(pdu.encode(known[number % 5], number, status, body), 1.0)
        assert not [event for event in fed.events if isinstance(event, Broken)]


def test_the_sweep_is_often_enough_for_the_shortest_limit() -> None:
    assert bound().sweep_s == 0.3
    assert Session[str](Limits(), 0.0).sweep_s == 1.0
    assert Session[str](Limits(answer_timeout_s=0.001), 0.0).sweep_s == 0.01


# Questions beside the window


def test_a_question_has_its_answer_and_takes_no_room() -> None:
    session = bound()
    room = session.room(1.0)
    sequence, data = session.ask(pdu.QUERY_SM, pdu.encode_query(b"id1", 5, 0, b"Sluice"))
    assert pdu.split(data)[0][0][:3] == (pdu.QUERY_SM, 0, sequence) and session.room(1.0) == room
    fed = session.feed(pdu.encode(pdu.QUERY_SM_RESP, sequence, 0, b"id1\0\0\2\0"), 2.0)
    assert fed.events == [Answered(sequence, 0, b"id1\0\0\2\0")] and not fed.answers
    assert not session.feed(pdu.encode(pdu.QUERY_SM_RESP, sequence, 0, b""), 2.0).events


@pytest.mark.parametrize("command", [pdu.CANCEL_SM_RESP, pdu.GENERIC_NACK])
def test_a_no_to_a_question_is_told_by_its_status(command: int) -> None:
    session = bound()
    sequence, _ = session.ask(pdu.CANCEL_SM, b"")
    assert session.feed(pdu.encode(command, sequence, 0x11), 2.0).events == [Answered(sequence, 0x11, b"")]


def test_an_answer_of_another_command_answers_no_question() -> None:
    session = bound()
    sequence, _ = session.ask(pdu.CANCEL_SM, b"")
    assert not session.feed(pdu.encode(pdu.QUERY_SM_RESP, sequence, 0), 2.0).events


def test_questions_that_nobody_answers_are_forgotten() -> None:
    session = bound()
    first, _ = session.ask(pdu.QUERY_SM, b"")
    for _ in range(2_000):
        session.ask(pdu.QUERY_SM, b"")
    assert not session.feed(pdu.encode(pdu.QUERY_SM_RESP, first, 0), 2.0).events


@pytest.mark.parametrize(
    ("body", "version"), [(b"", -1), (b"smsc\0", -1), (b"smsc\0\2\x10\0\1\x33", 0x33), (b"smsc\0\2\x10\0\1\x50", 0x50)]
)
def test_the_peers_version_is_what_its_bind_answer_says(body: bytes, version: int) -> None:
    session: Session[str] = Session(LIMITS, 0.0)
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    assert session.feed(pdu.encode(pdu.BIND_TRANSCEIVER | pdu.ANSWER, 1, 0, body), 0.0).events == [Bound()]
    assert session.peer_version == version


def test_a_carriers_own_codes_decide_what_an_answer_means() -> None:
    session: Session[str] = Session(LIMITS, 0.0, codes=Codes({0x45: (Reason.THROTTLED, None)}))
    session.bind(pdu.BIND_TRANSCEIVER, BIND, 0.0)
    session.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"smsc"), 0.0)
    (sequence,) = submit(session, "a")
    ((_, outcome),) = session.feed(answer(sequence, status=0x45), 1.0).answers
    assert (outcome.kind, outcome.reason) == (Kind.DEFERRED, Reason.THROTTLED)
    assert session.room(1.0) == 0  # and the bind slows
