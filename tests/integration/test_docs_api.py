"""Every command of docs/api.md against a live gateway, from the first to the last, as a reader would run them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.recorder.recorder import run_recorder
from tests.api_server import Api, running

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
FENCE = re.compile(r"^```(?P<kind>[a-z]*)(?P<mark> [a-z]+)?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        recorder = asyncio.create_task(run_recorder(api.settings, api.redis, api.pool, 0, "test"), name="recorder")
        yield api
        recorder.cancel()
        await asyncio.wait([recorder])


def blocks(kind: str) -> list[tuple[str, str]]:
    """The code of a language, and what is said about it."""
    found = [m for m in FENCE.finditer(PAGE.read_text("utf-8")) if m["kind"] == kind]
    return [(m["code"], (m["mark"] or "").strip()) for m in found]


async def run(api: Api, directory: Path, *command: str) -> str:
    (directory / ".curlrc").write_text("fail-with-body\nshow-error\n")  # an answer that is a refusal fails
    env = os.environ | {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["acme"], "CURL_HOME": str(directory)}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_every_shell_command_works(api: Api, tmp_path: Path) -> None:
    script = ["set -euo pipefail"]
    for code, mark in blocks("sh"):
        script.append(code if not mark else f"if {code.rstrip()}; then echo 'this was not refused'; exit 1; fi")
    said = await run(api, tmp_path, "bash", "-c", "\n".join(script))
    assert len(blocks("sh")) >= 9 and '"code":"number_has_letters"' in said


async def test_every_piece_of_python_works(api: Api, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n".join(code for code, _ in blocks("python")))
    said = await run(api, tmp_path, sys.executable, "-X", "dev", "page.py")
    assert len(blocks("python")) >= 6
    assert "'scheduled', 'scheduled', 'scheduled'" in said and "'changed': 3, 'too_late': 0" in said
