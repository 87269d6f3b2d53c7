"""Carriers' webhooks at the API: kept in Redis, then answered; refused without a proof; on their own address."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.events import Came, Received, unpack_facts
from gateway.message import id_text
from gateway.plan.choice import Compiled
from gateway.provider_modules import check_whole
from gateway.streams import asks, facts
from tests.api_server import Api, running

TOKEN = "s3cret-word-of-acme"
PLAN = """
[[carrier]]
name = "acme"
provider = "http_json"
[carrier.settings]
url = "http://127.0.0.1:1/sms"
auth = { kind = "bearer", token = { env = "NOBODY_SET_THIS" } }
body = { to = "{to}" }
[carrier.settings.callbacks]
proof = { kind = "path", token = { env = "ACME_TOKEN" } }
reply = { body = "ACK/Acme" }
receipts = { list = "/reports", message_id = "/id", state = "/status", recipient = "/to", when = { at = "/status" } }
inbound = { list = "/reports", sender = "/from", text = "/text" }

[[carrier]]
name = "blind"
provider = "http_json"
settings = { url = "http://127.0.0.1:1/sms", body = { to = "{to}" } }

[[carrier]]
name = "lost"
provider = "http_json"
[carrier.settings]
url = "http://127.0.0.1:1/sms"
body = {}
[carrier.settings.callbacks]
proof = { kind = "header", name = "X-Token", token = { env = "NOBODY_SET_THIS" } }
receipts = { message_id = "/id", state = "/status" }

[[carrier]]
name = "hints"
provider = "smsaero"
[carrier.settings]
email = "shop@example.com"
api_key = { env = "NOBODY_SET_THIS" }
callback_token = { env = "ACME_TOKEN" }

[[operator]]
name = "all"
prefixes = [""]

