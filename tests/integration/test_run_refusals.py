"""What keeps `sluice run` from starting is one clear line and an exit code that is not 0."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis

from gateway.embedded.valkey import Valkey
from gateway.store.migrate import migrations, unfit
from tests.installation import ROOT


def refused(*options: str, **env: str) -> tuple[int, str]:
    """The exit code and the one line that is no log entry."""
    run = subprocess.run(
        [sys.executable, "-m", "gateway", "run", *options],
        cwd=ROOT, env=os.environ | env, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stdout == ""
    lines = [line for line in run.stderr.splitlines() if not line.startswith("{")]
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, run.stderr
    assert all(line.startswith(("Error: ", "Usage: ", "Try ")) or not line for line in lines), run.stderr
    return run.returncode, errors[0].removeprefix("Error: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--redis-url", "http://127.0.0.1"],
            "redis_url: the Redis URL must begin with redis://, rediss:// or unix://",
        ),
        (["--redis-url", "redis://:a/b@127.0.0.1"], "redis_url: this is no URL; write special characters of the"),
        (["--postgres-url", "mysql://127.0.0.1"], "postgres_url: the PostgreSQL URL must begin with postgresql://"),
        (["--postgres-url", "postgresql://a:b#c@127.0.0.1/sluice"], "postgres_url: this is no URL; write special"),
        (["--roles", "api,dispatcher"], "roles: unknown role `dispatcher`; known are api, router, "),
        (["--roles", ""], "roles: name at least one of api, router, "),
        (["--listen", "here"], "listen: "),
        (["--config", "/nowhere/sluice.toml"], "/nowhere/sluice.toml: cannot be read: No such file or directory"),
        (["--config", str(ROOT)], f"{ROOT}: cannot be read: Is a directory"),
        (["--config", str(ROOT / "Makefile")], "Makefile: not valid TOML: "),
        (["--config", str(ROOT / "pyproject.toml")], "pyproject.toml: unknown setting `build-system`; see `sluice co"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_and_exit_code_2(options: list[str], words: str) -> None:
    code, said = refused(*options)
    assert code == 2
    assert words in said


def test_a_secret_that_cannot_be_read_from_its_file_is_one_line(tmp_path: Path) -> None:
    missing = str(tmp_path / "redis_url")
    code, said = refused(SLUICE_REDIS_URL_FILE=missing)
    assert (code, said) == (2, f"SLUICE_REDIS_URL_FILE: {missing} cannot be read: No such file or directory")
    code, said = refused(SLUICE_REDIS_URL_FILE=missing, SLUICE_REDIS_URL="redis://127.0.0.1")
    assert (code, said) == (2, "SLUICE_REDIS_URL and SLUICE_REDIS_URL_FILE are both set: one of them, please")


async def test_a_wrong_password_of_redis_is_said_at_once(own_valkey: Callable[..., Awaitable[Valkey]]) -> None:
    server = await own_valkey()
    async with redis.Redis(unix_socket_path=str(server.socket)) as client:
        await client.config_set("requirepass", "secret")
    for url, why in (
        (server.url, "NOAUTH Authentication required."),
        (server.url.replace("unix://", "unix://:wrong@"), "WRONGPASS invalid username-password pair"),
    ):
        code, said = refused("--redis-url", url)
        assert code == 1
        assert said.startswith(f"Redis at {server.socket}/0 refused: {why}")


def test_a_login_that_postgresql_refuses_is_one_line(valkey_url: str, postgres_url: str) -> None:
    url = re.sub("//[^@]*@", "//nobody:secret@", postgres_url)
    code, said = refused("--redis-url", valkey_url, "--postgres-url", url)
    assert (code, said) == (1, 'PostgreSQL refused: role "nobody" does not exist')


def test_a_database_that_does_not_exist_is_one_line(valkey_url: str, postgres_url: str) -> None:
    url = re.sub(r"/test_\d+", "/elsewhere", postgres_url)
    code, said = refused("--redis-url", valkey_url, "--postgres-url", url)
    assert (code, said) == (1, 'PostgreSQL refused: database "elsewhere" does not exist')


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("drop table schema_migrations", "the database in PostgreSQL is empty: run `sluice db migrate`"),
        (
            "delete from schema_migrations",
            "the schema in PostgreSQL is older than this release (0001_ledger.sql is missing): run `sluice db migrate`",
        ),
        (
            "insert into schema_migrations (name, sha256) values ('9999_less_contract.sql', '')",
            "the schema in PostgreSQL is too new for this release (9999_less_contract.sql was applied):"
            " install the newer one",
        ),
    ],
)
async def test_a_schema_that_does_not_fit_is_one_line(
    valkey_url: str, postgres_url: str, statement: str, words: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(statement)
    await connection.close()
    assert refused("--redis-url", valkey_url, "--postgres-url", postgres_url) == (1, words)


def test_a_schema_to_which_a_newer_release_only_added_is_fine() -> None:
    ours = [migration.name for migration in migrations()]
    assert unfit([*ours, "9998_more.sql"]) == ""
    assert "9998_less_contract.sql" in unfit([*ours, "9998_less_contract.sql"])
    assert "is older" in unfit(ours[:-1])


@pytest.mark.parametrize("roles", ["api", "router"])
def test_an_address_that_is_taken_is_one_line(valkey_url: str, postgres_url: str, roles: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        setting = "SLUICE_LISTEN" if roles == "api" else "SLUICE_METRICS_LISTEN"
        urls = ("--redis-url", valkey_url, "--postgres-url", postgres_url)
        code, said = refused("--roles", roles, *urls, **{setting: place})
    assert code == 1
    assert said.startswith(f"cannot listen on {place}: ")


def test_a_postgresql_that_is_away_keeps_nothing_from_starting(valkey_url: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "--roles", "router", "--redis-url", valkey_url,
         "--postgres-url", f"postgresql://sluice@/sluice?host={tmp_path}"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.terminate()
        _, logs = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "postgres_away" in logs
