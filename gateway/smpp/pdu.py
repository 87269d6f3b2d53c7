"""SMPP 3.4 on the wire, both directions: bytes to fields and fields to bytes.

In: a buffer as it was read, or fields. Out: PDUs split off the buffer, decoded bodies, encoded PDUs ready to be joined
into one write. Never: I/O, text encodings, judgement of what a status means. Optional parameters are in `tlv.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from struct import Struct, error
from typing import Final

import msgspec
from aiosmpplib import SmppCommand, SmppCommandStatus

HEADER_BYTES: Final = 16
MAX_PDU_BYTES: Final = 70_000
"""Longest command_length that is believed: 64 KB of message_payload, the mandatory fields and some optional ones."""
MAX_SEQUENCE: Final = 0x7FFFFFFF
VERSION_3_3: Final = 0x33
VERSION_3_4: Final = 0x34
VERSION_5_0: Final = 0x50
OK: Final = int(SmppCommandStatus.ESME_ROK)

# Plain integers: an IntEnum costs four times as much to compare, and vendors send values that no enum has.
GENERIC_NACK: Final = int(SmppCommand.GENERIC_NACK)
BIND_RECEIVER: Final = int(SmppCommand.BIND_RECEIVER)
BIND_TRANSMITTER: Final = int(SmppCommand.BIND_TRANSMITTER)
BIND_TRANSCEIVER: Final = int(SmppCommand.BIND_TRANSCEIVER)
BINDS: Final = frozenset({BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER})
UNBIND: Final = int(SmppCommand.UNBIND)
SUBMIT_SM: Final = int(SmppCommand.SUBMIT_SM)
DELIVER_SM: Final = int(SmppCommand.DELIVER_SM)
DATA_SM: Final = int(SmppCommand.DATA_SM)
QUERY_SM: Final = int(SmppCommand.QUERY_SM)
CANCEL_SM: Final = int(SmppCommand.CANCEL_SM)
ENQUIRE_LINK: Final = int(SmppCommand.ENQUIRE_LINK)
ALERT_NOTIFICATION: Final = int(SmppCommand.ALERT_NOTIFICATION)
OUTBIND: Final = int(SmppCommand.OUTBIND)
ANSWER: Final = 0x80000000
"""The bit that makes a request's command id its answer's."""
SUBMIT_SM_RESP: Final = SUBMIT_SM | ANSWER
DELIVER_SM_RESP: Final = DELIVER_SM | ANSWER
DATA_SM_RESP: Final = DATA_SM | ANSWER
ENQUIRE_LINK_RESP: Final = ENQUIRE_LINK | ANSWER
UNBIND_RESP: Final = UNBIND | ANSWER
QUERY_SM_RESP: Final = QUERY_SM | ANSWER
CANCEL_SM_RESP: Final = CANCEL_SM | ANSWER
BIND_RESPS: Final = frozenset(command | ANSWER for command in BINDS)

_header: Final = Struct(">IIII")
_pack_header: Final = _header.pack
_unpack_header: Final = _header.unpack_from
_length: Final = Struct(">I").unpack_from
ALIKE_BYTES: Final = 12  # a header without its sequence
_WELL: Final = Struct(">II").pack(SUBMIT_SM_RESP, OK)
_LONGEST_ANSWER: Final = 128
_five: Final = Struct(">BBBBB").unpack_from
_BYTE: Final = tuple(bytes((n,)) for n in range(256))


class BodyError(ValueError):
    """The header was sound, the body is not: a field runs past the end. The PDU can be answered by its header."""


Pdu = tuple[int, int, int, int, int]
"""One whole PDU in a buffer: command, status, sequence, and where its body begins and ends. A plain tuple: a named one
doubles the cost of `split`."""


class ShortMessage(msgspec.Struct, gc=False):
    """The body of submit_sm and deliver_sm (SMPP 3.4, 4.4.1 and 4.6.1), strings without their terminators.

    `tlvs` is the undecoded tail; `tlv.decode` reads it. data_sm (4.7.1) uses the subset of fields that it has.
    """

    service_type: bytes = b""
    source_ton: int = 0
    source_npi: int = 0
    source: bytes = b""
    dest_ton: int = 0
    dest_npi: int = 0
    dest: bytes = b""
    esm_class: int = 0
    protocol_id: int = 0
    priority: int = 0
    schedule: bytes = b""
    validity: bytes = b""
    registered_delivery: int = 0
    replace_if_present: int = 0
    data_coding: int = 0
    default_msg_id: int = 0
    message: bytes = b""
    tlvs: bytes = b""

    def __repr__(self) -> str:
        # Text and numbers of people never reach a log by way of a repr.
        return (
            f"<ShortMessage esm_class={self.esm_class:#04x} data_coding={self.data_coding} {len(self.message)} bytes>"
        )


class Bind(msgspec.Struct):
    """The body of the three bind requests (4.1.1)."""

    system_id: bytes
    password: bytes
    system_type: bytes = b""
    interface_version: int = VERSION_3_4
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: bytes = b""

    def __repr__(self) -> str:
        return f"<Bind system_id={self.system_id!r}>"


# | command_length 4 | command_id 4 | command_status 4 | sequence_number 4 | body: command_length - 16 |


def split(data: bytes, limit: int = MAX_PDU_BYTES) -> tuple[list[Pdu], int, int | None]:
    """All whole PDUs at the start of `data`, how many bytes they take, and a command_length that cannot be, if one
    follows them (under 16 or over `limit`: the stream is lost and must be closed). An unfinished PDU is left alone."""
    pdus: list[Pdu] = []
    at, size = 0, len(data)
    while size - at >= HEADER_BYTES:
        length, command, status, sequence = _unpack_header(data, at)
        if not HEADER_BYTES <= length <= limit:
            return pdus, at, length
        if at + length > size:
            break
        pdus.append((command, status, sequence, at + HEADER_BYTES, at + length))
        at += length
    return pdus, at, None


def alike(data: bytes) -> Iterable[tuple[bytes, int, bytes]]:
    """What an SMSC writes when it takes many: answers of one length. (Header without sequence, sequence, body) of what
    lies at the start of `data`, as if all of it were as long as the first; nothing where that is no submit_sm_resp with
    status 0 and a message id. The first with another header ends what is true; up to it, `split` would say the same.
    """
    head = data[:ALIKE_BYTES]
    if head[4:] != _WELL:
        return ()
    length = _length(head)[0]
    if not HEADER_BYTES < length <= _LONGEST_ANSWER:
        return ()
    return _answers_of(length)(data[: len(data) // length * length])


@cache
def _answers_of(length: int) -> Callable[[bytes], Iterable[tuple[bytes, int, bytes]]]:
    return Struct(f">{ALIKE_BYTES}sI{length - HEADER_BYTES}s").iter_unpack


def missing(data: bytes | bytearray) -> int:
    """How many bytes to wait for before it is worth splitting `data`, an unfinished PDU, again; 1 or more.

    Its command_length is believed only where `split` has judged it, with a whole header.
    """
    wanted = _length(data)[0] if len(data) >= HEADER_BYTES else HEADER_BYTES
    return max(1, wanted - len(data))


def encode(command: int, sequence: int, status: int = OK, body: bytes = b"") -> bytes:
    """One PDU. Without a body: enquire_link, unbind, their answers, generic_nack and every error answer."""
    return _pack_header(HEADER_BYTES + len(body), command, status, sequence) + body


def encode_many(command: int, first_sequence: int, bodies: Sequence[bytes]) -> bytes:
    """Many requests with consecutive sequence numbers as one write. None may be over MAX_SEQUENCE."""
    pieces: list[bytes] = []
    append, pack, sequence = pieces.append, _pack_header, first_sequence
    for body in bodies:
        append(pack(16 + len(body), command, 0, sequence))
        append(body)
        sequence += 1
    return b"".join(pieces)


def encode_submit_answers(answers: Iterable[tuple[int, bytes]]) -> bytes:
    """submit_sm_resp (4.4.2) with status 0 for many (sequence, message id) as one write."""
    pieces: list[bytes] = []
    append, pack = pieces.append, _pack_header
    for sequence, message_id in answers:
        append(pack(17 + len(message_id), SUBMIT_SM_RESP, 0, sequence))
        append(message_id)
        append(b"\0")
    return b"".join(pieces)


def encode_deliver_answers(requests: Iterable[tuple[int, int, object]], status: int = OK) -> bytes:
    """deliver_sm_resp and data_sm_resp (4.6.2, 4.7.2; with an empty message id) for many as one write.

    A request is (its command, its sequence, anything).
    """
    pack = _pack_header
    return b"".join([pack(17, command | ANSWER, status, sequence) + b"\0" for command, sequence, _ in requests])


def decode_message_id(data: bytes, begin: int, end: int) -> str:
    """The message id of submit_sm_resp and data_sm_resp, without blanks around it, which receipts leave out. Empty
    without a body; a missing terminator is forgiven."""
    stop = data.find(0, begin, end)
    return data[begin : end if stop < 0 else stop].strip().decode("latin-1")


# service_type\0 | ton npi source\0 | ton npi dest\0 | esm_class protocol_id priority | schedule\0 | validity\0 |
# registered_delivery replace_if_present data_coding default_msg_id sm_length | short_message: sm_length | TLVs


def decode_short_message(data: bytes, begin: int, end: int) -> ShortMessage:
    """The body of submit_sm or deliver_sm that lies at `begin` to `end`. Raises BodyError."""
    find = data.find
    try:
        a = find(0, begin)
        b = find(0, a + 3)
        c = find(0, b + 3)
        d = find(0, c + 4)
        e = find(0, d + 1)
        registered, replace, coding, default, length = _five(data, e + 1)
        stop = e + 6 + length
        if not begin <= a < b < c < d < e < stop <= end:
            raise BodyError("a field runs past the end")
        return ShortMessage(
            data[begin:a],
            data[a + 1],
            data[a + 2],
            data[a + 3 : b],
            data[b + 1],
            data[b + 2],
            data[b + 3 : c],
            data[c + 1],
            data[c + 2],
            data[c + 3],
            data[c + 4 : d],
            data[d + 1 : e],
            registered,
            replace,
            coding,
            default,
            data[e + 6 : stop],
            data[stop:end],
        )
    except (IndexError, error):
        raise BodyError("a field runs past the end") from None


def encode_short_message(m: ShortMessage) -> bytes:
    """The body of submit_sm or deliver_sm. `message` is at most 255 bytes (ValueError); the standard's limit is 254."""
    head = submit_head(m.service_type, m.source_ton, m.source_npi, m.source, m.dest_ton, m.dest_npi)
    middle = submit_middle(
        m.esm_class,
        m.data_coding,
        protocol_id=m.protocol_id,
        priority=m.priority,
        schedule=m.schedule,
        validity=m.validity,
        registered_delivery=m.registered_delivery,
        replace_if_present=m.replace_if_present,
        default_msg_id=m.default_msg_id,
    )
    return b"".join((head, m.dest, middle, bytes((len(m.message),)), m.message, m.tlvs))


