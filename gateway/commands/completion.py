"""`sluice completion`: the script that lets a shell complete commands and options. It asks `sluice` itself."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gateway.commands.teaching import lesson

VARIABLE = "_SLUICE_COMPLETE"


@click.command(
    "completion",
    epilog=lesson(
        "sluice completion bash >> ~/.bashrc",
        "sluice completion zsh >> ~/.zshrc",
        "sluice completion fish > ~/.config/fish/completions/sluice.fish",
    ),
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands and options."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "sluice", VARIABLE).source())
