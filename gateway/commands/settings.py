"""The settings of `sluice run` and `sluice config check`: read, then tried on those who will use them.

In: a file, the environment, options. Out: settings whose addresses and URLs can be read. Never: a connection.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.api import tls
from gateway.config import IN_FILES, Settings, SettingsError, load
from gateway.embedded.address import parse
from gateway.embedded.child import StartError
from gateway.streams.link import Address


def read_settings(path: Path | None, **given: Any) -> Settings:
    """Raises SettingsError with one line that names the setting."""
    settings = load(path, **given)
    for name in IN_FILES:
        _check_port(name, getattr(settings, name))
    try:
        Address.parse(settings.redis_url)
    except ValueError as e:
        raise SettingsError(f"redis_url: {e}") from e
    if urlsplit(settings.postgres_url).scheme not in ("postgresql", "postgres"):
        raise SettingsError("postgres_url: the PostgreSQL URL must begin with postgresql://")
    for name in ("listen", "metrics_listen"):
        try:
            if address := getattr(settings, name):
                parse(address)
        except StartError as e:
            raise SettingsError(f"{name}: {e}") from e
    tls.check(settings)
    return settings


def names_servers(config: Path | None) -> bool:
    """Whether a command was told of a Redis and a PostgreSQL, and so works on them instead of asking the API."""
    return config is not None or any(os.environ.get(f"SLUICE_POSTGRES_URL{end}") for end in ("", "_FILE"))


def _check_port(name: str, url: str) -> None:
    """Python's own words would quote a part of the password that has a / or a # in it."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise SettingsError(
            f"{name}: this is no URL; write special characters of the password as %23 (#), %2F (/), %40 (@), %3A (:)"
        ) from None
