"""Mutated callbacks of carriers by name, through the desk that API processes have: `make fuzz-callbacks`.

In: the callbacks of tests/golden/carriers, damaged in every way, half of them signed again after that. Out: what was
seen; an AssertionError where one raised what would be a 5xx, or became what cannot be kept. Deterministic for a seed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import string
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.api.desk import Desk
from gateway.api.problems import Problem
from gateway.events import AnyFact, Came, Received, pack_facts, unpack_facts
from gateway.message import id_shard
from gateway.provider import RECEIPT_STATES, Callback, CallbackRequest, ReadsCallbacks
from providers import vonage
from tests import carrier_exchanges as golden
from tests import golden_carriers as written

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**63, 1e308, "", "\0", "x" * 3000, "\ud83d", [], {}, [[]], [None], {"": None}, "👍" * 80,
    {"status": {"groupId": []}}, "delivered", "DELIVRD", "2601020304", "9" * 400, "-1", "0x1F", "é", "а" * 70,
)  # fmt: skip


class Mutator:
    """Damages a request: its document, its bytes, its address, its headers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def mutate(self, given: dict[str, Any]) -> dict[str, Any]:
        """A damaged copy."""
        made = {**given, "headers": dict(given.get("headers", {}))}
        body = made.get("body", "")
        ways = self.chance.choices(("document", "bytes", "target", "headers", "method"), (10, 4, 2, 1, 1), k=2)
        if "document" in ways:
            body = self._document(body)
        if "bytes" in ways:
            raw = body if isinstance(body, str) else json.dumps(body, ensure_ascii=self.chance.random() < 0.5)
            body = self._text(raw)
        if "target" in ways:
            path, _, query = made["target"].partition("?")
            made["target"] = f"{path}?{self._visible(query)}" if query or self.chance.random() < 0.5 else path
        if "headers" in ways and made["headers"]:
            name = self.chance.choice(sorted(made["headers"]))
            made["headers"][name] = self._visible(made["headers"][name])
        if "method" in ways:
            made["method"] = self.chance.choice(("GET", "POST", "PUT", "HEAD"))
        return made | {"body": body}

    def _document(self, body: Any) -> Any:
        if isinstance(body, str) and body[:1] == "{":
            body = json.loads(body)
        if isinstance(body, str):
            pairs = parse_qsl(body, keep_blank_values=True) or [("status", "1")]
            at = self.chance.randrange(len(pairs))
            value = self.chance.choice(ODD)
            text = value if isinstance(value, str) else json.dumps(value)
            pairs[at] = (
                pairs[at][0] if self.chance.random() < 0.9 else "x" * 9,
                text.encode("utf-8", "replace").decode(),
            )
            if self.chance.random() < 0.2:
                pairs.pop(self.chance.randrange(len(pairs)))
            if self.chance.random() < 0.2:
                pairs += self.chance.choices(pairs, k=2) if pairs else []
            return urlencode(pairs)
        return self._value(json.loads(json.dumps(body)))

    def _value(self, value: Any) -> Any:
        """One place of a document is another value, is gone or is there twice."""
        if isinstance(value, dict) and value and self.chance.random() < 0.85:
            name = self.chance.choice(sorted(value))
            if self.chance.random() < 0.15:
                del value[name]
            else:
                value[name] = self._value(value[name])
            return value
        if isinstance(value, list) and value and self.chance.random() < 0.85:
            at = self.chance.randrange(len(value))
            value[at] = self._value(value[at])
            return value + value[:1] if self.chance.random() < 0.1 else value
        return self.chance.choice(ODD)

    def _text(self, text: str) -> str:
        at, more = self.chance.randrange(len(text) + 1), self.chance.randrange(1, 9)
        noise = "".join(self.chance.choices(string.printable + "\0é\ufeff%", k=more))
        return self.chance.choice(
            (text[:at], text[:at] + noise + text[at:], text[:at] + noise + text[at + more :], text * 2, noise)
        )

    def _visible(self, text: str) -> str:
        return "".join(c for c in self._text(text) if "!" <= c <= "~" and c != "#")


def _twilio(given: dict[str, Any], settings: dict[str, Any]) -> None:
    body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"])
    try:
        pairs = set(parse_qsl(body, keep_blank_values=True, errors="strict")) if given["method"] != "GET" else set()
    except ValueError:
        return
    signed = golden.PUBLIC + given["target"] + "".join(name + value for name, value in sorted(pairs))
    mac = hmac.new(settings["auth_token"].encode(), signed.encode("utf-8", "replace"), hashlib.sha1)
    given["headers"]["X-Twilio-Signature"] = base64.b64encode(mac.digest()).decode()


def _vonage(given: dict[str, Any], settings: dict[str, Any]) -> None:
    if isinstance(given["body"], dict):
        fields = {name: vonage._text(value) for name, value in given["body"].items() if name != "sig"}
        given["body"]["sig"] = vonage.sign(settings["signature_secret"], settings["signature_method"], fields)


def _smsc(given: dict[str, Any], settings: dict[str, Any]) -> None:
    body = given["body"]
    if isinstance(body, str):
        pairs = [
            (name, value) for name, value in parse_qsl(body, keep_blank_values=True) if name not in ("sha1", "md5")
        ]
        fields = dict(reversed(pairs))
        names = ("id", "phone", "status") if "status" in fields else ("phone", "mes", "to")
        signed = ":".join((*(fields.get(name, "") for name in names), settings["callback_secret"]))
        digest = hashlib.sha1(signed.encode("utf-8", "replace")).hexdigest()
        given["body"] = urlencode([*pairs, ("sha1", digest)], errors="replace")


