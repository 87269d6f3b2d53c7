"""An application that receives callbacks over real sockets, and misbehaves as a test wants it; a notifier beside it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from standardwebhooks import Webhook

from gateway.callbacks.audience import Audience, endpoint_target, url_target
from gateway.callbacks.event import Event
from gateway.callbacks.signing import secret_text
from gateway.config import Settings
from gateway.ledger.rows import CallbackDue
from gateway.live.endpoints import LiveEndpoints, publish
from gateway.message import id_tail, make_id
from gateway.notifier.dial import Dialer
from gateway.notifier.stage import Notifier
from gateway.store import callbacks, endpoints
from gateway.store.endpoints import EndpointRow
from gateway.store.pool import Pool
from gateway.streams.link import Redis

DEADLINE_S = 20.0
SETTINGS = Settings(lease_s=0.6, callbacks_allow=("127.0.0.0/8",))

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answers = Callable[["Request"], Awaitable[bytes] | bytes]


class Request(msgspec.Struct):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of a bundle or of one."""
        found = self.document
        return found if isinstance(found, list) else [found]

    def verify(self, secret: bytes) -> Any:
        """By the library that an application would use."""
        return Webhook(secret_text(secret)).verify(self.body, self.headers)


class Receiver:
    """A server; `answer` may be replaced at any time. An answer of b"" closes the connection."""

    def __init__(self, answer: Answers) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().rstrip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(first.split(" ")[1], headers, body)
                self.requests.append(request)
                self._news.set()
                said = self.answer(request)
                written = said if isinstance(said, bytes) else await said
                if not written:
                    break
                writer.write(written)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far, in the order they came, repeats too."""
        return [event for request in self.requests for event in request.events]

    async def until(self, holds: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        """Wait until requests make it true."""
        async with asyncio.timeout(deadline_s):
            while not holds():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._news.wait()

    async def got(self, events: int) -> None:
        """Wait for so many events."""
        await self.until(lambda: len(self.events) >= events)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def receiving(
    answer: Answers = lambda _: OK, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port, ssl=tls)
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
        await server.wait_closed()


def status(code: int, **headers: str) -> Answers:
    """Always this status."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = f"HTTP/1.1 {code} Said\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    return lambda _: answer


async def never(_: Request) -> bytes:
    """Hangs."""
    await asyncio.Event().wait()
    return b""


class Desk:
    """Real servers, notifiers in this process, and verbs for a test."""

    def __init__(self, redis: Redis, pool: Pool, settings: Settings) -> None:
        self.redis, self.pool, self.settings = redis, pool, settings
        self.live = LiveEndpoints(redis)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, dialer: Dialer | None = None, **settings: Any) -> asyncio.Task[None]:
        """A notifier."""
        chosen = msgspec.structs.replace(self.settings, **settings)
        notifier = Notifier(chosen, self.redis, self.pool, self.live, f"test-{len(self.tasks)}", dialer)
        task = asyncio.create_task(notifier.run(), name="notifier under test")
        self.tasks.append(task)
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        self.tasks.remove(task)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def endpoint(self, url: str, client: str = "shop", **given: Any) -> EndpointRow:
        """A registered endpoint, known everywhere."""
        await self.pool.execute("insert into clients (name) values ($1) on conflict do nothing", client)
        made = await endpoints.create(self.pool, client, url, who="test", **given)
        await publish(self.pool, self.redis)
        return made

    def message_id(self, back_ms: int = 0) -> bytes:
        return make_id(self.redis.clock_ms() - back_ms, id_tail(0))

    def event(self, message_id: bytes | None = None, seq: int = 1, **given: Any) -> Event:
        fields = {"at_ms": self.redis.clock_ms(), "state": "delivered", "ref": "order-1"} | given
        return Event(message_id or self.message_id(), seq, **fields)

    async def tell(self, to: EndpointRow | str, *events: Event, client: str = "shop") -> None:
        """Put events into the outbox, as the recorder does."""
        async with self.pool.transaction() as connection:
            if isinstance(to, EndpointRow):
                due = [CallbackDue(endpoint_target(to.client, to.id), event) for event in events]
            else:
                due = [CallbackDue(url_target(client, to), msgspec.structs.replace(event, url=to)) for event in events]
            await callbacks.add(connection, due)

    async def row(self, event: Event, endpoint: str = "") -> Any:
        return await self.pool.fetchrow(
            "select * from callbacks where message_id = $1 and seq = $2 and endpoint = $3",
            event.id,
            event.seq,
            endpoint,
        )

    async def booked(self, event: Event, endpoint: str = "", *, tries: int = 1) -> Any:
        """The event's row once it was tried so often."""
        async with asyncio.timeout(DEADLINE_S):
            while (row := await self.row(event, endpoint)) is None or row["tries"] < tries:
                await asyncio.sleep(0.01)
        return row

    async def until(self, sql: str, *values: Any) -> None:
        """Wait until PostgreSQL says yes."""
        async with asyncio.timeout(DEADLINE_S):
            while not await self.pool.fetchval(sql, *values):
                await asyncio.sleep(0.01)

    async def hasten(self) -> None:
        """Make every next try due now."""
        await self.pool.execute("update callbacks set next_try_at = $1 where done_at is null", self.redis.clock_ms())

    async def close(self) -> None:
        for task in list(self.tasks):
            await self.stop(task)
        await self.redis.close()
        await self.pool.close()


@asynccontextmanager
async def desk(valkey_url: str, postgres_url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Everything but the application."""
    chosen = msgspec.structs.replace(SETTINGS, redis_url=valkey_url, postgres_url=postgres_url, **settings)
    made = Desk(await Redis.open(valkey_url, 1), await Pool.open(postgres_url, size=16), chosen)
    watch = asyncio.create_task(made.live.watch(), name="watch endpoints")
    try:
        yield made
    finally:
        await made.close()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


__all__: Sequence[str] = ("OK", "Audience", "Desk", "Receiver", "Request", "desk", "never", "receiving", "status")
