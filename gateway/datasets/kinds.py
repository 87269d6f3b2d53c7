"""The kinds of datasets: who reads what people have, and who makes of it what processes look things up in.

In: a kind's name. Out: its importer and its compiler, each run in a process of its own (`python -m
gateway.datasets.kinds import|compile KIND SOURCE TARGET`), because both keep a processor busy. Never: a database.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.datasets.report import Report

_NICE: Final = 10


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of datasets. Functions are named as `module:function`; they are called in a process of their own."""

    name: str
    says: str
    """What it holds, in a few words."""
    check: str = ""
    """(source: Path, target: Path) → Report: reads a CSV as people have it, writes what is kept. "": kept as it is."""
    compile: str = ""
    """(source: Path, target: Path): makes the file that processes map, of what is kept. "": what is kept itself."""
    format: str = "csv"
    """Ending of the mapped file's name, of letters and digits. Changes with what `compile` writes."""


class ChildError(Exception):
    """The process that was to do it failed; the text says how it ended."""


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name="numbers",
            says="ranges of numbers with their operators, regions and time zones",
            check="gateway.numbering.reading:check_numbers",
            compile="gateway.numbering.compiling:compile_numbers",
            format="ranges1",
        ),
        Kind(
            name="ported",
            says="ported numbers with the operators that have them now",
            check="gateway.numbering.reading:check_ported",
            compile="gateway.numbering.compiling:compile_ported",
            format="ported1",
        ),
        Kind(name="rates", says="carriers' prices", check="gateway.sheets.kinds:check_rates"),
        Kind(name="senders", says="senders by operator and carrier", check="gateway.sheets.kinds:check_senders"),
    )
}


async def check(kind: str, source: Path, target: Path) -> Report:
    """Read a CSV as people have it and write what is to be kept. Raises ChildError."""
    return msgspec.json.decode(await _run("check", kind, source, target), type=Report)


async def compile_file(kind: str, source: Path, target: Path) -> None:
    """Make the file that processes map. Raises ChildError."""
    if KINDS[kind].compile:
        await _run("compile", kind, source, target)
    else:
        await asyncio.to_thread(source.rename, target)


async def _run(verb: str, kind: str, source: Path, target: Path) -> bytes:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.datasets.kinds", verb, kind, str(source), str(target)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if child.returncode:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise ChildError(f"the {verb} of {kind} failed: {last[0]}")
    return out


def find(name: str) -> Callable[..., Any]:
    """The function behind `module:function`."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def keep_all(source: Path, target: Path) -> Report:
    """The check of a kind that has none: lines are rows."""
    rows = 0
    with source.open("rb") as read, target.open("wb") as write:
        while piece := read.read(1 << 20):
            rows += piece.count(b"\n")
            write.write(piece)
    return Report(rows=rows)


def main(verb: str, name: str, source: str, target: str) -> None:
    """The process."""
    os.nice(_NICE)
    kind = KINDS[name]
    if verb == "compile":
        find(kind.compile)(Path(source), Path(target))
    else:
        report = (find(kind.check) if kind.check else keep_all)(Path(source), Path(target))
        sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
