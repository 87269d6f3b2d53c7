"""The pages to read: the guide, and one for each problem code. Made from the same table as the OpenAPI document.

Self-contained HTML: nothing is loaded from elsewhere, no script.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web

from gateway.api import examples
from gateway.api.call import Answer, Call, Endpoint
from gateway.api.console import SECURE
from gateway.api.explanations import EXPLANATIONS
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
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    **SECURE,
}
_START: Final = """<p>Send a message. The key is in the file <code>.sluice/client.env</code> that <code>sluice up</code>
wrote, or comes from <code>sluice keys create</code>.</p>
<pre>curl -s "$SLUICE_URL/v1/messages" -H "Authorization: Bearer $SLUICE_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"to": "+79161234567", "text": "Your code is 4711", "class": "otp", "ref": "login-1"}'</pre>
<p>The answer is 202 when the message is durably ours, with its <code>id</code>. What became of it:</p>
<pre>curl -s "$SLUICE_URL/v1/messages/ID" -H "Authorization: Bearer $SLUICE_KEY"</pre>
<ul>
<li><b>Repeating is safe</b> with the same <code>ref</code> in the message, or the same
<code>Idempotency-Key</code> header for a whole request: nothing is sent twice within 72 hours.</li>
<li><b>What is refused</b> is a problem document (RFC 9457) with a stable <code>code</code>, a <code>pointer</code> to
the field, a sentence that says what would be right, and a <code>type</code> that leads to a page about the code.</li>
<li><b>Limits</b>: every answer to a key says in <code>RateLimit</code> how many messages may be sent now
(<code>r</code>) and after how many seconds there are more (<code>t</code>). Too many are 429 with
<code>Retry-After</code>.</li>
<li><b>Request ids</b>: every answer has <code>X-Request-Id</code>; give your own, and it is kept.</li>
</ul>
<p><a href="/docs">Try requests in the browser</a> · <a href="/v1/openapi.json">openapi.json</a> for machines ·
<a href="#problems">problems</a></p>"""


def guide(table: Callable[[], Table]) -> Endpoint:
    """Serves the guide to a table that need not exist yet."""

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
        return problem(Code.NO_SUCH_ROUTE, "There is no such code; /docs/guide lists them.")
    return web.Response(body=_explained(code), headers=_HEADERS)


@cache
def _explained(code: Code) -> bytes:
    kind, shown = TABLE[code], msgspec.structs.replace(examples.of_code(code), request_id="5f2c1a9b3e7d-2a")
    e = EXPLANATIONS.get(code)
    repeat = (
        f"The same request may do later: <code>Retry-After</code> says when, usually after {kind.retry_after_s} s."
        if kind.retry_after_s
        else "Repeating the same request alone will not help."
    )
    parts = [f"<p>HTTP status <b>{kind.status}</b>. {repeat}</p>"]
    if e is not None:
        parts += [f"<h2>What it means</h2><p>{_prose(e.means)}</p>", f"<h2>What to do</h2><p>{_prose(e.todo)}</p>"]
    parts.append("<h2>Example</h2>")
    if e is not None and e.given is not None:
        message = {"to": "+79161234567", "text": "Your code is 4711", **e.given}
        parts.append(f"<p>A message such as</p><pre>{_e(_shortened(json.dumps(message, ensure_ascii=False)))}</pre>")
        parts.append("<p>is answered with</p>")
    parts.append(f"<pre>{_e(msgspec.json.format(msgspec.json.encode(shown)).decode())}</pre>")
    parts.append('<p><a href="/docs/guide#problems">All codes</a> · <a href="/docs">Try requests</a></p>')
    return _page(f"{code}: {kind.title}", "".join(parts))


def _prose(text: str) -> str:
    """Sentences with `code` in them."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _e(text))


def _shortened(text: str) -> str:
    return text if len(text) <= 240 else text[:200] + "…" + text[-20:]


def _guide(spec: Mapping[str, Any]) -> bytes:
    sections = [_START]
    for tag in spec["tags"]:
        sections.append(f"<h2>{_e(tag['name'])}</h2><p>{_e(tag.get('description', ''))}</p>")
        for path, methods in spec["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    sections.append(_operation(method.upper(), path, operation))
    sections.append("<h2>Documents</h2>")
    sections += [_schema(name, schema) for name, schema in spec["components"]["schemas"].items()]
    sections.append('<h2 id="problems">Problems</h2>' + _problems())
    return _page("Sluice", "\n".join(sections))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    takes = " or ".join(f"{_reference(c['schema'])} <span class=muted>({kind})</span>" for kind, c in body.items())
    given = "".join(
        f"<tr><td><code>{_e(p['name'])}</code></td><td>{p['in']}</td><td>{_prose(p['description'])}</td></tr>"
        for p in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{status}</td><td>{_linked(said['description'])}</td><td>{_content(said)}</td></tr>"
        for status, said in operation["responses"].items()
    )
    return (
        f'<h3 id="{_e(operation["operationId"])}"><span class=m>{method}</span> <code>{_e(path)}</code></h3>'
        f"<p>{_prose(operation['summary'])} {_prose(operation['description'])}</p>"
        + (f"<p>Body: {takes}</p>" if takes else "")
        + (f"<table>{given}</table>" if given else "")
        + f"<table>{answers}</table>"
    )


def _linked(text: str) -> str:
    """Markdown's links and code, which is all that descriptions have."""
    return re.sub(r"\[(.+?)\]\((/[^)]*)\)", r'<a href="\2">\1</a>', _prose(text))


def _content(said: Mapping[str, Any]) -> str:
    return " or ".join(_reference(c["schema"]) or _e(kind) for kind, c in said.get("content", {}).items())


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_e(field)}</code>{' *' if field in schema.get('required', ()) else ''}</td>"
        f"<td>{_kind(of)}</td><td>{_prose(of.get('description', ''))}</td></tr>"
        for field, of in schema.get("properties", {}).items()
    )
    return f'<h3 id="{_e(name)}">{_e(name)}</h3><p>{_prose(schema.get("description", ""))}</p><table>{rows}</table>'


def _kind(of: Mapping[str, Any]) -> str:
    if "$ref" in of:
        return _reference(of)
    if "anyOf" in of:
        return " or ".join(_kind(one) for one in of["anyOf"])
    if "x-line-schema" in of:
        return _reference(of["x-line-schema"])
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
