"""The settings of a web carrier, as its table in the plan writes them: requests, answers, time-outs.

In: nothing. Out: typed tables, each field with its words. Never: a secret in a repr. Callbacks' tables are in
callback_settings.py; whether the tables make sense together is asked in reading.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from providers._web.callback_settings import Callbacks, Receipts
from providers._web.secret import Secret

Seconds = Annotated[float, Meta(gt=0)]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
StatusWord = Annotated[str, Meta(pattern=r"^[1-5](xx|[0-9][0-9])$")]
Statuses = Annotated[
    tuple[StatusWord | Annotated[int, Meta(ge=100, le=599)], ...],
    Meta(description='HTTP statuses, such as [200, "4xx"]'),
]
Words = Annotated[tuple[str | int | bool, ...], Meta(description="values, compared as text")]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings."""


class Spot(Table, frozen=True, kw_only=True):
    """Where a value stands in an answer: exactly one of the three. A string alone is a `path`."""

    path: Annotated[str | None, Meta(description="JSON pointer, such as /messages/0/id")] = None
    pattern: Annotated[str | None, Meta(description="regular expression over the body; its first group counts")] = None
    header: Annotated[HeaderName | None, Meta(description="a header of the answer")] = None


Place = str | Spot


class Bearer(Table, frozen=True, kw_only=True, tag_field="kind", tag="bearer"):
    """`Authorization: Bearer …`"""

    token: Annotated[Secret, Meta(description="the token")]


