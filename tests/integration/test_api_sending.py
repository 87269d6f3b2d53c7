"""Messages in: one, many, repeated, refused, over real sockets, Valkey and PostgreSQL."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.api.intake import DEADLINE_S
from gateway.embedded.valkey import Valkey
from gateway.events import Batched, unpack_facts
from gateway.message import id_bytes, id_shard, id_time_ms
from gateway.streams import facts, lookup
from gateway.streams.accept import Acceptor
from gateway.streams.link import RedisAwayError
from gateway.streams.opening import close_shard
from tests.api_server import Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def stored(api: Api) -> list[bytes]:
    """Ids of everything that was accepted, in order."""
    found = []
    for shard in range(api.redis.shards):
        for entry in await facts.read(api.redis.link(shard), shard, b"0-0", 10_000):
            found += [message_id for message_id, _ in entry.accepted]
    return found


async def test_a_message_is_accepted_with_id_state_parts_and_encoding(api: Api) -> None:
    r = await api.post("/v1/messages", MESSAGE)
    assert r.status == 202
    assert r.json == {
        "id": r.json["id"],
        "state": "accepted",
        "parts": 1,
        "encoding": "gsm7",
        "duplicate": False,
    }
    assert await stored(api) == [id_bytes(r.json["id"])]
    assert r.headers["X-Request-Id"] and r.headers["Content-Type"] == "application/json"
    assert r.headers["Server"] == "sluice"


async def test_what_was_accepted_carries_everything_that_was_asked_for(api: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asked = {
        "to": "8 916 123-45-67",
        "text": "Привет" * 30,
        "from": "MyShop",
        "class": "marketing",
        "ref": "r1",
        "validity_s": 600,
        "callback_url": "https://example.com/sms",
        "tag": "spring",
        "meta": {"order": 1, "who": "é"},
    }
    r = await api.post("/v1/messages", asked, headers={"traceparent": trace})
    assert (r.status, r.json["encoding"], r.json["parts"]) == (202, "ucs2", 3)
    found = await lookup.find(api.redis, id_bytes(r.json["id"]))
    assert found is not None
    message = found[0]
    assert (message.client, message.to, message.sender, message.klass) == (
        "acme",
        "+79161234567",
        "MyShop",
        "marketing",
    )
    assert (message.ref, message.validity_s, message.tag) == ("r1", 600, "spring")
    assert json.loads(message.meta) == asked["meta"] and message.traceparent == trace
    assert message.callback_url == asked["callback_url"] and message.key_id.startswith("key_")


async def test_a_message_with_send_at_is_scheduled(api: Api) -> None:
    at = datetime.fromtimestamp(api.redis.clock_ms() // 1000 + 3600, UTC)
    r = await api.post("/v1/messages", MESSAGE | {"send_at": at.isoformat(), "ref": "a"})
    assert (r.status, r.json["state"]) == (202, "scheduled")
    again = await api.post("/v1/messages", MESSAGE | {"send_at": at.isoformat(), "ref": "a"})
    assert (again.status, again.json["state"], again.json["duplicate"]) == (200, "scheduled", True)


async def test_the_same_ref_and_message_give_the_first_id(api: Api) -> None:
    first = await api.post("/v1/messages", MESSAGE | {"ref": "a"})
    again = await api.post("/v1/messages", MESSAGE | {"ref": "a"})
    assert (first.status, again.status) == (202, 200)
    assert again.json == first.json | {"duplicate": True}
    assert len(await stored(api)) == 1


async def test_a_ref_belongs_to_one_client_and_recipient(api: Api) -> None:
    ids = set()
    for key, to in (("acme", "+79161234567"), ("other", "+79161234567"), ("acme", "+79161234568")):
        r = await api.post("/v1/messages", MESSAGE | {"ref": "a", "to": to}, key=key)
        assert r.status == 202
        ids.add(r.json["id"])
    assert len(ids) == 3


async def test_a_ref_with_another_text_is_a_conflict_that_names_the_first(api: Api) -> None:
    first = await api.post("/v1/messages", MESSAGE | {"ref": "a"})
    r = await api.post("/v1/messages", MESSAGE | {"ref": "a", "text": "other"})
    assert (r.status, r.code, r.json["pointer"], r.json["id"]) == (409, "ref_conflict", "/ref", first.json["id"])


async def test_fifty_identical_posts_at_once_give_one_message(api: Api) -> None:
    answers = await asyncio.gather(*(api.post("/v1/messages", MESSAGE | {"ref": "a"}) for _ in range(50)))
    assert sorted(r.status for r in answers) == [200] * 49 + [202]
    assert len({r.json["id"] for r in answers}) == 1
    assert len(await stored(api)) == 1


async def test_an_idempotency_key_gives_the_first_answer_again(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await api.post("/v1/messages", MESSAGE, headers=headers)
    again = await api.post("/v1/messages", MESSAGE, headers=headers)
    assert (first.status, again.status) == (202, 202)
    assert again.body == first.body
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers
    assert len(await stored(api)) == 1


async def test_fifty_posts_at_once_with_one_idempotency_key_give_one_message(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(api.post("/v1/messages", MESSAGE, headers=headers) for _ in range(50)))
    assert {r.status for r in answers} <= {202, 409}
    assert {r.code for r in answers if r.status == 409} <= {"request_running"}
    assert len({r.json["id"] for r in answers if r.status == 202}) == 1
    assert len(await stored(api)) == 1


async def test_an_idempotency_key_with_another_body_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    await api.post("/v1/messages", MESSAGE, headers=headers)
    r = await api.post("/v1/messages", MESSAGE | {"text": "other"}, headers=headers)
    assert (r.status, r.code, r.json["parameter"]) == (422, "idempotency_key_reused", "Idempotency-Key")


async def test_an_idempotency_key_belongs_to_its_client(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await api.post("/v1/messages", MESSAGE, headers=headers)
    other = await api.post("/v1/messages", MESSAGE | {"text": "b"}, headers=headers, key="other")
    assert (first.status, other.status) == (202, 202)


async def test_a_refused_request_frees_its_idempotency_key(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    assert (await api.post("/v1/messages", MESSAGE | {"text": ""}, headers=headers)).status == 422
    assert (await api.post("/v1/messages", MESSAGE, headers=headers)).status == 202


async def test_an_idempotency_key_of_odd_characters_is_refused(api: Api) -> None:
    r = await api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "a b"})
    assert (r.status, r.code) == (422, "idempotency_key_invalid")


async def test_a_batch_that_died_half_way_is_completed_by_its_repeat(api: Api) -> None:
    """The first run reached Redis and its answer was lost: what is repeated has the same ids, nothing is doubled."""
    batch = {"messages": [MESSAGE | {"to": f"+7916{n:07d}"} for n in range(1200)]}
    body = json.dumps(batch).encode()
    headers = {"Idempotency-Key": "k1", "Content-Type": "application/json"}
    first = await api.ask("POST", "/v1/messages/batch", data=body, headers=headers)
    assert first.status == 202
    link = api.redis.link(0)
    for key in await link.call("KEYS", "{0}:k:*"):  # as if the process had died before it could write the answer
        await link.call("HDEL", key, "response")
        await link.call("HSET", key, "busy", "0")
    again = await api.ask("POST", "/v1/messages/batch", data=body, headers=headers)
    assert again.status == 202 and "Idempotent-Replayed" not in again.headers
    assert again.json == first.json
    assert len(await stored(api)) == 1200


async def test_a_batch_has_one_result_for_each_message_in_order(api: Api) -> None:
    batch = {
        "defaults": {"class": "marketing", "from": "MyShop", "tag": "spring"},
        "messages": [
            {"to": "+79161234567", "text": "one", "ref": "a"},
            {"to": "12", "text": "two"},
            {"to": "+79161234568", "text": "three", "class": "otp"},
            {"to": "+79161234567", "text": "one", "ref": "a"},
            {"to": "+79161234567", "text": "another", "ref": "a"},
            {"to": "+79161234569"},
        ],
    }
    r = await api.post("/v1/messages/batch", batch)
    assert r.status == 202
    results = r.json["results"]
    assert [x.get("code", x.get("duplicate")) for x in results] == [
        False,
        "number_too_short",
        False,
        True,
        "ref_conflict",
        "missing_field",
    ]
    assert results[1]["pointer"] == "/messages/1/to" and results[5]["pointer"] == "/messages/5/text"
    assert results[3]["id"] == results[0]["id"] == results[4]["id"]
    assert (r.json["accepted"], r.json["duplicates"], r.json["rejected"]) == (2, 1, 3)
    message, _ = await found(api, results[0]["id"])
    assert (message.klass, message.sender, message.tag) == ("marketing", "MyShop", "spring")
    assert message.batch_id == id_bytes(r.json["batch_id"])
    assert (await found(api, results[2]["id"]))[0].klass == "otp"


async def found(api: Api, message_id: str) -> Any:
    hit = await lookup.find(api.redis, id_bytes(message_id))
    assert hit is not None
    return hit


async def test_a_message_of_a_batch_that_does_not_decode_stops_no_other(api: Api) -> None:
    batch = {"messages": [MESSAGE, {"to": 5, "text": "x", "klass": "otp"}, "no object", MESSAGE]}
    r = await api.post("/v1/messages/batch", batch)
    results = r.json["results"]
    assert [x.get("code", "ok") for x in results] == ["ok", "wrong_type", "wrong_type", "ok"]
    assert {e["pointer"] for e in results[1]["errors"]} == {"/messages/1/to", "/messages/1/klass"}
    assert "did you mean `class`" in results[1]["errors"][1]["detail"]


async def test_half_a_surrogate_pair_in_a_message_of_a_batch_stops_no_other(api: Api) -> None:
    """No decoder takes such a document as a whole."""
    good_one = b'{"to":"+79161234568","text":"caf\\u00e9 \\ud83c\\udf88"}'
    body = b'{"messages":[{"to":"+79161234567","text":"a \\ud83d b"},' + good_one + b"]}"
    r = await api.ask("POST", "/v1/messages/batch", data=body, headers={"Content-Type": "application/json"})
    assert (r.status, r.json["accepted"], r.json["rejected"]) == (202, 1, 1)
    bad, good = r.json["results"]
    assert (bad["code"], bad["pointer"]) == ("forbidden_character", "/messages/0/text")
    assert (await api.get(f"/v1/messages/{good['id']}")).json["text"] == "café 🎈"
    body = body.replace(b"{", b'{"defaults":{"text":"\\ud83d"},', 1)
    r = await api.ask("POST", "/v1/messages/batch", data=body, headers={"Content-Type": "application/json"})
    assert (r.status, r.json["code"]) == (422, "forbidden_character")


async def test_ndjson_with_a_bad_line_accepts_the_others(api: Api) -> None:
    lines = [json.dumps(MESSAGE), "{not json", "", json.dumps(MESSAGE | {"text": ""}), json.dumps(MESSAGE)]
    r = await api.ask(
        "POST",
        "/v1/messages/batch",
        data="\n".join(lines).encode(),
        headers={"Content-Type": "application/x-ndjson; charset=utf-8"},
    )
    assert r.status == 202
    results = r.json["results"]
    assert [x.get("code", "ok") for x in results] == ["ok", "not_json", "text_empty", "ok"]
    assert (results[1]["line"], results[2]["line"], results[2]["pointer"]) == (2, 4, "/text")
    assert len(await stored(api)) == 2


async def test_a_batch_is_written_down_for_the_recorder(api: Api) -> None:
    r = await api.post("/v1/messages/batch", {"messages": [MESSAGE, {"to": "1", "text": "x"}]})
    batch_id = id_bytes(r.json["batch_id"])
    fact = Batched(batch_id, "acme", 1, 0, 1)
    assert await lookup.find_batch(api.redis, batch_id) == fact
    entries = await facts.read(api.redis.link(0), 0, b"0-0", 100)
    assert [f for e in entries if e.facts for f in unpack_facts(e.facts)] == [fact]


async def test_a_large_batch_is_accepted_whole_and_in_order(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url, shards=3) as api:
        batch = {"messages": [MESSAGE | {"to": f"+7916{n:07d}", "ref": str(n)} for n in range(10_000)]}
        r = await api.post("/v1/messages/batch", batch)
        assert (r.status, r.json["accepted"]) == (202, 10_000)
        ids = [id_bytes(x["id"]) for x in r.json["results"]]
        assert len(set(ids)) == 10_000 and set(ids) == set(await stored(api))
        assert {id_shard(i) for i in ids} == {0, 1, 2}
        assert all(id_shard(i) == api.redis.shard_of(f"+7916{n:07d}") for n, i in enumerate(ids))


@pytest.mark.parametrize(
    ("batch", "status", "code", "pointer"),
    [
        ({"messages": []}, 422, "no_messages", "/messages"),
        ({"messages": [MESSAGE] * 10_001}, 422, "too_many_messages", "/messages"),
        ({"messages": {}}, 422, "wrong_type", "/messages"),
        ({}, 422, "missing_field", "/messages"),
        ({"messages": [MESSAGE], "default": {}}, 422, "unknown_field", "/default"),
        ({"messages": [MESSAGE], "defaults": {"from": "Слишком"}}, 422, "sender_alphabet", "/defaults/from"),
        ({"messages": [MESSAGE], "defaults": {"class": "vip"}}, 422, "invalid_class", "/defaults/class"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole_is_refused(
    api: Api, batch: Any, status: int, code: str, pointer: str
) -> None:
    r = await api.post("/v1/messages/batch", batch)
    assert (r.status, r.code, r.json["pointer"]) == (status, code, pointer)
    assert await stored(api) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b"", 400, "not_json"),
        (b'{"to":"+79161234567","text":"\xff"}', 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b"[]", 422, "wrong_type"),
        (b'{"to":"+79161234567","text":"\\ud800"}', 422, "forbidden_character"),
        (b'{"to":"+79161234567","text":"a\\u0000b"}', 422, "forbidden_character"),
    ],
)
async def test_a_body_that_is_no_message_is_refused(api: Api, body: bytes, status: int, code: str) -> None:
    r = await api.ask("POST", "/v1/messages", data=body)
    assert (r.status, r.code) == (status, code)
    assert r.headers["Content-Type"] == "application/problem+json"
    assert r.json["request_id"] == r.headers["X-Request-Id"]
    page = await api.get(r.json["type"], key=None)
    assert page.status == 200 and code in page.body.decode()


async def test_a_body_over_the_limit_is_413_with_and_without_its_length(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url, max_body_bytes=2048) as api:
        body = json.dumps(MESSAGE | {"text": "x" * 5000}).encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        for data in (body, pieces()):
            r = await api.ask("POST", "/v1/messages", data=data)
            assert (r.status, r.code) == (413, "too_large")
        packed = gzip.compress(body)
        r = await api.ask("POST", "/v1/messages", data=packed, headers={"Content-Encoding": "gzip"})
        assert (r.status, r.code) == (413, "too_large")


async def test_a_compressed_body_is_taken(api: Api) -> None:
    packed = gzip.compress(json.dumps(MESSAGE).encode())
    r = await api.ask("POST", "/v1/messages", data=packed, headers={"Content-Encoding": "gzip"})
    assert r.status == 202


async def test_a_preview_says_what_a_message_would_be_and_sends_nothing(api: Api) -> None:
    r = await api.post("/v1/messages/preview", {"to": "8 916 123-45-67", "text": "ж" * 100, "class": "otp"})
    assert r.status == 200
    assert (r.json["to"], r.json["encoding"], r.json["parts"]) == ("+79161234567", "ucs2", 2)
    assert "".join(r.json["part_texts"]) == "ж" * 100
    assert (r.json["from"], r.json["validity_s"]) == ("Sluice", 300)
    assert await stored(api) == []


async def test_redis_away_is_503_at_once(own_valkey: Callable[..., Awaitable[Valkey]], postgres_url: str) -> None:
    valkey = await own_valkey()
    async with running(valkey.url, postgres_url) as api:
        assert (await api.post("/v1/messages", MESSAGE)).status == 202
        await valkey.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        single = await api.post("/v1/messages", MESSAGE)
        keyed = await api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "k"})
        batch = await api.post("/v1/messages/batch", {"messages": [MESSAGE]})
        for r in (single, keyed, batch):
            assert (r.status, r.code, r.headers["Retry-After"]) == (503, "redis_away", "1")
        assert loop.time() - began < 6  # three requests, none of which waits for a connection
        await valkey.start()
        assert api.redis is not None


async def test_redis_that_hangs_is_503_before_long(
    own_valkey: Callable[..., Awaitable[Valkey]], postgres_url: str
) -> None:
    valkey = await own_valkey()
    async with running(valkey.url, postgres_url) as api:
        assert (await api.post("/v1/messages", MESSAGE)).status == 202
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(2 * DEADLINE_S + 1):
                answers = await asyncio.gather(
                    api.post("/v1/messages", MESSAGE),
                    api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "k"}),
                    api.post("/v1/messages/batch", {"messages": [MESSAGE]}),
                )
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert [(r.status, r.code) for r in answers] == [(503, "redis_away")] * 3


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batch"])
async def test_after_a_lost_reply_of_redis_a_repeat_with_the_key_settles_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    document = MESSAGE if path == "/v1/messages" else {"messages": [MESSAGE] * 700}
    accept = Acceptor.accept

    async def lose_the_reply(*given: Any) -> Any:
        await accept(*given)
        raise RedisAwayError("the connection broke before the reply came")

    monkeypatch.setattr(Acceptor, "accept", lose_the_reply)
    lost = await api.post(path, document, headers={"Idempotency-Key": "k1"})
    assert (lost.status, lost.code) == (503, "redis_away")
    monkeypatch.setattr(Acceptor, "accept", accept)
    async with asyncio.timeout(30):
        while (again := await api.post(path, document, headers={"Idempotency-Key": "k1"})).status == 409:
            assert again.code == "request_running"  # until the key has been reopened
    assert again.status == 202
    ids = [again.json["id"]] if path == "/v1/messages" else [x["id"] for x in again.json["results"]]
    assert [id_bytes(i) for i in ids] == await stored(api)


async def test_a_batch_is_told_to_come_later_when_too_many_wait(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = asyncio.Event()
    accept = Acceptor.accept

    async def accept_slowly(*given: Any) -> Any:
        await let_go.wait()
        return await accept(*given)

    monkeypatch.setattr(Acceptor, "accept", accept_slowly)
    monkeypatch.setattr("gateway.api.intake._CROWD", 3)
    first = asyncio.create_task(api.post("/v1/messages/batch", {"messages": [MESSAGE] * 5000}))
    async with asyncio.timeout(30):
        while (r := await api.post("/v1/messages/batch", {"messages": []})).code != "intake_full":
            pass
    assert r.status == 429 and r.headers["Retry-After"]
    let_go.set()
    assert (await first).json["accepted"] == 5000


async def test_a_closed_shard_is_503_with_its_reason(api: Api) -> None:
    await close_shard(api.redis.link(0), 0, "Redis is older than PostgreSQL: run `sluice recover`")
    r = await api.post("/v1/messages", MESSAGE)
    assert (r.status, r.code) == (503, "shard_closed")
    assert "sluice recover" in r.json["detail"] and int(r.headers["Retry-After"]) > 0
    r = await api.post("/v1/messages/batch", {"messages": [MESSAGE]})
    assert (r.status, r.code) == (503, "shard_closed")


async def test_a_full_intake_is_429_and_what_was_accepted_stays(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url, intake_limit=3) as api:
        await api.post("/v1/messages/batch", {"messages": [MESSAGE] * 3})
        async with asyncio.timeout(30):
            while (r := await api.post("/v1/messages", MESSAGE)).status == 202:  # the depth is measured now and then
                pass
        assert (r.status, r.code) == (429, "intake_full") and int(r.headers["Retry-After"]) > 0
        batch = await api.post("/v1/messages/batch", {"messages": [MESSAGE]}, headers={"Idempotency-Key": "k"})
        assert (batch.status, batch.code) == (429, "intake_full")
        assert len(await stored(api)) >= 3


async def test_ids_carry_the_time_of_redis(api: Api) -> None:
    r = await api.post("/v1/messages", MESSAGE)
    assert abs(id_time_ms(id_bytes(r.json["id"])) - api.redis.clock_ms()) < 2000


async def test_a_thousand_reads_right_after_their_202_all_find_the_message(api: Api) -> None:
    async def write_and_read(n: int) -> tuple[int, str]:
        r = await api.post("/v1/messages", MESSAGE | {"text": f"number {n}"})
        assert r.status == 202
        got = await api.get(f"/v1/messages/{r.json['id']}")
        return got.status, got.json.get("text", "")

    for start in range(0, 1000, 50):
        answers = await asyncio.gather(*(write_and_read(n) for n in range(start, start + 50)))
        assert answers == [(200, f"number {n}") for n in range(start, start + 50)]
