"""The documentation pages: /docs, and a page for each problem code. Made from the same table as the OpenAPI document.

Self-contained HTML: nothing is loaded from elsewhere, no script.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from aiohttp import web

from gateway.api.call import Answer, Call, Endpoint
from gateway.api.openapi import document
from gateway.api.problems import TABLE, Code, problem
from gateway.api.routes import Table

_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem}code,pre{font:14px/1.45 ui-monospace,monospace}
pre{padding:.8rem;overflow:auto;border:1px solid #8885;border-radius:6px}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-top:1px solid #8885}
.m{font-weight:700}.muted{opacity:.7}
"""
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_START: Final = """<p>Send a message. The key is in the file <code>client.env</code> that <code>sluice up</code> wrote,
or comes from <code>sluice keys create</code>.</p>
<pre>curl -s "$SLUICE_URL/v1/messages" -H "Authorization: Bearer $SLUICE_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"to": "+79161234567", "text": "Your code is 4711", "class": "otp", "ref": "login-1"}'</pre>
<p>The answer is 202 when the message is durably ours, with its <code>id</code>. Repeating a request with the same
<code>ref</code>, or with the same <code>Idempotency-Key</code> header, never sends twice.</p>
<pre>curl -s "$SLUICE_URL/v1/messages/ID" -H "Authorization: Bearer $SLUICE_KEY"</pre>
<p>What is refused is a problem document (RFC 9457) with a stable <code>code</code>, a <code>pointer</code> to the field
and a sentence that says what would be right. The whole contract for machines:
<a href="/v1/openapi.json">openapi.json</a>.</p>"""


def guide(table: Callable[[], Table]) -> Endpoint:
    """Serves /docs for a table that need not exist yet."""

    @cache
    def body() -> bytes:
        return _guide(document(table()))

    async def serve(c: Call) -> Answer:
        return web.Response(body=body(), headers=_HEADERS)

    return serve


async def explain(c: Call) -> Answer:
    """The page of one problem code."""
    code = next((code for code in Code if code == c.params["code"]), None)
    if code is None:
        return problem(Code.NO_SUCH_ROUTE, "There is no such code; /docs lists them.")
    kind = TABLE[code]
    repeat = (
        f"Repeat the request after {kind.retry_after_s} s." if kind.retry_after_s else "Repeating alone will not help."
    )
    content = f'<p>HTTP status {kind.status}. {repeat}</p><p><a href="/docs#problems">All codes</a></p>'
    return web.Response(body=_page(f"{code}: {kind.title}", content), headers=_HEADERS)


def _guide(spec: Mapping[str, Any]) -> bytes:
    sections = [_START, "<h2>Requests</h2>"]
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            sections.append(_operation(method.upper(), path, operation))
    sections.append("<h2>Documents</h2>")
    sections += [_schema(name, schema) for name, schema in spec["components"]["schemas"].items()]
    sections.append('<h2 id="problems">Problems</h2>' + _problems())
    return _page("Sluice", "\n".join(sections))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    takes = " or ".join(f"{_reference(c['schema'])} <span class=muted>({kind})</span>" for kind, c in body.items())
    given = "".join(
        f"<tr><td><code>{_e(p['name'])}</code></td><td>{_e(p['in'])}</td><td>{_e(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{status}</td><td>{_e(said['description'])}</td><td>{_content(said)}</td></tr>"
        for status, said in operation["responses"].items()
    )
    return (
        f'<h3 id="{_e(operation["operationId"])}"><span class=m>{method}</span> <code>{_e(path)}</code></h3>'
        f"<p>{_e(operation['summary'])} {_e(operation.get('description', ''))}</p>"
        + (f"<p>Body: {takes}</p>" if takes else "")
        + (f"<table>{given}</table>" if given else "")
        + f"<table>{answers}</table>"
    )


def _content(said: Mapping[str, Any]) -> str:
    return " or ".join(_reference(c["schema"]) or _e(kind) for kind, c in said.get("content", {}).items())


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_e(field)}</code>{' *' if field in schema.get('required', ()) else ''}</td>"
        f"<td>{_kind(of)}</td><td>{_e(of.get('description', ''))}</td></tr>"
        for field, of in schema.get("properties", {}).items()
    )
    return f'<h3 id="{_e(name)}">{_e(name)}</h3><p>{_e(schema.get("description", ""))}</p><table>{rows}</table>'


def _kind(of: Mapping[str, Any]) -> str:
    if "$ref" in of:
        return _reference(of)
    if "anyOf" in of:
        return " or ".join(_kind(one) for one in of["anyOf"])
    if "enum" in of:
        return ", ".join(_e(json.dumps(v)) for v in of["enum"])
    if of.get("type") == "array":
        return f"list of {_kind(of.get('items', {}))}"
    return _e(str(of.get("format") or of.get("type") or "any"))


def _reference(of: Mapping[str, Any]) -> str:
    name = str(of.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#{_e(name)}">{_e(name)}</a>' if name else ""


def _problems() -> str:
    rows = "".join(
        f'<tr><td><a href="/docs/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{kind.status}</td><td>{_e(kind.title)}</td></tr>"
        for code, kind in TABLE.items()
    )
    return f"<table>{rows}</table>"


def _page(title: str, content: str) -> bytes:
    head = f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>{_e(title)}</title>'
    body = f"<h1>{_e(title)}</h1>{content}"
    return f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>".encode()


def _e(text: str) -> str:
    return html.escape(str(text))
