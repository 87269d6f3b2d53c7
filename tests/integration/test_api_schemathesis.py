"""Schemathesis against the running server: what it makes of the OpenAPI document, every answer has to keep to it.

Bounded and seeded. It runs as a process of its own, as a consumer would run it, with a key that may do everything.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.endpoints import TABLE as ROUTES
from tests.api_server import Api, running

BUDGET_S = 30
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,ignored_auth,unsupported_method,"
    "allow_header_conformance"
)
TEXTS = r"""
import schemathesis

def text(value, no_text):
    return value.encode(errors="replace") if isinstance(value, str) else no_text

@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    return text(value, b"")

@schemathesis.serializer("text/csv")
def table(context, value):
    return text(value, b"\xff")

@schemathesis.serializer("application/toml")
def toml(context, value):
    return text(value, b"\xff")
"""
"""Bodies that are text are sent as they are; what should not be text becomes bytes that are none."""


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url, max_body_bytes=65_536) as api:
        yield api


async def schemathesis(api: Api, directory: Path, *arguments: str) -> str:
    """What it says when it has nothing to complain of."""
    (directory / "hooks.py").write_text(TEXTS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.server.url}/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {api.secrets['ops']}", "--checks", CHECKS, "--seed", "20301"),
        *("--no-color", "--warnings", "off", *arguments),
        cwd=directory,
        env={"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 10 * BUDGET_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.decode(errors="replace")
    assert process.returncode == 0, said[-8000:]
    return said


@pytest.mark.timeout(400)  # some eighty routes, one after the other
async def test_every_answer_keeps_to_the_document(api: Api, tmp_path: Path) -> None:
    said = await schemathesis(api, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "5")
    assert f"Tested: {len([r for r in ROUTES.routes if r.listed]) - 1}" in said, said[-2000:]  # all but the document


async def test_requests_that_follow_each_other_keep_to_it_too(api: Api, tmp_path: Path) -> None:
    """All but the revoking of keys, which would find the key in use."""
    await schemathesis(
        api, tmp_path, "--phases", "stateful", "--max-examples", "20", "--exclude-operation-id", "revokeKey"
    )
