"""The routes of rate sheets and of the registry of senders, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import sheets
from gateway.api.problems import Code
from gateway.api.routes import Route
from gateway.api.sheet_documents import Ladders, NewRates, NewSenders, RatesImported, SendersImported

_CODES: Final = (Code.DATASET_INVALID, Code.FORBIDDEN_CHARACTER, Code.POSTGRES_AWAY, Code.REDIS_AWAY)

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/v1/rates/import",
        "plan",
        sheets.import_rates,
        "Bring in a price list as CSV: say what it changes, keep it as a version, make it active.",
        {200: RatesImported},
        NewRates,
        codes=_CODES,
    ),
    Route(
        "GET",
        "/v1/rates/month",
        "plan",
        sheets.month,
        "Where month ladders stand: parts sent, the price of the next one, the next step.",
        {200: Ladders},
        codes=(Code.POSTGRES_AWAY,),
    ),
    Route(
        "POST",
        "/v1/senders/import",
        "plan",
        sheets.import_senders,
        "Bring in a registry of senders as CSV: say what it changes, keep it as a version, make it active.",
        {200: SendersImported},
        NewSenders,
        codes=_CODES,
    ),
)
