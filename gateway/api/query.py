"""Query parameters: read, checked, and put together again for the link to the next page. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from gateway.api.problems import Code, Problem, problem
from gateway.message import id_bytes, id_text

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50


def known_only(query: Mapping[str, str], known: Sequence[str]) -> Problem | None:
    """A problem for the first parameter that means nothing here, or that has a character which cannot be stored."""
    for name, value in query.items():
        if name not in known:
            return problem(
                Code.QUERY_INVALID,
                f"This parameter is not known here; known are {', '.join(known)}.",
                parameter=name[:64],
            )
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            return invalid(name, "The value has a character that no message can have.")
    return None


def invalid(name: str, detail: str) -> Problem:
    """The problem of one parameter."""
    return problem(Code.QUERY_INVALID, detail, parameter=name)


def time_ms(query: Mapping[str, str], name: str) -> int | Problem | None:
    """An RFC 3339 time with an offset, as ms."""
    text = query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not escaped arrives as a space
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.year < 2000 or at.year > 9000:
        return invalid(name, f"`{name}` is a time with an offset, such as 2030-01-31T09:00:00Z.")
    return int(at.timestamp() * 1000)


def limit(query: Mapping[str, str]) -> int | Problem:
    """How many results a page may have."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        return invalid("limit", f"`limit` is 1 to {MAX_LIMIT}.")
    return int(text)


def cursor(query: Mapping[str, str]) -> bytes | Problem | None:
    """Where the page before ended."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        found = base64.urlsafe_b64decode(text.encode() + b"==")
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 16:
        return problem(
            Code.CURSOR_INVALID, "Take the cursor from `next` of the page before, or leave it out.", parameter="cursor"
        )
    return found


class Page(NamedTuple):
    """Which part of a list is asked for: from when on, behind which entry, how many."""

    since_ms: int | None
    cursor: bytes | None
    limit: int


def page(query: Mapping[str, str], known: Sequence[str]) -> Page | Problem:
    """The page that `since`, `cursor` and `limit` ask for, of a list with these parameters."""
    if wrong := known_only(query, known):
        return wrong
    since, behind, most = time_ms(query, "since"), cursor(query), limit(query)
    if isinstance(since, Problem):
        return since
    if isinstance(most, Problem):
        return most
    if isinstance(behind, Problem):
        return behind
    return Page(since, behind, most)


def next_page(path: str, query: Mapping[str, str], last: bytes) -> str:
    """The path of the page after the one that ends with `last`."""
    return f"{path}?{urlencode({**query, 'cursor': base64.urlsafe_b64encode(last).decode().rstrip('=')})}"


def id_of(text: str) -> bytes | None:
    """A message's or batch's id from a path; None for what cannot be one."""
    try:
        found = id_bytes(text)
    except ValueError:
        return None
    return found if id_text(found) == text.lower() else None
