"""Which gateway a command talks to: SLUICE_URL and SLUICE_KEY, else what `sluice up` wrote to its data directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

DEFAULT_DATA = ".sluice"
METRICS = "SLUICE_METRICS"
"""Every process' metrics as NAME=URL, comma-separated; `sluice up` writes it."""


class Target(msgspec.Struct, frozen=True):
    """A gateway and a key for it. `source`: the file they came from, empty for variables."""

    url: str
    key: str
    source: str = ""
    metrics: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Target({self.url})"


def data_path(environ: Mapping[str, str] | None = None) -> Path:
    """The data directory that `sluice up` uses when nothing else is said."""
    return Path((os.environ if environ is None else environ).get("SLUICE_DATA") or DEFAULT_DATA)


def find_target(environ: Mapping[str, str] | None = None) -> Target:
    """Raises click.ClickException with one line when it is not known where the gateway is."""
    env = dict(os.environ if environ is None else environ)
    path = data_path(env) / "client.env"
    written = read_env(path)
    named = {name: env[name] for name in ("SLUICE_URL", "SLUICE_KEY", METRICS) if env.get(name)}
    found = written | named
    for name in ("SLUICE_URL", "SLUICE_KEY"):
        if not found.get(name):
            raise click.ClickException(
                f"no {name}: set SLUICE_URL and SLUICE_KEY, or start `sluice up`, which writes them to {path}"
                " (with --data DIR: export SLUICE_DATA=DIR here, too)"
            )
    url = found["SLUICE_URL"].rstrip("/")
    if "SLUICE_URL" in named and url != written.get("SLUICE_URL") and METRICS not in named:
        found.pop(METRICS, None)  # the file's processes are another gateway's
    source = "" if {"SLUICE_URL", "SLUICE_KEY"} <= set(named) else str(path)
    return Target(url, found["SLUICE_KEY"], source, metrics_of(found.get(METRICS, "")))


def metrics_of(text: str) -> tuple[tuple[str, str], ...]:
    """`api=http://…,dispatch=http://…` as pairs; an address without a name has its host and port as one."""
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, is_named, url = item.partition("=")
        if not is_named or "://" in name:
            name, url = item.partition("://")[2].partition("/")[0], item
        pairs.append((name, url))
    return tuple(pairs)


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file of NAME=value lines; none when there is no such file."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise click.ClickException(f"{path} cannot be read: {e.strerror}") from e
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}
