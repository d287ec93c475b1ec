"""What every `pumpbench program` command shares: its options, a programmer on the target, and asking a human first."""

from __future__ import annotations

import functools
import sys
import termios
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from hil import address as addresses
from hil.cli.documents import ErrorPart, error_fields, json_line, json_text
from hil.cli.help_pages import ListsWholeSentences
from hil.cli.interrupts import ending_of
from hil.cli.output import on_terminal, say, tell
from hil.cli.tables import table
from hil.connected_programmer import connect
from hil.errors import (
    AnswerNotWritten,
    Declined,
    Interrupted,
    OutcomeUnknown,
    PumpbenchError,
    UsageError,
)
from protocol.identifiers import Opcode, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from enum import Enum

    from hil.cli.tables import Rows
    from hil.programmer.programmer import Programmer
    from hil.wire_log import WireEntry


Answer = TypeVar("Answer")


def one_of(names: type[Enum], *, any_case: bool = False) -> click.Choice[str]:
    """The option type whose choices are the names of an enum, in small letters."""
    return click.Choice([each.name.lower() for each in names], case_sensitive=not any_case)


class Options(NamedTuple):
    """The options that every command has, its name, and the errors that its JSON document says already."""

    target: str | None
    as_json: bool
    key_path: Path | None
    role: str | None
    state_path: Path | None
    open_profile: bool
    verbose: bool
    command: str
    told: list[PumpbenchError]


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options, as one argument."""

    @click.option(
        "--target",
        metavar="ADDRESS",
        envvar=addresses.ENVIRONMENT_NAME,
        help=f"One of {addresses.FORMS} (default, for reading alone: emulator).",
    )
    @click.option("--json", "as_json", is_flag=True, help="JSON: raw integers, units in the names.")
    @click.option(
        "--key",
        "key_path",
        type=click.Path(path_type=Path),
        help="Key file (default: the development key of --role).",
    )
    @click.option(
        "--role",
        type=one_of(Role),
        help="Which development key (default: clinician), or which key of the file.",
    )
    @click.option(
        "--state",
        "state_path",
        type=click.Path(path_type=Path),
        help="State file of this programmer (default: one for each key).",
    )
    @click.option("--open", "open_profile", is_flag=True, help="Talk to a board without cryptography.")
    @click.option("-v", "verbose", is_flag=True, help="Show each frame on stderr, and what the pump dropped.")
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in Options._fields if name in kwargs}
        shared = Options(**given, command=_document_name(click.get_current_context()), told=[])
        try:
            command(shared, *args, **kwargs)
        except (PumpbenchError, KeyboardInterrupt) as caught:
            error = caught if isinstance(caught, PumpbenchError) else ending_of(caught)
            if shared.as_json and error not in shared.told:
                tell_error(error)
            raise error from error.__cause__

    return wrapped


def tell_error(error: PumpbenchError) -> None:
    """The document of an error, where stdout takes it: stderr and the exit code say it too.

    It is one line, as it may stand behind others that a program reads line by line.
    """
    with suppress(AnswerNotWritten):
        tell(json_line("error", ErrorPart(error=error_fields(error))))


class TellsUsageErrors(ListsWholeSentences):
    """A group whose commands tell a program that asked for JSON also what is wrong with the command line itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; what follows `--` is no option."""
        options = args[: args.index("--")] if "--" in args else args
        ctx.meta[_WANTS_JSON] = "--json" in options
        with _telling_usage_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it: the command's own options are read here too."""
        with _telling_usage_errors(ctx):
            return super().invoke(ctx)


_WANTS_JSON = f"{__name__}.wants_json"


@contextmanager
def _telling_usage_errors(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if ctx.meta[_WANTS_JSON]:
            path = (error.ctx or ctx).command_path
            tell_error(UsageError(error.format_message(), advice=f"see `{path} --help`"))
        raise


def _document_name(context: click.Context) -> str:
    """The name of a command's document: its own, or that of its group below `program`, whose commands share one."""
    group = context.parent.command.name if context.parent is not None else None
    own = context.command.name or ""
    return own if group in {None, "program"} else str(group)


def require_target(options: Options) -> None:
    """Refuse, before anybody is asked, to change a pump that nobody named: a new emulator would take it and be gone."""
    require_named(options.target)


def require_named(target: str | None) -> None:
    """As `require_target`, for a command that has other options."""
    if not target:
        raise UsageError(
            "nothing was sent: this changes a pump, and none is named",
            advice=f"name one with --target or ${addresses.ENVIRONMENT_NAME}: {addresses.FORMS} "
            "(`pumpbench emulate --link ./pump` starts one at pty:./pump)",
        )


@contextmanager
def connected(options: Options, *, settled: bool = False, changes: str = "") -> Iterator[Programmer]:
    """A programmer with its session open; everything is given back at the end.

    `settled`: a human hears what is to be said of the pump's past before he is asked anything. OutcomeUnknown while
    what became of an earlier command is not known; DeviceError, once, where it was found out that it was received.
    `changes` names what is changed without a command id: a Ctrl-C cannot tell whether it was.
    """
    if not options.target:
        say("pumpbench: no --target is named: this is a new emulated pump, which is gone with this command")
    with ExitStack() as stack:
        programmer = stack.enter_context(
            connect(
                options.target or addresses.DEFAULT_ADDRESS,
                key=options.key_path,
                role=Role[options.role.upper()] if options.role else None,
                state=True if options.state_path is None else options.state_path,
                secured=not options.open_profile,
                watch=_show_frame if options.verbose else None,
            )
        )
        stack.callback(_say_goodbye, programmer)
        told = ""
        try:
            if settled:
                programmer.ledger.resolve()
                _say_notices(programmer)
                programmer.ledger.refuse_after_news()
            yield programmer
            if options.verbose:
                _say_what_was_dropped(programmer)
        except OutcomeUnknown as error:
            told = str(error)
            raise
        except BaseException as error:
            raise _after(programmer, error, changes) from error
        finally:
            _say_notices(programmer, told)


def _show_frame(entry: WireEntry) -> None:
    from hil.wire_log import line_of  # noqa: PLC0415 - it decodes every message, which few ask for

    say(line_of(entry).rstrip())


def _say_what_was_dropped(programmer: Programmer) -> None:
    """Say why the pump has dropped frames, by its own counters; what is asked for here can fail without harm."""
    programmer.wire_log.watch = None
    with suppress(PumpbenchError):
        stats = programmer.link_stats()._asdict().items()
        counted = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in stats if count)
        say(f"pumpbench: the pump's link has counted: {counted or 'nothing'}")


