"""Every magic number, side by side, through a whole gateway to a real sandbox: by SMPP and by HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from gateway.embedded.datadir import short_directory
from gateway.embedded.process import Process
from gateway.embedded.sandbox.magic import TABLE, Magic
from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.live import plan as live_plan
from gateway.live.keys import publish
from gateway.message import State, id_bytes
from gateway.provider import Reason
from gateway.receipts.expiry import expire
from gateway.store import keys, plans
from gateway.store.days import Days
from gateway.store.pool import Pool
from gateway.streams.link import Redis
from tests.callback_receiver import OK, Receiver, receiving

SPEED = 10
"""How much faster than real the sandbox's seconds pass."""
RUN_S = 60.0
LONG = "Three parts of which one does not arrive. " * 10
SMPP = """
[[carrier]]
name = "{name}"
provider = "smpp"
sandbox = {sandbox}

[carrier.settings]
host = "127.0.0.1"
port = {port}
system_id = "me"
password = {{ env = "CARRIER" }}
answer_timeout_s = 3
"""
WEB = """
[[carrier]]
name = "trial"
provider = "http_json"
sandbox = true

[carrier.settings]
url = "{url}/messages"
auth = {{ kind = "bearer", token = {{ env = "CARRIER" }} }}
answer_timeout_s = 3
message_id = "/id"
error_code = "/error/code"
errors = [
  {{ code = ["throttled"], reason = "throttled" }},
  {{ code = ["queue_full"], reason = "queue_full" }},
  {{ code = ["invalid_recipient"], reason = "invalid_recipient" }},
  {{ code = ["invalid_sender"], reason = "invalid_sender" }},
  {{ code = ["system_error"], reason = "temporary" }},
  {{ code = ["260"], reason = "invalid_content" }},
]

[carrier.settings.body]
to = "{{to}}"
from = "{{from}}"
text = "{{text}}"
reference = "{{reference}}"
callback = "{{callback_url}}"

[carrier.settings.callbacks]
proof = {{ kind = "path", token = {{ env = "CARRIER" }} }}

[carrier.settings.callbacks.receipts]
list = "/reports"
when = {{ at = "/status" }}
message_id = "/id"
state = "/status"
code = "/error"
codes = {{ 001 = "unknown_subscriber", 013 = "blocked", 027 = "unreachable", 032 = "handset" }}
recipient = "/to"
sender = "/from"

[carrier.settings.callbacks.inbound]
list = "/reports"
sender = "/from"
recipient = "/to"
text = "/text"
"""
ROUTES = """
[defaults]
currency = "RUB"
[[operator]]
name = "russia"
prefixes = ["7"]
[[operator]]
name = "britain"
prefixes = ["44"]
[[rate]]
carrier = "real"
price = "2.50"
[[rate]]
carrier = "trial"
price = "1.50"
[[route]]
name = "visitors"
clients = ["visitor"]
carriers = ["trial"]
[[route]]
name = "all"
carriers = ["real", "trial"]
"""


class World:
    """A gateway, a carrier that counts as real, one that is a sandbox, and an application."""

    def __init__(self, kind: str, url: str, pool: Pool, redis: Redis, app: Receiver, real: Smsc) -> None:
        self.kind, self.url, self.pool, self.redis, self.app, self.real = kind, url, pool, redis, app, real
        self.secrets: dict[str, str] = {}
        self.http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None, key: str = "test") -> Any:
        headers = {"Authorization": f"Bearer {self.secrets[key]}"}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def ready(self) -> bool:
        async with self.http.get(self.url + "/readyz") as response:
            return response.status == 200

    async def send(self, tos: list[Magic], key: str = "test") -> dict[str, Magic]:
        """Ids, each with its row of the table."""
        defaults = {"class": "transactional", "validity_s": 120, "meta": {"order": 1}}
        messages = [{"to": m.number, "text": LONG if m.second else "Hello"} for m in tos]
        answer = await self.ask("POST", "/v1/messages/batch", {"defaults": defaults, "messages": messages}, key)
        return {result["id"]: magic for result, magic in zip(answer["results"], tos, strict=True)}

    async def states(self, key: str = "test") -> dict[str, tuple[str, str | None]]:
        found = (await self.ask("GET", "/v1/messages?limit=500", key=key))["messages"]
        assert all(m.get("test", False) is (key == "test") for m in found)
        return {m["id"]: (m["state"], m["reason"]) for m in found}

    async def moments(self, message_id: str, event: str) -> list[Any]:
        timeline = (await self.ask("GET", f"/v1/messages/{message_id}"))["timeline"]
        return [moment for moment in timeline if moment["event"] == event]

    async def rows(self, sql: str) -> int:
        return int(await self.pool.fetchval(sql) or 0)


async def until(holds: Callable[[], Awaitable[object]], what: str, deadline_s: float = RUN_S) -> None:
    end = time.monotonic() + deadline_s
    while not await holds():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@asynccontextmanager
