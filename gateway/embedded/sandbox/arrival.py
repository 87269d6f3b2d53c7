"""How long what waits in a socket has been there, by the kernel's stamp: on a busy machine the sandbox is woken late,
and a carrier's delay counts from the arrival.

In: a connected TCP socket. Out: an age in seconds. 0 where the kernel does not say (SO_TIMESTAMPNS of Linux,
Documentation/networking/timestamping.rst, 1.1).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from struct import Struct, error

_SO_TIMESTAMPNS = 35 if sys.platform == "linux" else 0
_PEEK = socket.MSG_PEEK | socket.MSG_TRUNC | socket.MSG_DONTWAIT  # nothing is copied and nothing is taken
_stamp = Struct("@qq")
_OLDEST_S = 10.0  # a clock that was set in between


class Arrival:
    """Of one socket. `close` it with the connection."""

    def __init__(self, fileno: int) -> None:
        """Whatever becomes of it, the descriptor itself stays its owner's."""
        self._socket: socket.socket | None = None
        if _SO_TIMESTAMPNS:
            try:
                self._socket = socket.socket(fileno=os.dup(fileno))
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            except OSError:  # no descriptor is left, or the kernel is an old one: delays count from the read
                self.close()

    def age_s(self, buffer: bytearray) -> float:
        """Since when the last byte of the next read into `buffer` has been waiting; the buffer stays as it is."""
        if self._socket is None:
            return 0.0
        try:
            _, notes, _, _ = self._socket.recvmsg_into([buffer], 64, _PEEK)
            stamps = [_stamp.unpack(data) for _, kind, data in notes if kind == _SO_TIMESTAMPNS]
        except (OSError, error):
            return 0.0
        if not stamps:
            return 0.0
        seconds, nanos = stamps[0]
        age_s = time.time() - seconds - nanos / 1e9
        return age_s if 0.0 < age_s < _OLDEST_S else 0.0

    def close(self) -> None:
        """Let go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
