"""Quotas of clients over HTTP: what is refused when, the RateLimit headers of every answer, changes that are live."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import pytest

from gateway.api.intake import Intake
from gateway.live.keys import publish
from gateway.store import clients
from gateway.streams.accept import BoundReachedError
from tests.api_server import Answered, Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


async def give(api: Api, per_s: float | None, burst: int = 0, client: str = "acme") -> None:
    """A quota, in use by this server when it returns."""
    r = await api.post(f"/v1/clients/{client}/quota", {"messages_per_s": per_s, "burst": burst}, key="ops")
    assert (r.status, r.json["messages_per_s"], r.json["burst"]) == (200, per_s, burst)
    name = '"messages"' if per_s else '"intake"'
    async with asyncio.timeout(30):
        while not (await api.get("/v1/messages", key=client)).headers["RateLimit"].startswith(name):
            pass


def left(r: Answered) -> int:
    found = re.fullmatch(r'"messages";r=(\d+);t=\d+', r.headers["RateLimit"])
    assert found is not None, r.headers["RateLimit"]
    return int(found[1])


async def test_a_client_without_a_quota_is_told_the_room_that_everybody_has(api: Api) -> None:
    r = await api.post("/v1/messages", MESSAGE)
    assert r.headers["RateLimit-Policy"] == f'"intake";q={api.settings.intake_limit}'
    assert re.fullmatch(r'"intake";r=\d+', r.headers["RateLimit"])


async def test_every_answer_to_a_key_says_what_is_left_errors_included(api: Api) -> None:
    await give(api, 0.01, 3)
    for method, path, given, status in (
        ("GET", "/v1/messages", None, 200),
        ("GET", "/v1/messages/x", None, 404),
        ("GET", "/v1/plans", None, 403),
        ("POST", "/v1/messages/preview", MESSAGE, 200),
        ("POST", "/v1/messages/batch", {"messages": []}, 422),
    ):
        r = await api.ask(method, path, json=given)
        assert r.status == status
        assert r.headers["RateLimit-Policy"] == '"messages";q=3;w=300'
        assert left(r) == 3
    for path, key in (("/healthz", None), ("/docs", None), ("/nowhere", None), ("/v1/messages", "sk_wrong")):
        r = await api.get(path, key=key)
        assert r.headers["RateLimit-Policy"] == f'"intake";q={api.settings.intake_limit}'
        assert r.headers["RateLimit"].startswith('"intake";r=')


async def test_what_is_too_much_is_429_with_the_second_to_repeat_at(api: Api) -> None:
    await give(api, 0.5, 2)
    answers = [await api.post("/v1/messages", MESSAGE | {"text": str(n)}) for n in range(3)]
    assert [r.status for r in answers] == [202, 202, 429]
    assert [left(r) for r in answers] == [1, 0, 0]
    assert answers[2].code == "rate_limited" and answers[2].json["retry_after_s"] in (1, 2)
    assert answers[2].headers["Retry-After"] == str(answers[2].json["retry_after_s"])
    assert (await api.post("/v1/messages", MESSAGE, key="other")).status == 202


async def test_a_connection_that_only_sends_is_limited_and_told_as_well(api: Api) -> None:
    await give(api, 0.01, 3)
    host, _, port = api.server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(MESSAGE).encode()
    head = f"Host: x\r\nAuthorization: Bearer {api.secrets['acme']}\r\nContent-Length: {len(body)}\r\n\r\n"
    seen = []
    for _ in range(4):
        writer.write(f"POST /v1/messages HTTP/1.1\r\n{head}".encode() + body)
        lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(headers["Content-Length"]))
        assert headers["RateLimit-Policy"] == '"messages";q=3;w=300'
        seen.append((lines[0].split()[1], headers["RateLimit"].split(";")[1]))
    writer.close()
    assert seen == [("202", "r=2"), ("202", "r=1"), ("202", "r=0"), ("429", "r=0")]


async def test_all_keys_of_a_client_share_its_quota(api: Api) -> None:
    await api.make_key("second", "acme")
    await give(api, 0.01, 1)
    assert (await api.post("/v1/messages", MESSAGE)).status == 202
    assert (await api.post("/v1/messages", MESSAGE, key="second")).status == 429


async def test_a_batch_counts_its_messages_and_is_refused_whole(api: Api) -> None:
    await give(api, 0.01, 10)
    batch = {"messages": [MESSAGE | {"ref": str(n)} for n in range(7)]}
    assert (await api.post("/v1/messages/batch", batch)).json["accepted"] == 7
    r = await api.post("/v1/messages/batch", batch)
    assert (r.status, r.code, left(r)) == (429, "rate_limited", 3)
    lines = b"\n".join(json.dumps(MESSAGE).encode() for _ in range(3))
    r = await api.ask("POST", "/v1/messages/batch", data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert (r.status, left(r)) == (202, 0)


async def test_the_answer_of_a_repeated_request_costs_nothing(api: Api) -> None:
    await give(api, 0.01, 2)
    for _ in range(3):
        r = await api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "k-1"})
        assert (r.status, left(r)) == (202, 1)


async def test_a_request_that_was_limited_may_be_repeated_under_its_key(api: Api) -> None:
    await give(api, 0.01, 1)
    assert (await api.post("/v1/messages", MESSAGE)).status == 202
    r = await api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "k-2"})
    assert r.status == 429
    await give(api, 0)
    r = await api.post("/v1/messages", MESSAGE, headers={"Idempotency-Key": "k-2"})
    assert r.status == 202


async def test_a_quota_set_elsewhere_is_live_within_a_second(api: Api) -> None:
    took = []
    for burst in (60, 70, 80):
        assert await clients.set_quota(api.pool, "acme", 50, burst, who="test")
        await publish(api.pool, api.redis)
        began = time.monotonic()
        while (await api.get("/v1/messages")).headers["RateLimit-Policy"] != f'"messages";q={burst};w=2':
            assert time.monotonic() < began + 30
        took.append(time.monotonic() - began)
    assert min(took) < 1, took  # a busy machine may be late once


async def test_clients_are_listed_with_their_quotas_and_changes_are_in_the_audit(api: Api) -> None:
    await give(api, 10, 20)
    r = await api.get("/v1/clients", key="ops")
    assert [(c["name"], c["messages_per_s"], c["burst"], c["keys"]) for c in r.json["clients"]] == [
        ("acme", 10, 20, 1),
        ("ops", None, 0, 1),
        ("other", None, 0, 1),
    ]
    row = (await api.pool.fetch("select who, subject from audit where what = 'client.quota'"))[0]
    assert row["subject"] == "acme" and row["who"].startswith("ops/key_")


@pytest.mark.parametrize(
    ("path", "given", "code"),
    [
        ("nobody", {"messages_per_s": 1}, "unknown_client"),
        ("a%00b", {"messages_per_s": 1}, "unknown_client"),
        ("acme", {"messages_per_s": -1}, "invalid_value"),
        ("acme", {"messages_per_s": 0.001}, "invalid_value"),
        ("acme", {"messages_per_s": 1e9}, "invalid_value"),
        ("acme", {"burst": 5}, "invalid_value"),
        ("acme", {"messages_per_s": "fast"}, "wrong_type"),
        ("acme", {"messages_per_s": 1, "burst": -1}, "invalid_value"),
        ("acme", {"per_s": 1}, "unknown_field"),
    ],
)
async def test_a_quota_that_makes_no_sense_is_refused(api: Api, path: str, given: object, code: str) -> None:
    r = await api.post(f"/v1/clients/{path}/quota", given, key="ops")
    assert (r.status in (404, 422), r.code) == (True, code), r.json


async def test_the_settings_give_every_client_a_quota(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url, quota_messages_per_s=0.02, quota_burst=4, api_processes=2) as api:
        answers = [await api.post("/v1/messages", MESSAGE | {"text": str(n)}) for n in range(3)]
        assert [r.status for r in answers] == [202, 202, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"messages";q=2;w=200'


async def test_a_message_that_changes_to_the_long_way_is_counted_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await give(api, 0.01, 1)

    def full(*_: object) -> None:
        raise BoundReachedError("the short way finds no room")

    monkeypatch.setattr(Intake, "put", full)
    host, _, port = api.server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(MESSAGE).encode()
    head = f"Host: x\r\nAuthorization: Bearer {api.secrets['acme']}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(f"POST /v1/messages HTTP/1.1\r\n{head}".encode() + body)
    lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
    writer.close()
    assert lines[0].split()[1] == "202", lines
