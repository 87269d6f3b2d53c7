"""Help that teaches: every command has an example that it understands, and the generated pages are current."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.commands.origins import origins, settings
from gateway.config import Settings
from gateway.reference import PAGES, WIDTH, pages, root_context

DOCS = Path(__file__).parents[2] / "docs"


def helps() -> Iterator[tuple[str, str]]:
    """Every command's path and its help."""
    root = root_context()
    for name in main.list_commands(root):
        command = main.get_command(root, name)
        assert command is not None
        for path, _, text in pages(root, command, 1):
            yield path, text


HELPS = dict(helps())


@pytest.mark.parametrize("path", HELPS)
def test_a_command_teaches_by_example_and_tells_its_exit_codes(path: str) -> None:
    text = HELPS[path]
    assert re.search(rf"^ .*\b{path}\b", text.split("\n", 1)[1], re.MULTILINE), "no example"
    assert "Exit codes:" in text
    assert max(map(len, text.splitlines())) <= WIDTH + 20, "an example may be long, prose is wrapped"


@pytest.mark.parametrize("path", HELPS)
def test_an_example_is_a_command_that_is_understood(path: str) -> None:
    for line in re.findall(rf"^  .*?\b({path}\b.*)$", HELPS[path].partition("Examples:")[2], re.MULTILINE):
        words = shlex.split(re.split(r"\s#\s|\s[|>]+\s|2>/dev/null", line)[0].rstrip(")"))[1:]
        command: click.Command = main
        while (
            isinstance(command, click.Group) and words and (inner := command.get_command(_context(command), words[0]))
        ):
            command, words = inner, words[1:]
        if not isinstance(command, click.Group):
            with command.make_context(line, [w for w in words if w != "…"], resilient_parsing=_reads_files(words)):
                pass


def _context(command: click.Command) -> click.Context:
    return click.Context(command)


def _reads_files(words: list[str]) -> bool:
    """A file of an example is not there."""
    return any(word.endswith((".toml", ".csv")) for word in words)


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_program_says(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "run `make docs`"


def test_every_setting_has_a_sentence_a_default_and_a_variable() -> None:
    found = settings()
    assert {s.name for s in found} == set(Settings.__struct_fields__)
    assert all(s.says and s.default and s.variable == f"SLUICE_{s.name.upper()}" for s in found)


def test_a_setting_s_origin_is_what_was_read_last(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text("shards = 2\nmax_parts = 3\n")
    environment = {"SLUICE_SHARDS": "4", "SLUICE_REDIS_URL_FILE": "x"}
    found = origins(path, environment)
    assert (found["shards"], found["max_parts"], found["listen"]) == ("SLUICE_SHARDS", str(path), "default")
    assert found["redis_url"] == "SLUICE_REDIS_URL_FILE"
