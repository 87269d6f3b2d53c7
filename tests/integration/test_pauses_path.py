"""What is paused waits wherever it is, loses nothing, keeps nobody else waiting, and goes at once when resumed."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.events import Ended, Parked, Waiting
from gateway.router import waiting
from gateway.router.pausing import PauseWatch
from gateway.router.waiting import WaitingWatch
from gateway.streams.pauses import Pause, Pauses, pause, pauses, resume
from tests.core_path import Path, always_accepted, running
from tests.core_redis import until


async def order(path: Path, kind: str, name: str) -> None:
    assert await pause(path.redis, Pause(kind, name, path.redis.clock_ms(), "ops/key_1"))


async def known(path: Path) -> None:
    """Every process has looked since."""
    n = path.redis.clock_ms()
    await until(lambda: path.redis.clock_ms() > n + 600, "the next look")


async def test_a_paused_class_waits_in_intake_and_outbox_and_others_go_on(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=20, answer=lambda s: None)
        await path.accept(200)
        await until(lambda: len(path.submissions()) >= 16, "a window of marketing")
        await order(path, "class", "marketing")
        await known(path)
        path.answers["north"] = always_accepted
        path.carrier().release()
        await path.accept(100)
        codes = await path.accept(30, klass="otp")
        await until(lambda: set(codes) <= set(path.sent()), "the codes")
        sent = len(path.sent())
        assert sent < 100, "what sat in the outbox stays there"
        await known(path)
        assert len(path.sent()) == sent
        assert await resume(path.redis, "class", "marketing")
        await until(lambda: len(path.sent()) == 330, "everything")
        await path.drained()
        assert set(path.sent().values()) == {1}


async def test_a_paused_client_does_not_slow_the_other_client_of_its_class(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await order(path, "client", "shop")
        path.start_router()
        path.start_connector()
        await path.accept(50)
        others = await path.accept(50, client="bank")
        await until(lambda: len(path.sent()) == 50, "the other client's")
        assert set(path.sent()) == set(others)
        await resume(path.redis, "client", "shop")
        await path.drained()
        assert len(path.sent()) == 100


async def test_a_paused_tag_is_parked_once_and_the_others_of_its_lane_go_on(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.start_router()
        path.start_connector(window=10, answer=lambda s: None)
        await path.accept(100, tag="spring")
        await until(lambda: len(path.submissions()) >= 8, "a window")
        await order(path, "tag", "spring")
        await known(path)
        path.answers["north"] = always_accepted
        path.carrier().release()
        more = await path.accept(100, tag="spring")
        others = await path.accept(100)
        await until(lambda: set(others) <= set(path.sent()), "the others of the lane")
        await until(lambda: path.later() >= 180, "what waits, out of outbox and intake")
        assert not set(more) & set(path.sent())
        parked = Counter(f.id for f in await path.facts() if isinstance(f, Parked) and f.reason == "paused")
        assert set(parked.values()) == {1}
        assert await resume(path.redis, "tag", "spring")
        await until(lambda: len(path.sent()) == 300, "everything")
        await path.drained()
        assert set(path.sent().values()) == {1}


async def test_validity_goes_on_counting_while_a_lane_is_paused(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await order(path, "class", "marketing")
        path.start_router()
        path.start_connector()
        short = await path.accept(150, validity_s=1)
        long = await path.accept(20)
        link, held = path.redis.link(0), Pauses(path.redis)
        await held.look()
        await until(lambda: path.redis.clock_ms() > int.from_bytes(short[-1][:6], "big") + 1_000, "the end of them")
        assert await PauseWatch(link, 0, held).sweep() in (0, 150), "the router may have been quicker"
        ended = {f.id: (f.state, f.reason) for f in await path.facts() if isinstance(f, Ended)}
        assert ended == dict.fromkeys(short, ("expired", "validity"))
        await resume(path.redis, "class", "marketing")
        await path.drained()
        assert set(path.sent()) == set(long)


async def test_what_waits_in_a_paused_lane_is_told_with_its_reason(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AGE_MS", 50)
    async with running(valkey_url) as path:
        await order(path, "class", "marketing")
        await path.accept(5)
        held = Pauses(path.redis)
        await held.look()
        watch = WaitingWatch(path.redis.link(0), 0, _Idle(), held)  # type: ignore[arg-type]
        n = path.redis.clock_ms()
        await until(lambda: path.redis.clock_ms() > n + 100, "the age at which waiting is told")
        told = await watch.look()
        assert [(t.where, t.klass, t.why, t.count) for t in told if isinstance(t, Waiting)] == [
            ("intake", "marketing", "paused", 5)
        ]


class _Idle:
    def why(self, carrier: str) -> str:
        return ""


async def test_a_pause_keeps_its_first_order_and_is_listed(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        await order(path, "tag", "spring")
        assert not await pause(path.redis, Pause("tag", "spring", 1, "someone else"))
        assert [(p.kind, p.name, p.by) for p in await pauses(path.redis)] == [("tag", "spring", "ops/key_1")]
        assert await resume(path.redis, "tag", "spring")
        assert not await resume(path.redis, "tag", "spring")
