"""Where the time goes inside each process, for `--profile`: functions by py-spy, commands by Valkey, statements by
PostgreSQL. Only for looking: sampling costs time itself, and py-spy must be on PATH.

In: a running world. Out: text for people, and py-spy's raw stacks in files (flamegraph tools read them).
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import redis.asyncio

from bench.servers import World
from gateway.embedded.up import SPLIT
from gateway.streams.link import scripts

PYTHON = ("api", *SPLIT, "sandbox")
TOP = 22
PRELOAD = {"shared_preload_libraries": "pg_stat_statements"}
"""Settings that PostgreSQL needs for it."""


class Profile:
    """Sampling from `start` until `stop`."""

    def __init__(self, w: World, folder: Path, name: str) -> None:
        self._world = w
        self._folder = folder
        self._name = name
        self._samplers: dict[Path, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """Begin; the counters of Valkey and PostgreSQL begin at nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        spy = shutil.which("py-spy")
        if spy is None:
            raise FileNotFoundError("py-spy is not on PATH: pip install py-spy")
        for process in PYTHON:
            raw = self._folder / f"{self._name}-{process}.raw"
            pid = str(self._world.processes[process].pid)
            argv = [spy, "record", "-p", pid, "-f", "raw", "-o", str(raw), "-r", "200", "-d", "3600", "-F"]
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._samplers[raw] = await asyncio.create_subprocess_exec(*argv, **quiet)
        async with redis.asyncio.Redis.from_url(self._world.valkey.url) as client:
            await client.config_set("slowlog-max-len", 200_000)
            await client.config_set("slowlog-log-slower-than", 100)  # µs: every script that moves messages
            await client.slowlog_reset()
            await client.config_resetstat()
        await self._world.sql.execute("create extension if not exists pg_stat_statements")
        await self._world.sql.execute("select pg_stat_statements_reset()")

    async def stop(self) -> str:
        """End; what was seen."""
        lines: list[str] = []
        for raw, sampler in self._samplers.items():
            if sampler.returncode is None:
                sampler.send_signal(signal.SIGINT)
            await sampler.wait()
            lines += ["", f"== {raw.stem}", *functions(raw.read_text())]
        lines += await self._valkey()
        lines += ["", "== postgres: ms, calls, rows"]
        rows = await self._world.sql.fetch(
            "select total_exec_time::int8 as ms, calls, rows, left(regexp_replace(query, '\\s+', ' ', 'g'), 130) as q"
            " from pg_stat_statements order by total_exec_time desc limit $1",
            TOP,
        )
        return "\n".join(lines + [f"{r['ms']:9} {r['calls']:8} {r['rows']:9}  {r['q']}" for r in rows])

    async def _valkey(self) -> list[str]:
        async with redis.asyncio.Redis.from_url(self._world.valkey.url) as client:
            stats: dict[str, Any] = await client.info("commandstats")
            slow: list[dict[str, Any]] = await client.slowlog_get(200_000)
        lines = ["", "== valkey: ms, calls, µs a call"]
        for name, s in sorted(stats.items(), key=lambda item: -float(item[1]["usec"]))[:TOP]:
            lines.append(f"{s['usec'] / 1000:9.0f} {s['calls']:8} {s['usec_per_call']:9.1f}  {name[8:]}")
        names = {sha: name for name, (sha, _) in scripts().items()}
        taken: dict[str, list[int]] = defaultdict(list)
        for entry in slow:
            words = entry["command"].split(b" ", 2)
            if words[0].upper() == b"EVALSHA":
                taken[names.get(words[1], "?")].append(entry["duration"])
        lines += ["", "== scripts over 100 µs: ms, calls, µs a call, longest"]
        for name, times in sorted(taken.items(), key=lambda item: -sum(item[1])):
            lines.append(
                f"{sum(times) / 1000:9.0f} {len(times):8} {sum(times) / len(times):9.1f} {max(times):8}  {name}"
            )
        return lines


def functions(raw: str) -> list[str]:
    """The functions where samples were taken (self) and through which they went (with what they call)."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = max(1, sum(own.values()))
    ranked = [f for f, samples in whole.most_common(4 * TOP) if samples < 0.99 * total]
    return ["  whole    own"] + [f"{whole[f] / total:7.1%} {own[f] / total:6.1%}  {f}" for f in ranked]
