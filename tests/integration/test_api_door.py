"""The short way of `POST /v1/messages` and what goes the long way: over raw connections, whatever a client writes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.api.door import Entrance
from gateway.api.head import read_head
from gateway.embedded.valkey import Valkey
from tests.api_server import Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}


class Answer:
    """A response as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.status, self.body = int(first.split()[1]), body
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines if line)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Raw:
    """A connection that writes what it is told."""

    def __init__(self, api: Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.api, self.reader, self.writer = api, reader, writer

    def request(self, message: Any = MESSAGE, *headers: str, key: str = "acme", line: str = "") -> bytes:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        lines = [
            line or "POST /v1/messages HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {self.api.secrets.get(key, key)}",
            *headers,
        ]
        if not any(h.lower().startswith(("transfer-encoding", "content-length")) for h in headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def answer(self) -> Answer:
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = Answer(head[:-4], b"")
            found.body = await self.reader.readexactly(int(found.headers.get("content-length", 0)))
            return found

    async def ask(self, *given: Any, **more: Any) -> Answer:
        self.writer.write(self.request(*given, **more))
        return await self.answer()


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as one:
        await know_the_key(one)
        yield one


async def know_the_key(api: Api) -> None:
    """A key made a moment ago is looked for on the long way."""
    assert (await api.post("/v1/messages/preview", MESSAGE)).status == 200


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[Raw]:
    host, _, port = api.server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Raw(api, reader, writer)
    finally:
        writer.close()


async def test_one_connection_takes_message_after_message_the_short_way(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Entrance, "long_way", None)
    async with connected(api) as raw:
        answers = [await raw.ask() for _ in range(3)]
    assert [a.status for a in answers] == [202] * 3
    assert len({a.json["id"] for a in answers}) == 3
    for answer in answers:
        assert answer.headers["content-type"] == "application/json" and answer.headers["server"] == "sluice"
        assert answer.headers["x-request-id"] and answer.headers["date"].endswith("GMT")


async def test_both_ways_answer_alike(api: Api) -> None:
    wrong = MESSAGE | {"to": "12", "surprise": 1}
    async with connected(api) as short, connected(api) as long:
        for message in (MESSAGE, wrong, {}, MESSAGE | {"class": "unheard"}):
            one = await short.ask(message)
            other = await long.ask(message, "Expect: 100-continue", line="POST /v1/messages HTTP/1.1")
            if other.status == 100:
                other = await long.answer()
            own = ("id", "request_id")
            assert one.status == other.status
            assert {k: v for k, v in one.json.items() if k not in own} == {
                k: v for k, v in other.json.items() if k not in own
            }
            more = {"x-request-id", "content-length"}
            assert one.headers.keys() - more == other.headers.keys() - more


async def test_requests_behind_each_other_are_answered_in_their_order(api: Api) -> None:
    async with connected(api) as raw:
        requests = [raw.request(MESSAGE | {"ref": f"r{n}"}, f"X-Request-Id: n{n}") for n in range(40)]
        raw.writer.write(requests[0])
        await raw.writer.drain()
        for request in requests[1:]:  # each in a write of its own, none waits for an answer
            raw.writer.write(request)
        answers = [await raw.answer() for _ in requests]
    assert [a.headers["x-request-id"] for a in answers] == [f"n{n}" for n in range(40)]
    assert {a.status for a in answers} == {202}


async def test_a_request_in_pieces_arrives_whole(api: Api) -> None:
    async with connected(api) as raw:
        for byte in raw.request():
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
        assert (await raw.answer()).status == 202


async def test_a_body_in_chunks_is_taken(api: Api) -> None:
    async with connected(api) as raw:
        body = json.dumps(MESSAGE).encode()
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        raw.writer.write(raw.request(chunked, "Transfer-Encoding: chunked"))
        assert (await raw.answer()).status == 202


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: 5\r\nContent-Length: 60",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: +3",
        "Bad Name: 1\r\nContent-Length: 3",
    ],
)
async def test_a_request_of_two_meanings_is_refused_and_the_connection_ends(api: Api, header: str) -> None:
    async with connected(api) as raw:
        raw.writer.write(raw.request(b"{}\n", header))
        answer = await raw.answer()
        assert answer.status in (400, 422)
        if answer.status == 400:
            assert await raw.reader.read() in (b"", b"Bad Request")


