"""The SMPP provider and the sandbox on real sockets with peers that nobody here wrote."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import smpp34
import trustme
from aiosmpplib import ESME, NPI, TON, DeliverSm, PhoneNumber, SmppMessage, SubmitSm, SubmitSmResp
from aiosmpplib.broker import SimpleBroker
from aiosmpplib.hook import AbstractHook

from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from gateway.provider import Kind, Provider, Reason, Submission, accepted
from gateway.text import gsm7
from providers import smpp
from tests.contract.carrier import Desk, Watch
from tests.contract.smpp_carrier import SmppCarrier

RECEIPT = b"id:%b sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:DELIVRD err:000 text:"


def submission(text: str, number: int, part: int = 1, total: int = 1, encoding: str = "gsm7") -> Submission:
    deadline_ms = int(time.time() * 1000) + 3_600_000
    message_id = number.to_bytes(16, "big")
    return Submission(
        message_id, 1, part, total, "+79161234567", "Sluice", text, encoding, number, deadline_ms, "otp", number
    )


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def desk(watch: Watch) -> Desk:
    return Desk(watch)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


async def connected(desk: Desk, port: int, **more: Any) -> Provider:
    table = {"host": "127.0.0.1", "port": port, "system_id": "account", "password": "password"}
    provider = smpp.open("acme", table | more, desk.reports())
    provider.on_room(desk.watch.touch)
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    return provider


# smpp34: an SMSC of its own


@pytest.fixture
async def server() -> AsyncIterator[tuple[Any, int]]:
    port = free_port()
    made = smpp34.Server("127.0.0.1", port, system_id="smpp34")
    await made.start()
    yield made, port
    await made.stop()


async def test_smpp34s_server_takes_our_submissions_and_its_answers_are_ours(
    server: tuple[Any, int], desk: Desk
) -> None:
    smsc, port = server
    provider = await connected(desk, port, window=20)
    esme = await smsc.next()
    assert (type(esme), esme.system_id) == (smpp34.Esme, "account")
    text = "Счёт на 100 € готов. " * 8
    texts = provider.split(text, "ucs2")
    batch = [submission("short", n) for n in range(1, 100)]
    batch += [submission(t, 500, n, len(texts), "ucs2") for n, t in enumerate(texts, 1)]
    provider.submit(batch)
    seen: dict[tuple[int, int], Any] = {}
    for _ in batch:  # its events come in any order
        event = await smsc.next()
        (reference,) = [t.as_int() for t in event.tlvs if t.tag == smpp34.TLV_USER_MESSAGE_REFERENCE]
        seen[reference, event.short_message[5] if event.esm_class == 0x40 else 1] = event
        if reference % 10 == 3:
            event.reject(smpp34.ESME_RINVDSTADR)
        else:
            event.accept(f"m{reference}")
    await desk.watch.until(lambda: len(desk.outcomes) == len(batch))
    for s in batch:
        (outcome,) = desk.of(s)
        if s.echo % 10 == 3:
            assert (outcome.kind, outcome.reason) == (Kind.REFUSED, Reason.INVALID_RECIPIENT)
        else:
            assert outcome == accepted(f"m{s.echo}")
    first = seen[1, 1]
    assert (first.source_addr, first.source_addr_ton, first.destination_addr) == ("Sluice", 5, "79161234567")
    assert gsm7.decode(first.short_message) == "short" and first.registered_delivery == 1
    long = [seen[500, n].short_message for n in range(1, len(texts) + 1)]
    assert "".join(m[6:].decode("utf-16-be") for m in long) == text
    assert {m[:5] for m in long} == {bytes((5, 0, 3, 500 & 0xFF, len(texts)))}
    await provider.close(5.0)
    assert isinstance(await smsc.next(), smpp34.Unbound)


async def test_smpp34s_server_has_its_answer_when_the_receipt_is_durable(server: tuple[Any, int], desk: Desk) -> None:
    smsc, port = server
    provider = await connected(desk, port)
    esme = await smsc.next()
    desk.durable.clear()
    delivering = asyncio.ensure_future(
        esme.deliver_sm("Sluice", RECEIPT % b"m1", source_addr="79161234567", esm_class=4)
    )
    await desk.watch.until(lambda: desk.receipts)
    assert not delivering.done()
    desk.durable.set()
    answer = await delivering
    assert answer.is_success
    assert (desk.receipts[0].carrier_message_id, desk.receipts[0].state) == ("m1", "delivered")
    await provider.close(5.0)


async def test_smpp34s_server_may_unbind_us_and_we_come_back(server: tuple[Any, int], desk: Desk) -> None:
    smsc, port = server
    provider = await connected(desk, port, reconnect_s=0.01)
    await (await smsc.next()).unbind()
    await desk.watch.until(lambda: not provider.live)
    await desk.watch.until(lambda: provider.live)
    await provider.close(5.0)


# smpp34's client and aiosmpplib's ESME against the sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = Sandbox(Smsc({"account": "password"}))
    await made.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    yield made
    await made.close()


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.smpp.rpartition(":")[2])


async def test_the_sandbox_serves_smpp34s_client(sandbox: Sandbox) -> None:
    client = smpp34.Client("127.0.0.1", port_of(sandbox), "account", "password")
    smsc = await client.connect()
    answer = await smsc.submit_sm("79161234567", b"hello", source_addr="Sluice", registered_delivery=1)
    assert answer.is_success and answer.message_id
    event = await smsc.next()
    assert isinstance(event, smpp34.DeliverSmEvent) and event.esm_class == 4
    assert event.short_message.startswith(b"id:%b " % answer.message_id.encode())
    await smsc.unbind()
    await client.stop()


class Ears(AbstractHook):
    """What aiosmpplib's ESME receives."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.heard: list[SmppMessage | None] = []

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        pass

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        self.heard.append(smpp_message)
        self.watch.touch()

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        raise error

    def of(self, kind: type[Any]) -> list[Any]:
        return [m for m in self.heard if type(m) is kind]


