"""The API stage: one HTTP server over the table of routes.

In: requests. Out: responses, each with its request id; refusals as problem documents. Never: an exception's text in
an answer, an access log (its lines would hold numbers).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from gateway import logs, metrics
from gateway.api import call, keyring, quotas, tls
from gateway.api.budgets import Budgets
from gateway.api.call import Call, Gate
from gateway.api.door import Entrance
from gateway.api.endpoints import TABLE
from gateway.api.problems import Code, Problem, problem
from gateway.api.receipts import PREFIX
from gateway.api.recipients import Recipients
from gateway.api.routes import Table
from gateway.api.wire import Listener
from gateway.config import Settings
from gateway.live import keys as live_keys
from gateway.plan import document
from gateway.plan.choice import Compiled
from gateway.plan.surroundings import Surroundings
from gateway.store.pool import Pool
from gateway.streams.accept import Acceptor
from gateway.streams.allowances import Allowances
from gateway.streams.link import Redis
from gateway.streams.purses import Purses

log = logs.stage("api")

STOP_S: Final = 10.0
"""How long requests in flight may take when the server stops."""

_CALLBACKS: Final = Table(route for route in TABLE.routes if route.path.startswith(PREFIX))
_WITHOUT_CALLBACKS: Final = Table(route for route in TABLE.routes if not route.path.startswith(PREFIX))


class Health(Protocol):
    """The checks of this process."""

    def add(self, name: str, check: Callable[[], str]) -> None: ...

    def reasons(self) -> Mapping[str, str]: ...


class Api:
    """Answers one request after the other; one a process."""

    def __init__(self, gate: Gate, ids: call.RequestIds, table: Table = TABLE) -> None:
        self._gate, self._ids, self._table = gate, ids, table

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """aiohttp's low-level handler."""
        began = time.perf_counter()
        request_id = self._ids.of(request.headers.get("X-Request-Id"))
        found = self._table.find(request.method, request.path)
        name, quota = "unknown", self._gate.keyring.quotas.everybody
        try:
            if found is None:
                said: call.Answer = _no_route(request, self._table)
            else:
                route, params = found
                name = route.name
                c = Call(self._gate, request, request_id, params)
                refused = None if route.scope is None else await self._refused(c, route.scope)
                quota = c.quota or quota
                said = await route.run(c) if refused is None else refused
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as e:
            log.error("request failed", e, route=name, request=request_id)
            said = problem(Code.INTERNAL_ERROR, "The request id leads to what happened in the server's log.")
        if isinstance(said, Problem):
            metrics.refused.labels(said.code).inc()
            said = call.refusal(said, request_id)
            if said.status == 405:
                said.headers["Allow"] = ", ".join(self._table.methods(request.path))
        said.headers["X-Request-Id"] = request_id
        said.headers[quotas.POLICY] = quota.policy
        said.headers[quotas.LIMIT] = quota.state()
        said.headers.setdefault("Server", "sluice")
        call.timer(name, said.status).observe(time.perf_counter() - began)
        return said

    async def _refused(self, c: Call, scope: str) -> Problem | None:
        """Sets the call's rights; why it has none."""
        ring, given = self._gate.keyring, c.request.headers.get("Authorization")
        rights = ring.authenticate(given)
        if isinstance(rights, Problem) and rights.code in (Code.WRONG_KEY, Code.NOT_READY):
            await ring.refresh(self._gate.redis)
            rights = ring.authenticate(given)
        if isinstance(rights, Problem):
            return rights
        c.rights, c.quota = rights, rights.quota
        if rights.networks and (refused := rights.admit(call.remote_of(c.request, self._gate.proxies))):
            return refused
        return rights.allow(scope)


