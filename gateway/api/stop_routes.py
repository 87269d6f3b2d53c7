"""The routes of the stop lists, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import stop_imports, stoplist
from gateway.api.problems import Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route
from gateway.api.stop_documents import (
    NewStops,
    OldStops,
    StopCheck,
    StopDiff,
    StopPage,
    StopReturn,
    StopsAdded,
    StopsImported,
    StopsRemoved,
    StopVersions,
    StopVersionView,
)
from gateway.message import CLASSES

_NUMBER: Final = tuple(code for code in Code if code.startswith("number_"))
_CLIENT: Final = Parameter(
    "client",
    "whose list; not given: everybody's, or your own client's where the key has neither the scope `ops` nor `plan`",
)
_SCOPES: Final = "send ops plan"
_OPERATORS: Final = "ops plan"
_LIST: Final = Parameter("client", "whose list; not given: that of the versions named, or everybody's")
_LIMIT: Final = Parameter(
    "limit",
    "results a page",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
_PLACE: Final = {"type": "integer", "minimum": 0}

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
            _LIMIT,
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
        "POST",
        "/v1/stoplist/import",
        _OPERATORS,
        stop_imports.import_numbers,
        "Put a file of numbers on a stop list, whole or not at all, as a version that one can return from. The body is"
        " the file itself: a number a line, or a CSV with a column `to`, `number` or `phone`.",
        {200: StopsImported},
        codes=(
            Code.DATASET_INVALID,
            Code.QUERY_INVALID,
            Code.TOO_LARGE,
            Code.BODY_TOO_SLOW,
            Code.NOT_READY,
            Code.POSTGRES_AWAY,
        ),
        parameters=(
            Parameter("client", "whose messages are stopped; not given: everybody's"),
            Parameter("classes", "what is stopped, with commas between, or `all`; not given: all but otp"),
            Parameter("reason", "a note for people; not given: the name of the file"),
            Parameter("source", "name of the file"),
            Parameter("column", "the column of the numbers"),
            Parameter("whole", "true: what earlier imports put on the list and the file has not comes off"),
        ),
        texts=("text/csv",),
    ),
    Route(
        "GET",
        "/v1/stoplist/versions",
        _OPERATORS,
        stop_imports.list_versions,
        "What was imported into the stop lists, newest first.",
        {200: StopVersions},
        codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(Parameter("client", "only this client's list; empty: only everybody's"), _LIMIT),
    ),
    Route(
        "GET",
        "/v1/stoplist/diff",
        _OPERATORS,
        stop_imports.compare,
        "What differs between two versions of what was imported into a list.",
        {200: StopDiff},
        codes=(Code.QUERY_INVALID, Code.UNKNOWN_DATASET, Code.POSTGRES_AWAY),
        parameters=(
            _LIST,
            Parameter("from", "a version; 0: before the first; not given: the one before `to`", _PLACE),
            Parameter("to", "another; not given: the newest", _PLACE),
            _LIMIT,
        ),
    ),
    Route(
        "POST",
        "/v1/stoplist/rollback",
        _OPERATORS,
        stop_imports.rollback,
        "Return to an earlier version of what was imported into a list. Entries that came one by one, a subscriber's"
        " STOP above all, stay; numbers that were taken off one by one stay off.",
        {200: StopVersionView},
        StopReturn,
        codes=(Code.UNKNOWN_DATASET, Code.FORBIDDEN_CHARACTER, Code.POSTGRES_AWAY),
        needs_body=False,
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
