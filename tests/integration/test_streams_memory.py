"""What remembering costs: ten million refs fit into 1.5 GB."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from gateway.embedded.valkey import Valkey
from tests.core_builders import ask
from tests.core_redis import accepting, client, opened

REFS = 200_000
LIMIT_BYTES = 1.5e9 / 10_000_000


async def test_a_remembered_ref_costs_at_most_150_bytes(
    own_valkey: Callable[..., Awaitable[Valkey]], record_property: Callable[[str, object], None]
) -> None:
    server = await own_valkey(appendfsync="no")
    async with opened(server.url) as redis, accepting(redis) as acceptor:
        with client(server.url) as c:
            before = c.info("memory")["used_memory_dataset"]
            for _ in range(REFS // 10_000):
                asks = [ask(0, ref=os.urandom(16), body=os.urandom(8)) for _ in range(10_000)]
                verdicts = await acceptor.accept(0, asks)
                assert {v.kind for v in verdicts} == {"accepted"}
                c.delete("{0}:events", "{0}:intake:marketing:shop")  # only what stays for days counts
            each = (c.info("memory")["used_memory_dataset"] - before) / REFS
    record_property("bytes_per_ref", round(each, 1))
    print(f"{each:.1f} bytes a ref, {each / 100:.2f} GB for ten million")
    assert 30 < each <= LIMIT_BYTES
