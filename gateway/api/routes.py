"""The table of routes: which endpoint answers what, who may call it, and what the OpenAPI document says about it.

Pure data. `Table` finds a route; it knows neither requests nor responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from gateway.api.call import Endpoint
from gateway.api.problems import Code

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Parameter:
    """A query parameter or header, for the documentation."""

    name: str
    says: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: str = "query"


@dataclass(frozen=True)
class Route:
    """One method of one path. `scope` None: open to all; of several with blanks between any one will do.

    `body` and `answers` are types, or media types as text.
    """

    method: str
    path: str
    scope: str | None
    run: Endpoint
    says: str
    answers: Mapping[int, Any]
    body: Any = None
    lines: Any = None  # the type of a line, where NDJSON is taken too
    codes: tuple[Code, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    needs_body: bool = True  # False: without a body, its fields' defaults hold
    listed: bool = True  # in the OpenAPI document
    texts: tuple[str, ...] = ()  # media types of plain text that the body may have as well

    @cached_property
    def name(self) -> str:
        """The metric label."""
        return f"{self.method} {self.path}"


class Table:
    """Finds routes by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        self._paths = {route.path for route in self.routes if "{" not in route.path}
        for route in self.routes:
            if "{" in route.path:
                pattern = _PARAMETER.sub(
                    r"(?P<\1>[^/]+)", re.escape(route.path).replace(r"\{", "{").replace(r"\}", "}")
                )
                self._patterns.append((re.compile(pattern), route))
            else:
                self._exact[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route and the parameters in its path. HEAD is answered as GET is."""
        if method == "HEAD":
            method = "GET"
        if (route := self._exact.get((method, path))) is not None:
            return route, {}
        if path in self._paths:
            return None
        for pattern, route in self._patterns:
            if route.method == method and (found := pattern.fullmatch(path)) is not None:
                return route, found.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """What the path can be asked. A path of its own, such as /v1/messages/batch, is not an id of another's."""
        if path in self._paths:
            return sorted(m for m, p in self._exact if p == path)
        return sorted({r.method for pattern, r in self._patterns if pattern.fullmatch(path)})
