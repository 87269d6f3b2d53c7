"""HTTP for the commands: one request, one answer, or one line that says what went wrong.

In: what `find_target` found. Out: decoded JSON. Never: a key in a message.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import click
import msgspec
from rich.console import Console

from gateway.commands.target import Target, find_target

TIMEOUT_S = 30.0


class Refused(click.ClickException):
    """The gateway said no. `status` 0: it did not answer."""

    def __init__(self, sentence: str, status: int = 0, code: str = "") -> None:
        super().__init__(sentence)
        self.status, self.code = status, code


class Client:
    """A gateway and a key for it."""

    def __init__(self, target: Target | None = None) -> None:
        self._target = target or find_target()
        if not self._target.url.startswith(("http://", "https://")):
            raise click.ClickException("SLUICE_URL must begin with http:// or https://")

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """What is there; parameters that are None are left out. Raises Refused."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(given)}" if given else path, None, {})

    def post(self, path: str, document: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """Do something. Raises Refused."""
        return self._ask("POST", path, b"" if document is None else json.dumps(document).encode(), headers or {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        sent = {"Authorization": f"Bearer {self._target.key}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self._target.url + path, body, sent, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                return msgspec.json.decode(response.read())
        except urllib.error.HTTPError as e:
            raise _refused(e.code, e.read()) from None
        except (OSError, http.client.HTTPException) as e:
            reason = getattr(e, "reason", e)
            raise Refused(f"{self._target.url} cannot be reached: {reason}") from None
        except msgspec.DecodeError:
            raise Refused(f"{self._target.url} does not answer like a Sluice gateway") from None


def _refused(status: int, body: bytes) -> Refused:
    try:
        said = msgspec.json.decode(body)
        where = said.get("pointer") or said.get("parameter")
        return Refused(f"{said['detail']}{f' ({where})' if where else ''}", status, said["code"])
    except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
        return Refused(f"the gateway answered {status}", status)


def print_json(document: object) -> None:
    """For programs."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def console() -> Console:
    """For people: as wide as the terminal, and never narrower than a table needs when there is none."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
