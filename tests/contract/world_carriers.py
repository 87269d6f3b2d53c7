"""The contract suite's carriers of the world market: for each a small account that speaks its documented interface."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import warnings
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.text import parts
from providers import infobip, telnyx, twilio, vonage, vonage_messages
from tests.contract.carrier import Answer, Arrived, Delivery
from tests.contract.named_carriers import NamedCarrier
from tests.contract.web_peer import Asked

_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
VONAGE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
VONAGE_PUBLIC_KEY = _KEY.public_key()
BASIC = "Basic " + base64.b64encode(b"AC1:correct-horse-battery").decode()


def fields_of(asked: Asked) -> dict[str, str]:
    given = asked.query if asked.method == "GET" else asked.body.decode()
    return {name: values[0] for name, values in parse_qs(given, keep_blank_values=True).items()}


class WorldCarrier(NamedCarrier):
    """What they share: where a report goes, and that reading a balance is no login."""

    def wrong(self, asked: Asked) -> bool:
        """Whether the credentials are."""
        raise NotImplementedError

    def submitted(self, asked: Asked) -> None:
        raise NotImplementedError

    def status_of(self, asked: Asked) -> Any:
        """What became of the messages that somebody asks about: all are delivered."""
        raise NotImplementedError

    def _asked(self, asked: Asked) -> None:
        self.logins += 1
        if not self.welcome or self.wrong(asked):
            asked.answer(401, b'{"code":20003,"message":"Authenticate"}')
        elif asked.path.endswith("alance.json") or asked.path.endswith("balance"):
            self.logins -= asked.path != self.check
            asked.answer(200, b'{"balance":"12.5","value":12.5,"data":{"balance":"12.5"}}')
        elif asked.method == "GET" and (asked.path != self.check or "messageId=" in asked.query):
            asked.answer(200, json.dumps(self.status_of(asked)).encode())
        elif asked.path == self.check and asked.method == "GET":
            asked.answer(200, b"{}")
        else:
            self.submitted(asked)

    check: ClassVar[str] = ""


class TwilioCarrier(WorldCarrier):
    """Answers 201 with a SID, signs its callbacks."""

    kind: ClassVar[Any] = twilio
    needed = ("account_sid", "auth_token")
    check = "/2010-04-01/Accounts/AC1/Messages.json"
    states: ClassVar[dict[str, str]] = {
        "delivered": "delivered",
        "undeliverable": "undelivered",
        "expired": "undelivered",
        "enroute": "sent",
    }

    def account(self) -> dict[str, Any]:
        return {"url": self.url, "account_sid": "AC1", "auth_token": self.secret}

    def wrong(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") != BASIC

    def submitted(self, asked: Asked) -> None:
        assert asked.path == self.check and asked.method == "POST"
        fields = fields_of(asked)
        assert fields["StatusCallback"].startswith("http://127.0.0.1") and 1 <= int(fields["ValidityPeriod"]) <= 36000
        self.take(asked, fields["Body"], fields["To"], fields.get("From", ""))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            done = {"sid": arrived.message_id, "status": "queued", "error_code": None, "num_segments": "0"}
            asked.answer(201, json.dumps(done).encode())
        else:
            status, code = (429, 20429) if answer is Answer.THROTTLE else (400, 21211)
            asked.answer(status, json.dumps({"code": code, "message": "no", "status": status}).encode())

    def status_of(self, asked: Asked) -> Any:
        return {"sid": asked.path.rpartition("/")[2].removesuffix(".json"), "status": "delivered", "error_code": None}

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        report = {"MessageSid": message_id, "MessageStatus": self.states[state], "To": "+79161234567"}
        return self._deliver(report | {"From": "Sluice", "RawDlrDoneDate": "2601020304"}, "?e=7")

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver(
            {"MessageSid": "SM7", "SmsStatus": "received", "From": "+79161234567", "To": "1", "Body": text}
        )

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return urlencode(report).encode(), "application/x-www-form-urlencoded"

    def proof(self, url: str, body: bytes) -> dict[str, str]:
        signed = url + "".join(name + value for name, value in sorted(twilio_fields(body)))
        mac = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha1)
        return {"X-Twilio-Signature": base64.b64encode(mac.digest()).decode()}


def twilio_fields(body: bytes) -> list[tuple[str, str]]:
    return [(name, values[0]) for name, values in parse_qs(body.decode(), keep_blank_values=True).items()]


class VonageCarrier(WorldCarrier):
    """Answers 200 whatever it is, an entry a part; signs its callbacks."""

    kind: ClassVar[Any] = vonage
    needed = ("api_key", "api_secret")
    check = "/account/get-balance"
    states: ClassVar[dict[str, str]] = {
        "delivered": "delivered",
        "undeliverable": "failed",
        "expired": "expired",
        "enroute": "buffered",
    }

    def account(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "api_key": "abcd1234",
            "api_secret": self.secret,
            "signature_secret": self.secret,
            "signature_method": "sha256",
            "gather_s": 0.05,
        }

    def wrong(self, asked: Asked) -> bool:
        fields = fields_of(asked)
        return (fields.get("api_key"), fields.get("api_secret")) != ("abcd1234", self.secret)

    def submitted(self, asked: Asked) -> None:
        assert asked.path == "/sms/json" and not asked.query
        fields = fields_of(asked)
        text = fields["text"]
        if fields["type"] == "text":  # what GSM 7-bit lacks is damaged
            text = text.encode("latin-1", "replace").decode("latin-1") if "€" not in text else text
        assert 20_000 <= int(fields["ttl"]) <= 604_800_000 and fields["to"].isdigit()
        self.take(asked, text, "+" + fields["to"], fields.get("from", ""))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            count = len(parts.split(arrived.text, "ucs2", 6)) or 1
            ids = [arrived.message_id, *(f"{arrived.message_id}.{n}" for n in range(2, count + 1))]
            entries = [{"status": "0", "message-id": one} for one in ids]
        elif answer is Answer.THROTTLE:
            words = "Throughput Rate Exceeded - please wait [ 20 ] and retry"
            entries = [{"status": "1", "error-text": words}]
        else:
            entries = [{"status": "3", "error-text": "Invalid value for parameter: to"}]
        asked.answer(200, json.dumps({"message-count": str(len(entries)), "messages": entries}).encode())

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        report = {"messageId": message_id, "status": self.states[state], "msisdn": "79161234567", "to": "Sluice"}
        return self._deliver(report | {"err-code": "0" if state == "delivered" else "1", "scts": "2601020304"})

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver({"messageId": "0C7", "msisdn": "79161234567", "to": "1234", "text": text, "type": "text"})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        fields = report | {"timestamp": str(int(time.time())), "nonce": "n"}
        fields["sig"] = vonage.sign(self.secret, "sha256", fields)
        return json.dumps(fields).encode(), "application/json"


class VonageMessagesCarrier(WorldCarrier):
    """Takes a text whole, knows its application by the token; signs its webhooks with the account's secret."""

    kind: ClassVar[Any] = vonage_messages
    needed = ("application_id", "private_key")
    states: ClassVar[dict[str, tuple[str, str]]] = {
        "delivered": ("delivered", ""),
        "undeliverable": ("rejected", "1180"),
        "expired": ("rejected", "1360"),
        "enroute": ("submitted", ""),
    }

    def account(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "application_id": "app-1",
            "private_key": VONAGE_KEY,
            "signature_secret": self.secret,
        }

    def wrong(self, asked: Asked) -> bool:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        claims = jwt.decode(token, VONAGE_PUBLIC_KEY, algorithms=["RS256"], options={"require": ["iat", "exp", "jti"]})
        return scheme != "Bearer" or claims["application_id"] != "app-1"

    def submitted(self, asked: Asked) -> None:
        assert asked.path == "/v1/messages" and asked.headers["content-type"] == "application/json"
        message = json.loads(asked.body)
        if "to" not in message:
            return asked.answer(422, json.dumps(vonage_problem("1010")).encode())
        assert message["sms"]["encoding_type"] in ("text", "unicode") and 20 <= message["ttl"] <= 604_800
        assert message["webhook_url"].startswith("http://127.0.0.1") and message["to"].isdigit()
        return self.take(asked, message["text"], "+" + message["to"], message.get("from", ""))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(202, json.dumps({"message_uuid": arrived.message_id}).encode())
        else:
            status, code = (429, "1000") if answer is Answer.THROTTLE else (422, "1170")
            asked.answer(status, json.dumps(vonage_problem(code)).encode())

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        status, code = self.states[state]
        report = {"message_uuid": message_id, "channel": "sms", "status": status, "to": "79161234567", "from": "Sluice"}
        more = {"timestamp": "2026-01-02T03:04:09.000Z", "client_ref": "ours/7"}
        return self._deliver(report | more | ({"error": vonage_problem(code)} if code else {}))

    def send_inbound(self, text: str) -> Delivery:
        report = {"message_uuid": "0C7", "channel": "sms", "message_type": "text", "from": "79161234567", "to": "1234"}
        return self._deliver(report | {"text": text})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps(report).encode(), "application/json"

    def proof(self, url: str, body: bytes) -> dict[str, str]:
        claims = {"iat": int(time.time()), "application_id": "app-1", "payload_hash": hashlib.sha256(body).hexdigest()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a short secret is the account's own
            return {"Authorization": f"Bearer {jwt.encode(claims, self.secret, 'HS256')}"}


def vonage_problem(code: str) -> dict[str, str]:
    kind = f"https://developer.vonage.com/api-errors/messages#{code}"
    return {"type": kind, "title": "no", "detail": "no", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"}


class InfobipCarrier(WorldCarrier):
    """Takes up to three messages in one request, under our ids."""

    kind: ClassVar[Any] = infobip
    needed = ("url", "api_key")
    check = "/sms/3/logs"
    window = 4
    size = 3
    states: ClassVar[dict[str, tuple[int, int]]] = {
        "delivered": (3, 5),
        "undeliverable": (2, 4),
        "expired": (4, 15),
        "enroute": (3, 2),
    }

    def account(self) -> dict[str, Any]:
        return {"url": self.url, "api_key": self.secret, "batch_size": self.size, "window": self.window}

    def wrong(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") != f"App {self.secret}"

    def submitted(self, asked: Asked) -> None:
        assert asked.path == "/sms/3/messages" and asked.headers["accept"] == "application/json"
        self.said[asked] = {}
        for message in json.loads(asked.body)["messages"]:
            (to,) = message["destinations"]
            arrived = Arrived(
                message["content"]["text"],
                "+" + to["to"],
                message.get("sender", ""),
                1,
                1,
                to["messageId"],
                (asked, {}),
            )
            self.arrived.append(arrived)
            self.unanswered.add(arrived)
            self.said[asked][arrived] = None
        self.most = max(self.most, len(self.unanswered))
        for arrived in list(self.said[asked]):
            self.answer(arrived, self.script(arrived))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        if any(answer is Answer.THROTTLE for _, answer in said):
            error = {"errorCode": "E429", "description": "", "action": "", "violations": [], "resources": []}
            asked.answer(429, json.dumps(error).encode(), {"Retry-After": "0"})
            return
        taken = {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED"}
        no = {"groupId": 5, "groupName": "REJECTED", "id": 52, "name": "REJECTED_INVALID_DESTINATION"}
        entries = [
            {"messageId": arrived.message_id, "status": taken if answer is Answer.ACCEPT else no}
            for arrived, answer in reversed(said)
        ]
        asked.answer(200, json.dumps({"bulkId": "1", "messages": entries}).encode())

    def status_of(self, asked: Asked) -> Any:
        status = {"groupId": 3, "id": 5, "name": "DELIVERED_TO_HANDSET"}
        ids = fields_of(asked)["messageId"].split(",")
        return {"results": [{"messageId": one, "destination": "79161234567", "status": status} for one in ids]}

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        group, number = self.states[state]
        report = {"messageId": message_id, "to": "79161234567", "sender": "Sluice", "callbackData": f"{message_id}/7"}
        status = {"groupId": group, "id": number, "name": "WHATEVER"}
        return self._deliver(report | {"status": status, "doneAt": "2026-01-02T03:04:09.000+0000"})

    def send_inbound(self, text: str) -> Delivery:
        return self._deliver({"messageId": "7", "from": "79161234567", "to": "1234", "text": text, "smsCount": 1})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps({"results": [report]}).encode(), "application/json"


class TelnyxCarrier(WorldCarrier):
    """Answers with a message, signs its events with Ed25519."""

    kind: ClassVar[Any] = telnyx
    needed = ("api_key",)
    check = "/v2/balance"
    signs: ClassVar[Ed25519PrivateKey] = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    states: ClassVar[dict[str, str]] = {
        "delivered": "delivered",
        "undeliverable": "delivery_failed",
        "expired": "expired",
        "enroute": "sent",
    }

    def account(self) -> dict[str, Any]:
        public = base64.b64encode(self.signs.public_key().public_bytes_raw()).decode()
        return {"url": self.url, "api_key": self.secret, "public_key_base64": public}

    def wrong(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") != f"Bearer {self.secret}"

    def submitted(self, asked: Asked) -> None:
        assert asked.path == "/v2/messages" and asked.headers["content-type"] == "application/json"
        message = json.loads(asked.body)
        assert message["webhook_url"].startswith("http://127.0.0.1") and message["encoding"] in ("gsm7", "ucs2")
        self.take(asked, message["text"], message["to"], message.get("from", ""))

    def say(self, asked: Asked, said: list[tuple[Arrived, Answer]]) -> None:
        ((arrived, answer),) = said
        if answer is Answer.ACCEPT:
            asked.answer(200, json.dumps({"data": {"record_type": "message", "id": arrived.message_id}}).encode())
        else:
            status, code = (429, "10011") if answer is Answer.THROTTLE else (400, "40310")
            asked.answer(status, json.dumps({"errors": [{"code": code, "title": "no"}]}).encode())

    def status_of(self, asked: Asked) -> Any:
        to = {"phone_number": "+79161234567", "status": "delivered"}
        return {"data": {"record_type": "message", "id": asked.path.rpartition("/")[2], "to": [to], "errors": []}}

    def send_receipt(self, message_id: str, state: str) -> Delivery:
        to = {"phone_number": "+79161234567", "status": self.states[state]}
        payload = {"record_type": "message", "id": message_id, "to": [to], "completed_at": "2026-01-02T03:04:09+00:00"}
        return self._deliver({"event_type": "message.finalized", "payload": payload}, "?e=7")

    def send_inbound(self, text: str) -> Delivery:
        payload = {"from": {"phone_number": "+79161234567"}, "to": [{"phone_number": "+7900"}], "text": text}
        return self._deliver({"event_type": "message.received", "payload": payload})

    def encode(self, report: dict[str, Any]) -> tuple[bytes, str]:
        return json.dumps({"data": {"record_type": "event", "id": "e1", **report}}).encode(), "application/json"

    def proof(self, url: str, body: bytes) -> dict[str, str]:
        stamp = str(int(time.time()))
        signature = base64.b64encode(self.signs.sign(stamp.encode() + b"|" + body)).decode()
        return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp}
