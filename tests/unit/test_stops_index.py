"""The stop lists in memory against a plain dictionary."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.live.stops import pack_overview, unpack_overview
from gateway.message import CLASSES, UnknownVersionError
from gateway.stops.classes import BITS, UNLESS_SAID, classes_of, mask_of
from gateway.stops.index import BUCKETS, Group, Index, bounds_of, bucket_of, pack_bucket

hashes = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1, 2**54, -(2**54)])
entries = st.dictionaries(st.tuples(hashes, st.sampled_from(["", "shop", "bank"])), st.integers(1, 15), max_size=60)


def packed(found: dict[tuple[int, str], int], bucket: int) -> bytes:
    """As PostgreSQL packs a bucket."""
    kinds: dict[tuple[str, int], list[int]] = {}
    for (number_hash, client), mask in found.items():
        if bucket_of(number_hash) == bucket:
            kinds.setdefault((client, mask), []).append(number_hash)
    groups: list[Group] = [
        (client, mask, b"".join(h.to_bytes(8, "big", signed=True) for h in sorted(some)))
        for (client, mask), some in kinds.items()
    ]
    return pack_bucket(groups)


def filled(index: Index, found: dict[tuple[int, str], int], buckets: set[int]) -> None:
    for bucket in buckets:
        index.replace(bucket, packed(found, bucket))


@settings(max_examples=200, deadline=None)
@given(entries, entries, st.lists(hashes, max_size=20))
def test_what_is_found_is_what_was_put_there_after_a_change_too(
    before: dict[tuple[int, str], int], after: dict[tuple[int, str], int], others: list[int]
) -> None:
    index = Index()
    filled(index, before, {bucket_of(h) for h, _ in before})
    filled(index, after, {bucket_of(h) for h, _ in (*before, *after)})
    for number_hash in {h for h, _ in (*before, *after)} | set(others):
        expected = {client: mask for (h, client), mask in after.items() if h == number_hash}
        assert (index.find(number_hash) or {}) == expected
    assert index.count == len({h for h, _ in after})


def test_buckets_are_ranges_that_cover_every_hash_once() -> None:
    low, high = bounds_of(0)[0], bounds_of(BUCKETS - 1)[1]
    assert (low, high) == (-(2**63), 2**63 - 1)
    for bucket in range(BUCKETS):
        first, last = bounds_of(bucket)
        assert bucket_of(first) == bucket_of(last) == bucket
        assert bucket == 0 or first == bounds_of(bucket - 1)[1] + 1


def test_a_bucket_that_cannot_be_read_changes_nothing() -> None:
    index = Index()
    index.replace(512, packed({(7, ""): 8}, 512))
    with pytest.raises(UnknownVersionError):
        index.replace(512, b"\x02" + packed({}, 512)[1:])
    with pytest.raises(msgspec.DecodeError):
        index.replace(512, b"\x01broken")
    assert index.find(7) == {"": 8} and index.count == 1


def test_classes_and_bits_say_the_same() -> None:
    assert [classes_of(bit) for bit in BITS.values()] == [(klass,) for klass in CLASSES]
    assert classes_of(mask_of(UNLESS_SAID)) == ("alert", "transactional", "marketing")
    assert BITS == {"otp": 1, "alert": 2, "transactional": 4, "marketing": 8}, "they are stored"


def test_the_overview_of_the_mirror_keeps_key_and_versions() -> None:
    versions = [n * 1_700_000_000_000 for n in range(BUCKETS)]
    assert unpack_overview(pack_overview(b"k" * 32, versions)) == (b"k" * 32, versions)
    with pytest.raises(UnknownVersionError):
        unpack_overview(b"\x07")
