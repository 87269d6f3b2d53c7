"""`sluice carriers check NAME --to NUMBER`: bind to a carrier with its settings, send test messages, see what comes.

In: the plan's carrier, somebody who looks at the phone, or a sandbox's control port that shows it. Out: findings and
the settings to write. Never: a secret on the screen.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands.client import Client, Refused, print_json
from gateway.commands.tables import screen
from gateway.credentials import CredentialError, resolve
from gateway.plan.document import Carrier, Plan
from gateway.plan.parse import parse
from gateway.provider import SettingsError
from gateway.provider_modules import examiner
from gateway.text import numbers

Shows = Callable[[str, str], Awaitable[bool | None]]

LOOK_S: Final = 3.0
"""How long a sandbox's phone may take to show a message."""


def run(name: str, to: str, given: dict[str, Any], as_json: bool) -> int:
    """The whole command; its exit code. `given`: sender, plan, control, messages, flood, wait_s."""
    try:
        number = numbers.parse(to, "")
    except numbers.NumberError as e:
        raise click.BadParameter(e.sentence, param_hint="--to") from e
    carrier = _carrier(name, given["plan"])
    found_by = examiner(carrier.provider)
    if found_by is None:
        raise Refused(f"{name} is reached by {carrier.provider}: only carriers by SMPP can be checked with --to")
    control, out = given["control"], screen()
    shows = _phone_of(control, number) if control else _phone_of_a_person(as_json)
    wanted = found_by.Wanted(number, given["sender"], given["messages"], given["flood"], given["wait_s"])

    def tell(line: str) -> None:
        if not as_json:
            out.print(f"  {line}", style="dim")

    try:
        table = resolve(carrier.settings)
        findings = asyncio.run(found_by.examine(name, table, wanted, shows, tell))
    except (SettingsError, CredentialError) as e:
        raise Refused(f"the settings of {name} cannot be used here: {e}") from e
    if as_json:
        told = [{"what": what, "found": said} for what, said in findings.lines]
        more = {name: getattr(findings, name) for name in ("settings", "rate_per_s", "trouble")}
        print_json({"carrier": name, "found": told, **more})
    else:
        _show(carrier, findings)
    return 3 if findings.trouble else 0


def _show(carrier: Carrier, findings: Any) -> None:
    out = screen()
    width = max((len(what) for what, _ in findings.lines), default=0)
    for what, said in findings.lines:
        out.print(f"  {what:<{width}}  {said}", soft_wrap=True, highlight=False, markup=False)
    if findings.trouble:
        out.print(f"{carrier.name}: {findings.trouble}", style="bold red", soft_wrap=True)
    rate = findings.rate_per_s
    if rate is not None and (carrier.rate_per_s is None or carrier.rate_per_s > rate):
        click.echo(f"\nIn the plan, at carrier {carrier.name}:\n  rate_per_s = {rate:g}")
    if findings.settings:
        click.echo("\nSettings to write:")
        for key, value in findings.settings.items():
            click.echo(f"  {key} = {json.dumps(value)}")
    elif not findings.trouble:
        click.echo("\nIts settings are as they should be.")


def _carrier(name: str, file: Path | None) -> Carrier:
    plan = parse(file.read_text("utf-8") if file is not None else _active())
    if not isinstance(plan, Plan):
        raise Refused("the plan cannot be read: " + plan[0].sentence)
    found = plan.carrier(name)
    if found is None:
        known = ", ".join(c.name for c in plan.carriers) or "none"
        raise Refused(f"there is no carrier {name} in the plan; known are: {known}")
    return found


def _active() -> str:
    client = Client()
    version = client.get("/v1/plans")["active"]
    if version is None:
        raise Refused("no plan is active", todo="sluice plan apply FILE --activate")
    return str(client.get(f"/v1/plans/{version}")["document"])


def _phone_of(control: str, number: str) -> Shows:
    """The phone of a sandbox, by its control port."""
    url = f"{control.rstrip('/')}/phone/{urllib.parse.quote(number.lstrip('+'))}"

    def look() -> list[dict[str, Any]]:
        try:
            with urllib.request.urlopen(url, timeout=LOOK_S) as answer:  # noqa: S310 - the operator's own URL
                found: list[dict[str, Any]] = json.load(answer)["messages"]
        except (OSError, ValueError, KeyError) as e:
            raise Refused(f"the control port {control} does not show a phone: {e}") from e
        return found

    async def shows(word: str, text: str) -> bool | None:
        until = asyncio.get_running_loop().time() + LOOK_S
        while True:
            shown = [m for m in await asyncio.to_thread(look) if word in m["text"] or not m["missing"]]
            if any(m["text"] == text and not m["missing"] for m in shown):
                return True
            mine = any(word in m["text"] and not m["missing"] for m in shown)
            if mine or asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.05)

    return shows


def _phone_of_a_person(as_json: bool) -> Shows:
    """Whoever holds the phone; nobody, where nobody can be asked."""

    async def shows(word: str, text: str) -> bool | None:
        if as_json or not sys.stdin.isatty():
            return None
        click.echo(f"\nDoes the phone show exactly this, as one message?\n\n  {text}\n")
        answer = await asyncio.to_thread(_ask)
        return None if answer == "s" else answer == "y"

    return shows


def _ask() -> str:
    return str(click.prompt("y, n, or s to skip", type=click.Choice(["y", "n", "s"])))
