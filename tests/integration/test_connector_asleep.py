"""An owner that slept past its lease, with marks that its successor has dealt with meanwhile, sends nothing of them;
and one that has to end while Redis is out of its reach leaves what it knows behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.connector import connector as connector_module
from gateway.streams.link import scripts
from tests.core_path import always_accepted, running
from tests.core_redis import Proxy, opened, until

WINDOW = 30


async def test_what_waited_marked_beside_a_sleeper_is_not_sent_by_it_although_room_comes(
    valkey_url: str, tmp_path: Path
) -> None:
    """Its carrier answers while Redis is still out of its reach, so that nobody could tell it of its successor."""
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.journals = tmp_path / "journal"  # what is answered is known, so it takes up no room
        path.journals.mkdir()
        path.start_router()
        connector = path.start_connector(window=WINDOW, redis=stopped, name="old", answer=lambda s: None)
        await until(lambda: connector.pump, "the first owner")
        pump, old = connector.pump, path.carrier()
        assert pump is not None
        pump.answer_s = 0.05  # a carrier that takes its time, so urgent ones are marked ahead
        ids = await path.accept(200, klass="otp")
        await until(
            lambda: len(old.sent) == WINDOW and pump.under_way and not pump.pending, "marks ahead of the window"
        )
        ahead = pump.under_way
        proxy.flowing.clear()
        path.answers["north"] = always_accepted
        path.start_connector(window=WINDOW, name="new")
        await until(lambda: len(path.sent()) == len(ids), "the successor to send the rest")
        assert len(path.sent("north")) == len(ids) and len(old.sent) == WINDOW
        old.release()
        assert old.room > 0 and pump.under_way == ahead
        assert len(old.sent) == WINDOW, "what is marked may be its successor's by now"
        proxy.flowing.set()
        await until(lambda: connector.pump is None, "it to hear of its successor")
        await path.drained()
        assert len(old.sent) == WINDOW
        sent = path.sent()
        assert sent == Counter(ids) + Counter(s.message_id for s in old.sent), (
            "only what was on the wire is there twice"
        )


async def test_a_mark_whose_answer_came_later_than_the_lease_is_not_used(valkey_url: str, tmp_path: Path) -> None:
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.start_router()
        connector = path.start_connector(window=WINDOW, redis=stopped, name="old")
        await until(lambda: connector.pump, "the first owner")
        old = path.carrier()
        proxy.match, proxy.stops = scripts()["mark"][0], 1
        ids = await path.accept(20, klass="otp")
        await until(lambda: not proxy.flowing.is_set(), "the first one to ask for a mark")
        path.start_connector(window=WINDOW, name="new")
        await until(lambda: len(path.sent()) == len(ids), "the successor to send what is marked")
        assert not old.sent
        proxy.flowing.set()
        await until(lambda: connector.pump is None, "the first one to hear of its successor")
        assert not old.sent
        await path.drained()
        assert path.sent() == Counter(ids)


async def test_what_was_answered_and_cannot_be_written_down_at_the_end_is_left_in_the_journal(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_module, "_CLOSE_S", 0.2)
    async with Proxy(tmp_path, valkey_url) as proxy, running(valkey_url) as path, opened(proxy.url) as stopped:
        path.journals = tmp_path / "journal"
        path.journals.mkdir()
        path.start_router()
        path.start_connector(window=WINDOW, redis=stopped, name="old", answer=lambda s: None)
        await until(lambda: path.providers["north"], "the first owner")
        old = path.carrier()
        ids = await path.accept(WINDOW, klass="otp")
        await until(lambda: len(old.sent) == WINDOW, "a full window")
        proxy.flowing.clear()
        old.release()
        await path.stop("old")
        assert list(path.journals.iterdir())
        path.start_connector(window=WINDOW, name="new")
        await path.drained()
        assert path.sent() == Counter(ids)
        assert await path.fates() == {"accepted": Counter(ids)}
        proxy.flowing.set()
        await path.stop("new")
        assert not list(path.journals.iterdir())
