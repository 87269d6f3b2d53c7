"""Leases: one owner, fenced by a token; a takeover in time; an old owner who wakes up moves nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gateway import metrics
from gateway.streams.lease import Lease, fence
from tests.core_redis import Proxy, client, opened, until


async def test_only_one_of_many_owns_a_lease(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        leases = [Lease(redis.link(0), "lease:router", f"p{n}", 30) for n in range(10)]
        waiting = [asyncio.create_task(lease.acquire()) for lease in leases]
        await until(lambda: any(task.done() for task in waiting), "an owner")
        await redis.link(0).call("PING")
        assert sum(lease.token > 0 for lease in leases) == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_dead_owner_is_replaced_within_the_time_of_the_lease_under_a_higher_token(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        dead = Lease(redis.link(0), "lease:router", "dead", 0.6)
        await dead.acquire()
        began = time.monotonic()
        heir = Lease(redis.link(0), "lease:router", "heir", 0.6)
        assert await heir.acquire() > dead.token
        assert 0.4 < time.monotonic() - began < 15


async def test_a_released_lease_is_taken_long_before_its_time(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        first, second = (Lease(redis.link(0), "lease:router", name, 60) for name in "ab")
        token = await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(0)
        await first.release()
        assert await asyncio.wait_for(waiting, 30) > token
        assert first.token == 0


async def test_a_renewed_lease_is_kept_beyond_its_time(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        owner, other = (Lease(redis.link(0), "lease:router", name, 1.5) for name in "ab")
        await owner.acquire()
        holding, wanting = asyncio.create_task(owner.hold()), asyncio.create_task(other.acquire())
        done, _ = await asyncio.wait((holding, wanting), timeout=4)
        assert not done
        for task in (holding, wanting):
            task.cancel()


async def test_an_owner_who_slept_too_long_learns_it_and_has_no_say_any_more(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        sleeper, heir = (Lease(link, "lease:router", name, 0.15) for name in "ab")
        await sleeper.acquire()
        old = sleeper.token
        await heir.acquire()
        await asyncio.wait_for(sleeper.hold(), 5)
        reply = await link.script("release", (), (link.run_id, old, 10))
        assert reply == b"fenced"
        await sleeper.release()
        with client(valkey_url) as c:
            assert int(c.hget("{0}:lease:router", "token")) == heir.token, (
                "nor does his giving up take it from the heir"
            )
            assert int(c.hget("{0}:lease:router", "until")) > 0


async def test_a_lease_that_ran_out_but_that_nobody_wanted_is_still_good(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        lease = Lease(redis.link(0), "lease:router", "a", 0.05)
        token = await lease.acquire()
        with client(valkey_url) as c:
            c.hset("{0}:lease:router", "until", 1)
        holding = asyncio.create_task(lease.hold())
        await until(lambda: _until_ms(valkey_url) > 1, "the renewal")
        assert not holding.done()
        assert lease.token == token
        holding.cancel()


def _until_ms(url: str) -> int:
    with client(url) as c:
        return int(c.hget("{0}:lease:router", "until") or 0)


async def test_an_owner_whose_reply_was_lost_takes_his_own_lease_at_once(valkey_url: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, opened(proxy.url) as redis:
        lease = Lease(redis.link(0), "lease:router", "a", 30)
        proxy.match, proxy.cut_replies = b"lease:router", 1
        await asyncio.wait_for(lease.acquire(), 30)
        assert proxy.cuts == 1
        proxy.cut_requests = 1
        await lease.release()  # never arrives
        await asyncio.wait_for(lease.acquire(), 30)


async def test_two_processes_of_one_name_never_share_a_lease(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        one, two = Lease(redis.link(0), "lease:x", "host:1", 30), Lease(redis.link(0), "lease:x", "host:1", 30)
        await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        done, _ = await asyncio.wait((waiting,), timeout=0.3)
        assert not done
        waiting.cancel()


async def test_a_fence_only_goes_forward(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        link = redis.link(0)
        assert await fence(link, "north", 5)
        assert await fence(link, "north", 5)
        assert not await fence(link, "north", 4)
        assert await fence(link, "north", 6)


async def test_a_lease_survives_dropped_connections(valkey_url: str) -> None:
    async with opened(valkey_url) as redis:
        lease = Lease(redis.new_link(0), "lease:router", "a", 0.3)
        token = await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        with client(valkey_url) as c:
            for _ in range(5):
                before = _until_ms(valkey_url)
                c.client_kill_filter(_type="normal", skipme=True)
                await until(lambda before=before: _until_ms(valkey_url) > before, "the next renewal")
        assert not holding.done()
        assert lease.token == token
        holding.cancel()


async def test_who_holds_a_lease_or_waits_for_it_is_shown_and_who_does_neither_is_not(valkey_url: str) -> None:
    def shown(name: str = "lease_held") -> float | None:
        return metrics.REGISTRY.get_sample_value(f"sluice_{name}", {"lease": "carrier:shown", "shard": ""})

    async with opened(valkey_url) as redis:
        lease = Lease(redis.link(None), "lease:carrier:shown", "a", 30)
        assert shown() is None
        await lease.acquire()
        assert (shown(), shown("leases_taken_total")) == (1, 1)
        await lease.release()
        assert shown() is None, "nobody here wants it any more"
        other = Lease(redis.link(None), "lease:carrier:shown", "b", 30)
        await other.acquire()
        waiting = asyncio.create_task(lease.acquire())
        await until(lambda: shown() == 0, "the lease to be waited for")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert shown() is None
