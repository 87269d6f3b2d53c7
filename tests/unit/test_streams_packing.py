"""What is stored in Redis: round trips, and values of every release that stay readable."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import (
    AnyFact,
    Batched,
    Came,
    Ended,
    Held,
    Parked,
    Received,
    Rescheduled,
    Submitted,
    Waiting,
    pack_facts,
    unpack_facts,
)
from gateway.message import (
    MAX_SHARDS,
    Journey,
    Message,
    Try,
    UnknownVersionError,
    id_bytes,
    id_shard,
    id_tail,
    id_text,
    id_time_ms,
    make_id,
    pack_journey,
    pack_message,
    unpack_journey,
    unpack_message,
)
from gateway.provider import Inbound, Receipt
from gateway.streams import packs

GOLDEN = Path(__file__).parents[1] / "golden"

ID = bytes.fromhex("019aa1b2c3d4700081a2b3c4d5e6f708")
MESSAGE = Message(
    "shop",
    "transactional",
    "+79161234567",
    "Shop",
    "Ваш заказ 😀 ждёт",
    "ucs2",
    2,
    86_400,
    1_763_770_000_000,
    "order-17",
    "summer",
    b'{"a":1}',
    "https://app.example/hook",
    ID,
    40_000,
    "key-3",
    True,
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
JOURNEY = Journey(
    3,
    "north",
    "mts",
    2_150_000,
    "RUB",
    17,
    "default",
    1_763_770_000_123,
    (2, 3),
    (Try("south", "throttled"), Try("", "round")),
    4,
    True,
)
FACTS: list[AnyFact] = [
    Submitted(
        ID, 1, 2, 3, "north", "trx1", 0, "", "0", "A1B2", "mts", 2_150_000, "RUB", 17, "default", 1, 2, 3, 65_535, True
    ),
    Submitted(ID, 1, 0, 1, "north", "", 3, "no_answer", "", "", "", 0, "", 0, "", 0, 0, 0, 0),
    Ended(ID, "failed", "no_route", 2, "client"),
    Held(ID, 1, "disconnected"),
    Received(
        "north",
        1_763_770_000_500,
        Receipt("A1B2", "delivered", "000", "", 1_763_770_000_000, "79161234567", "Shop", 77, "id:A1B2", "trx1"),
    ),
    Came("north", 1_763_770_000_600, Inbound("79161234567", "1234", "да", (5, 2, 1), "trx1", b"\x00\xff")),
    Waiting("outbox", "marketing", "shop", "north", "rate", ID, ID, 40_000, 1_763_770_060_000),
    Batched(ID, "shop", 9_990, 7, 3),
    Rescheduled(ID, 1_763_780_000_000),
    Parked(ID, 2, "temporary", 1_763_770_005_000),
]


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


@pytest.mark.parametrize("release", ["0.1"])
def test_values_that_a_release_stored_are_read_by_this_one(release: str) -> None:
    assert unpack_message(golden(f"message-{release}")) == MESSAGE
    assert unpack_journey(golden(f"journey-{release}")) == JOURNEY
    assert unpack_facts(golden(f"facts-{release}")) == FACTS


@pytest.mark.parametrize("release", ["0.1"])
def test_the_shortest_values_that_a_release_stored_get_the_defaults_of_what_came_later(release: str) -> None:
    message = unpack_message(golden(f"message-short-{release}"))
    assert message == Message("shop", "otp", "+79161234567", "Shop", "1234", "gsm7", 1, 300)
    journey = unpack_journey(golden(f"journey-short-{release}"))
    assert journey == Journey(1, "north", "mts", 0, "RUB", 1, "default", 5)


def test_packs_that_a_release_stored_are_read_by_this_one() -> None:
    short = Message("shop", "otp", "+79161234567", "Shop", "1234", "gsm7", 1, 300)
    found = packs.unpack(golden("pack-0.1"))
    assert [(i, unpack_message(value)) for i, value in found] == [(ID, MESSAGE), (ID[:15] + b"\0", short)]


def test_values_of_a_newer_release_with_more_fields_at_the_end_are_read() -> None:
    for value, pack, unpack in (
        (MESSAGE, pack_message, unpack_message),
        (JOURNEY, pack_journey, unpack_journey),
    ):
        fields = msgspec.msgpack.decode(pack(value)[1:])  # type: ignore[operator]
        assert unpack(b"\x01" + msgspec.msgpack.encode([*fields, "new", 7])) == value  # type: ignore[operator]
    facts = [[*msgspec.msgpack.decode(msgspec.msgpack.encode(fact)), "new"] for fact in FACTS]
    assert unpack_facts(b"\x01" + msgspec.msgpack.encode(facts)) == FACTS


@pytest.mark.parametrize("unpack", [unpack_message, unpack_journey, unpack_facts, packs.unpack])
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x90", b"\xff" * 20])
def test_an_unknown_version_says_so(unpack: object, data: bytes) -> None:
    with pytest.raises(UnknownVersionError):
        unpack(data)  # type: ignore[operator]


text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)
number = st.integers(0, 2**53)
short = st.text(max_size=20)


@given(
    st.builds(
        Message,
        client=short,
        klass=short,
        to=short,
        sender=short,
        text=text,
        encoding=short,
        parts=number,
        validity_s=number,
        send_at_ms=number,
        ref=short,
        tag=short,
        meta=st.binary(max_size=50),
        callback_url=short,
        batch_id=st.binary(max_size=16),
        concat_ref=number,
        key_id=short,
        test=st.booleans(),
        traceparent=short,
    )
)
def test_any_message_comes_back_as_it_was(message: Message) -> None:
    assert unpack_message(pack_message(message)) == message


@given(
    st.builds(
        Journey,
        attempt=number,
        carrier=short,
        operator=short,
        price_micro=number,
        currency=short,
        plan_version=number,
        route=short,
        routed_ms=number,
        owed=st.lists(st.integers(1, 63), max_size=5).map(tuple),
        tried=st.lists(st.builds(Try, short, short), max_size=5).map(tuple),
        throttled=number,
        pinned=st.booleans(),
        billed_on_delivery=st.booleans(),
    )
)
def test_any_journey_comes_back_as_it_was(journey: Journey) -> None:
    assert unpack_journey(pack_journey(journey)) == journey


@given(st.lists(st.sampled_from(FACTS), max_size=30))
def test_any_facts_come_back_in_order(facts: list[AnyFact]) -> None:
    assert unpack_facts(pack_facts(facts)) == facts


@given(st.lists(st.tuples(st.binary(min_size=10, max_size=10), st.binary(max_size=300)), max_size=150))
def test_any_pack_comes_back_in_order(items: list[tuple[bytes, bytes]]) -> None:
    data = b"\x01" + ID[:6] + packs.pack([part for item in items for part in item])
    assert packs.unpack(data) == [(ID[:6] + tail, value) for tail, value in items]
    (*found,) = packs.entry([b"1-1", [b"p", data]]).messages  # type: ignore[list-item]
    assert [(q.message_id, q.value[16:]) for q in found] == packs.unpack(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_pack_that_breaks_its_reader(data: bytes) -> None:
    for stored in (data, b"\x01" + ID[:6] + data):
        found = packs.entry([b"1-1", [b"p", stored]])  # type: ignore[list-item]
        assert (found.packed is None) == (not found.messages) or stored[7:8] in (b"\x90", b"\xdc", b"\xdd")


@given(st.binary(max_size=200))
def test_no_bytes_break_a_reader_in_another_way_than_it_says(data: bytes) -> None:
    for unpack in (unpack_message, unpack_journey, unpack_facts):
        try:
            unpack(b"\x01" + data)
        except (UnknownVersionError, msgspec.DecodeError):
            continue


@given(st.integers(0, 2**48 - 1), st.integers(0, MAX_SHARDS - 1), st.binary(min_size=9, max_size=9))
def test_an_id_is_a_uuid7_that_carries_its_time_and_its_shard(ms: int, shard: int, random: bytes) -> None:
    made = make_id(ms, id_tail(shard, random))
    assert (len(made), id_time_ms(made), id_shard(made)) == (16, ms, shard)
    written = id_text(made)
    assert (written[14], written[19] in "89ab") == ("7", True)
    assert id_bytes(written) == made


def test_ids_differ_and_sort_by_time() -> None:
    tails = {id_tail(5) for _ in range(5000)}
    assert len(tails) == 5000
    assert make_id(1000, max(tails)) < make_id(1001, min(tails))


def test_the_deadline_counts_from_send_at_or_from_accept() -> None:
    made = make_id(1_000_000, id_tail(0))
    short_lived = msgspec.structs.replace(MESSAGE, validity_s=60, send_at_ms=0)
    assert short_lived.deadline_ms(made) == 1_060_000
    assert msgspec.structs.replace(short_lived, send_at_ms=5_000_000).deadline_ms(made) == 5_060_000
