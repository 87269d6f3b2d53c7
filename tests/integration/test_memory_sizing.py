"""What a message costs in Redis while it waits: the figures by which docs/production.md sizes maxmemory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio as redis

from gateway.embedded.valkey import Valkey
from tests.api_server import Api, running
from tests.installation import ROOT

COUNT = 20_000
TEXT = "Your parcel 1234567 has arrived, pick it up until 20:00"


async def used(server: Valkey) -> int:
    async with redis.Redis(unix_socket_path=str(server.socket)) as client:
        return int((await client.info("memory"))["used_memory_dataset"])


def message(number: int, ref: bool) -> dict[str, str]:
    sent = {"to": f"+7916{number:07d}", "text": TEXT, "class": "marketing"}
    return sent | ({"ref": f"order-{number:08d}"} if ref else {})


async def in_batches(api: Api, ref: bool) -> None:
    for first in range(0, COUNT, 1_000):
        batch = [message(number, ref) for number in range(first, first + 1_000)]
        said = await api.post("/v1/messages/batch", {"messages": batch})
        assert said.status == 202


async def one_by_one(api: Api, ref: bool) -> None:
    async def client(own: int) -> None:
        for number in range(own, COUNT // 4, 16):
            said = await api.post("/v1/messages", message(number, ref))
            assert said.status == 202

    await asyncio.gather(*(client(own) for own in range(16)))


async def cost(server: Valkey, postgres_url: str, send: Callable[[Api, bool], Awaitable[None]], ref: bool) -> float:
    async with running(server.url, postgres_url) as api:
        before = await used(server)
        await send(api, ref)
        return (await used(server) - before) / (COUNT if send is in_batches else COUNT // 4)


@pytest.mark.parametrize("name", ["in batches", "in batches, with a ref", "one by one", "one by one, with a ref"])
async def test_a_waiting_message_costs_what_production_md_says(
    own_valkey: Callable[..., Awaitable[Valkey]], postgres_url: str, name: str
) -> None:
    server = await own_valkey()
    bytes_each = await cost(server, postgres_url, in_batches if "batches" in name else one_by_one, "ref" in name)
    told = re.search(rf"\| {name} \| (\d+) \|", (ROOT / "docs/production.md").read_text())
    assert told
    assert 0.7 * int(told[1]) < bytes_each < 1.1 * int(told[1])
