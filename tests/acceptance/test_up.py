"""`sluice up`, as people meet it: the first start, the next one, the end, and what can be in the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.installation import ROOT, Installation, ask, until

CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 3 + "Всё, ровно двести знаков!!"


@pytest.mark.alone
def test_the_first_start_delivers_and_the_second_is_quick_and_keeps_everything(installation: Installation) -> None:
    installation.start()
    client_env = installation.data / "client.env"
    assert stat.S_IMODE(client_env.stat().st_mode) == 0o600
    key = installation.client_env["SLUICE_KEY"]
    assert installation.says(installation.client_env["SLUICE_URL"] + "/docs")
    assert installation.says("curl -s")
    assert key not in "".join(installation.output)
    sent = installation.send("8 916 123-45-67", "Hello")
    message = installation.delivered(sent)
    events = [event["event"] for event in message["timeline"]]
    assert events[0] == "accepted"
    assert {"submitted", "receipt"} <= set(events)
    assert message["carrier"] == "sandbox"
    assert message["price"] == {"amount": "2.15", "currency": "RUB"}
    assert installation.stop() == 0
    installation.leave_unmeasured()
    assert installation.start("--sandbox-profile", "throttled") <= 5.0
    control = json.loads((installation.data / "sandbox.json").read_text())["control"]
    assert ask("GET", f"http://{control}/profile").json()["throttle_per_s"] == 50
    assert installation.client_env["SLUICE_KEY"] == key
    assert installation.get(f"/v1/messages/{sent}").json()["state"] == "delivered"
    assert installation.stop(signal.SIGINT) == 0
    assert installation.says("nothing is left running")


def test_a_long_cyrillic_text_reaches_the_phone_whole(installation: Installation) -> None:
    text = CYRILLIC[:200]
    assert len(text) == 200
    installation.start()
    answer = installation.post("/v1/messages", {"to": "+79161234567", "text": text, "class": "transactional"})
    assert (answer.status, answer.json()["parts"], answer.json()["encoding"]) == (202, 3, "ucs2")
    installation.delivered(answer.json()["id"])
    assert [m["text"] for m in phone(installation, "+79161234567")] == [text]
    installation.stop()


def phone(installation: Installation, number: str) -> list[dict[str, str]]:
    """What the sandbox carrier's phone shows."""
    line = next(line for line in installation.output if line.lstrip().startswith("phones"))
    url = line.split()[1].rstrip(",").removesuffix("/messages")
    return list(ask("GET", f"{url}/phone/{number}").json()["messages"])


def test_kill_9_leaves_no_orphan_and_loses_nothing(installation: Installation) -> None:
    installation.start()
    sent = [installation.send("+79161234567", f"message {n}") for n in range(50)]
    assert installation.stop(signal.SIGKILL) == -signal.SIGKILL
    installation.start()
    for message_id in sent:
        state = until(lambda m=message_id: settled(installation, m), message_id)
        assert state in ("delivered", "unknown", "submitted")
    installation.stop()


def settled(installation: Installation, message_id: str) -> str:
    state = str(installation.get(f"/v1/messages/{message_id}").json()["state"])
    return "" if state in ("accepted", "routed") else state


@pytest.mark.parametrize("name", ["api", "dispatch", "recorder", "sandbox", "valkey", "postgres"])
def test_what_dies_under_up_is_started_again_and_messages_flow_on(installation: Installation, name: str) -> None:
    installation.start()
    installation.delivered(installation.send("+79161234567", "before"))
    os.kill(installation.pid_of(name), signal.SIGKILL)
    until(lambda: installation.says(f"{name} is back"), f"{name} to be back")
    until(lambda: installation.get("/readyz").status == 200, "readiness")
    sent = until(lambda: accepted(installation), "a 202 again")
    installation.delivered(sent, 60)
    assert installation.stop() == 0


def accepted(installation: Installation) -> str:
    answer = installation.post("/v1/messages", {"to": "+79161234567", "text": "after", "class": "transactional"})
    return str(answer.json()["id"]) if answer.status == 202 else ""


def test_ctrl_c_while_starting_leaves_nothing_running(installation: Installation) -> None:
    process = installation.launch()
    until(lambda: (installation.run / "valkey.pid").exists(), "the first server")
    family = installation.family()
    assert family
    assert installation.stop(signal.SIGINT) == 0
    assert process.returncode == 0
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_second_signal_ends_everything_at_once(installation: Installation) -> None:
    installation.start()
    family = installation.family()
    os.kill(installation.pid_of("api"), signal.SIGSTOP)  # it would take its whole time to stop
    assert installation.process is not None
    installation.process.send_signal(signal.SIGTERM)
    until(lambda: installation.says("stopping"), "the first signal's effect")
    assert installation.stop(signal.SIGTERM) == 0
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_sandbox_whose_port_was_taken_moves_and_messages_follow_it(installation: Installation) -> None:
    installation.start()
    installation.delivered(installation.send("+79161234567", "before"))
    place = json.loads((installation.data / "sandbox.json").read_text())["smpp"]
    installation.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(place.rpartition(":")[2])))
        taken.listen()
        installation.start()
        installation.delivered(installation.send("+79161234567", "after"))
        installation.stop()


def refusal(data: Path, *options: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> str:
    """What `sluice up` says when it does not start: one line, and an exit code that is not 0."""
    argv = [*prefix, sys.executable, "-m", "gateway", "up", "--data", str(data), "--listen", "127.0.0.1:0", *options]
    ended = subprocess.run(argv, cwd=ROOT, env=os.environ | (env or {}), capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]


def test_a_second_up_on_the_same_directory_is_told_who_is_there(installation: Installation) -> None:
    installation.start()
    line = refusal(installation.data)
    assert f"in use by `sluice up` on {installation.client_env['SLUICE_URL']}" in line
    installation.stop()


def test_a_port_in_use_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refusal(tmp_path / "data", "--listen", place)
    assert line == f"Error: {place} is taken by another program: choose another with --listen"
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_sandbox_profile_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--sandbox-profile", "throtled")
    assert "shipped are chaos, choppy, clean" in line and "Did you mean `throttled`?" in line


def test_a_broken_config_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "sluice.toml"
    config.write_text("shards = 'many'")
    assert "Expected `int`" in refusal(tmp_path / "data", "--config", str(config))
    assert "Expected `int`" in refusal(tmp_path / "data", env={"SLUICE_MAX_PARTS": "many"})
    assert not (tmp_path / "data").exists()


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refusal(tmp_path / "file" / "data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert "not empty and no data directory" in refusal(tmp_path / "full")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a disk of its own")
@pytest.mark.parametrize(
    ("size", "meanwhile", "words"),
    [
        ("20m", "true", ("is full: 20 MB free",)),
        (
            "330m",
            "while [ ! -d postgres.new ]; do :; done; head -c 400m /dev/zero > filler",
            ("No space left on device", "is full"),
        ),
    ],
    ids=["full before", "full while starting"],
)
def test_a_full_disk_is_one_line(tmp_path: Path, size: str, meanwhile: str, words: tuple[str, ...]) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts are refused here")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={size} none {disk} && mkdir {disk}/data && touch {disk}/data/lock"
    script = f'{mount} || exit 1; (cd {disk}/data; {meanwhile}) 2>/dev/null & "$@"'
    line = refusal(disk / "data", prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert any(said in line for said in words), line
