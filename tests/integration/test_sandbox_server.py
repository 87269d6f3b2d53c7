"""The sandbox as a process on real sockets, with a client that nobody here wrote: smpplib."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc

DEADLINE_S = 20


class Carrier:
    """A sandbox in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "password").write_text("secret\n")
        argv = [sys.executable, "-m", "gateway", "sandbox", "--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0"]
        argv += ["--system-id", "me", "--password-file", str(folder / "password"), *options]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.addresses: dict[str, str] = json.loads(self.process.stdout.readline())

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.addresses["control"] + path, data, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            return json.load(response)

    def client(self, **bind: str) -> Client:
        return Client(self.addresses["smpp"], **bind)

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Client:
    """smpplib bound to the sandbox; `until` reads until a condition holds."""

    def __init__(self, address: str, kind: str = "bind_transceiver", password: str = "secret") -> None:
        host, _, port = address.rpartition(":")
        self.answers: list[Any] = []
        self.delivered: list[Any] = []
        self.refused: list[int] = []
        self.lib = smpplib.client.Client(host, int(port), timeout=DEADLINE_S, allow_unknown_opt_params=True)
        self.lib.set_message_sent_handler(lambda pdu: self.answers.append(pdu))
        self.lib.set_message_received_handler(self._receive)
        self.lib.set_error_pdu_handler(lambda pdu: self.refused.append(pdu.status))
        self.acknowledge = True
        self.lib.connect()
        try:
            getattr(self.lib, kind)(system_id="me", password=password)
        except smpplib.exceptions.PDUError:
            self.lib.disconnect()
            raise

    def _receive(self, pdu: Any) -> int | None:
        self.delivered.append(pdu)
        return None

    def send(self, text: str, to: str = "79161234567", **fields: Any) -> None:
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            self.lib.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr="Sluice",
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                destination_addr=to,
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=True,
                **fields,
            )

    def until(self, answers: int = 0, delivered: int = 0, refused: int = 0) -> None:
        while len(self.answers) < answers or len(self.delivered) < delivered or len(self.refused) < refused:
            self.lib.read_once(auto_send_enquire_link=False)

    def drop(self) -> None:
        """Close the socket without a word."""
        self.lib._socket.shutdown(socket.SHUT_RDWR)
        self.lib.disconnect()

    def close(self) -> None:
        self.lib.unbind()
        self.lib.disconnect()


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[Carrier]:
    carrier = Carrier(tmp_path)
    yield carrier
    assert carrier.stop() == 0


