"""What came of requests, as it will be booked: outcomes of events, and which batches are over. Pure, but for metrics.

In: deliveries with their answers. Out: a `Booking`, of which nothing is lost when booking it fails.
"""

from __future__ import annotations

from typing import Final

from gateway import metrics
from gateway.callbacks import audience
from gateway.callbacks.backoff import GIVE_UP_MS, next_try_ms
from gateway.notifier.delivery import InHand, Item
from gateway.notifier.wire import Answer
from gateway.store.outbox import Booking, Tried

HELD_MS: Final = 6_000
"""An event that may not overtake another waits a little longer than that one's first pause."""

_NOTES: Final = {
    410: "answered 410 Gone",
    **{
        status: f"answered {status}: redirects are not followed, give the address that it leads to"
        for status in (301, 302, 303, 307, 308)
    },
}


def words(answer: Answer) -> str:
    """A failure in short."""
    return answer.error or _NOTES.get(answer.status) or f"answered {answer.status}"


def label(answer: Answer) -> str:
    """The result as metrics have it."""
    if answer.status:
        return f"{answer.status // 100}xx"
    return "timeout" if answer.error.startswith("no answer within") else "no_answer"


class Results:
    """Gathers until `take`; `give_back` what could not be booked."""

    def __init__(self) -> None:
        self.first: list[Tried] = []
        self.again: list[Tried] = []
        self.touched: dict[int, InHand] = {}

    def __len__(self) -> int:
        return len(self.first) + len(self.again)

    def delivered(self, target: audience.Target, items: list[Item], url: str, status: int, now_ms: int) -> None:
        """The application has them."""
        for item in items:
            self._add(
                item,
                Tried(target, item.event, url, item.tries + 1, status, "", 0, now_ms, "delivered", item.give_up_ms),
            )

    def failed(
        self,
        target: audience.Target,
        items: list[Item],
        url: str,
        answer: Answer,
        now_ms: int,
        retry_after_s: float = 0.0,
        *,
        final: str = "",
    ) -> int:
        """They are tried again, or given up for good (`final` says why). How many were given up."""
        error, given_up, spread = final or words(answer), 0, -1.0
        if len(items) > 1:
            spread = (now_ms % 1000) / 1000  # a bundle stays together
        for item in items:
            tries = item.tries + 1
            until_ms = item.give_up_ms or item.event.at_ms + GIVE_UP_MS
            next_ms = None if final else next_try_ms(tries, now_ms, until_ms, retry_after_s, spread)
            given_up += next_ms is None
            done_ms, outcome = (0, "") if next_ms else (now_ms, "failed")
            self._add(
                item,
                Tried(
                    target,
                    item.event,
                    url,
                    tries,
                    answer.status,
                    error,
                    next_ms or 0,
                    done_ms,
                    outcome,
                    item.give_up_ms,
                    now_ms,
                ),
            )
        return given_up

    def put_off(self, target: audience.Target, items: list[Item], url: str, now_ms: int) -> None:
        """They come after an event of the same message that waits for another try. `url` empty: each has its own."""
        why = "waits for the event before it"
        for item in items:
            told, until_ms = item.event, item.give_up_ms
            self._add(item, Tried(target, told, url or told.url, item.tries, 0, why, now_ms + HELD_MS, 0, "", until_ms))

    def unbooked(self, target: str) -> set[bytes]:
        """Messages of which an event will wait there for another try, as the store does not know yet."""
        return {t.event.id for t in (*self.first, *self.again) if not t.done_ms and t.target.name == target}

    def _add(self, item: Item, tried: Tried) -> None:
        if (batch := item.batch) is not None:
            batch.settle(item.index)
            self.touched[batch.id] = batch
            self.first.append(tried)
        else:
            self.again.append(tried)

    def take(self) -> tuple[Booking, dict[int, InHand]]:
        """All there is, and the batches it is of."""
        touched = self.touched
        ended = [batch.id for batch in touched.values() if not batch.left]
        settled = [(batch.id, bytes(batch.mask)) for batch in touched.values() if batch.left]
        booking = Booking(self.first, self.again, ended, settled)
        self.first, self.again, self.touched = [], [], {}
        return booking, touched

    def give_back(self, booking: Booking, touched: dict[int, InHand]) -> None:
        """It could not be booked: it comes first next time."""
        self.first = [*booking.first, *self.first]
        self.again = [*booking.again, *self.again]
        self.touched = touched | self.touched


def count(booking: Booking) -> None:
    """Count what is booked."""
    for tried in (*booking.first, *booking.again):
        if tried.outcome == "failed":
            metrics.callbacks_given_up.inc()
