"""`sluice plan` as people and programs call it: over HTTP with a key, and on the servers themselves."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.embedded.sample_plan import sample
from gateway.live.plan import MIRROR
from gateway.message import id_tail, make_id
from gateway.store import plans
from gateway.streams.mirror import Mirror
from tests.api_server import Api, running

SAMPLE = sample("127.0.0.1", 2775, "/nowhere/password")
CHEAPER = SAMPLE.replace('"2.15"', '"2.05"')


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


class Shell:
    """Runs `sluice plan …` in a directory of its own, as a shell with these variables would."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self.directory, self.env = directory, env

    def file(self, text: str) -> str:
        path = self.directory / "plan.toml"
        path.write_text(text, "utf-8")
        return str(path)

    async def run(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, ["plan", *arguments], env=self.env, input=stdin)
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


async def live(api: Api) -> int | None:
    """The version that every process has, as the mirror says."""
    found = await Mirror(api.redis).get(MIRROR)
    return None if found is None else plans.unpack(found[1]).version


async def test_a_plan_is_applied_shown_changed_and_rolled_back(shell: Shell, api: Api) -> None:
    file = shell.file(SAMPLE)
    assert "No plan was kept yet" in (await shell.run("history")).output
    assert "No plan is live yet" in (await shell.run("show", exit_code=1)).output
    assert "Version 1 is kept. To use it: sluice plan activate 1" in (await shell.run("apply", file)).output
    assert await live(api) is None
    assert "Version 1 is live." in (await shell.run("activate", "1")).output
    assert await live(api) == 1
    assert (await shell.run("show")).output == SAMPLE

    file = shell.file(CHEAPER)
    shown = (await shell.run("diff", file)).output
    assert "version 1 to " in shown
    assert re.search(r"~  rate sandbox mts \*  price: 2.15 → 2.05\n", shown)
    assert "Version 2 is live." in (await shell.run("apply", file, "--activate", "--note", "mts is cheaper")).output
    assert await live(api) == 2
    assert "No difference to version 2." in (await shell.run("diff", file)).output
    assert "2.05" in (await shell.run("diff", "--version", "1", file)).output

    lines = (await shell.run("history")).output.splitlines()
    assert "live" in lines[1] and "mts is cheaper" in lines[1] and "live" not in lines[2]
    assert "Version 1 is live." in (await shell.run("rollback")).output
    assert await live(api) == 1
    assert "Version 2 is live." in (await shell.run("rollback", "2")).output
    assert await live(api) == 2


async def test_a_diff_has_no_line_longer_than_what_it_says(shell: Shell) -> None:
    await shell.run("apply", shell.file(SAMPLE), "--activate")
    settings = 'host = "h", system_id = "s", password = { env = "P" }'
    other = f'{SAMPLE}\n[[carrier]]\nname = "new"\nprovider = "smpp"\nsettings = {{ {settings} }}\n'
    shown = (await shell.run("diff", shell.file(other.replace('["7903", ', "[")), "--days", "0")).output
    assert re.search(r'~  operator beeline  prefixes: \["7903",.*\] → \["7905",.*\]\n', shown)
    said = "provider smpp, settings.host h, settings.system_id s, settings.password.env P\n"
    assert re.search(rf"\+  carrier new +{re.escape(said)}", shown)


async def test_programs_read_json(shell: Shell) -> None:
    assert await shell.json("check", shell.file(SAMPLE)) == {"ok": True, "problems": []}
    assert await shell.json("apply", shell.file(SAMPLE), "--activate") == {
        "ok": True,
        "version": 1,
        "active": True,
        "problems": [],
    }
    applied = await shell.json("apply", shell.file(CHEAPER))
    assert (applied["version"], applied["active"]) == (2, False)
    history = await shell.json("history", "--limit", "5")
    assert [(row["version"], row["active"]) for row in history] == [(2, False), (1, True)]
    assert await shell.json("show") == {"version": 1, "document": SAMPLE}
    assert await shell.json("show", "2") == {"version": 2, "document": CHEAPER}
    change = {"kind": "changed", "table": "rate", "name": "sandbox mts *", "field": "price"}
    assert await shell.json("diff", shell.file(CHEAPER), "--days", "0") == {
        "version": 1,
        "changes": [change | {"before": "2.15", "after": "2.05"}],
        "effect": None,
    }
    assert await shell.json("activate", "2") == {"version": 2, "active": True}
    assert await shell.json("rollback") == {"version": 1, "active": True}


