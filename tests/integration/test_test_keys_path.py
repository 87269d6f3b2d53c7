"""What test keys send reaches sandbox carriers only: whatever the routes say, and whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.plan.choice import Compiled
from gateway.plan.document import Carrier, Operator, Plan, Route
from gateway.provider import Outcome, Reason, Submission, accepted, deferred, refused, uncertain
from gateway.router import decide
from gateway.streams import carriers
from tests.core_path import Path, always_accepted, running
from tests.core_redis import until


def plan(*sandboxes: str, version: int = 1) -> Compiled:
    """Everything to `real`; only to Russia, and to `trial` and `second` next."""
    names = ("real", "trial", "second")
    return Compiled(
        Plan(
            carriers=tuple(Carrier(name=n, provider="scripted", sandbox=n in sandboxes) for n in names),
            operators=(Operator(name="russia", prefixes=("7",)),),
            routes=(Route(name="all", carriers=names),),
        ),
        version,
    )


def start(path: Path, *sandboxes: str, **answers: object) -> None:
    """All three carriers, of which these are sandboxes."""
    path.plan = plan(*sandboxes)
    for name in ("real", "trial", "second"):
        answer = answers.get(name, always_accepted)
        path.start_connector(name, answer=answer, sandbox=name in sandboxes)  # type: ignore[arg-type]


async def up(path: Path, *names: str) -> None:
    await until(lambda: all(path.providers[name] and path.carrier(name).started for name in names), "carriers")


async def test_a_real_carrier_that_comes_first_in_the_route_gets_none_of_it(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        start(path, "trial")
        await up(path, "real", "trial")
        path.start_router()
        tests = await path.accept(100, test=True)
        others = await path.accept(100)
        await path.drained()
        assert path.sent("trial") == Counter(tests)
        assert path.sent("real") == Counter(others)


async def test_neither_refusals_nor_errors_nor_doubt_bring_it_to_a_real_carrier(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "_BACKOFF_S", (0,))
    tries: Counter[bytes] = Counter()

    def answer(s: Submission) -> Outcome:
        tries[s.message_id] += 1
        if tries[s.message_id] > 1:
            return accepted(s.message_id.hex())
        errors = (deferred(Reason.TEMPORARY), deferred(Reason.THROTTLED), refused(Reason.INVALID_SENDER), uncertain())
        return errors[s.message_id[-1] % 4]

    async with running(valkey_url) as path:
        start(path, "trial", trial=answer)
        await up(path, "real", "trial")
        path.start_router()
        ids = await path.accept(200, test=True, klass="otp")
        await path.drained()
        assert set(path.sent("trial")) == set(ids)
        assert not path.sent("real") and not path.sent("second")


async def test_when_its_sandbox_is_drained_it_is_recalled_to_another_sandbox(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        start(path, "trial", "second", trial=lambda s: None)
        path.windows["trial"] = 1
        await up(path, "real", "trial", "second")
        path.start_router()
        ids = await path.accept(50, test=True)
        await until(lambda: path.left().get("{0}:outbox:trial:marketing:shop", 0) >= 49, "an outbox that waits")
        await carriers.set_mode(path.redis, "trial", "draining")
        await until(lambda: path.sent("second"), "the other sandbox")
        path.answers["trial"] = always_accepted
        path.carrier("trial").release()
        await path.drained()
        assert path.sent() == Counter(ids) and not path.sent("real")


async def test_a_carrier_that_is_no_sandbox_any_more_gets_nothing_of_what_waits_for_it(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = plan("trial")
        path.start_router()
        ids = await path.accept(50, test=True)
        await until(lambda: path.left().get("{0}:outbox:trial:marketing:shop") == 50, "routing")
        others = await path.accept(5)
        path.plan = plan(version=2)
        path.start_connector("trial", sandbox=False)
        path.start_connector("real", sandbox=False)
        await path.drained()
        assert path.sent() == Counter(others)
        fates = await path.fates()
        assert fates["failed"] == Counter(ids)


async def test_with_the_sandbox_gone_from_the_plan_it_fails_instead_of_going_elsewhere(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = Compiled(Plan(carriers=plan().plan.carriers, operators=plan().plan.operators), 3)
        path.start_connector("real")
        path.start_router()
        ids = await path.accept(20, test=True)
        await path.drained()
        assert not path.sent()
        assert (await path.fates())["failed"] == Counter(ids)


async def test_numbers_that_no_operator_of_the_plan_covers_reach_the_sandbox_too(valkey_url: str) -> None:
    async with running(valkey_url) as path:
        path.plan = Compiled(Plan(carriers=plan("trial").plan.carriers), 4)
        path.start_connector("trial", sandbox=True)
        path.start_router()
        ids = await path.accept(3, test=True)
        await asyncio.gather(path.drained())
        assert path.sent("trial") == Counter(ids)


async def test_the_rest_of_a_message_of_which_a_sandbox_took_a_part_stays_away_from_a_real_carrier(
    valkey_url: str,
) -> None:
    def answer(s: Submission) -> Outcome:
        return accepted("1") if s.part == 1 else deferred(Reason.THROTTLED)

    async with running(valkey_url) as path:
        path.plan = plan("trial")
        path.start_router()
        path.start_connector("trial", answer=answer, sandbox=True)
        ids = await path.accept(1, test=True, text="one|two|three", parts=3)
        await until(lambda: len(path.submissions("trial")) > 3, "a part taken and the others tried again")
        await path.stop("connector trial")
        sent = len(path.submissions())
        path.plan = plan(version=2)
        path.start_connector("trial", sandbox=False)
        path.start_connector("real", sandbox=False)
        await path.drained()
        assert len(path.submissions()) == sent
        assert (await path.fates())["failed"] == Counter(ids)
