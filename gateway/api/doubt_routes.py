"""The routes of what failed and of what nobody can place, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import doubts
from gateway.api.doubt_documents import Orphans, RetriedPage, RetryFailed, UncertainOnes
from gateway.api.problems import Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route

_FILTERS: Final = (
    Parameter("carrier", "only this carrier's"),
    Parameter("since", "from then on; if not given: the last seven days", {"type": "string", "format": "date-time"}),
    Parameter(
        "limit",
        "results a page",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
)

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/v1/messages/retry",
        "ops",
        doubts.retry_failed,
        "Send failed messages again, each once, as new messages that are linked to them.",
        {200: RetriedPage},
        RetryFailed,
        codes=(
            Code.INVALID_CLASS,
            Code.INVALID_VALUE,
            Code.FORBIDDEN_CHARACTER,
            Code.INTAKE_FULL,
            Code.SHARD_CLOSED,
            Code.REDIS_AWAY,
            Code.POSTGRES_AWAY,
        ),
    ),
    Route(
        "GET",
        "/v1/orphans",
        "ops",
        doubts.list_orphans,
        "Receipts that no submission was found for, newest first.",
        {200: Orphans},
        codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=_FILTERS,
    ),
    Route(
        "GET",
        "/v1/uncertain",
        "ops",
        doubts.list_uncertain,
        "Submissions of which nobody knows whether the carrier took them, newest first.",
        {200: UncertainOnes},
        codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(
            *_FILTERS,
            Parameter("open", "true: only those whose message has not ended", {"type": "boolean", "default": False}),
        ),
    ),
)