# A body is head + dest + middle + sm_length + short_message + TLVs. Head and middle repeat: build them once.


def submit_head(
    service_type: bytes, source_ton: int, source_npi: int, source: bytes, dest_ton: int, dest_npi: int
) -> bytes:
    """All before the recipient's digits."""
    return b"%b\0%c%c%b\0%c%c" % (service_type, source_ton, source_npi, source, dest_ton, dest_npi)


def submit_middle(
    esm_class: int,
    data_coding: int,
    *,
    protocol_id: int = 0,
    priority: int = 0,
    schedule: bytes = b"",
    validity: bytes = b"",
    registered_delivery: int = 1,
    replace_if_present: int = 0,
    default_msg_id: int = 0,
) -> bytes:
    """All between the recipient's digits and sm_length."""
    flags = registered_delivery, replace_if_present, data_coding, default_msg_id
    return b"\0%c%c%c%b\0%b\0%c%c%c%c" % (esm_class, protocol_id, priority, schedule, validity, *flags)


def length_byte(size: int) -> bytes:
    """sm_length. Raises IndexError over 255."""
    return _BYTE[size]


# service_type\0 | ton npi source\0 | ton npi dest\0 | esm_class registered_delivery data_coding | TLVs


def decode_data_sm(data: bytes, begin: int, end: int) -> ShortMessage:
    """The body of data_sm (4.7.1); its text, if any, is in the message_payload of `tlvs`. Raises BodyError."""
    find = data.find
    a = find(0, begin, end)
    b = find(0, a + 3, end)
    c = find(0, b + 3, end)
    if not begin <= a < b < c < end - 3:
        raise BodyError("a field runs past the end")
    return ShortMessage(
        service_type=data[begin:a],
        source_ton=data[a + 1],
        source_npi=data[a + 2],
        source=data[a + 3 : b],
        dest_ton=data[b + 1],
        dest_npi=data[b + 2],
        dest=data[b + 3 : c],
        esm_class=data[c + 1],
        registered_delivery=data[c + 2],
        data_coding=data[c + 3],
        tlvs=data[c + 4 : end],
    )


