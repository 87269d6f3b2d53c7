"""Who may do what, what every response carries, and the pages that need no key."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from importlib import resources

import pytest

from gateway.api.endpoints import TABLE as ROUTES
from gateway.api.problems import Code
from gateway.live.keys import MIRROR, publish
from gateway.message import id_bytes
from gateway.plan.check import check
from gateway.plan.choice import Compiled
from gateway.store import keys
from gateway.streams import carriers, lookup
from gateway.streams.mirror import Mirror
from tests.api_server import Api, running

MESSAGE = {"to": "+79161234567", "text": "Your code is 4711", "class": "otp"}
PLAN = """
[[carrier]]
name = "north"
provider = "smpp"
sandbox = {sandbox}
settings = {{ host = "127.0.0.1", port = 2775, system_id = "a", password = {{ env = "NORTH" }} }}

[[operator]]
name = "rest"
prefixes = [""]

[[rate]]
carrier = "north"
price = "0.10"
currency = "RUB"

[[route]]
name = "rest"
carriers = ["north"]
"""


def plan_of(sandbox: bool) -> Compiled:
    found = check(PLAN.format(sandbox=str(sandbox).lower()))
    assert found.plan is not None, found.problems
    return Compiled(found.plan, 1)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "no_key"),
        ({"Authorization": "Basic abc"}, "no_key"),
        ({"Authorization": "Bearer"}, "no_key"),
        ({"Authorization": "Bearer sk_wrong"}, "wrong_key"),
        ({"Authorization": "Bearer \xff\xfe"}, "wrong_key"),
    ],
)
async def test_without_a_key_that_works_everything_is_401(api: Api, headers: dict[str, str], code: str) -> None:
    for route in ROUTES.routes:
        if route.scope is None:
            continue
        path = route.path.replace("{id}", "x").replace("{name}", "x").replace("{version}", "1")
        r = await api.ask(route.method, path, key=None, headers=headers)
        assert (r.status, r.code) == (401, code), route
        assert r.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_route_asks_for_its_scope(api: Api) -> None:
    await api.make_key("none", "acme", scopes=())
    for route in ROUTES.routes:
        if route.scope is None:
            continue
        path = route.path.replace("{id}", "x").replace("{name}", "x").replace("{version}", "1")
        r = await api.ask(route.method, path, key="none")
        assert (r.status, r.code) == (403, "scope_missing"), route
        assert all(f"`{scope}`" in r.json["detail"] for scope in route.scope.split(" "))


async def test_a_class_that_the_key_may_not_send_is_403(api: Api) -> None:
    await api.make_key("otp", "acme", classes=("otp",))
    assert (await api.post("/v1/messages", MESSAGE, key="otp")).status == 202
    r = await api.post("/v1/messages", MESSAGE | {"class": "marketing"}, key="otp")
    assert (r.status, r.code, r.json["pointer"]) == (403, "class_not_allowed", "/class")
    r = await api.post("/v1/messages", {"to": MESSAGE["to"], "text": "x"}, key="otp")
    assert (r.status, r.code) == (403, "class_not_allowed")
    batch = {"messages": [MESSAGE, MESSAGE | {"class": "alert"}], "defaults": {"from": "MyShop"}}
    r = await api.post("/v1/messages/batch", batch, key="otp")
    assert [x.get("code") for x in r.json["results"]] == [None, "class_not_allowed"]


async def test_a_revoked_key_stops_within_a_second_and_a_new_one_works_at_once(api: Api) -> None:
    took = [await _revoked_after(api, f"young {n}") for n in range(3)]
    assert min(took) < 1, took  # a busy machine may be late once


async def _revoked_after(api: Api, name: str) -> float:
    key_id = await api.make_key(name, "acme")
    assert (await api.get("/v1/messages", key=name)).status == 200
    assert await keys.revoke_key(api.pool, key_id, who="test")
    assert not await keys.revoke_key(api.pool, key_id, who="test")
    await publish(api.pool, api.redis)
    began = time.monotonic()
    while (r := await api.get("/v1/messages", key=name)).status == 200:
        assert time.monotonic() < began + 30
    assert (r.status, r.code) == (401, "wrong_key")
    return time.monotonic() - began


async def test_an_expired_key_is_401(api: Api) -> None:
    await api.make_key("short", "acme", expires_ms=int(time.time() * 1000) + 700)
    async with asyncio.timeout(30):
        while (r := await api.get("/v1/messages", key="short")).status == 200:
            pass
    assert (r.status, r.code) == (401, "key_expired")


async def test_a_key_for_a_network_works_only_from_there(api: Api) -> None:
    await api.make_key("near", "acme", networks=("127.0.0.0/8", "::1/128"))
    await api.make_key("far", "acme", networks=("10.0.0.0/8",))
    assert (await api.get("/v1/messages", key="near")).status == 200
    r = await api.get("/v1/messages", key="far", headers={"X-Forwarded-For": "10.1.1.1"})
    assert (r.status, r.code) == (403, "address_not_allowed")


async def test_behind_a_trusted_proxy_the_callers_address_counts(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url, trusted_proxies=("127.0.0.0/8", "192.0.2.0/24")) as api:
        await api.make_key("far", "acme", networks=("10.0.0.0/8",))
        for forwarded, status in (
            ("10.1.1.1", 200),
            ("10.1.1.1, 192.0.2.7", 200),
            ("10.1.1.1, 203.0.113.9", 403),
            ("203.0.113.9", 403),
            ("nonsense", 403),
        ):
            r = await api.get("/v1/messages", key="far", headers={"X-Forwarded-For": forwarded})
            assert r.status == status, forwarded


async def test_a_test_key_sends_only_where_the_plan_has_a_sandbox(api: Api) -> None:
    await api.make_key("test", "acme", test=True)
    assert api.secrets["test"].startswith("sk_test_")
    for sandbox, status in ((None, 403), (False, 403), (True, 202)):
        api.plan.compiled = None if sandbox is None else plan_of(sandbox)
        r = await api.post("/v1/messages", MESSAGE, key="test")
        assert r.status == status
        if status == 403:
            assert r.code == "test_key"
    found = await lookup.find(api.redis, id_bytes(r.json["id"]))
    assert found is not None and found[0].test


async def test_keys_are_kept_only_as_hashes(api: Api) -> None:
    stored = str(await api.pool.fetch("select * from keys")) + str(await api.pool.fetch("select * from audit"))
    mirrored = await Mirror(api.redis).get(MIRROR)
    assert mirrored is not None
    for secret in api.secrets.values():
        assert secret not in stored and secret.encode() not in mirrored[1]
    assert "key.create" in stored
    assert repr(api.settings) and all(s not in repr(keys.unpack(mirrored[1])) for s in api.secrets.values())


@pytest.mark.parametrize(
    "given",
    [
        {"client": "Big Name"},
        {"client": "a:b"},
        {"client": "acme", "scopes": ("sending",)},
        {"client": "acme", "classes": ("sms",)},
        {"client": "acme", "networks": ("10.0.0.1/8",)},
        {"client": "acme", "expires_ms": 1},
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(api: Api, given: dict[str, object]) -> None:
    with pytest.raises(keys.KeyRefusedError):
        await keys.create_key(api.pool, who="test", **given)  # type: ignore[arg-type]


async def test_an_unreadable_mirror_leaves_the_old_keys_at_work(api: Api) -> None:
    assert (await api.get("/v1/messages")).status == 200
    found = await Mirror(api.redis).get(MIRROR)
    assert found is not None
    await Mirror(api.redis).put(MIRROR, found[0] + 1, b"\x09nonsense")
    assert (await api.get("/v1/messages", key="sk_wrong")).status == 401  # looks at the mirror anew
    assert (await api.get("/v1/messages")).status == 200


async def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    r = await api.get("/v1/nothing")
    assert (r.status, r.code) == (404, "no_such_route")
    r = await api.ask("DELETE", "/v1/messages")
    assert (r.status, r.code, r.headers["Allow"]) == (405, "method_not_allowed", "GET, POST")
    r = await api.ask("HEAD", "/healthz", key=None)
    assert (r.status, r.body) == (200, b"")
    r = await api.ask("PUT", "/v1/messages/x/cancel")
    assert (r.status, r.headers["Allow"]) == (405, "POST")


async def test_every_response_has_the_request_id_that_was_given_or_one_of_its_own(api: Api) -> None:
    own = [(await api.get(path, key=None)).headers["X-Request-Id"] for path in ("/v1/messages", "/healthz", "/x")]
    assert len(set(own)) == 3
    r = await api.get("/v1/nothing", headers={"X-Request-Id": "abc-1"})
    assert r.headers["X-Request-Id"] == r.json["request_id"] == "abc-1"
    r = await api.get("/healthz", headers={"X-Request-Id": "a b" * 100})
    assert r.headers["X-Request-Id"] != "a b" * 100


async def test_a_traceparent_that_is_none_is_left_out(api: Api) -> None:
    for given in ("nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{'1' * 32}-b7ad6b7169203331-01"):
        sent = await api.post("/v1/messages", MESSAGE, headers={"traceparent": given})
        found = await lookup.find(api.redis, id_bytes(sent.json["id"]))
        assert found is not None and found[0].traceparent == ""


async def test_readiness_names_what_is_missing(api: Api) -> None:
    assert (await api.get("/healthz", key=None)).json["status"] == "ok"
    await api.get("/v1/messages")
    assert (await api.get("/readyz", key=None)).status == 200
    api.checks.add("redis", lambda: "away")
    r = await api.get("/readyz", key=None)
    assert (r.status, r.json["ready"], r.json["checks"]["redis"]) == (503, False, "away")


async def test_metrics_count_requests_and_messages_without_numbers(api: Api) -> None:
    await api.post("/v1/messages", MESSAGE)
    await api.post("/v1/messages", MESSAGE | {"text": ""})
    body = (await api.get("/metrics", key=None)).body.decode()
    assert 'sluice_http_request_duration_seconds_count{route="POST /v1/messages",status="202"}' in body
    assert 'sluice_refusals_total{code="text_empty"}' in body
    assert 'sluice_messages_accepted_total{class="otp",client="acme"}' in body
    assert "79161234567" not in body and "Your code" not in body


async def test_the_documentation_explains_every_code(api: Api) -> None:
    page = await api.get("/docs/guide", key=None)
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    for code in Code:
        assert f"/docs/problems/{code}" in page.body.decode()
        r = await api.get(f"/docs/problems/{code}", key=None)
        assert (
            r.status == 200 and "What to do" in r.body.decode() and f"&quot;code&quot;: &quot;{code}" in r.body.decode()
        )
    assert (await api.get("/docs/problems/nonsense", key=None)).status == 404
    assert "<script" not in page.body.decode()


async def test_the_console_loads_only_files_of_this_server(api: Api) -> None:
    page = await api.get("/docs", key=None)
    assert (await api.get("/", key=None)).body == page.body
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "http" not in policy
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    files = [path for path in wanted if path.startswith("/docs/assets/")]
    assert len(files) == 4 and not [path for path in wanted if path.startswith(("http", "//"))]
    for path in files:
        r = await api.get(path, key=None, headers={"Accept-Encoding": "gzip"})
        assert r.status == 200 and r.headers["X-Content-Type-Options"] == "nosniff" and "immutable" in str(r.headers)
        plain = await api.get(path, key=None, headers={"Accept-Encoding": "identity"})
        assert plain.body == r.body and "Content-Encoding" not in plain.headers
        again = await api.get(path, key=None, headers={"If-None-Match": r.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
    for name in ("README.md", "..%2Fconsole.py", "x"):
        assert (await api.get(f"/docs/assets/{name}", key=None)).code == "no_such_route"


def test_the_assets_are_the_ones_that_their_note_names() -> None:
    note = resources.files("gateway.api").joinpath("assets", "README.md").read_text()
    for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", note, re.MULTILINE):
        assert (
            hashlib.sha256(resources.files("gateway.api").joinpath("assets", name).read_bytes()).hexdigest() == digest
        )


async def test_the_openapi_document_describes_every_route(api: Api) -> None:
    spec = (await api.get("/v1/openapi.json", key=None)).json
    assert spec["openapi"] == "3.1.0"
    assert {(p, m.upper()) for p, methods in spec["paths"].items() for m in methods} == {
        (route.path, route.method) for route in ROUTES.routes if route.listed
    }
    message = spec["components"]["schemas"]["NewMessage"]
    assert set(message["required"]) == {"to", "text"} and message["additionalProperties"] is False
    ids = [o["operationId"] for methods in spec["paths"].values() for o in methods.values()]
    assert len(set(ids)) == len(ids)


async def test_carriers_are_listed_and_ordered_about(api: Api) -> None:
    api.plan.compiled = plan_of(False)
    now_ms = api.redis.clock_ms()
    await carriers.report(api.redis, "south", {"at_ms": now_ms, "live": True, "mode": "running"})
    await carriers.report(api.redis, "gone", {"at_ms": now_ms - 60_000, "live": True, "mode": "running"})
    r = await api.get("/v1/carriers", key="ops")
    assert [(c["name"], c["mode"]) for c in r.json["carriers"]] == [("north", "running"), ("south", "running")]
    assert r.json["carriers"][1]["status"].items() >= {"live": True, "receipts_awaited": 0}.items()
    for verb, mode in (("pause", "paused"), ("drain", "draining"), ("resume", "running")):
        r = await api.post(f"/v1/carriers/north/{verb}", key="ops")
        assert (r.status, r.json["name"], r.json["mode"]) == (200, "north", mode)
        assert (await carriers.modes(api.redis)).get("north", "running") == mode
    await carriers.set_mode(api.redis, "gone", "paused")  # nobody serves it, but an order may be taken back
    assert (await api.post("/v1/carriers/gone/resume", key="ops")).status == 200
    r = await api.post("/v1/carriers/west/pause", key="ops")
    assert (r.status, r.code) == (404, "unknown_carrier") and "north, south" in r.json["detail"]
    who = await api.pool.fetch("select who, what from audit where subject = 'north' order by at")
    assert [row["what"] for row in who] == ["carrier.paused", "carrier.draining", "carrier.running"]
    assert who[0]["who"].startswith("ops/key_")


async def test_a_plan_is_checked_kept_and_activated(api: Api) -> None:
    toml = {"Content-Type": "application/toml"}
    good, bad = (
        PLAN.format(sandbox="false"),
        PLAN.format(sandbox="false").replace('carriers = ["north"]', 'carriers = ["x"]'),
    )
    r = await api.ask("POST", "/v1/plans/check", data=bad, key="ops", headers=toml)
    assert (r.status, r.json["ok"]) == (200, False) and r.json["problems"][0]["line"] > 0
    r = await api.ask("POST", "/v1/plans", data=bad, key="ops", headers=toml)
    assert (
        (r.status, r.code) == (422, "plan_invalid") and r.json["plan_problems"] and r.json["detail"].startswith("Line")
    )
    r = await api.post("/v1/plans", {"document": good, "note": "first"}, key="ops")
    assert (r.status, r.json["active"]) == (201, False)
    version = r.json["version"]
    r = await api.post(f"/v1/plans/{version}/activate", key="ops")
    assert (r.status, r.json["version"]) == (200, version)
    for trial, answered in (("diff", "changes"), ("replay", "effect")):
        r = await api.ask("POST", f"/v1/plans/{trial}", data=good, key="ops", headers=toml)
        assert r.status == 200 and answered in r.json
    r = await api.get("/v1/plans", key="ops")
    assert (r.json["active"], r.json["plans"][0]["note"], r.json["plans"][0]["active"]) == (version, "first", True)
    r = await api.get(f"/v1/plans/{version}", key="ops")
    assert r.json["document"] == good
    assert await Mirror(api.redis).get("plan") is not None
    for path in ("/v1/plans/999", "/v1/plans/x", "/v1/plans/0"):
        assert (await api.get(path, key="ops")).code == "unknown_plan"
        assert (await api.post(f"{path}/activate", key="ops")).code == "unknown_plan"
    r = await api.post("/v1/plans", {"document": good, "activate": True, "x": 1}, key="ops")
    assert (r.status, r.code, r.json["pointer"]) == (422, "unknown_field", "/x")


async def test_who_changed_the_plan_in_use_and_why_is_in_the_audit(api: Api) -> None:
    assert (await api.post("/v1/plans/rollback", key="ops")).code == "unknown_plan"
    versions = []
    for n in range(2):
        document = PLAN.format(sandbox="false") + f"# {n}\n"
        r = await api.post("/v1/plans", {"document": document, "note": f"draft {n}", "activate": True}, key="ops")
        versions.append(r.json["version"])
    r = await api.post("/v1/plans/rollback", {"note": "too dear"}, key="ops")
    assert (r.status, r.json["version"]) == (200, versions[0])
    r = await api.post(f"/v1/plans/{versions[1]}/activate", {"note": "it was not"}, key="ops")
    assert (r.status, r.json["version"]) == (200, versions[1])
    r = await api.post("/v1/plans/rollback", {"version": versions[0]}, key="ops")
    assert (r.status, r.json["version"]) == (200, versions[0])
    assert (await api.post("/v1/plans/rollback", {"version": 10**19}, key="ops")).code == "unknown_plan"
    assert (await api.post("/v1/plans/rollback", {"note": "a\0b"}, key="ops")).code == "forbidden_character"
    rows = await api.pool.fetch("select who, what, subject, details->>'note' as note from audit order by at, ctid")
    found = [
        (row["what"], int(row["subject"]), row["note"])
        for row in rows
        if row["what"] in ("plan.activate", "plan.rollback")
    ]
    a, b = versions
    assert found[-5:] == [
        ("plan.activate", a, "draft 0"),
        ("plan.activate", b, "draft 1"),
        ("plan.rollback", a, "too dear"),
        ("plan.activate", b, "it was not"),
        ("plan.rollback", a, ""),
    ]
    assert all(row["who"].startswith("ops/key_") for row in rows if row["what"].startswith("plan."))


async def test_a_stop_answers_what_is_in_flight(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url) as api:
        await api.get("/v1/messages")
        posts = [asyncio.create_task(api.post("/v1/messages", MESSAGE)) for _ in range(20)]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        await api.server.close()
        done = await asyncio.gather(*posts, return_exceptions=True)
        assert all(isinstance(r, Exception) or r.status == 202 for r in done)
