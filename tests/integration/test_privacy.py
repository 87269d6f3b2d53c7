"""Numbers and texts: hidden from keys without the scope `privacy`, and every look at them in full is in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.events import Came, Received
from gateway.message import id_bytes, id_text
from gateway.provider import Inbound, Receipt
from gateway.receipts.inbound import hear
from gateway.store.migrate import migrations
from tests.api_server import Api, running
from tests.ledger_bench import Bench, message, open_bench, receipt, submitted

NUMBER, HIDDEN = "+79160000001", "+7916*****01"
RAW = "id:c1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:Your code is"


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        await api.make_key("blind", "acme", scopes=("read", "ops"))
        yield api


@pytest.fixture
async def bench(valkey_url: str, postgres_url: str) -> AsyncIterator[Bench]:
    bench = await open_bench(valkey_url, postgres_url)
    bench.start()
    yield bench
    await bench.close()


async def delivered(bench: Bench) -> bytes:
    """A message to NUMBER with its receipt, and an answer to it."""
    one, now = bench.message_id(), bench.redis.clock_ms()
    await bench.accept((one, message(1, client="acme", text="Your code is 4711", ref="login-1")))
    await bench.tell(submitted(one, "c1", sent_ms=now), receipt("c1", at_ms=now + 5, raw=RAW))
    await bench.until_recorded()
    await bench.tell(Came("alpha", now + 10, Inbound(NUMBER[1:], "1234", "Yes, 4711")))
    await bench.until_recorded()
    while not await hear(bench.pool, (), now + 1_000):
        await asyncio.sleep(0.01)
    return one


async def looks(api: Api) -> list[tuple[str, str, str, dict[str, Any]]]:
    rows = await api.pool.fetch("select who, what, subject, details from audit where what like '%.look' order by at")
    return [tuple(row) for row in rows]


async def test_number_and_text_are_hidden_without_the_scope(api: Api, bench: Bench) -> None:
    one = id_text(await delivered(bench))
    paths = (f"/v1/messages/{one}", "/v1/messages", "/v1/inbound", f"/v1/numbers/{NUMBER}/history")
    for path in paths:
        r = await api.get(path, key="blind")
        text = r.body.decode()
        assert r.status == 200 and HIDDEN in text and '"masked":true' in text, path
        assert NUMBER not in text and NUMBER[1:] not in text and "4711" not in text and "code is" not in text, path
    assert not await looks(api)
    r = await api.get("/v1/messages", key="blind", params={"to": NUMBER})
    assert [m["id"] for m in r.json["messages"]] == [one]  # who knows the number may look for it


async def test_a_look_in_full_is_noted_once_a_request_with_what_was_asked_for(api: Api, bench: Bench) -> None:
    one = id_text(await delivered(bench))
    r = await api.get(f"/v1/messages/{one}")
    assert (r.json["to"], r.json["text"]) == (NUMBER, "Your code is 4711") and "masked" not in r.json
    assert [m["raw"] for m in r.json["timeline"] if m["event"] == "receipt"] == [RAW]
    await api.get("/v1/messages", params={"to": NUMBER, "ref": "login-1"})
    await api.get(f"/v1/numbers/{NUMBER}/history")
    assert (await api.get("/v1/inbound")).json["messages"][0]["from"] == NUMBER
    seen = await looks(api)
    assert [(what, subject) for _, what, subject, _ in seen] == [
        ("message.look", one),
        ("messages.look", ""),
        ("number.look", ""),
        ("inbound.look", ""),
    ]
    assert all(who.startswith("acme/key_") for who, *_ in seen)
    searched = seen[1][3]
    assert (searched["number"], searched["ref"], searched["found"]) == (HIDDEN, "login-1", 1)
    hashed = await api.pool.fetchval("select recipient_hash from messages where id = $1", id_bytes(one))
    assert searched["recipient_hash"] == seen[2][3]["recipient_hash"] == hashed
    assert NUMBER[1:] not in str(seen)


async def test_a_message_that_only_redis_has_is_hidden_too(api: Api) -> None:
    sent = await api.post("/v1/messages", {"to": NUMBER, "text": "Your code is 4711"})
    path = f"/v1/messages/{sent.json['id']}"
    r = await api.get(path, key="blind")
    assert (r.json["to"], r.json["text"], r.json["masked"]) == (HIDDEN, "***", True)
    assert (await api.get(path)).json["to"] == NUMBER
    assert [(what, subject) for _, what, subject, _ in await looks(api)] == [("message.look", sent.json["id"])]


async def test_an_orphans_number_is_hidden_without_the_scope(api: Api, bench: Bench) -> None:
    await bench.tell(Received("alpha", bench.redis.clock_ms(), Receipt("c9", "delivered", recipient=NUMBER[1:])))
    await bench.until_recorded()
    assert (await api.get("/v1/orphans", key="blind")).json["orphans"][0]["to"] == HIDDEN[1:]
    assert (await api.get("/v1/orphans", key="ops")).json["orphans"][0]["to"] == NUMBER[1:]
    assert [what for _, what, *_ in await looks(api)] == ["orphans.look"]


async def test_numbers_of_stop_lists_are_hidden_and_looks_at_them_noted(api: Api) -> None:
    await api.post("/v1/stoplist", {"numbers": [NUMBER]})
    for path in ("/v1/stoplist", f"/v1/stoplist/{NUMBER}"):
        r = await api.get(path, key="blind")
        assert r.status == 200 and HIDDEN in r.body.decode() and NUMBER not in r.body.decode()
    assert not await looks(api)
    assert (await api.get("/v1/stoplist")).json["entries"][0]["number"] == NUMBER
    assert (await api.get(f"/v1/stoplist/{NUMBER}")).json["number"] == NUMBER
    assert [(what, d.get("number")) for _, what, _, d in await looks(api)] == [
        ("stoplist.look", None),
        ("stoplist.look", HIDDEN),
    ]


async def test_keys_of_an_older_release_see_what_they_saw(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    (trace,) = (m for m in migrations() if m.name == "0012_trace.sql")
    try:
        await connection.execute("insert into clients (name) values ('acme')")
        for n, scopes in enumerate((["send", "read"], ["send"], ["read", "privacy"], ["admin", "read"])):
            await connection.execute(
                "insert into keys (id, client, hash, scopes) values ($1, 'acme', $2, $3)", str(n), b"%d" % n, scopes
            )
        await connection.execute("alter table callbacks drop column failures")
        await connection.execute(trace.sql)
        rows = await connection.fetch("select scopes from keys order by id")
    finally:
        await connection.close()
    assert [row["scopes"] for row in rows] == [
        ["send", "read", "privacy"],
        ["send"],
        ["read", "privacy"],
        ["admin", "read"],
    ]
