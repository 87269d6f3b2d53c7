"""Programs that nobody here wrote read schema bi: psql, DuckDB, pandas, SQLAlchemy, ODBC; docs/bi.md is true."""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import adbc_driver_postgresql.dbapi
import asyncpg
import duckdb
import pandas
import pyodbc
import pytest
import sqlalchemy

from gateway.demo.load import fill
from gateway.demo.world import SEED
from gateway.embedded.datadir import short_directory
from gateway.embedded.postgres import Postgres
from gateway.store import analysts
from gateway.store.migrate import migrate
from tests.conftest import Loop
from tests.peers.programs import needed, program

PASSWORD = "an analyst's password"
PAGE = Path(__file__).parents[2] / "docs" / "bi.md"


class Analyst(NamedTuple):
    """A login on a server with the demo month of docs/bi.md."""

    port: int
    owner_url: str
    messages: int

    @property
    def url(self) -> str:
        return f"postgresql://anna:an%20analyst%27s%20password@127.0.0.1:{self.port}/sluice"


class Silent:
    def begin(self, days: int) -> None: ...

    def done(self, day: date, messages: int) -> None: ...


@pytest.fixture(scope="module")
def analyst(session_loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyst]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    directory = tmp_path_factory.mktemp("bi")
    server = Postgres(
        directory / "data", short_directory(directory / "run"), directory / "log", {"fsync": "off"}, ("127.0.0.1", port)
    )
    session_loop.run(server.start())
    try:
        session_loop.run(migrate(server.url))
        messages = session_loop.run(fill(server.url, date(2026, 11, 1), 30, 10_000, SEED, Silent()))
        session_loop.run(analysts.grant(server.url, "anna", PASSWORD, with_recipients=False))
        yield Analyst(port, server.url, messages)
    finally:
        session_loop.run(server.stop())


