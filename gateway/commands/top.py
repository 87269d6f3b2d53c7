"""`sluice top`: the installation, live: what moves, what waits, and what limits now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

import click
from rich.live import Live

from gateway.commands.client import Client
from gateway.commands.tables import screen
from gateway.commands.target import find_target, metrics_of
from gateway.commands.teaching import TARGET, lesson
from gateway.commands.watch import page
from gateway.commands.watch.limits import Limit, limit_of
from gateway.commands.watch.sample import Sample, look
from gateway.commands.watch.view import View, view


@click.command(
    "top",
    epilog=lesson(
        "sluice top",
        "sluice top --once                    # one page, for a ticket",
        "sluice top --json | jq .limit.what   # a line of JSON a second",
        "sluice top --metrics api=http://10.0.0.1:8080/metrics --metrics http://10.0.0.2:9100/metrics",
        source=f"The key needs the scope ops. Metrics: --metrics, SLUICE_METRICS, else client.env. {TARGET}",
        codes={0: "done, or ended by Ctrl-C"},
    ),
)
@click.option("--once", is_flag=True, help="Look for one interval, print, end.")
@click.option("--interval", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, metavar="SECONDS")
@click.option(
    "--metrics", "pages", multiple=True, metavar="[NAME=]URL", help="A process' /metrics; repeat it for each."
)
@click.option("--json", "as_json", is_flag=True, help="A document a look, one a line.")
def command(once: bool, interval: float, pages: tuple[str, ...], as_json: bool) -> None:
    """Show what goes on, every second: rates by stage, queues, windows, processes.

    \b
    submitted counts parts; sent and windows are parts too.
    waiting  in the outboxes, without what the carrier has already
    limit    what to look at first: the last queue where messages wait, and
             why whatever empties it is not faster. `nothing`: what comes in
             goes out.

    Queues are measured every five seconds. Elsewhere than on a terminal there is one line a look.
    """
    try:
        if once:
            _once(list(_looks(pages, interval, 2))[-1], as_json)
        elif as_json or not screen().is_terminal:
            for v in _looks(pages, interval):
                limit = limit_of(v)
                click.echo(_json(v, limit) if as_json else page.line_of(v, limit))
        else:
            _live(pages, interval)
    except KeyboardInterrupt:
        return


def _once(v: View, as_json: bool) -> None:
    limit, out = limit_of(v), screen()
    if limit.what == "away":
        raise click.ClickException(limit.sentence)
    if as_json:
        click.echo(_json(v, limit))
    elif out.is_terminal:
        out.print(page.page(v, limit))
    else:
        click.echo("\n".join(page.plain(v, limit)))


def _live(pages: Sequence[str], interval: float) -> None:
    with Live(console=screen(), screen=True, auto_refresh=False) as live:
        for v in _looks(pages, interval):
            live.update(page.page(v, limit_of(v)), refresh=True)


def _looks(pages: Sequence[str], interval: float, count: int | None = None) -> Iterator[View]:
    """A view every `interval`; the first is without rates. Who was started again is looked for where it is now."""
    client = Client()
    before: Sample | None = None
    due = time.monotonic()
    while count is None or count > 0:
        now = look(client, _metrics(client, pages))
        yield view(before, now)
        if any(reading.error for reading in now.readings):
            client = Client(find_target())
        before, count = now, None if count is None else count - 1
        due = max(due + interval, time.monotonic())
        if count != 0:
            time.sleep(max(0.0, due - time.monotonic()))


def _metrics(client: Client, pages: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if pages:
        return tuple(pair for text in pages for pair in metrics_of(text))
    return client.target.metrics or (("api", client.target.url + "/metrics"),)


def _json(v: View, limit: Limit) -> str:
    return json.dumps(page.document(v, limit), ensure_ascii=False)
