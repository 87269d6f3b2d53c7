"""A text with {placeholders}, filled with a row's values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import click

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template:
    """`fields`: the placeholders, each once. `{{` and `}}` stand for braces. Raises click.UsageError for a lone one."""

    def __init__(self, text: str) -> None:
        self._pieces: list[tuple[str, str]] = []  # literal text, then the field after it
        self.fields: list[str] = []
        literal, at = "", 0
        for found in _PIECE.finditer(text):
            literal += text[at : found.start()]
            at = found.end()
            if found[0] in ("{{", "}}"):
                literal += found[0][0]
                continue
            if found[1] is None or not found[1].strip():
                raise click.UsageError(
                    f"the text has a lone `{found[0]}`: a placeholder is the name of a column, such as {{name}};"
                    " for a brace itself write {{ or }}"
                )
            name = found[1].strip()
            self._pieces.append((literal, name))
            self.fields += [] if name in self.fields else [name]
            literal = ""
        self._rest = literal + text[at:]

    def check(self, columns: Sequence[str]) -> None:
        """Raises click.UsageError for a placeholder that no column fills."""
        named = [c for c in columns if c]
        for field in self.fields:
            if field not in named:
                near = get_close_matches(field, named, 1)
                meant = f"did you mean {{{near[0]}}}? " if near else ""
                has = ", ".join(f"{{{name}}}" for name in named)
                raise click.UsageError(f"no column is named `{field}`: {meant}the file has {has}")

    def lacks(self, values: Mapping[str, str]) -> str:
        """The first placeholder that a row leaves empty; empty when there is none."""
        return next((field for field in self.fields if not values.get(field)), "")

    def fill(self, values: Mapping[str, str]) -> str:
        """The text of one row."""
        return "".join(literal + values[field] for literal, field in self._pieces) + self._rest
