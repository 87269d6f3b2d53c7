"""A million numbers that are not to be sent to, in ten megabytes: sorted 64-bit hashes in 1,024 buckets. Pure.

In: buckets as PostgreSQL made them. Out: what a hash stands for. Never a number, nor a word with anybody.

A packed bucket: version byte, then msgpack [[client, bits of its classes, hashes: 8 bytes each, sorted, big-endian]…].
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.message import VERSION, UnknownVersionError

BUCKETS: Final = 1024
_SHIFT, _MIDDLE = 54, 512

Rule = Mapping[str, int]
"""Bits of the classes that are stopped, by client; "" stands for everybody's messages."""

Group = tuple[str, int, bytes]
"""A client, bits of classes, and the hashes of the numbers that this holds for."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Group]).decode


class _Bucket(msgspec.Struct, frozen=True):
    """`rules` has one rule for all hashes, or `places` says which each has."""

    hashes: array[int]
    rules: Sequence[Rule]
    places: array[int] | None = None


_EMPTY: Final = _Bucket(array("q"), ())


def bucket_of(number_hash: int) -> int:
    """Which bucket a signed hash of 64 bits is in; a bucket is a range of them."""
    return (number_hash >> _SHIFT) + _MIDDLE


def bounds_of(bucket: int) -> tuple[int, int]:
    """The first and the last hash of a bucket."""
    first = (bucket - _MIDDLE) << _SHIFT
    return first, first + (1 << _SHIFT) - 1


def pack_bucket(groups: Sequence[Group]) -> bytes:
    """One bucket's entries."""
    return VERSION + _encode(groups)


class Index:
    """All buckets. A bucket is replaced whole, so that whoever asks sees it as it was or as it is."""

    def __init__(self) -> None:
        self._buckets = [_EMPTY] * BUCKETS
        self._rules: dict[tuple[tuple[str, int], ...], Rule] = {}
        self.count = 0
        """Numbers that something is stopped for."""

    def find(self, number_hash: int) -> Rule | None:
        """What is stopped for a number; None: nothing is."""
        bucket = self._buckets[(number_hash >> _SHIFT) + _MIDDLE]
        hashes = bucket.hashes
        at = bisect_left(hashes, number_hash)
        if at == len(hashes) or hashes[at] != number_hash:
            return None
        return bucket.rules[0 if bucket.places is None else bucket.places[at]]

    def replace(self, bucket: int, packed: bytes) -> None:
        """Take a bucket over. Raises UnknownVersionError or msgspec.DecodeError, and changes nothing then."""
        if packed[:1] != VERSION:
            raise UnknownVersionError(f"a stop list has version {packed[:1]!r}, this release reads {VERSION!r}")
        made = self._make(_decode(memoryview(packed)[1:]))
        self.count += len(made.hashes) - len(self._buckets[bucket].hashes)
        self._buckets[bucket] = made

    def _make(self, groups: Sequence[Group]) -> _Bucket:
        if not groups:
            return _EMPTY
        if len(groups) == 1:  # one list alone, however long, is taken as it is
            client, mask, hashes = groups[0]
            return _Bucket(_numbers(hashes), (self._rule(((client, mask),)),))
        found: dict[int, tuple[tuple[str, int], ...]] = {}
        for client, mask, hashes in groups:
            one = ((client, mask),)
            for number_hash in _numbers(hashes):
                found[number_hash] = (*found[number_hash], *one) if number_hash in found else one
        ordered = array("q", sorted(found))
        kinds = {kind: place for place, kind in enumerate(dict.fromkeys(found.values()))}
        places = array("I", [kinds[found[number_hash]] for number_hash in ordered])
        return _Bucket(ordered, tuple(self._rule(kind) for kind in kinds), places)

    def _rule(self, kind: tuple[tuple[str, int], ...]) -> Rule:
        """Many numbers have the same rule: it is there once."""
        rule = self._rules.get(kind)
        if rule is None:
            merged: dict[str, int] = {}
            for client, mask in kind:
                merged[client] = merged.get(client, 0) | mask
            rule = self._rules[kind] = merged
        return rule


def _numbers(packed: bytes) -> array[int]:
    made = array("q", packed)
    if sys.byteorder == "little":
        made.byteswap()
    return made