def _telnyx(given: dict[str, Any], settings: dict[str, Any]) -> None:
    stamp, key = str(golden.NOW_S), Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    signature = key.sign(stamp.encode() + b"|" + asked(given).body)
    made = {"telnyx-signature-ed25519": base64.b64encode(signature).decode(), "telnyx-timestamp": stamp}
    given["headers"] = made


def _vonage_messages(given: dict[str, Any], settings: dict[str, Any]) -> None:
    claims = {"iat": golden.NOW_S, "payload_hash": hashlib.sha256(asked(given).body).hexdigest()}
    given["headers"] = {"Authorization": f"Bearer {jwt.encode(claims, settings['signature_secret'], 'HS256')}"}


SIGN: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "twilio": _twilio,
    "vonage": _vonage,
    "vonage_messages": _vonage_messages,
    "smsc_ru": _smsc,
    "telnyx": _telnyx,
}
"""Carriers whose callbacks prove themselves by what is in them; what they report would never be read otherwise."""


NAMES: list[str] = sorted({*golden.NAMES, *(path.stem for path in written.FILES)})


def corpus(name: str) -> dict[str, Any]:
    """Settings and callbacks of a carrier's golden file, whichever form it has."""
    if name in golden.NAMES:
        return golden.load(name)
    found = written.read(written.FOLDER / f"{name}.toml")
    return {"settings": found["settings"], "callbacks": [_taken_apart(case["is"]) for case in found["callback"]]}


def _taken_apart(text: str) -> dict[str, Any]:
    request = written.raw_request(text)
    return {
        "method": request.method,
        "target": request.target,
        "headers": dict(request.headers),
        "body": json.loads(request.body) if request.body[:1] == b"{" else request.body.decode(),
    }


class Fuzz:
    """One carrier's desk. `run` counts what its answers were."""

    def __init__(self, name: str, seed: int = 7) -> None:
        self._given = corpus(name)
        self._sign = SIGN.get(name)
        self._reader = golden.opened(name, self._given["settings"])
        assert isinstance(self._reader, ReadsCallbacks)
        self._mutator, self._name = Mutator(seed), name
        self.seen: Counter[str] = Counter()

    async def run(self, count: int) -> Counter[str]:
        """Raises AssertionError, or whatever a request made our code raise."""
        desk = Desk(lambda name: self._reader, self._keep)
        with golden.at(golden.NOW_S):
            for _ in range(count):
                await self._one(desk)
        return self.seen

    async def _one(self, desk: Desk) -> None:
        chance = self._mutator.chance
        given = self._mutator.mutate(chance.choice(self._given["callbacks"]))
        if self._sign is not None and chance.random() < 0.7:
            self._sign(given, self._given["settings"])
        request = asked(given)
        try:
            said = await desk.take(self._name, request)
        except Exception as e:
            raise AssertionError(f"{self._name}: {type(e).__name__} by {request!r}") from e
        assert 200 <= said.status < 500, (said, request)
        self.seen["refused" if isinstance(said, Problem) else "kept"] += 1

    async def _keep(self, carrier: str, said: Callback) -> None:
        """What Redis and PostgreSQL would have to keep."""
        facts: list[AnyFact] = [Received(carrier, 1, receipt) for receipt in said.receipts]
        facts += [Came(carrier, 1, inbound) for inbound in said.inbound]
        assert list(unpack_facts(pack_facts(facts))) == facts
        for receipt in said.receipts:
            assert receipt.state in RECEIPT_STATES and -1 <= receipt.echo <= 99_999 and 0 <= receipt.done_ms < 2**53
            assert "\0" not in receipt.carrier_message_id + receipt.recipient + receipt.code + receipt.raw
        self.seen["receipts"] += len(said.receipts)
        self.seen["inbound"] += len(said.inbound)
        assert all(0 <= id_shard(nudge.message_id) < 1024 for nudge in said.nudges)
        self.seen["nudges"] += len(said.nudges)


def asked(given: dict[str, Any]) -> CallbackRequest:
    """A callback as an API process gets it, its bytes whatever they are."""
    body, parts = given["body"], urlsplit(given["target"])
    raw = body if isinstance(body, str) else json.dumps(body)
    headers = {name.lower(): value for name, value in given["headers"].items()}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    encoded = raw.encode("utf-8", "surrogatepass")
    return CallbackRequest(given["method"], parts.path, query, headers, encoded, "203.0.113.9", given["target"])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="mutated callbacks of carriers by name")
    arguments.add_argument("names", nargs="*", metavar="NAME", help="carriers; all that have golden files unless given")
    arguments.add_argument("--callbacks", type=int, default=100_000, help="of each carrier")
    arguments.add_argument("--seed", type=int, default=7, help="another seed, other callbacks")
    wanted = arguments.parse_args()
    logging.disable()  # the desk tells of everything that it refuses
    for name in wanted.names or NAMES:
        print(json.dumps({"carrier": name, **asyncio.run(Fuzz(name, wanted.seed).run(wanted.callbacks))}))
