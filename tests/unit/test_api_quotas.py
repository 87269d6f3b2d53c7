"""Clients' quotas: what may come in now, when more may, and what the headers say of it."""

from __future__ import annotations

import timeit

import pytest

from gateway.api.problems import Code, Problem
from gateway.api.quotas import Bucket, Quota, Quotas
from gateway.config import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(said: Problem | None) -> int:
    assert said is not None and said.code is Code.RATE_LIMITED and said.retry_after_s is not None
    return said.retry_after_s


def test_a_burst_may_come_at_once_and_then_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)
    assert [bucket.take(1) for _ in range(20)] == [None] * 20
    assert refused(bucket.take(1)) == 1
    clock.now += 0.5
    assert [bucket.take(1) for _ in range(5)] == [None] * 5
    assert refused(bucket.take(1)) == 1
    clock.now += 3600
    assert bucket.state() == '"messages";r=20;t=1'


def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)
    assert bucket.take(15) is None
    assert refused(bucket.take(15)) == 1
    assert bucket.take(5) is None
    assert refused(bucket.take(15)) == 2


def test_a_batch_above_the_burst_waits_for_a_full_bucket_and_is_paid_back() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)
    assert bucket.take(1) is None
    assert refused(bucket.take(100)) == 1
    clock.now += 0.11
    assert bucket.take(100) is None
    assert bucket.state() == '"messages";r=0;t=9'
    assert refused(bucket.take(1)) == 9
    clock.now += 8.2
    assert bucket.take(1) is None


@pytest.mark.parametrize(
    ("per_s", "burst", "policy"),
    [(100, 200, "q=200;w=2"), (100, 50, "q=50;w=1"), (0.1, 1, "q=1;w=10"), (3, 10, "q=10;w=4")],
)
def test_the_policy_never_promises_more_than_the_rate(per_s: float, burst: int, policy: str) -> None:
    bucket = Bucket(per_s, burst)
    assert bucket.policy == f'"messages";{policy}'
    assert bucket.lines() == f'RateLimit-Policy: "messages";{policy}\r\nRateLimit: {bucket.state()}\r\n'


def test_the_second_named_is_when_a_message_goes_through() -> None:
    clock = Clock()
    bucket = Bucket(0.3, 1, clock)
    assert bucket.take(1) is None
    wait_s = refused(bucket.take(1))
    assert bucket.state() == f'"messages";r=0;t={wait_s}'
    clock.now += wait_s
    assert bucket.take(1) is None


def test_keys_of_a_client_share_a_quota_and_a_change_gives_no_second_burst() -> None:
    quotas = Quotas()
    first = quotas.of("acme", 10, 20)
    assert quotas.of("acme", 10, 20) is first and quotas.of("other", 10, 20) is not first
    assert first.take(20) is None
    changed = quotas.of("acme", 11, 20)
    assert changed is not first and changed.state().startswith('"messages";r=0')


def test_without_a_quota_the_headers_state_the_room_of_the_intake() -> None:
    room = 7_000
    quotas = Quotas(Settings(intake_limit=10_000), lambda: room)
    quota = quotas.of("acme", None, 0)
    assert (quota.policy, quota.state()) == ('"intake";q=10000', '"intake";r=7000')
    room = 0
    assert quota.lines() == 'RateLimit-Policy: "intake";q=10000\r\nRateLimit: "intake";r=0\r\n'
    assert quota.take(10**9) is None


def test_the_settings_give_everybody_a_quota_that_a_client_may_be_free_of() -> None:
    quotas = Quotas(Settings(quota_messages_per_s=100, quota_burst=50, api_processes=4))
    common = quotas.of("acme", None, 0)
    assert isinstance(common, Bucket) and (common.per_s, common.burst) == (25, 13)
    assert not isinstance(quotas.of("acme", 0, 0), Bucket)
    own = quotas.of("acme", 8, 0)
    assert isinstance(own, Bucket) and (own.per_s, own.burst) == (2, 2)


@pytest.mark.parametrize("quota", [Quota(10_000, lambda: 5_000), Bucket(1_000_000, 1_000_000)])
def test_a_message_pays_microseconds_for_its_quota(quota: Quota) -> None:
    def one() -> None:
        quota.take(1)
        quota.lines()

    best = min(timeit.repeat(one, number=1000, repeat=20)) / 1000
    assert best < 30e-6, f"{best * 1e6:.2f} µs"
