"""The sandbox's HTTP side by its profile: answers that carriers should not give, and reports in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc

ANY = ("127.0.0.1", 0)


class Client:
    """Sends to the web carrier, and is its callback."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox, self.http = sandbox, http
        self.callback = ""
        self.reports: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()

    async def send(self, **fields: Any) -> tuple[int, dict[str, str], Any]:
        message = {"to": "+79161234567", "from": "Sluice", "text": "hello", "callback": self.callback} | fields
        headers = {"Authorization": "Bearer secret"}
        async with self.http.post(self.sandbox.web + "/messages", json=message, headers=headers) as answer:
            document = await answer.json() if "json" in answer.content_type else await answer.text()
            return answer.status, dict(answer.headers), document

    async def take(self, request: web.Request) -> web.Response:
        self.reports.put_nowait((await request.json())["reports"])
        return web.Response()

    async def statuses(self, count: int) -> list[str]:
        """Of so many reports, in the order in which they came."""
        found: list[str] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                found += [report["status"] for report in await self.reports.get()]
        return found


@asynccontextmanager
async def client(**profile: Any) -> AsyncIterator[Client]:
    sandbox = Sandbox(Smsc({"me": "secret"}, make_profile(profile)))
    await sandbox.open(ANY, ANY, ANY)
    async with aiohttp.ClientSession() as http:
        made = Client(sandbox, http)
        app = web.Application()
        app.add_routes([web.post("/reports", made.take)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, *ANY).start()
        host, port = runner.addresses[0][:2]
        made.callback = f"http://{host}:{port}/reports"
        yield made
        await runner.cleanup()
    await sandbox.close()


async def test_a_refusal_may_be_a_200_with_an_error_in_it() -> None:
    async with client(status=0x0B, web={"errors": "ok"}) as c:
        status, _, said = await c.send()
        assert (status, said["error"]["code"]) == (200, "invalid_recipient")


async def test_a_429_may_say_nothing_of_when_to_come_again() -> None:
    async with client(throttle_per_s=0.01, throttle_burst=1, web={"retry_after": False}) as c:
        assert (await c.send())[0] == 200
        status, headers, _ = await c.send()
        assert status == 429 and "Retry-After" not in headers


async def test_a_message_may_be_taken_and_answered_with_502() -> None:
    async with client(web={"breaks": 1}, receipts=0) as c:
        status, _, said = await c.send()
        assert (status, said) == (502, "<html><body>Bad Gateway</body></html>")
        assert [m.text for m in c.sandbox.smsc.handset.show()] == ["hello"]


async def test_a_text_of_several_parts_uses_up_as_many_of_the_rate() -> None:
    async with client(throttle_per_s=0.01, throttle_burst=4, receipts=0) as c:
        assert [(await c.send(text="x" * 400))[0] for _ in range(2)] == [200, 429]


async def test_reports_come_early_doubled_in_stages_and_one_at_a_time() -> None:
    async with client(early=True, answer_delay_ms=300, receipts=2, web={"together": 1}) as c:
        sending = asyncio.create_task(c.send())
        assert await c.statuses(2) == ["DELIVRD", "DELIVRD"]
        assert not sending.done(), "before the answer"
        assert (await sending)[0] == 200
    async with client(steps=["ACCEPTD"], then="UNDELIV", receipt_delay_s=0.1) as c:
        assert (await c.send())[0] == 200
        assert await c.statuses(3) == ["ACCEPTD", "DELIVRD", "UNDELIV"]


async def test_ids_are_spelled_as_the_profile_has_them_by_http_too() -> None:
    async with client(ids={"answer": "HEX", "bits": 32}, receipts=0) as c:
        assert int((await c.send())[2]["id"], 16) < 1 << 32
    async with client(no_id=True) as c:
        status, _, said = await c.send()
        assert (status, said) == (200, {"status": "accepted"})
