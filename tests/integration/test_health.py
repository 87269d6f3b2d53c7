"""The three pages that every process shows to operators."""

from __future__ import annotations

import asyncio

import aiohttp

from gateway import metrics
from gateway.ops.health import Health, measure_loop_lag
from gateway.ops.pages import HealthServer


async def fetch(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_a_process_is_ready_when_no_check_has_anything_to_say() -> None:
    health = Health()
    said = {"redis": "away since 3 s", "plan": ""}
    health.add("redis", lambda: said["redis"])
    health.add("plan", lambda: said["plan"])
    server = await HealthServer.open("127.0.0.1:0", health)
    try:
        status, body = await fetch(server.url + "/readyz")
        assert status == 503
        assert "away since 3 s" in body
        assert (await fetch(server.url + "/healthz"))[0] == 200
        said["redis"] = ""
        assert (await fetch(server.url + "/readyz"))[0] == 200
        health.drop("plan")
        assert "plan" not in (await fetch(server.url + "/readyz"))[1]
    finally:
        await server.close()


async def test_metrics_are_shown_in_the_exposition_format() -> None:
    metrics.accepted.labels("app", "otp").inc(3)
    server = await HealthServer.open("127.0.0.1:0", Health())
    try:
        status, body = await fetch(server.url + "/metrics")
    finally:
        await server.close()
    assert status == 200
    assert 'sluice_messages_accepted_total{class="otp",client="app"}' in body
    assert "process_cpu_seconds_total" in body


async def test_one_connection_asks_again_and_again_and_what_is_no_page_is_refused() -> None:
    server = await HealthServer.open("127.0.0.1:0", Health())
    try:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked = ("GET /healthz?x=1", "HEAD /healthz", "GET /nothing", "POST /metrics")
        writer.write("".join(f"{what} HTTP/1.1\r\nHost: h\r\n\r\n" for what in asked).encode() + b"no HTTP\r\n\r\n")
        said = (await asyncio.wait_for(reader.read(), 30)).decode()  # the last one ends the connection
        writer.close()
        assert [answer[:3] for answer in said.split("HTTP/1.1 ")[1:]] == ["200", "200", "404", "405", "400"]
        assert said.count('"status":"ok"') == 1, "HEAD has no body"
    finally:
        await server.close()


async def test_a_late_event_loop_is_measured(monkeypatch) -> None:
    seen: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr(metrics.loop_lag, "observe", seen.put_nowait)
    monkeypatch.setattr("gateway.ops.health.LAG_EVERY_S", 0.001)
    task = asyncio.create_task(measure_loop_lag(), name="lag")
    assert await asyncio.wait_for(seen.get(), 5) >= 0
    task.cancel()