def wait_for(carrier: Carrier, **counts: int) -> None:
    """Until the counts of the sandbox are these: its answer to a PDU and its HTTP port are not one connection."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        stats = carrier.ask("GET", "/stats")
        if all(stats[name] == value for name, value in counts.items()):
            return
    raise AssertionError(f"{counts} did not come: {stats}")


def test_a_cyrillic_text_in_parts_is_answered_receipted_and_shown_whole(carrier: Carrier) -> None:
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 4
    client = carrier.client()
    client.send(text)
    client.until(answers=4, delivered=4)
    ids = {answer.message_id for answer in client.answers}
    receipts = [receipt.short_message for receipt in client.delivered]
    assert len(ids) == 4
    assert {r.split(b" ")[0].removeprefix(b"id:") for r in receipts} == ids
    assert {r.receipted_message_id for r in client.delivered} == ids
    assert all(b"stat:DELIVRD" in r for r in receipts)
    client.close()
    [shown] = carrier.ask("GET", "/phone/+79161234567")["messages"]
    assert (shown["text"], shown["sender"], shown["parts"], shown["missing"]) == (text, "Sluice", 4, [])
    assert carrier.ask("GET", "/messages?to=79161234567&limit=5")["messages"] == [shown]
    assert carrier.ask("GET", "/messages?to=79990000000")["messages"] == []
    wait_for(carrier, submits=4, answers=4, receipts_sent=4, receipts_acked=4, doubled=0, distinct=4, unbinds=1)


def test_a_wrong_password_is_refused(carrier: Carrier) -> None:
    with pytest.raises(smpplib.exceptions.PDUError, match="Invalid Password"):
        carrier.client(password="wrong")
    wait_for(carrier, binds=0, binds_refused=1, connections_now=0)


def test_receipts_of_a_transmitter_come_on_the_receiver_and_again_when_nobody_acknowledged_them(
    carrier: Carrier,
) -> None:
    transmitter = carrier.client(kind="bind_transmitter")
    transmitter.send("hello")
    transmitter.until(answers=1)
    receiver = carrier.client(kind="bind_receiver")
    receiver.lib.read_pdu()  # the receipt, which is not acknowledged
    receiver.drop()
    wait_for(carrier, receipts_unacked=0, receipts_waiting=1)
    again = carrier.client(kind="bind_receiver")
    again.until(delivered=1)
    assert again.delivered[0].receipted_message_id == transmitter.answers[0].message_id
    wait_for(carrier, receipts_sent=1, receipts_resent=1, receipts_acked=1, receipts_waiting=0)
    transmitter.close()
    again.close()


def test_an_inbound_message_in_parts_reaches_a_bind(carrier: Carrier) -> None:
    client = carrier.client()
    text = "Привет, " * 20
    assert carrier.ask("POST", "/inbound", {"from": "+79161234567", "to": "Shop", "text": text})["parts"] == 3
    client.until(delivered=3)
    first = client.delivered[0]
    assert (first.source_addr, first.destination_addr, first.esm_class) == (b"79161234567", b"Shop", 0x40)
    assert "".join(pdu.short_message[6:].decode("utf-16-be") for pdu in client.delivered) == text
    wait_for(carrier, inbound_sent=3, inbound_acked=3)
    client.close()


def test_the_profile_changes_while_running_and_a_wrong_one_changes_nothing(carrier: Carrier) -> None:
    client = carrier.client()
    carrier.ask("PUT", "/profile", {"receipts": 0, "cases": [{"suffix": "13", "status": 0x58}]})
    client.send("one", to="79160000013")
    client.until(refused=1)
    assert client.refused == [0x58]
    with pytest.raises(urllib.error.HTTPError) as refusal:
        carrier.ask("PATCH", "/profile", {"window": -1})
    assert refusal.value.code == 422
    assert "window" in json.load(refusal.value)["error"]
    assert carrier.ask("PATCH", "/profile", {"window": 7})["receipts"] == 0
    assert carrier.ask("GET", "/profile")["window"] == 7
    client.close()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_every_connection_ends_on_demand(carrier: Carrier, how: str) -> None:
    client = carrier.client()
    assert carrier.ask("POST", "/disconnect", {"how": how}) == {"connections": 1}
    with pytest.raises(smpplib.exceptions.ConnectionError):
        client.until(answers=1)
    client.lib.disconnect()
    wait_for(carrier, connections_now=0)
    carrier.client().close()


def test_bad_requests_of_the_control_port_get_a_sentence(carrier: Carrier) -> None:
    for method, path, body in (
        ("POST", "/inbound", {"from": "me", "to": "Shop", "text": "x"}),
        ("POST", "/inbound", {"from": "+79161234567", "to": "Shop", "text": "x", "system_id": "nobody"}),
        ("POST", "/disconnect", {"how": "gently"}),
        ("GET", "/messages?limit=none", None),
    ):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            carrier.ask(method, path, body)
        assert refusal.value.code == 422
        assert json.load(refusal.value)["error"]


def test_counts_and_phones_can_be_emptied(carrier: Carrier) -> None:
    client = carrier.client()
    client.send("hello")
    client.until(delivered=1)
    wait_for(carrier, receipts_acked=1)
    assert carrier.ask("POST", "/stats/reset")["submits"] == 1
    assert carrier.ask("GET", "/stats")["submits"] == 0
    carrier.ask("DELETE", "/messages")
    assert carrier.ask("GET", "/messages")["messages"] == []
    client.close()


def test_sigterm_asks_binds_to_end_and_stops_within_seconds_even_if_they_do_not(tmp_path: Path) -> None:
    carrier = Carrier(tmp_path, "--receipt-delay-s", "60", "--answer-delay-ms", "30000")
    client = carrier.client()
    client.send("never answered")
    wait_for(carrier, submits=1)
    began = time.monotonic()
    assert carrier.stop() == 0
    assert time.monotonic() - began < 30  # half of what its receipts would take
    assert client.lib.read_pdu().command == "unbind"
    client.lib.disconnect()


def test_the_control_port_says_what_may_be_asked(carrier: Carrier) -> None:
    requests = carrier.ask("GET", "/")["requests"]
    assert requests["POST /inbound"] == "Send a subscriber's message on a receiving bind, now or once there is one."
    assert requests["GET /phone/{number}"].startswith("What the phone") and all(requests.values())
    for method, path in (("GET", "/nothing"), ("DELETE", "/stats")):
        with pytest.raises(urllib.error.HTTPError) as no:
            carrier.ask(method, path)
        assert "GET / lists" in json.load(no.value)["error"]


def test_without_a_password_file_the_password_is_the_word_sandbox() -> None:
    places = ["--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--web", "127.0.0.1:0"]
    process = subprocess.Popen([sys.executable, "-m", "gateway", "sandbox", *places], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        addresses = json.loads(said.readline())
    assert set(addresses) == {"smpp", "control", "web"}
    host, _, port = addresses["smpp"].rpartition(":")
    client = smpplib.client.Client(host, int(port), timeout=DEADLINE_S, allow_unknown_opt_params=True)
    client.connect()
    assert client.bind_transceiver(system_id="sandbox", password="sandbox").status == 0
    client.disconnect()
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--profile", "nonsense"], "shipped are"),
        (["--smpp", "127.0.0.1"], "give HOST:PORT"),
        (["--password-file", "/nowhere/at/all"], "cannot be read"),
        (["--smpp", "192.0.2.1:1"], "cannot listen"),
    ],
)
def test_what_cannot_be_started_says_why_in_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    (tmp_path / "password").write_text("secret")
    given = ["--smpp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--password-file", str(tmp_path / "password")]
    argv = [sys.executable, "-m", "gateway", "sandbox", *given, *options]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S)
    assert run.returncode != 0
    assert words in run.stderr
    assert "Traceback" not in run.stderr


async def test_an_answer_delay_is_kept_to_the_millisecond_on_average() -> None:
    smsc = Smsc({"me": "secret"}, make_profile({"answer_delay_ms": 20, "receipts": 0}))
    sandbox = Sandbox(smsc)
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    averages: list[float] = []
    while len(averages) < 20 and (not averages or averages[-1] > 0.023):  # a busy machine hears of answers later
        waits = await asyncio.to_thread(_measure, sandbox.smpp)
        averages.append(sorted(waits)[len(waits) // 2])
    await sandbox.close()
    assert 0.019 <= min(averages) <= 0.023


def _measure(address: str) -> list[float]:
    client = Client(address)
    waits = []
    for n in range(1, 31):
        began = time.monotonic()
        client.send("hello")
        client.until(answers=n)
        waits.append(time.monotonic() - began)
    client.close()
    return waits
