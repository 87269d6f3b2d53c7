"""Carriers that take the fields of a form over HTTP, described wholly by settings: see docs/http-carriers.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.provider import Reports
from providers._web.carrier import WebCarrier
from providers._web.opening import make
from providers._web.reading import convert
from providers._web.settings import FormSettings

SETTINGS = FormSettings


def open(carrier: str, settings: Mapping[str, Any], reports: Reports) -> WebCarrier:
    """The provider of one account. Raises SettingsError."""
    return make(carrier, convert(carrier, settings, FormSettings), reports)