async def test_a_wrong_key_gets_its_problem_and_the_next_request_is_served(api: Api) -> None:
    async with connected(api) as raw:
        wrong = await raw.ask(key="sk_wrong")
        assert (wrong.status, wrong.json["code"]) == (401, "wrong_key")
        assert (await raw.ask()).status == 202
        assert (await raw.ask(line="GET /healthz HTTP/1.1")).status == 200


async def test_a_ref_in_conflict_is_told_and_a_repeat_is_known(api: Api) -> None:
    async with connected(api) as raw:
        first = await raw.ask(MESSAGE | {"ref": "order-1"})
        again = await raw.ask(MESSAGE | {"ref": "order-1"})
        other = await raw.ask(MESSAGE | {"ref": "order-1", "text": "another"})
    assert (again.status, again.json["id"], again.json["duplicate"]) == (200, first.json["id"], True)
    assert (other.status, other.json["code"], other.json["id"]) == (409, "ref_conflict", first.json["id"])
    assert other.headers["content-type"] == "application/problem+json"
    assert other.json["request_id"] == other.headers["x-request-id"]


async def test_a_client_that_asks_to_close_is_closed(api: Api) -> None:
    async with connected(api) as raw:
        answer = await raw.ask(MESSAGE, "Connection: close")
        assert answer.status == 202 and await raw.reader.read() == b""


async def test_a_redis_that_hangs_is_answered_with_503(
    postgres_url: str, own_valkey: Callable[..., Awaitable[Valkey]]
) -> None:
    valkey = await own_valkey()
    async with running(valkey.url, postgres_url) as api, connected(api) as raw:
        await know_the_key(api)
        assert (await raw.ask()).status == 202
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            answer = await raw.ask()
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert (answer.status, answer.json["code"]) == (503, "redis_away")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await raw.ask()).status == 202


async def test_a_stopping_server_answers_what_it_has_begun(
    postgres_url: str, own_valkey: Callable[..., Awaitable[Valkey]]
) -> None:
    valkey = await own_valkey()
    async with running(valkey.url, postgres_url) as api, connected(api) as raw, connected(api) as idle:
        await know_the_key(api)
        assert (await raw.ask()).status == 202 and (await idle.ask()).status == 202
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            raw.writer.write(raw.request())
            await raw.writer.drain()
            async with connected(api) as behind:  # what was written before this was read before its answer
                assert (await behind.ask(line="GET /healthz HTTP/1.1")).status == 200
            closing = asyncio.create_task(api.server.close())
            assert await idle.reader.read() == b""
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        answer = await raw.answer()
        assert answer.status == 202 and answer.headers["connection"] == "close"
        assert await raw.reader.read() == b""
        await closing


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\n",
        b"Host: a\r\n",
        b"Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n",
        b"Host: a\r\nContent-Length: -2\r\n",
        b"Host: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n",
        b"Host: a\r\nContent-Length: 2\r\nIdempotency-Key: k\r\n",
        b"Host: a\r\nContent-Length: 2\r\nConnection: close\r\n",
        b"Host: a\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n",
        b"Host: a\r\nContent-Length: 2\r\nAuthorization: Bearer \xff\r\n",
        b"Host: a\r\nContent-Length: 2\r\nno colon\r\n",
    ],
)
def test_what_is_not_plain_takes_the_long_way(lines: bytes) -> None:
    assert read_head(b"POST /v1/messages HTTP/1.1\r\n" + lines + b"\r\n") is None


def test_a_plain_head_is_read() -> None:
    head = read_head(
        b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nAUTHORIZATION: Bearer sk\r\ncontent-length: 12\r\n"
        b"Connection: Keep-Alive\r\nx-request-id: r1\r\nUser-Agent: u\r\n\r\n"
    )
    assert head is not None
    assert (head.length, head.authorization, head.request_id, head.traceparent) == (12, "Bearer sk", "r1", "")
