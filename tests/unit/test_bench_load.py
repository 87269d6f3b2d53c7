"""The load generator: its requests, and answers that come in pieces."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bench.load import Connection, Order, Work


class Wire(asyncio.Transport):
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))


def order(kind: str, **more: Any) -> Order:
    return Order(address="127.0.0.1:1", key="sk_x", kind=kind, messages=5, first=10, run="r", **more)


def body_of(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return body


def test_single_requests_carry_a_ref_and_a_number_of_their_own() -> None:
    messages = [json.loads(body_of(request)) for _, request in Work(order("singles")).requests]
    assert [m["ref"] for m in messages] == [f"r-{n:07d}" for n in range(10, 15)]
    assert len({m["to"] for m in messages}) == 5
    assert all(m["to"].startswith("+7916") and len(m["to"]) == 12 for m in messages)


def test_batches_hold_every_message_once_as_json_and_as_ndjson() -> None:
    refs = [f"r-{n:07d}" for n in range(10, 15)]
    whole = [json.loads(body_of(r)) for _, r in Work(order("batches", batch=2)).requests]
    assert [m["ref"] for b in whole for m in b["messages"]] == refs
    lines = [body_of(r).split(b"\n") for _, r in Work(order("batches", batch=2, ndjson=True)).requests]
    assert [json.loads(line)["ref"] for batch in lines for line in batch] == refs


async def test_an_answer_in_pieces_is_taken_once_and_429_is_asked_again() -> None:
    work, wire = Work(order("singles")), Wire()
    free: list[Connection] = []
    connection = Connection(work, free.append)
    connection.connection_made(wire)
    connection.send(*next(work.requests))
    answer = b'HTTP/1.1 202 Accepted\r\ncontent-length: 12\r\nX: y\r\n\r\n{"id":"abc"}'
    for i in range(len(answer)):
        connection.data_received(answer[i : i + 1])
    assert (work.accepted, len(free)) == (1, 1)
    connection.send(*next(work.requests))
    connection.data_received(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}")
    assert (work.retried, len(free)) == (1, 1)
    connection.data_received(b"HTTP/1.1 422 No\r\nContent-Length: 4\r\n\r\nbad!")
    assert (work.refused, work.words) == (1, "422: bad!")


async def test_what_was_accepted_comes_from_the_answer_of_a_batch() -> None:
    work = Work(order("batches"))
    work.take(0, 202, b'{"batch_id":"x","accepted":3,"duplicates":1,"rejected":1,"messages":[]}', 1.0, 1.5)
    assert (work.accepted, work.duplicates, work.refused, work.times) == (3, 1, 1, [0.5])
