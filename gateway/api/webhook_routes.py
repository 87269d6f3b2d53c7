"""The routes of endpoints and callbacks, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import callbacks, webhooks
from gateway.api.problems import Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route
from gateway.api.webhook_documents import (
    CallbackPage,
    EndpointChange,
    EndpointMade,
    EndpointRemoved,
    EndpointView,
    EndpointViews,
    NewEndpoint,
    Retried,
    Retry,
    Rotate,
    Sample,
    SampleSent,
    SampleTo,
    SecretMade,
)

_GIVEN: Final = (Code.NOT_JSON, Code.TOO_LARGE, Code.POSTGRES_AWAY)
_ONE: Final = (Code.UNKNOWN_ENDPOINT, *_GIVEN)
_FIELDS: Final = (
    Code.CALLBACK_URL_INVALID,
    Code.FORBIDDEN_CHARACTER,
    Code.INVALID_VALUE,
    Code.WRONG_TYPE,
    Code.UNKNOWN_FIELD,
)
_LISTED: Final = (
    Parameter("state", "how it stands", {"type": "string", "enum": list(callbacks.STATES)}),
    Parameter("endpoint", "the endpoint's id"),
    Parameter("event_id", "one event, at all its endpoints"),
    Parameter("message_id", "the events of one message", {"type": "string", "format": "uuid"}),
    Parameter("client", "another client's; needs the scope `ops`"),
    Parameter("since", "events of then or later", {"type": "string", "format": "date-time"}),
    Parameter("cursor", "from `next` of the page before"),
    Parameter(
        "limit",
        "results a page; all of a message stay together",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
)

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/endpoints",
        "send",
        webhooks.list_endpoints,
        "Your endpoints, without their secrets.",
        {200: EndpointViews},
        codes=(Code.POSTGRES_AWAY,),
    ),
    Route(
        "POST",
        "/v1/endpoints",
        "send",
        webhooks.create_endpoint,
        "Register where events go. The answer has the endpoint's secret, which cannot be read again.",
        {201: EndpointMade},
        NewEndpoint,
        codes=(Code.MISSING_FIELD, Code.TOO_MANY_ENDPOINTS, *_FIELDS, *_GIVEN),
    ),
    Route(
        "GET",
        "/v1/endpoints/{id}",
        "send",
        webhooks.get_endpoint,
        "One endpoint: whether it works, and why not.",
        {200: EndpointView},
        codes=(Code.UNKNOWN_ENDPOINT, Code.POSTGRES_AWAY),
    ),
    *(
        Route(
            method,
            "/v1/endpoints/{id}",
            "send",
            webhooks.change_endpoint,
            "Change an endpoint's URL, events or bundling; disable it, or enable it again.",
            {200: EndpointView},
            EndpointChange,
            codes=(*_FIELDS, *_ONE),
            needs_body=False,
        )
        for method in ("PATCH", "POST")
    ),
    Route(
        "DELETE",
        "/v1/endpoints/{id}",
        "send",
        webhooks.remove_endpoint,
        "Remove an endpoint, with what waits for it.",
        {200: EndpointRemoved},
        codes=(Code.UNKNOWN_ENDPOINT, Code.POSTGRES_AWAY),
    ),
    Route(
        "POST",
        "/v1/endpoints/{id}/rotate",
        "send",
        webhooks.rotate_secret,
        "Give an endpoint a new secret. The one before signs as well for a day, or as long as you say.",
        {200: SecretMade},
        Rotate,
        codes=(Code.INVALID_VALUE, Code.WRONG_TYPE, Code.UNKNOWN_FIELD, *_ONE),
        needs_body=False,
    ),
    Route(
        "POST",
        "/v1/endpoints/{id}/test",
        "send",
        webhooks.send_sample,
        "Send a sample event to an endpoint.",
        {202: SampleSent},
        Sample,
        codes=(Code.ENDPOINT_DISABLED, Code.INVALID_VALUE, Code.WRONG_TYPE, Code.UNKNOWN_FIELD, *_ONE),
        needs_body=False,
    ),
    Route(
        "GET",
        "/v1/callbacks",
        "read",
        callbacks.list_callbacks,
        "What became of events, once they were tried: those of the newest messages first.",
        {200: CallbackPage},
        codes=(Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY),
        parameters=_LISTED,
    ),
    Route(
        "POST",
        "/v1/callbacks/retry",
        "send",
        callbacks.retry_callbacks,
        "Send events again, at once.",
        {200: Retried},
        Retry,
        codes=(Code.ENDPOINT_DISABLED, Code.INVALID_VALUE, Code.WRONG_TYPE, Code.UNKNOWN_FIELD, *_ONE),
    ),
    Route(
        "POST",
        "/v1/callbacks/sample",
        "send",
        callbacks.send_sample,
        "Send a sample event to a URL, signed as those to a message's `callback_url` are.",
        {202: SampleSent},
        SampleTo,
        codes=(Code.MISSING_FIELD, *_FIELDS, *_GIVEN),
    ),
    Route(
        "GET",
        "/v1/callbacks/secret",
        "send",
        callbacks.get_secret,
        "The secret that signs requests to your messages' `callback_url`.",
        {200: SecretMade},
        codes=(Code.POSTGRES_AWAY,),
    ),
    Route(
        "POST",
        "/v1/callbacks/secret/rotate",
        "send",
        callbacks.rotate_secret,
        "Give callback URLs a new secret. The one before signs as well for a day, or as long as you say.",
        {200: SecretMade},
        Rotate,
        codes=(Code.INVALID_VALUE, Code.WRONG_TYPE, Code.UNKNOWN_FIELD, *_GIVEN),
        needs_body=False,
    ),
)
