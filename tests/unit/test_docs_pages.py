"""The pages as a whole: links lead somewhere, names are the code's, commands are understood, nothing is missing."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.config import ROLES
from gateway.streams import keys

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ARCHITECTURE = (DOCS / "architecture.md").read_text("utf-8")
OUTSIDE = re.compile(r"^[a-z]+:")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def headings(page: Path) -> set[str]:
    """Anchors as they are made of headings."""
    found = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if OUTSIDE.match(target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target}: no such file"
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in headings(there), f"{target}: no such heading"


def test_the_index_leads_to_every_page_and_the_readme_to_the_index() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    led_to = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(index)}
    pages = {*DOCS.glob("*.md"), *(DOCS / "monitoring").glob("*.md"), DOCS / "decisions"} - {DOCS / "README.md"}
    assert pages <= led_to, pages - led_to
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "(docs/README.md)" in readme
    assert "(docs/architecture.md)" in readme


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_files_that_there_are(page: Path) -> None:
    for path in re.findall(r"`((?:gateway|providers|tests|bench|systemd|docs)/[\w/*.-]+)`", page.read_text("utf-8")):
        assert list(ROOT.glob(path.rstrip("/"))), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_speaks_of_roles_that_there_are(page: Path) -> None:
    for roles in re.findall(r"--roles ([a-z,]+)", page.read_text("utf-8")):
        assert set(roles.split(",")) <= set(ROLES), roles


def test_the_pages_that_show_all_processes_give_every_role_to_one() -> None:
    run = re.findall(r"^sluice run --roles ([a-z,]+)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    told = re.findall(r"^\| (?:api|dispatch|recorder) \| `([a-z,]+)` \|", ARCHITECTURE, re.MULTILINE)
    assert sorted(",".join(run).split(",")) == sorted(ROLES)
    assert told == run


def test_the_architecture_names_every_table() -> None:
    made = {
        table
        for file in (ROOT / "gateway/store/migrations").glob("*.sql")
        for table in re.findall(r"^create table (?:if not exists )?(\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    part = ARCHITECTURE.partition("## Tables in PostgreSQL")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", part, re.MULTILINE)
    assert {table for row in rows for table in re.findall(r"`(\w+)`", row)} == made


def test_the_architecture_names_every_key_of_redis() -> None:
    known = set(re.findall(r"\{[sg]\}:[a-z]\S*?(?: id)?>?(?=,? )", keys.__doc__ or ""))
    told = set(re.findall(r"`(\{[sg]\}:[^`]+)`", ARCHITECTURE))
    assert len(known) > 20
    assert known <= told, known - told


def test_every_key_that_a_script_names_is_told() -> None:
    told = [*re.findall(r"\{[sg]\}:([a-z:]+)", ARCHITECTURE), *(f"lease:{stage}" for stage in ROLES)]
    for script in (ROOT / "gateway/streams/scripts").glob("*.lua"):
        for key in re.findall(r"\bP \.\. '([a-z:]+)'", script.read_text("utf-8")):
            assert any(one.startswith(key) for one in told), f"{script.name}: {key}"


def commands(page: Path) -> list[str]:
    """Every `sluice …` of the page, in blocks and within sentences, options and all."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    blocks = "\n".join(block for kind, block in fenced if kind in ("", "sh"))
    found = re.findall(r"(?:^|[;&$(] ?|bin/)sluice +([a-z].+)$", blocks, re.MULTILINE)
    found += re.findall(r"`(?:\.venv/bin/)?sluice ([a-z][^`\n]*)`", text)
    cleaned = (re.split(r"\s#\s|\s+(?:\|\|?|&)(?:\s|$)|\s+2?>", line)[0] for line in found)
    return sorted({one.strip() for line in cleaned for one in spelled_out(line)})


def spelled_out(line: str) -> list[str]:
    """`callbacks list|retry` is two commands."""
    choice = re.search(r"[a-z]+(?:\|[a-z]+)+", line)
    return [line.replace(choice[0], one) for one in choice[0].split("|")] if choice else [line]


BY_HAND = [page for page in PAGES if page.name != "cli.md" and "decisions" not in page.parts and commands(page)]


@pytest.mark.parametrize("page", BY_HAND, ids=name)
def test_every_command_of_a_page_is_understood(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("plan.toml", "numbers.csv", "north.csv", "registry.csv"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    for line in commands(page):
        words, command = shlex.split(line), main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            inner = command.get_command(click.Context(command), words[0])
            assert inner is not None, f"there is no `sluice {line}`"
            command, words = inner, words[1:]  # type: ignore[assignment]
        if words and "…" not in line and (not isinstance(command, click.Group) or command.invoke_without_command):
            try:
                command.make_context(line, words).close()
            except click.UsageError as e:
                raise AssertionError(f"`sluice {line}`: {e.message}") from e


def test_every_command_has_its_part_in_the_reference() -> None:
    reference = headings(DOCS / "cli.md")
    assert {f"sluice-{one}" for one in main.list_commands(click.Context(main))} <= reference


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_on_a_page_can_be_read(page: Path) -> None:
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        ast.parse(code)
