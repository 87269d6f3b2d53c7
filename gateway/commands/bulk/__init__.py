"""What `sluice send --file` does: rows of a file become batches of messages, once each."""
