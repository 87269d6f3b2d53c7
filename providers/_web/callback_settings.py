"""The settings of a carrier's webhooks: who may call, what is a receipt, what is a subscriber's message.

In: nothing. Out: typed tables, each field with its words. Places are JSON pointers into the body; for forms and
queries `/name` is the field of that name.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from providers._web.secret import Secret

HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
Pointer = Annotated[str, Meta(description="a JSON pointer, such as /status; empty: nowhere")]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings."""


class Anybody(Table, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """No proof: only for carriers whose networks are listed."""


class PathToken(Table, frozen=True, kw_only=True, tag_field="kind", tag="path"):
    """A secret word at the end of the path; {callback_url} has it."""

    token: Annotated[Secret, Meta(description="letters, digits, - and _")]


class QueryToken(Table, frozen=True, kw_only=True, tag_field="kind", tag="query"):
    """A secret parameter; {callback_url} has it."""

    name: Annotated[str, Meta(min_length=1, description="the parameter")] = "token"
    token: Annotated[Secret, Meta(description="its value")]


class HeaderToken(Table, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """A secret header."""

    name: Annotated[HeaderName, Meta(description="the header")]
    token: Annotated[Secret, Meta(description="its value")]
    prefix: Annotated[str, Meta(description='what stands before it, such as "Bearer "')] = ""


class BasicProof(Table, frozen=True, kw_only=True, tag_field="kind", tag="basic"):
    """HTTP basic."""

    user: Annotated[str, Meta(description="the user")]
    password: Annotated[Secret, Meta(description="the password")]


class SignedProof(Table, frozen=True, kw_only=True, tag_field="kind", tag="hmac"):
    """A signature in a header. `url` is the public URL that the carrier called; `fields` are a form's names and values,
    sorted by name and joined."""

    secret: Annotated[Secret, Meta(description="the shared secret")]
    header: Annotated[HeaderName, Meta(description="where the signature is")]
    over: Annotated[
        tuple[Literal["method", "url", "path", "query", "body", "fields", "timestamp"], ...],
        Meta(min_length=1, description="what is signed, in order"),
    ] = ("body",)
    separator: Annotated[str, Meta(description="what stands between the signed parts")] = ""
    digest: Annotated[Literal["sha1", "sha256", "sha512", "md5"], Meta(description="the digest")] = "sha256"
    encoding: Annotated[Literal["hex", "HEX", "base64"], Meta(description="how the signature is written")] = "hex"
    prefix: Annotated[str, Meta(description='what stands before it, such as "sha256="')] = ""
    timestamp_header: Annotated[HeaderName | None, Meta(description="where the Unix time is")] = None
    max_age_s: Annotated[int, Meta(ge=1, description="older requests are refused")] = 300


Proof = Anybody | PathToken | QueryToken | HeaderToken | BasicProof | SignedProof


class When(Table, frozen=True, kw_only=True):
    """Which reports are meant: those that have one of the words there; without words, anything there."""

    at: Pointer
    words: Annotated[tuple[str | int | bool, ...], Meta(description="values, compared as text")] = ()


class Receipts(Table, frozen=True, kw_only=True):
    """Where a receipt has what."""

    list: Annotated[Pointer, Meta(description="where the list of reports is; empty: the body is one, or a list")] = ""
    when: Annotated[When | None, Meta(description="which reports are receipts; absent: all that are nothing else")] = (
        None
    )
    message_id: Annotated[Pointer, Meta(description="the carrier's id of the message")]
    state: Annotated[Pointer, Meta(description="the word for the state")]
    states: Annotated[dict[str, str], Meta(description="the carrier's words, each with the state that it means")] = {}
    code: Annotated[Pointer, Meta(description="the carrier's error code")] = ""
    codes: Annotated[dict[str, str], Meta(description="codes, each with the reason that it means")] = {}
    done: Annotated[Pointer, Meta(description="when it happened")] = ""
    done_format: Annotated[
        str, Meta(min_length=1, description="iso, unix, unix_ms, or a format of strptime such as %y%m%d%H%M")
    ] = "iso"
    timezone: Annotated[str, Meta(description="of times that name none, such as Europe/Moscow")] = "UTC"
    recipient: Annotated[Pointer, Meta(description="the recipient's number")] = ""
    sender: Annotated[Pointer, Meta(description="the sender")] = ""
    echo: Annotated[Pointer, Meta(description="what we sent as {echo}")] = ""
    echo_parameter: Annotated[str, Meta(description="parameter of our URL that brings {echo} back, see `suffix`")] = ""


class Inbox(Table, frozen=True, kw_only=True):
    """Where a subscriber's message has what."""

    list: Annotated[Pointer, Meta(description="where the list of messages is; empty: the body is one, or a list")] = ""
    when: Annotated[When | None, Meta(description="which reports are messages; absent: all that have a text")] = None
    sender: Annotated[Pointer, Meta(description="the subscriber's number")]
    recipient: Annotated[Pointer, Meta(description="our number")] = ""
    text: Annotated[Pointer, Meta(description="the text")]
    concat_ref: Annotated[Pointer, Meta(description="of a part of a long text, what its parts share")] = ""
    concat_total: Annotated[Pointer, Meta(description="how many parts there are")] = ""
    concat_part: Annotated[Pointer, Meta(description="which of them it is, from 1")] = ""


class Reply(Table, frozen=True, kw_only=True):
    """What the carrier wants to hear once its report is kept."""

    status: Annotated[int, Meta(ge=200, le=299, description="the status")] = 200
    body: Annotated[str, Meta(description="the body")] = ""
    content_type: Annotated[str, Meta(pattern=r"^[\x20-\x7e]+$", description="its type")] = "text/plain"


class Callbacks(Table, frozen=True, kw_only=True):
    """What the carrier sends us to /v1/receipts/<carrier>."""

    proof: Annotated[
        Proof, Meta(description='how the carrier proves who it is: { kind = "path", token = … } and so on')
    ]
    networks: Annotated[tuple[str, ...], Meta(description="networks that may call; empty: any")] = ()
    format: Annotated[
        Literal["json", "form", "query", "any"],
        Meta(description="where the values are; any: wherever they come, those of the URL last"),
    ] = "json"
    charset: Annotated[str, Meta(description="of a form or a query; with `any`, of what is not UTF-8")] = "utf-8"
    suffix: Annotated[str, Meta(description="what follows in {callback_url}, such as ?ref={reference}")] = ""
    receipts: Annotated[Receipts | None, Meta(description="where a receipt has what")] = None
    inbound: Annotated[Inbox | None, Meta(description="where a subscriber's message has what")] = None
    reply: Annotated[Reply, Meta(description="what the carrier wants to hear")] = Reply()
