"""`pumpbench help`: pages that belong to no single command; and how a group lists its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hil.cli.output import tell
from hil.errors import EXIT_CODE_WORDS, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


SENTENCE_MAX = 200  # characters; all are shorter


class ListsWholeSentences(click.Group):
    """A group whose list of commands has the first sentence of each, over several lines where it is long."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        with formatter.section("Commands"):
            commands = {name: self.commands[name] for name in self.list_commands(ctx)}
            formatter.write_dl(
                [(name, each.get_short_help_str(SENTENCE_MAX)) for name, each in commands.items()]
            )


def exit_codes(name: str | None) -> str:
    """Every exit code, what it says and what it does not. UsageError where one command's are asked for."""
    if name is not None:
        raise UsageError(
            f"there are no exit codes of {name!r} alone", advice="leave it out: each has one meaning"
        )
    width = max(len(code.name) for code in ExitCode)
    lines = [f"{code:>3}  {code.name:<{width}}  {words}" for code, words in EXIT_CODE_WORDS.items()]
    return "\n".join(["Exit codes of pumpbench. None is ever used for anything else.", "", *lines])


def json_schema(name: str | None) -> str:
    """The JSON Schema of the document of a command, or those of all."""
    from hil.cli.json_schema import DOCUMENTS, schema_page  # noqa: PLC0415 - it imports every message

    if name is not None and name not in DOCUMENTS:
        raise UsageError(f"there is no document {name!r}", advice=f"name one of {', '.join(DOCUMENTS)}")
    return schema_page(name)


def program_schema() -> str:
    """The JSON Schema of a program file, for editors."""
    from hil.programs.schema import program_schema_page  # noqa: PLC0415 - as above

    return program_schema_page()


def bench_schema() -> str:
    """The JSON Schema of a bench file, for editors."""
    import json  # noqa: PLC0415 - as above

    from hil.bench_file import bench_file_schema  # noqa: PLC0415 - as above

    return json.dumps(bench_file_schema(), indent=2)


PAGES: dict[str, Callable[[str | None], str]] = {
    "bench-schema": lambda _name: bench_schema(),
    "exit-codes": exit_codes,
    "json-schema": json_schema,
    "program-schema": lambda _name: program_schema(),
}


@click.command(name="help")
@click.argument("page", type=click.Choice(list(PAGES)), required=False)
@click.argument("command", required=False)
@click.pass_context
def help_page(ctx: click.Context, page: str | None, command: str | None) -> None:
    """Print a page, or without one what there is.

    json-schema COMMAND prints the JSON Schema of what `pumpbench program COMMAND --json` prints, rig-COMMAND of
    `pumpbench rig COMMAND --json`, `error` of their errors; program-schema that of the files of `program write`;
    bench-schema that of `pumpbench.toml`.
    """
    if page is not None:
        tell(PAGES[page](command))
        return
    root = ctx.find_root()
    tell(f"{root.command.get_help(root)}\n\nPages of `pumpbench help`: {', '.join(PAGES)}")
