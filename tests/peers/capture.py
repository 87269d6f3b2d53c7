"""A TCP proxy that keeps what passes, and writes it as a capture file that packet tools read.

In: a port to hand on to. Out: a pcap of Ethernet, IPv4 and TCP headers made around the bytes, in the order they passed.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

CLIENT, SERVER = (bytes((192, 0, 2, 1)), 40000), (bytes((192, 0, 2, 2)), 2775)
_PCAP_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
_ACK_PUSH = 0x18
_SEGMENT = 1_400


class Tap:
    """Listens on a free port and hands everything on. Life: `open`, `write`, `close`."""

    def __init__(self, port: int) -> None:
        self.to, self.port = port, 0
        self.passed: list[tuple[int, bool, bytes]] = []
        """Connection, whether the client said it, the bytes of one read."""
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def write(self, path: Path) -> None:
        """The capture so far."""
        sent: dict[tuple[int, bool], int] = {}
        packets = []
        for number, (connection, by_client, data) in enumerate(self.passed):
            for at in range(0, len(data), _SEGMENT):
                piece = data[at : at + _SEGMENT]
                mine, theirs = sent.get((connection, by_client), 1), sent.get((connection, not by_client), 1)
                frame = _frame(connection, by_client, mine, theirs, piece)
                packets.append(struct.pack("<IIII", 1_700_000_000, number, len(frame), len(frame)) + frame)
                sent[connection, by_client] = mine + len(piece)
        path.write_bytes(_PCAP_HEAD + b"".join(packets))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.to)
        self._connections += 1
        for by_client, source, sink in ((True, reader, there[1]), (False, there[0], writer)):
            task = asyncio.create_task(self._pass(self._connections, by_client, source, sink), name="tap")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, connection: int, by_client: bool, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(65_536):
                self.passed.append((connection, by_client, data))
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # one end is gone: so is the other
        finally:
            sink.close()


def _frame(connection: int, by_client: bool, sequence: int, acknowledged: int, data: bytes) -> bytes:
    client = CLIENT[0], CLIENT[1] + connection
    (from_ip, from_port), (to_ip, to_port) = (client, SERVER) if by_client else (SERVER, client)
    tcp = struct.pack(">HHIIBBHHH", from_port, to_port, sequence, acknowledged, 5 << 4, _ACK_PUSH, 65_535, 0, 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, from_ip, to_ip)
    return bytes(12) + b"\x08\x00" + ip + tcp + data
