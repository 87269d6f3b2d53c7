"""`python -m bench`: runs loads, prints one JSON line a load on stdout and a summary for people on stderr.

With --check each load runs three times, the median counts, and the exit status is 1 when a floor is broken. Lost or
doubled messages are always an exit status of 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from bench.floors import EXACT, FLOORS, broken
from bench.http import WINDOW as HTTP_WINDOW
from bench.http import run_http
from bench.run import LOADS, run_load

FOREIGN_CPU = 0.15
"""Cores that others may use during a run before its figures are doubted; this process and the kernel use some."""
GROUPS = {"window": ["window100", "window500"]}
HTTP = "http"
"""One provider alone, without servers."""
KNOWN = {**{name: load.words for name, load in LOADS.items()}, HTTP: f"http_json, {HTTP_WINDOW} in flight"}


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--loads",
        default="batches,late,singles,otp,callbacks,callbacks_bundled,window,http",
        help=f"of {', '.join(LOADS)}, window, http",
    )
    parser.add_argument("--messages", type=int, default=200_000, help="a load")
    parser.add_argument("--runs", type=int, default=0, help="of each load, the median counts (1; with --check 3)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is broken")
    parser.add_argument("--ndjson", action="store_true", help="send batches as NDJSON")
    parser.add_argument("--data", type=Path, help="keep the servers' files and logs in this folder")
    parser.add_argument("--profile", type=Path, help="write where the time goes into this folder; needs py-spy")
    options = parser.parse_args()
    names = [n for given in options.loads.split(",") for n in GROUPS.get(given, [given])]
    if unknown := [n for n in names if n not in KNOWN]:
        parser.error(f"unknown load {', '.join(unknown)}; known are {', '.join(KNOWN)}")
    options.loads = names
    options.runs = options.runs or (3 if options.check else 1)
    return options


async def run(options: argparse.Namespace) -> bool:
    """All loads; whether everything holds that was asked for."""
    good = True
    for name in options.loads:
        results = []
        for number in range(options.runs):
            say(f"{name}: {KNOWN[name]}, {options.messages:,} messages, run {number + 1} of {options.runs}")
            results.append(await one(name, options))
            summarise(results[-1])
        result = median(results)
        speed = result["calibration"]["reference_s"] / result["calibration"]["loop_s"]
        faults = [f for r in results for f in exact_faults(r)]
        if options.check:
            faults += broken(result, speed)
            say("   floors: " + "; ".join(floor.words(result, speed) for floor in FLOORS[name]))
        for fault in faults:
            say(f"   NOT GOOD: {fault}")
        good = good and not faults
        print(json.dumps(result | {"runs": [r["messages_per_s"] for r in results]}), flush=True)
    return good


async def one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run of a load."""
    if name == HTTP:
        return await run_http(options.messages)
    return await run_load(name, options.messages, options.data, options.ndjson, options.profile)


def median(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The run in the middle, by rate."""
    return sorted(results, key=lambda r: float(r["messages_per_s"]))[len(results) // 2]


def exact_faults(result: dict[str, Any]) -> list[str]:
    """What is never allowed."""
    return [floor.words(result, 1) for floor in EXACT if not floor.holds(result, 1)]


def summarise(r: dict[str, Any]) -> None:
    """A run in a few lines."""
    cost = "  ".join(f"{name} {us:.1f}" for name, us in r["cpu_us_per_message"].items())
    accept = ""
    if "accept_per_s" in r:
        accept = f", accept {r['accept_per_s']:,.0f}/s p50 {r['accept_p50_ms']} p99 {r['accept_p99_ms']} ms"
    say(f"   {r['messages_per_s']:,.0f}/s in {r['seconds']:.1f} s, wire {r['wire_per_s']:,.0f}/s{accept}")
    say(f"   µs of CPU a message: {cost}")
    if "otp_wire_p99_ms" in r:
        say(
            f"   otp accept→wire p50 {r['otp_wire_p50_ms']} p99 {r['otp_wire_p99_ms']} ms of {r['otp_arrived']}, "
            f"with {r['otp_queued_at_end']:,} still queued at the end"
        )
    if "callbacks" in r:
        say(
            f"   callbacks {r['callbacks']:,} in {r['callback_requests']:,} requests, lost {r['callbacks_lost']}, "
            f"repeated {r['callbacks_repeated']}"
        )
    say(f"   lost {r['lost']}, doubled {r['doubled']}, states {r['states']} {r['refusal']}")
    if r["foreign_cpu"] > FOREIGN_CPU:
        say(f"   something else used {r['foreign_cpu']} cores meanwhile: these figures are too low")
    say(f"   calibration loop {r['calibration']['loop_s']} s, reference {r['calibration']['reference_s']} s")


def say(line: str) -> None:
    """To the person."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    options = parse()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        good = runner.run(run(options))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
