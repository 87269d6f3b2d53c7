"""/docs: the API to try out in a browser, and the assets that it needs.

Everything comes from this process: no other host is asked, so that it works offline, and the Content-Security-Policy
lets nothing else in. Never: a key kept.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from aiohttp import web

from gateway.api.call import Answer, Call
from gateway.api.problems import Code, problem

_TYPES: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
    "NOTICE": "text/plain; charset=utf-8",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles come from files of this server only; the icons of Swagger UI are in its style sheet."""

SECURE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css?{css}">
<link rel="stylesheet" href="/docs/assets/console.css?{look}">
</head><body>
<header><b>Sluice API</b> <a href="/docs/guide">Guide</a> <a href="/docs/guide#problems">Problems</a>
<a href="/v1/openapi.json">openapi.json</a>
<p>Authorize with a key, open a request, Execute: it is really sent.</p></header>
<main id="console"></main>
<noscript>To try requests here, this page needs JavaScript. The <a href="/docs/guide">guide</a> does not.</noscript>
<script src="/docs/assets/swagger-ui-bundle.js?{bundle}"></script>
<script src="/docs/assets/console.js?{start}"></script>
</body></html>
"""


class Asset(NamedTuple):
    """A file as it is sent."""

    body: bytes
    packed: bytes
    tag: str


@cache
def asset(name: str) -> Asset:
    """A file out of the package; read and packed when it is first asked for."""
    body = resources.files("gateway.api").joinpath("assets", name).read_bytes()
    return Asset(body, gzip.compress(body, 6, mtime=0), hashlib.sha256(body).hexdigest()[:16])


async def page(c: Call) -> Answer:
    """The console."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY, **SECURE}
    return web.Response(body=_page(), headers=headers)


async def home(c: Call) -> Answer:
    """Who opens the bare address in a browser is led to the console."""
    return web.Response(status=302, headers={"Location": "/docs"})


async def serve_asset(c: Call) -> Answer:
    """One of its files. The address changes with the content, so that it may be kept for long."""
    name = c.params["file"]
    if name not in _TYPES:
        return problem(Code.NO_SUCH_ROUTE, "There is no such file; /docs has what there is.")
    found = asset(name)
    headers = {
        "Content-Type": _TYPES[name],
        "Cache-Control": "public, max-age=31536000, immutable" if c.request.query_string else "no-cache",
        "ETag": f'"{found.tag}"',
        "Vary": "Accept-Encoding",
        **SECURE,
    }
    if found.tag in c.request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if "gzip" in c.request.headers.get("Accept-Encoding", ""):
        return web.Response(body=found.packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=found.body, headers=headers)


@cache
def _page() -> bytes:
    tags = {"css": "swagger-ui.css", "look": "console.css", "bundle": "swagger-ui-bundle.js", "start": "console.js"}
    return _PAGE.format(**{name: asset(file).tag for name, file in tags.items()}).encode()
