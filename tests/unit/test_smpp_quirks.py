"""What carriers really do, met in the field, line by line: each has its reaction, and a test that shows it.

The table names tests of every tier; those that no other module has are here. Lines from 41 on are from SMPP 3.4.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.events import Received, Submitted
from gateway.ledger.fold import Fold
from gateway.ledger.rows import Matched, Row
from gateway.message import Message, id_tail, make_id
from gateway.provider import Kind, Outcome, Reason, Receipt, accepted
from gateway.smpp import pdu, tlv
from gateway.smpp.ids import spellings
from gateway.smpp.session import BindRefused, Bound, Fed, Forgotten, Limits, PeerUnbinds, Session
from providers.smpp.inbound import DeliveryReader
from providers.smpp.settings import read

TESTS = Path(__file__).parents[1]
HERE = "unit/test_smpp_quirks.py"
SESSION, RECEIPT, FOLD = "unit/test_smpp_session.py", "unit/test_smpp_receipt.py", "unit/test_ledger_fold.py"
SUBMIT, PROVIDER, WIRE = "unit/test_smpp_submit.py", "unit/test_smpp_provider.py", "unit/test_smpp_wire.py"
CONTRACT, MATCHER = "contract/test_provider_contract.py", "integration/test_matcher.py"
INBOUND = "integration/test_inbound.py"

LINES: dict[int, tuple[str, tuple[tuple[str, str], ...]]] = {
    1: (
        "submit_sm_resp OK with an empty message_id: sent, untracked, never a map key",
        (
            (SESSION, "test_an_accepting_answer_without_a_body_has_an_empty_id"),
            (HERE, "test_01_an_empty_id_matches_no_receipt"),
        ),
    ),
    2: ("an error answer without a body", ((SESSION, "test_an_error_answer_without_a_body_is_read_from_its_header"),)),
    3: (
        "the answer's id is hexadecimal, the receipt's decimal, and the reverse; 64 bits and longer",
        (
            ("unit/test_smpp_ids.py", "test_an_unsigned_id_of_64_bits_is_known_in_hex_and_decimal"),
            ("unit/test_smpp_ids.py", "test_hex_and_decimal_find_each_other_at_any_length"),
            (MATCHER, "test_a_receipt_is_matched_by_another_spelling_of_the_carriers_id"),
            (MATCHER, "test_the_form_of_a_carriers_ids_is_learnt_from_a_hit"),
            (
                "unit/test_connector_vitals.py",
                "test_the_form_of_ids_is_believed_after_some_hits_and_then_every_receipt_is_read_so",
            ),
        ),
    ),
    4: (
        "the receipt drops leading zeros of the id",
        (
            ("unit/test_smpp_ids.py", "test_leading_zeros_and_case_do_not_matter"),
            (MATCHER, "test_a_receipt_that_dropped_leading_zeros_finds_its_submission"),
        ),
    ),
    5: (
        "a receipt before the submit answer, or on another bind",
        (
            (MATCHER, "test_a_receipt_that_came_before_its_submission_is_matched_later"),
            (CONTRACT, "test_a_receipt_before_the_submits_answer_is_reported_and_the_answer_still_counts"),
            (HERE, "test_05_a_receipt_on_another_bind_is_the_submissions"),
        ),
    ),
    6: ("a receipt days later", ((MATCHER, "test_a_receipt_finds_a_submission_of_five_weeks_ago_but_not_of_six"),)),
    7: (
        "duplicates, states in any order, DELIVRD and then UNDELIV: forward only, all kept",
        (
            (FOLD, "test_any_batching_and_doubling_gives_the_same_row"),
            (FOLD, "test_a_late_contradiction_flips_nothing"),
            (HERE, "test_07_states_in_any_order_are_all_kept_and_the_first_final_one_stays"),
        ),
    ),
    8: (
        "spellings of stat; an unmapped one is unknown and counted",
        (
            (RECEIPT, "test_every_spelling_of_stat_has_one_state_in_capitals_or_not"),
            (RECEIPT, "test_an_unmapped_stat_is_unknown_never_failed_and_is_counted"),
            (RECEIPT, "test_a_carrier_may_add_its_own_words_and_change_the_meaning_of_others"),
            (HERE, "test_08_every_word_that_was_met_has_its_state"),
        ),
    ),
    9: (
        "missing sub and dlvrd, odd err, Text or text: lenient, stat wins",
        (
            (RECEIPT, "test_fields_may_be_missing_oddly_spelt_or_in_any_order"),
            (RECEIPT, "test_stat_wins_over_err"),
            (RECEIPT, "test_fields_inside_the_messages_own_text_are_not_the_receipts"),
        ),
    ),
    10: (
        "dates of 10 or 12 digits, zeros, the carrier's own time zone",
        ((RECEIPT, "test_dates_are_read_in_the_carriers_own_time_zone_or_are_null"),),
    ),
    11: (
        "a receipt only in parameters, or the id there and the rest in text",
        (
            (RECEIPT, "test_a_receipt_only_in_parameters_is_read"),
            (RECEIPT, "test_an_id_in_a_parameter_and_the_rest_in_text_are_merged"),
        ),
    ),
    12: (
        "receipt text in message_payload, or by data_sm",
        (
            (RECEIPT, "test_the_text_may_be_in_message_payload"),
            (HERE, "test_12_a_receipt_by_data_sm_is_a_receipt"),
        ),
    ),
    13: (
        "esm_class 0x44 is a receipt; a text that looks like one is inbound",
        (
            (RECEIPT, "test_esm_class_0x44_is_a_receipt"),
            (RECEIPT, "test_a_subscribers_text_that_looks_like_a_receipt_is_none"),
        ),
    ),
    14: (
        "throttled and queue full: the bind slows, bounded retries, one full queue stalls nobody",
        (
            (SESSION, "test_one_flight_of_throttling_answers_halves_the_window_once_and_pauses"),
            (SESSION, "test_throttling_for_ever_never_stops_a_bind_for_long"),
            (SESSION, "test_a_full_queue_of_one_recipient_does_not_stall_the_rest"),
            (SESSION, "test_a_queue_that_is_full_for_everyone_slows_the_bind"),
            ("unit/test_connector_flight.py", "test_a_carrier_that_throttles_too_often_is_left_for_another"),
        ),
    ),
    15: (
        "permanent and vendor codes: one table, counted by code",
        (
            ("unit/test_smpp_status.py", "test_every_status_of_the_standard_has_an_outcome_with_its_number"),
            (SUBMIT, "test_a_carriers_own_row_stands_over_the_table"),
            ("unit/test_connector_vitals.py", "test_a_no_is_counted_by_the_carriers_own_number"),
        ),
    ),
    16: (
        "no answer, or one after the time-out: uncertain, healed, never charged twice",
        (
            (SESSION, "test_what_is_not_answered_in_time_is_uncertain_and_gives_its_room_back"),
            (SESSION, "test_a_late_answer_heals_once"),
            (FOLD, "test_an_answer_to_an_uncertain_submission_heals_it_and_is_charged_once"),
        ),
    ),
    17: (
        "answers out of order, two for one sequence, the wrap at 0x7FFFFFFF",
        (
            (SESSION, "test_answers_in_any_order_find_their_submissions"),
            (SESSION, "test_two_answers_for_one_sequence_are_one"),
            (SESSION, "test_sequence_numbers_wrap_in_the_middle_of_a_write"),
        ),
    ),
    18: (
        "one PDU byte by byte, many in one read",
        (
            (SESSION, "test_however_bytes_are_cut_the_same_happens"),
            (SESSION, "test_half_a_pdu_changes_nothing"),
        ),
    ),
    19: (
        "command_length under 16 or absurd: close and count, no allocation",
        (
            (SESSION, "test_an_absurd_length_ends_the_link_after_what_came_before_it"),
            (SESSION, "test_an_absurd_length_is_noticed_byte_by_byte_and_never_buffered"),
        ),
    ),
    20: (
        "unknown, damaged and endless optional parameters: skipped, the PDU is answered",
        (
            ("unit/test_smpp_pdu.py", "test_optional_parameters_are_read_as_far_as_they_make_sense"),
            ("unit/test_smpp_lessons.py", "test_an_integer_parameter_of_odd_length_kills_nothing"),
            (RECEIPT, "test_an_unreadable_parameter_does_not_spoil_the_text"),
        ),
    ),
    21: (
        "deliver_sm that cannot be parsed: answered by its header, kept in quarantine",
        (
            (SESSION, "test_a_damaged_delivery_is_kept_whole_and_answered_by_its_header"),
            (PROVIDER, "test_a_damaged_delivery_is_an_inbound_message_of_raw_bytes"),
            ("integration/test_inbound.py", "test_what_cannot_be_read_is_kept_raw_in_quarantine"),
        ),
    ),
    22: (
        "enquire_link never answered; the link alive but submits never answered",
        (
            (SESSION, "test_a_silent_link_is_asked_and_then_given_up"),
            (SESSION, "test_a_link_that_lives_but_answers_no_submit_is_given_up_by_its_own_watchdog"),
        ),
    ),
    23: (
        "unbind in mid-window, close without unbind, reset on write: answered, drained, reconnected with jitter",
        (
            (WIRE, "test_a_peer_that_unbinds_in_mid_window_is_answered_drained_and_left"),
            (WIRE, "test_what_was_written_to_a_closing_transport_is_uncertain"),
            (CONTRACT, "test_what_was_on_the_wire_when_the_link_broke_is_uncertain_and_nothing_else_is"),
            (CONTRACT, "test_a_carrier_that_comes_back_is_used_again"),
        ),
    ),
    24: (
        "a wrong password: slow and visible; transmitter and receiver binds alone",
        (
            (CONTRACT, "test_wrong_credentials_are_a_visible_state_and_no_hammer"),
            (SUBMIT, "test_binds_are_transceivers_or_pairs"),
        ),
    ),
    25: (
        "data_coding 0 is GSM 7-bit unpacked, packed, Latin-1 or ASCII",
        (
            (PROVIDER, "test_the_default_alphabet_is_what_the_carrier_says"),
            (SUBMIT, "test_long_messages_in_packed_septets_fit_and_arrive"),
            (SUBMIT, "test_packed_septets_survive_the_way_there_and_back"),
        ),
    ),
    26: (
        "an escape or a surrogate pair at a part's border, odd octets, emoji: never cut",
        (
            ("unit/test_parts.py", "test_joined_parts_are_the_text_and_each_part_encodes_whole"),
            ("unit/test_smpp_lessons.py", "test_extension_characters_never_overflow_a_part"),
            ("unit/test_parts.py", "test_no_octets_make_ucs2_decoding_fail"),
        ),
    ),
    27: (
        "concatenation by an 8-bit or 16-bit header, by parameters or by message_payload",
        (
            (PROVIDER, "test_long_messages_carry_a_header_and_arrive_whole"),
            (PROVIDER, "test_long_messages_may_be_concatenated_by_parameters"),
            (SUBMIT, "test_a_message_as_a_whole_travels_in_message_payload"),
        ),
    ),
    28: (
        "receipts for the first part, the last, or all; any undeliverable part decides",
        (
            (FOLD, "test_a_message_is_delivered_when_every_part_is"),
            (FOLD, "test_any_undeliverable_part_makes_the_message_undeliverable"),
            ("integration/test_inbound.py", "test_an_undeliverable_part_decides_and_the_delivered_ones_are_counted"),
            (FOLD, "test_the_one_receipt_of_a_carrier_speaks_for_all_parts"),
            (FOLD, "test_it_speaks_for_no_part_that_the_carrier_does_not_have_yet"),
            ("integration/test_inbound.py", "test_one_receipt_for_all_parts_speaks_for_them_after_waiting_too"),
        ),
    ),
    29: (
        "inbound parts out of order, doubled, missing, with one reference from two senders, with 16 bits of it",
        (
            ("unit/test_inbound_assembly.py", "test_parts_in_any_order_are_one_message"),
            ("unit/test_inbound_assembly.py", "test_a_doubled_part_is_a_repeat_of_its_message"),
            ("unit/test_inbound_assembly.py", "test_a_missing_part_is_waited_for_and_then_not"),
            ("unit/test_inbound_assembly.py", "test_the_same_reference_of_another_dialogue_is_another_message"),
            ("unit/test_smpp_lessons.py", "test_a_16_bit_reference_is_read_as_one"),
            ("integration/test_inbound.py", "test_parts_are_waited_for_and_told_once_when_two_matchers_look"),
        ),
    ),
    30: (
        "names over 11 characters, numbers over 15 digits, Cyrillic senders: refused at accept",
        (
            ("unit/test_senders.py", "test_senders_that_no_carrier_takes_are_refused_with_a_sentence"),
            ("unit/test_senders.py", "test_every_accepted_sender_fits_a_message_and_parses_to_itself"),
        ),
    ),
    41: ("a bind answer without a name, or without a body", ((HERE, "test_41_a_bind_answer_needs_no_body"),)),
    42: ("deliveries before the bind is answered", ((HERE, "test_42_what_comes_before_the_binds_answer_is_kept"),)),
    43: ("a sequence of 32 bits, or 0, in a request", ((HERE, "test_43_any_sequence_is_answered_by_itself"),)),
    44: ("a generic_nack without a sequence", ((HERE, "test_44_a_nack_to_nothing_loses_nothing"),)),
    45: ("an error answer that has a body all the same", ((HERE, "test_45_a_refusal_with_a_body_is_one"),)),
    46: ("unbind before the bind is answered", ((HERE, "test_46_a_peer_may_unbind_while_we_bind"),)),
    47: ("states of SMPP 5.0, network errors of other lengths", ((HERE, "test_47_odd_parameters_of_receipts"),)),
    48: ("an id with blanks around it, fields on lines of their own", ((HERE, "test_48_receipts_in_lines"),)),
    49: ("a header in front that is longer than the text", ((HERE, "test_49_a_header_longer_than_the_text"),)),
    50: ("a bind refused by another command's answer", ((HERE, "test_50_a_bind_is_refused_by_whatever_answer"),)),
    52: (
        "receipts without their flag, with addresses as in the submit",
        (
            (HERE, "test_52_receipts_without_a_flag_are_a_setting"),
            (MATCHER, "test_an_orphan_with_addresses_as_in_the_submit_heals_what_it_is_about"),
        ),
    ),
    51: ("bytes after we have gone", ((HERE, "test_51_what_comes_after_the_end_is_nothing"),)),
    53: ("receipts in UCS-2, whatever data_coding says", ((HERE, "test_53_receipts_in_ucs2_of_either_order"),)),
    54: ("receipts with zeros in their text", ((HERE, "test_54_zeros_in_a_receipt_are_no_characters"),)),
    55: ("both receipt flags at once", ((HERE, "test_55_every_flag_of_a_receipt_counts"),)),
    56: ("a stub in short_message, the receipt in message_payload", ((HERE, "test_56_a_stub_before_the_payload"),)),
    57: ("fields with nothing or a slash between them", ((HERE, "test_57_fields_without_blanks"),)),
    58: ("dates of every kind that was seen", ((HERE, "test_58_dates_of_every_kind"),)),
    59: ("stat cut to seven characters, misspelt, quoted", ((HERE, "test_59_words_that_were_cut_or_misspelt"),)),
    60: (
        "message_state where stat says UNKNOWN, as a digit",
        ((HERE, "test_60_parameters_fill_what_the_text_leaves"),),
    ),
    61: ("ids with blanks around them", ((HERE, "test_61_blanks_around_an_id_are_not_part_of_it"),)),
    62: ("ids padded after conversion, signed, UUIDs", ((HERE, "test_62_ids_that_are_one_number"),)),
    63: (
        "inbound parts without the header's flag, texts with it",
        ((HERE, "test_63_the_flag_of_a_header_may_be_wrong"),),
    ),
    67: (
        "receipts without their flag, where nobody set unflagged_receipts",
        (
            (INBOUND, "test_a_receipt_without_its_flag_is_known_by_the_id_of_a_message_to_that_number"),
            (INBOUND, "test_a_subscribers_text_that_looks_like_a_receipt_stays_a_message"),
        ),
    ),
    65: (
        "one id for all parts of a message",
        (
            (HERE, "test_65_one_id_for_all_parts_is_one_receipt_for_all"),
            (MATCHER, "test_a_receipt_for_the_one_id_of_all_parts_speaks_for_all"),
        ),
    ),
    66: (
        "a peer that has lost the session: 0x04 to every submit",
        (
            (HERE, "test_66_a_session_that_the_peer_has_lost_is_made_anew"),
            (WIRE, "test_a_peer_that_says_we_are_not_bound_is_left_and_called_again"),
        ),
    ),
    64: ("inbound texts of other groups of data_coding, with zeros", ((HERE, "test_64_inbound_alphabets"),)),
}


@cache
def names_in(module: str) -> frozenset[str]:
    tree = ast.parse((TESTS / module).read_text("utf-8"))
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_line_has_its_tests() -> None:
    assert set(range(1, 31)) <= set(LINES)
    missing = [(line, name) for line, (_, tests) in LINES.items() for path, name in tests if name not in names_in(path)]
    assert not missing and all(tests for _, tests in LINES.values())


ONE = make_id(1_795_300_000_000, id_tail(0, bytes(9)))
TWO = make_id(1_795_300_000_000, id_tail(0, bytes([1] * 9)))
MESSAGE = Message("shop", "otp", "+79160000001", "Sluice", "hello", "gsm7", 1, 300)


def submitted(message_id: bytes, carrier_id: str) -> Submitted:
    fields: dict[str, Any] = {
        "id": message_id, "attempt": 1, "part": 1, "parts": 1, "carrier": "north", "bind": "trx1", "kind": 0,
        "reason": "", "code": "", "carrier_message_id": carrier_id, "operator": "", "price_micro": 1, "currency": "RUB",
        "plan_version": 1, "route": "r", "routed_ms": 1, "sent_ms": 2, "answered_ms": 3, "echo": 4,
    }  # fmt: skip
    return Submitted(**fields)


def folded(*facts: Submitted | Received) -> tuple[dict[bytes, Row], dict[tuple[str, str], Matched], Any]:
    fold = Fold({}, {})
    fold.accept([(ONE, MESSAGE), (TWO, MESSAGE)])
    fold.apply(facts, 10)
    return fold.rows, fold.known, fold.finish()


def received(carrier_id: str, state: str = "delivered", bind: str = "trx1") -> Received:
    return Received("north", 9, Receipt(carrier_id, state, bind=bind))


def test_01_an_empty_id_matches_no_receipt() -> None:
    rows, known, changes = folded(submitted(ONE, ""), submitted(TWO, ""), received(""))
    assert not known and [f.receipt.carrier_message_id for f in changes.unmatched] == [""]
    assert {rows[ONE].state, rows[TWO].state} == {"submitted"}


def test_05_a_receipt_on_another_bind_is_the_submissions() -> None:
    rows, _, _ = folded(submitted(ONE, "c1"), received("c1", bind="rx7"))
    assert rows[ONE].state == "delivered"


def test_07_states_in_any_order_are_all_kept_and_the_first_final_one_stays() -> None:
    states = ("accepted", "enroute", "delivered", "enroute", "undeliverable", "delivered")
    rows, _, changes = folded(submitted(ONE, "c1"), *(received("c1", state) for state in states))
    assert rows[ONE].state == "delivered" and len(changes.receipts) == len(states)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVRD", "delivered"), ("DELIVERED", "delivered"), ("UNDELIV", "undeliverable"),
        ("UNDELIVERABLE", "undeliverable"), ("REJECTD", "rejected"), ("ACCEPTD", "accepted"), ("ACKED", "accepted"),
        ("BUFFRED", "enroute"), ("ENROUTE", "enroute"), ("EXPIRED", "expired"), ("DELETED", "deleted"),
        ("UNKNOWN", "unknown"), ("PARKED", "unknown"),
    ],
)  # fmt: skip
def test_08_every_word_that_was_met_has_its_state(word: str, state: str) -> None:
    assert read_receipt(f"id:1 stat:{word} err:000".encode()).state == state


def reader(**more: Any) -> DeliveryReader:
    return DeliveryReader(read("acme", {"host": "smsc.example", "system_id": "a", "password": "p"} | more))


def read_receipt(text: bytes, tail: bytes = b"") -> Receipt:
    found = reader().receipts.read(pdu.ShortMessage(esm_class=4, message=text, tlvs=tail))
    assert found is not None
    return found


def session(bound: bool = True) -> Session[str]:
    made: Session[str] = Session(Limits(window=10), 0.0)
    made.bind(pdu.BIND_TRANSCEIVER, pdu.Bind(b"account", b"password"), 0.0)
    if bound:
        made.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"smsc"), 0.0)
    return made


def written(fed: Fed[str]) -> list[tuple[int, int, int]]:
    return [p[:3] for p in pdu.split(b"".join(fed.output))[0]]


def test_12_a_receipt_by_data_sm_is_a_receipt() -> None:
    tail = tlv.encode(tlv.MESSAGE_PAYLOAD, b"id:7 stat:DELIVRD err:000")
    body = b"\0" + b"\1\1" + b"79161234567\0" + b"\5\0" + b"Sluice\0" + b"\4\0\0" + tail
    fed = session().feed(pdu.encode(pdu.DATA_SM, 9, 0, body), 1.0)
    receipts, inbound = reader().sort(fed.deliveries, "trx1")
    assert [(r.carrier_message_id, r.state) for r in receipts] == [("7", "delivered")] and not inbound
    assert [p[:3] for p in pdu.split(session().acknowledge(fed.deliveries))[0]] == [(pdu.DATA_SM_RESP, 0, 9)]


@pytest.mark.parametrize("body", [b"", b"\0", b"smsc", b"smsc\0\2\x10\0"])
def test_41_a_bind_answer_needs_no_body(body: bytes) -> None:
    made = session(bound=False)
    assert made.feed(pdu.encode(pdu.BIND_TRANSCEIVER | pdu.ANSWER, 1, 0, body), 0.0).events == [Bound()]


def test_42_what_comes_before_the_binds_answer_is_kept() -> None:
    made = session(bound=False)
    body = pdu.encode_short_message(pdu.ShortMessage(source=b"7916", esm_class=4, message=b"id:1 stat:DELIVRD"))
    fed = made.feed(pdu.encode(pdu.DELIVER_SM, 5, 0, body) + pdu.encode(pdu.ENQUIRE_LINK, 6), 0.0)
    assert len(fed.deliveries) == 1 and written(fed) == [(pdu.ENQUIRE_LINK_RESP, 0, 6)]
    assert made.feed(pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, 1, b"smsc"), 0.0).events == [Bound()]


@pytest.mark.parametrize("sequence", [0, 0x80000000, 0xFFFFFFFF])
def test_43_any_sequence_is_answered_by_itself(sequence: int) -> None:
    made = session()
    assert written(made.feed(pdu.encode(pdu.ENQUIRE_LINK, sequence), 1.0)) == [(pdu.ENQUIRE_LINK_RESP, 0, sequence)]
    body = pdu.encode_short_message(pdu.ShortMessage(message=b"hi"))
    fed = made.feed(pdu.encode(pdu.DELIVER_SM, sequence, 0, body), 1.0)
    assert [p[2] for p in pdu.split(made.acknowledge(fed.deliveries))[0]] == [sequence]


def test_44_a_nack_to_nothing_loses_nothing() -> None:
    made = session()
    made.submit(["a"], [b"body"], 1.0)
    fed = made.feed(pdu.encode(pdu.GENERIC_NACK, 0, 3), 1.0)
    assert not fed.answers and not fed.events and made.in_flight == 1 and made.counts["generic_nack"] == 1


def test_45_a_refusal_with_a_body_is_one() -> None:
    made = session()
    made.submit(["a", "b"], [b"body"] * 2, 1.0)
    fed = made.feed(pdu.encode(pdu.SUBMIT_SM_RESP, 2, 0x0B, b"id\0") + pdu.encode_submit_answers([(3, b"m2")]), 1.0)
    refusal = Outcome(Kind.REFUSED, "", Reason.INVALID_RECIPIENT, "0x0B")
    assert fed.answers == [("a", refusal), ("b", accepted("m2"))]


def test_46_a_peer_may_unbind_while_we_bind() -> None:
    fed = session(bound=False).feed(pdu.encode(pdu.UNBIND, 1), 0.0)
    assert fed.events == [PeerUnbinds()] and written(fed) == [(pdu.UNBIND_RESP, 0, 1)]


@pytest.mark.parametrize(
    ("tail", "state"),
    [
        (tlv.encode(tlv.MESSAGE_STATE, b"\0"), "enroute"),
        (tlv.encode(tlv.MESSAGE_STATE, b"\x09"), "undeliverable"),
        (tlv.encode(tlv.MESSAGE_STATE, b"\x63"), "unknown"),
        (tlv.encode(tlv.MESSAGE_STATE, b"\0\2"), "delivered"),
        (tlv.encode(tlv.MESSAGE_STATE, b"\5") + tlv.encode(tlv.NETWORK_ERROR_CODE, b"\3\0"), "undeliverable"),
        (tlv.encode(tlv.MESSAGE_STATE, b"\5") + tlv.encode(tlv.NETWORK_ERROR_CODE, b"\x03\0\0\1"), "undeliverable"),
    ],
)
def test_47_odd_parameters_of_receipts(tail: bytes, state: str) -> None:
    assert read_receipt(b"", tlv.encode(tlv.RECEIPTED_MESSAGE_ID, b"7\0") + tail).state == state


@pytest.mark.parametrize(
    "text",
    [
        b"id:7\r\nsub:001\r\ndlvrd:001\r\nstat:DELIVRD\r\nerr:000\r\n",
        b"id: 7 sub: 001 stat: DELIVRD err: 000 text:",
        b"ID:7;STAT:delivrd;ERR:0",
        b"  id:7 stat:DELIVRD",
        b"message_id=7, status=DELIVRD",
    ],
)
def test_48_receipts_in_lines(text: bytes) -> None:
    found = read_receipt(text)
    assert (found.carrier_message_id, found.state) == ("7", "delivered")


@pytest.mark.parametrize("payload", [b"\xff\0\3", b"\5\0\3\1\2", b"\0", b"\5\0\3\1\2\1"])
def test_49_a_header_longer_than_the_text(payload: bytes) -> None:
    found = reader().inbound(pdu.ShortMessage(source=b"7916", esm_class=0x40, message=payload), "trx1")
    assert found.text == "" and found.sender == "7916"


def test_50_a_bind_is_refused_by_whatever_answer() -> None:
    made = session(bound=False)
    assert made.feed(pdu.encode(pdu.BIND_RECEIVER | pdu.ANSWER, 1, 0x0D), 0.0).events == [BindRefused(0x0D)]


def test_51_what_comes_after_the_end_is_nothing() -> None:
    made = session()
    made.submit(["a"], [b"body"], 1.0)
    assert [context for context, _ in made.lose()] == ["a"]
    assert made.feed(pdu.encode_submit_answers([(2, b"m1")]), 1.0) == Fed()
    assert made.acknowledge([(pdu.DELIVER_SM, 1, b"")]) == b"" and not made.sweep(100.0).events


@pytest.mark.parametrize(
    ("text", "is_receipt"),
    [
        (b"id:7 sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:DELIVRD err:000 text:", True),
        (b"id:7 stat:DELIVRD", True),
        (b"my id: 7, please", False),
        (b"what is the stat: of it?", False),
        (b"Yes", False),
    ],
)
def test_52_receipts_without_a_flag_are_a_setting(text: bytes, is_receipt: bool) -> None:
    m = pdu.ShortMessage(source=b"79161234567", dest=b"Sluice", message=text)
    assert len(reader(unflagged_receipts=True).sort([(pdu.DELIVER_SM, 1, m)], "trx1")[0]) == is_receipt
    assert len(reader().sort([(pdu.DELIVER_SM, 1, m)], "trx1")[1]) == 1


BOOK = b"id:7 sub:001 dlvrd:001 submit date:2611221000 done date:2611221001 stat:DELIVRD err:000 text:hello"


def flagged(text: bytes, tail: bytes = b"", **fields: Any) -> tuple[str, str, str]:
    found = reader().receipts.read(pdu.ShortMessage(message=text, tlvs=tail, **({"esm_class": 4} | fields)))
    assert found is not None and "\0" not in found.raw + found.code + found.carrier_message_id
    return found.carrier_message_id, found.state, found.code


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("coding", [0, 8])
def test_53_receipts_in_ucs2_of_either_order(codec: str, coding: int) -> None:
    text = BOOK.decode().encode(codec)
    assert flagged(text, data_coding=coding) == ("7", "delivered", "000")
    assert flagged(b"", tlv.encode(tlv.MESSAGE_PAYLOAD, text), data_coding=coding)[:2] == ("7", "delivered")


@pytest.mark.parametrize("text", [b"id:7 stat:DELIVRD err:000\0", b"id:7\0 stat:DELIVRD\0 err:000", b"\0" + BOOK])
def test_54_zeros_in_a_receipt_are_no_characters(text: bytes) -> None:
    assert flagged(text) == ("7", "delivered", "000")


@pytest.mark.parametrize("esm_class", [0x04, 0x20, 0x24, 0x07, 0x44, 0x64, 0x84])
def test_55_every_flag_of_a_receipt_counts(esm_class: int) -> None:
    assert flagged(BOOK, esm_class=esm_class)[:2] == ("7", "delivered")


@pytest.mark.parametrize("stub", [b" ", b"\0", b"see payload"])
def test_56_a_stub_before_the_payload(stub: bytes) -> None:
    assert flagged(stub, tlv.encode(tlv.MESSAGE_PAYLOAD, BOOK)) == ("7", "delivered", "000")


@pytest.mark.parametrize(
    "text",
    [
        BOOK.replace(b" ", b"").replace(b"submitdate", b"submit date").replace(b"donedate", b"done date"),
        b"id:7/sub:001/dlvrd:001/stat:DELIVRD/err:000/text:stat:UNDELIV",
        b"id:7 sub:001 done date:2611221001 stat:DELIVRDerr:000text:",
    ],
)
def test_57_fields_without_blanks(text: bytes) -> None:
    assert flagged(text) == ("7", "delivered", "000")


@pytest.mark.parametrize(
    ("date", "second"),
    [
        ("2611221001", 0), ("261122100130", 30), ("202611221001", 0), ("20261122100130", 30), ("2611221301+0300", 0),
        ("2026-11-22 10:01:30", 30), ("2026-11-22T10:01:30Z", 30), ("2026-11-22T13:01:30+03:00", 30),
        ("26/11/22 10:01", 0), ("22.11.2026 10:01:30", 30), ("261122130130012+", 30), ("1795341690", 30),
        ("1795341690123", 30.123), ("2611221001 - 1", 0),
    ],
)  # fmt: skip
def test_58_dates_of_every_kind(date: str, second: float) -> None:
    found = read_receipt(f"id:7 submit date:{date} done date:{date} stat:DELIVRD err:000".encode())
    assert found.done_ms == 1_795_341_660_000 + int(second * 1000) and found.state == "delivered"


@pytest.mark.parametrize("date", ["9999999999", "999999999999", "2613322561", "26 11 22", "+0300", "-", "31.12.26 1:2"])
def test_58_what_is_no_date_is_none_and_spoils_nothing(date: str) -> None:
    found = read_receipt(f"id:7 done date:{date} stat:DELIVRD err:000".encode())
    assert (found.done_ms, found.state, found.code) == (0, "delivered", "000")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVER", "delivered"), ("DLVRD", "delivered"), ("UNDELIVE", "undeliverable"), ("REJECTE", "rejected"),
        ("EXPIRD", "expired"), ("CANCELLED", "deleted"), ("QUEUED", "enroute"), ("SCHEDUL", "enroute"),
        ("SKIPPED", "undeliverable"), ('"DELIVRD"', "delivered"), ("DELIVRD.", "delivered"), ("2", "unknown"),
    ],
)  # fmt: skip
def test_59_words_that_were_cut_or_misspelt(word: str, state: str) -> None:
    assert read_receipt(f"id:7 stat:{word} err:000".encode()).state == state


@pytest.mark.parametrize(
    ("text", "number", "state"),
    [
        (b"id:7 stat:UNKNOWN", b"\2", "delivered"),
        (b"id:7 stat:WEIRD", b"\5", "undeliverable"),
        (b"id:7", b"2", "delivered"),
        (b"id:7 stat:DELIVRD", b"\5", "delivered"),
        (b"id:7 stat:UNKNOWN", b"\x63", "unknown"),
    ],
)
def test_60_parameters_fill_what_the_text_leaves(text: bytes, number: bytes, state: str) -> None:
    assert read_receipt(text, tlv.encode(tlv.MESSAGE_STATE, number)).state == state


def test_61_blanks_around_an_id_are_not_part_of_it() -> None:
    made = session()
    made.submit(["a"], [b"body"], 1.0)
    assert made.feed(pdu.encode_submit_answers([(2, b" 7  ")]), 1.0).answers == [("a", accepted("7"))]
    tail = tlv.encode(tlv.RECEIPTED_MESSAGE_ID, b"  7 \0") + tlv.encode(tlv.MESSAGE_STATE, b"\2")
    assert read_receipt(b"", tail).carrier_message_id == "7"
    assert read_receipt(b'id:"7" stat:DELIVRD').carrier_message_id == "7"


@pytest.mark.parametrize(
    ("answered", "reported"),
    [
        ("000000002A", "42"), ("0000000042", "2a"), ("F12FC747", "-248527033"), ("4046440263", "-248527033"),
        ("-248527033", "F12FC747"), ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff8b86d011b42d00cf4fc964ff"),
        ("6f9619ff8b86d011b42d00cf4fc964ff", "6F9619FF-8B86-D011-B42D-00CF4FC964FF"),
    ],
)  # fmt: skip
def test_62_ids_that_are_one_number(answered: str, reported: str) -> None:
    assert answered in spellings(reported)


@pytest.mark.parametrize(
    ("esm_class", "payload", "text", "segment"),
    [
        (0, b"\5\0\3\xaa\2\1hello", "hello", (0xAA, 2, 1)),
        (0, b"\6\x08\4\xaa\xbb\2\2hello", "hello", (0xAABB, 2, 2)),
        (0x40, b"Hello", "Hello", ()),
    ],
)
def test_63_the_flag_of_a_header_may_be_wrong(
    esm_class: int, payload: bytes, text: str, segment: tuple[int, ...]
) -> None:
    found = reader().inbound(pdu.ShortMessage(source=b"7916", esm_class=esm_class, message=payload), "trx1")
    assert (found.text, found.segment) == (text, segment)


@pytest.mark.parametrize(
    ("coding", "octets"),
    [(0xC8, b"Hi"), (0xD1, b"Hi"), (0xE0, b"\0H\0i"), (0x48, b"\0H\0i"), (0x40, b"Hi"), (8, b"\0H\0\0\0i\0\0")],
)
def test_64_inbound_alphabets(coding: int, octets: bytes) -> None:
    assert reader().inbound(pdu.ShortMessage(source=b"7", data_coding=coding, message=octets), "trx1").text == "Hi"


@pytest.mark.parametrize("receipts", [1, 3])
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_65_one_id_for_all_parts_is_one_receipt_for_all(order: tuple[int, ...], receipts: int) -> None:
    parts = [replace(submitted(ONE, "c1"), part=part, parts=3) for part in order]
    rows, _, changes = folded(*parts, *[received("c1")] * receipts)
    assert rows[ONE].state == "delivered" and len(changes.receipts) == receipts
    rows, _, _ = folded(*parts, received("c1", "undeliverable"))
    assert rows[ONE].state == "undeliverable"


def test_66_a_session_that_the_peer_has_lost_is_made_anew() -> None:
    made = session()
    made.submit(list("abcdefg"), [b"body"] * 7, 1.0)

    def answer(sequence: int, status: int) -> list[Any]:
        return list(made.feed(pdu.encode(pdu.SUBMIT_SM_RESP, sequence, status, b"id\0"), 1.0).events)

    # Two in a row may be chance, the third one is not.
    assert [answer(n, status) for n, status in ((2, 4), (3, 4), (4, 0), (5, 4), (6, 4))] == [[]] * 5
    assert answer(7, 4) == [Forgotten()] and made.room(1.0) == 0 and made.in_flight == 1
    assert answer(8, 4) == []