# system_id\0 | password\0 | system_type\0 | interface_version addr_ton addr_npi | address_range\0


def encode_bind(command: int, sequence: int, bind: Bind) -> bytes:
    """A bind request, `command` out of BINDS. Passwords of any length: carriers use more than the standard's 8."""
    body = b"%b\0%b\0%b\0%c%c%c%b\0" % (
        bind.system_id,
        bind.password,
        bind.system_type,
        bind.interface_version,
        bind.addr_ton,
        bind.addr_npi,
        bind.address_range,
    )
    return encode(command, sequence, OK, body)


def decode_bind(data: bytes, begin: int, end: int) -> Bind:
    """The body of a bind request. Raises BodyError."""
    a = data.find(0, begin, end)
    b = data.find(0, a + 1, end)
    c = data.find(0, b + 1, end)
    if not begin <= a < b < c < end - 3:
        raise BodyError("a field runs past the end")
    version, ton, npi = data[c + 1], data[c + 2], data[c + 3]
    stop = data.find(0, c + 4, end)
    address_range = data[c + 4 : end if stop < 0 else stop]
    return Bind(data[begin:a], data[a + 1 : b], data[b + 1 : c], version, ton, npi, address_range)


def decode_bind_answer(data: bytes, begin: int, end: int) -> tuple[bytes, bytes]:
    """The SMSC's name and the optional parameters of a bind's answer (4.1.2). Never fails: both may be missing."""
    stop = data.find(0, begin, end)
    return (data[begin:end], b"") if stop < 0 else (data[begin:stop], data[stop + 1 : end])


