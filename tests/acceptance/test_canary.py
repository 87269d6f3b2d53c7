"""A text and a number are sent through everything; no byte of them may be in a log, a metric or on the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.installation import Installation, ask

NUMBER = "+79037654321"
TEXT = "canary-Zq7 поёт в шахте"
TRACES = ["7654321", "canary-Zq7", "Zq7", "поёт", "canary".encode("utf-16-be").hex(), b"canary-Zq7".hex()]


@pytest.fixture
def loud(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data", env=dict(os.environ) | {"SLUICE_LOG_LEVEL": "debug"})


def test_no_byte_of_a_text_or_a_number_gets_into_logs_metrics_or_the_terminal(loud: Installation) -> None:
    loud.start()
    try:
        url, key = loud.client_env["SLUICE_URL"], loud.client_env["SLUICE_KEY"]
        sent = [loud.send(NUMBER, TEXT), loud.send("8 (903) 765-43-21", TEXT * 10)]
        body = {"to": NUMBER, "text": TEXT, "class": "otp", "ref": "r1"}
        batch = loud.post(
            "/v1/messages/batch", {"defaults": {"class": "marketing"}, "messages": [body, {"to": NUMBER}]}
        )
        assert batch.status == 202, batch.body
        for wrong in (
            body | {"to": "12" + NUMBER},
            body | {"colour": TEXT},
            body | {"text": TEXT + "\0"},
            [TEXT],
            TEXT,
        ):
            assert 400 <= loud.post("/v1/messages", wrong).status < 500
        assert ask("POST", url + "/v1/messages", key + TEXT[:6], body).status == 401
        found = loud.get(f"/v1/messages?to={quote(NUMBER)}")
        assert found.status == 200
        loud.get(f"/v1/{quote(NUMBER)}/{quote(TEXT)}")
        for message_id in sent:
            loud.delivered(message_id)
        pages = [loud.get("/metrics").body, loud.get("/readyz").body, loud.get("/healthz").body]
        lines = [" ".join(p.cmdline()).encode() for p in loud.family() if p.status() != psutil.STATUS_ZOMBIE]
    finally:
        loud.stop()
    logs = {path.name: path.read_bytes() for path in (loud.data / "logs").iterdir()}
    assert {"api.log", "dispatch.log", "recorder.log", "sandbox.log", "valkey.log", "postgres.log"} <= set(logs)
    assert len(logs["dispatch.log"].splitlines()) > 5
    pages += [*logs.values(), *lines, "".join(loud.output).encode()]
    for trace in TRACES:
        places = [page for page in pages if trace.encode() in page]
        assert not places, trace
    assert not [page for page in pages if key.encode() in page]
    password = (loud.data / "secrets" / "sandbox").read_bytes().strip()
    assert not [page for page in pages if password in page]
