"""Tells applications what became of their messages: events from the outbox to their URLs, signed."""
