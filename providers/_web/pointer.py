"""JSON pointers (RFC 6901): where a value stands in a document that a carrier sent.

In: pointers of the settings, decoded documents. Out: values, or None for what is not there. Never: an exception because
of a document.
"""

from __future__ import annotations

from typing import Any, Final

LONGEST_TEXT: Final = 512


class Pointer:
    """A pointer, read once. `""` is the whole document. Raises ValueError for what is no pointer."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        if text and text[0] != "/":
            raise ValueError("must begin with `/`, such as /messages/0/id")
        self.text = text
        self._steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])

    def find(self, document: Any) -> Any:
        """What stands there; None when nothing does."""
        for step in self._steps:
            if isinstance(document, dict):
                document = document.get(step)
            elif isinstance(document, list) and step.isascii() and step.isdigit() and len(step) < 6:
                index = int(step)
                document = document[index] if index < len(document) else None
            else:
                return None
        return document

    def text_at(self, document: Any) -> str:
        """What stands there, as text."""
        return as_text(self.find(document))

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"


def as_text(value: Any) -> str:
    """A scalar of a document as text: what a carrier calls 7, 7.0, "7" and true; empty for anything else."""
    if isinstance(value, str):
        return value[:LONGEST_TEXT].replace("\0", "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    return str(value) if isinstance(value, int) and abs(value) < 10**300 else ""
