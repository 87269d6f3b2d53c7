"""Reading, searching, cancelling, batches: what is in PostgreSQL, what only Redis has yet, and what is not yours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.embedded.postgres import Postgres
from gateway.events import Ended, Submitted, pack_facts
from gateway.message import id_bytes
from gateway.recorder.recorder import run_recorder
from gateway.streams import facts
from tests.api_server import Answered, Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    """A server without a recorder: PostgreSQL has nothing yet."""
    async with running(valkey_url, postgres_url) as api:
        yield api


@asynccontextmanager
async def recording(api: Api) -> AsyncIterator[None]:
    """A recorder at work."""
    task = asyncio.create_task(run_recorder(api.settings, api.redis, api.pool, 0, "test"), name="recorder")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(api: Api, path: str, holds: Callable[[Any], bool], **given: Any) -> Answered:
    """Ask until the answer is as wanted."""
    async with asyncio.timeout(20):
        while True:
            r = await api.get(path, **given)
            if r.status == 200 and holds(r.json):
                return r
            await asyncio.sleep(0.02)


async def recorded(api: Api, message_id: str) -> None:
    async with asyncio.timeout(20):
        while not await api.pool.fetchval("select count(*) from messages where id = $1", id_bytes(message_id)):
            await asyncio.sleep(0.02)


def soon(api: Api, seconds: int = 3600) -> str:
    return datetime.fromtimestamp(api.redis.clock_ms() // 1000 + seconds, UTC).isoformat()


async def test_a_message_is_read_from_redis_before_postgresql_has_it(api: Api) -> None:
    sent = await api.post("/v1/messages", MESSAGE | {"ref": "a", "tag": "t", "meta": {"x": [1]}})
    r = await api.get(f"/v1/messages/{sent.json['id']}")
    assert r.status == 200
    assert {n: r.json[n] for n in ("id", "state", "to", "from", "class", "text", "ref", "tag", "meta")} == {
        "id": sent.json["id"],
        "state": "accepted",
        "to": "+79161234567",
        "from": "Sluice",
        "class": "otp",
        "text": "Your code is 4711",
        "ref": "a",
        "tag": "t",
        "meta": {"x": [1]},
    }
    assert [m["event"] for m in r.json["timeline"]] == ["accepted"]


async def test_a_message_reads_the_same_from_redis_and_from_postgresql(api: Api) -> None:
    asked = MESSAGE | {"ref": "a", "tag": "t", "meta": {"x": [1, "é"]}, "send_at": soon(api), "validity_s": 77}
    sent = await api.post("/v1/messages", asked)
    before = await api.get(f"/v1/messages/{sent.json['id']}")
    async with recording(api):
        await recorded(api, sent.json["id"])
    after = await api.get(f"/v1/messages/{sent.json['id']}")
    assert after.json == before.json
    assert [m["event"] for m in after.json["timeline"]] == ["accepted", "scheduled"]


async def test_what_happened_to_a_message_is_in_its_timeline(api: Api) -> None:
    sent = await api.post("/v1/messages", MESSAGE)
    message_id = id_bytes(sent.json["id"])
    now = api.redis.clock_ms()
    fact = Submitted(
        message_id, 1, 0, 1, "north", "north-1", 0, "", "0", "c-1", "mts", 25_000, "RUB", 3, "rest", now, now, now, 7
    )
    await facts.append(api.redis.link(0), 0, pack_facts([fact]))
    async with recording(api):
        r = await until(api, f"/v1/messages/{sent.json['id']}", lambda m: m["state"] == "submitted")
    assert (r.json["carrier"], r.json["operator"], r.json["price"]) == (
        "north",
        "mts",
        {"amount": "0.025", "currency": "RUB"},
    )
    submitted = r.json["timeline"][-1]
    assert (submitted["event"], submitted["outcome"], submitted["route"]) == ("submitted", "accepted", "rest")
    assert (submitted["plan_version"], submitted["carrier_message_id"], submitted["price"]["amount"]) == (
        3,
        "c-1",
        "0.025",
    )
    assert submitted["routed_at"] and submitted["bind"] == "north-1"


async def test_an_ended_message_says_why_in_words(api: Api) -> None:
    sent = await api.post("/v1/messages", MESSAGE)
    fact = Ended(id_bytes(sent.json["id"]), "failed", "no_route", 0, "router")
    await facts.append(api.redis.link(0), 0, pack_facts([fact]))
    async with recording(api):
        r = await until(api, f"/v1/messages/{sent.json['id']}", lambda m: m["state"] == "failed")
    assert (r.json["reason"], r.json["reason_text"]) == ("no_route", "no route of the plan takes this message")
    assert r.json["timeline"][-1]["event"] == "ended"


@pytest.mark.parametrize("written", [False, True])
async def test_another_clients_message_is_unknown(api: Api, written: bool) -> None:
    sent = await api.post("/v1/messages", MESSAGE)
    if written:
        async with recording(api):
            await recorded(api, sent.json["id"])
    for method, path in (("GET", ""), ("POST", "/cancel")):
        r = await api.ask(method, f"/v1/messages/{sent.json['id']}{path}", key="other")
        assert (r.status, r.code) == (404, "unknown_message")
    assert (await api.get("/v1/messages", key="other")).json["messages"] == []


@pytest.mark.parametrize(
    "name", ["x", "0190f8a4-7c30-7000-8000-000000000000", "0190f8a47c3070008000000000000000", "%00"]
)
async def test_what_is_no_id_of_a_message_is_unknown(api: Api, name: str) -> None:
    r = await api.get(f"/v1/messages/{name}")
    assert (r.status, r.code) == (404, "unknown_message")


async def test_without_postgresql_fresh_messages_are_read_and_others_are_503(
    valkey_url: str, own_postgres: Callable[..., Awaitable[Postgres]]
) -> None:
    postgres = await own_postgres()
    async with running(valkey_url, postgres.url) as api:
        assert (await api.get("/v1/messages")).status == 200
        await postgres.kill()
        sent = await api.post("/v1/messages", MESSAGE)
        assert sent.status == 202
        assert (await api.get(f"/v1/messages/{sent.json['id']}")).status == 200
        for path in ("/v1/messages/0190f8a4-7c30-7000-8000-000000000000", "/v1/messages", "/v1/stats"):
            r = await api.get(path)
            assert (r.status, r.code) == (503, "postgres_away") and r.headers["Retry-After"]


async def test_a_search_pages_through_everything_once(api: Api) -> None:
    batch = {"messages": [MESSAGE | {"to": f"+7916000000{n}", "ref": f"r{n}", "tag": "t"} for n in range(7)]}
    sent = await api.post("/v1/messages/batch", batch)
    async with recording(api):
        await until(api, "/v1/messages?limit=500", lambda page: len(page["messages"]) == 7)
    ids, path, pages = [], "/v1/messages?limit=3&tag=t", 0
    while path:
        r = await api.get(path)
        ids += [m["id"] for m in r.json["messages"]]
        path, pages = r.json["next"], pages + 1
        assert bool(path) == ("Link" in r.headers)
    assert pages == 3
    assert ids == sorted((x["id"] for x in sent.json["results"]), reverse=True)


async def test_a_search_filters_by_every_field(api: Api) -> None:
    await api.post("/v1/messages", MESSAGE | {"ref": "a", "tag": "t"})
    await api.post("/v1/messages", MESSAGE | {"to": "+79160000000", "send_at": soon(api)})
    await api.post("/v1/messages", MESSAGE, key="other")
    async with recording(api):
        await until(api, "/v1/messages", lambda page: len(page["messages"]) == 2)
        await until(api, "/v1/messages", lambda page: len(page["messages"]) == 1, key="other")
    for query, count in (
        ("ref=a", 1),
        ("ref=b", 0),
        ("to=8(916)000-00-00", 1),
        ("to=%2B79161234567", 1),
        ("state=scheduled", 1),
        ("state=delivered", 0),
        ("tag=t", 1),
        ("since=2020-01-01T00:00:00Z", 2),
        ("since=2099-01-01T00:00:00%2B03:00", 0),
        ("ref=a&tag=t&state=accepted", 1),
    ):
        assert len((await api.get(f"/v1/messages?{query}")).json["messages"]) == count, query


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("state=sent", "query_invalid", "state"),
        ("since=yesterday", "query_invalid", "since"),
        ("since=2026-01-01T00:00:00", "query_invalid", "since"),
        ("limit=0", "query_invalid", "limit"),
        ("limit=x", "query_invalid", "limit"),
        ("limit=501", "query_invalid", "limit"),
        ("cursor=abc", "cursor_invalid", "cursor"),
        ("cursor=%00", "query_invalid", "cursor"),
        ("to=abc", "query_invalid", "to"),
        ("ref=%00", "query_invalid", "ref"),
        ("text=abc", "query_invalid", "text"),
    ],
)
async def test_a_query_that_cannot_be_used_is_refused(api: Api, query: str, code: str, parameter: str) -> None:
    r = await api.get(f"/v1/messages?{query}")
    assert (r.status, r.code, r.json["parameter"]) == (422, code, parameter)


@pytest.mark.parametrize("scheduled", [False, True])
async def test_a_waiting_message_is_cancelled_once_and_for_all(api: Api, scheduled: bool) -> None:
    sent = await api.post("/v1/messages", MESSAGE | ({"send_at": soon(api)} if scheduled else {}))
    path = f"/v1/messages/{sent.json['id']}"
    async with recording(api):
        first = await api.post(f"{path}/cancel")
        again = await api.post(f"{path}/cancel")
        assert (first.status, again.status) == (200, 200)
        assert first.json == again.json == {"id": sent.json["id"], "state": "cancelled"}
        r = await until(api, path, lambda m: m["state"] == "cancelled")
    assert r.json["timeline"][-1]["event"] == "ended"


async def test_cancelling_what_was_sent_is_too_late(api: Api) -> None:
    sent = await api.post("/v1/messages", MESSAGE)
    message_id = id_bytes(sent.json["id"])
    link = api.redis.link(0)
    await link.call("DEL", "{0}:intake:otp:acme")
    now = api.redis.clock_ms()
    fact = Submitted(message_id, 1, 0, 1, "north", "b", 0, "", "0", "c", "mts", 1, "RUB", 3, "rest", now, now, now, 7)
    await facts.append(link, 0, pack_facts([fact]))
    async with recording(api):
        r = await api.post(f"/v1/messages/{sent.json['id']}/cancel")
    assert (r.status, r.code, r.json["state"], r.json["id"]) == (409, "too_late", "submitted", sent.json["id"])


async def test_a_batch_tells_how_its_messages_stand_before_and_after_it_is_recorded(api: Api) -> None:
    batch = {"messages": [MESSAGE, MESSAGE | {"send_at": soon(api)}, {"to": "1", "text": "x"}]}
    sent = await api.post("/v1/messages/batch", batch)
    path = f"/v1/batches/{sent.json['batch_id']}"
    r = await api.get(path)
    assert (r.json["accepted"], r.json["rejected"], r.json["open"]) == (2, 1, 2)
    async with recording(api):
        await until(api, path, lambda b: b["states"] == {"accepted": 1, "scheduled": 1} and b["open"] == 2)
    other = await api.get(path, key="other")
    assert (other.status, other.code) == (404, "unknown_batch")
    assert (await api.get("/v1/batches/x")).code == "unknown_batch"


async def test_a_batch_is_cancelled_with_all_its_messages(api: Api) -> None:
    sent = await api.post("/v1/messages/batch", {"messages": [MESSAGE, MESSAGE | {"send_at": soon(api)}] * 5})
    path = f"/v1/batches/{sent.json['batch_id']}"
    async with recording(api):
        r = await api.post(f"{path}/cancel")
        assert (r.status, r.json["changed"], r.json["too_late"]) == (200, 10, 0)
        await until(api, path, lambda b: b["states"] == {"cancelled": 10})
        assert (await api.post(f"{path}/cancel")).json["changed"] == 0


async def test_a_batch_gets_another_time_for_what_is_scheduled(api: Api) -> None:
    sent = await api.post("/v1/messages/batch", {"messages": [MESSAGE, MESSAGE | {"send_at": soon(api)}]})
    path = f"/v1/batches/{sent.json['batch_id']}"
    later = soon(api, 7200)
    async with recording(api):
        r = await api.post(f"{path}/reschedule", {"send_at": later})
        assert (r.status, r.json["changed"], r.json["too_late"]) == (200, 1, 1)
        moved = sent.json["results"][1]["id"]
        r = await until(
            api,
            f"/v1/messages/{moved}",
            lambda m: datetime.fromisoformat(m["send_at"]) == datetime.fromisoformat(later),
        )
        assert "rescheduled" in [m["event"] for m in r.json["timeline"]]
    for body, code, pointer in (
        ({"send_at": "2020-01-01T00:00:00Z"}, "send_at_past", "/send_at"),
        ({"send_at": "2099-01-01T00:00:00Z"}, "send_at_too_far", "/send_at"),
        ({"send_at": "2030-01-01T00:00:00"}, "send_at_without_offset", "/send_at"),
        ({}, "missing_field", "/send_at"),
        ({"send_at": later, "x": 1}, "unknown_field", "/x"),
    ):
        r = await api.post(f"{path}/reschedule", body)
        assert (r.status, r.code, r.json["pointer"]) == (422, code, pointer)


async def test_reads_right_after_their_202_find_the_message_while_the_recorder_is_at_work(api: Api) -> None:
    async def write_and_read(n: int) -> tuple[int, Any]:
        r = await api.post("/v1/messages", MESSAGE | {"text": f"number {n}"})
        got = await api.get(f"/v1/messages/{r.json['id']}")
        return got.status, got.json.get("text")

    async with recording(api):
        for start in range(0, 1000, 50):
            answers = await asyncio.gather(*(write_and_read(n) for n in range(start, start + 50)))
            assert answers == [(200, f"number {n}") for n in range(start, start + 50)]


async def test_statistics_count_the_clients_own_messages(api: Api) -> None:
    await api.post("/v1/messages/batch", {"messages": [MESSAGE] * 3 + [MESSAGE | {"class": "marketing"}]})
    await api.post("/v1/messages", MESSAGE, key="other")
    async with recording(api):
        path = "/v1/stats?by=class,state"
        r = await until(api, path, lambda s: sum(g["messages"] for g in s["groups"]) == 4)
        assert {(g["class"], g["state"]): g["messages"] for g in r.json["groups"]} == {
            ("otp", "accepted"): 3,
            ("marketing", "accepted"): 1,
        }
        r = await until(api, "/v1/stats?by=client", lambda s: len(s["groups"]) == 2, key="ops")
        assert {g["client"]: g["messages"] for g in r.json["groups"]} == {"acme": 4, "other": 1}
        r = await api.get("/v1/stats?by=&step=hour")
        assert [(g["messages"], "at" in g) for g in r.json["groups"]] == [(4, True)]
    for query, parameter in (("by=text", "by"), ("by=state,state", "by"), ("step=year", "step"), ("x=1", "x")):
        r = await api.get(f"/v1/stats?{query}")
        assert (r.status, r.json["parameter"]) == (422, parameter)