async def world(kind: str, valkey_url: str, postgres_url: str, tmp_path: Path) -> AsyncIterator[World]:
    real = Smsc({"me": "secret"}, make_profile({"magic": False}))
    trial = Smsc({"me": "secret"}, make_profile({"magic_speed": SPEED}))
    carriers = Sandbox(real), Sandbox(trial)
    any_port, port = ("127.0.0.1", 0), free_port()
    for carrier in carriers:
        await carrier.open(any_port, any_port, any_port)
    place = {"name": "real", "sandbox": "false", "port": carriers[0].smpp.rpartition(":")[2]}
    document = SMPP.format(**place)
    if kind == "smpp":
        document += SMPP.format(name="trial", sandbox="true", port=carriers[1].smpp.rpartition(":")[2])
    else:
        document += WEB.format(url=carriers[1].web)
    env = {
        "SLUICE_REDIS_URL": valkey_url,
        "SLUICE_POSTGRES_URL": postgres_url,
        "SLUICE_CALLBACKS_URL": f"http://127.0.0.1:{port}",
        "SLUICE_CALLBACKS_ALLOW": "127.0.0.0/8",
        "CARRIER": "secret",
    }
    run = short_directory(tmp_path / "run")
    argv = ("run", "--listen", f"127.0.0.1:{port}")
    process = Process("gateway", argv, env=env, log=tmp_path / "gateway.log", run=run, stop_s=20)
    pool, redis = await Pool.open(postgres_url, size=2), await Redis.open(valkey_url, 1)
    try:
        made = await live_plan.activate(pool, redis, await plans.draft(pool, document + ROUTES, who="test"), who="test")
        assert not isinstance(made, live_plan.Refused), made
        async with aiohttp.ClientSession() as http, receiving() as app:
            w = World(kind, f"http://127.0.0.1:{port}", pool, redis, app, real)
            w.http = http
            for name, client in (("test", "shop"), ("plain", "shop"), ("visitor", "visitor")):
                test = name == "test"
                _, w.secrets[name] = await keys.create_key(pool, client, who="t", test=test, scopes=keys.SCOPES)
            await publish(pool, redis)
            await process.start()
            await until(w.ready, "readiness")
            yield w
    finally:
        await process.stop()
        await redis.close()
        await pool.close()
        for carrier in carriers:
            await carrier.close()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("kind", ["smpp", "web"])
async def test_every_magic_number_ends_as_the_table_says_and_costs_nothing(
    kind: str, valkey_url: str, postgres_url: str, tmp_path: Path
) -> None:
    async with world(kind, valkey_url, postgres_url, tmp_path) as w:
        events = ["message." + state for state in ("delivered", "undeliverable", "rejected", "expired", "unknown")]
        made = await w.ask("POST", "/v1/endpoints", {"url": w.app.url, "events": events})
        began = time.monotonic()
        ids = await w.send(list(TABLE))
        contradicted = id_of(ids, "+447700900007")

        async def settled() -> bool:
            found = {i: state for i, (state, _) in (await w.states()).items()}
            if kind == "web" and found.get(contradicted) == "undeliverable":
                # A webhook that comes before its answer is written down waits a second for it, and the receipt that
                # contradicts it comes after 0.2 s here: then that one is the first.
                ids[contradicted] = replace(ids[contradicted], state=State.UNDELIVERABLE, reason=Reason.UNREACHABLE)
            return found == {i: m.stays or m.state for i, m in ids.items()}

        try:
            await until(settled, "every outcome")
        except AssertionError as e:
            found = await w.states()
            late = [i for i, m in ids.items() if found[i][0] != (m.stays or m.state)]
            told = [(ids[i].number, (await w.ask("GET", f"/v1/messages/{i}"))["timeline"]) for i in late]
            raise AssertionError(told) from e
        await contradiction_came(w, ids)
        assert time.monotonic() - began < RUN_S
        await see_what_was_odd(w, ids)
        await end_for_want_of_a_receipt(w, ids)
        found = await w.states()
        assert {ids[i].number: reason for i, (_, reason) in found.items()} == {m.number: m.reason for m in ids.values()}
        await hear_of_each_once(w, ids, made["secret"])
        await leave_no_trace_in_the_books(w)
        assert w.real.report()["submits"] == 0


async def contradiction_came(w: World, ids: dict[str, Magic]) -> None:
    """The last receipts change nothing, so nothing tells of them but the timelines and the inbox."""

    async def came() -> bool:
        odd = [len(await w.moments(id_of(ids, n), "receipt")) for n in ("+447700900005", "+447700900007")]
        return odd == [2, 2] and await w.rows("select count(*) from inbound") == 1

    await until(came, "doubled and contradicting receipts and the reply")


def id_of(ids: dict[str, Magic], number: str) -> str:
    (found,) = [i for i, magic in ids.items() if magic.number == number]
    return found


