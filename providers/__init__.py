"""Carrier protocols: one module each, known to the gateway by name only."""
