"""A whole gateway for each test that asks for one, and a migrated PostgreSQL cluster to begin with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.migrate import migrate
from tests.conftest import UNSYNCED, Loop, make_postgres
from tests.installation import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Not started. Killed at the end if the test left it running."""
    made = Installation(tmp_path / "data")
    yield made
    if made.process is not None:
        print("".join(made.output))
        with contextlib.suppress(AssertionError):
            made.stop()


@pytest.fixture(scope="session")
def cluster(session_loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a migrated server that does not run; a copy of it spares a test the making."""
    server = make_postgres(tmp_path_factory.mktemp("cluster"), UNSYNCED)
    for step in (server.start, lambda: migrate(server.url), server.stop):
        session_loop.run(step())
    return server.data
