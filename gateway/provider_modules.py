"""Providers by name: which there are, and whether they accept a plan's settings.

In: names and documents. Out: modules, and problems with lines. Never: a connection; opening a provider makes none.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from gateway.plan.check import Checked, check
from gateway.plan.document import Carrier, Plan
from gateway.plan.lines import Lines, Path
from gateway.plan.parse import is_reference, parse
from gateway.plan.problems import Problems
from gateway.provider import Provider, Receipt, Reports, SecretText, SettingsError

_QUOTED: Final = re.compile(r"`(?:\$\.)?([^`]+)`")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@cache
def known() -> frozenset[str]:
    """The names that a plan may use."""
    package = importlib.import_module("providers")
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")


def open_provider(carrier: str, provider: str, settings: dict[str, Any], reports: Reports) -> Provider:
    """Make the provider of one carrier, settings with their secrets in them. Raises SettingsError."""
    if provider not in known():
        raise SettingsError(f"carrier {carrier}: there is no provider `{provider}`")
    made: Provider = importlib.import_module(f"providers.{provider}").open(carrier, settings, reports)
    return made


def examiner(provider: str) -> Any | None:
    """The module that finds out a carrier's settings by test messages: `examine` and `Wanted`; None: there is none."""
    if provider not in known():
        return None
    try:
        return importlib.import_module(f"providers.{provider}.examine")
    except ModuleNotFoundError:
        return None


def check_whole(text: str) -> Checked:
    """`check`, and every carrier's settings as its own provider reads them, secrets left out."""
    plan, problems = check(text, known())
    read = plan if plan is not None else parse(text)
    if not isinstance(read, Plan):
        return Checked(None, problems)
    refused = Problems(Lines(text))
    for index, carrier in enumerate(read.carriers):
        if carrier.provider in known():
            _check_settings(carrier, ("carrier", index, "settings"), refused)
    return Checked(None if refused else plan, sorted((*problems, *refused), key=lambda p: p.line))


def _check_settings(carrier: Carrier, path: Path, problems: Problems) -> None:
    try:
        open_provider(carrier.name, carrier.provider, _stand_ins(carrier.settings), _UNHEARD)
    except SettingsError as e:
        named = (_inside(carrier.settings, name) for name in _QUOTED.findall(str(e)))
        here = next((found for found in named if found), ())
        problems.add((*path, *here), "wrong_settings", _ended(str(e)))


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def _inside(settings: dict[str, Any], name: str) -> Path:
    """The path that a name such as `errors[2].reason` means, as far as the settings have it."""
    found: list[str | int] = []
    value: Any = settings
    for step, index in _STEP.findall(name):
        key = int(index) if index else step
        if isinstance(value, dict) and key not in value:
            break
        if isinstance(value, list) and not (isinstance(key, int) and key < len(value)):
            break
        if not isinstance(value, dict | list):
            break
        value = value[key]
        found.append(key)
    return tuple(found)


def _stand_ins(value: Any) -> Any:
    """The settings with a word in place of each secret."""
    if is_reference(value):
        return SecretText("secret")
    if isinstance(value, dict):
        return {name: _stand_ins(inner) for name, inner in value.items()}
    return [_stand_ins(inner) for inner in value] if isinstance(value, list) else value


def _ignore(_: object) -> None:
    """A provider that is not started reports nothing."""


async def _ignore_later(_: Sequence[Receipt] | Sequence[Any]) -> None:
    """As above, for what is awaited."""


_UNHEARD = Reports(_ignore, _ignore_later, _ignore_later, _ignore)
