"""`python -m bench.numbering`: what ten million ported numbers and a million ranges cost.

In: sizes. Out: one line of JSON: import, compile, memory, lookup. The lookup is timed in a process of its own, on the
files that processes map, with numbers that nobody asked for before; `answers` tells which sources they came from.
"""

from __future__ import annotations

import argparse
import json
import mmap
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.numbering import compiling, reading, world
from gateway.numbering.directory import Directory, Tables
from gateway.numbering.lines import Source
from gateway.numbering.ported import Ported
from gateway.numbering.ranges import Ranges
from gateway.plan.document import Operator

OPERATORS, REGIONS = 300, ("Омская обл.", "г. Томск|Томская обл.", "Свердловская обл.", "Приморский край")
ASKED, SLICE = 400_000, 20_000


def write_registry(path: Path, ranges: int) -> None:
    """A numbering plan in the layout of the Russian registry, mobile codes, out of order."""
    size = 10**10 // 10 // ranges
    starts = [900_000_0000 + n * size for n in range(ranges)]
    random.shuffle(starts)
    with path.open("w", encoding="utf-8") as file:
        file.write("\ufeffАВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН\n")
        for start in starts:
            code, first, last = f"{start:010}"[:3], start % 10**7, (start + size - 1) % 10**7
            name, region = random.randrange(OPERATORS), random.choice(REGIONS)
            file.write(f'{code};{first:07};{last:07};{size};ООО "Оператор {name}";{region};{region};7743895280\n')


def write_ported(path: Path, count: int) -> None:
    """Ported numbers in the layout of the Russian database, in order."""
    with path.open("w", encoding="utf-8") as file:
        file.write("Number,OwnerId,MNC,Route,RegionCode,PortDate,RowCount\n")
        number = 900_000_0000
        for _ in range(count):
            number += random.randrange(1, 2 * 10**9 // 2 // count)
            mnc = random.randrange(100)
            file.write(f"{number},mOPERATOR{mnc:02},{mnc:02},D2502,25,2016-09-07T12:00:17+03:00,\n")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


def build(directory: Path, ranges: int, ported: int) -> dict[str, float]:
    """Import and compile both; how long each took."""
    registry, base = directory / "registry.csv", directory / "base.csv"
    write_registry(registry, ranges)
    write_ported(base, ported)
    kept, moved = directory / "numbers.csv", directory / "ported.csv"
    return {
        "import_numbers_s": timed(lambda: reading.read_numbers([Source(registry, "registry")], kept)),
        "compile_numbers_s": timed(lambda: compiling.compile_numbers(kept, directory / "numbers.bin")),
        "import_ported_s": timed(lambda: reading.read_ported([Source(base, "base")], moved)),
        "compile_ported_s": timed(lambda: compiling.compile_ported(moved, directory / "ported.bin")),
    }


def mapped(path: Path) -> memoryview:
    """A file as processes have it."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def memory_mb() -> tuple[int, int]:
    """This process' own memory, and its share of files."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    own, files = (int(lines[name].split()[0]) // 1024 for name in ("RssAnon", "RssFile"))
    return own, files


def look(directory: Path) -> dict[str, object]:
    """Open the files and ask for numbers that were never asked for."""
    world.ranges()
    before, _ = memory_mb()
    began = time.perf_counter()
    tables = Tables(Ranges.of(mapped(directory / "numbers.bin")), Ported.of(mapped(directory / "ported.bin")))
    operators = [Operator(name=f"op{n}", aliases=(f"ООО «Оператор {n}»", f"mOPERATOR{n:02}")) for n in range(200)]
    found = Directory(
        (*operators, Operator(name="own", prefixes=("79161",)), Operator(name="rest", prefixes=("",))), tables
    )
    opened = time.perf_counter() - began
    asked = [f"+79{random.randrange(10**9):09}" for _ in range(ASKED)]
    best = min(slices(found, asked))
    answers = Counter(whose.source for to in asked[:SLICE] if (whose := found.find(to)))
    own, files = memory_mb()
    assert tables.numbers is not None and tables.ported is not None
    return {
        "ranges": tables.numbers.count,
        "ported": tables.ported.count,
        "open_ms": round(opened * 1000, 1),
        "lookup_us": round(best, 2),
        "own_memory_mb": own - before,
        "mapped_mb": files,
        "answers": dict(answers),
    }


def slices(found: Directory, asked: list[str]) -> Iterator[float]:
    """Microseconds a lookup, slice by slice: the least is that of a moment without neighbours."""
    find = found.find
    for start in range(0, len(asked), SLICE):
        part = asked[start : start + SLICE]
        began = time.perf_counter()
        for to in part:
            find(to)
        yield (time.perf_counter() - began) / len(part) * 1e6


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.numbering", description=__doc__)
    parser.add_argument("--ranges", type=int, default=1_000_000)
    parser.add_argument("--ported", type=int, default=10_000_000)
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        print(json.dumps(look(given.look)))
        return
    random.seed(7)
    with tempfile.TemporaryDirectory() as name:
        figures = build(Path(name), given.ranges, given.ported)
        child = [sys.executable, "-m", "bench.numbering", "--look", name]
        found = json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE).stdout)
    print(json.dumps({**found, **figures}, ensure_ascii=False))


if __name__ == "__main__":
    main()
