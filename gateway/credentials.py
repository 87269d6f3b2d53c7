"""Secrets that the plan refers to, read where they are used: from the environment or from files.

In: a carrier's settings. Out: the same with `{ env = … }` and `{ file = … }` replaced by what they hold, or
CredentialError. A file without a leading / is looked for in $CREDENTIALS_DIRECTORY, where systemd puts a service's
secrets. Never logs, stores or shows what it read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.plan.lines import Path as Place
from gateway.plan.lines import pointer
from gateway.plan.parse import is_reference, references
from gateway.provider import SecretText

MAX_BYTES: Final = 65_536
"""Larger files are not secrets but mistakes."""


class CredentialError(ValueError):
    """A secret cannot be read. `pointer` is its place in the settings; the text says what to do."""

    def __init__(self, place: str, sentence: str) -> None:
        super().__init__(f"{place}: {sentence}")
        self.pointer = place
        self.sentence = sentence


def resolve(settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings with every reference replaced. One newline at a file's end is not part of the secret.

    Raises CredentialError for the first that cannot be read.
    """
    found: dict[str, Any] = _resolve(dict(settings), (), os.environ if environ is None else environ)
    return found


def unreadable(settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[CredentialError]:
    """What `resolve` would fail on, all of it."""
    found = []
    for place, reference in references(settings):
        try:
            _resolve(reference, place, os.environ if environ is None else environ)
        except CredentialError as e:
            found.append(e)
    return found


def _resolve(value: Any, place: Place, environ: Mapping[str, str]) -> Any:
    if is_reference(value):
        return SecretText(
            _from_environment(value["env"], place, environ)
            if "env" in value
            else _from_file(os.path.join(environ.get("CREDENTIALS_DIRECTORY", ""), value["file"]), place)
        )
    if isinstance(value, dict):
        return {name: _resolve(inner, (*place, name), environ) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, (*place, index), environ) for index, inner in enumerate(value)]
    return value


def _from_environment(name: str, place: Place, environ: Mapping[str, str]) -> str:
    secret = environ.get(name, "")
    if not secret:
        raise CredentialError(pointer(place), f"The environment variable {name} is not set or empty.")
    return secret


def _from_file(name: str, place: Place) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise CredentialError(pointer(place), f"The file {name} cannot be read: {e.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise CredentialError(pointer(place), f"The file {name} is larger than {MAX_BYTES} bytes: it is not a secret.")
    try:
        secret = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CredentialError(pointer(place), f"The file {name} is not UTF-8 text.") from None
    if not secret:
        raise CredentialError(pointer(place), f"The file {name} is empty.")
    return secret
