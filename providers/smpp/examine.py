"""`sluice carriers check NAME --to NUMBER`: test messages to one phone, and what a carrier's settings should be.

In: settings as they are, a number, somebody who looks at the phone. Out: `Findings`. It costs what the messages cost;
a rate is measured only on demand.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.provider import Outcome, Submission
from gateway.smpp import pdu
from gateway.smpp.status import is_known, words
from gateway.text import parts
from providers.smpp.encoding import UDH_BYTES, Encoder, source_address
from providers.smpp.findings import (
    Findings,
    Tried,
    about_answers,
    about_rate,
    about_receipts,
    named,
    parts_reported,
    window_of,
)
from providers.smpp.probe import KINDS, SILENCE, Answer, Probe, ProbeError, said
from providers.smpp.settings import SmppSettings, read

Shows = Callable[[str, str], Awaitable[bool | None]]
"""Whether the phone shows exactly this text (second) as one message, whose first word is unique. None: not known."""
Tell = Callable[[str], None]

WAYS: Final = ("udh8", "udh16", "sar", "message_payload")
ALPHABETS: Final = ("gsm7", "latin1", "gsm7_packed", "ascii")
_AGAIN: Final = frozenset({SILENCE, 0x08, 0x14, 0x45, 0x58, 0x64})
"""Answers that may be a whim: the message is sent again."""
_TRIES: Final = 4
_PAUSE_S: Final = 0.05
_LONG: Final = 5
"""Messages of several parts that tell which of them have receipts."""
_FLOOD_S: Final = 4.0
_TICK_S: Final = 0.005
_VALIDITY_MS: Final = 3_600_000


class Wanted(msgspec.Struct, frozen=True):
    """What the examination may cost. `flood`: how many messages may be accepted while the rate is measured; 0: none."""

    to: str
    sender: str
    messages: int = 4
    flood: int = 0
    wait_s: float = 60.0


async def examine(carrier: str, table: dict[str, Any], wanted: Wanted, shows: Shows, tell: Tell) -> Findings:
    """Everything that can be found out. Raises SettingsError; a carrier that is out of reach is a finding."""
    run = _Run(carrier, table, wanted, shows, tell)
    try:
        await run.all()
    except ProbeError as problem:
        run.found.trouble = str(problem)
    finally:
        await run.probe.close()
    return run.found


class _Run:
    """One examination."""

    def __init__(self, carrier: str, table: dict[str, Any], wanted: Wanted, shows: Shows, tell: Tell) -> None:
        self.table, self.wanted, self.shows, self.tell = table, wanted, shows, tell
        self.settings: SmppSettings = read(carrier, table)
        self.probe = Probe(self.settings)
        self.found = Findings()
        self.tried: list[Tried] = []
        self.refused: set[int] = set()
        self._number = int.from_bytes(os.urandom(2), "big")
        self._token = os.urandom(2).hex()
        self._sent = 0

    async def all(self) -> None:
        """Step by step."""
        await self._binds()
        if not await self._first():
            return
        await self._alphabet()
        for _ in range(self.wanted.messages - 1):
            await self._try("short", {}, self._text(""))
        await self._concatenation()
        await self._ucs2()
        await self._receipts()
        await self._questions()
        if self.wanted.flood:
            await self._rate()
        if self.refused:
            self.found.say("codes", "it also answered " + ", ".join(words(code) for code in sorted(self.refused)))
        if unknown := [code for code in sorted(self.refused) if not is_known(code)]:
            self.found.say("unknown codes", f"{', '.join(map(words, unknown))}: give them reasons in codes")
        self._leave_out()
        if self.probe.reconnected:
            self.found.say("links", f"the carrier ended them {self.probe.reconnected} times meanwhile")

    def _leave_out(self) -> None:
        """Settings that say what holds without them."""
        as_given, found = read("", self.table), self.found.settings
        automatic = {
            "bind_mode": "pair" if found.get("interface_version") == "3.3" else "transceiver",
            "message_ids": "same",
        }
        for name, value in list(found.items()):
            now = getattr(as_given, name)
            if value == (automatic[name] if now == "auto" else now):
                del found[name]

    async def _binds(self) -> None:
        self.tell("binds …")
        answers = {kind: await self.probe.try_bind(kind) for kind in KINDS}
        taken = [kind for kind, status in answers.items() if status == 0]
        refused = [f"{kind} refused: {said(status)}" for kind, status in answers.items() if status]
        self.found.say("binds", ", ".join([*taken, *refused]))
        if "transceiver" in taken:
            self.found.settings["bind_mode"] = "transceiver"
            kinds = ["transceiver"]
        elif {"transmitter", "receiver"} <= set(taken):
            self.found.settings["bind_mode"] = "pair"
            kinds = ["transmitter", "receiver"]
        else:
            raise ProbeError("no bind that can send and get receipts: " + "; ".join(refused))
        await self.probe.open(kinds)
        version = self.probe.peer_version
        known = {-1: "it tells none", 0x33: "3.3", 0x34: "3.4", 0x50: "5.0"}
        self.found.say("version of SMPP", known.get(version, f"0x{version:02X}"))

    async def _first(self) -> bool:
        """A first message, with less and less in it until it is taken."""
        self.tell("a first message …")
        for more in (
            {},
            {"user_message_reference": False, "tlvs": {}},
            {"validity_period": "absolute"},
            {"validity_period": "none"},
            {"validity_period": "none", "user_message_reference": False, "tlvs": {}},
        ):
            tried = await self._try("short", more, self._text(""))
            if tried.taken:
                if "user_message_reference" in more:
                    self._bare()
                if "validity_period" in more:
                    self._set(validity_period=more["validity_period"])
                return True
        status = tried.answers[-1].status if tried.answers else SILENCE
        self.found.trouble = f"no message is taken: {said(status)}"
        return False

    def _bare(self) -> None:
        """It takes no optional parameters."""
        old = self.probe.peer_version < pdu.VERSION_3_4
        self._set(**{"interface_version": "3.3"} if old else {"user_message_reference": False})
        self.found.say("optional parameters", "a submit with any is refused")

    def _set(self, **settings: Any) -> None:
        self.found.settings.update(settings)
        self.settings = msgspec.structs.replace(self.settings, **settings)

    async def _alphabet(self) -> None:
        self.tell("the alphabet of data_coding 0 …")
        for alphabet in ALPHABETS:
            text = self._text("@$_" if alphabet == "ascii" else "@ $ _ £ é ñ Ä")
            tried = await self._try("alphabet", {"gsm7_alphabet": alphabet}, text)
            if tried.shown is None:
                return  # nobody saw it: the next one would tell no more
            if tried.shown:
                self.found.say("default alphabet", alphabet)
                self._set(gsm7_alphabet=alphabet)
                return
        self.found.say("default alphabet", f"none of {', '.join(ALPHABETS)} is shown as it was sent")

    async def _ucs2(self) -> None:
        tried = await self._try("ucs2", {}, self._text("Привет 🎈"), "ucs2")
        if not tried.taken:
            self.found.say("UCS-2", f"refused with data_coding {self.settings.ucs2_data_coding}")
        elif tried.shown is not None:
            self.found.say("UCS-2", "shown as it was sent" if tried.shown else "not shown as it was sent")

    async def _concatenation(self) -> None:
        self.tell("long messages …")
        good = []
        for way in WAYS[:2] if self.settings.interface_version == "3.3" else WAYS:
            tried = await self._try(way, {"concatenation": way}, self._long())
            if tried.taken and tried.shown is not False:
                good.append(way)
        if good:
            self.found.say("long messages", ", ".join(good))
            self._set(concatenation=good[0])
            while sum(len(t.answers) > 1 and t.taken for t in self.tried) < _LONG and good[0] != "message_payload":
                if not (await self._try(good[0], {}, self._long())).taken:
                    break
        else:
            self.found.say("long messages", f"none of {', '.join(WAYS)} is taken and shown as one")

    async def _receipts(self) -> None:
        self.tell(f"receipts, for at most {self.wanted.wait_s:g} s …")
        sent = sum(bool(a.message_id) for tried in self.tried for a in tried.answers)
        until = time.monotonic() + self.wanted.wait_s
        quiet = max(3.0, self.wanted.wait_s / 4)
        while (now := time.monotonic()) < until and len(self.probe.delivered) < sent:
            last = max((one.at for one in self.probe.delivered), default=0.0)
            if last and time.time() - last > quiet and now > until - self.wanted.wait_s / 2 and self._is_told():
                break
            await asyncio.sleep(0.05)
        about_receipts(self.found, self.tried, self.probe.delivered)
        about_answers(self.found, [a for tried in self.tried for a in tried.answers])

    def _is_told(self) -> bool:
        """Whether waiting longer would tell no more of the parts that have receipts."""
        kind, sure = parts_reported(self.tried, named(self.tried, self.probe.delivered))
        return sure or not kind

    async def _questions(self) -> None:
        message_id = next((a.message_id for t in self.tried for a in t.answers if a.message_id), "")
        source = source_address(self.settings, self.wanted.sender)
        if not message_id or isinstance(source, Outcome):
            return
        line = await self.probe.line()
        name = message_id.encode("latin-1")
        query = await line.ask(pdu.QUERY_SM, pdu.encode_query(name, *source))
        dest = (self.settings.dest_ton, self.settings.dest_npi, self.wanted.to.lstrip("+").encode())
        cancel = await line.ask(pdu.CANCEL_SM, pdu.encode_cancel(b"", name, source, dest))
        for what, answer, failed in (("query", query, 0x67), ("cancel", cancel, 0x11)):
            known = answer.status in (0, failed, 0x0C)
            self.found.say(f"{what}_sm", "answered" if known else said(answer.status), **{what: known})

    async def _rate(self) -> None:
        """As much as the window lets through, and from the first 0x58 on twice what the carrier takes, evenly: so its
        bucket stays empty."""
        self.tell("the rate …")
        line, loop = await self.probe.line(), asyncio.get_running_loop()
        burst = window = min(self.settings.window, 50)
        answers: list[tuple[float, Answer]] = []
        flying: dict[asyncio.Future[Answer], int] = {}
        began, taken, credit, throttled = loop.time(), 0, float(burst), False
        while loop.time() - began < _FLOOD_S and taken < self.wanted.flood and not line.ended.done():
            while len(flying) < window and credit >= 1:
                flying[line.send(pdu.SUBMIT_SM, self._bodies({}, self._text(""), "gsm7")[0])] = len(answers)
                answers.append((0.0, Answer(SILENCE)))
                credit -= throttled
            before = loop.time()
            done, _ = (
                await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED, timeout=_TICK_S) if flying else ((), 0)
            )
            if throttled:
                await asyncio.sleep(max(0.0, before + _TICK_S - loop.time()))
                credit = min(credit + 2 * taken / (loop.time() - began) * (loop.time() - before), float(burst))
            for future in done:
                answers[flying.pop(future)] = (loop.time() - began, future.result())
                taken += future.result().status == 0
                throttled |= future.result().status == 0x58
            if len(answers) - len(flying) >= burst:
                window = window_of([a.status for _, a in answers[:burst]]) or window
        about_rate(self.found, [one for one in answers if one[0]], burst)

    async def _try(self, way: str, more: dict[str, Any], text: str, encoding: str = "gsm7") -> Tried:
        """Send it, some more times where the answer may be a whim, and look at the phone."""
        bodies = self._bodies(more, text, encoding)
        answers: list[Answer] = []
        for number in range(_TRIES):
            if number:  # who has had too much would have too much again
                await asyncio.sleep(_PAUSE_S * 2**number)
            line = await self.probe.line()
            answers = list(await asyncio.gather(*(line.ask(pdu.SUBMIT_SM, body) for body in bodies)))
            if not any(answer.status in _AGAIN for answer in answers):
                break
        tried = Tried(way, answers)
        self.refused |= {a.status for a in answers if a.status > 0}
        if tried.taken:
            tried = msgspec.structs.replace(tried, shown=await self.shows(text.split(" ", 1)[0], text))
        self.tried.append(tried)
        return tried

    def _bodies(self, more: dict[str, Any], text: str, encoding: str) -> Sequence[bytes]:
        given = msgspec.structs.replace(self.settings, **more)
        encoder = Encoder(given)
        cut = parts.split(text, encoding, UDH_BYTES[given.concatenation])
        pieces = [(0, text)] if given.concatenation == "message_payload" else list(enumerate(cut, 1))
        self._number += 1
        now_ms = time.time_ns() // 1_000_000
        bodies = []
        for number, piece in pieces:
            s = Submission(
                bytes(16), 1, number, len(cut), self.wanted.to, self.wanted.sender, piece, encoding,
                self._number & 0xFFFF, now_ms + _VALIDITY_MS, "otp", self._number & 0xFFFF,
            )  # fmt: skip
            body = encoder.body(s, now_ms)
            if isinstance(body, Outcome):
                raise ProbeError(f"the sender {self.wanted.sender!r} or a text cannot be said in SMPP: {body.code}")
            bodies.append(body)
        return bodies

    def _long(self) -> str:
        return self._text("A long message comes in two parts and has to be shown as one. " * 3).strip()

    def _text(self, more: str) -> str:
        """A text that no other message has; its first word tells it apart."""
        self._sent += 1
        return f"Sluice-{self._token}-{self._sent} {more or 'test'}"
