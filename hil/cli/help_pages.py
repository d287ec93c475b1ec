"""`pumpbench help`: pages that belong to no single command."""

from __future__ import annotations

import click

from hil.errors import EXIT_CODE_WORDS, ExitCode


def exit_codes() -> str:
    """Every exit code, what it says and what it does not."""
    width = max(len(code.name) for code in ExitCode)
    lines = [f"{code:>3}  {code.name:<{width}}  {words}" for code, words in EXIT_CODE_WORDS.items()]
    return "\n".join(["Exit codes of pumpbench. None is ever used for anything else.", "", *lines])


PAGES = {"exit-codes": exit_codes}


@click.command(name="help")
@click.argument("page", type=click.Choice(list(PAGES)), required=False)
@click.pass_context
def help_page(ctx: click.Context, page: str | None) -> None:
    """Print a page, or without one what there is."""
    root = ctx.find_root()
    click.echo(PAGES[page]() if page else root.command.get_help(root))
    if not page:
        click.echo(f"\nPages of `pumpbench help`: {', '.join(PAGES)}")
