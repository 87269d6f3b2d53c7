"""What `sluice up` shows while it starts."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from gateway.commands.up import Steps, near
from gateway.embedded.up import Ready, fixed


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def run(steps: Steps) -> None:
    steps.begin("Valkey")
    steps.begin("PostgreSQL")
    steps.done("Valkey", "9.1")
    steps.done("PostgreSQL", "18")
    steps.begin("schema")
    steps.broken("schema")
    steps.note("gateway was ended by SIGKILL; starting it again")
    steps.close()


def test_without_a_terminal_every_finished_step_is_a_plain_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=60)
    run(Steps(console))
    lines = shown(console).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("  ✓ Valkey           9.1  (0.")
    assert lines[2].endswith("starting it again")
    assert "\x1b" not in shown(console)


def test_on_a_terminal_what_is_under_way_is_shown_too() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    run(Steps(console))
    assert "Valkey, PostgreSQL" in shown(console)


def test_the_end_of_the_start_can_be_pasted(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40, soft_wrap=True)
    url = "http://127.0.0.1:8080"
    Steps(console).ready(Ready(url, tmp_path, tmp_path / "client.env", "http://p", (url + "/metrics", "http://m"), 2.5))
    assert f'\n. {tmp_path / "client.env"}\ncurl -s "$SLUICE_URL/v1/messages"' in shown(console)
    assert f"docs     {url}/docs\n" in shown(console)


def test_paths_are_shown_as_one_would_type_them_here(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / ".sluice" / "client.env") == "./.sluice/client.env"
    assert near(Path("/srv/sluice")) == "/srv/sluice"


def test_a_free_port_is_kept_through_restarts() -> None:
    assert fixed("127.0.0.1:0", "http://127.0.0.1:41234") == "127.0.0.1:41234"
    assert fixed("127.0.0.1:8080", "http://127.0.0.1:8080") == "127.0.0.1:8080"
