"""Our PDU codec: by hand, and against aiosmpplib's in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from aiosmpplib import (
    NPI,
    TON,
    BindReceiver,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    OptionalParam,
    PhoneNumber,
    SmppCommandStatus,
    SmppMessage,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import pdu, tlv

ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
OCTET = st.integers(0, 255)
SEQUENCE = st.integers(1, pdu.MAX_SEQUENCE)


def c_string(longest: int) -> st.SearchStrategy[bytes]:
    return st.text(ASCII, max_size=longest).map(str.encode)


SHORT_MESSAGE = st.builds(
    pdu.ShortMessage,
    service_type=c_string(5),
    source_ton=st.sampled_from(list(TON)).map(int),
    source_npi=st.sampled_from(list(NPI)).map(int),
    source=c_string(20),
    dest_ton=st.sampled_from(list(TON)).map(int),
    dest_npi=st.sampled_from(list(NPI)).map(int),
    dest=c_string(20),
    esm_class=st.sampled_from([0, 1, 2, 3, 4, 8, 0x20, 0x80]),
    protocol_id=OCTET,
    priority=OCTET,
    validity=st.sampled_from([b"", b"000001020304000R", b"240131235959000+"]),
    registered_delivery=OCTET,
    replace_if_present=OCTET,
    data_coding=st.just(3),
    default_msg_id=OCTET,
    message=st.binary(min_size=1, max_size=254),
)


def only(data: bytes) -> pdu.Pdu:
    pdus, used, bad = pdu.split(data)
    assert (len(pdus), used, bad) == (1, len(data), None)
    return pdus[0]


def decode(data: bytes) -> pdu.ShortMessage:
    _, _, _, begin, end = only(data)
    return pdu.decode_short_message(data, begin, end)


def theirs(kind: Any, data: bytes) -> Any:
    return kind.from_pdu(data, SmppMessage.parse_header(data), "gsm0338")


@given(SHORT_MESSAGE, SEQUENCE, st.sampled_from([(pdu.SUBMIT_SM, SubmitSm), (pdu.DELIVER_SM, DeliverSm)]))
def test_aiosmpplib_reads_what_we_write(m: pdu.ShortMessage, sequence: int, kind: tuple[int, Any]) -> None:
    their = theirs(kind[1], pdu.encode(kind[0], sequence, pdu.OK, pdu.encode_short_message(m)))
    assert their.sequence_num == sequence
    assert their.smpp_command == kind[0]
    assert their.service_type.encode() == m.service_type
    assert (their.source.ton, their.source.npi, their.source.number.encode()) == (m.source_ton, m.source_npi, m.source)
    assert (their.destination.ton, their.destination.npi) == (m.dest_ton, m.dest_npi)
    assert their.destination.number.encode() == m.dest
    assert (their.esm_class, their.protocol_id, their.priority_flag) == (m.esm_class, m.protocol_id, m.priority)
    assert their.registered_delivery == m.registered_delivery
    assert their.replace_if_present_flag == m.replace_if_present
    assert their.sm_default_msg_id == m.default_msg_id
    assert their.short_message.encode("latin-1") == m.message
    assert SubmitSm.datetime_to_smpp_time(their.validity_period).encode() == m.validity


@given(SHORT_MESSAGE, SEQUENCE, st.integers(0, 65535))
def test_we_read_what_aiosmpplib_writes(m: pdu.ShortMessage, sequence: int, reference: int) -> None:
    their = SubmitSm(
        sequence_num=sequence,
        short_message=m.message.decode("latin-1"),
        source=PhoneNumber(m.source.decode(), TON(m.source_ton), NPI(m.source_npi)),
        destination=PhoneNumber(m.dest.decode(), TON(m.dest_ton), NPI(m.dest_npi)),
        service_type=m.service_type.decode(),
        esm_class=m.esm_class,
        protocol_id=m.protocol_id,
        priority_flag=m.priority,
        validity_period=SubmitSm.smpp_time_to_datetime(m.validity.decode()),
        registered_delivery=m.registered_delivery,
        replace_if_present_flag=m.replace_if_present,
        encoding="latin_1",
        sm_default_msg_id=m.default_msg_id,
        optional_params=[OptionalParam(tlv.USER_MESSAGE_REFERENCE, reference), OptionalParam(0x001E, "id-1")],
    ).pdu()
    ours = decode(their)
    found = tlv.decode(ours.tlvs)
    assert tlv.number(found[tlv.USER_MESSAGE_REFERENCE]) == reference
    assert tlv.text(found[tlv.RECEIPTED_MESSAGE_ID]) == "id-1"
    ours.tlvs = b""
    assert ours == m
    assert only(their)[:3] == (pdu.SUBMIT_SM, 0, sequence)


@given(SHORT_MESSAGE, st.binary(max_size=40))
def test_a_body_survives_the_way_there_and_back(m: pdu.ShortMessage, tail: bytes) -> None:
    m.tlvs = tail
    assert decode(pdu.encode(pdu.DELIVER_SM, 1, pdu.OK, pdu.encode_short_message(m))) == m


@given(SEQUENCE, st.text(ASCII, max_size=64))
def test_submit_answers_agree_both_ways(sequence: int, message_id: str) -> None:
    ours = pdu.encode_submit_answers([(sequence, message_id.encode())])
    assert theirs(SubmitSmResp, ours).message_id == message_id
    their = SubmitSmResp(sequence_num=sequence, message_id=message_id).pdu()
    assert their == ours
    _, _, _, begin, end = only(their)
    assert pdu.decode_message_id(their, begin, end) == message_id.strip(" \t\n\r\v\f")


@given(SEQUENCE, st.sampled_from([SmppCommandStatus.ESME_ROK, SmppCommandStatus.ESME_RX_T_APPN]))
def test_what_has_no_body_agrees_both_ways(sequence: int, status: SmppCommandStatus) -> None:
    for command, kind in (
        (pdu.ENQUIRE_LINK, EnquireLink),
        (pdu.ENQUIRE_LINK_RESP, EnquireLinkResp),
        (pdu.UNBIND, Unbind),
        (pdu.UNBIND_RESP, UnbindResp),
        (pdu.GENERIC_NACK, GenericNack),
    ):
        assert kind(sequence_num=sequence, command_status=status).pdu() == pdu.encode(command, sequence, status)
    request = pdu.DELIVER_SM, sequence, None
    assert DeliverSmResp(sequence_num=sequence, command_status=status).pdu() == pdu.encode_deliver_answers(
        [request], status
    )


@given(SEQUENCE, c_string(15), c_string(8), c_string(12), c_string(40))
def test_binds_agree_both_ways(sequence: int, name: bytes, password: bytes, kind: bytes, numbers: bytes) -> None:
    for command, their in (
        (pdu.BIND_TRANSCEIVER, BindTransceiver),
        (pdu.BIND_TRANSMITTER, BindTransmitter),
        (pdu.BIND_RECEIVER, BindReceiver),
    ):
        ours = pdu.encode_bind(command, sequence, pdu.Bind(name, password, kind, address_range=numbers))
        read = theirs(their, ours)
        assert (read.system_id, read.password) == (name.decode(), password.decode())
        assert read.pdu() == ours
        _, _, _, begin, end = only(ours)
        assert pdu.decode_bind(ours, begin, end) == pdu.Bind(name, password, kind, address_range=numbers)
    answer = pdu.encode_bind_answer(pdu.BIND_TRANSCEIVER, sequence, name)
    assert theirs(BindTransceiverResp, answer).sc_interface_version == pdu.VERSION_3_4
    assert theirs(BindTransceiverResp, answer).pdu() == answer


def test_a_submit_sm_in_hex_is_read_field_by_field() -> None:
    data = bytes.fromhex(
        "00000048 00000004 00000000 00000007"  # header
        "00 05 00 536c7569636500"  # service_type, source
        "01 01 373931363132333435363700"  # destination
        "40 00 01 00 00 01 00 08 00"  # esm_class … sm_default_msg_id
        "0a 050003 2a 0201 043f0440"  # sm_length, header of part 1 of 2, "пр"
        "0204 0002 beef"  # user_message_reference
    )
    m = decode(data[:3] + bytes((len(data),)) + data[4:])
    assert (m.source_ton, m.source, m.dest, m.esm_class, m.priority) == (5, b"Sluice", b"79161234567", 0x40, 1)
    assert (m.registered_delivery, m.data_coding, m.message[6:].decode("utf-16-be")) == (1, 8, "пр")
    assert tlv.decode(m.tlvs) == {tlv.USER_MESSAGE_REFERENCE: b"\xbe\xef"}


def test_many_bodies_become_one_write_with_consecutive_sequence_numbers() -> None:
    data = pdu.encode_many(pdu.SUBMIT_SM, 5, [b"one", b"", b"three"])
    pdus, used, bad = pdu.split(data)
    assert used == len(data) and bad is None
    assert [(p[2], data[p[3] : p[4]]) for p in pdus] == [(5, b"one"), (6, b""), (7, b"three")]


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 200))
def test_an_unfinished_pdu_is_left_alone(bodies: list[bytes], cut: int) -> None:
    data = pdu.encode_many(pdu.DELIVER_SM, 1, bodies)
    whole = [p for p in pdu.split(data)[0] if p[4] <= cut]
    pdus, used, bad = pdu.split(data[:cut])
    assert (pdus, bad) == (whole, None)
    assert used == (whole[-1][4] if whole else 0)


@pytest.mark.parametrize("length", [0, 1, 15, pdu.MAX_PDU_BYTES + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_absurd_length_is_told_and_what_came_before_it_is_kept(length: int) -> None:
    good = pdu.encode(pdu.ENQUIRE_LINK, 1)
    pdus, used, bad = pdu.split(good + length.to_bytes(4, "big") + bytes(12))
    assert (len(pdus), used, bad) == (1, 16, length)


def test_an_absurd_length_is_not_waited_for_before_its_header_is_whole() -> None:
    assert pdu.missing(b"\xff\xff\xff\xff") == 12
    assert pdu.missing(b"\xff") == 15
    assert pdu.missing(pdu.encode(pdu.SUBMIT_SM, 1, body=b"12345")[:18]) == 3


@given(SHORT_MESSAGE, st.data())
def test_a_truncated_body_is_an_error_and_never_another_message(m: pdu.ShortMessage, data: st.DataObject) -> None:
    body = pdu.encode_short_message(m)
    cut = data.draw(st.integers(0, len(body) - 1))
    following = pdu.encode(pdu.DELIVER_SM, 2, pdu.OK, body)
    with pytest.raises(pdu.BodyError):
        pdu.decode_short_message(body[:cut] + following, 0, cut)
    with pytest.raises(pdu.BodyError):
        pdu.decode_short_message(body[:cut], 0, cut)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_body_or_a_body_error(body: bytes) -> None:
    for read in (pdu.decode_short_message, pdu.decode_data_sm, pdu.decode_bind):
        try:
            read(body, 0, len(body))
        except pdu.BodyError:
            continue


def test_data_sm_is_read_with_its_payload() -> None:
    body = b"\0\1\1" + b"79161234567\0" + b"\5\0" + b"Sluice\0" + b"\4\1\0" + tlv.encode(tlv.MESSAGE_PAYLOAD, b"id:1")
    m = pdu.decode_data_sm(body, 0, len(body))
    assert (m.source, m.dest, m.esm_class, m.registered_delivery, m.data_coding) == (b"79161234567", b"Sluice", 4, 1, 0)
    assert tlv.decode(m.tlvs) == {tlv.MESSAGE_PAYLOAD: b"id:1"}


@pytest.mark.parametrize(
    ("body", "message_id"), [(b"", ""), (b"\0", ""), (b"abc", "abc"), (b"abc\0", "abc"), (b"abc\0tail", "abc")]
)
def test_a_message_id_is_read_with_or_without_body_and_terminator(body: bytes, message_id: str) -> None:
    data = pdu.encode(pdu.SUBMIT_SM_RESP, 1, pdu.OK, body) + b"next PDU"
    assert pdu.decode_message_id(data, 16, 16 + len(body)) == message_id


def test_passwords_longer_than_the_standard_allows_go_out_whole() -> None:
    data = pdu.encode_bind(pdu.BIND_TRANSCEIVER, 1, pdu.Bind(b"account", b"a password of 24 letters"))
    assert b"\0a password of 24 letters\0" in data


@given(st.dictionaries(st.integers(0, 65535), st.binary(max_size=20), max_size=6))
def test_optional_parameters_survive_the_way_there_and_back(values: dict[int, bytes]) -> None:
    assert tlv.decode(b"".join(tlv.encode(tag, value) for tag, value in values.items())) == values


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        ("0204 0002 0001 1401 0003 616263", {0x0204: b"\0\1", 0x1401: b"abc"}),
        ("0204 0002 0001 0204 0002 0002", {0x0204: b"\0\1"}),
        ("0204 0002 0001 0427 0009 02", {0x0204: b"\0\1"}),
        ("0204 0003 000001", {0x0204: b"\0\0\1"}),
        ("0204 0000 0427", {0x0204: b""}),
        ("02", {}),
    ],
    ids=["an unknown tag", "a repeated one", "one past the end", "an odd length", "an empty one, then garbage", "half"],
)
def test_optional_parameters_are_read_as_far_as_they_make_sense(tail: str, found: dict[int, bytes]) -> None:
    assert tlv.decode(bytes.fromhex(tail)) == found


def test_values_of_optional_parameters_are_read_at_any_length() -> None:
    assert [tlv.number(v) for v in (None, b"", b"\2", b"\1\0", b"\0\1\0")] == [-1, -1, 2, 256, 256]
    assert [tlv.text(v) for v in (None, b"", b"abc", b"abc\0", b"\0")] == ["", "", "abc", "abc", ""]


def test_reprs_show_neither_passwords_nor_people() -> None:
    shown = repr(pdu.Bind(b"account", b"hunter2")) + repr(
        pdu.ShortMessage(source=b"79161234567", dest=b"79990000000", message=b"code 1234")
    )
    for secret in ("hunter2", "7916", "7999", "1234"):
        assert secret not in shown
