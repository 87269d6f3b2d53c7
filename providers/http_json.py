"""Carriers that take a JSON document over HTTP, described wholly by settings: see docs/http-carriers.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.provider import Reports
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.reading import convert
from providers._web.settings import JsonSettings

SETTINGS = JsonSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    return make(carrier, convert(carrier, settings, JsonSettings), reports)
