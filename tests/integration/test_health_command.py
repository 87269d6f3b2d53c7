"""`sluice health` asks over TLS where the process has it, and tells nobody from a stranger."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import trustme
from click.testing import CliRunner, Result

from gateway.cli import main


class Pages(BaseHTTPRequestHandler):
    """/readyz of a process that waits for its plan."""

    body = b'{"ready": false, "checks": {"redis": "ok", "plan": "no plan is active"}}'

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        return


class Stranger(Pages):
    body = b"<html>"


@contextmanager
def served(pages: type[Pages], context: ssl.SSLContext | None = None) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), pages) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # plain http at a port with TLS
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"0.0.0.0:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def health(listen: str, *options: str) -> Result:
    return CliRunner(env={"SLUICE_LISTEN": listen}).invoke(main, ["health", *options])


def test_a_process_with_tls_is_asked_over_tls() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("sms.internal").configure_cert(context)
    with served(Pages, context) as place:
        shown = health(place)
    assert (shown.exit_code, shown.output) == (0, "redis: ok\nplan: no plan is active\n")


def test_a_process_that_is_not_ready_lives_and_fails_only_when_asked_for_readiness() -> None:
    with served(Pages) as place:
        assert health(place).exit_code == 0
        shown = health(place, "--ready")
    assert shown.exit_code == 1
    assert shown.output.endswith("Error: it lives and is not ready\n")


def test_nobody_and_a_stranger_are_told_apart() -> None:
    with served(Stranger) as place:
        assert "is no process of Sluice" in health(place).output
    gone = health(place)
    assert gone.exit_code == 1
    assert "does not answer: [Errno 111] Connection refused" in gone.output
