"""The command `pumpbench`: its groups, each imported only when it is called, so that `--help` is quick.

A group is a row of text below: name, module, attribute, one line of help.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

import click

from hil.cli.interrupts import ending_of, exit_unheard, hear_none, hear_one
from hil.cli.output import writing
from hil.errors import AnswerNotWritten, PumpbenchError
from hil.installation import check_protocol_is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_STANDARD_DESCRIPTOR = 2
LEAVING_NOTHING = frozenset({"hil"})
"""Groups that do nothing which Ctrl-C could leave half done: it ends them at once, anywhere."""


class Group(NamedTuple):
    """Where a command is, as text, so that naming it imports nothing."""

    module: str
    attribute: str
    help: str


GROUPS = {
    "emulate": Group("firmware_emu.cli", "emulate", "Start a virtual pump on a port."),
    "profile": Group("firmware_emu.cli", "profile", "See and check profiles: which pump to emulate."),
    "faults": Group(
        "firmware_emu.cli", "faults", "See what can go wrong with a pump, and what causes it here."
    ),
    "program": Group("hil.cli.program", "program", "Talk to a pump as its programmer."),
    "rig": Group(
        "hil.cli.rig_commands", "rig", "Turn the time of an emulated pump, work and watch it from outside."
    ),
    "record": Group(
        "hil.cli.record_command", "record", "Record a line from between a programmer and a pump."
    ),
    "replay": Group(
        "hil.cli.replay_command", "replay", "Play a recorded session again, as its device or its programmer."
    ),
    "decode": Group(
        "hil.cli.decode_command", "decode", "Show what was said in a recording, a line a message."
    ),
    "export": Group(
        "hil.cli.export_command", "export", "Write tables of a recording: CSV, JSON Lines, Parquet."
    ),
    "import": Group(
        "hil.cli.import_command", "import_capture", "Make a recording of another tool's capture."
    ),
    "redact": Group("hil.cli.redact_command", "redact", "Write a recording anew, safe to share."),
    "diff": Group("hil.cli.diff_command", "diff", "Compare two recordings, message by message."),
    "explain": Group(
        "hil.cli.explain_command",
        "explain_command",
        "Say why an alarm, a bolus or a change of state came about.",
    ),
    "monitor": Group("hil.cli.monitor_command", "monitor", "Show a line as it is now, decoded or as pcapng."),
    "wireshark": Group(
        "hil.cli.wireshark_command",
        "wireshark",
        "Let Wireshark and tshark read the wire, and recordings of it.",
    ),
    "plot": Group("hil.cli.plot_command", "plot", "Draw a recording, or what a rig saw of a pump."),
    "hil": Group("hil.cli.run", "hil", "Run the conformance suite against a target."),
    "campaign": Group(
        "hil.cli.campaign_command", "campaign", "Play lives of emulated pumps by the thousand."
    ),
    "report": Group("hil.cli.evidence_command", "evidence", "Check the report of a run: is it whole?"),
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
@click.pass_obj
def cli(on_begin: Callable[[], None] | None) -> None:
    """An implanted drug pump on the desk, emulated, and a test harness around it. Not a medical device."""
    if on_begin is not None and click.get_current_context().invoked_subcommand not in LEAVING_NOTHING:
        on_begin()  # the command is imported, and has not begun


def main() -> None:
    """Run the command line; our errors end it with one sentence and their exit code."""
    _fill_standard_descriptors()
    _write_what_cannot_be_encoded()
    try:
        code = _run()
    except KeyboardInterrupt as interrupt:  # the only one that is heard, between an ending and its exit code
        code = _say(ending_of(interrupt))
    exit_unheard(code)


def _run() -> int:
    """Run the command line and say how it ended; returns the exit code."""
    try:
        ended = cli.main(prog_name="pumpbench", standalone_mode=False, obj=hear_one)
    except PumpbenchError as error:
        hear_none()
        return _say(error)
    except click.ClickException as error:
        hear_none()
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except OSError as error:
        hear_none()
        return _say(_of_stdout(error))
    except click.Abort as error:  # what click makes of Ctrl-C, and of a stdin that ended
        hear_none()
        return _say(ending_of(error))
    hear_none()
    return ended if isinstance(ended, int) else 0  # a number is that of click's own ending, as after --help


def _of_stdout(error: OSError) -> PumpbenchError:
    """The error of a page of click's own, as `--help`, that stdout did not take; any other error is raised again."""
    if all(frame.f_code is not click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        raise error
    try:
        with writing():
            raise error
    except AnswerNotWritten as not_written:
        return not_written


def _say(error: PumpbenchError) -> int:
    """Say what went wrong in one sentence; returns its exit code."""
    if not (isinstance(error, AnswerNotWritten) and error.quiet):
        with contextlib.suppress(OSError):  # nobody reads stderr: the exit code says it all the same
            click.echo(f"pumpbench: {error.one_line()}", err=True)
    return int(error.exit_code)


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