async def sent(api: Api, count: int) -> None:
    """So many marketing messages of two parts to mts, accepted ten minutes ago."""
    at = api.redis.clock_ms() - 600_000
    ids = [make_id(at, id_tail(0)) for _ in range(count)]
    await api.pool.execute("select ensure_day(to_timestamp($1::float / 1000)::date)", at)
    await api.pool.execute(
        "insert into messages (id, deadline, changed_at, recipient_hash, parts, client, class, recipient, sender, text,"
        " encoding, state, carrier) select id, $2, $2, 1, 2, 'shop', 'marketing', '+79161234567', 'S', 'hello', 'gsm7',"
        " 'delivered', 'sandbox' from unnest($1::uuid[]) as id",
        ids,
        at,
    )
    for table, unit in (("stats_minute", "minute"), ("stats_hour", "hour")):
        await api.pool.execute(
            f"insert into {table} (at, messages, parts, cost_micro, shard, client, class, carrier, operator, state,"
            f" tag, currency) values (date_trunc('{unit}', $1::timestamptz), $2::bigint, $2::bigint * 2, 0, 0, 'shop',"
            " 'marketing', 'sandbox', 'mts', 'delivered', '', 'RUB')",
            at,
            count,
        )


async def test_diff_and_replay_say_what_moves_and_what_it_costs(shell: Shell, api: Api) -> None:
    await shell.run("apply", shell.file(SAMPLE), "--activate")
    assert "Nothing was sent" in (await shell.run("diff", shell.file(CHEAPER))).output
    await sent(api, 100)
    shown = (await shell.run("diff", shell.file(CHEAPER))).output
    assert "Of 100 messages" in shown and "0 (0.0%) would go to another carrier" in shown
    assert "cost 430.00 → 410.00 RUB (-4.7%)" in shown and "-20.00" in shown
    effect = (await shell.json("replay", shell.file(CHEAPER), "--since", "2h"))["effect"]
    assert (effect["messages"], effect["moved"], effect["cost_after"]["amount"]) == (100, 0, "410.00")
    assert [(m["class"], m["operator"], m["parts"]) for m in effect["moves"]] == [("marketing", "mts", 200)]
    await shell.run("apply", shell.file(CHEAPER))
    assert "cost 430.00 → 410.00" in (await shell.run("replay", "--version", "2")).output
    assert "cost 410.00 → 410.00" in (await shell.run("replay", "--version", "2", "--against", "2")).output
    russia = 'name = "russia"\ncountries = ["RU"]\n'
    assert russia + 'carriers = ["sandbox"]' in SAMPLE
    refuses = SAMPLE.replace(russia + 'carriers = ["sandbox"]', russia + "carriers = []")
    shown = (await shell.run("diff", shell.file(refuses))).output
    assert "100 (100.0%) would" in shown
    assert "either a file, or a kept version" in (await shell.run("replay", exit_code=2)).output
    assert "There is no" in (await shell.run("replay", "--version", "9", exit_code=1)).output


async def test_a_check_of_the_live_traffic_finds_limits_that_are_too_low(shell: Shell, api: Api) -> None:
    await sent(api, 200)
    text = SAMPLE.replace("# rate_per_s = 500", "rate_per_s = 5 #")
    assert text != SAMPLE
    file = shell.file(text)
    assert "limit" not in (await shell.run("check", file)).output
    shown = (await shell.run("check", file, "--live")).output
    line = 1 + text[: text.index("rate_per_s = 5 #")].count("\n")
    assert f"{file}:{line}: warning: The busiest second of last week had 7 parts here" in shown
    assert "The plan is good" in shown


async def test_a_plan_with_errors_is_refused_with_file_line_and_sentence_and_nothing_is_kept(shell: Shell) -> None:
    file = shell.file(SAMPLE.replace('"2.15"', "2.15").replace('classes = ["otp"', 'clases = ["otp"'))
    line = 1 + SAMPLE[: SAMPLE.index('price = "2.15"')].count("\n")
    said = f'{file}:{line}: `price` must be a decimal in quotes, such as "2.15".'
    for command in ("check", "apply"):
        output = (await shell.run(command, file, exit_code=1)).output
        assert said in output.splitlines()
        assert "Did you mean `classes`?" in output
    found = await shell.json("apply", file, exit_code=1)
    assert found["ok"] is False and found["problems"][0]["line"] == line
    assert (await shell.json("check", file, exit_code=1))["problems"] == found["problems"]
    assert await shell.json("history") == []