[[route]]
name = "none"
carriers = []
"""


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    monkeypatch.setenv("ACME_TOKEN", TOKEN)
    checked = check_whole(PLAN)
    assert checked.plan is not None, checked.problems
    return Compiled(checked.plan, 1)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str, plan: Compiled) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as made:
        made.plan.compiled = plan
        yield made


REPORT = {"reports": [{"id": "m-1", "status": "DELIVRD", "to": "79161234567"}]}
GOOD = f"/v1/receipts/acme/{TOKEN}"


async def kept(api: Api) -> list[Any]:
    """The facts that are in Redis."""
    found = []
    for shard in range(api.redis.shards):
        for entry in await facts.read(api.redis.link(shard), shard, b"0-0", 100):
            found += unpack_facts(entry.facts) if entry.facts else []
    return found


async def test_a_report_is_kept_and_answered_as_the_carrier_wants(api: Api) -> None:
    said = await api.post(
        GOOD, REPORT | {"reports": [*REPORT["reports"], {"from": "79160000001", "text": "STOP"}]}, key=None
    )
    assert (said.status, said.body, said.headers["Content-Type"]) == (200, b"ACK/Acme", "text/plain")
    receipt, inbound = await kept(api)
    assert isinstance(receipt, Received) and isinstance(inbound, Came)
    assert (receipt.carrier, receipt.receipt.carrier_message_id, receipt.receipt.state) == ("acme", "m-1", "delivered")
    assert (inbound.carrier, inbound.inbound.sender, inbound.inbound.text) == ("acme", "79160000001", "STOP")


async def test_one_report_that_cannot_be_read_refuses_no_other_and_is_kept_raw(api: Api) -> None:
    bad: list[Any] = [{"status": "DELIVRD", "price": 7}, "no report at all"]
    said = await api.post(GOOD, {"reports": [bad[0], *REPORT["reports"], bad[1]]}, key=None)
    assert said.status == 200
    receipt, *damaged = await kept(api)
    assert isinstance(receipt, Received) and receipt.receipt.carrier_message_id == "m-1"
    assert all(isinstance(fact, Came) and not fact.inbound.sender and not fact.inbound.text for fact in damaged)
    assert sorted(json.dumps(json.loads(fact.inbound.raw)) for fact in damaged) == sorted(map(json.dumps, bad))
    assert (await api.post(GOOD, {"reports": bad}, key=None)).status == 400


async def test_a_hint_makes_the_carrier_be_asked_and_keeps_nothing(api: Api) -> None:
    reference = "018bcfe5-687b-4000-a4a7-f6d7b4d6e8c1"
    url = f"/v1/receipts/hints/{TOKEN}?ref={reference}-2-0&to=79161234567"
    assert (await api.post(url, {"id": 12345, "status": 1}, key=None)).status == 200
    (ask,) = await asks.take(api.redis, "hints", 10)
    assert (ask.kind, id_text(ask.message_id), ask.attempt) == ("query", reference, 2)
    assert [(unit.part, unit.sent.carrier_message_id, unit.sent.to) for unit in ask.units] == [
        (0, "12345", "79161234567")
    ]
    for other in (reference[:15] + "7fff" + reference[19:], "no-reference"):  # a shard that there is not, no message
        assert (await api.post(f"{url.partition('?')[0]}?ref={other}-1-0", {"id": 1}, key=None)).status == 200
    assert not await kept(api) and not await asks.take(api.redis, "hints", 10)


async def test_reports_that_come_together_are_all_kept(api: Api) -> None:
    asked = [api.post(GOOD, {"reports": [{"id": f"m-{n}", "status": "DELIVRD"}]}, key=None) for n in range(100)]
    assert {said.status for said in await asyncio.gather(*asked)} == {200}
    assert {fact.receipt.carrier_message_id for fact in await kept(api)} == {f"m-{n}" for n in range(100)}
    assert len(await facts.read(api.redis.link(0), 0, b"0-0", 1000)) < 100, "they share scripts"


async def test_what_two_shards_own_goes_to_both(valkey_url: str, postgres_url: str, plan: Compiled) -> None:
    async with running(valkey_url, postgres_url, shards=4) as api:
        api.plan.compiled = plan
        many = [{"id": f"m-{n}", "status": "DELIVRD", "to": f"7916123{n:04}"} for n in range(50)]
        assert (await api.post(GOOD, {"reports": many}, key=None)).status == 200
        assert len(await kept(api)) == 50
        shards = [len(await facts.read(api.redis.link(n), n, b"0-0", 10)) for n in range(4)]
        assert shards.count(0) < 3


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/receipts/nobody/x", REPORT, 404, "unknown_carrier"),
        ("/v1/receipts/blind", REPORT, 404, "unknown_carrier"),
        ("/v1/receipts/acme", REPORT, 401, "callback_unproven"),
        ("/v1/receipts/acme/wrong", REPORT, 403, "callback_refused"),
        (GOOD + "/more", REPORT, 404, "no_such_route"),
        (GOOD, {"reports": [{"id": "m-1"}]}, 200, ""),
        (GOOD, {"reports": [{"status": "DELIVRD"}]}, 400, "callback_unreadable"),
        (GOOD, [1], 400, "callback_unreadable"),
        ("/v1/receipts/lost", REPORT, 401, "callback_unproven"),
    ],
)
async def test_what_is_no_report_is_refused_and_keeps_nothing(
    api: Api, path: str, body: Any, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = await api.post(path, body, key=None)
    assert said.status == status
    if code:
        assert said.code == code
    assert not await kept(api)
    assert TOKEN.encode() not in said.body
    assert not [r for r in caplog.records if TOKEN in r.getMessage() + repr(r.__dict__)]


async def test_a_secret_that_this_process_cannot_read_opens_nothing(api: Api) -> None:
    for guess in ("", "secret", "NOBODY_SET_THIS"):
        said = await api.post(
            "/v1/receipts/lost", {"id": "1", "status": "DELIVRD"}, key=None, headers={"X-Token": guess}
        )
        assert said.status in (401, 403)


async def test_a_report_that_is_too_large_is_not_read(api: Api) -> None:
    said = await api.post(GOOD, {"reports": ["x" * (1 << 20)]}, key=None)
    assert (said.status, said.code) == (413, "too_large")
    unsized = await api.ask("POST", GOOD, key=None, data=_chunks(20))
    assert (unsized.status, unsized.code) == (413, "too_large")


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 65_536


async def test_a_carrier_is_asked_again_while_redis_is_away(
    own_valkey: Callable[..., Any], postgres_url: str, plan: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.desk.KEEP_S", 0.3)
    server = await own_valkey()
    async with running(server.url, postgres_url) as api:
        api.plan.compiled = plan
        await server.kill()
        said = await api.post(GOOD, REPORT, key=None)
        assert (said.status, said.code) == (503, "redis_away")
        await server.start()

        async def again() -> bool:
            return (await api.post(GOOD, REPORT, key=None)).status == 200

        async with asyncio.timeout(15):
            while not await again():
                await api.redis.link(0).up()


async def test_a_plan_that_changes_is_followed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.post(GOOD, REPORT, key=None)).status == 200
    changed = check_whole(PLAN.replace("ACK/Acme", "OK")).plan
    assert changed is not None
    api.plan.compiled = Compiled(changed, 2)
    assert (await api.post(GOOD, REPORT, key=None)).body == b"OK"
    api.plan.compiled = None
    assert (await api.post(GOOD, REPORT, key=None)).status == 404


@pytest.mark.parametrize("apart", [False, True])
async def test_webhooks_may_have_an_address_of_their_own(
    valkey_url: str, postgres_url: str, plan: Compiled, apart: bool
) -> None:
    settings = {"callbacks_listen": "127.0.0.1:0", "callbacks_apart": apart}
    async with running(valkey_url, postgres_url, **settings) as api:
        api.plan.compiled = plan
        async with api.http.post(api.server.callbacks + GOOD, data=json.dumps(REPORT)) as said:
            assert said.status == 200
        for path in ("/v1/messages", "/healthz", "/docs", "/metrics"):
            async with api.http.get(api.server.callbacks + path) as said:
                assert said.status == 404
        assert (await api.post(GOOD, REPORT, key=None)).status == (404 if apart else 200)
        assert (await api.get("/healthz", key=None)).status == 200
