"""The routes of pauses, for the table of routes."""

from __future__ import annotations

from typing import Final

from gateway.api import pauses
from gateway.api.pause_documents import NewPause, PauseViews
from gateway.api.problems import Code
from gateway.api.routes import Parameter, Route
from gateway.message import CLASSES

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/v1/pauses",
        "ops stats",
        pauses.list_pauses,
        "Everything that is paused: classes, clients, tags and carriers.",
        {200: PauseViews},
        codes=(Code.REDIS_AWAY,),
    ),
    Route(
        "POST",
        "/v1/pauses",
        "ops",
        pauses.pause,
        "Keep a class, a client, a tag or a carrier from sending, everywhere within a second. What is accepted waits.",
        {200: PauseViews},
        NewPause,
        codes=(Code.INVALID_VALUE, Code.INVALID_CLASS, Code.UNKNOWN_CARRIER, Code.REDIS_AWAY),
    ),
    Route(
        "DELETE",
        "/v1/pauses",
        "ops",
        pauses.resume,
        "Let what is paused send again: what waits goes at once. Repeating is safe.",
        {200: PauseViews},
        codes=(Code.QUERY_INVALID, Code.UNKNOWN_CARRIER, Code.REDIS_AWAY),
        parameters=(
            Parameter("class", "the class to resume", {"type": "string", "enum": list(CLASSES)}),
            Parameter("client", "the client to resume"),
            Parameter("tag", "the tag to resume"),
            Parameter("carrier", "the carrier to resume"),
        ),
    ),
)
