"""Who is killed when: a schedule from a seed, and the deed.

In: a seed and how many messages are sent. Out: kill -9 of processes, carriers and servers while messages are accepted,
each started again a moment later.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.acceptance.gateway_world import until
from tests.chaos.stage import VICTIMS, Stage

MESSAGES_A_ROUND = 50_000
"""In so many each victim is killed at least once."""
AWAY_S = 1.5
_FIRST, _LAST = 0.03, 0.92
_PAIRS = 0.25
_DEADLINE_S = 900.0


@dataclass(frozen=True)
class Kill:
    """`victims` die together once this share of all messages is accepted, and are away for a while each."""

    share: float
    victims: tuple[str, ...]
    away_s: tuple[float, ...]


def schedule(seed: int, messages: int) -> list[Kill]:
    """Every victim as often as there are rounds, in any order, at any moment; some with a second one."""
    rng, kills = random.Random(f"kills {seed}"), list[Kill]()
    names = [name for _ in range(max(1, messages // MESSAGES_A_ROUND)) for name in rng.sample(VICTIMS, len(VICTIMS))]
    for share, name in zip(sorted(rng.uniform(_FIRST, _LAST) for _ in names), names, strict=True):
        others = [other for other in VICTIMS if other != name]
        victims = (name, rng.choice(others)) if rng.random() < _PAIRS else (name,)
        kills.append(Kill(share, victims, tuple(rng.uniform(0, AWAY_S) for _ in victims)))
    return kills


async def strike(stage: Stage, kills: Sequence[Kill], accepted: Callable[[], int], messages: int) -> Counter[str]:
    """Do it; how often each died. Returns when all run again."""
    struck = Counter[str]()
    for kill in kills:

        async def reached(due: float = kill.share * messages) -> bool:
            return accepted() >= due

        await until(reached, f"{kill.share:.0%} to be accepted", _DEADLINE_S)
        async with asyncio.TaskGroup() as deeds:
            for name, away_s in zip(kill.victims, kill.away_s, strict=True):
                deeds.create_task(_kill(stage, name, away_s), name=f"kill {name}")
        struck.update(kill.victims)
    return struck


async def _kill(stage: Stage, name: str, away_s: float) -> None:
    stage.struck.add(name)
    await stage.victim(name).kill()
    await asyncio.sleep(away_s)  # how long it is away; nobody waits for this
    await stage.revive(name)
    stage.struck.discard(name)