class HeaderKey(Table, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """A header of the carrier's own."""

    name: Annotated[HeaderName, Meta(description="the header")]
    key: Annotated[Secret, Meta(description="its value")]
    prefix: Annotated[str, Meta(description='what stands before the value, such as "App "')] = ""


class QueryKey(Table, frozen=True, kw_only=True, tag_field="kind", tag="query"):
    """A parameter of the URL."""

    name: Annotated[str, Meta(min_length=1, description="the parameter")]
    key: Annotated[Secret, Meta(description="its value")]


class Basic(Table, frozen=True, kw_only=True, tag_field="kind", tag="basic"):
    """HTTP basic."""

    user: Annotated[str, Meta(description="the user")]
    password: Annotated[Secret, Meta(description="the password")]


Auth = Bearer | HeaderKey | QueryKey | Basic


class Signature(Table, frozen=True, kw_only=True):
    """An HMAC over parts of the request, sent in a header."""

    secret: Annotated[Secret, Meta(description="the shared secret")]
    header: Annotated[HeaderName, Meta(description="where the signature goes")]
    over: Annotated[
        tuple[Literal["method", "url", "host", "path", "query", "body", "timestamp", "nonce"], ...],
        Meta(min_length=1, description="what is signed, in order"),
    ] = ("body",)
    separator: Annotated[str, Meta(description="what stands between the signed parts")] = ""
    digest: Annotated[Literal["sha1", "sha256", "sha512", "md5"], Meta(description="the digest")] = "sha256"
    encoding: Annotated[Literal["hex", "HEX", "base64"], Meta(description="how the signature is written")] = "hex"
    prefix: Annotated[str, Meta(description='what stands before it, such as "sha256="')] = ""
    timestamp_header: Annotated[HeaderName | None, Meta(description="where the Unix time goes")] = None
    nonce_header: Annotated[HeaderName | None, Meta(description="where a random word goes")] = None


class Success(Table, frozen=True, kw_only=True):
    """When an answer means that the carrier took the message."""

    status: Statuses = ("2xx",)
    at: Annotated[Place | None, Meta(description="where a word stands that says so")] = None
    words: Words = ()


class ErrorRule(Table, frozen=True, kw_only=True):
    """`[[carrier.settings.errors]]`: an answer that holds all of these conditions has this reason."""

    status: Statuses = ()
    code: Annotated[Words, Meta(description="the carrier's codes, as `error_code` finds them")] = ()
    pattern: Annotated[str, Meta(description="regular expression somewhere in the body")] = ""
    reason: Annotated[str, Meta(description="a reason, such as invalid_recipient")]
    after_s: Annotated[float, Meta(ge=0, le=3600, description="pause before the carrier is asked again")] = 0.0


class Batch(Table, frozen=True, kw_only=True):
    """One request for several messages."""

    size: Annotated[int, Meta(ge=1, le=1000, description="messages of one request at the most")]
    item: Annotated[dict[str, Any], Meta(description="the template of one message")]
    results: Annotated[str, Meta(description="JSON pointer to the list of results")] = ""
    match: Annotated[
        str, Meta(description="pointer inside a result to our {reference}; empty: results are in order")
    ] = ""
    success: Annotated[
        Success | None, Meta(description="when a result means yes; its places are inside the result")
    ] = None
    message_id: Annotated[Place | None, Meta(description="where a result has the message's id")] = None
    error_code: Annotated[Place | None, Meta(description="where a result has the carrier's code")] = None


class Errand(Table, frozen=True, kw_only=True):
    """A request that sends no message. It has the same `auth`, and those `headers` that hold no placeholders."""

    url: Annotated[str, Meta(description="its URL, on the same host")]
    method: Annotated[Literal["GET", "POST"], Meta(description="its method")] = "GET"
    fields: Annotated[dict[str, Any], Meta(description="fields of a form; of a GET in the URL")] = {}
    body: Annotated[dict[str, Any] | list[Any] | None, Meta(description="a JSON document instead of a form")] = None


class Ask(Errand, frozen=True, kw_only=True):
    """At the start, to see whether the credentials are good."""

    status: Annotated[Statuses, Meta(description="statuses that mean yes")] = ("2xx",)
    refused: Annotated[str, Meta(description="regular expression: in a body it means that they are not")] = ""


class Question(Errand, frozen=True, kw_only=True):
    """What became of messages that the carrier took."""

    size: Annotated[int, Meta(ge=1, le=1000, description="messages of one request at the most")] = 1
    receipts: Annotated[Receipts, Meta(description="where the answer has what, as in callbacks.receipts")]
    after_s: Annotated[
        tuple[Annotated[float, Meta(gt=0)], ...],
        Meta(description="when to ask, counted from the carrier's yes; empty: only when a receipt is overdue"),
    ] = ()
    every_s: Annotated[Seconds, Meta(description="the shortest pause between two such requests")] = 0.2


class BalanceQuestion(Errand, frozen=True, kw_only=True):
    """What the account has left."""

    amount: Annotated[Place, Meta(description="where the answer has the amount")]
    currency: Annotated[str, Meta(description="what it is in")] = ""
    every_s: Annotated[Seconds, Meta(description="how often to ask")] = 300
    low: Annotated[float, Meta(description="below it the alert SluiceCarrierBalanceLow fires")] = 0


class Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a carrier is reached; what the settings of every carrier by HTTP have."""

    window: Annotated[int, Meta(ge=1, le=10_000, description="requests without an answer at a time")] = 20
    answer_timeout_s: Annotated[
        Seconds, Meta(description="then a submission is uncertain; a late answer settles it")
    ] = 30
    late_answer_s: Annotated[Annotated[float, Meta(ge=0)], Meta(description="how long a late answer is waited for")] = (
        30
    )
    connect_timeout_s: Annotated[Seconds, Meta(description="for connecting, TLS included")] = 10
    keep_alive_s: Annotated[
        Seconds, Meta(description="how long an unused connection is kept; less than the carrier does")
    ] = 4
    check_s: Annotated[Seconds, Meta(description="silence after which we look whether the carrier is still there")] = 10
    reconnect_s: Annotated[Seconds, Meta(description="first pause before connecting again; doubles, with jitter")] = 0.5
    reconnect_max_s: Annotated[Seconds, Meta(description="the longest such pause")] = 30
    refused_s: Annotated[
        Seconds, Meta(description="first pause after refused credentials; doubles up to ten times it")
    ] = 30
    tls_ca: Annotated[str, Meta(description="file with the authorities to trust; empty: the system's")] = ""


class WebSettings(Reach, frozen=True, kw_only=True):
    """One account at one carrier that is reached by HTTP."""

    url: Annotated[
        str,
        Meta(description="where messages are sent to; values of placeholders are percent-encoded"),
    ]
    method: Annotated[Literal["POST", "PUT", "GET"], Meta(description="GET puts the fields of a form into the URL")] = (
        "POST"
    )
    auth: Annotated[
        Auth | None, Meta(description='how we say who we are: { kind = "bearer", token = … } and so on')
    ] = None
    signature: Annotated[Signature | None, Meta(description="an HMAC over the request")] = None
    headers: Annotated[dict[HeaderName, str], Meta(description="further headers, with placeholders")] = {}
    query: Annotated[dict[str, Any], Meta(description="parameters of the URL, with placeholders")] = {}
    encodings: Annotated[
        dict[Literal["gsm7", "ucs2"], Any], Meta(description="what {encoding} is for each alphabet")
    ] = {}
    classes: Annotated[
        dict[Literal["otp", "alert", "transactional", "marketing"], Any],
        Meta(description="what {class} is for each class"),
    ] = {}
    ucs2_text: Annotated[
        Literal["text", "hex"], Meta(description="what {text} is for ucs2: itself, or UTF-16 in hex")
    ] = "text"
    long_messages: Annotated[
        Literal["whole", "parts"],
        Meta(description="whole: the carrier cuts long texts; parts: we do, a request a part"),
    ] = "whole"
    longest_validity_s: Annotated[int, Meta(ge=1, description="the longest validity that the carrier takes")] = 259_200
    shortest_validity_s: Annotated[int, Meta(ge=1, description="the shortest one; no less is said")] = 1
    batch: Annotated[Batch | None, Meta(description="several messages in one request")] = None
    success: Annotated[Success, Meta(description="when an answer means yes")] = Success()
    message_id: Annotated[
        Place | None, Meta(description='where an answer has the message\'s id; "reference": our own {reference} is it')
    ] = None
    error_code: Annotated[Place | None, Meta(description="where an answer has the carrier's code")] = None
    errors: Annotated[tuple[ErrorRule, ...], Meta(description="what answers mean; the first that holds decides")] = ()
    uncertain: Annotated[
        Statuses, Meta(description="statuses after which the message may have been taken, unless `errors` says more")
    ] = ("500", "502", "504")
    answer_charset: Annotated[str, Meta(description="of answers that are not UTF-8")] = "utf-8"
    check: Annotated[Ask | None, Meta(description="a request that shows whether the credentials are good")] = None
    ask: Annotated[
        Question | None, Meta(description="a request that asks what became of messages, where receipts may be missing")
    ] = None
    balance: Annotated[BalanceQuestion | None, Meta(description="a request that asks what the account has left")] = None
    callbacks: Annotated[
        Callbacks | None, Meta(description="receipts and subscribers' messages that the carrier sends us")
    ] = None


class JsonSettings(WebSettings, frozen=True, kw_only=True):
    """Of `http_json`."""

    body: Annotated[dict[str, Any] | list[Any], Meta(description="the JSON document of a request, with placeholders")]


class FormSettings(WebSettings, frozen=True, kw_only=True):
    """Of `http_form`."""

    fields: Annotated[
        dict[str, Any], Meta(description="the fields of a request, with placeholders; a list repeats a field")
    ]
    charset: Annotated[str, Meta(description="of the fields' values, such as windows-1251")] = "utf-8"


class TextSettings(WebSettings, frozen=True, kw_only=True):
    """Of carriers whose request is the text itself, with all else in headers."""

    text: Annotated[str, Meta(description="the body, with placeholders")]
    content_type: Annotated[str, Meta(description="its type")] = "text/plain; charset=UTF-8"


AnySettings = JsonSettings | FormSettings | TextSettings
