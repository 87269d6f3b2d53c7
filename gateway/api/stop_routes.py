"""The routes of the stop lists, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import stoplist
from gateway.api.problems import Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route
from gateway.api.stop_documents import NewStops, OldStops, StopCheck, StopPage, StopsAdded, StopsRemoved
from gateway.message import CLASSES

_NUMBER: Final = tuple(code for code in Code if code.startswith("number_"))
_CLIENT: Final = Parameter(
    "client",
    "whose list; not given: everybody's, or your own client's where the key has neither the scope `ops` nor `plan`",
)
_SCOPES: Final = "send ops plan"

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/stoplist",
        _SCOPES,
        stoplist.list_entries,
        "Numbers that are not sent to, newest first. Operators who name no client see every list.",
        {200: StopPage},
        codes=(Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY),
        parameters=(
            _CLIENT,
            Parameter("cursor", "from `next` of the page before"),
            Parameter(
                "limit",
                "results a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            ),
        ),
    ),
    Route(
        "POST",
        "/v1/stoplist",
        _SCOPES,
        stoplist.add,
        "Put numbers on a stop list, everywhere within a second. Repeating is safe.",
        {200: StopsAdded},
        NewStops,
        codes=(Code.FORBIDDEN_CHARACTER, *_NUMBER, Code.POSTGRES_AWAY),
    ),
    Route(
        "POST",
        "/v1/stoplist/remove",
        _SCOPES,
        stoplist.remove_many,
        "Take numbers off a stop list, everywhere within a second. Repeating is safe.",
        {200: StopsRemoved},
        OldStops,
        codes=(*_NUMBER, Code.POSTGRES_AWAY),
    ),
    Route(
        "GET",
        "/v1/stoplist/{number}",
        _SCOPES,
        stoplist.check,
        "Say what is stopped for a number, and why.",
        {200: StopCheck},
        codes=(*_NUMBER, Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(_CLIENT,),
    ),
    Route(
        "DELETE",
        "/v1/stoplist/{number}",
        _SCOPES,
        stoplist.remove,
        "Take a number off a stop list, everywhere within a second. Repeating is safe.",
        {200: StopsRemoved},
        codes=(*_NUMBER, Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(_CLIENT, Parameter("class", "only this class", {"type": "string", "enum": list(CLASSES)})),
    ),
)
