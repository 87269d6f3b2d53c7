"""`sluice send --file` against a real server: killed, interrupted, repeated, rehearsed."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.embedded.sample_plan import sample
from gateway.recorder.recorder import run_recorder
from gateway.store import plans
from tests.api_server import Api, running

ROWS = 3_500


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        recorder = asyncio.create_task(run_recorder(api.settings, api.redis, api.pool, 0, "test"), name="recorder")
        yield api
        recorder.cancel()
        await asyncio.wait([recorder])


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    rows = "".join(f"+7916{n:07};Anna {n}\n" for n in range(ROWS))
    path.write_text("to;name\n" + rows, encoding="utf-8-sig")
    return path


class Sluice:
    """The command with a key, in this process or in one of its own."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def env(self, key: str) -> dict[str, str]:
        return {"SLUICE_URL": self.api.server.url, "SLUICE_KEY": self.api.secrets[key]}

    async def run(self, *arguments: str, key: str = "acme") -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["send", *arguments], env=self.env(key))

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "send", *arguments),
            env=os.environ | self.env("acme"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


@pytest.fixture
def sluice(api: Api) -> Sluice:
    return Sluice(api)


async def until_rows(path: Path, least: int) -> None:
    async with asyncio.timeout(30):
        while not path.exists() or json.loads(path.read_text())["rows"] < least:
            await asyncio.sleep(0.01)


async def recorded(api: Api, tag: str, least: int) -> tuple[int, int]:
    """Messages and different recipients, once so many are in PostgreSQL."""
    async with asyncio.timeout(30):
        while True:
            [found] = await api.pool.fetch(
                "select count(*), count(distinct recipient) from messages where tag = $1", tag
            )
            if found[0] >= least:
                return int(found[0]), int(found[1])
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
async def test_a_run_that_is_killed_goes_on_and_nobody_gets_two(
    api: Api, sluice: Sluice, numbers: Path, number: signal.Signals, code: int
) -> None:
    wish = ("--file", str(numbers), "--text", "Hello {name}", "--tag", "spring", "--class", "marketing")
    process = await sluice.start(*wish, "--rate", "1000")
    await until_rows(numbers.with_name("numbers.run.json"), 1_000)
    process.send_signal(number)
    output = (await process.communicate())[0].decode()
    assert process.returncode == code, output
    if number is signal.SIGINT:
        assert "the same command goes on there" in output and "Traceback" not in output
    result = await sluice.run(*wish, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["rows"], said["accepted"] + said["duplicates"], said["refused"]) == (ROWS, ROWS, 0)
    assert await recorded(api, "spring", ROWS) == (ROWS, ROWS)
    again = await sluice.run(*wish)
    assert again.exit_code == 0 and "was complete before: nothing was sent" in again.stdout
    numbers.with_name("numbers.run.json").unlink()
    said = json.loads((await sluice.run(*wish, "--json")).stdout)
    assert (said["accepted"], said["duplicates"]) == (0, ROWS)
    assert await recorded(api, "spring", ROWS) == (ROWS, ROWS)


async def test_refused_rows_can_be_mended_and_sent_in_the_same_run(api: Api, sluice: Sluice, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("to,ref,name\n+79160000001,o-1,Anna\n12,o-2,Boris\n+79160000003,o-3,\n8 916 000-00-04,,Dora\n")
    wish = ("--text", "Hello {name}", "--run", "orders")
    result = await sluice.run("--file", str(path), *wish)
    assert result.exit_code == 3, result.output
    refused = tmp_path / "orders.orders.refused.csv"
    with refused.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(r["to"], r["ref"], r["refused_code"], r["refused_line"]) for r in rows] == [
        ("12", "o-2", "number_too_short", "3"),
        ("+79160000003", "o-3", "placeholder_empty", "4"),
    ]
    assert "number_too_short" in result.stdout and rows[0]["refused_sentence"] in result.stdout
    refused.write_text(refused.read_text("utf-8-sig").replace("12,o-2", "+79160000002,o-2"), "utf-8")
    result = await sluice.run("--file", str(refused), *wish, "--json")
    assert (json.loads(result.stdout)["accepted"], result.exit_code) == (1, 3)
    assert (await api.get("/v1/messages?ref=o-1")).json["messages"] or await recorded(api, "", 3)


async def test_a_dry_run_tells_parts_cost_and_wrong_numbers_and_sends_nothing(
    api: Api, sluice: Sluice, numbers: Path
) -> None:
    version = await plans.draft(api.pool, sample("127.0.0.1", 2775, "/nowhere"), who="test", note="")
    await plans.activate(api.pool, version, who="test")
    with numbers.open("a") as file:
        file.write("123;nobody\n")
    wish = ("--file", str(numbers), "--text", "Здравствуйте, {name}", "--dry-run")
    result = await sluice.run(*wish, key="ops")
    assert result.exit_code == 3, result.output
    for words in ("nothing is sent", "+79160000000", "3,500 in ucs2", "mts", "7,525.00 RUB", "line 3502: "):
        assert words in result.stdout
    said: dict[str, Any] = json.loads((await sluice.run(*wish, "--json", key="acme")).stdout)
    assert (said["messages"], said["parts"], said["refused"], said["cost"]) == (ROWS, ROWS, {"number_too_short": 1}, {})
    assert not numbers.with_name("numbers.run.json").exists()
    assert (await api.get("/v1/messages", key="ops")).json["messages"] == []


async def test_what_cannot_be_sent_is_told_before_anything_is(api: Api, sluice: Sluice, numbers: Path) -> None:
    file = ("--file", str(numbers))
    for arguments, code, said in (
        ((*file, "--text", "Hello {nam}"), 2, "did you mean {name}?"),
        (file, 2, "no column is named `text`"),
        ((*file, "--text", "a", "+79161234567"), 2, "the numbers are in the file"),
        ((*file, "--text", "a", "--wait"), 2, "--wait is for one message"),
        (("+79161234567", "a", "--rate", "5"), 2, "--rate goes with --file"),
        ((*file, "--text", "a", "--run", "a/b"), 2, "without / and"),
        ((*file, "--text", "a", "--send-at", "soon"), 2, "a span such as"),
        (("--file", "none.csv", "--text", "a"), 2, "none.csv is not there"),
        ((*file, "--text", "a", "--from", "much too long a sender"), 1, "(/defaults/from)"),
    ):
        result = await sluice.run(*arguments)
        assert result.exit_code == code and said in result.output, result.output
    api.secrets["wrong"] = "sk_wrong"
    result = await sluice.run(*file, "--text", "a", key="wrong")
    assert result.exit_code == 1 and "check SLUICE_KEY" in result.output and "0 of 3,500 rows" in result.output


async def test_one_message_can_be_previewed(sluice: Sluice) -> None:
    result = await sluice.run("8 916 123-45-67", "Привет", "--dry-run")
    assert "+79161234567 from Sluice, transactional" in result.stdout and "6 characters in ucs2" in result.stdout