@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter")  # it leaves its own open
async def test_the_sandbox_serves_aiosmpplibs_esme(sandbox: Sandbox, watch: Watch) -> None:
    ears, broker = Ears(watch), SimpleBroker()
    esme = ESME(
        "127.0.0.1",
        port_of(sandbox),
        "account",
        "password",
        hook=ears,
        broker=broker,
        log_handler=logging.NullHandler(),
    )
    running = asyncio.create_task(esme.start())
    for number in range(20):
        await broker.enqueue(
            SubmitSm(
                short_message=f"Ça fait {number} €",
                source=PhoneNumber("Sluice", TON.ALPHANUMERIC),
                destination=PhoneNumber("79161234567", TON.INTERNATIONAL, NPI.ISDN),
                log_id=str(number),
            )
        )
    await watch.until(lambda: len(ears.of(DeliverSm)) == 20)
    assert None not in ears.heard
    ids = {m.message_id for m in ears.of(SubmitSmResp)}
    assert len(ids) == 20 and {m.parse_receipt()["id"] for m in ears.of(DeliverSm)} == ids
    await esme.stop()
    await running


# The provider against the sandbox, and over TLS


@pytest.mark.parametrize("more", [{}, {"bind_mode": "pair"}, {"binds": 4, "window": 50}], ids=["one", "pair", "four"])
async def test_the_provider_and_the_sandbox_understand_each_other(
    sandbox: Sandbox, desk: Desk, more: dict[str, Any]
) -> None:
    provider = await connected(desk, port_of(sandbox), **more)
    await desk.watch.until(lambda: all(link.state == "bound" for link in provider.links()))
    batch = [submission("hello", n % 65536) for n in range(2000)]
    sent = 0
    while sent < len(batch):
        await desk.watch.until(lambda: provider.room)
        room = provider.room
        provider.submit(batch[sent : sent + room])
        sent += room
    await desk.watch.until(lambda: len(desk.receipts) == len(batch) == len(desk.outcomes))
    assert {s.bind for s in batch} == {link.bind for link in provider.links() if not link.bind.startswith("rx")}
    ids = {desk.of(s)[0].carrier_message_id for s in batch}
    assert len(ids) == len(batch) and {r.carrier_message_id for r in desk.receipts} == ids
    assert {r.state for r in desk.receipts} == {"delivered"}
    await provider.close(5.0)


