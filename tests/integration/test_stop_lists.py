"""Stop lists from PostgreSQL through Redis into every process, and what the API says to a message that they stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.api.recipients import Recipients
from gateway.live import stops as live_stops
from gateway.live.stops import LiveStops, publish
from gateway.stops.classes import mask_of
from gateway.store import stop_versions, stops
from gateway.store.pool import Pool
from gateway.store.stops import Listed
from gateway.streams.link import Redis
from tests.api_server import Api, running
from tests.core_path import plan

NUMBER, OTHER = "+79161234567", "+79161234568"
OPERATOR = Listed("", mask_of(("marketing",)), "operator", "test", "complained")


async def until(holds: Callable[[], bool], deadline_s: float = 5.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def world(valkey_url: str, postgres_url: str) -> AsyncIterator[tuple[Redis, Pool]]:
    redis, pool = await Redis.open(valkey_url, 1), await Pool.open(postgres_url)
    try:
        yield redis, pool
    finally:
        await pool.close()
        await redis.close()


@asynccontextmanager
async def watched(redis: Redis) -> AsyncIterator[LiveStops]:
    live = LiveStops(redis)
    task = asyncio.create_task(live.watch())
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.wait((task,))


@asynccontextmanager
async def api_with_lists(valkey_url: str, postgres_url: str) -> AsyncIterator[tuple[Api, LiveStops]]:
    redis = await Redis.open(valkey_url, 1)
    async with watched(redis) as live, running(valkey_url, postgres_url, recipients=Recipients(live.which)) as api:
        await api.make_key("acme", "acme")  # without `privacy`
        yield api, live
    await redis.close()


async def test_a_change_is_known_elsewhere_within_a_second(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool), watched(redis) as live:
        made = await stops.add(pool, [NUMBER, OTHER], OPERATOR)
        assert (made.fresh, made.changed) == (2, 0)
        assert await publish(pool, redis)
        await until(lambda: live.which(NUMBER, "shop", "marketing") == "global", 1.0)
        assert live.which(NUMBER, "shop", "otp") == "" and live.count == 2
        await stops.remove(pool, [NUMBER], "", who="test")
        assert await publish(pool, redis)
        await until(lambda: live.which(NUMBER, "shop", "marketing") == "", 1.0)
        assert live.which(OTHER, "shop", "marketing") == "global"
        assert not await publish(pool, redis), "nothing is left to be published"


async def test_what_was_committed_and_not_published_is_published_later(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool), watched(redis) as live:
        await stops.add(pool, [NUMBER], OPERATOR)  # its process dies here
        publisher = asyncio.create_task(live_stops.Publisher(pool, redis).run())
        await until(lambda: live.which(NUMBER, "", "marketing") == "global")
        publisher.cancel()
        await redis.link(None).call(b"FLUSHALL")  # Redis comes back empty
        assert await publish(pool, redis)
        fresh = LiveStops(redis)
        await fresh.load()
        assert fresh.which(NUMBER, "", "marketing") == "global"


async def test_a_server_that_may_only_be_read_stops_nothing_but_publishing(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool), watched(redis) as live:
        await stops.add(pool, [NUMBER], OPERATOR)
        name = await pool.fetchval("select current_database()")
        await pool.execute(f"alter database {name} set default_transaction_read_only = on")
        reading = await Pool.open(postgres_url)
        publisher = live_stops.Publisher(reading, redis)
        task = asyncio.create_task(publisher.run())
        await live_stops.publish_first(reading, redis)
        assert not task.done() and live.count == 0
        async with pool.connection() as connection:
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(f"alter database {name} reset default_transaction_read_only")
        await reading.close()
        task.cancel()
        assert await publish(pool, redis)
        await until(lambda: live.count == 1)


async def test_lists_survive_a_restart_without_postgresql(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool):
        await stops.add(pool, [NUMBER], OPERATOR)
        await publish(pool, redis)
        away = await Pool.open("postgresql://127.0.0.1:1/none")
        await live_stops.publish_first(away, redis)
        live = LiveStops(redis)
        await live.load()
        assert live.which(NUMBER, "shop", "marketing") == "global"
        await away.close()


async def test_lists_of_everybody_and_of_clients_and_classes_add_up(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool):
        await stops.add(pool, [NUMBER], OPERATOR)
        await stops.add(pool, [NUMBER], Listed("shop", mask_of(("otp", "alert")), "client", "shop/key", ""))
        await stops.add(pool, [NUMBER], Listed("shop", mask_of(("alert",)), "inbound", "carrier", "STOP"))
        await publish(pool, redis)
        live = LiveStops(redis)
        await live.load()
        assert live.which(NUMBER, "shop", "otp") == "client" and live.which(NUMBER, "bank", "otp") == ""
        assert live.which(NUMBER, "bank", "marketing") == "global"
        gone = await stops.remove(pool, [NUMBER], "shop", who="test", sources=("inbound",))
        assert gone == 1 and [row.source for row in await stops.of_number(pool, NUMBER)] == ["operator", "client"]
        less = await stops.remove(pool, [NUMBER], "shop", who="test", mask=mask_of(("otp",)))
        assert less == 1
        await publish(pool, redis)
        await live.load()
        assert live.which(NUMBER, "shop", "otp") == "" and live.which(NUMBER, "shop", "alert") == "client"


async def test_an_import_counts_what_is_new_and_writes_who_and_why(valkey_url: str, postgres_url: str) -> None:
    async with world(valkey_url, postgres_url) as (redis, pool):
        listed = Listed("", 14, "import", "anna", "regulator's list")
        numbers = [f"+7916{n:07}" for n in range(5000)]
        async with stop_versions.importing(pool, listed) as one:
            await one.put(numbers[:3000])
            await one.put(numbers[2000:])
            made = await one.merge()
        assert (made.fresh, made.changed) == (5000, 0)
        await publish(pool, redis)
        live = LiveStops(redis)
        await live.load()
        assert live.count == 5000 and live.which(numbers[-1], "x", "alert") == "global"
        row = (await stops.of_number(pool, numbers[0]))[0]
        assert (row.who, row.reason, row.source, row.mask) == ("anna", "regulator's list", "import", 14)
        audit = await pool.fetchrow("select who, what, details from audit where what = 'stoplist.import'")
        assert audit is not None and audit["details"]["fresh"] == 5000 and "+7916" not in str(audit["details"])


async def test_a_stopped_recipient_is_refused_on_accept(valkey_url: str, postgres_url: str) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, live):
        added = await api.post("/v1/stoplist", {"numbers": [NUMBER], "classes": ["marketing"], "reason": "asked"})
        assert added.json == {"added": 1, "changed": 0, "unchanged": 0}
        await until(lambda: live.count == 1)
        message = {"to": NUMBER, "text": "Spring", "class": "marketing"}
        refused = await api.post("/v1/messages", message)
        assert (refused.status, refused.code, refused.json["pointer"]) == (422, "recipient_stopped", "/to")
        assert NUMBER not in refused.body.decode()
        assert (await api.post("/v1/messages/preview", message)).code == "recipient_stopped"
        assert (await api.post("/v1/messages", message | {"class": "otp"})).status == 202
        assert (await api.post("/v1/messages", message, key="other")).status == 202, "it is acme's own list"
        batch = await api.post("/v1/messages/batch", {"messages": [message, message | {"to": OTHER}]})
        first, second = batch.json["results"]
        assert (first["code"], first["pointer"]) == ("recipient_stopped", "/messages/0/to") and second["id"]


async def test_a_repeat_with_its_ref_gets_the_first_id_after_its_recipient_was_stopped(
    valkey_url: str, postgres_url: str
) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, live):
        message = {"to": NUMBER, "text": "Spring", "class": "marketing", "ref": "order-1"}
        first = await api.post("/v1/messages", message)
        await api.post("/v1/stoplist", {"numbers": [NUMBER, OTHER], "classes": ["marketing"]})
        await until(lambda: live.count == 2)
        again = await api.post("/v1/messages", message)
        assert (again.status, again.json["id"], again.json["duplicate"]) == (200, first.json["id"], True)
        other = await api.post("/v1/messages", message | {"text": "Autumn"})
        assert (other.status, other.code) == (409, "ref_conflict") and other.json["id"] == first.json["id"]
        assert (await api.post("/v1/messages", message | {"ref": "order-2"})).code == "recipient_stopped"
        assert (await api.post("/v1/messages", message, key="other")).status == 202, "another client's refs are its own"
        items = [message, message | {"ref": "order-3"}, message | {"text": "Autumn"}, {"to": OTHER, "text": "Hello"}]
        batch = await api.post("/v1/messages/batch", {"defaults": {"class": "marketing"}, "messages": items})
        results = batch.json["results"]
        assert results[0]["id"] == first.json["id"] and results[0]["duplicate"]
        assert [r["code"] for r in results[1:]] == ["recipient_stopped", "ref_conflict", "recipient_stopped"]
        assert (batch.json["accepted"], batch.json["duplicates"], batch.json["rejected"]) == (0, 1, 3)


async def test_a_client_handles_its_own_list_and_no_other(valkey_url: str, postgres_url: str) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, _):
        assert (await api.post("/v1/stoplist", {"numbers": [NUMBER], "client": "other"})).code == "scope_missing"
        await api.post("/v1/stoplist", {"numbers": [NUMBER], "reason": "by law"}, key="ops")
        await api.post("/v1/stoplist", {"numbers": [NUMBER, OTHER], "client": "acme"}, key="ops")
        await api.post("/v1/stoplist", {"numbers": [OTHER]})
        checked = (await api.get(f"/v1/stoplist/{NUMBER}")).json
        assert checked["stopped"] == ["alert", "transactional", "marketing"] and checked["number"] == "+7916*****67"
        assert [(e["client"], e["reason"], e["who"] is None) for e in checked["entries"]] == [
            (None, None, True),
            ("acme", "", False),
        ]
        gone = await api.ask("DELETE", f"/v1/stoplist/{OTHER}")
        assert gone.json == {"removed": 1, "kept": 1}, "what an operator put there stays"
        assert (await api.ask("DELETE", f"/v1/stoplist/{OTHER}?client=acme", key="ops")).json["kept"] == 0
        listed = (await api.get("/v1/stoplist")).json["entries"]
        assert [e["client"] for e in listed] == ["acme"]
        everything = (await api.get("/v1/stoplist", key="ops")).json["entries"]
        assert {e["number"] for e in everything} == {NUMBER} and len(everything) == 2


async def test_explain_says_who_is_stopped(valkey_url: str, postgres_url: str) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, live):
        api.plan.compiled = plan()
        await api.post("/v1/stoplist", {"numbers": [NUMBER], "classes": ["marketing"]}, key="ops")
        await until(lambda: live.count == 1)
        asked = {"to": NUMBER, "text": "Spring", "class": "marketing"}
        told = (await api.post("/v1/plans/explain", asked, key="ops")).json
        assert told["held_back"]["reason"] == "stopped" and "stop list" in told["words"]
        told = (await api.post("/v1/plans/explain", asked | {"class": "otp"}, key="ops")).json
        assert told.get("held_back") is None and "stop list" not in told["words"]


async def test_many_are_taken_off_at_once_and_what_is_an_operators_stays(valkey_url: str, postgres_url: str) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, live):
        numbers = [f"+7916{n:07}" for n in range(300)]
        await api.post("/v1/stoplist", {"numbers": numbers})
        await api.post("/v1/stoplist", {"numbers": numbers[:3], "client": "acme"}, key="ops")
        gone = await api.post("/v1/stoplist/remove", {"numbers": numbers[:200], "classes": ["marketing"]})
        assert gone.json == {"removed": 200, "kept": 3}
        assert live.which(numbers[9], "acme", "marketing") == "" and live.which(numbers[9], "acme", "alert") == "client"
        assert live.which(numbers[2], "acme", "marketing") == "client"
        refused = await api.post("/v1/stoplist/remove", {"numbers": numbers, "client": "other"})
        assert refused.code == "scope_missing"


async def test_a_list_is_read_page_by_page(valkey_url: str, postgres_url: str) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, _):
        await api.post("/v1/stoplist", {"numbers": [f"+7916123450{n}" for n in range(5)]})
        path, seen = "/v1/stoplist?limit=2", []
        while path:
            page = await api.get(path)
            seen += [e["number"] for e in page.json["entries"]]
            path = page.json["next"]
        assert len(seen) == 5 and len(set(seen)) == 5


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"numbers": ["+79161234567", "12"]}, "number_too_short", "/numbers/1"),
        ({"numbers": []}, "invalid_value", "/numbers"),
        ({"numbers": ["+79161234567"] * 10_001}, "invalid_value", "/numbers"),
        ({"numbers": ["+79161234567"], "classes": ["spam"]}, "invalid_value", "/classes/0"),
        ({"numbers": ["+79161234567"], "reason": "\0"}, "forbidden_character", "/reason"),
    ],
)
async def test_what_is_no_entry_is_refused_with_its_place(
    valkey_url: str, postgres_url: str, body: dict[str, object], code: str, pointer: str
) -> None:
    async with api_with_lists(valkey_url, postgres_url) as (api, _):
        refused = await api.post("/v1/stoplist", body)
        assert (refused.status, refused.code, refused.json["pointer"]) == (422, code, pointer)
        assert (await api.get("/v1/stoplist", key="ops")).json["entries"] == []
