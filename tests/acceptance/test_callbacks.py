"""Applications hear of their messages, by real processes: signed, after a kill -9 too, on a terminal as well."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.installation import ROOT, Installation, until


class App:
    """An application that takes callbacks. `before` is called before it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.before: Callable[[], None] = lambda: None
        app = self

        class Hook(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                app.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                app.before()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, message_id: str) -> list[tuple[dict[str, str], bytes]]:
        """What came of one message."""
        return [(headers, body) for headers, body in self.requests if json.loads(body)["data"]["id"] == message_id]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def app() -> Iterator[App]:
    made = App()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("callbacks") / "data")
    made.start()
    yield made
    made.stop()


def test_a_message_is_told_of_to_its_endpoint_and_the_public_library_verifies_it(
    gateway: Installation, app: App
) -> None:
    made = gateway.post("/v1/endpoints", {"url": app.url})
    assert made.status == 201, made.body
    endpoint, secret = made.json()["endpoint"]["id"], made.json()["secret"]
    message_id = gateway.send("+79161234567", "Hello", ref="order-1", meta={"a": 1})
    until(lambda: app.of(message_id), "the callback")
    ((headers, body),) = app.of(message_id)
    event = Webhook(secret).verify(body, headers)
    assert (event["type"], event["data"]["ref"], event["data"]["meta"]) == ("message.delivered", "order-1", {"a": 1})

    def told() -> Any:
        timeline = gateway.get(f"/v1/messages/{message_id}").json()["timeline"]
        return [moment for moment in timeline if moment["event"] == "callback"]

    (moment,) = until(told, "the timeline")
    assert (moment["status"], moment["tries"], moment["host"]) == (204, 1, app.url.split("/")[2])
    assert gateway.post(f"/v1/endpoints/{endpoint}", {"enabled": False}).status == 200


def test_an_event_whose_booking_died_comes_again_with_its_id(gateway: Installation, app: App) -> None:
    asleep = threading.Event()
    app.before = lambda: None if asleep.is_set() else kill()

    def kill() -> None:
        asleep.set()
        os.kill(gateway.pid_of("recorder"), signal.SIGKILL)

    message_id = gateway.send("+79161234568", "Hello", callback_url=app.url)
    until(lambda: len(app.of(message_id)) > 1, "the callback to come again", 60)
    assert len({headers["webhook-id"] for headers, _ in app.of(message_id)}) == 1
    assert len({body for _, body in app.of(message_id)}) == 1
    secret = gateway.get("/v1/callbacks/secret").json()["secret"]
    for headers, body in app.of(message_id):
        Webhook(secret).verify(body, headers)


def test_a_developer_sees_events_and_his_application_gets_them(gateway: Installation, app: App, tmp_path: Path) -> None:
    def sluice(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "gateway", *arguments]
        return subprocess.run(argv, cwd=ROOT, env=env, text=True, capture_output=True, timeout=60)

    env = dict(os.environ) | {"SLUICE_DATA": str(gateway.data)}
    nobody = sluice("trigger", "message.failed")
    assert nobody.returncode == 1 and "sluice listen" in nobody.stderr
    argv = [sys.executable, "-m", "gateway", "listen", "--forward-to", app.url, "--json"]
    listening = subprocess.Popen(argv, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert listening.stdout is not None and listening.stderr is not None
        assert "Events come to this terminal" in listening.stderr.readline()
        sent = sluice("trigger", "message.failed")
        assert sent.returncode == 0, sent.stderr
        event = json.loads(listening.stdout.readline())
        assert event["type"] == "message.failed" and event["forwarded"].startswith("204")
        message_id = gateway.send("+79161234569", "Hello")
        while event["data"]["id"] != message_id or event["type"] != "message.delivered":
            event = json.loads(listening.stdout.readline())
        until(lambda: len(app.of(message_id)) == 2, "submitted and delivered to be handed on")
        assert app.of(message_id)[0][0]["webhook-signature"].startswith("v1,")
    finally:
        listening.send_signal(signal.SIGINT)
        _, said = listening.communicate(timeout=30)
    assert "is removed" in said
    assert [e for e in gateway.get("/v1/endpoints").json()["endpoints"] if e["enabled"]] == []
    to_url = sluice("trigger", "message.delivered", "--to", app.url, "--json")
    assert json.loads(to_url.stdout)["callbacks"][0]["state"] == "delivered"
    listed = sluice("callbacks", "list", "--json")
    assert all(c["state"] == "delivered" for c in json.loads(listed.stdout)["callbacks"])
    shown = sluice("callbacks", "secret")
    assert shown.stdout.startswith("whsec_")
    again = sluice("callbacks", "retry", json.loads(to_url.stdout)["callbacks"][0]["event_id"])
    assert "1 sent again" in again.stdout
