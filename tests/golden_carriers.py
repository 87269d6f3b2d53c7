"""Golden files of carriers by name (tests/golden/carriers/NAME.toml): requests, answers, reports, questions.

In: a file. Out: what the provider makes of each of its cases, in the file's own words. Never: a socket.
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from gateway.provider import (
    Callback,
    CallbackRequest,
    Inbound,
    Outcome,
    Receipt,
    Reports,
    Sent,
    Submission,
)
from providers._web.placeholders import Facts
from providers._web.spots import Answer

FOLDER: Final = Path(__file__).parent / "golden" / "carriers"
FILES: Final = sorted(FOLDER.glob("*.toml"))
NOW_MS: Final = 1_700_000_000_000
ID: Final = bytes.fromhex("018bcfe5687b7000a4a7f6d7b4d6e8c1")
SECRETS: Final = frozenset({"password", "token", "api_key", "apikey", "callback_token", "callback_secret"})


async def _never(_: object) -> None:
    raise AssertionError("nothing was started")


REPORTS: Final = Reports(print, _never, _never, print, lambda: NOW_MS, "https://sms.example.com")


def read(path: Path) -> dict[str, Any]:
    """The file's cases."""
    return tomllib.loads(path.read_text("utf-8"))


def opened(golden: dict[str, Any], name: str) -> Any:
    """The provider with the file's settings."""
    return importlib.import_module(f"providers.{name}").open("acme", golden["settings"], REPORTS)


def submission(given: dict[str, Any]) -> Submission:
    values: dict[str, Any] = {
        "message_id": ID,
        "attempt": 2,
        "part": 0,
        "parts": 1,
        "to": "+79161234567",
        "sender": "Sluice",
        "text": "Hi",
        "encoding": "gsm7",
        "concat_ref": 7,
        "deadline_ms": NOW_MS + 90_500,
        "klass": "otp",
        "echo": 4711,
    }
    return Submission(**values | given)


def plain(request: bytes) -> str:
    """A request as a file has it: lines end with LF, an empty line stands before the body, a CR in it is ␍."""
    head, _, body = request.partition(b"\r\n\r\n")
    return head.decode("latin-1").replace("\r\n", "\n") + "\n\n" + body.decode("utf-8").replace("\r", "␍") + "\n"


def request(provider: Any, case: dict[str, Any]) -> str:
    """The request for one submission."""
    maker = provider._maker
    return plain(maker.make([Facts(submission(case.get("given", {})), NOW_MS, maker.context)]))


def answer(case: dict[str, Any]) -> Answer:
    body = bytes.fromhex(case["hex"]) if "hex" in case else case.get("body", "").encode()
    return Answer(case["status"], case.get("headers", {}), body, case.get("charset", "utf-8"))


def outcome(provider: Any, case: dict[str, Any]) -> str:
    """What an answer means: kind, and the id or the reason with the carrier's code."""
    given = answer(case | {"charset": provider._settings.answer_charset})
    (found,) = provider._reader.read(given, [Facts(submission({}), NOW_MS, provider._maker.context).reference])
    assert isinstance(found, Outcome)
    words = [found.kind.name.lower(), found.carrier_message_id or f"{found.reason} {found.code}".strip()]
    return " ".join(words) + (f" after {found.after_s:g} s" if found.after_s else "")


def callback(provider: Any, case: dict[str, Any]) -> Callback:
    """What a report means."""
    said: Callback = provider.parse_callback(raw_request(case["is"], case.get("hex", "")))
    return said


def raw_request(text: str, hexed: str = "") -> CallbackRequest:
    """A request of a carrier as its file has it; `hexed`: the body, where it is no text."""
    head, _, body = text.partition("\n\n")
    line, *lines = head.strip().split("\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
    query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    octets = bytes.fromhex(hexed) if hexed else body.removesuffix("\n").encode()
    return CallbackRequest(method, urlsplit(target).path, query, headers, octets, "127.0.0.1", target)


def words_of(receipt: Receipt) -> dict[str, Any]:
    """The fields of a receipt that say something."""
    usual = Receipt("", "")
    return {
        n: v for n in Receipt.__struct_fields__ if (v := getattr(receipt, n)) != getattr(usual, n) and n not in _LEFT
    }


def words_of_inbound(message: Inbound) -> dict[str, Any]:
    return {"sender": message.sender, "recipient": message.recipient, "text": message.text}


def question(provider: Any, case: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The request that asks about messages, and what its answer says."""
    poller = provider._poller
    sents = [Sent(message_id, "Sluice", to) for message_id, to in case["messages"]]
    document = answer(case | {"charset": provider._settings.answer_charset}).document
    translated = poller._translate(document) if poller._translate is not None else document
    try:
        receipts = poller._receipts.read(translated, (), sents[0] if len(sents) == 1 else None).receipts
    except ValueError:  # the poller asks again later
        receipts = []
    return plain(poller._maker.make(NOW_MS, sents)), [words_of(receipt) for receipt in receipts]


_LEFT: Final = ("raw", "bind")
