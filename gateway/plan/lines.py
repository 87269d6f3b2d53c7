"""Where things stand in a TOML document, which the standard parser does not tell.

In: TOML text that the standard parser accepts. Out: the line of a JSON pointer (RFC 6901) into what it means. Never
judges the text, never reads a value.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*""")
_STRING: Final = re.compile(
    r'''"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
_PLAIN: Final = re.compile(r"[^,\]}#\n]*")


def pointer(path: Path) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


class Lines:
    """The lines of one document, from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._found: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}  # tables so far in each [[array]]
        self._scan()

    def of(self, path: Path) -> int:
        """The line where the path stands, or the nearest thing around it that stands in the document."""
        while path and path not in self._found:
            path = path[:-1]
        return self._found.get(path, 1)

    def _note(self, path: Path, position: int) -> None:
        self._found.setdefault(path, bisect_right(self._starts, position))

    def _scan(self) -> None:
        table: Path = ()
        position = self._blank(0)
        while position < len(self._text):
            if self._text[position] == "[":
                table, position = self._header(position)
            else:
                position = self._pair(table, position)
            position = self._blank(position)

    def _blank(self, position: int) -> int:
        found = _BLANK.match(self._text, position)
        return found.end() if found else position

    def _keys(self, position: int) -> tuple[list[str], int]:
        keys: list[str] = []
        while found := _KEY.match(self._text, position):
            raw = found[1]
            keys.append(tomllib.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw)
            position = found.end()
            if self._text[position : position + 1] != ".":
                break
            position += 1
        return keys, position

    def _header(self, start: int) -> tuple[Path, int]:
        is_array = self._text.startswith("[[", start)
        keys, end = self._keys(start + (2 if is_array else 1))
        path: Path = ()
        for depth, key in enumerate(keys, 1):
            path += (key,)
            if is_array and depth == len(keys):
                self._note(path, start)
                self._arrays[path] = self._arrays.get(path, 0) + 1
            if path in self._arrays:
                path += (self._arrays[path] - 1,)
        self._note(path, start)
        return path, end + (2 if is_array else 1)

    def _pair(self, table: Path, start: int) -> int:
        keys, position = self._keys(start)
        path = table
        for key in keys:
            path += (key,)
            self._note(path, start)
        return self._value(path, position + 1)

    def _value(self, path: Path, position: int) -> int:
        position = self._blank(position)
        if self._text.startswith(("[", "{"), position):
            return self._inside(path, position)
        found = _STRING.match(self._text, position) or _PLAIN.match(self._text, position)
        return found.end() if found else position + 1

    def _inside(self, path: Path, position: int) -> int:
        """An array or an inline table, from its opening bracket to behind its closing one."""
        is_array = self._text[position] == "["
        position, index = self._blank(position + 1), 0
        while position < len(self._text) and self._text[position] not in "]}":
            if is_array:
                self._note((*path, index), position)
                position = self._value((*path, index), position)
            else:
                position = self._pair(path, position)
            index += 1
            position = self._blank(position)
            if self._text.startswith(",", position):
                position = self._blank(position + 1)
        return position + 1
