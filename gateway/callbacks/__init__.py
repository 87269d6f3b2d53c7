"""Callbacks as data: events for applications, whom to tell, signatures, addresses, pauses between tries. Pure."""
