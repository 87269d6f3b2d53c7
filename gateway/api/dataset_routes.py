"""The routes of `/v1/datasets` and `/v1/numbers`."""

from __future__ import annotations

from typing import Final

from gateway.api import datasets, numbers
from gateway.api.dataset_documents import (
    DatasetEnded,
    DatasetKept,
    DatasetReturn,
    Datasets,
    DatasetUse,
    DatasetView,
    NumberView,
    Unmapped,
)
from gateway.api.problems import Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route

_LIMIT: Final = Parameter(
    "limit",
    "results a page",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
_NUMBER: Final = tuple(code for code in Code if code.startswith("number_"))
_AWAY: Final = (Code.POSTGRES_AWAY, Code.REDIS_AWAY)

ROUTES: Final = (
    Route(
        "GET",
        "/v1/datasets",
        "plan",
        datasets.list_datasets,
        "Versions of datasets, newest first.",
        {200: Datasets},
        codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(Parameter("kind", "only this kind, such as numbers"), _LIMIT),
    ),
    Route(
        "POST",
        "/v1/datasets/{kind}",
        "plan",
        datasets.keep_dataset,
        "Keep a CSV file as a new version of its kind. The body is the file itself, of any size, and is read as a"
        " stream; the same content again is the same version.",
        {201: DatasetKept},
        codes=(
            Code.UNKNOWN_DATASET,
            Code.DATASET_INVALID,
            Code.QUERY_INVALID,
            Code.TOO_LARGE,
            Code.BODY_TOO_SLOW,
            Code.NOT_READY,
            *_AWAY,
        ),
        parameters=(
            Parameter("note", "what changes, for people"),
            Parameter("source", "name of the file"),
            Parameter("activate", "true: make it the one in use at once"),
        ),
        texts=("text/csv",),
    ),
    Route(
        "GET",
        "/v1/datasets/{kind}/{version}/content",
        "plan",
        datasets.get_content,
        "The CSV of a version. `active` in place of its number is the one in use.",
        {200: "text/csv"},
        codes=(Code.UNKNOWN_DATASET, Code.POSTGRES_AWAY),
    ),
    Route(
        "POST",
        "/v1/datasets/{kind}/{version}/activate",
        "plan",
        datasets.activate,
        "Make a version the one of its kind that is in use, in every process within a second.",
        {200: DatasetView},
        codes=(Code.UNKNOWN_DATASET, *_AWAY),
    ),
    Route(
        "POST",
        "/v1/datasets/{kind}/rollback",
        "plan",
        datasets.rollback,
        "Return to a version of the kind, or to the one that was in use before.",
        {200: DatasetView},
        DatasetReturn,
        codes=(Code.UNKNOWN_DATASET, *_AWAY),
        needs_body=False,
    ),
    Route(
        "GET",
        "/v1/datasets/{kind}/use",
        "plan",
        datasets.show_use,
        "How many processes use the active version of the kind already: each machine fetches and compiles it first.",
        {200: DatasetUse},
        codes=(Code.UNKNOWN_DATASET, *_AWAY),
    ),
    Route(
        "POST",
        "/v1/datasets/{kind}/deactivate",
        "plan",
        datasets.deactivate,
        "Use no version of the kind any more. Versions stay.",
        {200: DatasetEnded},
        codes=(Code.UNKNOWN_DATASET, *_AWAY),
    ),
    Route(
        "GET",
        "/v1/numbers/unmapped",
        "plan",
        numbers.list_unmapped,
        "Operators of the datasets that the plan has no name for, the most frequent first. An alias in the plan maps"
        " them.",
        {200: Unmapped},
        codes=(Code.QUERY_INVALID,),
        parameters=(_LIMIT,),
    ),
    Route(
        "GET",
        "/v1/numbers/{number}",
        "ops plan",
        numbers.show,
        "Whose a number is, and how that is known.",
        {200: NumberView},
        codes=_NUMBER,
    ),
)
