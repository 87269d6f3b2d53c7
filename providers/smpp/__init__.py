"""SMPP 3.4 carriers: `open` makes a Provider out of a carrier's settings."""

from providers.smpp.carrier import SmppCarrier, open
from providers.smpp.settings import SmppSettings

__all__ = ["SmppCarrier", "SmppSettings", "open"]
