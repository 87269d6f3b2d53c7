"""Stop lists: which numbers are not to be sent what. Pure."""
