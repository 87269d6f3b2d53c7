"""The API's small parts: routes, queries, deadlines, callers' addresses, pages, timelines."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.api import query
from gateway.api.call import RequestIds, remote_of
from gateway.api.deadline import Deadline
from gateway.api.endpoints import TABLE
from gateway.api.openapi import document
from gateway.api.problems import Problem
from gateway.api.render import price, words
from gateway.commands.timeline import line_of, says
from gateway.provider import RULES, Reason


def test_a_route_is_found_by_method_and_path() -> None:
    found = TABLE.find("POST", "/v1/carriers/north/pause")
    assert found is not None and found[1] == {"name": "north"}
    found = TABLE.find("POST", "/v1/plans/check")
    assert found is not None and found[0].path == "/v1/plans/check"
    for method, path in (
        ("GET", "/v1/messages/"),
        ("GET", "/v1/messages/a/b"),
        ("POST", "/v1/nothing"),
        ("GET", "/v1xstats"),
    ):
        assert TABLE.find(method, path) is None
    assert TABLE.find("GET", "/v1/messages/batch") is None and TABLE.methods("/v1/messages/batch") == ["POST"]
    assert TABLE.methods("/v1/plans") == ["GET", "POST"] and TABLE.methods("/x") == []


def test_no_route_is_there_twice() -> None:
    names = [route.name for route in TABLE.routes]
    assert len(names) == len(set(names))


def test_the_openapi_document_refers_only_to_what_it_has() -> None:
    spec = document(TABLE)
    text = json.dumps(spec)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in spec["components"]["schemas"], name
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            assert operation["responses"] and operation["summary"].endswith(".")
            inside = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert inside == {part[1:-1] for part in path.split("/") if part.startswith("{")}


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01T03:00:00+03:00", "2026-01-01T03:00:00 03:00"])
def test_a_time_in_a_query_needs_an_offset_and_forgives_a_bare_plus(text: str) -> None:
    assert query.time_ms({"since": text}, "since") == 1_767_225_600_000


def test_a_cursor_comes_back_as_it_was_given() -> None:
    last = bytes(range(16))
    path = query.next_page("/v1/messages", {"tag": "a b", "limit": "2"}, last)
    assert path.startswith("/v1/messages?tag=a+b&limit=2&cursor=")
    assert query.cursor({"cursor": path.rpartition("=")[2]}) == last
    assert isinstance(query.cursor({"cursor": "я"}), Problem)
    assert query.cursor({}) is None


def test_an_id_is_read_only_in_its_own_spelling() -> None:
    assert query.id_of("0190f8a4-7c30-7000-8000-00000000000A") is not None
    for text in ("0190f8a47c307000800000000000000a", "{0190f8a4-7c30-7000-8000-00000000000a}", "", "x"):
        assert query.id_of(text) is None


async def test_a_deadline_ends_waits_that_are_too_long_and_no_others() -> None:
    deadline = Deadline(0.02)
    forever = asyncio.get_running_loop().create_future()

    async def wait(on: asyncio.Future[Any]) -> str:
        task = asyncio.current_task()
        assert task is not None
        deadline.begin(task)
        try:
            await on
        except asyncio.CancelledError:
            return "late" if deadline.end(task) else "cancelled"
        finally:
            deadline.end(task)
        return "in time"

    soon = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(wait(on)) for on in (forever, soon)]
    other = asyncio.create_task(wait(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    soon.set_result(None)
    other.cancel()
    assert await other == "cancelled"
    async with asyncio.timeout(30):
        assert await asyncio.gather(*tasks) == ["late", "in time"]
    assert not tasks[0].cancelling()
    deadline.close()


@pytest.mark.parametrize(
    ("forwarded", "remote"),
    [
        ("", "10.0.0.1"),
        ("1.2.3.4", "1.2.3.4"),
        ("9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("9.9.9.9, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("10.0.0.8", "10.0.0.8"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_callers(forwarded: str, remote: str) -> None:
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}).clone(remote="10.0.0.1")
    proxies = (ipaddress.ip_network("10.0.0.0/8"),)
    assert remote_of(request, proxies) == remote
    assert remote_of(request, ()) == "10.0.0.1"


def test_a_line_that_the_caller_wrote_himself_is_not_believed_before_the_proxys() -> None:
    lines = CIMultiDict([("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "1.2.3.4")])
    request = make_mocked_request("GET", "/", headers=lines).clone(remote="::ffff:10.0.0.1")
    assert remote_of(request, (ipaddress.ip_network("10.0.0.0/8"),)) == "1.2.3.4"


def test_request_ids_are_kept_when_they_can_stand_in_a_log() -> None:
    ids = RequestIds()
    given = [ids.of(i) for i in ("a-1", "a b", "x" * 129, None)]
    assert given[0] == "a-1" and len(set(given)) == 4 and " " not in given[1]


@pytest.mark.parametrize(
    ("micro", "amount"),
    [(0, "0.00"), (1, "0.000001"), (25_000, "0.025"), (1_500_000, "1.50"), (123_000_000, "123.00")],
)
def test_money_is_a_decimal_number_with_at_least_two_digits(micro: int, amount: str) -> None:
    made = price(micro, "RUB")
    assert made is not None and (made.amount, made.currency) == (amount, "RUB")
    assert price(micro, "") is None


def test_every_reason_has_words() -> None:
    assert all(words(reason) == RULES[reason].words for reason in Reason)
    assert words("") is None and words("a_later_release's") is None


def test_a_timeline_reads_as_sentences() -> None:
    submitted = {
        "at": "2026-01-01T00:00:00Z",
        "answered_at": "2026-01-01T00:00:00.020Z",
        "event": "submitted",
        "attempt": 2,
        "part": 1,
        "parts": 3,
        "carrier": "north",
        "bind": "north-1",
        "outcome": "deferred",
        "reason": "throttled",
        "price": {"amount": "0.10", "currency": "RUB"},
    }
    assert says(submitted) == (
        "part 1 of 3, to north by north-1, deferred after 20 ms, 0.10 RUB, attempt 2, reason throttled"
    )
    receipt = {
        "at": "2026-01-01T00:00:00Z",
        "event": "receipt",
        "state": "delivered",
        "carrier": "north",
        "matched_by": "id",
    }
    assert says(receipt) == "delivered, from north, matched by id"
    waiting = {"at": "2026-01-01T00:00:00Z", "event": "waiting", "where": "intake", "reason": "no_bind"}
    assert line_of(waiting).endswith("waiting     in intake, reason no_bind")
    assert line_of({"at": "2026-01-01T00:00:00Z", "event": "accepted"}).endswith("accepted")
