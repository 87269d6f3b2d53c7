"""The CLI, one command a module; each exposes `command`."""
