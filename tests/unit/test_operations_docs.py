"""docs/production.md and docs/operating.md name commands, metrics, events and files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway import metrics
from gateway.api.problems import Code
from gateway.cli import main
from gateway.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = ("production.md", "operating.md")
TEXT = {name: (ROOT / "docs" / name).read_text() for name in PAGES}
SOURCE = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))


def commands(page: str) -> list[str]:
    """Every `sluice …` of the page, on a line of its own or in the middle of one."""
    blocks = re.findall(r"^```\n(.*?)^```", TEXT[page], re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = re.findall(r"`(sluice [^`\n]+)`", TEXT[page])
    found = [match[1] for line in [*lines, *spans] if (match := re.search(r"(?:^|bin/|/sluice )(?:sluice )(.+)", line))]
    return sorted({line.partition(" #")[0].partition(" >")[0].strip() for line in found})


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_is_understood(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plan.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert len(commands(page)) > 8
    for line in commands(page):
        words, command, context = shlex.split(line), main, click.Context(main)
        while isinstance(command, click.Group) and words:
            inner = command.get_command(context, words[0])
            assert inner is not None, f"there is no `sluice {line}`"
            if words[0] == "run":
                break
            command, words = inner, words[1:]  # type: ignore[assignment]
        if not isinstance(command, click.Group):
            try:
                command.make_context(line, words).close()
            except click.UsageError as e:
                raise AssertionError(f"`sluice {line}`: {e.message}") from e


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_of_the_page_exists(page: str) -> None:
    exposed = metrics.render()[0].decode()
    for name in set(re.findall(r"`(sluice_[a-z_]+)`?", TEXT[page])) - {"sluice_app", "sluice_owner"}:
        assert re.search(rf"^# TYPE {name} ", exposed, re.MULTILINE), f"there is no metric {name}"


def test_every_event_of_the_table_is_logged_somewhere() -> None:
    table = re.search(r"^\| event \|.*?\n\n", TEXT["operating.md"], re.MULTILINE | re.DOTALL)
    assert table
    for event in re.findall(r"`([a-z_ ]+)`", "".join(line.split("|")[1] for line in table[0].splitlines()[2:] if line)):
        assert f'"{event}"' in SOURCE, f"nothing logs {event}"


@pytest.mark.parametrize("page", PAGES)
def test_every_code_setting_and_file_of_the_page_exists(page: str) -> None:
    known = {str(code) for code in Code} | set(Settings.__struct_fields__) | {"foreign_cpu"}  # of the benchmark
    for name in re.findall(r"(?:429|503) `([a-z_]+)`", TEXT[page]) + re.findall(r"\(`([a-z]+_[a-z]+)`\)", TEXT[page]):
        assert name in known, name
    for target in re.findall(r"\]\(([^)#]+)", TEXT[page]):
        assert (ROOT / "docs" / target).exists(), target
    for test in re.findall(r"`(tests/[\w/*.]+)`", TEXT[page]):
        assert list(ROOT.glob(test)), test


@pytest.mark.parametrize("page", PAGES)
def test_every_reference_inside_a_page_has_its_heading(page: str) -> None:
    for name, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", TEXT[page]):
        headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / (name or page)).read_text("utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{page} refers to #{anchor}"


def test_the_upgrade_is_told_in_the_order_in_which_it_is_tested() -> None:
    told = re.search(r"for process in (.+?); do", TEXT["production.md"])
    tested = re.search(r"ORDERS = \((.+?)\)", (ROOT / "tests/acceptance/test_rolling_upgrade.py").read_text())
    assert told
    assert tested
    orders = [order.split() for order in re.findall(r'"([a-z ]+)"', tested[1])]
    process = {"router": "dispatch", "connector": "dispatch"}
    assert len(orders) == 2
    for order in orders:
        assert list(dict.fromkeys(process.get(role, role) for role in order)) == told[1].split()
