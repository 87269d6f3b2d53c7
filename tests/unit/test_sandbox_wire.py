"""The sandbox's reading of submit_sm against the codec, and its deliver_sm as the codec reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.embedded.sandbox import wire
from gateway.smpp import pdu, tlv

digits = st.text("0123456789", min_size=1, max_size=20).map(str.encode)
short = st.binary(max_size=254)
dates = st.sampled_from([b"", b"000001000000000R"])


@given(digits, digits, short, st.integers(0, 255), st.integers(0, 255), dates, st.integers(-1, 0xFFFF))
def test_reading_a_submit_agrees_with_the_codec(
    source: bytes, dest: bytes, message: bytes, esm: int, coding: int, validity: bytes, echo: int
) -> None:
    tlvs = b"" if echo < 0 else tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, echo)
    fields = pdu.ShortMessage(
        source_ton=5,
        source=source,
        dest_ton=1,
        dest_npi=1,
        dest=dest,
        esm_class=esm,
        data_coding=coding,
        validity=validity,
        registered_delivery=1,
        message=message,
        tlvs=tlvs,
    )
    body = pdu.encode_short_message(fields)
    submit = wire.read_submit(b"before" + body + b"after", 6, 6 + len(body))
    assert submit is not None
    assert submit == (b"\5\0" + source + b"\0", b"\1\1" + dest + b"\0", esm, 1, coding, message, tlvs, tlvs)


@given(st.binary(max_size=80), st.integers(0, 40))
def test_no_bytes_make_the_reading_fail(data: bytes, begin: int) -> None:
    submit = wire.read_submit(data, min(begin, len(data)), len(data))
    assert submit is None or len(submit.body) <= len(data)


def test_a_submit_cut_anywhere_is_refused_or_loses_only_its_tail() -> None:
    fields = pdu.ShortMessage(source=b"Sluice", dest=b"79161234567", message=b"hello", registered_delivery=1)
    body = pdu.encode_short_message(fields)
    for end in range(len(body)):
        assert wire.read_submit(body, 0, end) is None


def test_text_in_a_payload_and_the_echo_among_other_parameters_are_found() -> None:
    tlvs = tlv.encode(0x1400, b"vendor") + tlv.encode(tlv.MESSAGE_PAYLOAD, b"long text") + tlv.encode_short(0x0204, 7)
    body = pdu.encode_short_message(pdu.ShortMessage(source=b"S", dest=b"79161234567", tlvs=tlvs))
    submit = wire.read_submit(body, 0, len(body))
    assert submit is not None
    assert (submit.body, submit.echo, submit.tlvs) == (b"long text", tlv.encode_short(0x0204, 7), tlvs)


def test_a_receipt_turns_the_addresses_round_and_names_the_id_twice() -> None:
    fields = pdu.ShortMessage(source_ton=5, source=b"Sluice", dest_ton=1, dest_npi=1, dest=b"79161234567")
    fields.message = b"your code is 123456, keep it"
    body = pdu.encode_short_message(fields)
    submit = wire.read_submit(body, 0, len(body))
    assert submit is not None
    template = wire.receipt_template("UNDELIV", "0%d", 1_700_000_000, 1_700_000_070)
    data = wire.receipt(template, submit, b"1234567890123456789")
    read = pdu.decode_short_message(data, 0, len(data))
    assert (read.source, read.dest, read.dest_ton, read.esm_class) == (b"79161234567", b"Sluice", 5, 4)
    assert read.message == (
        b"id:1234567890123456789 sub:001 dlvrd:000 submit date:2311142213 done date:2311142214 stat:UNDELIV err:0%d "
        b"text:your code is 123456,"
    )
    assert tlv.decode(read.tlvs) == {0x001E: b"1234567890123456789\0", 0x0427: b"\x05"}


def test_an_inbound_message_too_long_for_the_field_travels_as_payload() -> None:
    data = wire.inbound(b"\x01\x01" + b"791\0", b"\5\0Shop\0", 8, b"\4\x1f" * 200)
    read = pdu.decode_short_message(data, 0, len(data))
    assert (read.source, read.dest, read.data_coding, read.message) == (b"791", b"Shop", 8, b"")
    assert tlv.decode(read.tlvs) == {tlv.MESSAGE_PAYLOAD: b"\4\x1f" * 200}
