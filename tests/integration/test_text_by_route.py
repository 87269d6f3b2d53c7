"""A route's treatment of texts, from the router to a phone: what arrives, in how many parts, and after a death."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from gateway.connector.connector import Connector, Work
from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.events import Held, Submitted, pack_facts
from gateway.message import id_bytes, unpack_journey
from gateway.plan.choice import Compiled
from gateway.provider import Outcome, Reason, Submission, accepted, deferred
from gateway.recorder.recorder import run_recorder
from gateway.streams import facts
from gateway.streams.lease import fence
from gateway.text import parts
from providers import smpp
from tests.api_server import running as serving
from tests.core_moves import Moves
from tests.core_path import SHARES, Path, Scripted, plan, running
from tests.core_redis import until

TEXT = ("Ваш заказ №15 готов. " * 10)[:200]
LATIN = ("Vash zakaz No15 gotov. " * 10)[:220]


def treating(carriers: tuple[str, ...] = ("north",), version: int = 1, **wish: object) -> Compiled:
    made = plan(carriers, version).plan
    routes = (msgspec.structs.replace(made.routes[0], **wish),)
    return Compiled(msgspec.structs.replace(made, routes=routes), version)


@pytest.fixture
async def path(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """Carriers in memory that split texts as SMPP carriers do."""
    monkeypatch.setattr(Scripted, "split", lambda self, text, encoding: parts.split(text, encoding))
    async with running(valkey_url) as path:
        yield path


async def accept(path: Path, text: str = TEXT, **fields: object) -> bytes:
    encoding, count = parts.measure(text)
    (one,) = await path.accept(1, text=text, encoding=encoding, parts=count, **fields)
    return one


def texts(path: Path, one: bytes, carrier: str | None = None) -> list[tuple[int, int, int, str]]:
    found = [(s.attempt, s.part, s.parts, s.text) for s in path.submissions(carrier) if s.message_id == one]
    return sorted(found)


async def test_a_long_cyrillic_text_arrives_on_a_phone_in_latin_and_in_fewer_parts(valkey_url: str) -> None:
    sandbox = Sandbox(smsc := Smsc({"me": "secret"}, make_profile({})))
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    host, _, port = sandbox.smpp.rpartition(":")
    settings = {"host": host, "port": int(port), "system_id": "me", "password": "secret"}
    try:
        async with running(valkey_url) as path:
            path.plan = treating(transliterate=True)
            path.start_router()
            work = Work("north", 0, SHARES, lambda reports: smpp.open("north", settings, reports))
            path._start("north", Connector(work, path.redis, "north", 1.0, 1.0).run())
            one = await accept(path)
            plain = await accept(path, "Hello — “you”")
            await path.drained()
            shown = {m.text: m for m in smsc.handset.show("", 10)}
            assert set(shown) == {LATIN, 'Hello - "you"'}
            assert shown[LATIN].parts == 2
            told = [
                (f.part, f.parts, f.treatment) for f in await path.facts() if isinstance(f, Submitted) and f.id == one
            ]
            assert told == [(1, 2, "transliteration"), (2, 2, "transliteration")]
            (fact,) = [f for f in await path.facts() if isinstance(f, Submitted) and f.id == plain]
            assert (fact.parts, fact.treatment) == (1, "typography")
    finally:
        await sandbox.close()


async def test_a_route_that_only_replaces_typography_leaves_cyrillic_as_it_is(path: Path) -> None:
    path.plan = treating(typography="replace")
    path.start_router()
    path.start_connector()
    one, quoted = await accept(path), await accept(path, "“Hello”")
    await path.drained()
    assert [text for *_, text in texts(path, one)] == parts.split(TEXT, "ucs2")
    assert texts(path, quoted) == [(1, 1, 1, '"Hello"')]
    assert {f.treatment for f in await path.facts() if isinstance(f, Submitted)} == {"", "typography"}


async def test_parts_owed_after_a_throttled_one_are_those_of_the_latin_text_under_any_later_plan(path: Path) -> None:
    path.plan = treating(transliterate=True)
    path.start_router()
    throttled = [True]

    def answer(s: Submission) -> Outcome:
        return deferred(Reason.THROTTLED) if s.part == 2 and throttled[0] else accepted(f"{s.part}")

    path.start_connector(answer=answer)
    one = await accept(path)
    await until(lambda: len(path.submissions()) > 2, "the second part again")
    path.plan = treating(version=2)
    await path.stop("connector north")
    throttled[0] = False
    path.start_connector(answer=answer)
    await path.drained()
    assert {text for _, part, _, text in texts(path, one) if part == 2} == {LATIN[153:]}
    assert {count for _, _, count, _ in texts(path, one)} == {2}
    assert [f.part for f in await path.facts() if isinstance(f, Submitted) and f.kind == 0] == [1, 2]


@pytest.mark.parametrize("klass", ["otp", "marketing"])
async def test_after_a_death_the_parts_in_doubt_are_those_that_were_on_the_wire(path: Path, klass: str) -> None:
    path.plan = treating(transliterate=True)
    path.start_router()
    one = await accept(path, klass=klass)
    moves = Moves(path.redis, f"{klass}:shop")
    await until(lambda: path.left().get(f"{{0}}:outbox:north:{klass}:shop") == 1, "routing")
    (entry,) = await moves.outbox()
    assert unpack_journey(entry.journey).treatment == "transliteration"
    assert entry.message.text == TEXT, "what is queued is what the client sent"
    assert await fence(path.redis.link(0), "north", 1)
    assert await moves.mark([entry]) == b"ok"
    path.start_connector()
    await path.drained()
    told = await path.facts()
    doubted = [(f.attempt, f.part, f.parts) for f in told if isinstance(f, Submitted) and f.kind == 3]
    assert doubted == [(1, 1, 2), (1, 2, 2)]
    resent = [(2, 1, 2, LATIN[:153]), (2, 2, 2, LATIN[153:])]
    assert texts(path, one) == (resent if klass == "otp" else [])
    assert [f.id for f in told if isinstance(f, Held)] == ([] if klass == "otp" else [one])


async def test_another_route_sends_the_text_its_own_way(path: Path) -> None:
    path.plan = treating(("north",), transliterate=True)
    path.start_router()

    def answer(s: Submission) -> Outcome:
        path.plan = treating(("south",), version=2)
        return deferred(Reason.TEMPORARY)

    path.start_connector("north", answer=answer)
    path.start_connector("south")
    one = await accept(path)
    await path.drained()
    assert [text for *_, text in texts(path, one, "north")] == [LATIN[:153], LATIN[153:]]
    assert [text for *_, text in texts(path, one, "south")] == parts.split(TEXT, "ucs2")


async def test_the_ledger_has_the_real_parts_the_text_as_it_came_and_what_was_done_to_it(
    valkey_url: str, postgres_url: str
) -> None:
    async with serving(valkey_url, postgres_url) as api:
        sent = await api.post("/v1/messages", {"to": "+79161234567", "text": TEXT})
        assert (sent.json["parts"], sent.json["encoding"]) == (3, "ucs2")
        one, now = id_bytes(sent.json["id"]), api.redis.clock_ms()

        def submitted(part: int, kind: int = 0) -> Submitted:
            return Submitted(
                one, 1, part, 2, "north", "b", kind, "", "0", f"c{part}", "mts", 1_500_000, "RUB", 3, "all", now, now,
                now, 7, treatment="transliteration",
            )  # fmt: skip

        link = api.redis.link(0)
        await facts.append(link, 0, pack_facts([submitted(1), submitted(2, kind=3)]))
        await facts.append(link, 0, pack_facts([submitted(2), submitted(1)]))
        recorder = asyncio.create_task(run_recorder(api.settings, api.redis, api.pool, 0, "test"), name="recorder")
        try:
            view = await _until(api, sent.json["id"], lambda m: m["price"] == {"amount": "3.00", "currency": "RUB"})
        finally:
            recorder.cancel()
            await asyncio.wait([recorder])
        assert (view["parts"], view["encoding"], view["text"]) == (2, "ucs2", TEXT)
        rewritten = [m for m in view["timeline"] if m["event"] == "rewritten"]
        assert [(m["attempt"], m["by"]) for m in rewritten] == [(1, "transliteration")]
        events = [m["event"] for m in view["timeline"]]
        assert events.index("rewritten") < events.index("submitted")


async def _until(api: Any, message: str, holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(20):
        while True:
            r = await api.get(f"/v1/messages/{message}")
            if r.status == 200 and holds(r.json):
                return r.json
            await asyncio.sleep(0.02)
