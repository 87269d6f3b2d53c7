"""A run of `sluice send --file`: whatever breaks off, the same command goes on, and nobody gets two."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click
import pytest

from gateway.commands.bulk import campaign as campaigns
from gateway.commands.bulk.campaign import Campaign
from gateway.commands.bulk.journal import Journal, Progress
from gateway.commands.bulk.rows import FileFault, open_sheet
from gateway.commands.bulk.wish import Wish
from gateway.commands.client import Refused


class Gateway:
    """Keeps refs as the real one does. `script` says what happens at the next requests."""

    def __init__(self) -> None:
        self.refs: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.sent: list[str] = []
        self.sizes: list[int] = []
        self.script: list[BaseException | str] = []

    def post(self, path: str, document: object = None) -> Any:
        assert path == "/v1/messages/batch" and isinstance(document, dict)
        happens = self.script.pop(0) if self.script else "answer"
        if isinstance(happens, Refused):
            raise happens
        self.sizes.append(len(document["messages"]))
        results = [self._take(document["defaults"] | m, happens) for m in document["messages"]]
        if isinstance(happens, BaseException):
            raise happens  # it has got them, and nobody hears of it
        return {"results": results}

    def _take(self, m: dict[str, Any], happens: object) -> dict[str, Any]:
        if happens == "busy" and m["to"].endswith("1"):
            return {"status": 429, "code": "intake_full", "detail": "No more.", "retry_after_s": 2}
        if not m["to"].startswith("+"):
            return {"status": 422, "code": "number_invalid", "detail": "The number has no country code."}
        key, body = (m["to"], m["ref"]), (m["text"], m.get("send_at"))
        if self.refs.setdefault(key, body) != body:
            return {"status": 409, "code": "ref_conflict", "detail": "This ref was used."}
        is_duplicate = m["to"] in self.sent
        self.sent += [] if is_duplicate else [m["to"]]
        return {"id": "x", "duplicate": is_duplicate}


class World:
    """One file, one gateway; every `run` is a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self.gateway, self.pauses, self.moves = path, Gateway(), list[float](), list[Progress]()
        self.now = 0.0

    def rows(self, *rows: str) -> None:
        self.path.write_text("\n".join(("to;name", *rows)) + "\n")

    def run(self, text: str = "Hi {name}", run: str = "numbers", url: str = "http://a", **given: Any) -> Progress:
        sheet = open_sheet(self.path)
        wish = Wish(run, text, given.pop("defaults", {}))
        journal = Journal(sheet, run, run != "numbers")
        made = Campaign(
            wish, sheet, journal, self.gateway, url, self, pause=self.pause, clock=lambda: self.now, **given
        )
        return made.run(made.resume())

    def refused(self) -> list[dict[str, str]]:
        with (self.path.parent / "numbers.refused.csv").open(encoding="utf-8-sig") as file:
            return list(csv.DictReader(file, delimiter=";"))

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def moved(self, progress: Progress) -> None: ...

    def waits(self, why: str, seconds: float) -> None: ...


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(campaigns, "BATCH", 10)
    world = World(tmp_path / "numbers.csv")
    world.rows(*(f"+7916000{n:04};n{n}" for n in range(45)))
    return world


def numbers(progress: Progress) -> tuple[int, int, int]:
    return progress.accepted, progress.duplicates, progress.refused


def test_every_row_is_sent_once_in_batches(world: World) -> None:
    progress = world.run()
    assert numbers(progress) == (45, 0, 0) and progress.finished
    assert world.gateway.sizes == [10, 10, 10, 10, 5]
    assert numbers(world.run()) == (45, 0, 0)
    assert len(world.gateway.sizes) == 5, "a run that is complete asks for nothing"


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_run_that_broke_off_goes_on_and_nobody_gets_two(world: World, at: int, end: BaseException) -> None:
    world.gateway.script = ["answer"] * at + [end]
    with pytest.raises(type(end)):
        world.run()
    progress = world.run()
    assert progress.rows == 45 and progress.accepted + progress.duplicates == 45
    assert len(world.gateway.sent) == len(set(world.gateway.sent)) == 45
    assert sum(world.gateway.sizes) - 45 <= 10, "only the batch in doubt was asked for again"


def test_without_its_journal_a_run_is_recognised_by_its_refs(world: World, tmp_path: Path) -> None:
    world.run()
    (tmp_path / "numbers.run.json").unlink()
    assert numbers(world.run()) == (0, 45, 0)


