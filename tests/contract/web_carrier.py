"""The contract suite's HTTP carriers: a small web API on a real socket, and its webhooks to the gateway's own desk."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode

from gateway.api.desk import Desk
from gateway.api.problems import Problem
from gateway.provider import Asks, Callback, CallbackRequest, Provider, ReadsCallbacks, Reports, Sent
from providers import http_form, http_json
from tests.contract.carrier import Answer, Arrived, Delivery, Watch
from tests.contract.web_peer import Asked, Peer, Server, post

STATES = {"delivered": "DELIVRD", "undeliverable": "failed-for-good", "expired": "EXPIRED", "enroute": "ENROUTE"}
CODES = {Answer.THROTTLE: "slow-down", Answer.REFUSE: "bad-number"}


class JsonCarrier:
    """Fulfils `carrier.Carrier`: JSON, a bearer token, texts whole, receipts as JSON. Subclasses differ."""

    kind: ClassVar[Any] = http_json
    hears = True
    alphabet = "utf-8"
    calls = True
    """Whether it reports by itself. Else `send_receipt` returns `fetch(message_id)`."""
    window = 10
    size = 1

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.secret = "correct-horse-battery"
        self.capacity = self.window * self.size
        self.most = self.logins = 0
        self.script: Callable[[Arrived], Answer] = lambda arrived: Answer.ACCEPT
        self.arrived: list[Arrived] = []
        self.welcome = True
        self.unanswered: set[Arrived] = set()
        self.said: dict[Asked, dict[Arrived, Answer | None]] = {}
        self._carrier = Server(self._asked, watch.touch, self._gone)
        self._gateway = Server(self._reported, watch.touch, lambda peer: None)
        self._desk: Desk | None = None
        self._opened: tuple[Provider, Reports] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._carrier.start()
        await self._gateway.start()

    async def leave(self) -> None:
        self._carrier.leave()
        self._gateway.leave()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.watch.until(lambda: not self._carrier.peers and not self._gateway.peers)

    def open(self, reports: Reports, **more: Any) -> Provider:
        known = Reports(
            reports.on_outcomes,
            reports.on_receipts,
            reports.on_inbound,
            reports.on_state,
            callbacks_url=f"http://127.0.0.1:{self._gateway.port}",
        )
        made: Provider = self.kind.open("acme", self.table() | self.settings() | more, known)
        reader = made if isinstance(made, ReadsCallbacks) else None
        assert bool(reader) is self.calls, "`calls` of this class, and `callbacks` of the provider's settings, differ"
        self._opened = made, reports

        async def keep(carrier: str, said: Callback) -> None:
            if said.receipts:
                await reports.on_receipts(said.receipts)
            if said.inbound:
                await reports.on_inbound(said.inbound)
            for nudge in said.nudges:  # as the connector does that has the carrier
                assert isinstance(made, Asks)
                found = await made.query(Sent(nudge.carrier_message_id, "", nudge.recipient))
                if found is not None:
                    await reports.on_receipts([found])

        self._desk = Desk(lambda name: reader if name == "acme" else None, keep)
        return made

    def wrong_settings(self) -> Sequence[dict[str, Any]]:
        wrong: list[dict[str, Any]] = [
            {"url": f"ftp://{self.secret}"},
            {"url": f"https://user:{self.secret}@host/"},
            {"method": self.secret},
            {"window": -1},
            {self.secret[:7]: 1},
            {"auth": {"kind": self.secret}},
            {"errors": [{"status": [429], "reason": self.secret}]},
            {"errors": [{"reason": "throttled"}]},
            {"message_id": {"pattern": f"({self.secret}"}},
            {"message_id": self.secret},
            {"success": {"words": [self.secret]}},
            {"answer_charset": self.secret},
            {"callbacks": {"proof": {"kind": "path", "token": "x"}, "receipts": {"message_id": "/i", "state": "/s"}}},
            {"callbacks": {"proof": {"kind": "none"}, "receipts": {"message_id": "/i", "state": "/s"}}},
        ]
        return [self.table() | self.settings() | more for more in wrong]

    def table(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._carrier.port or 1}"
        return {
            "url": f"{url}/sms",
            "check": {"url": f"{url}/balance"},
            "auth": {"kind": "bearer", "token": self.secret},
            "window": self.window,
            "answer_timeout_s": 0.3,
            "late_answer_s": 1.0,
            "check_s": 0.05,
            "reconnect_s": 0.02,
            "reconnect_max_s": 0.1,
            "message_id": "/id",
            "error_code": "/error/code",
            "errors": self.errors(),
            "callbacks": {
                "proof": {"kind": "path", "token": self.token},
                "receipts": {
                    "list": "/reports",
                    "message_id": "/id",
                    "state": "/status",
                    "states": {"failed-for-good": "undeliverable"},
                    "done": "/at",
                    "done_format": "unix",
                    "recipient": "/to",
                },
                "inbound": {"list": "/reports", "sender": "/from", "recipient": "/to", "text": "/text"},
            },
        }

    @property
    def token(self) -> str:
        return self.secret + "-callback"

    def errors(self) -> list[dict[str, Any]]:
        return [
            {"code": ["slow-down"], "reason": "throttled"},
            {"status": [400], "code": ["bad-number"], "reason": "invalid_recipient"},
        ]

    def settings(self) -> dict[str, Any]:
        body = {"number": "{to}", "sender": "{from}", "text": "{text}", "callback": "{callback_url}"}
        return {"body": body | {"part": {"number": "{part}", "of": "{parts}"}}}

    # What the gateway asks

    def _asked(self, asked: Asked) -> None:
        self.logins += 1
        if not self.welcome or asked.headers.get("authorization") != self.credentials():
            asked.answer(401)
        elif asked.path == "/balance":
            asked.answer(200, b"{}")
        else:
            self._submitted(asked)

    def credentials(self) -> str:
        return f"Bearer {self.secret}"

    def read(self, asked: Asked) -> list[dict[str, Any]]:
        """The messages of a request."""
        return [json.loads(asked.body)]

    def _submitted(self, asked: Asked) -> None:
        self.said[asked] = {}
        came = []
        for message in self.read(asked):
            part = message.get("part", {"number": 1, "of": 1})
            arrived = Arrived(
                message.get("text", ""),
                message["number"],
                message.get("sender", ""),
                part["number"],
                part["of"],
                f"id-{len(self.arrived) + 1}",
                (asked, message),
            )
            self.arrived.append(arrived)
            self.unanswered.add(arrived)
            self.said[asked][arrived] = None
            came.append(arrived)
        self.most = max(self.most, len(self.unanswered))
        for arrived in came:
            self.answer(arrived, self.script(arrived))

    def answer(self, arrived: Arrived, answer: Answer) -> None:
        asked, _ = arrived.handle
        said = self.said.get(asked)
        if answer is Answer.SILENCE or said is None:
            return
        self.unanswered.discard(arrived)
        said[arrived] = said[arrived] or answer
        if all(said.values()):
            del self.said[asked]
            self.say(asked, [(a, word) for a, word in said.items() if word is not None])

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(200, json.dumps({"id": arrived.message_id}).encode())
        else:
            status = 429 if answer is Answer.THROTTLE else 400
            asked.answer(status, json.dumps({"error": {"code": CODES[answer]}}).encode())

    def _gone(self, peer: Peer) -> None:
        self.unanswered = {a for a in self.unanswered if a.handle[0].peer is not peer}

    # What it reports

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        return self._deliver({"id": message_id, "status": STATES[state], "at": 1700000000, "to": "79161234567"})

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver({"from": "79161234567", "to": "1234", "text": text})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps({"reports": [report]}).encode(), "application/json"

    def proof(self, url: str, body: bytes) -> dict[str, str]:
        """Headers that prove who reports, beside the token."""
        return {}

    def _deliver(self, report: dict[str, Any], query: str = "") -> Delivery:
        delivery = Delivery()
        body, kind = self.encode(report)
        url = f"http://127.0.0.1:{self._gateway.port}/v1/receipts/acme/{self.token}{query}"

        async def deliver() -> None:
            headers = {"Content-Type": kind} | self.proof(url, body)
            delivery.kept.set_result(200 <= await post(url, body, headers) < 300)
            self.watch.touch()

        self._own(deliver(), "webhook")
        return delivery

    def fetch(self, message_id: str) -> Delivery:
        """What a carrier that calls nobody says when it is asked, as the connector does for what is overdue."""
        delivery = Delivery()

        async def ask() -> None:
            assert self._opened is not None
            provider, reports = self._opened
            assert isinstance(provider, Asks)
            found = await provider.query(Sent(message_id, "", "+79161234567"))
            try:
                if found is not None:
                    await reports.on_receipts([found])
                delivery.kept.set_result(found is not None)
            except ConnectionError:
                delivery.kept.set_result(False)
            self.watch.touch()

        self._own(ask(), "question")
        return delivery

    def _reported(self, asked: Asked) -> None:
        async def take() -> None:
            assert self._desk is not None
            query = dict(parse_qsl(asked.query))
            request = CallbackRequest(
                asked.method, asked.path, query, asked.headers, asked.body, "127.0.0.1", asked.target
            )
            try:
                said = await self._desk.take("acme", request)
            except ConnectionError:
                asked.answer(503)
                return
            asked.answer(said.status, b"" if isinstance(said, Problem) else said.body)

        self._own(take(), "desk")

    def _own(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class JsonPartsCarrier(JsonCarrier):
    """Takes long texts part by part."""

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"long_messages": "parts"}


class JsonBatchCarrier(JsonCarrier):
    """Takes up to three messages in one request, and answers for each."""

    window = 4
    size = 3

    def settings(self) -> dict[str, Any]:
        item = super().settings()["body"] | {"ref": "{reference}"}
        batch = {"size": self.size, "item": item, "results": "/results", "match": "/ref"}
        return {
            "body": {"messages": "{items}"},
            "batch": batch | {"message_id": "/id", "error_code": "/error/code"},
        }

    def errors(self) -> list[dict[str, Any]]:
        return [{"code": ["slow-down"], "reason": "throttled"}, {"code": ["bad-number"], "reason": "invalid_recipient"}]

    def read(self, asked: Asked) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(asked.body)["messages"]
        return found

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        results = []
        for arrived, answer in reversed(said):
            ref = {"ref": arrived.handle[1]["ref"]}
            results.append(
                ref | ({"id": arrived.message_id} if answer is Answer.ACCEPT else {"error": {"code": CODES[answer]}})
            )
        asked.answer(200, json.dumps({"results": results}).encode())


class FormCarrier(JsonCarrier):
    """A form with HTTP basic; answers in plain text, receipts as a form."""

    kind: ClassVar[Any] = http_form

    def settings(self) -> dict[str, Any]:
        fields = {"number": "{to}", "sender": "{from}", "text": "{text}", "callback": "{callback_url}"}
        callbacks = super().table()["callbacks"]
        where = {"list": ""}
        return {
            "fields": fields,
            "auth": {"kind": "basic", "user": "account", "password": self.secret},
            "message_id": {"pattern": r"^OK (\S+)"},
            "error_code": {"pattern": r"^ERROR (\S+)"},
            "callbacks": callbacks
            | {
                "format": "form",
                "receipts": callbacks["receipts"] | where,
                "inbound": callbacks["inbound"] | where,
            },
        }

    def credentials(self) -> str:
        return "Basic " + base64.b64encode(f"account:{self.secret}".encode()).decode()

    def read(self, asked: Asked) -> list[dict[str, Any]]:
        return [{name: values[0] for name, values in parse_qs(asked.body.decode(), keep_blank_values=True).items()}]

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        words = f"OK {arrived.message_id}" if answer is Answer.ACCEPT else f"ERROR {CODES[answer]}"
        asked.answer(200 if answer is not Answer.REFUSE else 400, words.encode())

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return urlencode(report).encode(), "application/x-www-form-urlencoded"


class AskedCarrier(FormCarrier):
    """Calls nobody: what became of messages is asked for. Forms and answers in windows-1251, codes in a status 200,
    up to three messages in one request, with a result for each."""

    hears = calls = False
    alphabet = "windows-1251"
    window = 4
    size = 3
    numbers: ClassVar[dict[Answer, int]] = {Answer.ACCEPT: 0, Answer.THROTTLE: 3, Answer.REFUSE: 12}
    states: ClassVar[dict[str, int]] = {"delivered": 2, "undeliverable": 3, "expired": 4, "enroute": 1}

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._became: dict[str, int] = {}

    def table(self) -> dict[str, Any]:
        return {name: value for name, value in super().table().items() if name != "callbacks"}

    def settings(self) -> dict[str, Any]:
        yes = {"at": "/code", "words": [0]}
        url = f"http://127.0.0.1:{self._carrier.port or 1}"
        item = {
            "number[{index}]": "{to}",
            "sender[{index}]": "{from}",
            "text[{index}]": "{text}",
            "ref[{index}]": "{echo}",
        }
        states = {str(number): state for state, number in self.states.items()}
        receipts = {"list": "/items", "message_id": "/id", "state": "/state", "states": states, "recipient": "/to"}
        moment = {"done": "/at", "done_format": "%d.%m.%Y %H:%M", "timezone": "Europe/Moscow"}
        return {
            "charset": self.alphabet,
            "answer_charset": self.alphabet,
            "fields": {"count": "all"},
            "auth": {"kind": "basic", "user": "account", "password": self.secret},
            "batch": {"size": self.size, "item": item, "results": "/items", "success": yes}
            | {"message_id": "/id", "error_code": "/code"},
            "success": yes,
            "error_code": "/code",
            "message_id": None,
            "ask": {"url": f"{url}/status", "method": "POST", "fields": {"ids": "{message_ids}"}, "size": 100}
            | {"receipts": receipts | moment, "every_s": 0.01},
        }

    def errors(self) -> list[dict[str, Any]]:
        return [{"code": [3], "reason": "throttled"}, {"code": [12], "reason": "invalid_recipient"}]

    def _asked(self, asked: Asked) -> None:
        if asked.path != "/status":
            super()._asked(asked)
            return
        (ids,) = parse_qs(asked.body.decode())["ids"]
        when = {"at": "02.01.2026 06:04", "to": "79161234567"}
        items = [{"id": one, "state": self._became[one]} | when for one in ids.split(",") if one in self._became]
        asked.answer(200, json.dumps({"code": 0, "items": items}).encode())

    def read(self, asked: Asked) -> list[dict[str, Any]]:
        given = parse_qs(asked.body.decode(), keep_blank_values=True, encoding=self.alphabet)
        count = sum(name.startswith("number") for name in given)
        return [
            {name: given.get(f"{name}[{n}]", [""])[0] for name in ("number", "sender", "text")} for n in range(count)
        ]

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        items = [
            {
                "code": self.numbers[answer],
                "id": arrived.message_id,
                "descr": "принято" if not self.numbers[answer] else "нет",
            }
            for arrived, answer in said
        ]
        asked.answer(200, json.dumps({"code": 0, "items": items}, ensure_ascii=False).encode(self.alphabet))

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        self._became[message_id] = self.states[state]
        return self.fetch(message_id)