def test_psql_reads_facts_and_the_comments_of_columns(analyst: Analyst) -> None:
    psql = program("psql", "apt install postgresql-client")

    def ask(*arguments: str) -> str:
        done = subprocess.run([psql, "-X", *arguments, analyst.url], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ask("-At", "-c", "select count(*) from messages").strip() == str(analyst.messages)
    described = ask("-c", r"\d+ bi.carriers")
    assert "Name of the account at a carrier" in described
    rows = csv.DictReader(io.StringIO(ask("--csv", "-c", "select * from bi.messages_since(0) limit 3")))
    assert [row["currency"] for row in rows] == ["RUB"] * 3


def test_duckdb_loads_increments_by_changed_seq(analyst: Analyst) -> None:
    spec = importlib.util.find_spec("duckdb_ext")
    pattern = f"extensions/v{duckdb.__version__}/*/postgres_scanner.duckdb_extension"
    folders = (spec.submodule_search_locations if spec else None) or ()
    extension = next((file for folder in folders for file in Path(folder).glob(pattern)), None)
    needed(extension, "the extension postgres of DuckDB", "pip install duckdb-ext-postgres")
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as db:
        db.execute(f"load '{extension}'")
        db.execute(f"attach '{analyst.url}' as sluice (type postgres, read_only, schema 'bi')")
        db.execute("create table messages as from sluice.bi.messages")
        assert db.execute("select count(*) from messages").fetchone() == (analyst.messages,)
        (mark,) = db.execute("select max(changed_seq) from messages").fetchone() or (0,)
        more = db.execute(
            f"select count(*) from postgres_query('sluice', 'select id from bi.messages_since({mark})')"
        ).fetchone()
        assert more == (0,)
        joined = db.execute(
            "select c.carrier, count(*) n from sluice.bi.submissions s join sluice.bi.carriers c using (carrier_key)"
            " group by 1 order by 1"
        ).fetchall()
        assert [name for name, _ in joined] == ["alpha", "bravo", "delta"]
        with pytest.raises(duckdb.Error):
            db.execute("from sluice.bi.recipients")


def test_pandas_reads_through_adbc_with_types(analyst: Analyst) -> None:
    with adbc_driver_postgresql.dbapi.connect(analyst.url) as connection:
        frame = pandas.read_sql(
            "select accepted_at, state, parts, cost::float8 as cost, date_key, changed_seq from bi.messages", connection
        )
    assert len(frame) == analyst.messages
    assert str(frame["accepted_at"].dt.tz) == "UTC"
    assert frame["cost"].sum() > 0
    assert frame["changed_seq"].notna().all()
    assert set(frame["date_key"] // 100) == {202611}


def test_sqlalchemy_reflects_views_and_keys(analyst: Analyst) -> None:
    engine = sqlalchemy.create_engine(analyst.url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        found = sqlalchemy.MetaData(schema="bi")
        found.reflect(engine, views=True, only=["messages", "carriers", "dates"])
        messages, carriers = found.tables["bi.messages"], found.tables["bi.carriers"]
        assert [column.name for column in carriers.primary_key] == ["carrier_key"]
        assert isinstance(messages.c.accepted_at.type, sqlalchemy.TIMESTAMP)
        assert messages.c.accepted_at.type.timezone
        assert messages.c.changed_seq.comment
        query = (
            sqlalchemy.select(carriers.c.carrier, sqlalchemy.func.sum(messages.c.cost))
            .join(messages, messages.c.carrier_key == carriers.c.carrier_key)
            .group_by(carriers.c.carrier)
        )
        with engine.connect() as connection:
            sums = dict(connection.execute(query).all())
        assert sums["alpha"] > 0
    finally:
        engine.dispose()


def test_odbc_lists_tables_and_reads_them_as_power_bi_does(analyst: Analyst) -> None:
    driver = next((name for name in pyodbc.drivers() if "PostgreSQL" in name and "Unicode" in name), "")
    needed(driver, "ODBC driver of PostgreSQL", "apt install odbc-postgresql unixodbc")
    connection = pyodbc.connect(
        f"DRIVER={{{driver}}};SERVER=127.0.0.1;PORT={analyst.port};DATABASE=sluice;UID=anna;PWD={{{PASSWORD}}}"
    )
    try:
        cursor = connection.cursor()
        tables = {(row.table_name, row.table_type) for row in cursor.tables(schema="bi")}
        assert {("messages", "VIEW"), ("submissions", "VIEW"), ("carriers", "TABLE"), ("dates", "TABLE")} <= tables
        columns = {row.column_name: row.type_name for row in cursor.columns(table="messages", schema="bi")}
        assert (columns["accepted_at"], columns["cost"], columns["changed_seq"]) == ("timestamptz", "numeric", "int8")
        cursor.execute("select count(*) from bi.messages where accepted_at >= ?", date(2026, 11, 1))
        assert cursor.fetchone()[0] == analyst.messages
        cursor.execute('select "carrier", sum("parts") from "bi"."messages" group by "carrier" order by 2 desc')
        assert cursor.fetchall()[0][0] in ("alpha", "delta")
        with pytest.raises(pyodbc.Error):
            cursor.execute("select 1 from bi.recipients")
    finally:
        connection.close()


async def test_the_questions_in_the_documentation_have_the_answers_that_stand_there(analyst: Analyst) -> None:
    asked = re.findall(r"```sql\n(.*?)```\n\n(\|.*?)\n\n", PAGE.read_text("utf-8") + "\n\n", re.DOTALL)
    assert len(asked) == 5
    connection = await asyncpg.connect(analyst.url)
    try:
        for sql, answer in asked:
            assert table(await connection.fetch(sql)) == answer, f"\n{sql}\n{table(await connection.fetch(sql))}"
    finally:
        await connection.close()


def table(rows: list[Any]) -> str:
    """As Markdown."""
    lines = ["| " + " | ".join(rows[0].keys()) + " |", "|---" * len(rows[0]) + "|"]
    return "\n".join([*lines, *("| " + " | ".join("" if v is None else str(v) for v in row) + " |" for row in rows)])
