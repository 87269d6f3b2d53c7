"""Sluice: an SMS gateway daemon. The folder list is the data path."""

__version__ = "0.1.0"
