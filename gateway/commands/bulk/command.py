"""The part of `sluice send` that has a file: rehearse it, or run it and say how it went."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from gateway.api.checks import Rules
from gateway.commands.bulk.campaign import Campaign
from gateway.commands.bulk.journal import Journal, Progress
from gateway.commands.bulk.rehearsal import Rehearsal, amount, live_plan, rehearse
from gateway.commands.bulk.rows import Sheet, open_sheet
from gateway.commands.bulk.watching import counts, watching
from gateway.commands.bulk.wish import Wish
from gateway.commands.bulk.wish import Writer as _Writer
from gateway.commands.client import Client, Refused, print_json
from gateway.commands.tables import Column, screen, show
from gateway.commands.times import clock
from gateway.config import load

_RUN = re.compile(r"[^\x00-\x1f/\\]{1,100}")


class Order(msgspec.Struct, frozen=True):
    """What the command line says. `run` None: named after the file."""

    path: Path
    encoding: str
    text: str | None
    defaults: dict[str, Any]
    run: str | None
    rate: float | None
    patience_s: float
    dry_run: bool
    as_json: bool


def send_file(order: Order) -> int:
    """Do it. Returns the exit code: 3 when rows were refused."""
    if order.run is not None and (not _RUN.fullmatch(order.run) or order.run.startswith(".")):
        raise click.BadParameter("a name of up to 100 characters, without / and \\", param_hint="--run")
    sheet = open_sheet(order.path, order.encoding)
    wish = Wish(order.run or order.path.stem[:100], order.text, order.defaults)
    _Writer(wish, sheet)  # what is wrong with the text, before anything else
    client, err = Client(), Console(stderr=True, highlight=False, markup=False)
    with err.status(f"reading {sheet.path}") if err.is_terminal else _Nothing():
        total = sum(1 for _ in sheet.rows())
    if not total:
        raise click.UsageError(f"{sheet.path} has no rows below its header")
    return _rehearse(order, wish, sheet, client) if order.dry_run else _run(order, wish, sheet, client, err, total)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _run(order: Order, wish: Wish, sheet: Sheet, client: Client, err: Console, total: int) -> int:
    journal = Journal(sheet, wish.run, order.run is not None)
    url = client.target.url
    with watching(err, total) as shown:
        rate, patience_s = order.rate, order.patience_s
        campaign = Campaign(wish, sheet, journal, client, url, shown, rate=rate, patience_s=patience_s)
        progress = campaign.resume()
        first = progress.rows
        if first and first < total:
            err.print(f"going on after row {first:,} of {total:,}", soft_wrap=True)
        shown.begin(progress)
        try:
            campaign.run(progress)
        except KeyboardInterrupt:
            err.print(_how_to_go_on("stopped", progress, total), soft_wrap=True)
            raise
        except Refused as e:
            e.todo = ". ".join(filter(None, (e.todo, _how_to_go_on("the run has stopped", progress, total))))
            raise
    if order.as_json:
        print_json(_document(wish, sheet, journal, progress, campaign))
    else:
        _say(sheet, journal, progress, campaign, new=progress.rows - first)
    return 3 if progress.refused else 0


def _how_to_go_on(what: str, progress: Progress, total: int) -> str:
    return (
        f"{what} after {progress.rows:,} of {total:,} rows ({counts(progress)});"
        " the same command goes on there, and nobody gets two"
    )


def _say(sheet: Sheet, journal: Journal, progress: Progress, campaign: Campaign, new: int) -> None:
    out = screen()
    if not new:
        out.print(
            f"The run `{progress.run}` of {sheet.path} was complete before: nothing was sent now.", soft_wrap=True
        )
        out.print("To send these rows again as another run: --run NAME")
    else:
        out.print(f"{sheet.path}, run `{progress.run}`: {progress.rows:,} rows", soft_wrap=True)
    hints = (
        ("accepted", progress.accepted, ""),
        ("duplicates", progress.duplicates, "sent before in this run, or twice in the file: not sent again"),
        ("refused", progress.refused, f"see {journal.refused}" if progress.refused else ""),
    )
    show(
        [Column("", whole=True), Column("rows", right=True), Column("")],
        [(name, f"{number:,}", hint if number else "") for name, number, hint in hints],
        out,
    )
    if campaign.codes:
        out.print("\nWhy rows were refused:")
        rows = [(code, f"{number:,}", campaign.samples[code]) for code, number in campaign.codes.most_common()]
        show([Column("code", whole=True), Column("rows", right=True), Column("the first")], rows, out)
        out.print(
            f"\nMend them there, then: sluice send --file {journal.refused} --run {progress.run} …", soft_wrap=True
        )


def _document(wish: Wish, sheet: Sheet, journal: Journal, progress: Progress, campaign: Campaign) -> dict[str, Any]:
    return {
        "run": wish.run,
        "file": str(sheet.path),
        **{name: getattr(progress, name) for name in ("rows", "accepted", "duplicates", "refused")},
        "refused_file": str(journal.refused) if progress.refused else None,
        "refused_codes": dict(campaign.codes),
    }


def _rehearse(order: Order, wish: Wish, sheet: Sheet, client: Client) -> int:
    plan = live_plan(client)
    compiled = None if isinstance(plan, str) else plan
    found = rehearse(wish, sheet, Rules(load()), compiled, lambda _: None)
    if found.samples:
        first = {"to": found.samples[0]["to"], "text": found.samples[0]["text"], **wish.defaults}
        client.post("/v1/messages/preview", first)  # what this key may not, and what this gateway does not take
    if order.as_json:
        print_json(_rehearsal_document(wish, found))
    else:
        _say_rehearsal(wish, sheet, found, plan if isinstance(plan, str) else "")
    return 3 if found.refused else 0


def _say_rehearsal(wish: Wish, sheet: Sheet, found: Rehearsal, no_plan: str) -> None:
    out = screen()
    out.print(f"{sheet.path}, run `{wish.run}`: nothing is sent by a dry run.\n", soft_wrap=True)
    for sample in found.samples:
        parts = "1 part" if sample["parts"] == 1 else f"{sample['parts']} parts"
        out.print(f"  {sample['to']}  {sample['text']!r} ({parts}, {sample['encoding']})", soft_wrap=True)
    encodings = ", ".join(f"{number:,} in {name}" for name, number in found.encodings.most_common())
    out.print(f"\n{found.messages:,} messages in {found.parts:,} parts: {encodings}" if found.messages else "")
    if at := wish.defaults.get("send_at"):
        out.print(f"to be sent at {clock(at, day=True)[:19]}")
    if found.sums:
        rows = [
            (operator, carrier, f"{s.messages:,}", f"{s.parts:,}", amount(s.cost_micro, currency))
            for (operator, carrier, currency), s in sorted(found.sums.items(), key=lambda i: -i[1].messages)
        ]
        out.print(f"\nBy the plan (version {found.plan_version}), if every first choice takes them:")
        columns = [Column("operator"), Column("carrier"), Column("messages", right=True), Column("parts", right=True)]
        show([*columns, Column("cost", right=True)], rows, out)
        for currency, micro in _costs(found).items():
            out.print(f"cost: {amount(micro, currency)}")
    elif no_plan:
        out.print(f"The cost is not known: {no_plan}.", soft_wrap=True)
    if found.no_route:
        out.print(f"{found.no_route:,} messages have no route in the plan and would fail.")
    if found.refused:
        refused = found.refused.total()
        out.print(f"\n{refused:,} row{'' if refused == 1 else 's'} would be refused:")
        rows3 = [(code, f"{number:,}", found.first_refused[code]) for code, number in found.refused.most_common()]
        show([Column("code", whole=True), Column("rows", right=True), Column("the first")], rows3, out)


def _rehearsal_document(wish: Wish, found: Rehearsal) -> dict[str, Any]:
    return {
        "run": wish.run,
        **{name: getattr(found, name) for name in ("rows", "messages", "parts", "samples", "no_route", "plan_version")},
        "encodings": dict(found.encodings),
        "refused": dict(found.refused),
        "cost": {currency: f"{micro / 1_000_000:.6f}" for currency, micro in _costs(found).items()},
    }


def _costs(found: Rehearsal) -> dict[str, int]:
    costs: dict[str, int] = {}
    for (_, _, currency), s in found.sums.items():
        costs[currency] = costs.get(currency, 0) + s.cost_micro
    return costs


def exit_with(code: int) -> None:
    """End the command; 0 returns."""
    if code:
        sys.exit(code)
