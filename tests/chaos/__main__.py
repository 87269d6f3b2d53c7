"""`python -m tests.chaos` (`make chaos`): 300,000 messages while everything is killed, and the account of them.

In: options. Out: figures on standard output, the last line as JSON; 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.figures import show
from tests.chaos.run import Order, run


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=None, help="of the kills and the traffic; without it a new one")
    parser.add_argument("--validity-s", type=int, default=20, help="how long each message is valid")
    parser.add_argument("--directory", type=Path, help="keep data and logs in this empty directory")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}: the same kills and messages again with --seed {seed}", file=sys.stderr, flush=True)
    directory = given.directory or Path(tempfile.mkdtemp(prefix="sluice-chaos-"))
    failed = True
    try:
        figures = asyncio.run(run(Order(given.messages, seed, given.validity_s), directory / "data"))
        show(figures, sys.stdout)
        failed = bool(figures.findings)
    finally:
        if failed:
            print(f"data and logs are in {directory}", file=sys.stderr)
        elif given.directory is None:
            shutil.rmtree(directory)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
