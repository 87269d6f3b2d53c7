"""Every route of the API in one table, with what the documentation says about it."""

from __future__ import annotations

from typing import Final, get_args

from gateway.api import (
    access,
    batches,
    bulk,
    carriers,
    clients,
    console,
    inbound,
    openapi,
    pages,
    plan_routes,
    reading,
    receipts,
    sending,
    service,
    statistics,
    webhook_routes,
)
from gateway.api.admin_documents import (
    Alive,
    Carriers,
    CarrierView,
    ClientView,
    ClientViews,
    KeyMade,
    KeyView,
    KeyViews,
    NewKey,
    NewQuota,
    Readiness,
)
from gateway.api.documents import (
    Accepted,
    BatchAnswer,
    BatchChange,
    BatchView,
    Cancelled,
    MessageFields,
    MessagePage,
    MessageView,
    NewBatch,
    NewMessage,
    Preview,
    Reschedule,
    StateName,
)
from gateway.api.problems import MESSAGE_FAULTS, SEND_AT_FAULTS, Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route, Table

_REDIS: Final = (Code.REDIS_AWAY, Code.SHARD_CLOSED)
_FULL: Final = (Code.RATE_LIMITED, Code.INTAKE_FULL)
_SENDING: Final = (Code.CLASS_NOT_ALLOWED, Code.TEST_KEY, *MESSAGE_FAULTS, *_FULL, *_REDIS)
_IDEMPOTENT: Final = (Code.REQUEST_RUNNING, Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_KEY_REUSED)
_KEY: Final = Parameter(
    "Idempotency-Key",
    "makes the whole request safe to repeat for 72 h",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "header",
)
_LIMIT: Final = Parameter(
    "limit",
    "results a page",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
_SEARCH: Final = (
    Parameter("ref", "your own id"),
    Parameter("to", "the recipient's number, in any form that sending takes"),
    Parameter("state", "the state now", {"type": "string", "enum": list(get_args(StateName))}),
    Parameter("tag", "the tag"),
    Parameter("since", "accepted then or later", {"type": "string", "format": "date-time"}),
    Parameter("cursor", "from `next` of the page before"),
    _LIMIT,
)

TABLE: Final[Table] = Table(
    (
        Route(
            "POST",
            "/v1/messages",
            "send",
            sending.send_one,
            "Send one message. 202: it is durably ours. 200: the ref was known, nothing new was made.",
            {202: Accepted, 200: Accepted},
            NewMessage,
            codes=(Code.REF_CONFLICT, *_SENDING, *_IDEMPOTENT),
            parameters=(_KEY,),
        ),
        Route(
            "POST",
            "/v1/messages/batch",
            "send",
            bulk.send_batch,
            "Send up to 10,000 messages, as one document or as one message a line.",
            {202: BatchAnswer},
            NewBatch,
            lines=MessageFields,
            codes=(Code.NO_MESSAGES, Code.TOO_MANY_MESSAGES, *_SENDING, *_IDEMPOTENT),
            parameters=(_KEY,),
        ),
        Route(
            "POST",
            "/v1/messages/preview",
            "send",
            sending.preview,
            "Say what a message would be: route, parts, price, and what would make it cost less. Nothing is sent.",
            {200: Preview},
            NewMessage,
            codes=(Code.CLASS_NOT_ALLOWED, *MESSAGE_FAULTS),
        ),
        Route(
            "GET",
            "/v1/messages",
            "read",
            reading.search,
            "Your messages, newest first.",
            {200: MessagePage},
            codes=(Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY),
            parameters=_SEARCH,
        ),
        Route(
            "GET",
            "/v1/messages/{id}",
            "read",
            reading.get_message,
            "One message with its timeline.",
            {200: MessageView},
            codes=(Code.UNKNOWN_MESSAGE, Code.POSTGRES_AWAY, Code.REDIS_AWAY),
        ),
        Route(
            "POST",
            "/v1/messages/{id}/cancel",
            "send",
            reading.cancel,
            "Take a message back that is not on the wire yet.",
            {200: Cancelled},
            codes=(Code.UNKNOWN_MESSAGE, Code.TOO_LATE, Code.POSTGRES_AWAY, *_REDIS),
        ),
        Route(
            "GET",
            "/v1/batches/{id}",
            "read",
            batches.get_batch,
            "A batch and how its messages stand.",
            {200: BatchView},
            codes=(Code.UNKNOWN_BATCH, Code.POSTGRES_AWAY, Code.REDIS_AWAY),
        ),
        Route(
            "POST",
            "/v1/batches/{id}/cancel",
            "send",
            batches.cancel,
            "Take back every message of a batch that is not on the wire yet.",
            {200: BatchChange},
            codes=(Code.UNKNOWN_BATCH, Code.NOT_READY, Code.POSTGRES_AWAY, *_REDIS),
        ),
        Route(
            "POST",
            "/v1/batches/{id}/reschedule",
            "send",
            batches.reschedule,
            "Give every message of a batch that is still scheduled another time.",
            {200: BatchChange},
            Reschedule,
            codes=(*SEND_AT_FAULTS, Code.UNKNOWN_BATCH, Code.NOT_READY, Code.POSTGRES_AWAY, *_REDIS),
        ),
        *webhook_routes.ROUTES,
        *inbound.ROUTES,
        Route(
            "GET",
            "/v1/stats",
            "stats",
            statistics.get_stats,
            "What was sent, delivered and spent.",
            {200: statistics.Statistics},
            codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
            parameters=statistics.PARAMETERS,
        ),
        Route(
            "GET",
            "/v1/carriers",
            "ops",
            carriers.list_carriers,
            "Every carrier as its connector reports it.",
            {200: Carriers},
            codes=(Code.REDIS_AWAY,),
        ),
        *(
            Route(
                "POST",
                f"/v1/carriers/{{name}}/{verb}",
                "ops",
                carriers.order,
                says,
                {200: CarrierView},
                codes=(Code.UNKNOWN_CARRIER, Code.REDIS_AWAY),
            )
            for verb, says in (
                ("pause", "Keep the carrier's links, send nothing; what waits goes to other carriers."),
                ("resume", "Send by the carrier again."),
                ("drain", "Give the carrier nothing new, send what it has."),
            )
        ),
        *plan_routes.ROUTES,
        Route(
            "GET",
            "/v1/keys",
            "admin",
            access.list_keys,
            "Every client's keys, without their secrets.",
            {200: KeyViews},
            codes=(Code.POSTGRES_AWAY,),
        ),
        Route(
            "POST",
            "/v1/keys",
            "admin",
            access.create_key,
            "Make a key. The answer has its secret, which cannot be read again.",
            {201: KeyMade},
            NewKey,
            codes=(Code.POSTGRES_AWAY,),
        ),
        Route(
            "POST",
            "/v1/keys/{id}/revoke",
            "admin",
            access.revoke_key,
            "End a key for good, everywhere within a second.",
            {200: KeyView},
            codes=(Code.UNKNOWN_KEY, Code.POSTGRES_AWAY),
        ),
        Route(
            "GET",
            "/v1/clients",
            "admin",
            clients.list_clients,
            "Every client, and how fast it may send.",
            {200: ClientViews},
            codes=(Code.POSTGRES_AWAY,),
        ),
        Route(
            "POST",
            "/v1/clients/{name}/quota",
            "admin",
            clients.set_quota,
            "Say how fast a client may send, everywhere within a second.",
            {200: ClientView},
            NewQuota,
            codes=(Code.UNKNOWN_CLIENT, Code.POSTGRES_AWAY),
        ),
        *(
            Route(
                method,
                path,
                None,
                receipts.take,
                "What a carrier reports by webhook. Answered, as that carrier wants it, once it is durable.",
                {200: "text/plain"},
                codes=(
                    Code.UNKNOWN_CARRIER,
                    Code.CALLBACK_UNPROVEN,
                    Code.CALLBACK_REFUSED,
                    Code.CALLBACK_UNREADABLE,
                    Code.TOO_LARGE,
                    Code.REDIS_AWAY,
                ),
            )
            for method in ("GET", "POST")
            for path in ("/v1/receipts/{carrier}", "/v1/receipts/{carrier}/{token}")
        ),
        Route("GET", "/healthz", None, service.alive, "The process lives.", {200: Alive}),
        Route(
            "GET",
            "/readyz",
            None,
            service.ready,
            "Whether the process can do its work, and why not.",
            {200: Readiness, 503: Readiness},
        ),
        Route("GET", "/metrics", None, service.exposition, "Metrics for Prometheus.", {200: "text/plain"}),
        Route(
            "GET",
            "/v1/openapi.json",
            None,
            openapi.endpoint(lambda: TABLE),
            "This document.",
            {200: "application/json"},
        ),
        Route("GET", "/docs", None, console.page, "Try this API in a browser.", {200: "text/html"}),
        Route("GET", "/docs/assets/{file}", None, console.serve_asset, "What /docs needs.", {}, listed=False),
        Route("GET", "/docs/guide", None, pages.guide(lambda: TABLE), "How to use this API.", {200: "text/html"}),
        Route(
            "GET",
            "/docs/problems/{code}",
            None,
            pages.explain,
            "What a problem's code means.",
            {200: "text/html"},
            codes=(Code.NO_SUCH_ROUTE,),
        ),
    )
)
