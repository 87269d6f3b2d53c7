"""What the ledger's roll-ups say: figures of any slice, scorecards of carriers, what is unusual. Never a message."""
