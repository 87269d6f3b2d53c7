"""`sluice listen`: events as they come, on a developer's machine: printed, verified, handed on to his application.

In: requests of the gateway to a temporary endpoint on a port of this machine. Out: a line each. The endpoint is removed
at the end, and goes away by itself when this process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import aiohttp
import click
import msgspec
from aiohttp import web

from gateway.callbacks.event import TYPES
from gateway.callbacks.signing import SignatureError, secret_bytes, verify
from gateway.commands.client import Client, Refused
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.times import clock

EXPIRES_S: Final = 60
RENEW_S: Final = 20.0
FORWARD_S: Final = 15.0
_PASSED_ON: Final = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "user-agent")


@click.command(
    "listen",
    epilog=lesson(
        "sluice listen",
        "sluice listen --forward-to http://127.0.0.1:5000/hook",
        "sluice listen --events message.delivered,message.failed --json",
        "sluice listen --on 0.0.0.0:9000 --url http://dev.example.com:9000   # the gateway is elsewhere",
        source=f"The key needs the scope send; a test key does. {TARGET}",
    ),
)
@click.option("--forward-to", "forward", metavar="URL", help="Hand each request on, headers and body as they came.")
@click.option("--events", metavar="A,B", help="Types of events.  [default: all of them]")
@click.option("--on", "listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--url", metavar="URL", help="How the gateway reaches that, when it is on another machine.")
@click.option("--bundle", is_flag=True, help="Take events in bundles.")
@click.option("--json", "as_json", is_flag=True, help="Each event as a line of JSON.")
def command(forward: str | None, events: str | None, listen: str, url: str | None, bundle: bool, as_json: bool) -> None:
    """Show your client's events as they come, until Ctrl-C.

    Registers a temporary endpoint, verifies each signature, and hands requests on to --forward-to, where your
    application runs. The gateway is always told that the event was taken, whatever your application answers: its answer
    is shown. Send a message, or `sluice trigger message.delivered`, in another terminal.
    """
    wanted = [name.strip() for name in events.split(",") if name.strip()] if events else list(TYPES)
    for name in wanted:
        if name not in TYPES:
            raise click.BadParameter(f"{name} is no type of event; there are {', '.join(TYPES)}", param_hint="--events")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter("write it as HOST:PORT, such as 127.0.0.1:9000", param_hint="--on")
    if forward and not forward.startswith(("http://", "https://")):
        raise click.BadParameter("it begins with http:// or https://", param_hint="--forward-to")
    ear = Ear(Client(), {"events": wanted, "bundle": bundle}, forward, as_json)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_until_told(ear.run(host.strip("[]"), int(port), url)))


async def _until_told(listening: Coroutine[Any, Any, None]) -> None:
    """A shell's `kill` ends it as Ctrl-C does, which a job in the background of a script does not even get."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await listening


class Ear:
    """The temporary endpoint: its server here, its registration there."""

    def __init__(self, client: Client, wanted: Mapping[str, Any], forward: str | None, as_json: bool) -> None:
        self._client, self._wanted, self._forward, self._as_json = client, dict(wanted), forward, as_json
        self._url = ""
        self._endpoint = ""
        self._secret = b""
        self._http: aiohttp.ClientSession

    async def run(self, host: str, port: int, url: str | None) -> None:
        """Until cancelled."""
        runner = web.ServerRunner(web.Server(self._heard, access_log=None))
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as e:
                raise click.ClickException(f"cannot listen on {host}:{port}: {e.strerror or e}") from e
            self._url = url or f"http://{host}:{runner.addresses[0][1]}/"
            await asyncio.to_thread(self._register)
            self._say(f"Events come to this terminal. {self._endpoint} at {self._url}, until Ctrl-C.")
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FORWARD_S)) as self._http:
                await self._keep_registered()
        finally:
            await runner.cleanup()
            if self._endpoint:
                with contextlib.suppress(click.ClickException):
                    self._client.ask("DELETE", f"/v1/endpoints/{self._endpoint}")
                    self._say(f"{self._endpoint} is removed.")

    def _register(self) -> None:
        document = {**self._wanted, "url": self._url, "description": "sluice listen", "expires_in_s": EXPIRES_S}
        made = self._client.post("/v1/endpoints", document)
        self._endpoint, self._secret = made["endpoint"]["id"], secret_bytes(made["secret"])

    async def _keep_registered(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                path = f"/v1/endpoints/{self._endpoint}"
                await asyncio.to_thread(self._client.ask, "PATCH", path, {"expires_in_s": EXPIRES_S})
            except Refused as e:
                if e.status == 404:  # this machine slept longer than the endpoint lived
                    await asyncio.to_thread(self._register)
                    self._say(f"Registered anew: {self._endpoint}.")
                else:
                    self._say(f"The registration could not be renewed: {e.message}")

    async def _heard(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        try:
            verify(self._secret, request.headers, body, time.time())
        except SignatureError as e:
            self._say(f"A request was not signed by this endpoint's secret: {e}. It is not handed on.")
            return web.Response(status=401)
        answer = await self._hand_on(request, body) if self._forward else ""
        found = msgspec.json.decode(body)
        for event in found if isinstance(found, list) else [found]:
            self._show(event, answer)
        return web.Response(status=204)

    async def _hand_on(self, request: web.BaseRequest, body: bytes) -> str:
        """What the application answered."""
        assert self._forward is not None
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        began = time.monotonic()
        try:
            async with self._http.post(self._forward, data=body, headers=headers, allow_redirects=False) as response:
                return f"{response.status} after {(time.monotonic() - began) * 1000:.0f} ms"
        except TimeoutError:
            return f"no answer within {FORWARD_S:g} s"
        except aiohttp.ClientError as e:
            return f"no answer: {e}"

    def _show(self, event: dict[str, Any], answer: str) -> None:
        if self._as_json:
            line = msgspec.json.encode(event | ({"forwarded": answer} if answer else {})).decode()
        else:
            data = event["data"]
            said = " ".join(f"{name}={data[name]}" for name in ("ref", "reason", "tag") if data[name])
            handed = f" -> {answer}" if answer else ""
            line = (
                f"{clock(event['timestamp'])}  {event['type']:<22} {data['id']}  seq={data['seq']} {said}".rstrip()
                + handed
            )
        print(line, flush=True)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
