"""The journal of a carrier: what is kept outlives its process in bounded space; nothing torn or foreign is believed."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector.flight import Flight, abandoned, submissions
from gateway.connector.journal import Answers, Journal, Left, frames, prepare
from gateway.events import Held, Submitted
from gateway.message import unpack_journey
from gateway.provider import Kind, Outcome, Reason, accepted, deferred, refused, uncertain
from tests.core_builders import NOW_MS, flight, journey, message

RUN = b"run-0000"
OK = accepted("c-1")


def sent(f: Flight, *outcomes: Outcome) -> Answers:
    """The parts of a flight as sent, and what the carrier said to the first of them."""
    made = submissions(f, ("Hello",) * f.message.parts, whole=False)
    for s in made:
        s.bind, s.sent_ms = "b1", NOW_MS
    return list(zip(made, outcomes, strict=False))


def opened(directory: Path, still: Sequence[Flight] = (), carrier: str = "north", limit: int = 1 << 20) -> Journal:
    return Journal(directory, carrier, 7, lambda: still, limit)


def keep(journal: Journal, answers: Answers) -> None:
    journal.append(answers, NOW_MS + 20, [RUN])


def killed(journal: Journal) -> None:
    """As by kill -9: the files stay, the locks go."""
    journal.close(remove=False)


def told(directory: Path, f: Flight, run: bytes = RUN) -> dict[int, Outcome]:
    return {part: known.outcome for part, known in Left(directory, "north").of(f, run).items()}


def test_what_was_answered_is_known_after_a_death_with_all_that_the_ledger_needs(tmp_path: Path) -> None:
    journal, flights = opened(tmp_path), [flight() for _ in range(3)]
    keep(journal, [a for f, o in zip(flights, (OK, refused(Reason.BLOCKED, "9")), strict=False) for a in sent(f, o)])
    killed(journal)
    assert [told(tmp_path, f) for f in flights] == [{1: OK}, {1: refused(Reason.BLOCKED, "9")}, {}]
    verdict = abandoned(flights[0], ("Hello",), False, NOW_MS + 9_000, Left(tmp_path, "north").of(flights[0], RUN))
    (fact,) = verdict.facts
    assert isinstance(fact, Submitted)
    assert (fact.kind, fact.carrier_message_id, fact.bind) == (0, "c-1", "b1")
    assert (fact.sent_ms, fact.answered_ms) == (NOW_MS, NOW_MS + 20)


def test_a_carrier_taken_whole_is_known_by_part_0(tmp_path: Path) -> None:
    journal, f = opened(tmp_path), flight(message(parts=3))
    keep(journal, [(s, OK) for s in submissions(f, ("a", "b", "c"), whole=True)])
    killed(journal)
    assert told(tmp_path, f) == {0: OK}


def test_what_is_uncertain_is_not_kept(tmp_path: Path) -> None:
    journal, f = opened(tmp_path), flight()
    keep(journal, sent(f, uncertain()))
    killed(journal)
    assert told(tmp_path, f) == {}


def test_another_attempt_or_another_entry_of_the_same_message_is_another_matter(tmp_path: Path) -> None:
    journal, f = opened(tmp_path), flight()
    keep(journal, sent(f, OK))
    killed(journal)
    later = Flight(f.entry, f.mark, f.message, journey(attempt=2), 0, [])
    again = flight()
    again.entry.value = f.entry.value
    assert told(tmp_path, f) and not told(tmp_path, later) and not told(tmp_path, again)


def test_that_it_was_not_taken_holds_only_for_the_redis_that_it_was_heard_under(tmp_path: Path) -> None:
    journal, back, taken = opened(tmp_path), flight(), flight()
    keep(journal, [*sent(back, deferred(Reason.THROTTLED)), *sent(taken, OK)])
    killed(journal)
    assert told(tmp_path, back) and told(tmp_path, taken)
    assert not told(tmp_path, back, b"restored")
    assert told(tmp_path, taken, b"restored"), "taken is taken"


def test_a_carrier_whose_header_leaves_less_room_has_a_part_more_and_its_answer_is_known_too(tmp_path: Path) -> None:
    journal, f = opened(tmp_path), flight(message(parts=2))
    made = submissions(f, ("a", "b", "c"), whole=False)
    keep(journal, [(s, accepted(f"c-{s.part}")) for s in made])
    killed(journal)
    verdict = abandoned(f, ("a", "b", "c"), False, NOW_MS, Left(tmp_path, "north").of(f, RUN, 3))
    assert [(s.part, s.kind) for s in verdict.facts if isinstance(s, Submitted)] == [(n, 0) for n in (1, 2, 3)]


@pytest.mark.parametrize("klass", ["otp", "marketing"])
def test_the_parts_without_an_answer_go_again_to_the_carrier_that_has_the_others_or_are_held(
    tmp_path: Path, klass: str
) -> None:
    journal, f = opened(tmp_path), flight(message(klass=klass, parts=3))
    keep(journal, sent(f, OK, accepted("c-2")))
    killed(journal)
    verdict = abandoned(f, ("a", "b", "c"), False, NOW_MS, Left(tmp_path, "north").of(f, RUN))
    kinds = [(s.part, s.kind) for s in verdict.facts if isinstance(s, Submitted)]
    assert kinds == [(1, Kind.ACCEPTED), (2, Kind.ACCEPTED), (3, Kind.UNCERTAIN)]
    held = any(isinstance(fact, Held) for fact in verdict.facts)
    if klass == "otp":
        j = unpack_journey(verdict.journey)
        assert (verdict.op, j.owed, j.pinned, j.attempt, held) == ("a", (3,), True, 1, False)
    else:
        assert (verdict.op, held) == ("", True)


@given(cut=st.integers(0, 2_000), flips=st.lists(st.tuples(st.integers(0, 1_999), st.integers(1, 255)), max_size=3))
def test_a_torn_or_damaged_file_tells_a_true_beginning_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    journal, flights = opened(directory), [flight() for _ in range(12)]
    for f in flights:
        keep(journal, sent(f, accepted(f.entry.message_id.hex())))
    killed(journal)
    whole = journal.paths[0].read_bytes()
    data = bytearray(whole[: min(cut, len(whole))])
    for at, value in flips:
        if at < len(data):
            data[at] ^= value
    journal.paths[0].write_bytes(data)
    known = [told(directory, f) for f in flights]
    true = [{1: accepted(f.entry.message_id.hex())} for f in flights]
    number = sum(map(bool, known))
    assert known == true[:number] + [{}] * (len(flights) - number)
    size = len(whole) // len(flights)
    touched = min([cut, *(at for at, _ in flips)])
    assert number == min(touched // size, len(flights)) or len(flips) > 1, "flips may undo each other"


@given(st.binary(max_size=300))
def test_garbage_is_never_believed(data: bytes) -> None:
    assert list(frames(data)) == []


def test_its_space_is_bounded_and_what_is_open_is_carried_over(tmp_path: Path) -> None:
    slow, newest = [flight() for _ in range(20)], flight()
    for f in slow:
        f.answers = list(sent(f, OK))
    limit = 20_000
    journal = opened(tmp_path, slow, limit=limit)
    keep(journal, [a for f in slow for a in f.answers])
    for _ in range(2_000):
        keep(journal, sent(flight(), OK))
        assert sum(path.stat().st_size for path in journal.paths) <= 2 * limit
    keep(journal, sent(newest, OK))
    killed(journal)
    assert all(told(tmp_path, f) for f in [*slow, newest])


def test_where_much_is_open_the_files_grow_with_it_instead_of_being_written_anew_each_time(tmp_path: Path) -> None:
    many = [flight() for _ in range(500)]
    for f in many:
        f.answers = list(sent(f, OK))
    journal = opened(tmp_path, many, limit=1_000)
    for f in many:
        keep(journal, f.answers)
    size = max(path.stat().st_size for path in journal.paths)
    assert size < 5 * 500 * 200
    killed(journal)
    assert all(told(tmp_path, f) for f in many)


def test_a_journal_whose_process_lives_is_read_but_not_removed(tmp_path: Path) -> None:
    asleep, f = opened(tmp_path), flight()
    keep(asleep, sent(f, OK))
    left = Left(tmp_path, "north")
    assert left.of(f, RUN)
    left.remove()
    assert asleep.paths[0].exists()
    keep(asleep, sent(flight(), OK))
    killed(asleep)
    left.remove()
    assert not list(tmp_path.iterdir())


def test_everything_written_down_leaves_no_file(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    keep(journal, sent(flight(), OK))
    journal.close(remove=True)
    assert not list(tmp_path.iterdir())


def test_another_carriers_journal_is_not_read_even_where_its_name_begins_alike(tmp_path: Path) -> None:
    f = flight()
    for name in ("north.2", "north-", "NORTH"):
        journal = opened(tmp_path, carrier=name)
        keep(journal, sent(f, OK))
        killed(journal)
    assert not Left(tmp_path, "north").answers


def test_a_disk_that_is_full_is_said_once_and_the_journal_is_not_relied_on_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path)
    monkeypatch.setattr(os, "write", lambda file, data: len(data) // 2)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            keep(journal, sent(flight(), OK))
    monkeypatch.undo()
    assert not journal.is_sound
    assert [r.message for r in caplog.records] == ["no_journal"]
    journal.close(remove=False)


@pytest.mark.parametrize("place", ["", "a-file/below"])
def test_a_place_where_none_can_be_kept_is_one_line_in_the_log(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a-file").touch()
    with caplog.at_level(logging.WARNING):
        assert prepare(str(tmp_path / place) if place else "") is None
    assert [r.message for r in caplog.records] == ["no_journal"]


def test_the_place_is_ours_alone_and_nothing_in_it_names_a_number_or_a_text(tmp_path: Path) -> None:
    directory = prepare(str(tmp_path / "state"))
    assert directory is not None
    assert directory.stat().st_mode & 0o777 == 0o700
    journal, f = opened(directory), flight(message(to="+79161234567", text="secret"))
    keep(journal, sent(f, OK))
    assert journal.paths[0].stat().st_mode & 0o777 == 0o600
    data = journal.paths[0].read_bytes()
    assert b"9161234567" not in data and b"secret" not in data
    killed(journal)
