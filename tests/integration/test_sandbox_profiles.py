"""Profiles of the sandbox over real sockets: clients that nobody here wrote, our own provider, and the control port."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
from click.testing import CliRunner

from gateway.cli import main
from gateway.embedded.sandbox.profile import make_profile, read_profile, shipped_names
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.provider import Inbound, Kind, Link, Outcome, Receipt, Reports, Submission
from providers import smpp

DEADLINE_S = 20.0
ANY = ("127.0.0.1", 0)


@asynccontextmanager
async def sandbox(name: str = "", **profile: Any) -> AsyncIterator[Sandbox]:
    """Listening, with a shipped profile or one of these fields."""
    base = read_profile(name) if name else None
    made = Sandbox(Smsc({"me": "secret"}, make_profile(profile, base)))
    await made.open(ANY, ANY)
    try:
        yield made
    finally:
        await made.close()


class Gateway:
    """Our own provider at the sandbox, and what it reported."""

    def __init__(self, address: str, **settings: Any) -> None:
        self.outcomes: list[tuple[Submission, Outcome]] = []
        self.receipts: list[Receipt] = []
        self.inbound: list[Inbound] = []
        self.states: list[Link] = []
        self.changed = asyncio.Event()
        host, _, port = address.rpartition(":")
        given = {"host": host, "port": int(port), "system_id": "me", "password": "secret", "reconnect_s": 0.1}
        reports = Reports(self._outcomes, self._receipts, self._inbound, self._state)
        self.provider = smpp.open("sandbox", given | settings, reports)
        self._numbers = 0

    def _outcomes(self, batch: Any) -> None:
        self.outcomes += batch
        self.changed.set()

    async def _receipts(self, batch: Any) -> None:
        self.receipts += batch
        self.changed.set()

    async def _inbound(self, batch: Any) -> None:
        self.inbound += batch
        self.changed.set()

    def _state(self, link: Link) -> None:
        self.states.append(link)
        self.changed.set()

    async def until(self, holds: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.changed.clear()
                try:
                    await asyncio.wait_for(self.changed.wait(), 0.05)
                except TimeoutError:
                    continue
        assert holds(), what

    def submit(self, count: int = 1, text: str = "hello", to: str = "+79161234567") -> None:
        batch = []
        for _ in range(count):
            self._numbers += 1
            one = self._numbers.to_bytes(16, "big")
            batch.append(
                Submission(one, 1, 1, 1, to, "Sluice", text, "gsm7", 7, 1 << 50, "otp", self._numbers & 0xFFFF)
            )
        self.provider.submit(batch)

    def kinds(self) -> Counter[Kind]:
        return Counter(outcome.kind for _, outcome in self.outcomes)


@asynccontextmanager
async def gateway(at: Sandbox, **settings: Any) -> AsyncIterator[Gateway]:
    made = Gateway(at.smpp, **settings)
    await made.provider.start()
    try:
        await made.until(lambda: made.provider.live, "bound")
        yield made
    finally:
        await made.provider.close(0.2)


class Stranger(threading.Thread):
    """smpplib in a thread of its own: binds, sends, and reads until it has what it waits for."""

    def __init__(self, address: str, count: int, kind: str = "bind_transceiver", expect: int = 0) -> None:
        super().__init__()
        host, _, port = address.rpartition(":")
        self.lib = smpplib.client.Client(host, int(port), timeout=DEADLINE_S, allow_unknown_opt_params=True)
        self.count, self.kind, self.expect = count, kind, expect
        self.answers: list[Any] = []
        self.delivered: list[Any] = []
        self.refused: list[int] = []
        self.error: BaseException | None = None
        self.lib.set_message_sent_handler(lambda pdu, **_: pdu.status or self.answers.append(pdu))
        self.lib.set_message_received_handler(lambda pdu, **_: self.delivered.append(pdu) or 0)
        self.lib.set_error_pdu_handler(lambda pdu, **_: self.refused.append(pdu.status))

    def run(self) -> None:
        try:
            self.lib.connect()
            getattr(self.lib, self.kind)(system_id="me", password="secret")
            parts, coding, flag = smpplib.gsm.make_parts("hello")
            for _ in range(self.count):
                self.lib.send_message(
                    source_addr_ton=5, source_addr="Sluice", dest_addr_ton=1, destination_addr="79161234567",
                    short_message=parts[0], data_coding=coding, esm_class=flag, registered_delivery=True,
                )  # fmt: skip
            while len(self.answers) + len(self.refused) < self.count or len(self.delivered) < self.expect:
                self.lib.read_once(auto_send_enquire_link=False)
        except BaseException as e:
            self.error = e
        finally:
            self.lib.disconnect()

    async def done(self) -> Stranger:
        self.start()
        await asyncio.to_thread(self.join, DEADLINE_S)
        assert not self.is_alive(), "smpplib waits in vain"
        return self


async def test_a_throttled_carrier_refuses_a_stranger_what_is_too_much() -> None:
    async with sandbox(throttle_per_s=0.01, throttle_burst=5, receipts=0) as s:
        client = await Stranger(s.smpp, 12).done()
        assert client.error is None
        assert (len(client.answers), client.refused) == (5, [0x58] * 7)


async def test_a_stranger_reads_what_comes_in_pieces_of_a_few_bytes() -> None:
    async with sandbox(links={"chop_bytes": 7}) as s:
        client = await Stranger(s.smpp, 20, expect=20).done()
        assert client.error is None
        assert len({pdu.message_id for pdu in client.answers}) == 20
        assert all(b"stat:DELIVRD" in pdu.short_message for pdu in client.delivered)


async def test_an_smsc_of_3_3_refuses_a_stranger_as_transceiver_and_takes_him_as_transmitter() -> None:
    async with sandbox("legacy-3.3", answer_delay_ms=1, receipt_delay_s=0.01) as s:
        refused = await Stranger(s.smpp, 1).done()
        assert isinstance(refused.error, smpplib.exceptions.PDUError | smpplib.exceptions.ConnectionError)
        client = await Stranger(s.smpp, 3, kind="bind_transmitter").done()
        assert client.error is None and len(client.answers) == 3
        receiver = await Stranger(s.smpp, 0, kind="bind_receiver", expect=3).done()
        assert receiver.error is None
        answered = {int(pdu.message_id, 16) for pdu in client.answers}
        reported = {int(pdu.short_message.split()[0].removeprefix(b"id:")) for pdu in receiver.delivered}
        assert answered == reported, "hexadecimal in the answer, decimal in the receipt"


async def test_our_provider_survives_garbage_and_counts_no_message_twice() -> None:
    links = {"garbage_s": 0.03, "garbage": ["truncated", "tlv", "command"]}
    async with sandbox(links=links) as s, gateway(s) as g:
        g.submit(50)
        await g.until(lambda: len(g.receipts) == 50 and s.smsc.report()["garbage_sent"] > 6, "receipts and garbage")
        assert g.kinds() == {Kind.ACCEPTED: 50}
        assert s.smsc.report()["binds"] == 1, "the link stays where headers are sound"


async def test_our_provider_comes_back_after_every_reset() -> None:
    async with sandbox(links={"lives_submits": 20, "ends_by": "reset"}, answer_delay_ms=1) as s, gateway(s) as g:
        for n in range(5):
            await g.until(lambda: g.provider.live, "a link")
            g.submit(20)
            await g.until(lambda n=n: sum(g.kinds().values()) >= 20 * (n + 1), "outcomes")
        report = s.smsc.report()
        assert report["links_ended"] >= 4 and report["binds"] >= 4
        assert len({submission.message_id for submission, _ in g.outcomes}) == 100


async def test_our_provider_leaves_a_half_open_link() -> None:
    links = {"lives_submits": 5, "ends_by": "half_open"}
    settings = {"enquire_link_s": 0.2, "link_timeout_s": 0.3, "answer_timeout_s": 0.5}
    async with sandbox(links=links) as s, gateway(s, **settings) as g:
        g.submit(5)
        await g.until(lambda: s.smsc.report()["binds"] > 1 and g.provider.live, "another bind")


@pytest.mark.parametrize("name", ["pair-only", "legacy-3.3"])
async def test_our_provider_works_with_carriers_that_only_know_pairs(name: str) -> None:
    version = {"interface_version": "3.3"} if name == "legacy-3.3" else {}
    async with sandbox(name, receipt_delay_s=0.01) as s, gateway(s, bind_mode="pair", **version) as g:
        await g.until(lambda: all(link.state == "bound" for link in g.provider.links()), "both binds")
        g.submit(5)
        await g.until(lambda: len(g.receipts) == 5, "receipts")
        assert {r.state for r in g.receipts} == {"delivered"}


async def test_the_control_port_lists_profiles_changes_them_and_says_what_is_wrong() -> None:
    async with sandbox() as s, aiohttp.ClientSession() as http:

        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            async with http.request(method, s.control + path, json=body) as answer:
                return answer.status, await answer.json()

        _, found = await ask("GET", "/profiles")
        assert [p["name"] for p in found["profiles"]] == shipped_names()
        assert all(p["about"] for p in found["profiles"])
        status, shown = await ask("PUT", "/profile/throttled")
        assert (status, shown["throttle_per_s"]) == (200, 50)
        assert (await ask("PATCH", "/profile", {"links": {"lives_s": 60}}))[1]["links"]["lives_s"] == 60
        status, refused = await ask("PATCH", "/profile", {"links": {"live_s": 60}})
        assert (status, refused) == (422, {"error": "links.live_s: no such field. Did you mean `lives_s`?"})
        assert (await ask("PUT", "/profile/nobody"))[0] == 422
        assert (await ask("GET", "/profile"))[1]["throttle_per_s"] == 50
        await ask("PATCH", "/profile", {"throttle_per_s": 0.01})
        client = await Stranger(s.smpp, 8).done()
        assert client.refused == [0x58] * 3, "a burst of five"


async def test_a_long_message_of_a_subscriber_reaches_our_provider_however_it_is_cut() -> None:
    text = "Тишина в ответ. " * 10
    async with sandbox() as s, gateway(s) as g, aiohttp.ClientSession() as http:
        for way in ("udh8", "udh16", "sar"):
            ask = {"from": "+79161234567", "to": "4004", "text": text, "concatenation": way, "order": "reversed"}
            async with http.post(s.control + "/inbound", json=ask) as answer:
                assert answer.status == 200, await answer.text()
            await g.until(lambda: len(g.inbound) == 3, "three parts")
            joined = "".join(m.text for m in sorted(g.inbound, key=lambda m: m.segment[2]))
            assert (joined, [m.segment[2] for m in g.inbound]) == (text, [3, 2, 1])
            g.inbound.clear()


def test_profiles_are_listed_shown_and_checked_on_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(main, ["sandbox", "profiles"])
    assert [line.split()[0] for line in listed.output.splitlines()] == shipped_names()
    shown = run(main, ["sandbox", "show", "throttled"])
    assert "throttle_per_s = 50" in shown.output
    mine = tmp_path / "mine.toml"
    mine.write_text(shown.output)
    assert run(main, ["sandbox", "show", str(mine)]).output == shown.output
    mine.write_text("throttle_per_sec = 50\n")
    wrong = run(main, ["sandbox", "show", str(mine)])
    assert wrong.exit_code == 1 and "throttle_per_sec: no such field. Did you mean `throttle_per_s`?" in wrong.output
