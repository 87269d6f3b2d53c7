"""The sandbox's HTTP control port: what phones show, counts, inbound messages, the profile, disconnects.

In: requests of a person or a test on this machine. Out: JSON. It has no keys and belongs on a loopback address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from aiohttp import web

from gateway.embedded.sandbox.inbound import InboundAsk, bodies
from gateway.embedded.sandbox.profile import ProfileError, read_profile, shipped_names
from gateway.embedded.sandbox.smsc import Smsc

T = TypeVar("T")


class Connections(Protocol):
    """Those of the SMPP port."""

    def disconnect(self, how: str) -> int:
        """End all, return how many."""
        ...

    def settle(self) -> None:
        """Send what is to be sent now."""
        ...


class Callbacks(Protocol):
    """Those of the web carrier."""

    def inbound(self, sender: str, to: str, text: str) -> bool:
        """Report a subscriber's message; False when nobody has asked for reports yet."""
        ...


class DisconnectAsk(msgspec.Struct, forbid_unknown_fields=True):
    """How connections end."""

    how: Literal["unbind", "close", "reset", "half_open"] = "close"


def make_app(smsc: Smsc, connections: Connections, callbacks: Callbacks) -> web.Application:
    """The application of the control port."""
    port = ControlPort(smsc, connections, callbacks)
    app = web.Application(middlewares=[_errors])
    app.add_routes(
        [
            web.get("/", port.index),
            web.get("/messages", port.messages),
            web.get("/phone/{number}", port.messages),
            web.delete("/messages", port.forget),
            web.get("/stats", port.stats),
            web.post("/stats/reset", port.reset),
            web.post("/inbound", port.inbound),
            web.get("/profile", port.show_profile),
            web.put("/profile", port.put_profile),
            web.patch("/profile", port.patch_profile),
            web.get("/profiles", port.profiles),
            web.put("/profile/{name}", port.use_profile),
            web.post("/disconnect", port.disconnect),
        ]
    )
    return app


class ControlPort:
    """One method a request."""

    def __init__(self, smsc: Smsc, connections: Connections, callbacks: Callbacks) -> None:
        self._smsc = smsc
        self._connections = connections
        self._callbacks = callbacks

    async def index(self, request: web.Request) -> web.Response:
        """What may be asked here."""
        said = {
            f"{route.method} {route.resource.canonical}": _about(route.handler)
            for route in request.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        return _json({"requests": said, "manual": "docs/sandbox.md"})

    async def messages(self, request: web.Request) -> web.Response:
        """What the phone `number` (or `to`) shows, or all phones; `limit` newest ones."""
        number = request.match_info.get("number") or request.query.get("to", "")
        limit = request.query.get("limit", "1000")
        if not limit.isdecimal() or int(limit) < 1:
            raise ValueError("limit: a whole number from 1 on")
        # A + in a query that nobody escaped arrives as a space.
        return _json({"messages": self._smsc.handset.show(number.strip(), int(limit))})

    async def forget(self, request: web.Request) -> web.Response:
        """Empty every phone."""
        self._smsc.handset.clear()
        return _json({})

    async def stats(self, request: web.Request) -> web.Response:
        """Counts since start or reset, and what is open now."""
        return _json(self._smsc.report())

    async def reset(self, request: web.Request) -> web.Response:
        """Begin to count anew; answers with the counts until now."""
        report = self._smsc.report()
        self._smsc.tally.reset()
        return _json(report)

    async def inbound(self, request: web.Request) -> web.Response:
        """Send a subscriber's message on a receiving bind, now or once there is one."""
        ask = await _read(request, InboundAsk)
        if ask.web:
            if not self._callbacks.inbound(ask.sender, ask.to, ask.text):
                raise ValueError("web: no message of the web carrier named a callback URL yet")
            return _json({"parts": 1, "waiting": 0})
        accounts = self._smsc.accounts
        account = accounts.get(ask.system_id) if ask.system_id else next(iter(accounts.values()))
        if account is None:
            raise ValueError("system_id: not one of this sandbox")
        made = bodies(ask, self._smsc.take_ids(1) & 0xFFFF)
        account.deliver_inbound(made)
        self._connections.settle()
        return _json({"parts": len(made), "waiting": account.waiting})

    async def show_profile(self, request: web.Request) -> web.Response:
        """The profile in force."""
        return _json(self._smsc.profile)

    async def put_profile(self, request: web.Request) -> web.Response:
        """Another profile; fields that are not given have their defaults."""
        return self._changed(await _read(request, dict[str, Any]), anew=True)

    async def patch_profile(self, request: web.Request) -> web.Response:
        """The present profile with some fields changed."""
        return self._changed(await _read(request, dict[str, Any]), anew=False)

    def _changed(self, values: dict[str, Any], anew: bool) -> web.Response:
        profile = self._smsc.change(values, anew)
        self._connections.settle()
        return _json(profile)

    async def profiles(self, request: web.Request) -> web.Response:
        """The profiles that ship, and what each is like."""
        return _json({"profiles": [{"name": name, "about": read_profile(name).about} for name in shipped_names()]})

    async def use_profile(self, request: web.Request) -> web.Response:
        """Put a shipped profile in force."""
        name = request.match_info["name"]
        if name not in shipped_names():
            raise ValueError(f"{name}: no profile of this name; shipped are {', '.join(shipped_names())}")
        self._smsc.use(read_profile(name))
        self._connections.settle()
        return _json(self._smsc.profile)

    async def disconnect(self, request: web.Request) -> web.Response:
        """End every connection."""
        ask = await _read(request, DisconnectAsk) if request.can_read_body else DisconnectAsk()
        return _json({"connections": self._connections.disconnect(ask.how)})


async def _read(request: web.Request, type_: type[T]) -> T:
    return msgspec.json.decode(await request.read(), type=type_)


def _about(ask: object) -> str:
    return (ask.__doc__ or "").split("\n")[0]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as e:
        if e.status < 400:
            raise
        return _json({"error": f"{e.reason}: GET / lists what may be asked here"}, e.status)
    except (ValueError, ProfileError, msgspec.DecodeError) as e:
        return _json({"error": str(e)}, 422)
