"""One request on its way through the API: who calls, with which ids, and how the answer is written.

In: aiohttp's request. Out: a `Call` for the endpoint and responses with request id and content type. Never: a decision.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from gateway import metrics
from gateway.api.budgets import Budgets
from gateway.api.checks import Rules, Sender
from gateway.api.desk import Desk, Keeper, Readers
from gateway.api.intake import Intake
from gateway.api.keyring import Keyring, Network, Rights, is_inside
from gateway.api.problems import CONTENT_TYPE, Code, Problem, problem
from gateway.api.quotas import Quota
from gateway.config import Settings, SettingsError
from gateway.instruments import Series
from gateway.plan.choice import Compiled
from gateway.plan.document import Plan
from gateway.plan.surroundings import Surroundings
from gateway.store.pool import Pool
from gateway.streams.accept import Acceptor
from gateway.streams.link import Redis

JSON: Final = "application/json"
BODY_S: Final = 30.0

_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_encode = msgspec.json.Encoder().encode


def _nowhere(now_ms: int) -> Surroundings:
    """Nothing is known but the time."""
    return Surroundings(now_ms=now_ms)


@dataclass
class Gate:
    """What the endpoints stand on. One a process. Raises SettingsError for settings that cannot work."""

    settings: Settings
    redis: Redis
    pool: Pool
    acceptor: Acceptor
    keyring: Keyring
    plan: Callable[[], Compiled | None] = lambda: None
    """The plan in use, as this process knows it."""
    reasons: Callable[[], Mapping[str, str]] = dict
    """Why this process is not ready, by check; empty words are good."""
    compiled: Callable[[Plan, int], Compiled] = Compiled
    """Another plan made ready, with the data that this process has beside the one in use."""
    around: Callable[[int], Surroundings] = _nowhere
    """What routing knows at a time beside plan and message."""
    budgets: Budgets | None = None
    """Whose money messages cost; None: there are no budgets here."""
    desk: Desk = field(init=False)
    rules: Rules = field(init=False)
    intake: Intake = field(init=False)
    proxies: tuple[Network, ...] = field(init=False)

    _leftovers: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.intake = Intake(self.redis, self.acceptor)
        self.rules = Rules(self.settings)
        readers = Readers(self.plan, self.settings.callbacks_url)
        self.desk = Desk(readers.find, Keeper(self.redis, self.afterwards).keep)
        try:
            self.proxies = tuple(ipaddress.ip_network(n) for n in self.settings.trusted_proxies)
        except ValueError as e:
            raise SettingsError(f"trusted_proxies: {e}; write networks such as 10.0.0.0/8") from e

    def afterwards(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something that no answer waits for; `close` ends it."""
        task = asyncio.create_task(work, name=name)
        self._leftovers.add(task)
        task.add_done_callback(self._leftovers.discard)

    async def close(self) -> None:
        """End what is left over."""
        self.intake.close()
        tasks = list(self._leftovers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Call:
    """One request. `rights` and `quota` are set unless the route is open to everybody."""

    __slots__ = ("gate", "params", "quota", "request", "request_id", "rights")

    def __init__(self, gate: Gate, request: web.BaseRequest, request_id: str, params: Mapping[str, str]) -> None:
        self.gate, self.request, self.request_id, self.params = gate, request, request_id, params
        self.rights: Rights
        self.quota: Quota | None = None

    @property
    def client(self) -> str:
        """The client whose key was used."""
        return self.rights.key.client

    @property
    def who(self) -> str:
        """Who acts, for the audit."""
        return f"{self.rights.key.client}/{self.rights.key.id}"

    def sender(self) -> Sender:
        """Who sends, with the trace that this request belongs to."""
        return traced(self.rights, self.request.headers.get("traceparent"))

    async def body(self) -> bytes | Problem:
        """The whole body, decompressed; refused before it is read where its length is given and too large."""
        request, limit = self.request, self.gate.settings.max_body_bytes
        too_large = f"The body has more than {limit} bytes: send fewer messages at once."
        if (request.content_length or 0) > limit:
            return problem(Code.TOO_LARGE, too_large)
        try:
            content = request.content
            if content.is_eof() and content.total_bytes <= limit:  # the usual case: it came with the headers
                return content.read_nowait()
            async with asyncio.timeout(BODY_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            return problem(Code.TOO_LARGE, too_large)
        except web.RequestPayloadError:
            return problem(
                Code.NOT_JSON, "The body ends too early or does not have the encoding that its headers name."
            )
        except TimeoutError:
            return problem(Code.BODY_TOO_SLOW, f"The body took longer than {BODY_S:.0f} s to arrive.")


Answer = web.Response | Problem
Endpoint = Callable[[Call], Awaitable[Answer]]


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON document."""
    return raw(_encode(body), status, headers)


def raw(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON document that is encoded already."""
    given = CIMultiDict((("Content-Type", JSON), ("Server", "sluice")))
    if headers:
        given.update(headers)
    return web.Response(body=body, status=status, headers=given)


def traced(rights: Rights, traceparent: str | None) -> Sender:
    """Who sends, with the trace that the request belongs to, where it came with one."""
    if not traceparent or _TRACEPARENT.fullmatch(traceparent) is None:
        return rights.sender
    return msgspec.structs.replace(rights.sender, traceparent=traceparent)


def headers_of(said: Problem) -> dict[str, str]:
    """What a problem's response has beside its type."""
    headers = {}
    if said.retry_after_s is not None:
        headers["Retry-After"] = str(said.retry_after_s)
    if said.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="sluice"'
    return headers


@cache
def timer(route: str, status: int) -> Series:
    """How long the requests of a route took that ended with a status."""
    return metrics.requests.labels(route, str(status))


def refusal(said: Problem, request_id: str) -> web.Response:
    """The problem as a response."""
    headers = {"Content-Type": CONTENT_TYPE} | headers_of(said)
    body = _encode(msgspec.structs.replace(said, request_id=request_id))
    return web.Response(body=body, status=said.status, headers=headers)


class RequestIds:
    """The id of each request: the one that came with it, where it can stand in a header and a log, else a new one."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(6)
        self._next = itertools.count(1).__next__

    def of(self, given: str | None) -> str:
        """What `X-Request-Id` gave, if it may be used; else a new one."""
        if given is not None and _GIVEN_ID.fullmatch(given) is not None:
            return given
        return f"{self._start}-{self._next():x}"


def remote_of(request: web.BaseRequest, proxies: Sequence[Network]) -> str | None:
    """The caller's address: the last one of X-Forwarded-For that is not a proxy we trust. A proxy may have added a line
    of its own below that of a caller, who can write there what he likes."""
    remote = request.remote
    if not proxies or not is_inside(remote, proxies):
        return remote
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
        remote = hop.strip() or remote
        if not is_inside(remote, proxies):
            break
    return remote
