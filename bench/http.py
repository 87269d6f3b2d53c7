"""How much a provider that speaks HTTP puts through: `http_json` and a carrier that answers after a few milliseconds.

In: how many messages, the window, the carrier's time. Out: a result with the keys of the benchmark; CPU is that of the
provider's process alone, without router and Redis. The carrier is a process of its own (`python -m bench.http`).
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import uvloop

from bench import account, calibration
from gateway.provider import Inbound, Kind, Link, Outcome, Receipt, Reports, Submission
from providers import http_json

WINDOW = 200
ANSWER_S = 0.005
WARM = 5_000
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_LATE_S = 30


class CarrierPeer(asyncio.Protocol):
    """A connection: each request is answered after the carrier's time with the next id."""

    def __init__(self, numbers: itertools.count[int]) -> None:
        self._numbers, self._data = numbers, b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            at = self._data.find(b"Content-Length: ", 0, end)
            size = int(self._data[at + 16 : self._data.find(b"\r", at)])
            if len(self._data) < end + 4 + size:
                return
            self._data = self._data[end + 4 + size :]
            self._loop.call_later(ANSWER_S, self._answer)

    def _answer(self) -> None:
        body = b'{"id":"m-%d","status":"accepted"}' % next(self._numbers)
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


class Drive:
    """Keeps a provider's room full and counts what came of it."""

    def __init__(self, messages: int) -> None:
        self.left, self.messages = messages, messages
        self.ids: set[str] = set()
        self.kinds: Counter[str] = Counter()
        self.ended = asyncio.Event()
        self.provider: Any = None
        self._numbers = itertools.count(1)

    def reports(self) -> Reports:
        return Reports(self._outcomes, self._receipts, self._inbound, self._state)

    def push(self) -> None:
        if self.provider is not None and self.left and (room := self.provider.room) > 0:
            count = min(room, self.left)
            self.left -= count
            self.provider.submit([self._submission(next(self._numbers)) for _ in range(count)])

    def _submission(self, number: int) -> Submission:
        return Submission(
            number.to_bytes(16, "big"), 1, 0, 1, f"+7916{number:07d}", "Sluice",
            f"Benchmark message {number:07d}: your order is on its way", "gsm7", 0, 4_000_000_000_000, "transactional",
            number & 0xFFFF,
        )  # fmt: skip

    def _outcomes(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        for _, outcome in batch:
            self.kinds[outcome.kind.name.lower()] += 1
            if outcome.kind is Kind.ACCEPTED:
                self.ids.add(outcome.carrier_message_id)
        if self.kinds.total() >= self.messages:
            self.ended.set()

    async def _receipts(self, batch: Sequence[Receipt]) -> None:
        raise AssertionError("this carrier sends none")

    async def _inbound(self, batch: Sequence[Inbound]) -> None:
        raise AssertionError("this carrier sends none")

    def _state(self, link: Link) -> None:
        self.push()


async def run_http(messages: int, window: int = WINDOW) -> dict[str, Any]:
    """The result of one run."""
    loops = [calibration.loop_s()]
    argv = [sys.executable, "-m", "bench.http"]
    carrier = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert carrier.stdout is not None
    try:
        port = int(await carrier.stdout.readline())
        await _drive(WARM, port, window)
        began, cpu, busy = time.monotonic(), time.process_time(), account.busy_seconds()
        theirs = account.cpu_seconds({"carrier": carrier.pid})
        drive = await _drive(messages, port, window)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        theirs = {n: s - theirs[n] for n, s in account.cpu_seconds({"carrier": carrier.pid}).items()}
        busy = account.busy_seconds() - busy
    finally:
        carrier.kill()
        await carrier.wait()
    loops.append(calibration.loop_s())
    taken = drive.kinds["accepted"]
    ref = calibration.reference()
    return {
        "load": "http",
        "words": f"http_json, {window} in flight, answers after {ANSWER_S * 1000:.0f} ms",
        "messages": messages,
        "messages_per_s": round(taken / took, 1),
        "seconds": round(took, 3),
        "wire_per_s": round(taken / took, 1),
        "cpu_us_per_message": {
            "provider": round(cpu / messages * 1e6, 1),
            "carrier": round(theirs["carrier"] / messages * 1e6, 1),
        },
        "lost": messages - taken,
        "doubled": taken - len(drive.ids),
        "states": dict(drive.kinds),
        "refusal": "",
        "foreign_cpu": round(max(0.0, busy - cpu - theirs["carrier"]) / took, 2),
        "calibration": {
            "loop_s": round(sum(loops) / 2, 4),
            "reference_s": ref.loop_s,
            "reference_machine": ref.machine,
        },
        "machine": calibration.machine(),
    }


async def _drive(messages: int, port: int, window: int) -> Drive:
    drive = Drive(messages)
    table = {
        "url": f"http://127.0.0.1:{port}/messages",
        "auth": {"kind": "bearer", "token": "a-token-of-the-usual-length-of-32"},
        "body": {"to": "{to}", "from": "{from}", "text": "{text}", "reference": "{reference}"},
        "message_id": "/id",
        "error_code": "/error/code",
        "errors": [{"code": ["throttled"], "reason": "throttled"}, {"status": [400], "reason": "invalid_content"}],
        "window": window,
    }
    drive.provider = http_json.open("bench", table, drive.reports())
    drive.provider.on_room(drive.push)
    await drive.provider.start()
    async with asyncio.timeout(_LATE_S + messages / 500):
        await drive.ended.wait()
    await drive.provider.close(1.0)
    return drive


async def serve() -> None:
    """The carrier: says its port and runs until it is killed."""
    numbers = itertools.count(1)
    server = await asyncio.get_running_loop().create_server(lambda: CarrierPeer(numbers), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
