"""Plain SQL files, applied in the order of their names. A file that was released never changes."""
