"""Golden exchanges of carriers by name, tests/golden/carriers/<name>.json: requests, answers, callbacks.

In: a file with settings, submissions, answers and callbacks. Out: what our code makes of them, in the form in which the
file keeps it. `python -m tests.carrier_exchanges NAME …` writes that into the files anew, to be read before it is kept;
where there is no file, or one with `settings` alone, it writes one to begin with. A callback with `"sign": true` is
signed first.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec

from gateway.provider import (
    Callback,
    CallbackRefusedError,
    CallbackRequest,
    ReadsCallbacks,
    Reports,
    Sent,
    Submission,
)
from providers._web.carrier import WebCarrier
from providers._web.joined import JoinedCarrier, Parted, _joined
from providers._web.placeholders import Facts
from providers._web.spots import Answer

FILES = Path(__file__).parent / "golden" / "carriers"
NAMES = sorted(path.stem for path in FILES.glob("*.json"))
PUBLIC = "https://sms.example.com"
NOW_S = 1_767_323_045
ID = bytes.fromhex("018bcfe5687b7000a4a7f6d7b4d6e8c1")


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / f"{name}.json").read_text("utf-8"))
    return found


@contextmanager
def at(now_s: int) -> Iterator[None]:
    """Signatures are measured against the time."""
    with mock.patch.object(time, "time", lambda: float(now_s)):
        yield


def opened(name: str, settings: dict[str, Any]) -> Any:
    reports = Reports(print, _never, _never, print, lambda: NOW_S * 1000, callbacks_url=PUBLIC)
    return importlib.import_module(f"providers.{name}").open(name, settings, reports)


def inside(carrier: Any) -> WebCarrier:
    """The web carrier itself, where another one is around it."""
    found = carrier._inner if isinstance(carrier, JoinedCarrier) else carrier
    assert isinstance(found, WebCarrier)
    return found


def submission(number: int = 0, **given: Any) -> Submission:
    values: dict[str, Any] = {
        "message_id": (int.from_bytes(ID, "big") + number).to_bytes(16, "big"), "attempt": 1, "part": 0, "parts": 1,
        "to": "+79001234567", "sender": "Acme", "text": "code 1234", "encoding": "gsm7", "concat_ref": 7,
        "deadline_ms": (NOW_S + 3600) * 1000, "klass": "otp", "echo": 4711 + number,
    }  # fmt: skip
    return Submission(**values | given)


def request_of(carrier: Any, batch: list[dict[str, Any]]) -> list[str]:
    """The lines of a request; the last one is its body."""
    made, web = [submission(n, **given) for n, given in enumerate(batch)], inside(carrier)
    if isinstance(carrier, JoinedCarrier):
        made = [_joined(made)]
    facts = [Facts(s, NOW_S * 1000, web._maker.context, n) for n, s in enumerate(made)]
    return [_told(line) for line in web._maker.make(facts).decode().replace("\r\n", "\n").split("\n")]


def _told(line: str) -> str:
    """A line; instead of a signed token, which no two requests share, what it says, but for its number."""
    name, _, token = line.partition(": Bearer ")
    if name != "Authorization" or token.count(".") != 2:
        return line
    said = {**jwt.get_unverified_header(token), **jwt.decode(token, options={"verify_signature": False})}
    return f"{name}: Bearer {json.dumps({k: v for k, v in said.items() if k != 'jti'})}"


def question_of(carrier: Any, ids: list[str]) -> list[str]:
    """The request that asks what became of messages."""
    poller = inside(carrier)._poller
    assert poller is not None
    sents = [Sent(one, "Acme", "+79001234567") for one in ids]
    return poller._maker.make(NOW_S * 1000, sents).decode().replace("\r\n", "\n").split("\n")


def outcomes_of(carrier: Any, given: dict[str, Any]) -> list[Any]:
    """What an answer means for the messages with the first references."""
    body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"], ensure_ascii=False)
    web, headers = inside(carrier), {name.lower(): value for name, value in given.get("headers", {}).items()}
    charset = web._settings.answer_charset
    facts = [Facts(submission(n), 0, web._maker.context) for n in range(given.get("messages", 1))]
    answer = Answer(given["status"], headers, body.encode(charset), charset)
    found = web._reader.read(answer, [f.reference for f in facts])
    each = [p for o in found for p in (o.parts if isinstance(o, Parted) else (o,))]
    return [
        [o.kind.name.lower(), o.carrier_message_id, (o.reason or ""), o.code] + ([o.after_s] if o.after_s else [])
        for o in each
    ]


def receipts_of(carrier: Any, given: dict[str, Any]) -> list[Any] | str:
    """What the answer to a question says; `unreadable` when it says nothing of messages."""
    poller = inside(carrier)._poller
    assert poller is not None
    try:
        document = given["body"] if poller._translate is None else poller._translate(given["body"])
        return [shown(receipt) for receipt in poller._receipts.read(document, (), None).receipts]
    except ValueError:
        return "unreadable"


def asked(given: dict[str, Any]) -> CallbackRequest:
    """A callback as an API process gets it."""
    body, parts = given.get("body", ""), urlsplit(given["target"])
    raw = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    headers = {name.lower(): value for name, value in given.get("headers", {}).items()}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return CallbackRequest(given["method"], parts.path, query, headers, raw.encode(), "203.0.113.9", given["target"])


def read(carrier: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What a callback means, or the status of its refusal."""
    assert isinstance(carrier, ReadsCallbacks)
    try:
        with at(given.get("at", NOW_S)):
            said: Callback = carrier.parse_callback(asked(given))
    except CallbackRefusedError as e:
        return {"refused": e.status}
    except ValueError:
        return {"refused": 400}
    made: dict[str, Any] = {"receipts": [shown(r) for r in said.receipts]}
    if said.inbound:
        made["inbound"] = [shown(i) for i in said.inbound]
    if said.nudges:
        made["nudges"] = [shown(n) for n in said.nudges]
    if (said.status, said.body) != (200, b""):
        made["reply"] = [said.status, said.body.decode()]
    return made


