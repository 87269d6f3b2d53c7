"""Rate sheets and registries of senders as CSV: read as people have them, written as they are kept, compared. Pure."""
