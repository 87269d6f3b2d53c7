"""What a plan would have moved and cost, in words and a table for people.

In: the API's `PlanEffect`. Out: lines. Never asks anything.
"""

from __future__ import annotations

from decimal import Decimal

import click

from gateway.api.documents import Price
from gateway.api.plan_documents import PlanEffect, PlanMove
from gateway.commands.tables import Column, show

_ROWS = 20
_COLUMNS = (
    Column("class"),
    Column("operator"),
    Column("from"),
    Column("to"),
    Column("route", spare=True),
    Column("messages", right=True),
    Column("parts", right=True),
    Column("cost", right=True),
    Column("would cost", right=True),
    Column("difference", right=True),
)


def print_effect(effect: PlanEffect) -> None:
    """The sums, then what moves."""
    since, until = (at.astimezone().strftime("%Y-%m-%d %H:%M") for at in (effect.since, effect.until))
    if not effect.messages:
        click.echo(f"Nothing was sent from {since} to {until}: nothing to try the plan on.")
        return
    looked = "all" if effect.sampled >= effect.messages else f"{effect.sampled:,}"
    click.echo(f"Of {effect.messages:,} messages from {since} to {until} ({looked} looked at)")
    click.echo(f"  {_share(effect.moved, effect.messages)} would go to another carrier,")
    click.echo(f"  {_share(effect.refused, effect.messages)} would find no carrier;")
    before, after = Decimal(effect.cost_before.amount), Decimal(effect.cost_after.amount)
    change = f" ({(after - before) / before:+.1%})" if before else ""
    click.echo(f"  cost {before:,.2f} → {after:,.2f} {effect.cost_after.currency}{change}.")
    if effect.moves:
        click.echo()
        show(_COLUMNS, [_cells(move) for move in effect.moves[:_ROWS]])
    if len(effect.moves) > _ROWS:
        click.echo(f"and {len(effect.moves) - _ROWS} smaller ones: --json has them.")


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.1%})"


def _cells(move: PlanMove) -> tuple[str, ...]:
    route = move.route_after if move.route_before == move.route_after else f"{move.route_before} → {move.route_after}"
    difference = Decimal(move.cost_after.amount) - Decimal(move.cost_before.amount)
    return (
        move.klass,
        move.operator,
        move.carrier_before or "none",
        move.carrier_after or "none",
        route,
        f"{move.messages:,}",
        f"{move.parts:,}",
        _money(move.cost_before),
        _money(move.cost_after),
        f"{difference:+,.2f}",
    )


def _money(price: Price) -> str:
    return f"{Decimal(price.amount):,.2f}"
