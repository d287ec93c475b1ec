"""`pumpbench program`: reading a pump, and the small commands; `program_commands` and `therapy_commands` have more.

A human confirms before anything is prepared. Output for people has exact decimals; `--json` has raw integers.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from hil.cli import tables
from hil.cli.configuration_command import config
from hil.cli.connection import (
    Options,
    TellsUsageErrors,
    confirm,
    connected,
    one_of,
    require_target,
    show,
    with_options,
)
from hil.cli.documents import Device, StatusPart
from hil.cli.key_commands import keys
from hil.cli.log_lines import LogLines, completeness, history_document, history_lines
from hil.cli.output import on_terminal, say, tell
from hil.cli.path_commands import PATH_COMMANDS
from hil.cli.patient_commands import PATIENT_COMMANDS
from hil.cli.procedure_commands import PROCEDURE_COMMANDS
from hil.cli.program_commands import PROGRAM_COMMANDS
from hil.cli.quantities import CMD_ID, Quantity
from hil.cli.refill_command import refill
from hil.cli.report_command import report
from hil.cli.therapy_commands import THERAPY_COMMANDS
from hil.errors import DeviceError, LinkError, UsageError
from hil.programmer.command_ledger import NO_CMD_ID
from hil.programmer.log_reading import OLDEST
from hil.programmer.verdicts import DID_NOT_HAPPEN
from protocol.identifiers import AlarmClass, AlarmId, InfusionMode
from protocol.log.types import LogName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hil.programmer.log_reading import LogHistory, Progress
    from hil.programmer.programmer import Programmer


@click.group(cls=TellsUsageErrors, help="Talk to a pump as its programmer.")
def program() -> None:
    """Group of the programmer's commands."""


PERIOD_MS = 2_000  # of what is shown again and again


def every_period(pump: Programmer, *, again: bool) -> Iterator[None]:
    """Once, or again after each period of line time."""
    yield
    while again:
        pump.session.wait(PERIOD_MS)
        yield


@program.command()
@click.option("--watch", is_flag=True, help="Show it again every 2 s, until Ctrl-C.")
@with_options
def status(options: Options, watch: bool) -> None:
    """What the pump believes and does.

    With --watch and --json one document a line.
    """
    with connected(options) as pump, ending_by_interrupt(watch), view(options, again=watch) as show_rows:
        for _ in every_period(pump, again=watch):
            show_rows(*read_status(pump))


@contextlib.contextmanager
def view(options: Options, *, again: bool) -> Iterator[Callable[[tables.Rows, Mapping[str, object]], None]]:
    """What shows rows or their document: on a terminal in place of those before, where it is called again."""
    if options.as_json or not again or not on_terminal(sys.stdout):
        yield partial(show, options, again=again)
        return
    from hil.cli.terminal import live_table  # noqa: PLC0415 - a pipe needs no drawing

    with live_table() as show_rows:
        yield lambda rows, _document: show_rows(rows)


@contextlib.contextmanager
def ending_by_interrupt(expected: bool) -> Iterator[None]:
    """Take Ctrl-C as the end of what goes on for ever."""
    try:
        yield
    except KeyboardInterrupt:
        if not expected:
            raise


def read_status(pump: Programmer) -> tuple[tables.Rows, Mapping[str, object]]:
    """The status of a pump as rows and as a document."""
    seen, info = pump.status(), pump.info()
    active = pump.program() if seen.mode is not InfusionMode.NONE else None
    part = StatusPart(device=Device(info.kind, info.serial))
    if active is not None:
        part["program"] = active
    return tables.status_rows(seen, info, active), {**part, **seen._asdict()}


@program.command()
@with_options
def info(options: Options) -> None:
    """Which pump this is."""
    with connected(options) as pump:
        seen = pump.info()
    show(options, tables.info_rows(seen), seen._asdict())


@program.command()
@with_options
def limits(options: Options) -> None:
    """What the pump refuses to exceed."""
    with connected(options) as pump:
        seen = pump.limits()
    show(options, tables.limits_rows(seen), seen._asdict())


@program.command()
@with_options
def delivery(options: Options) -> None:
    """What it has delivered, by source."""
    with connected(options) as pump:
        seen = pump.delivery()
    show(options, tables.delivery_rows(seen), seen._asdict())


