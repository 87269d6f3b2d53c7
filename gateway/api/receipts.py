"""`/v1/receipts/{carrier}`: the address that carriers report to. It is open, and each request proves itself.

In: requests. Out: what the carrier wants to hear once its report is durable, else a problem. Never: an echo of a token.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway import metrics
from gateway.api import call
from gateway.api.call import Answer, Call
from gateway.api.desk import KEEP_S
from gateway.api.intake import why
from gateway.api.problems import Code, Problem, problem
from gateway.provider import CallbackRequest
from gateway.streams.link import RedisAwayError, ScriptError

PREFIX: Final = "/v1/receipts/"
LONGEST_BODY: Final = 1 << 20


async def take(c: Call) -> Answer:
    """Keep what a carrier reports, and answer as it wants."""
    desk, carrier, request = c.gate.desk, c.params["carrier"], c.request
    if not desk.knows(carrier):
        return problem(Code.UNKNOWN_CARRIER, "No carrier of that name reports here.")
    too_large = problem(Code.TOO_LARGE, f"A report may have {LONGEST_BODY} bytes.")
    if (request.content_length or 0) > LONGEST_BODY:
        return too_large
    body = await c.body()
    if isinstance(body, Problem):
        return body
    if len(body) > LONGEST_BODY:
        metrics.carrier_reports.labels(carrier, "too_large").inc()
        return too_large
    headers = {name.lower(): value for name, value in request.headers.items()}
    remote = call.remote_of(request, c.gate.proxies) or ""
    asked = CallbackRequest(request.method, request.path, dict(request.query), headers, body, remote, request.raw_path)
    try:
        said = await desk.take(carrier, asked)
    except (RedisAwayError, ScriptError) as e:
        return why(e)
    except TimeoutError:
        return problem(Code.REDIS_AWAY, f"The report was not durable after {KEEP_S:.0f} s: send it again.")
    if isinstance(said, Problem):
        return said
    return web.Response(body=said.body, status=said.status, headers={"Content-Type": said.content_type})
