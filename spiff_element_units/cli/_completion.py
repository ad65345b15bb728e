"""`completion`: writes the script that completes the command in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._app import PROGRAM, command
from ._output import Output


@command('eval "$(spiff-element-units completion bash)"  # in ~/.bashrc', prints=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(out: Output, shell: str) -> None:
    """Write the completion script for a shell. It also completes keys, processes and elements.

    For bash and zsh, eval it in ~/.bashrc or ~/.zshrc. For fish, write it to
    ~/.config/fish/completions/spiff-element-units.fish.
    """
    made = get_completion_class(shell)
    assert made is not None
    ctx = click.get_current_context().find_root()
    variable = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
    click.echo(made(ctx.command, {}, PROGRAM, variable).source())
