"""The sandbox as a carrier that is reached by HTTP: the same profile, handset and counts as its SMPP side.

In: `POST /messages` as JSON or as a form. Out: ids, errors, and reports to the callback URL that a message names. JSON
wants `Authorization: Bearer PASSWORD`, a form may use HTTP basic; a form is answered in plain text.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from gateway.embedded.sandbox import magic, single, wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.handset import Kept
from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.profile import Fate
from gateway.embedded.sandbox.smsc import Smsc
from gateway.embedded.sandbox.spread import draw
from gateway.embedded.sandbox.webhooks import Goal, Report, Webhooks
from gateway.text import gsm7, parts, ucs2

THROTTLED, QUEUE_FULL = 0x58, 0x14
WORDS: Final = {
    THROTTLED: "throttled",
    QUEUE_FULL: "queue_full",
    0x0A: "invalid_sender",
    0x0B: "invalid_recipient",
    0x08: "system_error",
}
"""Codes of the web carrier for the profile's command_status; others are their number."""

_HTTP: Final = {THROTTLED: 429, QUEUE_FULL: 503, 0x08: 500}
_NUMBER: Final = re.compile(r"\+?[0-9]{3,20}")
_SILENT_S: Final = 300.0


class Sent(msgspec.Struct):
    """One message as it was sent."""

    to: str = ""
    sender: str = msgspec.field(name="from", default="")
    text: str = ""
    reference: str | int = ""
    callback: str = ""


class Bulk(Sent):
    """One message, or several."""

    messages: list[Sent] | None = None


class Said(msgspec.Struct, omit_defaults=True):
    """The answer to one message."""

    reference: str | int = ""
    id: str = ""
    status: str = ""
    error: dict[str, str] | None = None