def encode_bind_answer(command: int, sequence: int, system_id: bytes, status: int = OK) -> bytes:
    """bind_*_resp (4.1.2) to the bind request `command`, with sc_interface_version 3.4 when the status is 0."""
    body = system_id + b"\0" + (b"\x02\x10\0\x01\x34" if status == OK else b"")
    return encode(command | ANSWER, sequence, status, body)


# message_id\0 | ton npi source\0


def encode_query(message_id: bytes, ton: int, npi: int, source: bytes) -> bytes:
    """The body of query_sm (4.8.1); the sender must be the one of the submit_sm."""
    return b"%b\0%c%c%b\0" % (message_id, ton, npi, source)


# message_id\0 | final_date\0 | message_state error_code


def decode_query_answer(data: bytes, begin: int, end: int) -> tuple[str, bytes, int, int]:
    """Message id, final date, message_state and error code out of query_sm_resp (4.8.2). Raises BodyError."""
    a = data.find(0, begin, end)
    b = data.find(0, a + 1, end)
    if not begin <= a < b < end - 1:
        raise BodyError("a field runs past the end")
    return data[begin:a].decode("latin-1"), data[a + 1 : b], data[b + 1], data[b + 2] if b + 2 < end else 0


# service_type\0 | message_id\0 | ton npi source\0 | ton npi dest\0


def encode_cancel(
    service_type: bytes, message_id: bytes, source: tuple[int, int, bytes], dest: tuple[int, int, bytes]
) -> bytes:
    """The body of cancel_sm (4.9.1) for one message; an address is TON, NPI and characters."""
    return b"%b\0%b\0%c%c%b\0%c%c%b\0" % (service_type, message_id, *source, *dest)
