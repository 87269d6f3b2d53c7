"""Which PostgreSQL a command works on: the one that it was told of, else the one that `sluice up` runs."""

from __future__ import annotations

from pathlib import Path

from gateway.commands.settings import names_servers, read_settings
from gateway.embedded.postgres import Running, running


def find_database(config: Path | None, postgres_url: str | None, data: Path) -> tuple[str, Running | None]:
    """The owner's URL, and the server when it is that of `sluice up`. `data`: its directory. Raises SettingsError."""
    if postgres_url is None and not names_servers(config) and (server := running(data / "postgres")):
        return server.url, server
    return read_settings(config, postgres_url=postgres_url).postgres_url, None
