"""Every setting with what its documentation needs, and where its value in effect comes from.

In: `gateway.config.Settings`, a file, the environment. Out: names, defaults, sentences. Never: a value in effect.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import Metadata, type_info

from gateway.config import IN_FILES, Settings


class Setting(msgspec.Struct, frozen=True):
    """One setting. `default` is as one would write it in TOML; `kind` is text, number, whole number, yes/no or list."""

    name: str
    kind: str
    default: str
    says: str
    bounds: str = ""

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return f"SLUICE_{self.name.upper()}"


_KINDS = {"StrType": "text", "IntType": "whole number", "FloatType": "number", "BoolType": "yes or no"}


def settings() -> list[Setting]:
    """All of them, in the order of the example."""
    found = []
    for field in type_info(Settings).fields:  # type: ignore[attr-defined]
        kind: Any = field.type
        says = ""
        if isinstance(kind, Metadata):
            says, kind = (kind.extra_json_schema or {}).get("description", ""), kind.type
        found.append(
            Setting(
                field.name,
                _KINDS.get(type(kind).__name__, "list of texts"),
                msgspec.json.encode(field.default).decode(),
                says,
                _bounds(kind),
            )
        )
    return found


def _bounds(kind: Any) -> str:
    words = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
    given = ((word, getattr(kind, name, None)) for name, word in words)
    return ", ".join(f"{word} {value:g}" for word, value in given if value is not None)


def origins(path: Path | None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each value comes from: `default`, the file, or a variable. The file has been read without fault before."""
    env = os.environ if environ is None else environ
    in_file = tomllib.loads(path.read_text("utf-8")) if path is not None else {}
    return {s.name: _origin(s, path, in_file, env) for s in settings()}


def _origin(setting: Setting, path: Path | None, in_file: Mapping[str, Any], env: Mapping[str, str]) -> str:
    if setting.name in IN_FILES and env.get(setting.variable + "_FILE"):
        return setting.variable + "_FILE"
    if setting.variable in env:
        return setting.variable
    return str(path) if setting.name in in_file else "default"
