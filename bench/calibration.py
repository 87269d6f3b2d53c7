"""How fast this machine is now: the time of a fixed loop, beside the time on the machine where the floors were set.

In: nothing. Out: seconds. The loop does what the gateway's hot paths do: small objects, bytes, dicts, structs. The
clock of shared machines drifts, so it runs before and after every load.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from struct import Struct

import msgspec

REFERENCE = Path(__file__).with_name("reference.json")
ROUNDS = 200_000


class Reference(msgspec.Struct):
    """The machine where the floors were set."""

    machine: str
    loop_s: float


def reference() -> Reference:
    """What the repository says."""
    return msgspec.json.decode(REFERENCE.read_bytes(), type=Reference)


def loop_s(tries: int = 3) -> float:
    """Seconds of CPU that the fixed loop takes; the best of `tries`."""
    return min(_loop() for _ in range(tries))


def _loop() -> float:
    pack, encode = Struct(">IIII").pack, msgspec.msgpack.Encoder().encode
    began = time.process_time()
    kept: dict[int, bytes] = {}
    data = bytes(range(256)) * 4
    for i in range(ROUNDS):
        header = pack(i, 4, 0, i)
        end = data.find(0, i & 0xFF)
        kept[i & 0xFFFF] = b"".join((header, data[end : end + 64], b"%d" % i))
        encode((i, header, "text", (1, 2, 3)))
    return time.process_time() - began


def machine() -> str:
    """This machine in a few words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Make this machine the reference: prints what belongs into reference.json."""
    found = Reference(machine(), round(loop_s(15), 4))
    print(json.dumps(msgspec.to_builtins(found), indent=2))


if __name__ == "__main__":
    main()
