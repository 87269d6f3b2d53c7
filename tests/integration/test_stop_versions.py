"""Versions of what is imported into the stop lists: a return undoes imports, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.live.stops import LiveStops, publish
from gateway.stops.classes import mask_of
from gateway.store import stop_versions, stops
from gateway.store.pool import Pool
from gateway.store.stop_versions import Imported
from gateway.store.stops import Listed
from gateway.streams.link import Redis
from tests.api_server import running

A, B, C, D = (f"+7916123450{n}" for n in range(4))
FILE = Listed("", 8, "import", "anna", "regulator")
STOP = Listed("", 8, "inbound", "carrier north", "STOP")


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    pool = await Pool.open(postgres_url)
    yield pool
    await pool.close()


async def bring_in(pool: Pool, numbers: Sequence[str], listed: Listed = FILE, *, whole: bool = False) -> Imported:
    async with stop_versions.importing(pool, listed, "numbers.csv", whole=whole) as one:
        await one.put(numbers)
        return await one.merge()


async def imported(pool: Pool, client: str = "") -> dict[str, int]:
    rows = await stops.page(pool, client, 100)
    return {row.recipient: row.mask for row in rows if row.source == "import"}


async def test_each_import_is_a_version_and_one_can_return_to_any(pool: Pool) -> None:
    first = await bring_in(pool, [A, B])
    second = await bring_in(pool, [B, C, C])
    assert (first.fresh, second.fresh, second.changed) == (2, 1, 0)
    third = await bring_in(pool, [A], Listed("", 4, "import", "anna", "regulator"))
    assert third.changed == 1 and await imported(pool) == {A: 12, B: 8, C: 8}

    back = await stop_versions.rollback(pool, "", who="boris")  # to the one before
    assert back is not None and back.back_to == second.version and (back.added, back.changed, back.removed) == (0, 1, 0)
    assert await imported(pool) == {A: 8, B: 8, C: 8}
    assert first.version is not None
    back = await stop_versions.rollback(pool, "", first.version, who="boris")
    assert back is not None and back.removed == 1 and await imported(pool) == {A: 8, B: 8}
    back = await stop_versions.rollback(pool, "", third.version, who="boris")  # and forth again
    assert back is not None and back.added == 1 and await imported(pool) == {A: 12, B: 8, C: 8}
    back = await stop_versions.rollback(pool, "", 0, who="boris")
    assert back is not None and back.numbers == 0 and await imported(pool) == {}
    assert await stop_versions.rollback(pool, "", 4711, who="boris") is None
    found = await stop_versions.history(pool)
    assert [v.how for v in found] == ["rollback"] * 4 + ["import"] * 3 and [v.current for v in found] == [True] + [
        False
    ] * 6
    notes = await pool.fetch("select who, what from audit where what like 'stoplist.%' order by at")
    assert [(r["who"], r["what"]) for r in notes][2:4] == [("anna", "stoplist.import"), ("boris", "stoplist.rollback")]


async def test_a_return_keeps_what_came_by_phone_or_one_by_one(pool: Pool) -> None:
    await bring_in(pool, [A])
    await bring_in(pool, [B, C])
    await stops.add(pool, [B, D], STOP)
    await stops.add(pool, [C], Listed("", 15, "operator", "anna", "complaint"))
    assert await stop_versions.rollback(pool, "", who="anna")
    rows = {(row.recipient, row.source): row.mask for row in await stops.page(pool, "", 100)}
    assert rows == {(A, "import"): 8, (B, "inbound"): 8, (D, "inbound"): 8, (C, "operator"): 15}


async def test_who_was_taken_off_by_himself_is_not_brought_back_by_a_return(pool: Pool) -> None:
    await bring_in(pool, [A, B], Listed("", 12, "import", "anna", "first"))
    await bring_in(pool, [A, B], Listed("", 3, "import", "anna", "second"))
    assert await imported(pool) == {A: 15, B: 15}
    await stops.remove(pool, [A], "", who="anna")
    await stops.remove(pool, [B], "", who="anna", mask=mask_of(("marketing",)))
    assert await stop_versions.rollback(pool, "", who="anna")
    assert await imported(pool) == {B: 4}


async def test_a_subscribers_start_leaves_versions_alone(pool: Pool) -> None:
    await bring_in(pool, [A])
    await bring_in(pool, [A], Listed("", 4, "import", "anna", "more"))
    await stops.remove(pool, [A], "", who="carrier north", sources=("inbound",))
    assert await stop_versions.rollback(pool, "", who="anna") and await imported(pool) == {A: 8}


async def test_a_whole_list_takes_off_what_it_has_no_more(pool: Pool) -> None:
    await bring_in(pool, [A, B, C])
    made = await bring_in(pool, [B, D], Listed("", 4, "import", "anna", "new"), whole=True)
    assert (made.fresh, made.changed, made.removed) == (1, 1, 2) and await imported(pool) == {B: 4, D: 4}
    back = await stop_versions.rollback(pool, "", who="anna")
    assert back is not None and (back.added, back.changed, back.removed) == (2, 1, 1)
    assert await imported(pool) == {A: 8, B: 8, C: 8}


async def test_lists_of_clients_have_their_own_versions(pool: Pool) -> None:
    await bring_in(pool, [A])
    await bring_in(pool, [A, B], Listed("shop", 8, "import", "anna", "shop's"))
    assert await stop_versions.rollback(pool, "shop", who="anna")
    assert await imported(pool) == {A: 8} and await imported(pool, "shop") == {}


async def test_the_same_file_again_is_no_new_version(pool: Pool) -> None:
    assert (await bring_in(pool, [A, B])).version is not None
    assert await bring_in(pool, [B, A]) == Imported(None, 0, 0)
    assert len(await stop_versions.history(pool)) == 1


async def test_versions_are_compared_over_imports_and_returns(pool: Pool) -> None:
    one = (await bring_in(pool, [A, B])).version
    two = (await bring_in(pool, [B, C], Listed("", 4, "import", "anna", "regulator"))).version
    back = await stop_versions.rollback(pool, "", one, who="anna")
    assert one is not None and two is not None and back is not None
    found = await stop_versions.difference(pool, "", one, two, 10)
    assert (found.added, found.changed, found.removed) == (1, 1, 0)
    assert [(d.recipient, d.before, d.after) for d in found.some] == [(C, 0, 4), (B, 8, 12)]
    undone = await stop_versions.difference(pool, "", two, back.version, 1)
    assert (undone.added, undone.changed, undone.removed, len(undone.some)) == (0, 1, 1, 1)
    same = await stop_versions.difference(pool, "", one, back.version, 10)
    assert (same.added, same.changed, same.removed) == (0, 0, 0)
    assert await stop_versions.two(pool, None, None, None) == ("", two, back.version)
    assert await stop_versions.two(pool, None, None, one) == ("", 0, one)
    assert await stop_versions.two(pool, "shop", one, two) is None


async def test_only_the_newest_versions_of_a_list_are_kept(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_versions, "KEPT", 2)
    made = [(await bring_in(pool, [number])).version for number in (A, B, C)]
    for classes in (1, 2):
        made.append((await bring_in(pool, [A], Listed("", classes, "import", "anna", "more"))).version)
    assert [v.kept for v in await stop_versions.history(pool)] == [True, True, False, False, False]
    assert await stop_versions.rollback(pool, "", made[2], who="anna") is None
    assert await pool.fetchval("select count(*) from stop_past") == 1
    assert await stop_versions.rollback(pool, "", made[3], who="anna") and (await imported(pool))[A] == 9


async def test_imports_at_the_same_moment_are_one_after_the_other(pool: Pool) -> None:
    numbers = [f"+7916{n:07}" for n in range(3000)]
    done = await asyncio.gather(*(bring_in(pool, numbers[at : at + 2000]) for at in (0, 500, 1000)))
    assert sum(made.fresh for made in done) == 3000 and len({made.version for made in done}) == 3
    found = await stop_versions.history(pool)
    assert sum(v.added for v in found) == 3000 and found[0].numbers == 3000


async def test_a_return_is_known_to_every_process(pool: Pool, valkey_url: str) -> None:
    redis = await Redis.open(valkey_url, 1)
    await bring_in(pool, [A])
    await bring_in(pool, [B])
    await stop_versions.rollback(pool, "", who="anna")
    await publish(pool, redis)
    live = LiveStops(redis)
    await live.load()
    assert live.which(A, "shop", "marketing") == "global" and live.which(B, "shop", "marketing") == ""
    await redis.close()


async def test_versions_over_http(valkey_url: str, postgres_url: str) -> None:
    async with running(valkey_url, postgres_url) as api:
        path, csv = "/v1/stoplist/import?source=numbers.csv&classes=marketing", {"Content-Type": "text/csv"}
        made = await api.post(path, data=f"name;phone\nA;{A}\nX;12\nB;{B}\n", key="ops", headers=csv)
        assert made.status == 200 and (made.json["added"], made.json["refused"]) == (2, 1)
        assert made.json["faults"][0]["line"] == 3 and "12" not in made.json["faults"][0]["sentence"]
        more = await api.post(path + "&whole=true", data=f"{B}\n{C}\n", key="ops", headers=csv)
        assert (more.json["added"], more.json["removed"]) == (1, 1)
        versions = (await api.get("/v1/stoplist/versions", key="ops")).json["versions"]
        assert [(v["how"], v["numbers"], v["source"]) for v in versions] == [
            ("replace", 2, "numbers.csv"),
            ("import", 2, "numbers.csv"),
        ]
        diff = (await api.get("/v1/stoplist/diff", key="ops")).json
        assert (diff["added"], diff["removed"]) == (1, 1) and diff["numbers"][0]["number"] == C
        await api.make_key("engineer", "ops", scopes=("ops",))
        masked = (await api.get("/v1/stoplist/diff?from=0", key="engineer")).json
        assert masked["added"] == 2 and "*" in masked["numbers"][0]["number"]
        back = await api.post("/v1/stoplist/rollback", key="ops")
        assert back.status == 200 and back.json["back_to"] == made.json["version"]
        checked = await api.get(f"/v1/stoplist/{A}", key="ops")
        assert checked.json["stopped"] == ["marketing"]
        for ask, status, code in (
            (api.post("/v1/stoplist/rollback", {"version": 4711}, key="ops"), 404, "unknown_dataset"),
            (api.get("/v1/stoplist/diff?from=x", key="ops"), 422, "query_invalid"),
            (api.post(path + ",all", data=A, key="ops", headers=csv), 422, "query_invalid"),
            (api.post(path, data="to\n", key="ops", headers=csv), 422, "dataset_invalid"),
            (api.post(path, data="a;b\nx;y\n", key="ops", headers=csv), 422, "dataset_invalid"),
            (api.post(path, data=A, headers=csv), 403, "scope_missing"),
            (api.get("/v1/stoplist/versions"), 403, "scope_missing"),
        ):
            answered = await ask
            assert (answered.status, answered.code) == (status, code)
