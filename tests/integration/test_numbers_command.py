"""`sluice numbers` and the API below it: over HTTP with a key, and on the servers themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.datasets.files import directory_of
from gateway.live import datasets as live_datasets
from gateway.live import numbers as live_numbers
from gateway.live import plan as live_plan
from gateway.live.datasets import LiveDatasets
from gateway.live.plan import LivePlan
from gateway.store import plans
from gateway.streams import using
from tests.api_server import Api, running

DEADLINE_S = 20.0
PLAN = """
carrier = [{ name = "a", provider = "smpp", settings = { host = "h", system_id = "u", password = { env = "P" } } }]
operator = [
  { name = "t2", aliases = ["ООО «Т2 Мобайл»"], country = "RU", mcc_mnc = "25020" },
  { name = "rest", prefixes = [""] },
]
route = [{ name = "all", carriers = ["a"] }]
"""
REGISTRY = """\ufeffАВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН
900;0000000;0061999;62000;ООО "Т2 Мобайл";Краснодарский край;Краснодарский край;7743895280
900;0062000;0062999;1000;АО "Другие";Томская обл.;Томская область;7743895281
"""
MOVED = "Number,OwnerId,MNC,Route,RegionCode,PortDate\n9000062001,mTELE2,20,D2520,25,2016-09-20T10:00:09+03:00\n"


@pytest.fixture
async def api(
    valkey_url: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """A server that knows plan and datasets as a process of the gateway does."""
    cache = str(tmp_path / "cache")
    async with running(valkey_url, postgres_url, cache_dir=cache) as api:
        version = await plans.draft(api.pool, PLAN, who="test")
        assert not isinstance(await live_plan.activate(api.pool, api.redis, version, who="test"), live_plan.Refused)
        plan = LivePlan(api.redis)
        datasets = LiveDatasets(api.redis, api.pool, directory_of(cache, valkey_url), "this one")
        live_numbers.attach(datasets, plan)
        monkeypatch.setattr(type(api.plan), "compiled", property(lambda _: plan.current()), raising=False)
        tasks = [asyncio.create_task(work) for work in (plan.watch(), datasets.watch())]
        await plan.known()
        yield api
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class Shell:
    """Runs `sluice numbers …`."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self.directory, self.env = directory, env

    def file(self, text: str | bytes, name: str = "DEF-9xx.csv") -> str:
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    async def run(self, *arguments: str, exit_code: int = 0) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, ["numbers", *arguments], env=self.env)
        assert result.exit_code == exit_code, result.output
        return result

    async def json(self, *arguments: str) -> Any:
        return json.loads((await self.run(*arguments, "--json")).stdout)


@pytest.fixture(params=["over HTTP", "by servers"])
async def shell(request: pytest.FixtureRequest, api: Api, tmp_path: Path) -> Shell:
    if request.param == "over HTTP":
        return Shell(tmp_path, {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]})
    servers = {"SLUICE_POSTGRES_URL": api.settings.postgres_url, "SLUICE_REDIS_URL": api.settings.redis_url}
    return Shell(tmp_path, servers | {"SLUICE_CACHE_DIR": api.settings.cache_dir})


