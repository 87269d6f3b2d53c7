"""What is said to a request that is no HTTP, or whose body is packed in a way that is not read here."""

from __future__ import annotations

import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, ContentEncodingError, LineTooLong

from gateway.api.wire import words


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (ContentEncodingError("Can not decode content-encoding: brotli (br)."), "as gzip or deflate"),
        (LineTooLong(b"x", 8190), "longer than 8 KB"),
        (BadStatusLine("x"), "look at its first line"),
        (BadHttpMessage("x"), "look at its first line"),
        (None, "look at its first line"),
    ],
)
def test_what_cannot_be_read_is_told_by_what_would_be_right(refused: Exception | None, said: str) -> None:
    assert said in words(refused)
