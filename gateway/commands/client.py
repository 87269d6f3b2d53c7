"""HTTP for the commands: one request, one answer, or a sentence that says what went wrong and what to do.

In: what `find_target` found. Out: decoded JSON. Never: a key in a message.
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click
import msgspec
from rich.console import Console

from gateway.commands.target import Target, find_target

TIMEOUT_S = 30.0
LONG_S = 900.0
"""For files of millions of rows, which the gateway reads whole before it answers."""
_HERE = ("127.0.0.1", "localhost", "::1")


class Refused(click.ClickException):
    """The gateway said no. `status` 0: it did not answer. `document`: its problem document, where it sent one."""

    def __init__(
        self,
        sentence: str,
        status: int = 0,
        code: str = "",
        *,
        todo: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.document = document or {}
        self.status, self.code, self.todo, self.request_id = status, code, todo, request_id
        self.retry_after_s = retry_after_s

    @property
    def may_pass(self) -> bool:
        """Whether the same request may do later: nobody answered, or whoever did asks for patience."""
        return self.status in (0, 429, 502, 503, 504) or self.code == "request_running"

    def format_message(self) -> str:
        lines = [self.message]
        lines += [f"  What to do: {self.todo}"] if self.todo else []
        lines += [f"  Request id: {self.request_id}"] if self.request_id else []
        return "\n".join(lines)


class Client:
    """A gateway and a key for it."""

    def __init__(self, target: Target | None = None) -> None:
        self.target = target or find_target()
        url = urllib.parse.urlsplit(self.target.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise click.ClickException("SLUICE_URL must begin with http:// or https:// and name a host")
        if not (self.target.key.isascii() and self.target.key.isprintable()):
            raise click.ClickException("SLUICE_KEY has characters that no key has: copy it again, without quotes")
        proxies: dict[str, str] | None = (
            {} if url.hostname in _HERE else None
        )  # a proxy does not know this machine's own addresses
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """What is there; parameters that are None are left out. Raises Refused."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self.ask("GET", f"{path}?{urllib.parse.urlencode(given)}" if given else path)

    def post(self, path: str, document: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """Do something. Raises Refused."""
        return self.ask("POST", path, document, headers)

    def ask(self, method: str, path: str, document: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request; None where the answer is empty. Raises Refused."""
        sent = {"Authorization": f"Bearer {self.target.key}", "Content-Type": "application/json", **(headers or {})}
        body = None if method == "GET" else b"" if document is None else msgspec.json.encode(document)
        data = self.fetch(urllib.request.Request(self.target.url + path, body, sent, method=method))  # noqa: S310
        try:
            return msgspec.json.decode(data) if data else None
        except msgspec.DecodeError:
            todo = f"see that {self._place()} names the API of a Sluice gateway"
            raise Refused(f"{self.target.url} does not answer like a Sluice gateway", 200, todo=todo) from None

    def upload(self, path: str, source: Path, content_type: str) -> Any:
        """Send a file of any size, which is read as it is sent. Raises Refused."""
        sent = {"Authorization": f"Bearer {self.target.key}", "Content-Type": content_type}
        sent["Content-Length"] = str(source.stat().st_size)
        with source.open("rb") as file:
            url = self.target.url + path
            request = urllib.request.Request(url, file, sent, method="POST")  # noqa: S310
            return msgspec.json.decode(self.fetch(request, LONG_S))

    def download(self, path: str, target: Path) -> None:
        """Write what is there into a file, piece by piece. Raises Refused."""
        headers = {"Authorization": f"Bearer {self.target.key}"}
        request = urllib.request.Request(self.target.url + path, headers=headers)  # noqa: S310
        with target.open("wb") as file:
            self.fetch(request, LONG_S, file)

    def page(self, url: str, timeout_s: float) -> bytes:
        """A page that needs no key and gets none, such as /metrics. Raises Refused."""
        try:
            return self.fetch(urllib.request.Request(url), timeout_s)  # noqa: S310
        except ValueError:
            raise Refused(f"`{url}` is no address: give one such as http://127.0.0.1:9100/metrics") from None

    def fetch(
        self, request: urllib.request.Request, timeout_s: float = TIMEOUT_S, into: IO[bytes] | None = None
    ) -> bytes:
        """The body of one answer; empty when it went `into` a file. Raises Refused."""
        try:
            with self._open(request, timeout=timeout_s) as response:
                if into is None:
                    return bytes(response.read())
                shutil.copyfileobj(response, into, 1 << 20)
                return b""
        except urllib.error.HTTPError as e:
            with e:
                raise self._refused(e.code, e.read()) from None
        except (OSError, http.client.HTTPException) as e:
            reason = getattr(e, "reason", e)
            words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            place = request.full_url.partition("://")[2].partition("/")[0]
            where = self.target.url if self.target.url.endswith(place) else f"{request.type}://{place}"
            todo = self._search()
            if isinstance(reason, ssl.SSLError):
                words, todo = str(reason), "for a certificate of your own authority: SSL_CERT_FILE=ca.pem sluice …"
            raise Refused(f"{where} cannot be reached: {words}", todo=todo) from None

    def _place(self) -> str:
        return self.target.source or "SLUICE_URL"

    def _search(self) -> str:
        if self.target.source:
            return f"start `sluice up` again (it wrote this address to {self.target.source}), or set SLUICE_URL"
        return "see that SLUICE_URL is right and the gateway runs there: its /readyz says how it is"

    def _refused(self, status: int, body: bytes) -> Refused:
        try:
            said = msgspec.json.decode(body)
            where = said.get("pointer") or said.get("parameter")
            sentence, code = f"{said['detail']}{f' ({where})' if where else ''}", said["code"]
        except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
            todo = f"see that {self._place()} names the gateway itself: this is no answer of Sluice"
            if status >= 500:
                todo = "look in the log of the gateway, or of the proxy in front of it"
            return Refused(f"{self.target.url} answered {status}", status, todo=todo)
        again = said.get("retry_after_s")
        todo = self._todo(status, code, again)
        request_id = said.get("request_id") or ""
        return Refused(sentence, status, code, todo=todo, request_id=request_id, retry_after_s=again, document=said)

    def _todo(self, status: int, code: str, again: float | None) -> str:
        """What a person does about it; empty where the sentence says that already."""
        match code:
            case "no_key" | "wrong_key":
                return f"check SLUICE_KEY ({self.target.source or 'from the environment'}), or: sluice keys create"
            case "key_expired" | "scope_missing" | "class_not_allowed" | "address_not_allowed":
                return "take another key, or have one made: sluice keys create --help"
            case "unknown_message":
                return "sluice trace also finds by ref and by number; another client's messages are not shown"
            case "internal_error":
                return "look in the gateway's log for the request id"
            case "shard_closed":
                return "an operator runs `sluice recover`; /readyz says why it is closed"
        if again is not None or status in (429, 503):
            return f"repeat it in {again or 1:g} s; `sluice top` shows what limits"
        return ""


def print_json(document: object) -> None:
    """For programs."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def console() -> Console:
    """For people: as wide as the terminal, and never narrower than a table needs when there is none."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
