"""An analyst's login on what `sluice up` runs: one option, one command, and any client of PostgreSQL gets in."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import asyncpg

from tests.installation import ROOT, Installation


async def test_an_analyst_reads_what_was_just_sent_over_tcp(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
    installation = Installation(tmp_path / "data")
    installation.start("--bi-listen", place)
    try:
        message_id = installation.send("+79161234567", "hello", tag="spring")
        installation.delivered(message_id)
        made = subprocess.run(
            [sys.executable, "-m", "gateway", "db", "bi-user", "anna", "--data", str(installation.data)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        assert f"postgresql://anna@{place}/sluice" in made
        password = made.split("password")[1].split()[0]
        connection = await asyncpg.connect(f"postgresql://anna@{place}/sluice", password=password)
        try:
            row = await connection.fetchrow(
                "select m.id::text, c.carrier, t.tag, o.operator, m.state from bi.messages m"
                " join bi.carriers c using (carrier_key) join bi.tags t using (tag_key)"
                " join bi.operators o using (operator_key)"
            )
            assert row is not None
            assert tuple(row) == (message_id, "sandbox", "spring", "mts", "delivered")
            assert await connection.fetchval("select count(*) from bi.submissions where carrier_key > 0") == 1
        finally:
            await connection.close()
    finally:
        installation.stop()
