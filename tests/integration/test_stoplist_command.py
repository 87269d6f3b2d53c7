"""`sluice stoplist` on the servers and by the API: the same answers, numbers hidden unless they are asked for."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.api_server import running

NUMBER, OTHER = "+79161234567", "+79161234568"
Run = Callable[..., Result]


@pytest.fixture
def on_servers(valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SLUICE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("SLUICE_REDIS_URL", valkey_url)
    return run


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["stoplist", *args])
    assert result.exit_code == code, result.output
    return result


def said(result: Result) -> Any:
    return json.loads(result.stdout)


def test_numbers_come_onto_a_list_and_off_it(on_servers: Run) -> None:
    assert said(on_servers("add", NUMBER, "8 916 123-45-68", "--json")) == {"added": 2, "changed": 0}
    assert "stopped for alert, transactional, marketing" in on_servers("check", NUMBER).stdout
    on_servers("add", NUMBER, "--class", "all", "--client", "shop", "--reason", "complaint")
    found = said(on_servers("check", NUMBER, "--client", "shop", "--json"))
    assert found["stopped"] == ["otp", "alert", "transactional", "marketing"]
    assert [(e["client"], e["reason"]) for e in found["entries"]] == [(None, ""), ("shop", "complaint")]
    listed = on_servers("list").stdout
    assert NUMBER not in listed and "+7916*****67" in listed
    assert said(on_servers("remove", NUMBER, OTHER, "--json")) == {"removed": 2}
    assert "nothing is stopped" in on_servers("check", OTHER).stdout


def test_a_file_is_imported_and_its_wrong_lines_are_told(on_servers: Run, tmp_path: Path) -> None:
    file = tmp_path / "stops.csv"
    file.write_text("name;phone\nAnna;+79161234567\nBoris;89161234568\nX;12\n;\nAnna;79161234567\nY;+7916123456\n")
    result = on_servers("import", str(file), code=3)
    assert "line 4: " in result.stderr and "line 7: " in result.stderr and "123456" not in result.stderr
    assert "3 numbers: 2 added, 0 changed, 1 were there or came twice; 2 lines without a number." in result.stdout
    rows = list(csv.DictReader(io.StringIO(on_servers("export", "--full").stdout)))
    assert {row["number"] for row in rows} == {NUMBER, OTHER} and rows[0]["reason"] == "stops.csv"
    assert {row["number"] for row in csv.DictReader(io.StringIO(on_servers("export").stdout))} == {
        "+7916*****67",
        "+7916*****68",
    }


def test_what_was_imported_by_mistake_is_taken_off_again_by_its_file(on_servers: Run, tmp_path: Path) -> None:
    file = tmp_path / "stops.csv"
    file.write_text("".join(f"+7916{n:07}\n" for n in range(12_345)))
    on_servers("import", str(file))
    on_servers("add", NUMBER)
    assert said(on_servers("remove", "--file", str(file), "--json")) == {"removed": 12_345, "refused": 0}
    assert [e["source"] for e in said(on_servers("list", "--json"))["entries"]] == ["operator"]
    assert "Which numbers?" in on_servers("remove", code=2).stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [("a;b\nx;y\n", "name it `to`"), ("\n", "empty line"), ("to\n\xff", "UTF-8")],
)
def test_a_file_that_cannot_be_used_is_one_line(on_servers: Run, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "stops.csv"
    file.write_bytes(text.encode("latin-1"))
    result = on_servers("import", str(file), code=2)
    assert says in result.stderr and "Traceback" not in result.stderr


def test_an_import_is_a_version_that_one_can_look_at_and_undo(on_servers: Run, tmp_path: Path) -> None:
    assert "Nothing was imported yet" in on_servers("versions").stdout
    assert "no such version" in on_servers("rollback", code=1).stderr
    file = tmp_path / "stops.csv"
    for numbers in ((NUMBER,), (NUMBER, OTHER)):
        file.write_text("\n".join(numbers))
        assert "To undo it: sluice stoplist rollback" in on_servers("import", str(file), "--class", "all").stdout
    first, second = (v["version"] for v in reversed(said(on_servers("versions", "--json"))))
    assert "stops.csv" in on_servers("versions").stdout
    shown = on_servers("diff").stdout
    assert "1 numbers more, 0 less, 0 changed" in shown and "+7916*****68" in shown and OTHER not in shown
    assert OTHER in on_servers("diff", str(first), str(second), "--full").stdout
    assert "as after version" in on_servers("rollback").stdout
    assert "nothing is stopped" in on_servers("check", OTHER).stdout
    file.write_text("to\n")
    assert "no number in the file" in on_servers("import", str(file), code=1).stderr


async def test_an_operators_import_over_http_is_a_version_too(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with running(valkey_url, postgres_url) as api:
        monkeypatch.setenv("SLUICE_URL", api.server.url)
        monkeypatch.setenv("SLUICE_KEY", api.secrets["ops"])
        file = tmp_path / "stops.csv"
        file.write_text(f"phone;name\n{NUMBER};A\n{OTHER};B\nx;C\n")
        made = await asyncio.to_thread(run, "import", str(file), "--client", "shop", code=3)
        assert "2 added" in made.stdout and "rollback --client shop" in made.stdout and "line 4" in made.stderr
        file.write_text(f"{OTHER}\n")
        whole = said(await asyncio.to_thread(run, "import", str(file), "--client", "shop", "--whole", "--json"))
        assert (whole["added"], whole["removed"]) == (0, 1)
        found = said(await asyncio.to_thread(run, "versions", "--client", "shop", "--json"))
        assert [v["how"] for v in found] == ["replace", "import"]
        diff = await asyncio.to_thread(run, "diff", "--client", "shop")
        assert "0 numbers more, 1 less" in diff.stdout and "+7916*****67" in diff.stdout
        back = await asyncio.to_thread(run, "rollback", "--client", "shop")
        assert "1 numbers are on it again" in back.stdout


async def test_a_client_handles_its_own_list_by_the_api(
    valkey_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with running(valkey_url, postgres_url) as api:
        await api.make_key("acme", "acme")
        await api.make_key("reader", "acme", scopes=("send", "privacy"))

        async def by_api(key: str, *args: str, code: int = 0) -> Result:
            monkeypatch.setenv("SLUICE_URL", api.server.url)
            monkeypatch.setenv("SLUICE_KEY", api.secrets[key])
            return await asyncio.to_thread(run, *args, code=code)

        file = tmp_path / "stops.txt"
        file.write_text("+79161234567\n89161234568\n")
        assert "2 added" in (await by_api("acme", "import", str(file))).stdout
        assert [e["client"] for e in said(await by_api("acme", "list", "--json"))["entries"]] == ["acme", "acme"]
        assert "scope `privacy`" in (await by_api("acme", "export", "--full", code=1)).stderr
        assert NUMBER in (await by_api("reader", "export", "--full")).stdout
        assert "nothing is stopped" in (await by_api("ops", "check", NUMBER)).stdout.replace("\n", " ")
        assert said(await by_api("acme", "remove", NUMBER, "--class", "marketing", "--json")) == {"removed": 1}
        assert said(await by_api("acme", "remove", "--file", str(file), "--class", "alert", "--json"))["removed"] == 2
        assert "stopped for transactional," in (await by_api("acme", "check", NUMBER)).stdout
        refused = await by_api("acme", "add", "12", code=1)
        assert "too short" in refused.stderr
