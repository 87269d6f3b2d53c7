"""What becomes of a message, decided from facts alone: rows, the state machine, the fold, the roll-ups. Pure."""
