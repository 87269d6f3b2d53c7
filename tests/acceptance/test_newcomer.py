"""The README's first command, in a clean copy and an empty environment, as root and as a normal user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation

NOBODY = 65534
FIRST_DELIVERED_S = 60.0


@pytest.fixture(params=["as we are", "as a normal user"])
def newcomer(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """A clean copy of the project, with `make up` as the command."""
    other = request.param == "as a normal user"
    if other and os.geteuid() != 0:
        pytest.skip("we are a normal user already")
    if not shutil.which("make") or not (ROOT / ".git").exists():
        pytest.skip("needs make and a git checkout")
    with tempfile.TemporaryDirectory(prefix="sluice-newcomer-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        files = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
        for file in filter(None, files.stdout.decode().split("\0")):
            if (ROOT / file).exists():
                (home / "sluice" / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, home / "sluice" / file)
        prefix: list[str] = []
        if other:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", name], check=True)
            prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        path = f"/usr/bin:/bin:{sys.base_prefix}/bin"
        env = {"HOME": name if other else os.environ["HOME"], "PATH": path}
        data = home / "data"
        yield Installation(data, [*prefix, "make", "up"], cwd=home / "sluice", env=env)


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_make_up_takes_a_newcomer_from_the_clone_to_a_delivered_message(newcomer: Installation) -> None:
    began = time.monotonic()
    newcomer.start()
    newcomer.delivered(newcomer.send("8 916 123-45-67", "Hello"))
    took = time.monotonic() - began
    newcomer.stop()
    assert newcomer.start() <= 5.0
    newcomer.stop()
    assert took <= FIRST_DELIVERED_S
