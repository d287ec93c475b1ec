"""`pumpbench completion`: the script that lets a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hil.cli.output import tell

VARIABLE = "_PUMPBENCH_COMPLETE"  # click's name: its own scripts set it
WHERE = {
    "bash": 'eval "$(pumpbench completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(pumpbench completion zsh)" in ~/.zshrc',
    "fish": "pumpbench completion fish > ~/.config/fish/completions/pumpbench.fish",
}


EXIT_CODES = """\
\b
Exit codes:
   0  it was printed
  12  the output could not be printed
"""


@click.command(
    epilog="\b\n" + "\n".join(f"{shell}: {line}" for shell, line in WHERE.items()) + f"\n\n{EXIT_CODES}"
)
@click.argument("shell", type=click.Choice(list(WHERE)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    script = get_completion_class(shell)
    assert script is not None, f"click completes in {shell}"  # noqa: S101 - the choice lists what click has
    tell(script(ctx.find_root().command, {}, "pumpbench", VARIABLE).source())