def test_a_file_that_was_mended_meanwhile_sends_only_what_is_new(world: World) -> None:
    world.gateway.script = ["answer", KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.rows("+79169999999;first", *(f"+7916000{n:04};n{n}" for n in range(45)))
    progress = world.run()
    assert numbers(progress) == (26, 20, 0)
    assert len(world.gateway.sent) == len(set(world.gateway.sent)) == 46


def test_rows_added_at_the_end_are_sent_by_the_same_command(world: World) -> None:
    world.run()
    with world.path.open("a") as file:
        file.write("+79169999999;new\n")
    assert numbers(world.run()) == (46, 0, 0)
    assert world.gateway.sizes[-1] == 1


def test_a_number_gets_one_message_in_a_run(world: World) -> None:
    world.rows("+79160000001;a", "+79160000001;a", "+79160000001;b")
    assert numbers(world.run()) == (1, 1, 1)
    assert world.refused()[0]["refused_code"] == "ref_conflict"


def test_refused_rows_are_kept_with_code_sentence_and_line_once(world: World) -> None:
    world.rows("123;a", "+79160000002;b", "+79160000003;", "only")
    world.gateway.script = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert numbers(world.run()) == (0, 1, 3)
    assert [(r["to"], r["refused_code"], r["refused_line"]) for r in world.refused()] == [
        ("123", "number_invalid", "2"),
        ("+79160000003", "placeholder_empty", "4"),
        ("only", "row_malformed", "5"),
    ]
    assert world.refused()[0]["refused_sentence"] == "The number has no country code."


def test_what_was_refused_behind_the_journal_s_back_is_not_there_twice(world: World, tmp_path: Path) -> None:
    world.rows(*(f"{n};a" for n in range(25)))
    world.gateway.script = ["answer", KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    with (tmp_path / "numbers.refused.csv").open("a") as file:
        file.write("10;a;number_invalid;written, but not in the journal;12\n")
    assert world.run().refused == 25
    assert [r["to"] for r in world.refused()] == [str(n) for n in range(25)]


def test_a_gateway_that_is_away_is_waited_for_with_patience(world: World) -> None:
    away, busy = Refused("away"), Refused("quota", 429, "rate_limited", retry_after_s=7)
    world.gateway.script = [away, away, busy, Refused("Redis", 503, "redis_away", retry_after_s=1)]
    assert numbers(world.run()) == (45, 0, 0)
    assert world.pauses == [0.5, 1.0, 7, 4.0]
    world.rows("+79161111111;a")
    world.gateway.script = [away] * 100
    with pytest.raises(Refused, match="away"):
        world.run(run="other", patience_s=60)
    assert 60 < sum(world.pauses[4:]) < 90
    world.gateway.script = [Refused("No key like this", 401, "wrong_key")]
    with pytest.raises(Refused, match="No key"):
        world.run(run="third")


def test_rows_that_do_not_fit_now_are_asked_for_again_alone(world: World) -> None:
    world.gateway.script = ["busy"]
    assert numbers(world.run()) == (45, 0, 0)
    assert world.pauses == [2] and world.gateway.sizes[:2] == [10, 1]


def test_a_rate_spreads_the_batches(world: World) -> None:
    world.run(rate=5.0)
    assert world.gateway.sizes == [5] * 9
    assert sum(world.pauses) == pytest.approx(8.0)


def test_a_run_is_not_mixed_up_with_another_one(world: World) -> None:
    world.run()
    with pytest.raises(click.UsageError, match="another text"):
        world.run(text="Hello {name}")
    with pytest.raises(click.UsageError, match="begun at http://a, not at http://b"):
        world.run(url="http://b")


def test_a_run_that_was_refused_at_once_was_never_begun(world: World) -> None:
    world.gateway.script = [Refused("The sender is too long.", 422, "sender_too_long")]
    with pytest.raises(Refused, match="sender"):
        world.run(defaults={"from": "much too long"})
    assert numbers(world.run(defaults={"from": "short"})) == (45, 0, 0)


def test_what_is_older_than_refs_are_remembered_is_never_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.gateway.script = ["answer", KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    late = campaigns.time.time() + 73 * 3600
    monkeypatch.setattr(campaigns.time, "time", lambda: late)
    world.gateway.refs.clear()
    progress = world.run()
    assert numbers(progress) == (35, 0, 10)
    assert {r["refused_code"] for r in world.refused()} == {"in_doubt"}
    assert len(world.gateway.sent) == len(set(world.gateway.sent)) == 45
    world.rows("+79160000001;changed")
    with pytest.raises(click.UsageError, match="has changed since this run was begun 3 d"):
        world.run()


def test_a_run_keeps_its_time_and_takes_the_new_one_when_that_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(hour: int) -> dict[str, Any]:
        return {"defaults": {"send_at": f"2100-01-01T0{hour}:00:00+00:00"}}

    world.gateway.script = ["answer", KeyboardInterrupt(), "answer", KeyboardInterrupt()]
    for hour in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            world.run(**at(hour))
    assert {body[1] for body in world.gateway.refs.values()} == {"2100-01-01T01:00:00+00:00"}
    begun = Journal(open_sheet(world.path), "numbers", False).read()
    assert begun is not None
    begun.send_at = "2020-01-01T00:00:00+00:00"
    Journal(open_sheet(world.path), "numbers", False).write(begun)
    progress = world.run(**at(3))
    assert progress.refused == 0 and progress.accepted + progress.duplicates == 45
    assert len(world.gateway.sent) == len(set(world.gateway.sent)) == 45


def test_two_at_once_on_one_file_are_one_too_many(world: World) -> None:
    sheet = open_sheet(world.path)
    with campaigns._held(sheet), pytest.raises(FileFault, match="another `sluice send`"):
        world.run()


def test_a_damaged_journal_is_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "numbers.run.json").write_text("{")
    with pytest.raises(FileFault, match="it is damaged"):
        world.run()
