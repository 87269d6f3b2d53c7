"""`sluice db bi-user`: what the login may do, and what it may not, over TCP with a password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.embedded.datadir import short_directory
from gateway.embedded.postgres import Postgres
from gateway.store import analysts
from gateway.store.migrate import migrate

PASSWORD = "correct horse battery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(NamedTuple):
    postgres: Postgres
    data: Path
    port: int

    def login(self, name: str) -> str:
        return f"postgresql://{name}@127.0.0.1:{self.port}/sluice"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """As `sluice up --bi-listen` starts it, in a data directory."""
    port = free_port()
    postgres = Postgres(
        tmp_path / "postgres", short_directory(tmp_path / "run"), tmp_path / "log", {"fsync": "off"},
        ("127.0.0.1", port),
    )  # fmt: skip
    await postgres.start()
    await migrate(postgres.url)
    yield Server(postgres, tmp_path, port)
    await postgres.stop()


async def sluice(server: Server, *arguments: str) -> Result:
    command = ["db", "bi-user", *arguments, "--data", str(server.data)]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_the_login_works_over_tcp_and_its_password_is_shown_once(server: Server) -> None:
    made = await sluice(server, "anna")
    assert made.exit_code == 0, made.output
    assert server.login("anna") in made.output
    password = made.output.split("password")[1].split()[0]
    connection = await asyncpg.connect(server.login("anna"), password=password)
    try:
        assert await connection.fetchval("select count(*) from messages") == 0  # bi's: it is in the search path
        for fact in ("submissions", "receipts", "settled", "orphans", "uncertain", "dates", "changed_days"):
            await connection.fetch(f"select * from bi.{fact}")
        await connection.fetch("select * from bi.messages_since(0)")
        await connection.fetch("select * from bi.messages_between('2026-11-01', '2026-11-02')")
        for forbidden in (
            "select 1 from bi.recipients",
            "select 1 from public.messages",
            "select 1 from public.keys",
            "select 1 from public.secrets",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(forbidden)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("create temporary table t (a int)")
        await connection.execute("set default_transaction_read_only = off")
        for forbidden in ("insert into bi.tags (tag) values ('x')", "create table public.t (a int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        assert await connection.fetchval("show statement_timeout") == "5min"
    finally:
        await connection.close()
    again = await sluice(server, "anna")
    assert again.exit_code == 0
    assert "password  as it was" in again.output and password not in again.output
    await (await asyncpg.connect(server.login("anna"), password=password)).close()


async def test_only_analysts_and_only_with_their_password_get_in_over_tcp(server: Server) -> None:
    await analysts.grant(server.postgres.url, "anna", PASSWORD, with_recipients=False)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.login("anna"), password="wrong")
    for name, database in (("sluice", "sluice"), ("anna", "postgres")):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(server.login(name).replace("/sluice", f"/{database}"), password=PASSWORD)


async def test_numbers_and_texts_are_for_those_who_may_see_them(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    given = await sluice(server, "olga", "--with-recipients", "--password-file", str(file))
    assert given.exit_code == 0, given.output
    assert PASSWORD not in given.output
    connection = await asyncpg.connect(server.login("olga"), password=PASSWORD)
    try:
        assert await connection.fetch("select recipient, text from recipients") == []
        assert (await sluice(server, "olga")).exit_code == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select recipient, text from recipients")
    finally:
        await connection.close()


async def test_no_fact_but_recipients_has_numbers_or_texts(server: Server) -> None:
    connection = await asyncpg.connect(server.postgres.url)
    try:
        found = await connection.fetch(
            "select table_name, column_name from information_schema.columns where table_schema = 'bi'"
            " and column_name in ('recipient', 'recipient_hash', 'text', 'raw', 'meta', 'callback_url')"
        )
    finally:
        await connection.close()
    assert {row["table_name"] for row in found} == {"recipients"}


async def test_a_login_is_removed_and_somebody_elses_role_is_left_alone(server: Server) -> None:
    await analysts.grant(server.postgres.url, "anna", PASSWORD, with_recipients=True)
    assert (await sluice(server, "anna", "--remove")).exit_code == 0
    assert not await analysts.exists(server.postgres.url, "anna")
    missing = await sluice(server, "anna", "--remove")
    assert (missing.exit_code, "there is no login anna" in missing.output) == (1, True)
    for arguments in (("sluice",), ("sluice", "--remove")):
        refused = await sluice(server, *arguments)
        assert refused.exit_code == 1
        assert "choose another name" in refused.output


async def test_bad_names_and_passwords_are_refused_in_words(server: Server, tmp_path: Path) -> None:
    assert (await sluice(server, "Anna")).exit_code == 2
    file = tmp_path / "password"
    for password, word in (("short", "at least 12"), ("пароль-пароль", "ASCII")):
        file.write_text(password)
        refused = await sluice(server, "anna", "--password-file", str(file))
        assert (refused.exit_code, word in refused.output) == (1, True)
        assert password not in refused.output


def test_a_verifier_is_that_of_rfc_5803() -> None:
    verifier = analysts.scram_verifier("pencil", b"0123456789abcdef")
    assert verifier.startswith("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")
    assert "pencil" not in verifier
