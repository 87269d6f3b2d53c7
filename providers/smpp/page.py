"""The tables of docs/smpp.md, made from the settings' types: `python -m providers.smpp.page FILE` renews them.

In: the page. Out: the page with what stands between its markers written anew. Never: a word that the code does not say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from gateway.provider import RULES
from gateway.smpp import status
from providers._web.page import default, words
from providers.smpp import settings, tables

_MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HINTS = {True: "yes", False: "no"}


def made() -> dict[str, str]:
    """Every table by its marker."""
    return {
        "settings": _settings(settings.SmppSettings),
        "code": _settings(tables.Code),
        "parameter": _settings(tables.Parameter),
        "codes": _codes(),
        "reasons": ", ".join(f"`{reason}`" for reason in status.GIVEN) + "\n",
    }


def renew(page: str) -> str:
    """The page with its tables as the code has them now."""
    found = made()
    return _MARKED.sub(lambda mark: f"{mark[1]}{found[mark[2]]}{mark[3]}", page)


def _settings(kind: type[msgspec.Struct]) -> str:
    rows = [f"| `{f.encode_name}` | {words(f.type)} | {default(f)} |" for f in msgspec.structs.fields(kind)]
    return "\n".join(("| setting | means | default |", "|---|---|---|", *rows)) + "\n"


def _codes() -> str:
    rows = []
    for code in sorted(status.REASONS):
        reason = status.REASONS[code]
        rule = RULES[reason]
        name = status.words(code).partition(" ")[2]
        rows.append(
            f"| `{status.code(code)}` {name} | `{reason}` | {_HINTS[rule.retry]} | {_HINTS[rule.reroute]} "
            f"| {_HINTS[rule.slow]} |"
        )
    head = ("| command_status | reason | same carrier again | another carrier | slow down |", "|---|---|---|---|---|")
    return "\n".join((*head, *rows)) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renew(path.read_text("utf-8")), "utf-8")
