"""An application's webhook receiver in a process of its own: answers every POST with 204 and counts events.

In: callbacks over HTTP/1.1, one event or an array of them a request. Out: a line with its port, then, for each line on
stdin, a line with a `Count`. It costs little, because it shares two cores with what it measures.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import cast

import msgspec
import uvloop

_OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Data(msgspec.Struct):
    event_id: str


class _Event(msgspec.Struct):
    data: _Data


class Count(msgspec.Struct):
    """What came so far. `last_at`: seconds since the epoch."""

    requests: int = 0
    events: int = 0
    distinct: int = 0
    last_at: float = 0.0


class Inbox:
    """Everything that came."""

    def __init__(self) -> None:
        self.count, self.seen = Count(), set[str]()
        self._decode = msgspec.json.Decoder(list[_Event] | _Event).decode

    def take(self, body: bytes) -> None:
        found = self._decode(body)
        events = found if isinstance(found, list) else [found]
        self.seen.update(event.data.event_id for event in events)
        self.count.requests += 1
        self.count.events += len(events)
        self.count.distinct, self.count.last_at = len(self.seen), time.time()


class Connection(asyncio.Protocol):
    """Requests with a Content-Length, one after the other."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._data = inbox, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            at = data.lower().find(b"content-length:", 0, end)
            size = int(data[at + 15 : data.find(b"\r", at)])
            if len(data) < end + 4 + size:
                break
            self._inbox.take(data[end + 4 : end + 4 + size])
            self._transport.write(_OK)
            data = data[end + 4 + size :]
        self._data = data


class Receiver:
    """The receiver, as the one who started it sees it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/callbacks"

    @classmethod
    async def start(cls) -> Receiver:
        """Returns when it listens."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.receiver", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        return cls(process, int(await process.stdout.readline()))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def count(self) -> Count:
        """What has come."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await self._process.stdout.readline(), type=Count)

    async def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def serve() -> None:
    """Until stdin ends."""
    inbox, loop, ended = Inbox(), asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(lambda: Connection(inbox), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)

    def answer() -> None:
        print(msgspec.json.encode(inbox.count).decode(), flush=True)

    def listen() -> None:
        for _ in sys.stdin:
            loop.call_soon_threadsafe(answer)
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=listen, name="asked", daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
