"""What the SMSC asks of a connection, so that what decides need not know how connections work."""

from __future__ import annotations

from typing import Protocol

from gateway.embedded.sandbox.account import Account, Receiver


class Peer(Receiver, Protocol):
    """One connection; bound once it has an account."""

    account: Account | None
    kind: str
    """transceiver, transmitter or receiver."""
    unanswered: int
    """Submits that wait for their answer."""
    submits: int
    """All that it ever took."""

    @property
    def unacknowledged(self) -> int:
        """Receipts and messages that wait for their answer."""
        ...

    def begin(self) -> None:
        """It is bound, or goes on under another profile: from here on the profile's `links` hold."""
        ...

    def send(self, data: bytes) -> None:
        """Bytes for the next flush."""
        ...

    def answer(self, answers: bytes, count: int) -> None:
        """The answers of `count` submits."""
        ...

    def enquire(self) -> None:
        """Send enquire_link."""
        ...

    def spoil(self, kind: str) -> None:
        """Send something that cannot be understood (`rules.Garbage`)."""
        ...

    def flush(self) -> None:
        """Write what there is."""
        ...

    def end(self, how: str) -> None:
        """`unbind`, `close`, `reset` or `half_open` (`rules.Links.ends_by`)."""
        ...
