"""`sluice send`, `trace`, `stats`, `carriers` and `keys` against a real server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.events import Ended, pack_facts
from gateway.message import id_bytes
from gateway.recorder.recorder import run_recorder
from gateway.streams import carriers, facts
from tests.api_server import Api, running

Sluice = Callable[..., Awaitable[Result]]


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        recorder = asyncio.create_task(run_recorder(api.settings, api.redis, api.pool, 0, "test"), name="recorder")
        yield api
        recorder.cancel()
        await asyncio.wait([recorder])


@pytest.fixture
def sluice(api: Api, monkeypatch: pytest.MonkeyPatch) -> Sluice:
    monkeypatch.setenv("SLUICE_URL", api.server.url)
    monkeypatch.delenv("SLUICE_POSTGRES_URL", raising=False)

    async def run(*arguments: str, key: str = "acme", given: str | None = None) -> Result:
        monkeypatch.setenv("SLUICE_KEY", api.secrets.get(key, key))
        return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), given)

    return run


async def end(api: Api, message_id: str, state: str, reason: str) -> None:
    await facts.append(api.redis.link(0), 0, pack_facts([Ended(id_bytes(message_id), state, reason, 0, "test")]))


async def search_until(sluice: Sluice, what: str, holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(20):
        while True:
            r = await sluice("trace", what, "--json")
            if r.exit_code == 0 and holds(json.loads(r.stdout)):
                return json.loads(r.stdout)
            await asyncio.sleep(0.02)


async def test_send_prints_id_and_state_and_trace_shows_it(sluice: Sluice) -> None:
    r = await sluice("send", "+79161234567", "Hello", "--class", "otp", "--from", "MyShop", "--ref", "r-1")
    assert r.exit_code == 0, r.output
    message_id, state, *_ = r.stdout.split()
    assert state == "accepted" and "1 part, gsm7" in r.stdout
    r = await sluice("trace", message_id)
    assert r.exit_code == 0, r.output
    assert message_id in r.stdout and "+79161234567 from MyShop, otp" in r.stdout and "'Hello'" in r.stdout
    r = await sluice(
        "send", "--to", "8 916 123-45-67", "--text", "Hello", "--class", "otp", "--ref", "r-1", "--from", "MyShop"
    )
    assert message_id in r.stdout and "sent before" in r.stdout


async def test_a_message_is_traced_by_ref_and_by_number(sluice: Sluice) -> None:
    ids = []
    for n in range(2):
        r = await sluice("send", "+79161234567", "-", "--ref", f"order {n}", "--json", given="from a pipe\n")
        ids.append(json.loads(r.stdout)["id"])
    found = await search_until(sluice, "+7 916 123-45-67", lambda page: len(page["messages"]) == 2)
    assert [m["id"] for m in found["messages"]] == ids[::-1]
    assert found["messages"][0]["text"] == "from a pipe"
    found = await search_until(sluice, "order 0", lambda page: bool(page["messages"]))
    assert [m["id"] for m in found["messages"]] == ids[:1] and found["messages"][0]["timeline"]
    r = await sluice("trace", "8 916 123 45 67")
    assert all(i in r.stdout for i in ids) and "accepted" in r.stdout


async def process(*arguments: str) -> tuple[int, str]:
    """The command as a process of its own: exit code and output."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, output.decode()


async def test_send_waits_for_the_end_and_tells_by_its_exit_code(api: Api, sluice: Sluice) -> None:
    await sluice("stats")  # the key of the environment
    waiting = asyncio.create_task(process("send", "+79161234567", "Hello", "--ref", "w", "--wait"))
    found = await search_until(sluice, "w", lambda page: bool(page["messages"]))
    await end(api, found["messages"][0]["id"], "failed", "no_route")
    code, output = await waiting
    assert code == 3, output
    assert "ended" in output and "failed: no route of the plan takes this message" in output
    r = await sluice("send", "+79161234567", "Hello", "--wait", "--timeout", "0.1")
    assert r.exit_code == 1 and "after 0.1 s it is accepted" in r.output