async def test_a_literal_secret_is_refused_and_never_shown(shell: Shell) -> None:
    file = shell.file(SAMPLE.replace('{ file = "/nowhere/password" }', '"hunter2"'))
    for arguments in (("check", file), ("apply", file), ("check", file, "--json")):
        output = (await shell.run(*arguments, exit_code=1)).output
        assert "must not stand in the plan" in output and "hunter2" not in output


async def test_warnings_are_told_and_do_not_stop_anybody(shell: Shell) -> None:
    settings = '{ host = "h", system_id = "s", password = { env = "P" } }'
    file = shell.file(f'{SAMPLE}\n[[carrier]]\nname = "spare"\nprovider = "smpp"\nsettings = {settings}\n')
    output = (await shell.run("apply", file, "--activate")).output
    assert "warning: No route uses carrier `spare`." in output and "Version 1 is live." in output


async def test_secrets_are_looked_for_only_when_asked(shell: Shell, tmp_path: Path) -> None:
    file = shell.file(SAMPLE)
    assert "The plan is good: 1 carrier," in (await shell.run("check", file)).output
    output = (await shell.run("check", "--credentials", file, exit_code=1)).output
    assert "The file /nowhere/password cannot be read" in output
    (tmp_path / "password").write_text("secret\n")
    file = shell.file(SAMPLE.replace("/nowhere/password", str(tmp_path / "password")))
    assert "The plan is good" in (await shell.run("check", "--credentials", file)).output


async def test_what_is_not_there_is_one_line_and_exit_code_1(shell: Shell, tmp_path: Path) -> None:
    assert "There is no" in (await shell.run("activate", "7", exit_code=1)).output
    assert "There is no" in (await shell.run("show", "7", exit_code=1)).output
    assert "There is no" in (await shell.run("rollback", "7", exit_code=1)).output
    assert "No other version was active before" in (await shell.run("rollback", exit_code=1)).output
    await shell.run("check", str(tmp_path / "absent.toml"), exit_code=2)
    await shell.run("activate", "0", exit_code=2)
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    assert "not UTF-8" in (await shell.run("check", str(tmp_path / "binary.toml"), exit_code=1)).output


async def test_a_plan_may_come_from_a_pipe(shell: Shell) -> None:
    assert "The plan is good" in (await shell.run("check", "-", stdin=SAMPLE)).output
    assert "<stdin>:1: " in (await shell.run("check", "-", stdin="x = 1", exit_code=1)).output


async def test_who_activated_is_in_the_audit(shell: Shell, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "nightshift")
    await shell.run("apply", shell.file(SAMPLE), "--activate")
    rows = await api.pool.fetch("select who, what from audit where what like 'plan.%' order by at")
    assert [row["what"] for row in rows] == ["plan.draft", "plan.activate"]
    (who,) = {row["who"] for row in rows}
    assert who.startswith("ops/" if "SLUICE_KEY" in shell.env else "nightshift")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (lambda api: {"SLUICE_URL": "http://127.0.0.1:1", "SLUICE_KEY": "sk_x"}, "cannot be reached"),
        (lambda api: {"SLUICE_URL": api.server.url, "SLUICE_KEY": "sk_x"}, "No key like this one"),
        (lambda api: {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["acme"]}, "scope `plan`"),
        (lambda api: {"SLUICE_POSTGRES_URL": "postgresql://127.0.0.1:1/none"}, "PostgreSQL is away"),
        (lambda api: {"SLUICE_POSTGRES_URL": "mysql://x"}, "must begin with postgresql://"),
        (lambda api: {"SLUICE_DATA": "/nowhere"}, "set SLUICE_URL and SLUICE_KEY"),
    ],
    ids=["gateway away", "wrong key", "key without scope", "PostgreSQL away", "wrong URL", "nothing known"],
)
async def test_what_cannot_be_reached_is_a_sentence_and_no_traceback(
    api: Api, tmp_path: Path, env: Callable[[Api], dict[str, str]], words: str
) -> None:
    code = 2 if "mysql" in str(env(api)) else 1
    output = (await Shell(tmp_path, env(api)).run("history", exit_code=code)).output
    assert output.startswith("Error: ") and words in output and "Traceback" not in output


async def test_a_plan_that_redis_did_not_take_is_told_to_be_late(api: Api, tmp_path: Path) -> None:
    away = {"SLUICE_POSTGRES_URL": api.settings.postgres_url, "SLUICE_REDIS_URL": "redis://127.0.0.1:1"}
    shell = Shell(tmp_path, away)
    output = (await shell.run("apply", shell.file(SAMPLE), "--activate", exit_code=1)).output
    assert "Redis did not take the plan" in output
