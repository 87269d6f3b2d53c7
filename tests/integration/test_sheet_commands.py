"""`sluice rates` and `sluice senders`, over HTTP and on the servers: the same either way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.live import plan as live_plan
from gateway.store import plans
from tests.api_server import Api, running

PLAN = """
[defaults]
currency = "RUB"

[[carrier]]
name = "north"
provider = "smpp"
classes = ["otp", "marketing"]
settings = { host = "127.0.0.1", port = 2775, system_id = "x", password = { env = "NORTH" } }

[[operator]]
name = "mts"
prefixes = ["7916"]
aliases = ["ПАО «МТС»"]

[[operator]]
name = "rest"
prefixes = [""]

[[route]]
name = "all"
classes = ["otp", "marketing"]
carriers = ["north"]

[[route]]
name = "none"
carriers = []

[[sender]]
name = "OLD"
carriers = ["north"]
operators = ["mts"]
state = "blocked"
"""
PRICES = "Оператор;Вид трафика;Цена;Валюта\nПАО «МТС»;Авторизационный;2,15;руб.\nrest;;3,00;руб.\n"


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        version = await plans.draft(api.pool, PLAN, who="ann")
        found = await live_plan.activate(api.pool, api.redis, version, who="ann")
        assert not isinstance(found, live_plan.Refused), found
        yield api


class Shell:
    """Runs `sluice …` as a shell with these variables would."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self.directory, self.env = directory, env

    def file(self, data: bytes) -> str:
        path = self.directory / "sheet.csv"
        path.write_bytes(data)
        return str(path)

    async def run(self, *arguments: str, exit_code: int = 0) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=self.env)
        assert result.exit_code == exit_code, result.output
        return result

    async def json(self, *arguments: str, exit_code: int = 0) -> Any:
        return json.loads((await self.run(*arguments, "--json", exit_code=exit_code)).stdout)


@pytest.fixture(params=["over HTTP", "by servers"])
async def shell(request: pytest.FixtureRequest, api: Api, tmp_path: Path) -> Shell:
    if request.param == "over HTTP":
        return Shell(tmp_path, {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]})
    return Shell(
        tmp_path, {"SLUICE_POSTGRES_URL": api.settings.postgres_url, "SLUICE_REDIS_URL": api.settings.redis_url}
    )


async def test_a_price_list_is_compared_kept_activated_shown_and_rolled_back(shell: Shell, api: Api) -> None:
    await api.pool.fetch(
        "insert into stats_hour (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state, tag,"
        " currency) values (date_trunc('hour', now()), 9, 1000, 0, 0, 'shop', 'otp', 'north', 'mts', 'delivered', '',"
        " 'RUB')"
    )
    file = shell.file(PRICES.encode("cp1251"))
    dry = await shell.run("rates", "import", file, "--carrier", "north", "--dry-run")
    assert "0 prices up, 0 down, 3 new, 0 gone" in dry.stdout and "Nothing was kept." in dry.stdout
    assert "No price in some class: north → mts" in dry.stdout
    assert (await shell.json("rates", "list")) == []
    done = await shell.run("rates", "import", file, "--carrier", "north", "--activate", "--note", "first")
    assert "Version" in done.stdout and "is live." in done.stdout
    (row,) = await shell.json("rates", "list")
    assert (row["active"], row["rows"], row["note"], row["source"]) == (True, 2, "first", "sheet.csv")
    shown = await shell.run("rates", "show", "--carrier", "north")
    assert "ПАО «МТС»" in shown.stdout and "2.15" in shown.stdout
    dearer = await shell.json(
        "rates", "import", shell.file("carrier,operator,class,price\nnorth,mts,otp,2.5\n".encode("utf-16"))
    )
    summary = dearer["summary"]
    assert (summary["up"], summary["gone"], summary["money"]["difference"]) == (1, 2, "+350.00")
    assert summary["biggest"][2] == {
        "carrier": "north", "operator": "mts", "class": "otp", "before": "2.15", "after": "2.50", "currency": "RUB",
        "percent": 16.3, "parts": 1000,
    }  # fmt: skip
    assert not dearer["active"]
    await shell.run("rates", "activate", str(dearer["version"]))
    exported = (await shell.run("rates", "export")).stdout
    assert exported.splitlines()[1] == "north,mts,,otp,2.5,,,,"
    back = await shell.run("rates", "rollback")
    assert f"Version {row['version']} is live." in back.stdout
    refused = await shell.run("rates", "activate", "999", exit_code=1)
    assert "no" in refused.output.lower()


async def test_wrong_rows_are_told_by_line_and_nothing_is_kept(shell: Shell) -> None:
    file = shell.file(b"carrier,price\nnorth,1.5\nnorth,two\n,3\n")
    result = await shell.run("rates", "import", file, "--activate", exit_code=1)
    assert f"{file}:3: `two` is no price" in result.stderr and f"{file}:4: This row names no carrier" in result.stderr
    assert "Nothing was kept." in result.stdout
    empty = await shell.run("rates", "import", shell.file(b"carrier,price\n"), exit_code=1)
    assert "there is no row" in empty.output.lower()
    assert await shell.json("rates", "list") == []
    assert "Usage" in (await shell.run("rates", "import", file, "--valid-from", "soon", exit_code=2)).output


async def test_the_month_shows_where_ladders_stand(shell: Shell, api: Api) -> None:
    assert "No rate that is valid now has a ladder." in (await shell.run("rates", "month")).stdout
    await api.pool.fetch(
        "insert into stats_hour (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state, tag,"
        " currency) values (date_trunc('hour', now()), 9, 1000, 0, 0, 'shop', 'otp', 'north', 'mts', 'submitted', '',"
        " 'RUB')"
    )
    file = shell.file(b"carrier;operator;price;ladder\nnorth;mts;2;900:1,50|5000:1\n")
    await shell.run("rates", "import", file, "--activate")
    (ladder,) = await shell.json("rates", "month")
    assert (ladder["parts"], ladder["price"], ladder["next_over"]) == (1000, "1.50", 5000)
    assert ladder["invoice"] == "1950.00"
    assert "1,000" in (await shell.run("rates", "month")).stdout


async def test_a_registry_says_where_a_sender_may_be_used(shell: Shell) -> None:
    file = shell.file("Имя отправителя;Оператор;Класс\nBANK;ПАО «МТС»;otp\n".encode())
    done = await shell.run("senders", "import", file, "--carrier", "north", "--activate")
    assert "1 row in all: 1 new, 0 gone" in done.stdout
    listed = await shell.json("senders", "list")
    assert [s["name"] for s in listed["plan"]] == ["OLD"]
    assert listed["registry"][0]["carriers"] == ["north"]
    found = await shell.json("senders", "check", "BANK")
    assert [(f["operator"], f["classes"], f["allowed"], f["state"]) for f in found] == [
        ("mts", ["otp"], True, "registered"),
        ("mts", ["marketing"], False, "unregistered"),
        ("rest", ["otp", "marketing"], True, "free"),
    ]
    other = await shell.run("senders", "check", "OLD", "--class", "otp")
    assert "is blocked" in other.stdout
    exported = (await shell.run("senders", "export")).stdout
    assert exported.splitlines() == [
        "sender,carriers,operators,classes,clients,state",
        "BANK,north,ПАО «МТС»,otp,,registered",
    ]
    wrong = await shell.run("senders", "import", shell.file(b"sender,state\nBANK,maybe\n"), exit_code=1)
    assert "`maybe` is no state" in wrong.stderr
    assert len(await shell.json("senders", "history")) == 1
    await shell.run("senders", "rollback", exit_code=1)
