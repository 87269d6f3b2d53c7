"""The commands of the README and of pages without a test of their own, as their readers type them, against `sluice up`.

docs/start.md, test-keys.md, api.md, http-carriers.md, the runbooks and production.md's backup are run elsewhere.
"""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation, until

PAGE_S = 60.0
MESSAGE = "Hello from the pages"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("pages") / ".sluice")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def shell(gateway: Installation, tmp_path: Path) -> Path:
    """A directory as a newcomer has it after `make up`."""
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "sluice").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n')
    (scripts / "sluice").chmod(0o755)
    (tmp_path / ".sluice").symlink_to(gateway.data)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[str]:
    """An application that takes every callback; its host and port."""

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, name="receiver")
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def blocks(page: str, *words: str) -> list[str]:
    """The page's blocks of shell, each that has one of the words."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [block for kind, block in found if kind in ("", "sh") and any(word in block for word in words)]


def with_a_new_price(script: str) -> str:
    """The reader's own edit between `sluice plan show` and the rest."""
    return script.replace("sluice plan check", 'sed -i \'s/"2.15"/"1.95"/\' plan.toml; sluice plan check', 1)


def run(directory: Path, script: str, **env: str) -> str:
    """What the commands print; the first that fails ends them and the test."""
    (directory / ".curlrc").write_text("fail-with-body\nshow-error\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    environment |= {"PATH": f"{directory}/.venv/bin:{os.environ['PATH']}", "CURL_HOME": str(directory)} | env
    done = subprocess.run(
        ["sh", "-c", "set -eu\n" + script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PAGE_S,
        check=False,
    )
    assert done.returncode == 0, script + done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def servers(gateway: Installation) -> dict[str, str]:
    """Where the gateway's own servers are, as one would say it to a command that works on them."""
    sockets = gateway.run
    return {
        "SLUICE_REDIS_URL": f"unix://{sockets}/valkey.sock",
        "SLUICE_POSTGRES_URL": f"postgresql://sluice@/sluice?host={sockets}",
    }


def test_the_readme(shell: Path) -> None:
    script = blocks("README.md", "client.env", ".venv/bin/sluice send")
    assert len(script) == 2
    said = run(shell, "\n".join(script))
    for words in ('"state":"accepted"', "it is durably ours"):
        assert words in said, words
    trace = script[1].splitlines()[-1]
    until(lambda: "The newest that was sent" in run(shell, trace), "both to be recorded")


def test_the_plan(shell: Path) -> None:
    (script,) = blocks("docs/plan.md", "sluice plan apply")
    said = run(shell, with_a_new_price(script))
    for words in ("The plan is good", "1.95", "Version 2 is live.", "Version 1 is live."):
        assert words in said, words


def test_callbacks(shell: Path, receiver: str) -> None:
    script = blocks("docs/callbacks.md", "sluice", "curl")
    assert len(script) == 6, "what this test knows"
    listen, send, forward, trigger, register, repair = (block.replace("127.0.0.1:5000", receiver) for block in script)
    for block in (listen, forward):
        assert block.startswith("sluice listen") and block.count("\n") == 1
    said = run(
        shell,
        f"""
{listen.rstrip()} > events.txt 2>&1 & first=$!
{forward.rstrip()} > forwarded.txt 2>&1 & second=$!
trap 'kill $first $second' EXIT
heard() {{ timeout 20 sh -c 'until grep -q "$1" "$2"; do sleep 0.1; done' - "$1" "$2" || {{ cat "$2"; exit 1; }}; }}
heard "Events come" events.txt; heard "Events come" forwarded.txt
{send}
heard ref=order-1 events.txt; heard ref=order-1 forwarded.txt
{trigger}
cat events.txt forwarded.txt
""",
    )
    assert "message.delivered" in said
    assert "answered 204" in said
    made = run(shell, ". .sluice/client.env\n" + register)
    assert '"secret":"whsec_' in made
    endpoint = re.findall(r"ep_[0-9a-f]+", made)[0]
    told = run(shell, re.sub(r"ep_[0-9a-f]+", endpoint, repair))
    assert "No event that was tried is like this" in told or "evt_" in told


def test_operating(gateway: Installation, shell: Path) -> None:
    run(shell, f"sluice send +79161234567 '{MESSAGE}' --ref order-4711 --wait")
    made = gateway.get("/v1/messages?ref=order-4711").json()["messages"][0]["id"]
    key = gateway.post("/v1/keys", {"client": "leaver"}).json()["id"]
    known = {"north": "sandbox", "key_5f3a": key}
    script = "\n".join(blocks("docs/operating.md", "sluice carriers", "sluice health", "sluice plan", "sluice keys"))
    script += "\n".join(blocks("docs/operating.md", "sluice trace", "sluice recover"))
    script = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", made, script)
    for there, here in known.items():
        script = script.replace(there, here)
    script = script.replace("carriers drain sandbox", "carriers drain web")
    address = gateway.client_env["SLUICE_URL"].removeprefix("http://")
    outside = [line for line in script.splitlines() if not re.search(r"sluice (health|recover)", line)]
    inside = [line for line in script.splitlines() if re.search(r"sluice (health|recover)", line)]
    said = run(shell, with_a_new_price("\n".join(outside)))
    for words in ("is paused.", "is running.", "web is draining.", "leaver", "is live", MESSAGE):
        assert words in said, words
    assert len(inside) == 4
    said = run(shell, "\n".join(inside), SLUICE_LISTEN=address, **servers(gateway))
    assert "redis: ok" in said
    assert "in step" in said


def test_the_first_keys_and_the_first_plan_of_production(gateway: Installation, shell: Path) -> None:
    (script,) = blocks("docs/production.md", "sluice keys create --client operations")
    for name, url in servers(gateway).items():
        (shell / name.removeprefix("SLUICE_").lower()).write_text(url)
    run(shell, "sluice plan show > plan.toml")
    said = run(shell, script.replace("/etc/sluice/secrets/", f"{shell}/"))
    assert "The plan is good" in said
    assert said.count("sk_") == 2
