"""Reading one stream with a cursor: the leased reader's view of what it has not taken yet.

A stream has one reader. Its cursor stands after the last entry that it took; what it read ahead is thrown away and read
again whenever a script answers that entries moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from gateway.message import Message, UnknownVersionError, unpack_message
from gateway.streams.link import Link

START = b"0-0"


class Queued(msgspec.Struct, gc=False):
    """One entry of an intake, outbox or again stream. `value` begins with the message's id; `journey` may be empty."""

    entry_id: bytes
    value: bytes
    journey: bytes
    _message: Message | None = None

    @property
    def message(self) -> Message:
        """Decoded once. Raises UnknownVersionError or msgspec.DecodeError."""
        if self._message is None:
            self._message = unpack_message(self.value, 16)
        return self._message

    @property
    def parts(self) -> int:
        """Parts of the message; 1 for one that cannot be read."""
        try:
            return self.message.parts
        except (UnknownVersionError, msgspec.DecodeError):
            return 1

    @property
    def message_id(self) -> bytes:
        """16 bytes."""
        return self.value[:16]

    @property
    def at_ms(self) -> int:
        """When it came into this stream."""
        return int(self.entry_id.partition(b"-")[0])


def queued(raw: Sequence[Sequence[bytes]]) -> Queued:
    """An entry of an XRANGE reply."""
    entry_id, fields = raw
    return Queued(entry_id, fields[1], fields[3] if len(fields) > 3 else b"")  # type: ignore[arg-type]


async def read(link: Link, stream: str, after: bytes, count: int) -> list[Queued]:
    """At most `count` entries after `after`, oldest first."""
    return [
        queued(raw) for raw in await link.call(b"XRANGE", link.prefix + stream, b"(" + after, b"+", b"COUNT", count)
    ]


async def epoch(link: Link) -> bytes:
    """Raised whenever an entry leaves a stream from its middle (cancel, recall)."""
    return await link.call(b"GET", link.prefix + "epoch") or b"0"


class Reader:
    """What one stream still holds for its reader."""

    def __init__(self, link: Link, stream: str) -> None:
        self.link, self.stream = link, stream
        self.cursor = START  # after what was taken
        self.ahead: deque[Queued] = deque()
        self.told = True  # something may have come since the last look
        self._turn = 0  # of rewinds: what was being read before one is not wanted after it

    async def fill(self, count: int) -> None:
        """Read on until `count` entries are ahead or the stream ends."""
        if self.told and len(self.ahead) < count:
            self.told = False
            after = self.ahead[-1].entry_id if self.ahead else self.cursor
            wanted, turn = count - len(self.ahead), self._turn
            try:
                found = await read(self.link, self.stream, after, wanted)
            except BaseException:
                self.told = True
                raise
            if turn == self._turn:
                self.ahead.extend(found)
                self.told |= len(found) == wanted

    def take(self, parts: int) -> list[Queued]:
        """The next entries, of at most so many parts together but at least one: they are the caller's from now on."""
        ahead, taken = self.ahead, list[Queued]()
        while ahead and parts > 0:
            weight = ahead[0].parts
            if weight > parts and taken:
                break
            taken.append(ahead.popleft())
            parts -= weight
        if taken:
            self.cursor = taken[-1].entry_id
        return taken

    def rewind(self, to: bytes) -> None:
        """Forget what was read ahead and go on after `to`."""
        self.ahead.clear()
        self.cursor, self.told = to, True
        self._turn += 1