def shown(value: Any) -> dict[str, Any]:
    """What differs from what is usual."""
    fields = {f.name: (getattr(value, f.name), f.default) for f in msgspec.structs.fields(value)}
    found: dict[str, Any] = json.loads(msgspec.json.encode({n: v for n, (v, usual) in fields.items() if v != usual}))
    return found


def made_of(name: str) -> dict[str, Any]:
    """The file's content as our code makes it now."""
    given = load(name)
    carrier = opened(name, given["settings"])
    for kind in ("requests", "answers", "callbacks"):
        for one in given[kind]:
            try:
                one.update(_made(carrier, kind, one))
            except Exception as problem:
                problem.add_note(f"{name}.json, {kind}: {one.get('what')}")
                raise
    return given


def _made(carrier: Any, kind: str, one: dict[str, Any]) -> dict[str, Any]:
    if kind == "requests":
        return {"request": question_of(carrier, one["ask"]) if "ask" in one else request_of(carrier, one["messages"])}
    if kind == "callbacks":
        return {"means": read(carrier, one)}
    if one.get("asked"):
        return {"receipts": receipts_of(carrier, one)}
    return {"outcomes": outcomes_of(carrier, one)}


def begun(name: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """A file to begin with: what every carrier has, with places for the carrier's own words. Raises SettingsError."""
    kind = importlib.import_module(f"providers.{name}").SETTINGS
    needed = [field for field in msgspec.structs.fields(kind) if field.required]
    words = {"url": f"https://{name}.example"}
    settings = settings or {
        field.encode_name: words.get(field.encode_name, f"{field.encode_name}-of-{name}") for field in needed
    }
    carrier, token = opened(name, settings), ""
    if not isinstance(carrier, ReadsCallbacks):  # perhaps it has callbacks with a token
        carrier, token = opened(name, settings | {"callback_token": f"token-of-{name}"}), f"/token-of-{name}"
    calls, asks = isinstance(carrier, ReadsCallbacks), inside(carrier)._poller is not None
    if calls and token:
        settings["callback_token"] = token[1:]
    cyrillic = {"text": "Привет", "encoding": "ucs2", "sender": "+79160000000"}
    mark: dict[str, Any] = {"sign": True} if calls and not token else {}
    target = f"/v1/receipts/{name}{token}"
    report = {"method": "POST", "target": target, "headers": {}, "body": {"id": "7"}}
    return {
        "settings": settings,
        "requests": [
            {"what": "a message", "messages": [{}]},
            {"what": "a text in Cyrillic, a number as sender", "messages": [cyrillic]},
            *([{"what": "what became of a message", "ask": ["7"]}] if asks else ()),
        ],
        "answers": [
            {"what": "taken", "status": 200, "body": {"id": "7"}},
            {"what": "a wrong recipient", "status": 400, "body": {"code": "?"}},
            {"what": "wrong credentials", "status": 401, "body": ""},
            {"what": "too many", "status": 429, "headers": {"Retry-After": "2"}, "body": ""},
            {"what": "an error of theirs", "status": 500, "body": ""},
            {"what": "unreadable", "status": 200, "body": "<html>"},
            *([{"what": "asked: delivered", "asked": ["7"], "status": 200, "body": {"id": "7"}}] if asks else ()),
        ],
        "callbacks": [
            {"what": "delivered", **report, "target": f"{target}?e=4711", **mark},
            {"what": "a subscriber's message", **report, **mark},
            {"what": "without a proof", **report, "target": f"/v1/receipts/{name}"},
        ]
        if calls
        else [],
    }


def sign(name: str, given: dict[str, Any]) -> None:
    """Sign the callbacks that ask for it, as the carrier would."""
    from tests.fuzz_callbacks import SIGN

    for one in given["callbacks"]:
        if one.pop("sign", False):
            if name not in SIGN:
                raise SystemExit(f"Nobody can sign for {name}: add a line to SIGN in tests/fuzz_callbacks.py.")
            SIGN[name](one, given["settings"])


def keep(name: str, given: dict[str, Any]) -> None:
    (FILES / f"{name}.json").write_text(json.dumps(given, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        given = load(name) if (FILES / f"{name}.json").exists() else {}
        if "requests" not in given:
            given = begun(name, given.get("settings"))
        sign(name, given)
        keep(name, given)
        keep(name, made_of(name))