def operator(api: Api, to: str) -> str:
    compiled = api.plan.current()
    assert compiled is not None
    return compiled.operator(to)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_activating_waits_until_every_process_uses_the_version(
    shell: Shell, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(using, "_FRESH_MS", 10**9)
    await using.report(api.redis, "numbers", "slow one", 0)
    running = asyncio.create_task(shell.run("import", shell.file(REGISTRY), "--activate"))
    path = "/v1/datasets/numbers/use"
    async with asyncio.timeout(DEADLINE_S):
        while (use := (await api.get(path, key="ops")).json)["ready"] != 1 or use["version"] is None:
            await asyncio.sleep(0.02)
    assert use["processes"] == 2 and not running.done(), "the other one compiles it still"
    await using.report(api.redis, "numbers", "slow one", use["version"])
    assert "of numbers is live." in (await running).output
    assert operator(api, "+79000062001") == "rest"


async def test_a_registry_is_imported_shown_and_rolled_back(shell: Shell, api: Api) -> None:
    assert "Nothing was imported yet" in (await shell.run("list")).output
    assert operator(api, "+79000000001") == "t2", "phonenumbers knows no better"
    said = (await shell.run("import", shell.file(REGISTRY), "--activate", "--note", "autumn")).output
    assert "2 ranges were read, 0 rows are wrong" in said and "of numbers is live." in said
    await until(lambda: operator(api, "+79000062001") == "rest" and operator(api, "+79000000001") == "t2")
    shown = (await shell.run("show", "+79000000001")).output
    assert "the numbering plan" in shown and "Краснодарский край" in shown and "Europe/Moscow" in shown
    assert 'АО "Другие"' in (await shell.run("unmapped")).output

    moved = await shell.json("import", shell.file(MOVED, "Port_All.csv"), "--activate")
    assert (moved["kind"], moved["active"], moved["changes"]["added"]) == ("ported", True, 1)
    await until(lambda: operator(api, "+79000062001") == "t2")
    found = await shell.json("show", "9000062001")
    assert (found["operator"], found["source"], found["zones"]) == ("t2", "ported", ["Asia/Tomsk"])

    half = shell.file(REGISTRY.replace('АО "Другие"', "Третьи").replace("0061999;62000", "0061998;61999"))
    changed = (await shell.run("import", half)).output
    assert "1 ranges more, 1 gone, 1 of another operator" in changed and "To use it: sluice numbers activate" in changed
    rows = await shell.json("list", "--kind", "numbers")
    assert [(row["active"], row["note"]) for row in rows] == [(False, ""), (True, "autumn")]
    await shell.run("activate", str(rows[0]["version"]))
    assert f"Version {rows[1]['version']} of numbers is live." in (await shell.run("rollback", "numbers")).output
    assert "No ported are in use any more." in (await shell.run("deactivate", "ported")).output
    await until(lambda: operator(api, "+79000062001") == "rest")


async def test_a_file_with_too_many_wrong_rows_is_not_kept(shell: Shell) -> None:
    file = shell.file(REGISTRY + "90;0;1;2;A;B;C;1\n")
    refused = await shell.run("import", file, "--activate", exit_code=1)
    assert "DEF-9xx.csv:4: the code is `90`: three digits, such as 916, are right" in refused.output
    assert "1 rows are wrong, 0 would be tolerated (--max-errors 1 leaves them out)" in refused.output
    assert "no text" in (await shell.run("import", shell.file(b"\0\0", "other.csv"), exit_code=1)).output
    assert "Nothing was imported yet" in (await shell.run("list")).output
    dry = (await shell.run("import", file, "--max-errors", "1", "--dry-run")).output
    assert "2 ranges were read, 1 rows are wrong and left out." in dry and "it was a dry run" in dry
    assert "Nothing was imported yet" in (await shell.run("list")).output


async def test_what_does_not_exist_is_said_in_a_sentence(shell: Shell) -> None:
    assert "There is no version 99" in (await shell.run("activate", "99", exit_code=1)).output
    assert (
        "No other version of ported was active before." in (await shell.run("rollback", "ported", exit_code=1)).output
    )
    assert "No version of ported was in use." in (await shell.run("deactivate", "ported")).output


async def test_the_api_keeps_a_file_that_is_sent_to_it_whatever_its_format(api: Api) -> None:
    path = "/v1/datasets/numbers?source=DEF-9xx.csv&activate=true"
    kept = await api.post(path, key="ops", data=REGISTRY.encode("utf-8"))
    assert kept.status == 201, kept.json
    dataset = kept.json["dataset"]
    assert (dataset["active"], dataset["rows"], dataset["source"]) == (True, 2, "DEF-9xx.csv")
    await until(lambda: operator(api, "+79000062001") == "rest")
    content = await api.get("/v1/datasets/numbers/active/content", key="ops")
    assert content.body.decode().splitlines()[0] == "first;last;operator;country;region;zones;mcc_mnc"
    assert content.headers["ETag"] == f'"{dataset["sha256"]}"' and "X-Request-Id" in content.headers
    again = await api.post("/v1/datasets/numbers", key="ops", data=content.body)
    assert again.json["dataset"]["version"] == dataset["version"], "the same content is the same version"


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("POST", "/v1/datasets/nonsense", b"x", 404, "unknown_dataset"),
        ("POST", "/v1/datasets/numbers", b"", 422, "dataset_invalid"),
        ("POST", "/v1/datasets/numbers", b"\0\1", 422, "dataset_invalid"),
        ("POST", "/v1/datasets/numbers?what=1", b"x", 422, "query_invalid"),
        ("GET", "/v1/datasets/numbers/7/content", None, 404, "unknown_dataset"),
        ("GET", "/v1/datasets/numbers/x/content", None, 404, "unknown_dataset"),
        ("POST", "/v1/datasets/numbers/7/activate", None, 404, "unknown_dataset"),
        ("POST", "/v1/datasets/numbers/rollback", None, 404, "unknown_dataset"),
        ("GET", "/v1/numbers/12", None, 422, "number_too_short"),
    ],
)
async def test_what_the_api_cannot_do_it_refuses_with_a_code(
    api: Api, method: str, path: str, data: bytes | None, status: int, code: str
) -> None:
    found = await api.ask(method, path, key="ops", data=data)
    assert (found.status, found.code) == (status, code), found.json
    assert (await api.ask(method, path, key="acme", data=data)).code == "scope_missing"


async def test_wrong_rows_are_told_by_line(api: Api) -> None:
    found = await api.post("/v1/datasets/ported", key="ops", data=b"number,operator\n123,a\n")
    assert found.code == "dataset_invalid"
    assert found.json["row_faults"][0]["line"] == 2
    assert (await api.get("/v1/datasets", key="ops")).json == {"datasets": []}


async def test_a_dry_run_of_a_file_reckons_with_the_operators_that_were_imported(api: Api, tmp_path: Path) -> None:
    for kind, text in (("numbers", REGISTRY), ("ported", MOVED)):
        assert (await api.post(f"/v1/datasets/{kind}?activate=true", key="ops", data=text.encode())).status == 201
    (tmp_path / "to.csv").write_text("to\n+79000000001\n+79000062001\n+79000062002\n")
    env = {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]}
    command = ["send", "--file", str(tmp_path / "to.csv"), "--text", "Hello", "--dry-run"]
    said = await asyncio.to_thread(CliRunner().invoke, main, command, env=env)
    assert said.exit_code == 0, said.output
    lines = [line.split() for line in said.output.splitlines()]
    assert [line[1] for line in lines if line[:1] == ["t2"]] == ["a"] and ["t2", "a", "2"] in [x[:3] for x in lines]
    assert ["rest", "a", "1"] in [line[:3] for line in lines]


async def test_an_upload_that_breaks_off_keeps_nothing(api: Api) -> None:
    host, _, port = api.server.url.removeprefix("http://").partition(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/datasets/numbers HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.secrets['ops']}\r\n"
    writer.write(head.encode() + b"Content-Length: 100000\r\n\r\n" + REGISTRY.encode())
    await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    cache = directory_of(api.settings.cache_dir, api.settings.redis_url)
    await until(lambda: not list(cache.glob("upload-*")))
    assert (await api.get("/v1/datasets", key="ops")).json == {"datasets": []}
    assert await live_datasets.publish(api.pool, api.redis) is False
