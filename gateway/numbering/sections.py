"""A file of named sections, which a memory map gives without a copy.

    8 bytes magic · 4 bytes length of the head · head (msgpack: name → offset, size) · sections, each at a multiple of 8

In: arrays and bytes. Out: views. Numbers are in the byte order of the machine: the file never leaves it.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

_MAGIC: Final = b"SLUICEN" + (b"1" if sys.byteorder == "little" else b"2")
_ROOM: Final = 4096


class FormatError(ValueError):
    """The file is not one of these, or of another machine."""


def write(path: Path, sections: Mapping[str, array[int] | bytes]) -> None:
    """Write a file, in the order of the mapping."""
    places: dict[str, tuple[int, int]] = {}
    offset = _ROOM
    for name, data in sections.items():
        size = len(data) * data.itemsize if isinstance(data, array) else len(data)
        places[name] = (offset, size)
        offset += -(-size // 8) * 8
    head = msgspec.msgpack.encode(places)
    with path.open("wb") as file:
        file.write((_MAGIC + len(head).to_bytes(4, "little") + head).ljust(_ROOM, b"\0"))
        for name, data in sections.items():
            file.seek(places[name][0])
            if isinstance(data, array):
                data.tofile(file)
            else:
                file.write(data)
        file.truncate(offset)


def read(data: memoryview) -> dict[str, memoryview]:
    """The sections as views of bytes. Raises FormatError."""
    if bytes(data[: len(_MAGIC)]) != _MAGIC:
        raise FormatError("this is no compiled table of this release and machine")
    length = int.from_bytes(data[8:12], "little")
    places = msgspec.msgpack.decode(data[12 : 12 + length], type=dict[str, tuple[int, int]])
    return {name: data[offset : offset + size] for name, (offset, size) in places.items()}