@program.command()
@with_options
def reservoir(options: Options) -> None:
    """The calculated reservoir, and when it will be low and empty."""
    with connected(options) as pump:
        seen, state = pump.reservoir(), pump.status()
    show(options, tables.reservoir_rows(seen, state), seen._asdict())


@program.command()
@with_options
def alarms(options: Options) -> None:
    """Each alarm that is active, latched or silenced."""
    with connected(options) as pump:
        seen, state = pump.alarms(), pump.status()
    show(options, "\n".join(tables.alarm_lines(seen, state)) or "no alarms", seen._asdict())


@program.command()
@click.option("--clear", is_flag=True, help="Set the counters to 0 after reading.")
@with_options
def link(options: Options, clear: bool) -> None:
    """What the pump's link has seen go wrong."""
    if clear:
        require_target(options)
    with connected(options, changes="clearing the counters" if clear else "") as pump:
        seen = pump.link_stats(clear=clear)
        show(
            options, tables.link_rows(seen), seen._asdict(), done="the counters were cleared" if clear else ""
        )


@program.command()
@click.option("--security", is_flag=True, help="The security log instead of the main log.")
@click.option("--from", "from_seq", type=Quantity(), default=0, help="First entry (0: the oldest).")
@click.option("--last", type=Quantity(low=1), help="Only the last so many.")
@click.option("--follow", is_flag=True, help="Then show new entries as they come, until Ctrl-C.")
@with_options
def log(options: Options, security: bool, from_seq: int, last: int | None, follow: bool) -> None:
    """The log, whole, with proof that nothing is missing.

    With --follow and --json one document a line: of what is there, then of what is new.
    """
    which = LogName.SECURITY if security else LogName.MAIN
    lines = LogLines()
    with connected(options) as pump, ending_by_interrupt(follow):
        if last is not None:
            from_seq = max(1, pump.log_status(which).last_seq - last + 1)
        history = read_history(pump, which, from_seq)
        show_history(options, history, lines, again=follow)
        if follow:
            for more in new_entries(pump, which, history, every_period(pump, again=True)):
                show_history(options, more, lines, again=True)


def read_history(pump: Programmer, which: LogName, from_seq: int) -> LogHistory:
    """A log, with its progress on a terminal; a line that stays away is said with the entry to go on from."""
    with log_progress() as progress:
        reader = pump.log(which, from_seq=from_seq, progress=progress)
        try:
            return reader.history()
        except LinkError as error:
            if reader.next_seq == from_seq:
                raise
            raise LinkError(
                f"the log was read up to entry {reader.next_seq - 1}, then the line was lost: {error.message}",
                advice="read it again once the line is good",
            ) from error


@contextlib.contextmanager
def log_progress() -> Iterator[Progress | None]:
    """What shows on a terminal how far a long log has been read; None where nobody looks."""
    if not on_terminal(sys.stderr):
        yield None
        return
    from hil.cli.terminal import progress_bar  # noqa: PLC0415 - a pipe needs no drawing

    with progress_bar("reading the log") as progress:
        yield progress


def new_entries(
    pump: Programmer, which: LogName, history: LogHistory, ticks: Iterable[None]
) -> Iterator[LogHistory]:
    """What a log has got since it was read, looked for at each tick; from its start where it was erased."""
    for _ in ticks:
        held = pump.log_status(which)
        if held.epoch != history.epoch or held.last_seq >= history.next_seq:
            from_seq = history.next_seq if held.epoch == history.epoch else OLDEST
            history = pump.read_log(which, from_seq=from_seq)
            yield history


def show_history(options: Options, history: LogHistory, lines: LogLines, *, again: bool = False) -> None:
    """Entries as lines, or as JSON, with what is lost; a document that more may follow is one line."""
    if options.as_json:
        show(options, "", history_document(history, lines), again=again)
        return
    if shown := history_lines(history, lines):
        tell("\n".join(shown))
    say(completeness(history))


