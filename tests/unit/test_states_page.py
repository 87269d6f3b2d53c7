"""docs/states.md tells of every state and reason as it is."""

from __future__ import annotations

from pathlib import Path

from gateway.api.states_page import STATES, page
from gateway.message import State
from gateway.provider import Reason

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m gateway.api.states_page > docs/states.md`"


def test_every_state_and_reason_stands_on_the_page_once() -> None:
    rows = [line.split("`")[1] for line in page().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted([*State, *Reason]) and set(STATES) == set(State)
