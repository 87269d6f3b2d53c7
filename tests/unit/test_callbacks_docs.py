"""What docs/callbacks.md tells an application developer to copy does what it says."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.callbacks.backoff import PAUSES_S
from gateway.callbacks.event import TYPES, Event, document, event_id
from gateway.callbacks.signing import secret_bytes, sign

PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
EVENT = Event(bytes.fromhex("0199c1a27a3e7c118f005a1d2e3f4a5b"), 1, 1_795_300_000_123, "delivered", ref="order-1")


def request(secret: bytes, at_s: float) -> tuple[bytes, dict[str, str]]:
    body, name = document(EVENT), event_id(EVENT.id, EVENT.seq)
    signature = sign((b"another secret", secret), name, int(at_s), body)
    return body, {"webhook-id": name, "webhook-timestamp": str(int(at_s)), "webhook-signature": signature}


@pytest.fixture
def names() -> dict[str, Any]:
    """Everything that the page's Python defines."""
    found: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/callbacks.md", "exec"), found)
    return found


def test_the_librarys_way_takes_ours_and_refuses_what_is_changed(names: dict[str, Any]) -> None:
    secret = secret_bytes("whsec_c2VjcmV0IG9mIGFuIGVuZHBvaW50")
    body, headers = request(secret, time.time())
    assert names["receive"](body, headers) == 204
    assert names["receive"](body + b" ", headers) == 401


def test_the_way_by_hand_takes_ours_and_refuses_what_is_changed_or_old(names: dict[str, Any]) -> None:
    text = "whsec_c2VjcmV0IG9mIGFuIGVuZHBvaW50"
    body, headers = request(secret_bytes(text), time.time())
    assert names["is_ours"](text, headers, body)
    assert not names["is_ours"](text, headers, body + b" ")
    body, headers = request(secret_bytes(text), time.time() - 600)
    assert not names["is_ours"](text, headers, body)


def test_the_page_names_every_type_and_every_pause() -> None:
    assert all(f"`{kind}`" in PAGE for kind in TYPES)
    assert "5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h and then every 6 h" in PAGE
    assert PAUSES_S == (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600)


def test_the_example_on_the_page_is_what_is_sent() -> None:
    shown = PAGE[PAGE.index('{"type":"message.delivered"') :].split("```")[0].replace("\n", "")
    assert shown == document(EVENT).decode()
