"""The load generator: raw HTTP/1.1 on keep-alive connections with requests made beforehand; a process of its own.

In: one JSON line with an `Order` on stdin, then a line to begin. Out: a line when it is ready, one with a `Report`.
Every message carries a `ref`. It costs little, because it shares two cores with what it measures.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import uvloop

from bench.account import milliseconds

RETRY_S = 0.1
"""After 429 or 503; the ref makes the repeat safe."""


class Order(msgspec.Struct):
    """What to send. `first` is the number of the first message: numbers, texts and refs follow from it."""

    address: str
    key: str
    kind: str  # batches, singles or paced
    messages: int
    first: int
    run: str  # part of every ref and text
    klass: str = "transactional"
    prefix: str = "7916"  # of the numbers; seven digits follow
    batch: int = 500
    connections: int = 4
    rate: float = 0.0  # paced: messages a second
    ndjson: bool = False
    callback_url: str = ""


class Sent(msgspec.Struct, array_like=True):
    """One paced message: its number, when its request left and its answer came, its id."""

    number: int
    sent_at: float
    answered_at: float
    id: str


class Report(msgspec.Struct):
    """Times are seconds since the epoch."""

    began_at: float
    ended_at: float
    accepted: int
    duplicates: int
    refused: int  # items or requests that were not accepted
    retried: int  # requests answered with 429 or 503
    accept_p50_ms: float
    accept_p99_ms: float
    words: str  # of the first refusal
    cpu_s: float
    paced: list[Sent]


class BatchReply(msgspec.Struct):
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class SingleReply(msgspec.Struct):
    id: str = ""
    duplicate: bool = False


_batch_reply = msgspec.json.Decoder(BatchReply).decode
_single_reply = msgspec.json.Decoder(SingleReply).decode


class Work:
    """The requests of an order, in order, and what came of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.accepted = self.duplicates = self.refused = self.retried = 0
        self.words = ""
        self.times: list[float] = []
        self.paced: list[Sent] = []
        fields = {
            "to": f"+{order.prefix}%07d",
            "text": f"Benchmark message {order.run}-%07d: your order is on its way",
            "class": order.klass,
            "ref": f"{order.run}-%07d",
            "tag": order.run,
        }
        if order.callback_url:
            fields["callback_url"] = order.callback_url
        self._message = msgspec.json.encode(fields)
        single = len(self.message(0))
        self._head_of_one = self._head("/v1/messages", "application/json", single)
        self.requests: Iterator[tuple[int, bytes]] = iter(
            self._batches() if order.kind == "batches" else self._singles()
        )
        if order.kind == "batches":
            self.requests = iter(list(self.requests))

    def message(self, number: int) -> bytes:
        """A message's JSON; always of one length."""
        return self._message % (number, number, number)

    def _head(self, path: str, content_type: str, length: int) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.order.address}\r\nAuthorization: Bearer {self.order.key}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def _numbers(self) -> range:
        return range(self.order.first, self.order.first + self.order.messages)

    def _singles(self) -> Iterator[tuple[int, bytes]]:
        return ((number, self._head_of_one + self.message(number)) for number in self._numbers())

    def _batches(self) -> Iterator[tuple[int, bytes]]:
        numbers = self._numbers()
        for start in range(0, len(numbers), self.order.batch):
            lines = [self.message(number) for number in numbers[start : start + self.order.batch]]
            if self.order.ndjson:
                kind, body = "application/x-ndjson", b"\n".join(lines)
            else:
                kind, body = "application/json", b'{"messages":[' + b",".join(lines) + b"]}"
            yield numbers[start], self._head("/v1/messages/batch", kind, len(body)) + body

    def take(self, number: int, status: int, body: bytes, sent_at: float, answered_at: float) -> None:
        """An answer that is not a retry."""
        self.times.append(answered_at - sent_at)
        if self.order.kind == "batches" and status == 202:
            reply = _batch_reply(body)
            self.accepted += reply.accepted
            self.duplicates += reply.duplicates
            self.refused += reply.rejected
            self.words = self.words or (body[:500].decode() if reply.rejected else "")
        elif status in (200, 202):
            single = _single_reply(body)
            self.accepted += not single.duplicate
            self.duplicates += single.duplicate
            if self.order.kind == "paced":
                self.paced.append(Sent(number, sent_at, answered_at, single.id))
        else:
            self.refused += 1
            self.words = self.words or f"{status}: {body[:500].decode('utf-8', 'replace')}"


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next."""

    def __init__(self, work: Work, on_free: Callable[[Connection], None]) -> None:
        self._work = work
        self._on_free = on_free
        self._transport: asyncio.WriteTransport
        self._data = b""
        self._number = 0
        self._request = b""
        self._sent_at = 0.0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, number: int, request: bytes) -> None:
        """Send a request; `on_free` is called once it was answered."""
        self._number, self._request, self._sent_at = number, request, time.time()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._data = data
            return
        at = data.lower().find(b"content-length:", 0, end)
        size = int(data[at + 15 : data.find(b"\r", at)])
        if len(data) < end + 4 + size:
            self._data = data
            return
        self._data = b""
        status = int(data[9:12])
        if status in (429, 503):
            self._work.retried += 1
            asyncio.get_running_loop().call_later(RETRY_S, self._transport.write, self._request)
            return
        self._work.take(self._number, status, data[end + 4 :], self._sent_at, time.time())
        self._on_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.failed.done():
            self.failed.set_exception(exc or ConnectionError("the gateway closed a connection"))


async def connect(work: Work, on_free: Callable[[Connection], None]) -> list[Connection]:
    """All connections of an order."""
    loop = asyncio.get_running_loop()
    host, _, port = work.order.address.rpartition(":")
    made = [
        await loop.create_connection(lambda: Connection(work, on_free), host, int(port))
        for _ in range(work.order.connections)
    ]
    return [protocol for _, protocol in made]


async def send_all(work: Work, begin: Callable[[], None]) -> None:
    """As fast as answers come: each connection sends its next request when its last one was answered."""
    ended = asyncio.Event()
    busy = work.order.connections

    def go_on(connection: Connection) -> None:
        nonlocal busy
        request = next(work.requests, None)
        if request is not None:
            connection.send(*request)
            return
        busy -= 1
        if not busy:
            ended.set()

    connections = await connect(work, go_on)
    begin()
    for connection in connections:
        go_on(connection)
    await until(ended, connections)


async def send_paced(work: Work, begin: Callable[[], None]) -> None:
    """At a steady rate whatever the answers do; a request waits only when every connection is busy."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    connections = await connect(work, free.put_nowait)
    for connection in connections:
        free.put_nowait(connection)
    begin()
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number, request in work.requests:
        await asyncio.sleep(max(0.0, due - loop.time()))
        due += 1 / work.order.rate
        (await free.get()).send(number, request)
    for _ in connections:
        await free.get()


async def until(ended: asyncio.Event, connections: list[Connection]) -> None:
    """Until the end, or a connection breaks."""
    waiting = asyncio.create_task(ended.wait(), name="wait for the last answer")
    watched: list[asyncio.Future[Any]] = [waiting, *(c.failed for c in connections)]
    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    for connection in connections:
        if connection.failed.done():
            connection.failed.result()
    await waiting


async def fill(order: Order) -> Report:
    """Carry the order out."""
    work = Work(order)
    began_at = began_cpu = 0.0

    def begin() -> None:
        nonlocal began_at, began_cpu
        print("ready", flush=True)
        sys.stdin.readline()
        began_at, began_cpu = time.time(), time.process_time()

    await (send_paced if order.kind == "paced" else send_all)(work, begin)
    ended_at = time.time()
    return Report(
        began_at=began_at,
        ended_at=ended_at,
        accepted=work.accepted,
        duplicates=work.duplicates,
        refused=work.refused,
        retried=work.retried,
        words=work.words,
        cpu_s=time.process_time() - began_cpu,
        paced=work.paced,
        **milliseconds(work.times, "accept"),
    )


def main() -> None:
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(fill(order))
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main()
