"""A whole ESME that nobody here wrote, aiosmpplib's, as a client of the sandbox."""

from __future__ import annotations

import asyncio
import logging

from aiosmpplib import ESME, TON, AbstractHook, DeliverSm, PhoneNumber, SmppMessage, SubmitSm, SubmitSmResp

from gateway.embedded.sandbox.profile import make_profile
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc

DEADLINE_S = 20


class Heard(AbstractHook):  # type: ignore[misc]
    """What came back, until `wanted` receipts and inbound messages are there."""

    def __init__(self, wanted: int) -> None:
        self.answers: list[SubmitSmResp] = []
        self.delivered: list[DeliverSm] = []
        self.errors: list[Exception] = []
        self.unreadable: list[bytes] = []
        self.done = asyncio.Event()
        self._wanted = wanted

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        pass

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        if smpp_message is None:
            self.unreadable.append(pdu)
        elif isinstance(smpp_message, SubmitSmResp):
            self.answers.append(smpp_message)
        elif isinstance(smpp_message, DeliverSm):
            self.delivered.append(smpp_message)
        if len(self.delivered) >= self._wanted:
            self.done.set()

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        self.errors.append(error)


async def test_aiosmpplibs_esme_sends_short_and_long_texts_and_reads_its_receipts() -> None:
    texts = ["Hello [there] for 5 €", "Съешь же ещё этих мягких французских булок 🥐", "Да выпей чаю. " * 30]
    smsc = Smsc({"me": "secret"}, make_profile({"receipt_delay_s": 0.05}))
    sandbox = Sandbox(smsc)
    await sandbox.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    host, _, port = sandbox.smpp.rpartition(":")
    heard = Heard(wanted=3)
    esme = ESME(host, int(port), "me", "secret", hook=heard, log_level=logging.CRITICAL)
    for number, text in enumerate(texts):
        message = SubmitSm(
            short_message=text,
            source=PhoneNumber("Sluice", ton=TON.ALPHANUMERIC),
            destination=PhoneNumber(f"7916123456{number}"),
            encoding=None if text.isascii() or number == 0 else "ucs2",
            log_id=str(number),
        )
        await esme.broker.enqueue(message)
    running = asyncio.create_task(esme.start(), name="aiosmpplib's ESME")
    async with asyncio.timeout(DEADLINE_S):
        await heard.done.wait()
        await esme.stop()
        await running
    await sandbox.close()

    assert [m.text for m in smsc.handset.show()] == texts
    assert (heard.errors, heard.unreadable) == ([], [])
    receipts = [message.parse_receipt() for message in heard.delivered]
    assert {r["id"] for r in receipts} == {answer.message_id for answer in heard.answers}
    assert {r["stat"] for r in receipts} == {"DELIVRD"}
    report = smsc.report()
    assert (report["submits"], report["receipts_acked"], report["unbinds"], report["malformed"]) == (3, 3, 1, 0)
