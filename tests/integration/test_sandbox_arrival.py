"""How long bytes have been waiting in a socket, as the kernel stamped them."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.embedded.sandbox.arrival import Arrival

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's stamps are read as Linux gives them")
Ends = tuple[socket.socket, socket.socket]
WAITED_S = 0.05


@pytest.fixture
def ends() -> Iterator[Ends]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            yield ours, theirs


def test_what_waits_is_as_old_as_its_last_byte_and_stays_where_it_is(ends: Ends) -> None:
    ours, theirs = ends
    arrival, buffer = Arrival(theirs.fileno()), bytearray(1024)
    ours.sendall(b"first")
    began = time.monotonic()
    while (age_s := arrival.age_s(buffer)) < WAITED_S:
        assert age_s <= time.monotonic() - began + 0.01
        time.sleep(0.001)  # what is measured is that time passes
    ours.sendall(b"second")
    assert arrival.age_s(buffer) < age_s
    assert buffer == bytes(1024) and theirs.recv(100) == b"firstsecond"
    arrival.close()


def test_where_nothing_waits_there_is_no_age(ends: Ends) -> None:
    ours, theirs = ends
    arrival, buffer = Arrival(theirs.fileno()), bytearray(1024)
    assert arrival.age_s(buffer) == 0.0
    ours.close()
    assert arrival.age_s(buffer) == 0.0
    arrival.close()
    assert arrival.age_s(buffer) == 0.0
    assert theirs.recv(1) == b"", "the connection is not ours to close"


def test_without_a_descriptor_left_a_delay_counts_from_the_read(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(fileno: int) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr("os.dup", none_left)
    ours, theirs = ends
    arrival = Arrival(theirs.fileno())
    ours.sendall(b"x")
    assert arrival.age_s(bytearray(16)) == 0.0
    arrival.close()
    assert theirs.recv(1) == b"x"
