"""Who PostgreSQL runs as. It refuses root, so under root it gets another identity, without new users.

In: where its programs and directories are. Out: an identity for the trampoline. Never: a changed permission outside
of our own directories.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gateway.embedded.child import StartError, command


def choose_identity(programs: Path, parent: Path, run: Path) -> str:
    """Who the server runs as: us; under root an unprivileged user inside a namespace, else `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return "plain"
    probe: list[str | Path] = [programs / "initdb", "--version"]
    if os.environ.get("SLUICE_NO_USERNS") != "1" and runs(probe, "userns"):
        return "userns"
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        identity = f"setuid:{user.pw_uid}:{user.pw_gid}"
        for directory in (parent, run):  # ours only, never what is above: what lies in there keeps its own modes
            directory.chmod(0o711)
        if runs(probe, identity) and runs(["/bin/sh", "-c", 'cd "$0"', run], identity):
            return identity
        raise StartError(
            f"PostgreSQL refuses root, and user {name} cannot reach {programs} or {run}: "
            "start as a normal user, or keep both outside of closed directories"
        )
    raise StartError("PostgreSQL refuses root, and there is no user `postgres` or `nobody`: start as a normal user")


def runs(argv: Sequence[str | Path], identity: str) -> bool:
    """Whether a program works as `identity`."""
    try:
        return (
            subprocess.run(command(argv, identity=identity), capture_output=True, cwd="/", check=False).returncode == 0
        )
    except OSError:
        return False


def give(directory: Path, identity: str) -> None:
    """Make a directory of ours, with what is in it, belong to the user that the server runs as."""
    uid, gid = os.geteuid(), os.getegid()
    if identity.startswith("setuid:"):
        uid, gid = (int(part) for part in identity.split(":")[1:])
    if directory.lstat().st_uid == uid:
        return
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, uid, gid, follow_symlinks=False)