async def test_stats_are_a_table_or_json(sluice: Sluice) -> None:
    await sluice("send", "+79161234567", "Hello", "--class", "otp", "--tag", "spring")
    async with asyncio.timeout(20):
        while "otp" not in (r := await sluice("stats")).stdout:
            assert r.exit_code == 0, r.output
    assert "accepted" in r.stdout
    r = await sluice("stats", "--by", "tag", "--step", "hour", "--since", "7d", "--json")
    assert [(g["tag"], g["messages"]) for g in json.loads(r.stdout)["groups"]] == [("spring", 1)]
    assert "spring" in (await sluice("stats", "--by", "tag", "--class", "otp")).stdout
    r = await sluice("stats", "--by", "tag", "--class", "alert")
    assert r.exit_code == 0 and "Nothing was sent" in r.stdout
    r = await sluice("stats", "--by", "tag,class", "--csv")
    assert r.stdout.splitlines()[1] == "spring,otp,1,0,0,0,1,1,,,"
    assert (await sluice("stats", "--by", "colour")).exit_code == 2
    r = await sluice("stats", "--since", "yesterday")
    assert r.exit_code == 1 and "Request id: " in r.output and "(since)" in r.output


async def test_carriers_are_listed_and_paused(api: Api, sluice: Sluice) -> None:
    link = {"bind": "a", "state": "bound", "since_ms": 0, "error": "", "in_flight": 3, "window": 10}
    status = {"at_ms": api.redis.clock_ms() + 60_000, "live": True, "mode": "running", "links": [link]}
    await carriers.report(api.redis, "north", status | {"limited_by": "window", "answer_ms": 900.0})
    r = await sluice("carriers", "check", "north", key="ops")
    assert r.exit_code == 0 and "Its windows are full (3 of 10) and it answers after 900 ms" in r.stdout, r.output
    r = await sluice("carriers", key="ops")
    assert "north" in r.stdout and "1 of 1 up" in r.stdout and "window" in r.stdout
    for verb, mode in (("pause", "paused"), ("drain", "draining"), ("resume", "running")):
        r = await sluice("carriers", verb, "north", key="ops")
        assert r.stdout == f"north is {mode}.\n"
    assert (await sluice("carriers", "pause", "north", key="ops")).exit_code == 0
    r = await sluice("carriers", "check", "north", "--json", key="ops")
    assert r.exit_code == 3 and "sluice carriers resume north" in json.loads(r.stdout)["sentence"]
    r = await sluice("carriers", "check", "west", key="ops")
    assert r.exit_code == 1 and "known are: north" in r.output
    r = await sluice("carriers", "pause", "west", key="ops")
    assert r.exit_code == 1 and "known are: north" in r.output
    assert json.loads((await sluice("carriers", "--json", key="ops")).stdout)["carriers"][0]["name"] == "north"


