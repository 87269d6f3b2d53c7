"""What a notifier has in hand: events, which batch or row each came from, and the request they travel in. Pure."""

from __future__ import annotations

from gateway.callbacks.event import Event


class InHand:
    """A batch that was fetched. `left` of its events have no row yet; `flying` are on their way."""

    __slots__ = ("at_ms", "count", "dirty", "flying", "id", "left", "mask", "released", "target")

    def __init__(self, batch_id: int, target: str, at_ms: int, count: int, settled: bytes) -> None:
        self.id, self.target, self.at_ms, self.count = batch_id, target, at_ms, count
        self.mask = bytearray(settled.ljust((count + 7) // 8, b"\0"))
        self.left = count - sum(byte.bit_count() for byte in self.mask)
        self.flying = 0
        self.dirty = self.released = False

    def has(self, index: int) -> bool:
        """Whether that event has its row."""
        return bool(self.mask[index >> 3] >> (index & 7) & 1)

    def settle(self, index: int) -> None:
        """That event gets its row with the next booking."""
        self.mask[index >> 3] |= 1 << (index & 7)
        self.left -= 1
        self.dirty = True


class Item:
    """An event to be sent. `batch` None: it has a row, was tried `tries` times and is given up at `give_up_ms`."""

    __slots__ = ("batch", "event", "give_up_ms", "index", "since", "tries")

    def __init__(
        self, event: Event, batch: InHand | None, index: int, since: float, tries: int = 0, give_up_ms: int = 0
    ) -> None:
        self.event, self.batch, self.index, self.since = event, batch, index, since
        self.tries, self.give_up_ms = tries, give_up_ms


class Delivery:
    """One request: an event, or a bundle. `redone`: its connection had gone stale, and it was sent on another."""

    __slots__ = ("began", "body", "items", "redone", "url", "webhook_id")

    def __init__(self, items: list[Item], url: str, webhook_id: str, body: bytes) -> None:
        self.items, self.url, self.webhook_id, self.body = items, url, webhook_id, body
        self.began = 0.0
        self.redone = False