@program.command()
@click.argument("cmd_id", type=CMD_ID, required=False)
@with_options
def query(options: Options, cmd_id: int | None) -> None:
    """What became of a command. CMD_ID is 1 to 4294967294; without one it is the last that the pump has received.

    Ends with 0 where the pump answers, also of a command that was refused or never received: read its outcome.
    """
    with connected(options) as pump:
        if cmd_id is None:
            cmd_id = pump.status().last_cmd_id
        if cmd_id == NO_CMD_ID:
            raise UsageError("this key has not commanded anything yet", advice="name the command's id")
        seen, filed = pump.query(cmd_id), pump.ledger.filed(cmd_id)
        notices = list(pump.notices)
    known = tables.verdict(seen, filed)
    document = {"cmd_id": cmd_id, **seen._asdict(), **known._asdict(), "notices": notices}
    show(options, tables.query_rows(cmd_id, seen, filed), document)


@program.command()
@click.argument("cmd_id", type=CMD_ID)
@with_options
def void(options: Options, cmd_id: int) -> None:
    """Make sure that a command that never arrived is never done. CMD_ID is 1 to 4294967294."""
    require_target(options)
    with connected(options, changes="VOID_CMD") as pump:
        seen = pump.void(cmd_id)
        notices = list(pump.notices)
    answer = f"command {cmd_id}: {seen.outcome.name}"
    error = None
    if seen.outcome not in DID_NOT_HAPPEN:
        error = DeviceError(
            f"command {cmd_id} was not voided: the pump answers {seen.outcome.name}",
            advice=f"`pumpbench program query {cmd_id}` says what became of it; do not repeat it",
        )
    show(options, answer, {**seen._asdict(), "notices": notices}, done=answer, error=error)
    if error is not None:
        raise error


@program.command()
@with_options
def ping(options: Options) -> None:
    """Ask whether somebody is there."""
    with connected(options) as pump:
        pump.ping()
    show(options, "the pump answers", {"answered": True})


@program.command()
@click.argument("alarm", type=one_of(AlarmId, any_case=True))
@with_options
def ack(options: Options, alarm: str) -> None:
    """Acknowledge an alarm, by its name."""
    require_target(options)
    with connected(options, changes="ALARM_ACK") as pump:
        seen = pump.acknowledge_alarm(AlarmId[alarm.upper()])
    still = "its cause is still there" if seen.still_active else "its cause is gone"
    show(options, f"{alarm.upper()} acknowledged; {still}", seen._asdict(), done="ALARM_ACK was carried out")


@program.command("alarm-test")
@click.argument("alarm_class", metavar="CLASS", type=one_of(AlarmClass, any_case=True))
@with_options
def alarm_test(options: Options, alarm_class: str) -> None:
    """Let the tone of a class of alarms be heard once: CRITICAL or NON_CRITICAL."""
    require_target(options)
    wanted = AlarmClass[alarm_class.upper()]
    with connected(options, changes="ALARM_TEST") as pump:
        pump.test_alarm(wanted)
    played = f"the tone of a {wanted.name.lower().replace('_', '-')} alarm was played"
    show(options, played, {"alarm_class": wanted}, done="ALARM_TEST was carried out")


@program.command("self-test")
@with_options
def self_test(options: Options) -> None:
    """Have a stopped pump test itself; needs a service key (--role service)."""
    require_target(options)
    with connected(options, changes="SELF_TEST") as pump:
        failed = pump.self_test()
    error = None
    found = "the pump found nothing wrong"
    if failed:
        found = f"the pump found wrong: {failed}"
        error = DeviceError(found, advice="read its alarms and its log; do not rely on it")
    show(options, found, {"failed": failed}, done="SELF_TEST was carried out", error=error)
    if error is not None:
        raise error


@program.command()
@click.argument("cmd_id", type=CMD_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_options
def accept(options: Options, cmd_id: int, yes: bool) -> None:
    """Take an outcome that nobody knows upon yourself. It blocks no more then. CMD_ID is 1 to 4294967294."""
    require_target(options)
    confirm(
        f"have you consulted the log and the patient about command {cmd_id}, and shall it block no more",
        yes=yes,
    )
    with connected(options, changes="filing it") as pump:
        pump.ledger.accept_unknown(cmd_id)
    filed = f"command {cmd_id} is filed as unknown for ever; it blocks no more"
    show(options, filed, {"cmd_id": cmd_id, "accepted": True}, done="it was filed")


for _command in (
    *PROGRAM_COMMANDS,
    *THERAPY_COMMANDS,
    refill,
    *PROCEDURE_COMMANDS,
    *PATH_COMMANDS,
    *PATIENT_COMMANDS,
    report,
    config,
    keys,
):
    program.add_command(_command)