class WebPort:
    """The routes of the web carrier."""

    def __init__(self, smsc: Smsc, hooks: Webhooks) -> None:
        self._smsc, self._hooks = smsc, hooks
        self._waiting = 0
        self.last_goal: Goal | None = None
        """Where the last message wanted its reports: a subscriber's message goes there too."""

    def make_app(self) -> web.Application:
        """The application."""
        app = web.Application(client_max_size=16 << 20)
        app.add_routes([web.post("/messages", self.messages), web.get("/balance", self.balance)])
        return app

    async def balance(self, request: web.Request) -> web.Response:
        """What an account asks to see whether its credentials are good."""
        if self._account(request) is None:
            return _json({"error": {"code": "unauthorized"}}, 401)
        return _json({"balance": "1000.00"})

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """Take a message, or several as JSON."""
        as_form = "json" not in request.content_type
        account = self._account(request)
        if account is None:
            return _answer(as_form, 401, [Said(error={"code": "unauthorized"})])
        try:
            asked = _form(await request.post()) if as_form else msgspec.json.decode(await request.read(), type=Bulk)
        except (msgspec.DecodeError, ValueError):
            self._smsc.tally.counts.malformed += 1
            return _answer(as_form, 400, [Said(error={"code": "malformed"})])
        sent = [asked] if asked.messages is None else asked.messages
        self._waiting += 1
        try:
            fates = [self._fate(account, message) for message in sent]
            delay_s = max((draw(fate.answer_delay_ms, self._smsc.random) for fate in fates), default=0.0) / 1000
            said = [self._take(m, fate, as_form, delay_s) for m, fate in zip(sent, fates, strict=True)]
            if not all(fate.answered for fate in fates):
                await asyncio.sleep(_SILENT_S)
            if delay_s:
                await asyncio.sleep(delay_s)
        finally:
            self._waiting -= 1
        habits = self._smsc.profile.web
        if habits.breaks and self._smsc.random() < habits.breaks:
            return web.Response(text="<html><body>Bad Gateway</body></html>", status=502, content_type="text/html")
        if asked.messages is not None:
            return _json({"messages": said})
        status = 200 if said[0].error is None or habits.errors == "ok" else _HTTP.get(fates[0].status, 400)
        return _answer(as_form, status, said, habits.retry_after)

    def _account(self, request: web.Request) -> Account | None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        for account in self._smsc.accounts.values():
            basic = base64.b64encode(f"{account.system_id}:{account.password}".encode()).decode()
            right = {"bearer": account.password, "basic": basic}.get(kind.lower(), "")
            if right and hmac.compare_digest(right.encode(), given.strip().encode()):
                return account
        return None

    def _fate(self, account: Account, message: Sent) -> Fate:
        """As the SMPP side decides it (`intake`)."""
        smsc = self._smsc
        profile, choice = smsc.profile, smsc.choice
        if profile.window and self._waiting > profile.window:
            return choice.full
        if profile.throttle_per_s:
            burst = profile.throttle_burst or max(1.0, profile.throttle_per_s / 10)
            if not account.allow(smsc.monotonic(), profile.throttle_per_s, burst, parts.measure(message.text)[1]):
                smsc.tally.counts.throttled += 1
                return choice.throttled
        if _NUMBER.fullmatch(message.to) is None:
            return msgspec.structs.replace(choice.default, status=0x0B, answered=True)
        fate = choice.of(message.to.lstrip("+"), message.text, smsc.random())
        row = self._magic(message)
        if row is None or fate.status:
            return fate
        return smsc.tries.fate(row, hash((message.sender, message.to, message.text)), profile.magic_speed)

    def _magic(self, message: Sent) -> Magic | None:
        return magic.BY_DIGITS.get(message.to.lstrip("+")) if self._smsc.profile.magic else None

    def _take(self, message: Sent, fate: Fate, as_form: bool, delay_s: float) -> Said:
        """Count, keep, schedule the reports."""
        smsc, wall = self._smsc, self._smsc.wall()
        counts = smsc.tally.counts
        counts.submits += 1
        counts.first_submit = counts.first_submit or wall
        counts.last_submit = wall
        if fate.status:
            counts.refused += 1
            code = WORDS.get(fate.status, str(fate.status))
            return Said(reference=message.reference, status="rejected", error={"code": code})
        message_id = smsc.profile.ids.answered(smsc.take_ids(1)).decode()
        counts.answers += fate.answered
        counts.unanswered += not fate.answered
        submit = as_submit(message)
        key = hash(submit.recipient + submit.body)
        smsc.tally.messages.add([key])
        smsc.tally.submissions.add([key ^ hash(message.reference)])
        if smsc.keeps or (smsc.profile.watch and message.to.lstrip("+").startswith(smsc.profile.watch.lstrip("+"))):
            smsc.handset.keep(Kept(wall, message_id.encode(), submit))
        if (row := self._magic(message)) is not None:
            self._follow(message, row, message_id, as_form)
        else:
            for after_s, stat in () if fate.no_id else single.timetable(fate, delay_s, smsc.random):
                self._report(message, message_id, as_form, after_s, stat, fate.err)
        return Said(reference=message.reference, id="" if fate.no_id else message_id, status="accepted")

    def _report(self, message: Sent, message_id: str, as_form: bool, delay_s: float, stat: str, err: str) -> None:
        if not message.callback.startswith(("http://", "https://")):
            return
        goal = self.last_goal = (message.callback, as_form)
        done = datetime.fromtimestamp(self._smsc.wall() + delay_s, UTC).isoformat(timespec="seconds")
        values = {
            "id": message_id,
            "reference": message.reference,
            "to": message.to,
            "from": message.sender,
            "status": stat,
            "error": err,
            "done_at": done,
        }
        self._smsc.tally.counts.receipts_made += 1
        self._hooks.together = self._smsc.profile.web.together
        self._hooks.send(goal, [Report(values)], delay_s)

    def _follow(self, message: Sent, row: Magic, message_id: str, as_form: bool) -> None:
        """As `magic_receipts` does it on the SMPP side."""
        speed = self._smsc.profile.magic_speed
        for said in row.receipts_of(0, parts.measure(message.text)[1]):
            delay_s = (row.answer_s + said.after_s) / speed
            self._report(message, message_id, as_form, delay_s, said.stat, f"{said.cause:03d}")
        if row.reply and self.last_goal is not None:
            values = {"from": message.to, "to": message.sender, "text": row.reply}
            self._hooks.send(self.last_goal, [Report(values, inbound=True)], row.answer_s / speed)

    def inbound(self, sender: str, to: str, text: str) -> bool:
        """Report a subscriber's message where the last message wanted its reports; False when there was none."""
        if self.last_goal is None:
            return False
        self._hooks.send(self.last_goal, [Report({"from": sender, "to": to, "text": text}, inbound=True)])
        return True


def as_submit(message: Sent) -> wire.Submit:
    """The message as the handset knows messages."""
    encoding = parts.choose(message.text)
    coding, body = (0, gsm7.encode(message.text)) if encoding == "gsm7" else (8, ucs2.encode(message.text))
    return wire.Submit(wire.address(message.sender), wire.address(message.to), 0, 1, coding, body, b"", b"")


def _form(fields: Mapping[str, Any]) -> Bulk:
    to, sender, text, reference, callback = (
        str(fields.get(name, "")) for name in ("to", "from", "text", "reference", "callback")
    )
    return Bulk(to, sender, text, reference, callback)


def _answer(as_form: bool, status: int, said: list[Said], retry_after: bool = True) -> web.Response:
    headers = {"Retry-After": "1"} if status in (429, 503) and retry_after else {}
    if not as_form:
        return _json(said[0], status, headers)
    words = f"OK {said[0].id}".strip() if said[0].error is None else f"ERROR {(said[0].error or {}).get('code', '')}"
    return web.Response(text=words + "\n", status=status, headers=headers)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), content_type="application/json", status=status, headers=headers
    )
