"""A raw ESME that loads the sandbox alone: shows that the sandbox limits no figure of the benchmark.

In: where the sandbox is, how many messages, the window. Out: one JSON line on stdout. Runs as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from struct import Struct
from typing import cast

import uvloop

from gateway.smpp import pdu, tlv

PUT = Struct(">IIII").pack


def make_pdus(count: int, receipts: bool) -> list[bytes]:
    """submit_sm PDUs with unique numbers and texts."""
    head = pdu.submit_head(b"", 5, 0, b"Sluice", 1, 1)
    middle = pdu.submit_middle(0, 0, registered_delivery=int(receipts))
    pdus = []
    for i in range(count):
        text = b"benchmark message number %09d for you" % i
        echo = tlv.encode_short(tlv.USER_MESSAGE_REFERENCE, i & 0xFFFF)
        body = head + b"79%09d" % i + middle + pdu.length_byte(len(text)) + text + echo
        pdus.append(PUT(16 + len(body), pdu.SUBMIT_SM, 0, i + 1) + body)
    return pdus


class Esme(asyncio.Protocol):
    """Keeps the window full and acknowledges every receipt."""

    def __init__(self, pdus: list[bytes], window: int, password: str, receipts: bool) -> None:
        self._pdus = pdus
        self._window = window
        self._password = password
        self._expected = len(pdus) if receipts else 0
        self._sent = self.answers = self.receipts = 0
        self._rest = b""
        self._transport: asyncio.WriteTransport
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started = self.answered = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        bind = pdu.Bind(b"sandbox", self._password.encode())
        self._transport.write(pdu.encode_bind(pdu.BIND_TRANSCEIVER, 0x7FFFFFFF, bind))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        pdus, taken, _ = pdu.split(data)
        self._rest = data[taken:]
        receipts: list[int] = []
        for command, status, sequence, _, _ in pdus:
            if command == pdu.SUBMIT_SM_RESP:
                self.answers += 1
            elif command == pdu.DELIVER_SM:
                receipts.append(sequence)
            elif command == pdu.BIND_TRANSCEIVER | pdu.ANSWER:
                if status:
                    self.done.set_exception(RuntimeError(f"bind was answered with {status:#x}"))
                    return
                self.started = time.perf_counter()
        out = b""
        if receipts:
            self.receipts += len(receipts)
            out = b"".join([PUT(17, pdu.DELIVER_SM_RESP, 0, sequence) + b"\0" for sequence in receipts])
        room = min(self._window - (self._sent - self.answers), len(self._pdus) - self._sent)
        if room > 0:
            out += b"".join(self._pdus[self._sent : self._sent + room])
            self._sent += room
        if out:
            self._transport.write(out)
        if self.answers == len(self._pdus) and not self.answered:
            self.answered = time.perf_counter()
        if self.answered and self.receipts >= self._expected and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the sandbox closed the connection"))


async def load(address: str, password: str, messages: int, window: int, receipts: bool) -> dict[str, float]:
    """Rates of one run."""
    host, _, port = address.rpartition(":")
    pdus = make_pdus(messages, receipts)
    loop = asyncio.get_running_loop()
    _, esme = await loop.create_connection(lambda: Esme(pdus, window, password, receipts), host, int(port))
    before = time.process_time()
    await asyncio.wait_for(esme.done, 600)
    ended = time.perf_counter()
    cpu = time.process_time() - before
    return {
        "answers_per_s": round(messages / (esme.answered - esme.started)),
        "messages_per_s": round(messages / (ended - esme.started)),
        "receipts": esme.receipts,
        "client_cpu_us": round(cpu / messages * 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("password")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--window", type=int, default=500)
    parser.add_argument("--receipts", action="store_true")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load_ = load(options.address, options.password, options.messages, options.window, options.receipts)
        print(json.dumps(runner.run(load_)))


if __name__ == "__main__":
    main()
