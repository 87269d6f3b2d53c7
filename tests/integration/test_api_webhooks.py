"""Endpoints and callbacks over the API: registered, changed, rotated, tested, looked at, sent again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.callbacks.signing import secret_bytes
from gateway.live.endpoints import LiveEndpoints
from gateway.notifier.stage import Notifier
from gateway.store import endpoints
from tests.api_server import Api, running
from tests.callback_receiver import OK, receiving, status


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url, callbacks_allow=("127.0.0.0/8",)) as made:
        yield made


@pytest.fixture
async def notifier(api: Api) -> AsyncIterator[LiveEndpoints]:
    live = LiveEndpoints(api.redis)
    work = Notifier(api.settings, api.redis, api.pool, live).run()
    tasks = [asyncio.create_task(live.watch()), asyncio.create_task(work)]
    yield live
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_endpoint_lives_from_registration_to_removal(api: Api) -> None:
    made = await api.post("/v1/endpoints", {"url": "https://example.com/sms", "description": "orders"})
    assert made.status == 201
    endpoint, secret = made.json["endpoint"], made.json["secret"]
    assert secret.startswith("whsec_") and len(secret_bytes(secret)) == 32
    assert endpoint["enabled"] and "message.delivered" in endpoint["events"]
    assert "message.submitted" not in endpoint["events"], "opt-in"
    path = f"/v1/endpoints/{endpoint['id']}"
    assert (await api.get(path)).json == endpoint
    assert [e["id"] for e in (await api.get("/v1/endpoints")).json["endpoints"]] == [endpoint["id"]]
    assert "whsec" not in (await api.get("/v1/endpoints")).body.decode()
    changed = await api.ask("PATCH", path, json={"events": ["message.failed"], "bundle": True, "enabled": False})
    assert (changed.json["events"], changed.json["bundle"], changed.json["enabled"]) == (
        ["message.failed"],
        True,
        False,
    )
    assert (await api.post(path + "/test", {})).code == "endpoint_disabled"
    assert (await api.post(path, {"enabled": True})).json["enabled"]
    rotated = await api.post(path + "/rotate", {"overlap_s": 60})
    assert rotated.json["secret"] != secret and rotated.json["former_until"]
    assert (await api.ask("DELETE", path)).json == {"id": endpoint["id"], "removed": True}
    assert (await api.get(path)).code == "unknown_endpoint"
    whats = [row["what"] for row in await api.pool.fetch("select what from audit where what like 'endpoint.%'")]
    assert whats == ["endpoint.create", "endpoint.change", "endpoint.change", "endpoint.rotate", "endpoint.remove"]


async def test_another_clients_endpoint_is_unknown(api: Api) -> None:
    made = await api.post("/v1/endpoints", {"url": "https://example.com/sms"})
    path = f"/v1/endpoints/{made.json['endpoint']['id']}"
    for method, more in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test")):
        answer = await api.ask(method, path + more, key="other", json={} if method != "GET" else None)
        assert (answer.status, answer.code) == (404, "unknown_endpoint"), method + more
    assert (await api.get("/v1/endpoints", key="other")).json == {"endpoints": []}
    assert (await api.get("/v1/callbacks?client=other")).code == "scope_missing"
    assert (await api.get("/v1/callbacks?client=acme", key="ops")).status == 200


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"url": "ftp://example.com/"}, "callback_url_invalid"),
        ({"url": "http://10.0.0.1/"}, "callback_url_invalid"),
        ({"url": "http://[::1]/"}, "callback_url_invalid"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "callback_url_invalid"),
        ({}, "missing_field"),
        ({"url": "https://example.com/", "events": ["message.read"]}, "invalid_value"),
        ({"url": "https://example.com/", "events": []}, "invalid_value"),
        ({"url": "https://example.com/", "event": []}, "unknown_field"),
    ],
)
async def test_what_cannot_be_registered_is_refused_with_words(api: Api, wanted: dict[str, object], code: str) -> None:
    answer = await api.post("/v1/endpoints", wanted)
    assert (answer.status, answer.code) == (422, code), answer.body


async def test_a_client_has_a_bounded_number_of_endpoints(api: Api) -> None:
    for _ in range(50):
        await endpoints.create(api.pool, "acme", "https://example.com/", who="test")
    answer = await api.post("/v1/endpoints", {"url": "https://example.com/"})
    assert (answer.status, answer.code) == (409, "too_many_endpoints")


async def test_a_sample_fails_is_seen_and_is_sent_again(api: Api, notifier: LiveEndpoints) -> None:
    async with receiving(status(500)) as app:
        made = await api.post("/v1/endpoints", {"url": app.url})
        endpoint, secret = made.json["endpoint"]["id"], secret_bytes(made.json["secret"])
        sent = await api.post(f"/v1/endpoints/{endpoint}/test", {"type": "message.failed"})
        assert sent.status == 202
        await app.got(1)
        app.requests[0].verify(secret)
        assert app.events[0]["type"] == "message.failed" and app.events[0]["data"]["meta"] == {"sample": True}
        path = f"/v1/callbacks?event_id={sent.json['event_id']}"
        async with asyncio.timeout(30):
            while not (found := (await api.get(path)).json["callbacks"]):
                await asyncio.sleep(0.02)
        (seen,) = found
        assert (seen["state"], seen["status"], seen["tries"], seen["error"]) == ("waiting", 500, 1, "answered 500")
        assert seen["host"] == app.url.split("/")[2] and seen["endpoint"] == endpoint
        await api.pool.execute("update callbacks set done_at = now(), outcome = 'failed' where done_at is null")
        assert len((await api.get("/v1/callbacks?state=failed")).json["callbacks"]) == 1
        app.answer = lambda _: OK
        assert (await api.post("/v1/callbacks/retry", {"endpoint": endpoint})).json == {"retried": 1}
        await app.got(2)
        assert app.requests[0].headers["webhook-id"] == app.requests[1].headers["webhook-id"]
        async with asyncio.timeout(30):
            while not (await api.get("/v1/callbacks?state=delivered")).json["callbacks"]:
                await asyncio.sleep(0.02)
        assert (await api.post("/v1/callbacks/retry", {"event_id": sent.json["event_id"]})).json == {"retried": 1}
        await app.got(3)
        assert (await api.post("/v1/callbacks/retry", {"since": "2020-01-01T00:00:00Z"})).json == {"retried": 0}
        assert (await api.post("/v1/callbacks/retry", {})).code == "invalid_value"


async def test_a_sample_to_any_url_is_signed_with_the_secret_of_callback_urls(
    api: Api, notifier: LiveEndpoints
) -> None:
    secret = (await api.get("/v1/callbacks/secret")).json["secret"]
    assert (await api.get("/v1/callbacks/secret")).json["secret"] == secret
    async with receiving() as app:
        assert (await api.post("/v1/callbacks/sample", {"url": app.url})).status == 202
        await app.got(1)
        app.requests[0].verify(secret_bytes(secret))
    rotated = (await api.post("/v1/callbacks/secret/rotate", {"overlap_s": 0})).json["secret"]
    assert rotated != secret
