"""What each load must reach, on the machine that `reference.json` describes. The only table of floors.

In: a load's result. Out: whether it holds, after scaling by the calibration loop. Times are not scaled where the
carrier's delay and not the machine sets the pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Floor:
    """`key` of the result must be at least (or at most) `value`."""

    key: str
    value: float
    at_most: bool = False
    scaled: bool = True

    def limit(self, speed: float) -> float:
        """The value for a machine that is `speed` times as fast as the reference."""
        if not self.scaled:
            return self.value
        return self.value / speed if self.at_most else self.value * speed

    def holds(self, result: Mapping[str, Any], speed: float) -> bool:
        """Whether the result is good enough."""
        found = float(result[self.key])
        return found <= self.limit(speed) if self.at_most else found >= self.limit(speed)

    def words(self, result: Mapping[str, Any], speed: float) -> str:
        """One line for a person."""
        sign = "≤" if self.at_most else "≥"
        verdict = "holds" if self.holds(result, speed) else "BROKEN"
        return f"{self.key} {result[self.key]:,.1f} {sign} {self.limit(speed):,.1f}: {verdict}"


WINDOW_DELAY_S = 0.020

FLOORS: dict[str, tuple[Floor, ...]] = {
    "batches": (Floor("messages_per_s", 18_000),),
    "late": (Floor("messages_per_s", 12_000),),
    "singles": (Floor("messages_per_s", 9_000),),
    "otp": (Floor("otp_wire_p99_ms", 50, at_most=True),),
    "callbacks": (Floor("messages_per_s", 8_000), Floor("callbacks_lost", 0, at_most=True, scaled=False)),
    "callbacks_bundled": (Floor("messages_per_s", 10_000), Floor("callbacks_lost", 0, at_most=True, scaled=False)),
    "http": (Floor("messages_per_s", 10_000), Floor("messages_per_s", 5_000, scaled=False)),
    "window100": (Floor("wire_per_s", 0.95 * 100 / WINDOW_DELAY_S, scaled=False),),
    "window500": (Floor("wire_per_s", 0.95 * 500 / WINDOW_DELAY_S, scaled=False),),
}

EXACT = (Floor("lost", 0, at_most=True, scaled=False), Floor("doubled", 0, at_most=True, scaled=False))
"""Hold for every load, whatever the machine."""


def broken(result: Mapping[str, Any], speed: float) -> list[str]:
    """Lines for what does not hold."""
    floors = FLOORS[result["load"]] + EXACT
    return [floor.words(result, speed) for floor in floors if not floor.holds(result, speed)]
