"""The shell around the commands: overview, settings, where a gateway is."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway import __version__, commands
from gateway.cli import COMMANDS, main
from gateway.commands.config import hidden
from gateway.commands.target import find_target
from gateway.config import SettingsError


def test_the_overview_lists_every_command_under_who_uses_it() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for section, entries in COMMANDS.items():
        assert section in shown
        for name in entries:
            assert f"  {name} " in shown


def test_every_listed_command_exists_and_explains_itself() -> None:
    for entries in COMMANDS.values():
        for name in entries:
            result = CliRunner().invoke(main, [name, "--help"])
            assert result.exit_code == 0, result.output
            assert len(result.output.splitlines()) > 3


def test_every_command_there_is_is_listed() -> None:
    names = {path.stem for folder in commands.__path__ for path in Path(folder).glob("*.py")}
    found = {
        name.replace("_", "-")
        for name in names
        if hasattr(importlib.import_module(f"gateway.commands.{name}"), "command")
    }
    assert found == {name for entries in COMMANDS.values() for name in entries}


def test_the_overview_loads_no_command() -> None:
    script = "import sys, gateway.cli; print([m for m in sys.modules if 'asyncio' in m or 'gateway.commands' in m])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"sluice, version {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_says_what_was_meant() -> None:
    result = CliRunner().invoke(main, ["flood"])
    assert result.exit_code == 2
    assert "No such command 'flood'" in result.output and "There are up, send, trace" in result.output
    assert "Did you mean 'trace'?" in CliRunner().invoke(main, ["trcae"]).output


def test_without_a_command_the_overview_is_shown() -> None:
    assert CliRunner().invoke(main, []).output == CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_asks_the_program_itself(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert f"_SLUICE_COMPLETE={shell}_complete" in result.output
    asked = {"_SLUICE_COMPLETE": "zsh_complete", "COMP_WORDS": "sluice carriers pa", "COMP_CWORD": "2"}
    shown = CliRunner().invoke(main, [], prog_name="sluice", env=asked).output
    assert "pause" in shown and "resume" not in shown


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("+79161234567"), 70, "Error: this is a mistake in Sluice itself (RuntimeError).\n  What to do: "),
        (KeyboardInterrupt(), 130, "\n"),
        (SettingsError("shards: no"), 2, "Error: shards: no\n"),
    ],
)
def test_no_traceback_reaches_a_user(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gateway.commands.config.read_settings", breaks)
    result = CliRunner().invoke(main, ["config", "check"])
    assert result.exit_code == code and result.output.startswith(said)
    assert "Traceback" not in result.output and "7916" not in result.output
    if code == 70:
        shown = CliRunner().invoke(main, ["config", "check"], env={"SLUICE_TRACEBACK": "1"})
        assert shown.exception is error


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shards = 0", "Error: {path}: Expected `int` >= 1 - at `$.shards`\n"),
        ("shard = 1", "Error: {path}: unknown setting `shard`; see `sluice config example`\n"),
        ("shards =", "Error: {path}: not valid TOML: Invalid value (at end of document)\n"),
        ('redis_url = "http://a"', "Error: redis_url: the Redis URL must begin with redis://, rediss:// or unix://\n"),
        ('postgres_url = "mysql://a"', "Error: postgres_url: the PostgreSQL URL must begin with postgresql://\n"),
        (
            'listen = "8080"',
            "Error: listen: `8080` is no address: give HOST:PORT, for example 127.0.0.1:8080\n",
        ),
        ('log_level = "loud"', "Error: log_level: `loud` is none of debug, info, warning, error\n"),
        ('log_format = "xml"', "Error: log_format: `xml` is none of json, text\n"),
        (
            "default_validity_s = 300000",
            "Error: default_validity_s: 300000 is longer than max_validity_s, which is 259200\n",
        ),
        (
            "memory_accept = 0.9",
            "Error: memory_accept: 0.9 is more than memory_mark, which is 0.85: what was accepted could not be sent\n",
        ),
    ],
)
@pytest.mark.parametrize("command", [["config", "check"], ["run"]])
def test_a_wrong_setting_is_one_line_and_exit_code_2(command: list[str], text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text(text)
    result = CliRunner().invoke(main, [*command, "--config", str(path)])
    assert (result.exit_code, result.output) == (2, line.format(path=path))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["config", "check", "--config", str(tmp_path / "none")])
    assert (result.exit_code, result.output) == (
        2,
        f"Error: {tmp_path / 'none'}: cannot be read: No such file or directory\n",
    )


def test_the_example_is_a_file_that_checks(tmp_path: Path) -> None:
    example = CliRunner().invoke(main, ["config", "example"]).output
    path = tmp_path / "sluice.toml"
    path.write_text(re.sub(r"^#(?! )", "", example, flags=re.MULTILINE))
    result = CliRunner().invoke(main, ["config", "check", "--config", str(path)])
    assert result.exit_code == 0, result.output
    assert re.search(rf"^shards +1 +{re.escape(str(path))}$", result.output, re.MULTILINE)


def test_settings_are_shown_without_passwords() -> None:
    assert hidden("postgresql://me:secret@db:5432/sluice") == "postgresql://me:***@db:5432/sluice"
    assert hidden("redis://:secret@cache/0") == "redis://:***@cache/0"
    assert hidden("unix:///run/valkey.sock") == "unix:///run/valkey.sock"


def test_the_gateway_is_where_the_environment_says_else_where_up_wrote_it(tmp_path: Path) -> None:
    environment = {"SLUICE_DATA": str(tmp_path)}
    with pytest.raises(click.ClickException, match=r"no SLUICE_URL: .* start `sluice up`"):
        find_target(environment)
    (tmp_path / "client.env").write_text("# first\nSLUICE_URL=http://a:1/\nSLUICE_KEY=sk_1\n")
    assert (find_target(environment).url, find_target(environment).key) == ("http://a:1", "sk_1")
    assert find_target(environment | {"SLUICE_KEY": "sk_2"}).key == "sk_2"
    assert "sk_1" not in repr(find_target(environment))
    assert find_target(environment).source == str(tmp_path / "client.env")
    with (tmp_path / "client.env").open("a") as file:
        file.write("SLUICE_METRICS=api=http://a:1/metrics\n")
    assert find_target(environment).metrics == (("api", "http://a:1/metrics"),)
    assert find_target(environment | {"SLUICE_URL": "http://b:1"}).metrics == (), "they are another gateway's"
