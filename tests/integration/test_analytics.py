"""A month as the benchmark fills it: roll-ups equal the rows, every question is answered, with summaries alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from bench.history import fill, recounted
from bench.questions import Question, questions
from gateway.stats import reading, stretches
from gateway.stats.summing import sum_up
from tests.api_server import Api, running
from tests.ledger_bench import slices_equal_rows

DAYS = 13  # with a whole week among them, whatever the day
UNTIL = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SINCE = UNTIL - timedelta(days=DAYS)


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    await fill(postgres_url, SINCE.date(), DAYS, 6_500, seed=3)
    async with running(valkey_url, postgres_url) as api:
        yield api


async def answers(api: Api, asked: Sequence[Question]) -> dict[str, bytes]:
    found = {}
    for question in asked:
        answer = await api.get(question.path, key="ops")
        assert answer.status == 200, (question, answer.json)
        found[question.name] = answer.body
    return found


async def pages(api: Api, path: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = []
    more: str | None = path
    while more is not None:
        document = (await api.get(more, key="ops")).json
        assert document["groups"]
        groups += document["groups"]
        more = document.get("next")
    return groups


async def test_every_question_has_the_same_answer_with_summaries_and_without(api: Api, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await slices_equal_rows(connection)
    finally:
        await connection.close()
    every = list(questions(SINCE, UNTIL))
    before = await answers(api, every[::4])
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    assert await sum_up(api.pool, now_ms) >= DAYS + 1
    assert await sum_up(api.pool, now_ms) == 0
    after = await answers(api, every)
    assert [name for name in before if after[name] != before[name]] == []

    span = f"from={SINCE:%Y-%m-%dT00:00:00Z}&to={UNTIL:%Y-%m-%dT00:00:00Z}"
    for by in (
        "group_by=sender,operator",
        "group_by=tag,state&step=day&tz=Europe/Moscow",
        "group_by=country&step=hour",
    ):
        whole = await pages(api, f"/v1/stats?{span}&{by}&limit=10000")
        assert await pages(api, f"/v1/stats?{span}&{by}&limit=77") == whole
        assert sum(group["messages"] for group in whole) == 6_500
    minutes = f"/v1/stats?since={SINCE:%Y-%m-%dT00:00:00Z}&until={SINCE:%Y-%m-%dT23:00:00Z}&by=state&step=minute"
    assert await pages(api, minutes + "&limit=99") == await pages(api, minutes + "&limit=10000")

    assert await recounted(postgres_url, SINCE.date() + timedelta(days=1)) == 0
    assert await sum_up(api.pool, now_ms + 7_200_000) >= 1, "the day that was counted anew"


async def test_pages_of_many_groups_are_read_in_stretches_and_are_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sum_up(api.pool, int(UNTIL.timestamp() * 1000))
    await api.pool.execute("analyze")
    span = f"from={SINCE:%Y-%m-%dT00:00:00Z}&to={UNTIL:%Y-%m-%dT00:00:00Z}"
    paths = [
        f"/v1/stats?{span}&group_by={by}"
        for by in (
            "client,class,carrier,operator,country,sender,tag,reason",
            "reason,tag,sender,country,operator,state",
            "tag,carrier,operator&filter=client=client00",
            "country,tag,operator&step=week&tz=Europe/Moscow",
        )
    ]
    whole = [await pages(api, f"{path}&limit=10000") for path in paths]
    monkeypatch.setattr(stretches, "FEW", 40)
    monkeypatch.setattr(reading, "FEW", 40)
    monkeypatch.setattr(reading, "A_PAGE", 120)
    read: list[stretches.Bounds] = []
    next_ = stretches.Stretches.next

    def noted(self: stretches.Stretches) -> stretches.Bounds:
        read.append(next_(self))
        return read[-1]

    monkeypatch.setattr(stretches.Stretches, "next", noted)
    for path, groups in zip(paths, whole, strict=True):
        read.clear()
        assert await pages(api, f"{path}&limit=10000") == groups
        assert await pages(api, f"{path}&limit=321") == groups
        assert len(read) > 2, (path, read)


async def test_a_summary_does_not_count_when_its_day_has_changed(api: Api) -> None:
    await sum_up(api.pool, int(UNTIL.timestamp() * 1000))
    path = f"/v1/stats?from={SINCE:%Y-%m-%dT00:00:00Z}&to={UNTIL:%Y-%m-%dT00:00:00Z}&group_by=sender,country"
    before = (await api.get(path, key="ops")).json["groups"]
    await api.pool.execute("update stats_day_all set delivered = coalesce(delivered, 0) + 1")
    assert (await api.get(path, key="ops")).json["groups"] == before, "read from summaries"
    await api.pool.execute("update changed_days set writer = writer")
    after = (await api.get(path, key="ops")).json["groups"]
    assert sum(group["delivered"] for group in after) > sum(group["delivered"] for group in before)
