"""The units in systemd/: what systemd itself says of them, and that they say what `sluice` understands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config import ROLES, load
from tests.installation import ROOT

UNITS = ROOT / "systemd"
SERVICES = ("sluice@api.service", "sluice@dispatch.service", "sluice@recorder.service", "sluice-migrate.service")
EXPLAINED = sorted(path.name for path in UNITS.rglob("*") if path.suffix in (".service", ".target", ".conf"))
PROCESSES = ("api", "dispatch", "recorder")
SYSTEM = Path("/lib/systemd/system")
MOST_EXPOSURE = 25
"""In tenths: systemd's own scale goes from 0, shut in, to 100."""

systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze") or not (SYSTEM / "sysinit.target").exists(),
    reason="needs systemd-analyze and systemd's own units",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's directories with the units in their place, and something to start."""
    made = tmp_path_factory.mktemp("root")
    shutil.copytree(SYSTEM, made / "usr/lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, made / "etc/systemd/system")
    program = made / "opt/sluice/bin/sluice"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return made


@systemd
def test_systemd_finds_nothing_wrong_with_the_units(root: Path) -> None:
    units = [root / "etc/systemd/system/sluice.target", *SERVICES]
    told = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", *units],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    ours = [line for line in told.stdout.splitlines() if "sluice" in line]
    assert (told.returncode, ours) == (0, [])


@systemd
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_shut_in(root: Path, service: str) -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--root={root}", f"--threshold={MOST_EXPOSURE}",
         "--no-pager", service],
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-200:] + told.stderr


@pytest.mark.parametrize("unit", EXPLAINED)
def test_every_line_of_a_unit_is_explained(unit: str) -> None:
    before = ""
    for line in next(UNITS.rglob(unit)).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            assert before.startswith("# "), f"no comment above {line}"
        before = line


def environment(process: str) -> dict[str, str]:
    lines = (UNITS / f"{process}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_processes_have_all_roles_between_them_and_addresses_of_their_own() -> None:
    settings = [load(environ=environment(process)) for process in PROCESSES]
    assert sorted(role for one in settings for role in one.roles) == sorted(ROLES)
    pages = [one.listen if "api" in one.roles else one.metrics_listen for one in settings]
    assert len({page.rpartition(":")[2] for page in pages}) == len(PROCESSES)
