"""An SMSC that enforces a rate: a token bucket in parts, full at the start, with no tolerance at all.

`python -m bench.enforcer RATE BURST`: prints its port, serves binds until stdin closes, and prints one line of JSON:
parts it took, parts it throttled, and seconds from the first to the last. It shares no code with the gateway.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from typing import Any

_HEAD = struct.Struct(">IIII")
SUBMIT, RESPONSE, THROTTLED = 0x00000004, 0x80000000, 0x00000058


class Bucket:
    """What all binds share."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, time.monotonic()
        self.taken = self.throttled = 0
        self.times: list[float] = []

    def take(self) -> bool:
        """Whether one more part is within the rate."""
        now = time.monotonic()
        self.tokens = min(self.tokens + (now - self.at) * self.rate, self.burst)
        self.at = now
        if self.tokens < 1:
            self.throttled += 1
            return False
        self.tokens -= 1
        self.taken += 1
        self.times.append(now)
        return True


class Session(asyncio.Protocol):
    """One bind: everything is answered at once."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket, self._data = bucket, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        out = []
        while len(self._data) >= 16:
            length, command, _, sequence = _HEAD.unpack_from(self._data)
            if len(self._data) < length:
                break
            self._data = self._data[length:]
            if not command & RESPONSE:
                out.append(self._answer(command, sequence))
        self._transport.write(b"".join(out))

    def _answer(self, command: int, sequence: int) -> bytes:
        status, body = 0, b""
        if command == SUBMIT:
            status, body = (0, b"%d\0" % self._bucket.taken) if self._bucket.take() else (THROTTLED, b"")
        elif command in (1, 2, 9):  # binds
            body = b"enforcer\0"
        return _HEAD.pack(16 + len(body), command | RESPONSE, status, sequence) + body


async def serve(rate: float, burst: float) -> None:
    """Until stdin closes."""
    bucket, loop = Bucket(rate, burst), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(bucket), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    seconds = bucket.times[-1] - bucket.times[0] if len(bucket.times) > 1 else 0.0
    print(json.dumps({"taken": bucket.taken, "throttled": bucket.throttled, "seconds": round(seconds, 3)}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2])))
