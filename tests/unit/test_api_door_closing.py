"""A connection is closed once, however often that is asked: a second close breaks TLS transports of older Pythons."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.api.door import Door


class Transport:
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def is_closing(self) -> bool:
        return self.closed > 0


async def test_a_connection_that_closes_already_is_not_closed_again() -> None:
    entrance: Any = SimpleNamespace(gate=None, doors=set())
    door, transport = Door(entrance), Transport()
    door.connection_made(transport)  # type: ignore[arg-type]
    door.close()
    door.close()
    assert transport.closed == 1
