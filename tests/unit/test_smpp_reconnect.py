"""Pauses between two tries to bind: they grow up to a limit, and binds that fell together do not come back together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.smpp import pdu
from providers.smpp.bind import Bind
from providers.smpp.settings import read

TABLE = {"host": "smsc.example", "system_id": "account", "password": "secret", "reconnect_s": 1, "reconnect_max_s": 8}


def fallen() -> Bind:
    line: Any = SimpleNamespace(carrier="acme", reports=SimpleNamespace(clock_ms=lambda: 0))
    return Bind("trx1", pdu.BIND_TRANSCEIVER, read("acme", TABLE | {"refused_s": 30}), line, lambda link: None)


@pytest.mark.parametrize(("refused", "longest"), [(False, [1, 2, 4, 8, 8, 8]), (True, [30, 60, 120, 240, 300, 300])])
def test_pauses_grow_to_their_limit_and_are_drawn_from_their_upper_half(refused: bool, longest: list[float]) -> None:
    binds = [fallen() for _ in range(50)]
    for most in longest:
        pauses = [bind._pause(refused) for bind in binds]
        assert all(most / 2 <= pause <= most for pause in pauses)
        assert max(pauses) - min(pauses) > most / 10, "as good as at once, all of them"