@pytest.fixture
async def tls_carrier(watch: Watch, tmp_path: Any) -> AsyncIterator[tuple[int, str]]:
    """Port of a carrier that speaks TLS as localhost, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    carrier = SmppCarrier(watch)
    carrier.tls = context
    await carrier.start()
    yield carrier.port, str(tmp_path / "ca.pem")
    await carrier.leave()


def tls_settings(port: int, **more: Any) -> dict[str, Any]:
    table = {"host": "localhost", "port": port, "system_id": "account", "password": "correct-horse-battery"}
    return table | {"tls": True, "reconnect_s": 0.01} | more


async def test_tls_is_spoken_with_a_carrier_whose_certificate_is_good(tls_carrier: tuple[int, str], desk: Desk) -> None:
    port, ca = tls_carrier
    provider = smpp.open("acme", tls_settings(port, tls_ca=ca), desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    s = submission("hello", 1)
    provider.submit([s])
    assert (await desk.outcome(s)).kind is Kind.ACCEPTED
    await provider.close(2.0)


@pytest.mark.parametrize("more", [{}, {"host": "127.0.0.1"}, {"tls_ca": "/nowhere/ca.pem"}, {"tls": False}])
async def test_a_carrier_that_cannot_be_trusted_is_a_visible_state(
    tls_carrier: tuple[int, str], desk: Desk, more: dict[str, Any]
) -> None:
    port, ca = tls_carrier
    trusted = {"tls_ca": ca} if "host" in more else {}
    provider = smpp.open("acme", tls_settings(port, **trusted, **more), desk.reports())
    await provider.start()
    await desk.watch.until(lambda: any(link.error for link in desk.states))
    assert not provider.live and not any("horse" in link.error for link in desk.states)
    await provider.close(2.0)


async def test_verification_can_be_switched_off(tls_carrier: tuple[int, str], desk: Desk) -> None:
    provider = smpp.open("acme", tls_settings(tls_carrier[0], tls_verify=False), desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    await provider.close(2.0)


@pytest.fixture
async def strict_carrier(watch: Watch, tmp_path: Any) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """One that asks for a client's certificate; its port, and the settings that satisfy it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("smsc.example").configure_cert(context)
    authority.configure_trust(context)
    ours = authority.issue_cert("gateway.example")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "our.pem"))
    ours.private_key_pem.write_to_path(str(tmp_path / "our.key"))
    carrier = SmppCarrier(watch)
    carrier.tls = context
    await carrier.start()
    files = {"tls_ca": "ca.pem", "tls_certificate": "our.pem", "tls_key": "our.key"}
    yield carrier.port, {name: str(tmp_path / file) for name, file in files.items()}
    await carrier.leave()


async def test_a_client_certificate_and_another_server_name_are_settings(
    strict_carrier: tuple[int, dict[str, Any]], desk: Desk
) -> None:
    port, files = strict_carrier
    provider = smpp.open("acme", tls_settings(port, tls_server_name="smsc.example", **files), desk.reports())
    await provider.start()
    await desk.watch.until(lambda: provider.live)
    await provider.close(2.0)


@pytest.mark.parametrize("without", ["tls_certificate", "tls_server_name"])
async def test_without_our_certificate_or_with_another_name_nothing_is_bound(
    strict_carrier: tuple[int, dict[str, Any]], desk: Desk, without: str
) -> None:
    port, files = strict_carrier
    given = files | {"tls_server_name": "smsc.example"}
    more = {
        name: value
        for name, value in given.items()
        if name != without and (without, name) != ("tls_certificate", "tls_key")
    }
    provider = smpp.open("acme", tls_settings(port, **more), desk.reports())
    await provider.start()
    await desk.watch.until(lambda: any(link.error for link in desk.states))
    assert not provider.live
    await provider.close(2.0)
