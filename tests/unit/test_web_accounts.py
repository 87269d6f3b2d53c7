"""What all carriers by name have in common, each of them really has."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from gateway.provider import SettingsError
from providers._web.page import BY_NAME
from tests import carrier_exchanges, golden_carriers


def settings_of(name: str) -> dict[str, Any]:
    """Those of its golden file."""
    toml = golden_carriers.FOLDER / f"{name}.toml"
    if toml.exists():
        found: dict[str, Any] = golden_carriers.read(toml)["settings"]
        return found
    return json.loads((carrier_exchanges.FILES / f"{name}.json").read_text("utf-8"))["settings"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("name", BY_NAME)
def test_networks_that_are_none_are_told_by_name_whether_or_not_reports_are_asked_for(name: str, token: bool) -> None:
    settings = settings_of(name)
    if not token:
        settings.pop("callback_token", None)
    module = importlib.import_module(f"providers.{name}")
    for wrong in ("everywhere", "10.0.0.1/8"):
        with pytest.raises(SettingsError, match="`callback_networks` must be networks such as"):
            module.open("acme", settings | {"callback_networks": [wrong]}, golden_carriers.REPORTS)
    module.open("acme", settings | {"callback_networks": ["10.0.0.0/8", "2001:db8::/32"]}, golden_carriers.REPORTS)
