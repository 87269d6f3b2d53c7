"""What every command's --help ends with: examples, exit codes, where the gateway or the settings come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TARGET: Final = (
    "The gateway and the key: SLUICE_URL and SLUICE_KEY, else what `sluice up` wrote to .sluice/client.env"
    " (SLUICE_DATA names another directory)."
)
SETTINGS: Final = (
    "Settings: defaults, then the file of --config or SLUICE_CONFIG, then SLUICE_* variables, then options."
    " All of them: sluice config example"
)
DATABASE: Final = "PostgreSQL: --postgres-url, --config or SLUICE_POSTGRES_URL, else that of `sluice up` in --data."
EITHER: Final = (
    "By the API: SLUICE_URL and SLUICE_KEY, else what `sluice up` wrote to .sluice/client.env. On the servers"
    " themselves: --config FILE, or SLUICE_POSTGRES_URL and SLUICE_REDIS_URL."
)
CODES: Final[Mapping[int, str]] = {
    0: "done",
    1: "refused or out of reach: the message says what to do",
    2: "the command or a setting cannot be understood",
}


def lesson(*examples: str, source: str = "", codes: Mapping[int, str] | None = None) -> str:
    """The epilog of a command. An example is a line as one would type it, with `  # why` where that helps."""
    exits = "\n".join(f"  {code:<3} {says}" for code, says in sorted({**CODES, **(codes or {})}.items()))
    shown = "\n".join(f"  {example}" for example in examples)
    return "\n\n".join(filter(None, (f"\b\nExamples:\n{shown}", source, f"\b\nExit codes:\n{exits}")))
