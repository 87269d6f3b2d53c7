"""A whole gateway for each test that asks for one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

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
