"""What this machine has: memory that we may use, room on a disk. Reads the system, changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int:
    """Memory of the machine, or of the container around us when that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def free_bytes(directory: Path) -> int:
    """Room on the disk that holds `directory`, for an ordinary user."""
    return shutil.disk_usage(directory).free