def _say_notices(programmer: Programmer, told: str = "") -> None:
    """Say what there is to say, once; not what an error says already."""
    for notice in programmer.notices:
        if notice != told:
            say(f"pumpbench: {notice}")
    programmer.notices.clear()


def _after(programmer: Programmer, error: BaseException, changes: str) -> BaseException:
    """What to say where an error comes between a command and its answer: first of all that it was sent.

    Also of Ctrl-C and of errors of our own: "aborted" must not be read as "not done".
    """
    filed = programmer.ledger.last_command()
    if changes and isinstance(error, KeyboardInterrupt):
        return Interrupted(f"{changes} may have been done", advice="to do it again does no harm")
    if filed is None or isinstance(error, AnswerNotWritten):
        return error
    if filed.unknown:
        return programmer.ledger.is_unknown(filed, "its answer was not waited for")
    if not isinstance(error, KeyboardInterrupt):
        return error
    if filed.confirmed:
        return AnswerNotWritten(
            outcome_sentence(Opcode(filed.opcode), filed.cmd_id, filed.outcome), "interrupted"
        )
    return ending_of(error, f"{filed.name} was not carried out, its outcome is {filed.outcome}")


def outcome_sentence(opcode: Opcode, cmd_id: int, outcome: str) -> str:
    """What became of a command that the pump has, for where its answer cannot be shown."""
    return f"{opcode.name} {cmd_id} reached the pump, its outcome is {outcome}"


def _say_goodbye(programmer: Programmer) -> None:
    """End the session; who interrupts that has his answer already."""
    with suppress(KeyboardInterrupt):
        programmer.close()


def show(
    options: Options,
    shown: Rows | str,
    document: Mapping[str, object],
    *,
    done: str = "",
    advice: str = "",
    error: PumpbenchError | None = None,
    again: bool = False,
) -> None:
    """A table or sentence for people, or JSON for programs. `done` and `advice`: see `tell`.

    `error` is what the caller raises next: a program is to read one document, not two. What is shown `again` and again
    is one line as a document.
    """
    if options.as_json:
        if error is not None:
            options.told.append(error)
            document = {**document, "error": error_fields(error)}
        text = (json_line if again else json_text)(options.command, document)
        tell(text, done=done, advice=advice)
        return
    tell(shown if isinstance(shown, str) else _table(shown), done=done, advice=advice)


def _table(rows: Rows) -> str:
    """Rows as text, drawn for a terminal where there is one."""
    if not on_terminal(sys.stdout):
        return table(rows)
    from hil.cli.terminal import drawn_table  # noqa: PLC0415 - a pipe needs no drawing

    return drawn_table(rows)


def confirm(what: str, *, yes: bool, otherwise: str = "nothing was sent", option: str = "--yes") -> None:
    """Ask a human before anything is prepared; refuse to guess where there is none.

    Declined where he does not say yes, also by Ctrl-C or Ctrl-D; `otherwise` says what is so then, and `option` what
    says yes in a script.
    """
    if yes:
        return
    if not somebody_is_there():
        raise UsageError(f"{what}: there is no terminal to ask for a yes", advice=f"add {option} in scripts")
    if not answer_to(lambda: click.confirm(f"{what}?", err=True)):
        raise Declined(otherwise)


def somebody_is_there() -> bool:
    """Whether there is a terminal to ask at."""
    # None is one that was closed
    return sys.stdin is not None and sys.stderr is not None and sys.stdin.isatty()


def answer_to(ask: Callable[[], Answer]) -> Answer | None:
    """What a human answers; None where he ends the question by Ctrl-C or Ctrl-D, or cannot be understood."""
    with suppress(termios.error, OSError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer to this
    try:
        return ask()
    except (
        click.Abort,
        UnicodeDecodeError,
        OSError,
    ):  # Ctrl-C, Ctrl-D, a byte that the terminal's encoding does not have, or a question that nobody could read
        say("")  # the prompt's line is still open
        return None
