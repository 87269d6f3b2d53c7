"""/metrics, /healthz, /readyz, the OpenAPI document, the documentation pages. Open to everybody; never a secret."""

from __future__ import annotations

from aiohttp import web

from gateway import __version__, metrics
from gateway.api import call
from gateway.api.admin_documents import Alive, Readiness
from gateway.api.call import Answer, Call


async def exposition(c: Call) -> Answer:
    """The metrics of this process."""
    body, content_type = metrics.render()
    return web.Response(body=body, headers={"Content-Type": content_type})


async def alive(c: Call) -> Answer:
    """The process lives."""
    return call.answer(Alive("ok", __version__))


async def ready(c: Call) -> Answer:
    """Whether the process can do its work, and why not."""
    said = dict(c.gate.reasons())
    if not c.gate.keyring.loaded:
        said["keys"] = "not loaded yet"
    is_ready = not any(said.values())
    body = Readiness(is_ready, {name: reason or "ok" for name, reason in said.items()})
    return call.answer(body, 200 if is_ready else 503)
