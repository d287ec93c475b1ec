"""The command `pumpbench`: its groups, each imported only when it is called, so that `--help` is quick.

A group is a row of text below: name, module, attribute, one line of help.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import NamedTuple

import click

from hil.errors import AnswerNotWritten, PumpbenchError
from hil.installation import check_protocol_is_ours

LAST_STANDARD_DESCRIPTOR = 2


class Group(NamedTuple):
    """Where a command is, as text, so that naming it imports nothing."""

    module: str
    attribute: str
    help: str


GROUPS = {
    "emulate": Group("firmware_emu.cli", "emulate", "Start a virtual pump on a port."),
    "program": Group("hil.cli.program", "program", "Talk to a pump as its programmer."),
    "hil": Group("hil.cli.run", "hil", "Run the conformance suite against a target."),
    "completion": Group("hil.cli.completion", "completion", "Print the completion script of a shell."),
    "help": Group("hil.cli.help_pages", "help_page", "Print a page, such as `help exit-codes`."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names, in the order of the table."""
        return list(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name."""
        group = GROUPS.get(cmd_name)
        if group is None:
            return None
        check_protocol_is_ours()
        command: click.Command = getattr(importlib.import_module(group.module), group.attribute)
        _name_exit_codes(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, group.help) for name, group in GROUPS.items()])


def _name_exit_codes(command: click.Command) -> None:
    """Let the help of a command, and of those in it, end by saying where its exit codes stand."""
    command.epilog = (
        command.epilog or "Exit codes: 0 where it was done; `pumpbench help exit-codes` has the others."
    )
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _name_exit_codes(each)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="pumpbench", prog_name="pumpbench")
def cli() -> None:
    """An implanted drug pump on the desk, emulated, and a test harness around it. Not a medical device."""


def main() -> None:
    """Run the command line; our errors end it with one sentence and their exit code."""
    _fill_standard_descriptors()
    _write_what_cannot_be_encoded()
    try:
        cli(prog_name="pumpbench")
    except PumpbenchError as error:
        if not (isinstance(error, AnswerNotWritten) and error.quiet):
            with contextlib.suppress(OSError):  # nobody reads stderr: the exit code says it all the same
                click.echo(f"pumpbench: {error.one_line()}", err=True)
        sys.exit(int(error.exit_code))


def _write_what_cannot_be_encoded() -> None:
    """Show a character that the terminal's encoding does not have by its number: no name of a file may end us."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fill_standard_descriptors() -> None:
    """Put nothing where stdin, stdout or stderr is closed: else the next file that is opened takes its number.

    Inherited, since pytest cannot do without.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_DESCRIPTOR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
