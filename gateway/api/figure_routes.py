"""The routes of figures, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import figures, watching
from gateway.api.problems import Code
from gateway.api.routes import Parameter, Route
from gateway.api.watch_documents import Incidents, Scorecards
from gateway.stats.tables import ARROW

_ASKED: Final = (*figures.PARAMETERS, figures.STEP, *figures.PAGES)
_CODES: Final = (Code.QUERY_INVALID, Code.CURSOR_INVALID, Code.POSTGRES_AWAY)
_EXCEL: Final = Parameter("excel", "byte order mark, semicolons, decimal commas", {"type": "boolean"})

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/stats/csv",
        "stats",
        figures.get_csv,
        "Figures of any slice as CSV, also as spreadsheets want it.",
        {200: "text/csv"},
        codes=_CODES,
        parameters=(*_ASKED, _EXCEL),
    ),
    Route(
        "GET",
        "/v1/stats/arrow",
        "stats",
        figures.get_arrow,
        "Figures of any slice as a stream of Apache Arrow.",
        {200: ARROW},
        codes=_CODES,
        parameters=_ASKED,
    ),
    Route(
        "GET",
        "/v1/scorecards",
        "ops",
        watching.get_scorecards,
        "How each carrier does for each network: delivery with its interval, latency, cost, errors, receipts to doubt.",
        {200: Scorecards},
        codes=_CODES,
        parameters=watching.PARAMETERS,
    ),
    Route(
        "GET",
        "/v1/incidents",
        "ops",
        watching.get_incidents,
        "What is unusual against the same hours of earlier days, worst first.",
        {200: Incidents},
        codes=_CODES,
        parameters=watching.PARAMETERS,
    ),
)
