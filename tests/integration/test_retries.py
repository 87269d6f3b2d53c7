"""Failed messages are sent again once; receipts and submissions that nobody can place are listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.events import Ended
from gateway.message import id_bytes, id_text
from gateway.receipts.retry import GIVE_UP_MS, retry
from gateway.store import retries
from gateway.store.days import Days
from gateway.store.pool import StoreAwayError
from tests.api_server import Api, running
from tests.ledger_bench import Bench, message, receipt, rollups_equal_rows, submitted

SINCE = (datetime.now(UTC) - timedelta(hours=1)).isoformat()


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url, shards=1) as api:
        yield api


@pytest.fixture
async def bench(api: Api) -> AsyncIterator[Bench]:
    bench = Bench(api.redis, api.pool)
    task = bench.start()
    yield bench
    await bench.stop(task)


async def failed(bench: Bench, n: int, reason: str = "no_carrier", **given: Any) -> bytes:
    one = bench.message_id()
    await bench.accept((one, message(n, client="acme", **given)))
    await bench.tell(Ended(one, "failed", reason))
    return one


async def again(api: Api, **given: Any) -> Any:
    answer = await api.post("/v1/messages/retry", {"reason": "no_carrier", "since": SINCE, **given}, key="ops")
    assert answer.status == 200, answer.json
    return answer.json


async def test_what_failed_is_sent_again_once_and_linked_to_the_first(api: Api, bench: Bench) -> None:
    ones = [await failed(bench, n, ref=f"r{n}", tag="spring", validity_s=600) for n in range(3)]
    await failed(bench, 3, reason="no_route")
    await failed(bench, 4, test=True)
    await bench.until_recorded()
    assert (await again(api, dry_run=True)) == {"found": 3, "retried": [], "more": False}
    assert (await again(api, client="nobody"))["found"] == 0
    assert (await again(api, states=["expired"]))["found"] == 0
    done = await again(api, limit=2)
    assert done["more"]
    done["retried"] += (await again(api, limit=2))["retried"]
    refs = {id_text(one): f"r{n}" for n, one in enumerate(ones)}  # those of one millisecond are in any order
    assert [pair["first"] for pair in done["retried"]] == sorted(refs)
    assert (await again(api))["found"] == 0
    await bench.until_recorded()
    first, new = done["retried"][0]["first"], done["retried"][0]["id"]
    made = (await api.get(f"/v1/messages/{new}")).json
    assert (made["state"], made["ref"], made["tag"], made["validity_s"]) == ("accepted", refs[first], "spring", 600)
    assert made["retry_of"] == first
    assert (await api.get(f"/v1/messages/{first}")).json["retried_as"] == new
    shown = await asyncio.to_thread(
        CliRunner().invoke, main, ["trace", new], env={"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["acme"]}
    )
    assert f"again of  {first}" in shown.output
    await bench.tell(*(Ended(id_bytes(pair["id"]), "failed", "no_carrier") for pair in done["retried"]))
    await bench.until_recorded()
    assert (await again(api))["found"] == 0, "what was sent again is not taken a second time"
    await rollups_equal_rows(bench)


async def test_who_dies_in_between_leaves_nothing_that_is_sent_twice(
    api: Api, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await failed(bench, n)
    await bench.until_recorded()
    finish = retries.finish

    async def away(*_: Any) -> None:
        raise StoreAwayError("PostgreSQL is away")

    monkeypatch.setattr(retries, "finish", away)
    answer = await api.post("/v1/messages/retry", {"reason": "no_carrier", "since": SINCE}, key="ops")
    assert answer.status == 503
    await bench.until_recorded()
    made = {row["id"] for row in await api.pool.fetch("select id from messages where state = 'accepted'")}
    assert len(made) == 5
    monkeypatch.setattr(retries, "finish", finish)
    done = await again(api)
    assert {id_bytes(pair["id"]) for pair in done["retried"]} == made
    await bench.until_recorded()
    assert await bench.value("select count(*) from messages") == 10
    assert (await again(api))["found"] == 0


async def test_a_claim_that_is_too_old_to_be_repeated_safely_is_left_alone(api: Api, bench: Bench) -> None:
    await failed(bench, 1)
    await bench.until_recorded()
    await api.pool.fetch(
        "insert into retries (first_id, at, by, reason) select id, now() - interval '71 hours', 'ann', 'no_carrier'"
        " from messages"
    )
    assert (await again(api))["found"] == 0


async def test_a_wrong_request_and_a_key_without_the_scope_are_refused(api: Api) -> None:
    for body in ({"since": SINCE}, {"reason": "x", "since": "today"}, {"reason": "x", "since": SINCE, "limit": 501}):
        assert (await api.post("/v1/messages/retry", body, key="ops")).status == 422
    assert (await api.post("/v1/messages/retry", {"reason": "x", "since": SINCE})).code == "scope_missing"
    assert (await api.get("/v1/orphans?since=x", key="ops")).status == 422


async def test_orphans_and_uncertain_submissions_are_listed_until_they_are_settled(api: Api, bench: Bench) -> None:
    now, one = bench.redis.clock_ms(), bench.message_id()
    await bench.accept((one, message(1, client="acme")))
    await bench.tell(
        submitted(one, "", kind=3, reason="no_answer", sent_ms=now),
        receipt("foreign", at_ms=now, recipient="79160000009", sender="Sluice"),
    )
    await bench.until_recorded()
    env = {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]}

    async def listed(what: str, *options: str) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, main, ["messages", what, *options, "--json"], env=env)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    (orphan,) = await listed("orphans")
    assert (orphan["carrier_message_id"], orphan["to"], orphan["waiting"]) == ("foreign", "79160000009", True)
    (doubt,) = await listed("uncertain", "--carrier", "alpha")
    assert (doubt["id"], doubt["reason"], doubt["client"]) == (id_text(one), "no_answer", "acme")
    assert await listed("uncertain", "--carrier", "beta") == []
    await retry(bench.pool, Days(bench.pool), now + GIVE_UP_MS + 1)
    (orphan,) = await listed("orphans")
    assert not orphan["waiting"]
    await api.make_key("watch", "acme", scopes=("ops",))
    masked = (await api.get("/v1/orphans", key="watch")).json["orphans"][0]
    assert "*" in masked["to"]
    assert await bench.value("select count(*) from bi.orphans") == 1
    assert await bench.value("select message_id from bi.uncertain") == one
    assert await listed("uncertain", "--open") == [doubt]
    for final, open_ones in (("now()", []), ("null", [doubt])):
        await bench.pool.execute(f"update messages set final_at = {final}")
        assert await listed("uncertain") == [doubt] and await listed("uncertain", "--open") == open_ones
    await bench.tell(submitted(one, "c9", sent_ms=now, late=True))
    await bench.until_recorded()
    assert await listed("uncertain") == []


async def test_the_command_sends_again_in_rounds_and_says_how_many(api: Api, bench: Bench) -> None:
    for n in range(3):
        await failed(bench, n)
    await bench.until_recorded()
    env = {"SLUICE_URL": api.server.url, "SLUICE_KEY": api.secrets["ops"]}

    async def run(*options: str) -> str:
        words = ["messages", "retry", "--reason", "no_carrier", "--since", "2h", *options]
        result = await asyncio.to_thread(CliRunner().invoke, main, words, env=env)
        assert result.exit_code == 0, result.output
        return result.output

    assert await run("--dry-run") == "3 would be sent again.\n"
    assert (await run()).endswith("3 sent again.\n")
    assert await run() == "0 sent again.\n"
