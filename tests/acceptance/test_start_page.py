"""docs/start.md, as a newcomer types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation

PAGE = (ROOT / "docs" / "start.md").read_text("utf-8")
TEST_KEYS = (ROOT / "docs" / "test-keys.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(240)
def test_every_command_of_the_five_minutes_works(installation: Installation, tmp_path: Path) -> None:
    assert BLOCKS[0] == "make up\n", "what `installation` does"
    installation.start()
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    command = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n'
    (scripts / "sluice").write_text(command)
    (scripts / "sluice").chmod(0o755)
    test_keys = re.findall(r"^```sh\n(.*?)^```", TEST_KEYS, re.MULTILINE | re.DOTALL)
    script = "set -eu\n" + "".join(BLOCKS[1:] + test_keys)
    env = os.environ | {"SLUICE_DATA": str(installation.data)}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "Developers (send and follow messages)",
        "delivered",
        "order-1",
        "it is durably ours",
        "number_too_short",
        "would be refused",
        "accepted",
        "Events come to this terminal",
        "message.delivered",
        "limit: ",
        "sandbox: It is fine.",
        "sent with a test key",
    ):
        assert words in done.stdout, words
    assert "Traceback" not in done.stderr
    assert installation.stop() == 0
