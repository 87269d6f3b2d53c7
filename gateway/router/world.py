"""What routing asks of the world beside the plan and the message, put together for one batch.

In: the routers' view of carriers, and whoever else knows something. Out: `Surroundings`. Never: a question to Redis.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.plan.admission import Admission, Which, nobody
from gateway.plan.choice import Compiled
from gateway.plan.surroundings import Chance, Surroundings
from gateway.router.liveness import Liveness
from gateway.router.waits import Waits


class World:
    """One for all shards of a process. What is None is not known here, and nobody is asked."""

    def __init__(
        self,
        liveness: Liveness,
        which: Which = nobody,
        stops_any: Callable[[], bool] = lambda: True,
        plan: Callable[[], Compiled | None] = lambda: None,
    ) -> None:
        """`which`: the stop lists of this process; `stops_any`: whether anything is on them; `plan`: the one in use."""
        self.liveness = liveness
        self.full: Callable[[str, str, str, str, str, str, int], int] | None = None
        self.chance: Callable[[str, str, str], Chance | None] | None = None
        self.used: Callable[[str, str, str], int] | None = None
        self.waits: Waits | None = None
        # Made once: what is remembered under one chance or use is asked anew under another.
        self._live, self._slow, self._aside = liveness.live, liveness.slow, liveness.aside
        self._admission, self._plan = Admission(which, stops_any), plan

    def around(self, now_ms: int) -> Surroundings:
        """The surroundings of messages that are decided now."""
        return Surroundings(
            now_ms=now_ms,
            is_steady=self.liveness.is_steady,
            live=self._live,
            full=self.full,
            slow=self._slow if self.liveness.is_any_slow else None,
            aside=self._aside if self.liveness.is_any_aside else None,
            chance=self.chance,
            used=self.used,
            barred=self._admission.question(self._plan()),
            waits=self.waits.now() if self.waits is not None else None,
        )
