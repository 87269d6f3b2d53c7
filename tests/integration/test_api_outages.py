"""With PostgreSQL or Redis away every route answers: it works, or it says what is away. And bugs tell nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.api import reading
from gateway.api.endpoints import TABLE
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey
from tests.api_server import Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}
BODIES: dict[str, Any] = {
    "/v1/messages": MESSAGE,
    "/v1/messages/batch": {"messages": [MESSAGE]},
    "/v1/messages/preview": MESSAGE,
    "/v1/batches/{id}/reschedule": {"send_at": "2026-12-15T09:00:00Z"},
    "/v1/plans": {"document": "[defaults]\ncurrency = 'RUB'\n"},
    "/v1/plans/check": {"document": ""},
    "/v1/keys": {"client": "shop"},
}
FREE = {"/healthz", "/readyz", "/metrics", "/docs", "/docs/problems/{code}", "/v1/openapi.json"}


async def ask_all(api: Api, batch_id: str) -> dict[str, tuple[int, str]]:
    """Status and code of every route."""
    answers = {}
    for route in TABLE.routes:
        path = route.path
        for name, value in (("id", batch_id), ("name", "north"), ("version", "1"), ("code", "too_late")):
            path = path.replace(f"{{{name}}}", value)
        r = await api.ask(route.method, path, key="ops", json=BODIES.get(route.path) if route.body else None)
        answers[route.name] = (
            r.status,
            r.json["code"] if r.status >= 400 and isinstance(r.json, dict) and "code" in r.json else "",
        )
    return answers


async def test_without_postgresql_every_route_works_or_says_so(
    valkey_url: str, own_postgres: Callable[..., Awaitable[Postgres]]
) -> None:
    postgres = await own_postgres()
    async with running(valkey_url, postgres.url) as api:
        sent = await api.post("/v1/messages/batch", {"messages": [MESSAGE]}, key="ops")
        await postgres.kill()
        answers = await ask_all(api, sent.json["batch_id"])
    away = {name for name, (_, code) in answers.items() if code == "postgres_away"}
    for name, (status, code) in answers.items():
        assert status < 500 or code == "postgres_away", (name, status, code)
    assert {"GET /v1/messages", "GET /v1/stats", "GET /v1/plans", "GET /v1/keys", "POST /v1/keys"} <= away
    for name in ("POST /v1/messages", "POST /v1/messages/batch", "GET /v1/batches/{id}", "GET /v1/carriers"):
        assert answers[name][0] in (200, 202), name


async def test_without_redis_every_route_works_or_says_so(
    own_valkey: Callable[..., Awaitable[Valkey]], postgres_url: str
) -> None:
    valkey = await own_valkey()
    async with running(valkey.url, postgres_url) as api:
        sent = await api.post("/v1/messages/batch", {"messages": [MESSAGE]}, key="ops")
        await valkey.kill()
        answers = await ask_all(api, sent.json["batch_id"])
    for name, (status, code) in answers.items():
        assert status < 500 or code == "redis_away", (name, status, code)
    for name in ("POST /v1/messages", "POST /v1/messages/batch", "GET /v1/messages/{id}", "GET /v1/carriers"):
        assert answers[name] == (503, "redis_away"), name
    for name in ("GET /v1/messages", "GET /v1/stats", "POST /v1/messages/preview", "GET /v1/keys"):
        assert answers[name][0] == 200, name


async def test_a_bug_is_a_500_that_tells_only_its_request_id(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret words")

    async with running(valkey_url, postgres_url) as api:
        monkeypatch.setattr(reading.search, "find", broken)
        r = await api.get("/v1/messages", headers={"X-Request-Id": "find-me"})
        assert (r.status, r.code, r.json["request_id"]) == (500, "internal_error", "find-me")
        assert "secret" not in r.body.decode()
        assert any("find-me" in str(record.__dict__.get("fields")) for record in caplog.records)
        monkeypatch.undo()
        assert (await api.get("/v1/messages")).status == 200


async def test_a_body_that_does_not_arrive_is_408(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.call.BODY_S", 0.05)
    async with running(valkey_url, postgres_url) as api:
        reader, writer = await asyncio.open_connection(*api.server.url.removeprefix("http://").split(":"))
        head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.secrets['acme']}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408")
        writer.close()


async def test_what_is_no_http_is_answered_and_not_logged(
    valkey_url: str, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(valkey_url, postgres_url) as api:
        reader, writer = await asyncio.open_connection(*api.server.url.removeprefix("http://").split(":"))
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 400") and b"application/problem+json" in head
        assert json.loads(body)["code"] == "not_http" and json.loads(body)["request_id"].encode() in head
        writer.close()
        assert not [r for r in caplog.records if r.levelname == "ERROR"]
