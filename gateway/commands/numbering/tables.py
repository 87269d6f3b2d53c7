"""The numbering tables in use, fetched over HTTP, for commands that reckon by themselves.

In: a gateway and a key with the scope `plan`. Out: `Tables`. What is very long is left out: what it would change of a
sum is little, and fetching it takes longer than the sum is worth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from gateway.commands.client import Client
from gateway.commands.numbering.access import MAX_HISTORY
from gateway.numbering import compiling
from gateway.numbering.directory import Tables
from gateway.numbering.ported import Ported
from gateway.numbering.ranges import Ranges

MOST_BYTES: Final = 128 << 20


def fetch(client: Client) -> Tables:
    """Numbering plan and ported numbers. Raises Refused."""
    with tempfile.TemporaryDirectory(prefix="sluice-numbers-") as name:
        directory = Path(name)
        numbers, ported = (_content(client, kind, directory / kind) for kind in ("numbers", "ported"))
        made = directory / "made"
        ranges = moved = None
        if numbers is not None:
            compiling.compile_numbers(numbers, made)
            ranges = Ranges.of(memoryview(made.read_bytes()))
        if ported is not None:
            compiling.compile_ported(ported, made)
            moved = Ported.of(memoryview(made.read_bytes()))
        return Tables(ranges, moved)


def _content(client: Client, kind: str, target: Path) -> Path | None:
    rows = client.get("/v1/datasets", {"kind": kind, "limit": str(MAX_HISTORY)})["datasets"]
    active = next((row for row in rows if row["active"]), None)
    if active is None or active["size_bytes"] > MOST_BYTES:
        return None
    client.download(f"/v1/datasets/{kind}/{active['version']}/content", target)
    return target