class Server:
    """A running API. `close` ends it: no new connections, requests in flight are answered."""

    def __init__(self, url: str, callbacks: str, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self.url, self.callbacks = url, callbacks

    async def close(self) -> None:
        """Returns when the last request is answered, after STOP_S at the latest."""
        await self._stack.aclose()


class Plan(Protocol):
    """The plan in use."""

    def current(self) -> Compiled | None: ...

    def ready(self, plan: document.Plan, version: int) -> Compiled: ...


async def serve(
    settings: Settings,
    redis: Redis,
    pool: Pool,
    plan: Plan,
    health: Health,
    recipients: Recipients | None = None,
    used: Callable[[str, str, str], int] | None = None,
) -> Server:
    """Listen on `settings.listen`; port 0 takes a free one. `recipients`: whom messages may go to; `used`: as in
    Surroundings.

    Raises OSError when the address is taken, SettingsError.
    """
    async with contextlib.AsyncExitStack() as stack:
        acceptor = Acceptor(redis, settings)
        stack.push_async_callback(acceptor.close)
        ring = keyring.Keyring(quotas.Quotas(settings, lambda: acceptor.room))
        for name, work in (
            ("api keys", keyring.watch(redis, ring)),
            ("api keys published", live_keys.keep_published(pool, redis)),
        ):
            stack.push_async_callback(_end, asyncio.create_task(work, name=name))
        gate = Gate(settings, redis, pool, acceptor, ring, plan.current, health.reasons, plan.ready)
        gate.rules.recipients = recipients
        barred = None if recipients is None else recipients.barred
        gate.around = lambda now_ms: Surroundings(now_ms=now_ms, used=used, barred=barred)
        allowances = Allowances(redis)
        gate.budgets = Budgets(redis, Purses(allowances, plan.current, redis.clock_ms, refuses=True))
        stack.push_async_callback(_end, asyncio.create_task(allowances.run(), name="budgets"))
        stack.push_async_callback(gate.close)
        context = _secure(stack, settings)
        url = await _open(stack, build(gate), settings.listen, context)
        callbacks = url
        if settings.callbacks_listen:
            callbacks = await _open(stack, build_callbacks(gate), settings.callbacks_listen, context)
        return Server(url, callbacks, stack.pop_all())
    raise AssertionError("unreachable")


def _secure(stack: contextlib.AsyncExitStack, settings: Settings) -> ssl.SSLContext | None:
    """The context that the settings ask for, kept fresh; None: plain HTTP."""
    pair = tls.pair_of(settings)
    if pair is None:
        return None
    context = tls.open_context(pair)
    stack.push_async_callback(_end, asyncio.create_task(tls.keep_fresh(pair, context), name="certificate"))
    return context


async def _open(
    stack: contextlib.AsyncExitStack, server: web.Server, listen: str, context: ssl.SSLContext | None
) -> str:
    """Listen; the URL of it."""
    runner = web.ServerRunner(server, shutdown_timeout=STOP_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, _, port = listen.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port), backlog=1024, ssl_context=context).start()
    return f"{'https' if context else 'http'}://{host}:{runner.addresses[0][1]}"


def build_callbacks(gate: Gate) -> web.Server:
    """The low-level server of the address that serves carriers' webhooks and nothing else."""
    ids = call.RequestIds()
    return Listener(Api(gate, ids, _CALLBACKS), ids, access_log=None, logger=_quiet())


def build(gate: Gate) -> web.Server:
    """The low-level server behind a door for single messages: aiohttp's own way would cost twice as much for them."""
    loop = asyncio.get_running_loop()
    limit = gate.settings.max_body_bytes

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

    ids = call.RequestIds()
    apart = gate.settings.callbacks_apart and gate.settings.callbacks_listen
    api = Api(gate, ids, _WITHOUT_CALLBACKS if apart else TABLE)
    return Entrance(gate, ids, api, request_factory=request, access_log=None, logger=_quiet())


def _quiet() -> logging.Logger:
    """What is no HTTP is the caller's mistake, answered with 400 and not ours to log; what fails in us, `Api` logs."""
    quiet = logging.getLogger("api.http")
    quiet.setLevel(logging.CRITICAL)
    return quiet


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _no_route(request: web.BaseRequest, table: Table) -> Problem:
    if methods := table.methods(request.path):
        return problem(Code.METHOD_NOT_ALLOWED, f"This path takes {', '.join(methods)}.")
    return problem(Code.NO_SUCH_ROUTE, "See /docs for what there is.")
