"""The tables of docs/http-carriers.md and docs/carriers.md, made from the settings' types: `python -m
providers._web.page FILE …` renews them.

In: the page. Out: the page with what stands between its markers written anew. Never: a word that the code does not say.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec

import providers
from providers._web import callback_settings, settings
from providers._web.account import Account
from providers._web.errands import OF_A_QUESTION
from providers._web.placeholders import OF_A_REQUEST, OF_A_SUBMISSION
from providers._web.reading import CARRIERS_REASONS

_MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
BY_NAME = tuple(
    sorted(
        name
        for _, name, _ in pkgutil.iter_modules(providers.__path__)
        if issubclass(getattr(importlib.import_module(f"providers.{name}"), "SETTINGS", type), Account)
    )
)
"""Carriers by name."""
_KINDS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "request": (settings.WebSettings,),
    "json": (settings.JsonSettings,),
    "form": (settings.FormSettings,),
    "auth": tuple(get_args(settings.Auth)),
    "signature": (settings.Signature,),
    "spot": (settings.Spot,),
    "success": (settings.Success,),
    "errors": (settings.ErrorRule,),
    "batch": (settings.Batch,),
    "check": (settings.Ask,),
    "ask": (settings.Question,),
    "balance": (settings.BalanceQuestion,),
    "callbacks": (callback_settings.Callbacks,),
    "proof": tuple(get_args(callback_settings.Proof)),
    "receipts": (callback_settings.Receipts,),
    "inbound": (callback_settings.Inbox,),
    "when": (callback_settings.When,),
    "reply": (callback_settings.Reply,),
    "account": (Account,),
    **{name: (importlib.import_module(f"providers.{name}").SETTINGS,) for name in BY_NAME},
}


def tables() -> dict[str, str]:
    """Every table by its marker."""
    made = {name: _table(kinds) for name, kinds in _KINDS.items()}
    rows = [f"| `{{{name}}}` | {words} |" for name, (_, words) in {**OF_A_SUBMISSION, **OF_A_REQUEST}.items()]
    made["placeholders"] = "\n".join(("| placeholder | is |", "|---|---|", *rows)) + "\n"
    rows = [f"| `{{{name}}}` | {words} |" for name, (_, words) in OF_A_QUESTION.items()]
    made["asking"] = "\n".join(("| placeholder | is |", "|---|---|", *rows)) + "\n"
    made["reasons"] = ", ".join(f"`{reason}`" for reason in CARRIERS_REASONS) + "\n"
    return made


def renew(page: str) -> str:
    """The page with its tables as the code has them now."""
    made = tables()
    return _MARKED.sub(lambda found: f"{found[1]}{made[found[2]]}{found[3]}", page)


def _table(kinds: tuple[type[msgspec.Struct], ...]) -> str:
    shared = settings.WebSettings if issubclass(kinds[0], settings.WebSettings) else Account
    inherited = set() if kinds[0] is shared else _names(shared)
    rows = []
    for kind in kinds:
        tag = kind.__struct_config__.tag
        if tag is not None:
            rows.append(f'| `kind = "{tag}"` | {_first_line(kind)} | |')
        for field in msgspec.structs.fields(kind):
            if field.encode_name not in inherited or not issubclass(kind, shared):
                rows.append(f"| `{field.encode_name}` | {words(field.type)} | {default(field)} |")
    return "\n".join(("| setting | means | default |", "|---|---|---|", *rows)) + "\n"


def _names(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _first_line(kind: type[msgspec.Struct]) -> str:
    return " ".join((kind.__doc__ or "").split()).rstrip(".")


def words(kind: Any) -> str:
    """What a field's type says of itself, or one of its members."""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.description:
            return str(meta.description)
    return next((found for inner in get_args(kind) if (found := words(inner))), "")


def default(field: Any) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
    if value is msgspec.NODEFAULT:
        return "needed"
    if value is None or value in ((), "") or callable(value) or isinstance(value, msgspec.Struct):
        return ""
    text = msgspec.json.encode(value).decode()
    return f"`{text}`"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renew(path.read_text("utf-8")), "utf-8")
