"""The contract suite's carriers by name: for each a small account that speaks its documented interface."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode

from providers import exolve, jasmin, kannel, smsaero, smsc_ru
from tests.contract.carrier import Answer, Arrived, Delivery, Watch
from tests.contract.web_carrier import JsonCarrier
from tests.contract.web_peer import Asked, get

QUICK: dict[str, Any] = {
    "window": 10,
    "answer_timeout_s": 0.3,
    "late_answer_s": 1.0,
    "check_s": 0.05,
    "reconnect_s": 0.02,
    "reconnect_max_s": 0.1,
}
WRONG: tuple[dict[str, Any], ...] = (
    {"window": -1},
    {"answer_timeout_s": 0},
    {"callback_token": "x"},
    {"callback_networks": ["everywhere"]},
)


class NamedCarrier(JsonCarrier):
    """What carriers by name share: their settings are flat, their checks are requests of their own."""

    needed: ClassVar[tuple[str, ...]] = ()
    where = "url"

    def account(self) -> dict[str, Any]:
        """Settings that only this carrier has."""
        raise NotImplementedError

    def table(self) -> dict[str, Any]:
        return QUICK | {"callback_token": self.token} | self.account()

    def settings(self) -> dict[str, Any]:
        return {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._carrier.port or 1}"

    def wrong_settings(self) -> Sequence[dict[str, Any]]:
        wrong = [*WRONG, {self.where: f"ftp://{self.secret}"}, {self.secret[:7]: 1}]
        return [self.table() | more for more in wrong] + [
            {name: value for name, value in self.table().items() if name != missing} | {missing: None}
            for missing in self.needed
        ]

    def take(self, asked: Asked, text: str, to: str, sender: str, message_id: str = "") -> None:
        """A submission of one message."""
        number = message_id or f"id-{len(self.arrived) + 1}"
        arrived = Arrived(text, to, sender, 1, 1, number, (asked, {}))
        self.arrived.append(arrived)
        self.unanswered.add(arrived)
        self.said[asked] = {arrived: None}
        self.most = max(self.most, len(self.unanswered))
        self.answer(arrived, self.script(arrived))

    def call(self, query: dict[str, str]) -> Delivery:
        """A report by GET."""
        delivery = Delivery()
        url = f"http://127.0.0.1:{self._gateway.port}/v1/receipts/acme/{self.token}?{urlencode(query)}"

        async def deliver() -> None:
            delivery.kept.set_result(200 <= await get(url) < 300)
            self.watch.touch()

        self._own(deliver(), "webhook")
        return delivery


class KannelCarrier(NamedCarrier):
    """smsbox, as observed: it says only that it took a message, and calls dlr-url."""

    kind: ClassVar[Any] = kannel
    needed = ("url", "username", "password")
    states: ClassVar[dict[str, tuple[str, str]]] = {
        "delivered": ("1", ""),
        "undeliverable": ("2", "id:7 sub:001 dlvrd:000 stat:UNDELIV err:027 text:secret"),
        "expired": ("2", "id:7 stat:EXPIRED err:000 text:"),
        "enroute": ("8", "ACK/"),
    }

    def account(self) -> dict[str, Any]:
        return {"url": f"{self.url}/cgi-bin/sendsms", "username": "account", "password": self.secret}

    def _asked(self, asked: Asked) -> None:
        self.logins += 1
        h = asked.headers
        assert asked.method == "POST" and h["content-type"] == "text/plain; charset=UTF-8" and not asked.query
        if not self.welcome or (h["x-kannel-username"], h["x-kannel-password"]) != ("account", self.secret):
            asked.answer(403, b"Authorization failed for sendsms")
        elif "x-kannel-to" not in h:
            asked.answer(400, b"Missing receiver number, rejected")
        else:
            dlr = dict(parse_qsl(h["x-kannel-dlr-url"].partition("?")[2]))
            assert h["x-kannel-dlr-mask"] == "31" and dlr["d"] == "%d" and int(h["x-kannel-validity"]) >= 1
            text = asked.body.decode()
            if h["x-kannel-coding"] == "0":  # what the alphabet of phones lacks arrives as question marks
                text = text if text.isascii() or set(text) <= {*"€£¥", *map(chr, range(128))} else "?" * len(text)
            self.take(asked, text, h["x-kannel-to"], h["x-kannel-from"], dlr["id"])

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((_, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(202, b"0: Accepted for delivery")
        elif answer is Answer.THROTTLE:
            asked.answer(503, b"Temporal failure, try again later.")
        else:
            asked.answer(400, b"Empty receiver number not allowed, rejected")

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        kind, wrote = self.states[state]
        more = {"ts": "1700000000", "to": "79161234567", "from": "Sluice", "echo": "7", "f": "0x77"}
        return self.call({"id": message_id, "d": kind, "a": wrote} | more)

    def send_inbound(self, text: str) -> Delivery:
        return self.call({"from": "79161234567", "to": "1234", "text": text, "charset": "UTF-8"})


class JasminCarrier(NamedCarrier):
    """The HTTP API, as its source reads: an unknown parameter is refused, reports want to be acknowledged by name."""

    kind: ClassVar[Any] = jasmin
    needed = ("url", "username", "password")
    known: ClassVar[set[str]] = {
        "username", "password", "to", "from", "coding", "content", "hex-content", "dlr", "dlr-url", "dlr-level",
        "dlr-method", "priority", "validity-period", "tags", "sdt",
    }  # fmt: skip
    states: ClassVar[dict[str, str]] = {
        "delivered": "DELIVRD",
        "undeliverable": "UNDELIV",
        "expired": "EXPIRED",
        "enroute": "ACCEPTD",
    }

    def account(self) -> dict[str, Any]:
        return {"url": self.url, "username": "account", "password": self.secret}

    def _asked(self, asked: Asked) -> None:
        self.logins += asked.path != "/balance" or asked.query.count("&") == 1
        given = asked.query if asked.method == "GET" else asked.body.decode()
        fields = {name: values[0] for name, values in parse_qs(given, keep_blank_values=True).items()}
        if not self.welcome or (fields.get("username"), fields.get("password")) != ("account", self.secret):
            asked.answer(403, b'Error "Authentication failure for username:account"')
        elif asked.path == "/balance":
            asked.answer(200, b'{"balance": "ND", "sms_count": "ND"}')
        elif unknown := set(fields) - self.known:
            asked.answer(400, f'Error "Argument [{unknown.pop()}] is unknown."'.encode())
        elif "content" in fields and "hex-content" in fields:
            asked.answer(400, b'Error "content and hex-content cannot be used both in same request."')
        else:
            octets = bytes.fromhex(fields.get("hex-content", ""))
            assert fields["coding"] == ("8" if octets else "0") and fields["dlr-level"] == "3"
            text = octets.decode("utf-16-be", "surrogatepass") or fields.get("content", "")
            self.take(asked, text, "+" + fields["to"], fields.get("from", ""))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(200, f'Success "{arrived.message_id}"'.encode())
        elif answer is Answer.THROTTLE:
            asked.answer(403, b'Error "User throughput exceeded"')
        else:
            asked.answer(400, b'Error "Argument [to] has an invalid value: [1]."')

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        more = {"id_smsc": "77", "sub": "001", "dlvrd": "001", "subdate": "2601020304", "donedate": "2601020305"}
        report = {"id": message_id, "level": "2", "message_status": self.states[state], "connector": "op1"}
        return self._deliver(report | more | {"err": "000", "text": "hello"}, "?echo=7&to=79161234567")

    def send_inbound(self, text: str) -> Delivery:
        report = {"id": "1", "from": "79161234567", "to": "1234", "origin-connector": "op1", "coding": "0"}
        return self._deliver(report | {"content": text})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return urlencode(report).encode(), "application/x-www-form-urlencoded"


class SmscCarrier(NamedCarrier):
    """SMSC.ru: errors with HTTP 200, answers that say windows-1251, a digest in every report."""

    kind: ClassVar[Any] = smsc_ru
    needed = ("login", "password")
    states: ClassVar[dict[str, str]] = {"delivered": "1", "undeliverable": "25", "expired": "3", "enroute": "0"}

    def account(self) -> dict[str, Any]:
        return {"url": self.url, "login": "account", "password": self.secret, "callback_secret": self.secret + "-sign"}

    def _asked(self, asked: Asked) -> None:
        fields = {name: values[0] for name, values in parse_qs(asked.body.decode(), keep_blank_values=True).items()}
        self.logins += asked.path != "/sys/balance.php" or not self.welcome
        assert (asked.method, asked.query, fields["charset"], fields["fmt"]) == ("POST", "", "utf-8", "3")
        if not self.welcome or (fields["login"], fields["psw"]) != ("account", self.secret):
            self.reply(asked, {"error": "authorise error", "error_code": 2})
        elif asked.path == "/sys/balance.php":
            self.reply(asked, {"balance": "83.60"})
        elif asked.path == "/sys/send.php":
            number = str(len(self.arrived) + 1)
            self.take(asked, fields["mes"], fields["phones"], fields.get("sender", ""), number)
        else:
            self.reply(asked, {"error": "неизвестно", "error_code": 1})

    def reply(self, asked: Asked, value: dict[str, Any]) -> None:
        body = json.dumps(value, ensure_ascii=False).encode("cp1251")
        asked.answer(200, body, {"Content-Type": "application/json; charset=windows-1251"})

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            self.reply(asked, {"id": int(arrived.message_id), "cnt": 1})
        elif answer is Answer.THROTTLE:
            self.reply(asked, {"error": "повтор", "error_code": 9})
        else:
            self.reply(asked, {"error": "invalid number", "error_code": 7, "id": 99})

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        status = self.states[state]
        signed = f"{message_id}:79161234567:{status}:{self.secret}-sign"
        report = {"id": message_id, "phone": "79161234567", "status": status, "ts": "1700000000", "err": "0"}
        return self._deliver(report | {"sha1": hashlib.sha1(signed.encode()).hexdigest()})

    def send_inbound(self, text: str) -> Delivery:
        signed = f"79161234567:{text}:1234:{self.secret}-sign"
        report = {"phone": "79161234567", "mes": text, "to": "1234"}
        return self._deliver(report | {"md5": hashlib.md5(signed.encode()).hexdigest()})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return urlencode(report).encode(), "application/x-www-form-urlencoded"


class ExolveCarrier(NamedCarrier):
    """MTS Exolve: JSON with a bearer key, events of a number."""

    kind: ClassVar[Any] = exolve
    needed = ("api_key",)
    states: ClassVar[dict[str, Any]] = {
        "delivered": "DELIVERY_STATUS_DELIVERED",
        "undeliverable": 4,
        "expired": "DELIVERY_STATUS_RETRIES_EXCEEDED",
        "enroute": 2,
    }

    def account(self) -> dict[str, Any]:
        return {"url": self.url, "api_key": self.secret}

    def _asked(self, asked: Asked) -> None:
        self.logins += 1
        if not self.welcome or asked.headers.get("authorization") != f"Bearer {self.secret}":
            asked.answer(401, b"malformed token")
        elif asked.path == "/GetCount":
            asked.answer(400, b"no date")
        else:
            body = json.loads(asked.body)
            number = str(4391665382394400000 + len(self.arrived))
            self.take(asked, body["text"], "+" + body["destination"], body.get("number", ""), number)

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(200, json.dumps({"message_id": int(arrived.message_id)}).encode())
        elif answer is Answer.THROTTLE:
            asked.answer(429, b"", {"Retry-After": "0"})
        else:
            asked.answer(400, json.dumps({"error": {"message": "destination is invalid"}}).encode())

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        report = {"message_id": message_id, "sender": "Sluice", "receiver": "79161234567", "status": "STATUS_SOMETHING"}
        more = {"delivery_status": self.states[state], "direction": "DIRECTION_OUTGOING", "text": "hello"}
        return self._deliver(report | more | {"date": "2026-01-02T03:04:09Z"})

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver({"sender": "79161234567", "receiver": "1234", "direction": 1, "text": text})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps(report).encode(), "application/json"


class SmsAeroCarrier(NamedCarrier):
    """SMS Aero: a form with HTTP basic; its callback is a hint, its status the truth."""

    kind: ClassVar[Any] = smsaero
    hears = False
    needed = ("email", "api_key")
    states: ClassVar[dict[str, tuple[int, str]]] = {
        "delivered": (1, "delivery"),
        "undeliverable": (2, "failed delivery"),
        "enroute": (3, "smsc submit"),
    }

    def account(self) -> dict[str, Any]:
        return {"url": f"{self.url}/v2", "email": "shop@example.com", "api_key": self.secret}

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self.statuses: dict[str, tuple[int, str]] = {}

    def credentials(self) -> str:
        return "Basic " + base64.b64encode(f"shop@example.com:{self.secret}".encode()).decode()

    def _asked(self, asked: Asked) -> None:
        fields = {name: values[0] for name, values in parse_qs(asked.body.decode(), keep_blank_values=True).items()}
        self.logins += asked.path == "/v2/auth"
        if not self.welcome or asked.headers.get("authorization") != self.credentials():
            asked.answer(401, json.dumps({"success": False, "data": None, "message": "Unauthorized"}).encode())
        elif asked.path == "/v2/sms/send":
            assert fields["callbackFormat"] == "JSON" and "/v1/receipts/acme/" in fields["callbackUrl"]
            self.take(asked, fields["text"], "+" + fields["number"], fields.get("sign", ""), f"{len(self.arrived) + 1}")
        elif asked.path == "/v2/sms/status" and fields["id"] in self.statuses:
            status, word = self.statuses[fields["id"]]
            data = {"id": int(fields["id"]), "number": "79161234567", "status": status, "extendStatus": word}
            asked.answer(200, json.dumps({"success": True, "data": data | {"dateAnswer": 1700000000}}).encode())
        else:
            asked.answer(200, json.dumps({"success": True, "data": {"balance": "12.5"}, "message": None}).encode())

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            data = {"id": int(arrived.message_id), "status": 0, "extendStatus": "queue", "cost": "5.49"}
            asked.answer(200, json.dumps({"success": True, "data": data, "message": None}).encode())
        elif answer is Answer.THROTTLE:
            asked.answer(429, b"")
        else:
            asked.answer(200, json.dumps({"result": "reject", "reason": "wrong number"}).encode())

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        self.statuses[message_id] = self.states[state]
        ref = "018bcfe5-687b-7000-a4a7-f6d7b4d6e8c1-1-0"
        return self._deliver({"id": message_id, "status": "?"}, f"?ref={ref}&to=79161234567")

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return urlencode(report).encode(), "application/x-www-form-urlencoded"