async def test_top_shows_what_goes_on_once_or_line_by_line(
    api: Api, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sluice("send", "+79161234567", "Hello", "--class", "otp")
    r = await sluice("top", "--once", "--interval", "0.2", key="ops")
    assert r.exit_code == 0, r.output
    for words in ("accepted=", "limit: ", "process", "api", "Redis ", "plan version"):
        assert words in r.stdout
    pages = ("--metrics", f"here={api.server.url}/metrics", "--metrics", "http://127.0.0.1:9/metrics")
    r = await sluice("top", "--once", "--json", "--interval", "0.2", *pages, key="ops")
    said = json.loads(r.stdout)
    assert [(p["name"], bool(p["error"])) for p in said["processes"]] == [("here", False), ("127.0.0.1:9", True)]
    assert said["limit"]["what"] and said["rates"]["accepted"] is not None and said["refusal"] == ""
    assert "`ops`" in json.loads((await sluice("top", "--once", "--json", "--interval", "0.2")).stdout)["refusal"]
    monkeypatch.setenv("SLUICE_URL", "http://127.0.0.1:9")
    r = await sluice("top", "--once", "--interval", "0.2")
    assert r.exit_code == 1 and "no process answers: http://127.0.0.1:9 cannot be reached" in r.output


async def test_quotas_are_set_shown_and_taken_away(api: Api, sluice: Sluice) -> None:
    r = await sluice("keys", "quota", "acme", "--per-second", "100", "--burst", "500", "--json", key="ops")
    assert (json.loads(r.stdout)["messages_per_s"], json.loads(r.stdout)["burst"]) == (100, 500)
    shown = (await sluice("keys", "quota", key="ops")).stdout.splitlines()
    assert [line.split() for line in shown if line.startswith("acme")] == [["acme", "100", "500", "1"]]
    assert "no limit" in (await sluice("keys", "quota", "acme", "--per-second", "0", key="ops")).stdout
    assert "by the settings" in (await sluice("keys", "quota", "acme", "--default", key="ops")).stdout
    for arguments, words in (
        (("acme",), "--per-second N"),
        (("acme", "--default", "--per-second", "5"), "--per-second N"),
        (("--per-second", "5"), "quota CLIENT"),
        (("nobody", "--default"), "no such client"),
        (("acme", "--per-second", "-1"), "messages_per_s"),
    ):
        r = await sluice("keys", "quota", *arguments, key="ops")
        assert r.exit_code and words in r.output, arguments


@pytest.mark.parametrize("by_servers", [False, True])
async def test_a_key_is_made_works_is_listed_and_revoked(
    api: Api, sluice: Sluice, monkeypatch: pytest.MonkeyPatch, by_servers: bool
) -> None:
    if by_servers:
        monkeypatch.setenv("SLUICE_POSTGRES_URL", api.settings.postgres_url)
        monkeypatch.setenv("SLUICE_REDIS_URL", api.settings.redis_url)
    made = ("keys", "create", "--client", "shop", "--scopes", "read", "--name", "mobile", "--expires", "90d")
    r = await sluice(*made, "--networks", "127.0.0.0/8", key="ops")
    assert r.exit_code == 0, r.output
    secret = r.stdout.strip()
    assert secret.startswith("sk_") and "\n" not in secret
    works = await api.get("/v1/messages", key=secret)
    assert works.status == 200, works.json
    r = await sluice("keys", "list", "--json", key="ops")
    key = next(k for k in json.loads(r.stdout)["keys"] if k["client"] == "shop")
    assert (key["scopes"], key["networks"], key["name"]) == (["read"], ["127.0.0.0/8"], "mobile")
    assert secret not in r.output
    assert "works" in (await sluice("keys", "list", key="ops")).stdout
    r = await sluice("keys", "revoke", key["id"], key="ops")
    assert r.exit_code == 0 and "is revoked" in r.stdout
    async with asyncio.timeout(30):
        while (await api.get("/v1/messages", key=secret)).status != 401:
            pass
    assert "revoked" in (await sluice("keys", "list", key="ops")).stdout
    for bad, said in (
        (("keys", "revoke", "key_none"), "there is no"),
        (("keys", "create", "--client", "Big Shop"), "client's name"),
        (("keys", "create", "--client", "shop", "--expires", "soon"), "90d"),
    ):
        r = await sluice(*bad, key="ops")
        assert r.exit_code != 0 and said in r.output.lower()


async def test_what_goes_wrong_is_a_sentence_and_what_to_do(
    api: Api, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, said in (
        (("send", "12", "Hello"), "(/to)"),
        (("trace", "0190f8a4-7c30-7000-8000-000000000000"), "No message of yours has this id"),
        (("trace", "nothing"), "nothing of yours was found"),
        (("trace", "12345"), "nothing of yours was found"),
        (("carriers",), "`ops`"),
    ):
        r = await sluice(*arguments)
        assert r.exit_code == 1 and r.output.startswith("Error: ") and said in r.output, r.output
    assert (await sluice("send", "+79161234567")).exit_code == 2
    r = await sluice("stats", key="sk_wrong")
    assert r.exit_code == 1 and "sk_wrong" not in r.output and "No key like this" in r.output
    monkeypatch.setenv("SLUICE_URL", "http://127.0.0.1:9")
    r = await sluice("stats")
    assert (
        r.exit_code == 1
        and "http://127.0.0.1:9 cannot be reached: Connection refused" in r.output
        and "/readyz" in r.output
    )
    monkeypatch.setenv("SLUICE_URL", "ftp://127.0.0.1")
    assert "must begin with http" in (await sluice("stats")).output