async def see_what_was_odd(w: World, ids: dict[str, Magic]) -> None:
    row = await w.pool.fetchrow("select sender, text, carrier from inbound")
    assert (row["sender"].lstrip("+"), row["text"], row["carrier"]) == ("447700900008", "YES", "trial")
    early = await w.pool.fetchrow(
        "select r.at, s.answered_at from receipts r join submissions s using (message_id) where message_id = $1",
        id_bytes(id_of(ids, "+447700900006")),
    )
    if w.kind == "smpp":  # a webhook comes on a connection of its own, and nothing says how fast
        assert early["at"] < early["answered_at"]
    slow = await w.pool.fetchrow(
        "select sent_at, answered_at from submissions where message_id = $1", id_bytes(id_of(ids, "+447700900004"))
    )
    assert seconds(slow["answered_at"]) - seconds(slow["sent_at"]) >= 2 / SPEED - 0.01
    late = await w.ask("GET", f"/v1/messages/{id_of(ids, '+447700900003')}")
    took = seconds(late["timeline"][-1]["at"]) - seconds(late["accepted_at"])
    assert took >= 30 / SPEED
    again = await w.moments(id_of(ids, "+447700900303"), "submitted")
    assert [moment["attempt"] for moment in again][-1:] == [2], again


def seconds(at: Any) -> float:
    if isinstance(at, str):
        return datetime.fromisoformat(at).timestamp()
    return float(at.timestamp()) if isinstance(at, datetime) else at / 1000


async def end_for_want_of_a_receipt(w: World, ids: dict[str, Magic]) -> None:
    """What the receipts stage does once validity and grace are over."""
    days, wanted = Days(w.pool), {i for i, magic in ids.items() if magic.stays}

    async def ended() -> bool:
        await expire(w.pool, days, w.redis.clock_ms() + 600_000, 0)
        found = await w.states()
        return all(found[i][0] == ids[i].state for i in wanted)

    await until(ended, "what has no receipt to expire")


async def hear_of_each_once(w: World, ids: dict[str, Magic], secret: str) -> None:
    """One event of the end of each, signed; those that this test ended itself had nobody to tell."""
    wanted = {(i, m.stays or m.state) for i, m in ids.items() if m.stays != "submitted"}
    await w.app.until(lambda: {(e["data"]["id"], e["data"]["state"]) for e in w.app.events} >= wanted)
    heard = [(e["data"]["id"], e["data"]["state"]) for e in w.app.events]
    assert sorted(heard) == sorted(wanted)
    assert all(e["data"]["test"] is True and e["data"]["meta"] == {"order": 1} for e in w.app.events)
    for request in w.app.requests:
        assert Webhook(secret).verify(request.body, request.headers) == json.loads(request.body)


async def leave_no_trace_in_the_books(w: World) -> None:
    for table in ("stats_minute", "stats_hour", "bi.messages"):
        assert await w.rows(f"select count(*) from {table}") == 0, table
    assert await w.rows("select count(*) from messages where not test or cost_micro <> 0 or price_micro <> 0") == 0
    assert await w.rows("select count(*) from submissions where price_micro <> 0") == 0
    assert await w.rows("select count(*) from submissions where carrier <> 'trial'") == 0


async def test_to_a_real_carrier_a_magic_number_is_a_number_and_the_sandbox_plays_it_for_any_key(
    valkey_url: str, postgres_url: str, tmp_path: Path
) -> None:
    (barred,) = [magic for magic in TABLE if magic.number == "+447700900103"]
    async with world("smpp", valkey_url, postgres_url, tmp_path) as w:
        (plain,), (visitor,) = await w.send([barred], "plain"), await w.send([barred], "visitor")

        async def ended() -> bool:
            states = await w.states("plain") | await w.states("visitor")
            return states == {plain: ("delivered", None), visitor: ("undeliverable", "blocked")}

        await until(ended, "both")
        assert await w.rows("select sum(cost_micro) from messages") == 4_000_000
        assert w.real.report()["submits"] == 1


async def test_an_event_of_a_test_message_that_comes_again_is_the_same_to_the_byte(
    valkey_url: str, postgres_url: str, tmp_path: Path
) -> None:
    async with world("smpp", valkey_url, postgres_url, tmp_path) as w:
        refusal = b"HTTP/1.1 500 Said\r\nContent-Length: 0\r\n\r\n"
        w.app.answer = lambda request: refusal if len(w.app.requests) < 3 else OK
        await w.ask("POST", "/v1/messages", {"to": TABLE[0].number, "text": "Hello", "callback_url": w.app.url})

        async def told_three_times() -> bool:
            await w.pool.execute("update callbacks set next_try_at = now() where done_at is null")
            return len(w.app.requests) == 3

        await until(told_three_times, "two repeats")
        assert len({request.body for request in w.app.requests}) == 1
        assert w.app.events[2]["data"]["test"] is True
