"""`pumpbench monitor`: a line as it is now, from a tap in it or from a recording that is being made."""

from __future__ import annotations

import select
import shlex
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from hil import address as addresses
from hil.capture.growing import GrowingFile, Handed
from hil.capture.line_state import LineState
from hil.capture.messages import messages_of
from hil.cli.connection import tell_error
from hil.cli.decode_command import entry_document, entry_text
from hil.cli.documents import json_line
from hil.cli.output import on_terminal, say, writing
from hil.errors import AnswerNotWritten, BadConfiguration, BenchLost, PumpbenchError, UsageError
from hil.key_file import key_finder, read_keys
from protocol.capture.pcapng import NotACapture
from protocol.capture.recording import read_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.capture.messages import Read
    from hil.targets.emulated import EndingSignals
    from protocol.capture.pcapng import Readable

LOOK_AGAIN_MS: Final = 100
"""How often a file is looked at that has not grown."""
READ_BYTES: Final = 65_536
LAST_LINES_S: Final = 2.0
"""How long a reader that takes nothing is waited for once the line has ended."""


class _Wanted(NamedTuple):
    """How it is to be shown."""

    device_key: Callable[[int], bytes | None]
    as_pcapng: bool
    as_json: bool


@click.command()
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--target",
    metavar="ADDRESS",
    help="Tap the line to this pump: pty:PATH, /dev/NAME, socket://HOST:PORT; the programmer opens what is printed.",
)
@click.option(
    "--link", type=click.Path(path_type=Path), help="Of a tap: a stable name for its PTY, a symlink."
)
@click.option(
    "--tcp", metavar="HOST:PORT", help="Of a tap: a TCP port on loopback in place of the PTY; 0: any."
)
@click.option(
    "--key",
    "key_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file of the pump, where the recording holds no keys.",
)
@click.option(
    "--no-secrets",
    "without_secrets",
    is_flag=True,
    help="Of a tap with --pcapng: leave the keys of its sessions out of what is written.",
)
@click.option(
    "--pcapng", "as_pcapng", is_flag=True, help="Write pcapng, for `tshark -r -` or Wireshark on a pipe."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON document a line, as of `decode --json`.")
def monitor(
    file: Path | None,
    target: str | None,
    link: Path | None,
    tcp: str | None,
    key_path: Path | None,
    without_secrets: bool,
    as_pcapng: bool,
    as_json: bool,
) -> None:
    """Show a line as it is now, a line a message, until Ctrl-C or until nobody reads it any more.

    FILE is a recording that is being made: what is in it already is shown first. With --target it is a tap, as `record`
    is, that keeps nothing. On a terminal state, rate, reservoir, alarms and errors of the link stand below.

    It ends by SIGINT or SIGTERM; what a script starts with & ignores SIGINT, so end it with kill.
    """
    try:
        of_tap = link is not None or tcp is not None or without_secrets
        _check_usage(
            file, target, of_tap=of_tap, two_ports=None not in (link, tcp), two_forms=as_pcapng and as_json
        )
        keys = [] if key_path is None else read_keys(key_path)
        wanted = _Wanted(key_finder(keys), as_pcapng, as_json)
        if file is not None:
            _follow(file, wanted)
        else:
            place = "pty" if tcp is None else f"tcp:{tcp}"
            _tap(addresses.parse(target or ""), place, link, wanted, secrets=not without_secrets)
    except AnswerNotWritten as error:
        if not error.quiet:  # a reader that goes away is how this ends, as by Ctrl-C
            raise
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise


def _check_usage(
    file: Path | None, target: str | None, *, of_tap: bool, two_ports: bool, two_forms: bool
) -> None:
    """UsageError for options that do not go together; AnswerNotWritten where there is no stdout."""
    if (file is None) == (target is None):
        raise UsageError("name either a recording that is being made, or a pump with --target")
    if two_forms:
        raise UsageError("--pcapng and --json exclude each other", advice="leave one out")
    if file is not None and of_tap:
        raise UsageError("--link, --tcp and --no-secrets are of a tap", advice="they go with --target")
    if two_ports:
        raise UsageError("--tcp and --link exclude each other", advice="a link is the name of a PTY")
    if sys.stdout is None:
        raise AnswerNotWritten("", "stdout is closed")


# --- a recording that is being made ---------------------------------------------------------------------------------


def _reader_stays(for_ms: int) -> bool:
    """Whether stdout still has a reader, who is watched for so long."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(for_ms)


def _follow(path: Path, wanted: _Wanted) -> None:
    """Show a file as it grows; Ctrl-C is how that ends."""
    with suppress(KeyboardInterrupt):
        try:
            with closing(GrowingFile(path, lambda: _reader_stays(LOOK_AGAIN_MS))) as file:
                _show(file, wanted)
        except NotACapture as error:
            raise BadConfiguration(
                f"{path} is no recording: {error}", advice="name a file in pcapng"
            ) from error
        except OSError as error:
            why = error.strerror or str(error)
            raise BadConfiguration(f"{path} cannot be read ({why})", advice="name a recording") from error


# --- a tap ----------------------------------------------------------------------------------------------------------


def _tap(
    address: addresses.Address, place: str, link: Path | None, wanted: _Wanted, *, secrets: bool
) -> None:
    """Carry a line and show it; the showing has a thread of its own, so that it cannot hold up the line."""
    from hil.targets.emulated import ending_signals, errors_as_ours  # noqa: PLC0415 - once all is known to be right

    with errors_as_ours(), ending_signals() as signals, signals.making() as stack:
        _serve(address, place, link, wanted, signals, stack, secrets=secrets)


def _serve(
    address: addresses.Address,
    place: str,
    link: Path | None,
    wanted: _Wanted,
    signals: EndingSignals,
    stack: ExitStack,
    *,
    secrets: bool,
) -> None:
    from hil.capture.recording_file import recorder_into  # noqa: PLC0415 - as above
    from hil.capture.tap import Tap  # noqa: PLC0415
    from hil.cli.ready_port import stop_on_signals  # noqa: PLC0415
    from hil.cli.record_command import open_line  # noqa: PLC0415
    from hil.targets.emulated import open_programmers_port  # noqa: PLC0415

    handed = Handed(lambda: _reader_stays(0))
    with signals.held():
        far = open_line(address, stack)
    with signals.held():
        near, offered = open_programmers_port(place, link, say, stack)
    told = {"target": address.text, "offered": offered, "recorded": "in the middle of the line, to be shown"}
    device_key = wanted.device_key if secrets or not wanted.as_pcapng else None
    recorder = recorder_into(handed, told, trouble=lambda _: None, device_key=device_key)
    stack.callback(recorder.close)
    with signals.held():
        tap = Tap(near, far, recorder)
        stack.callback(tap.close)
    target = offered if link is None else f"pty:{link.absolute()}"
    say(f"The line to {address.text} is ready at {target}: talk through it by --target {shlex.quote(target)}")
    failed: list[PumpbenchError] = []

    def show() -> None:
        try:
            _show(handed, wanted)
        except PumpbenchError as error:
            failed.append(error)
        handed.abandon()
        with suppress(OSError):  # it has ended before
            tap.stop()

    thread = Thread(target=show, daemon=True)
    stop_on_signals(signals, tap, stack)
    thread.start()
    try:
        tap.run()
    finally:
        recorder.close()
        thread.join(LAST_LINES_S)  # what passed last is shown too
    if failed:
        raise failed[0]
    if recorder.lost and thread.is_alive():
        raise BenchLost("what is shown fell too far behind the line", advice="let its reader read faster")


# --- showing --------------------------------------------------------------------------------------------------------


def _show(source: Readable, wanted: _Wanted) -> None:
    """Write all of a source as it comes. AnswerNotWritten, quiet, once nobody reads it."""
    if wanted.as_pcapng:
        while data := source.read(READ_BYTES):
            with writing():
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        return
    entries = messages_of(read_entries(source), wanted.device_key)
    with _shown(wanted) as show:
        for entry in entries:
            show(entry)


@contextmanager
def _shown(wanted: _Wanted) -> Iterator[Callable[[Read], None]]:
    """How an entry is shown: as a line on a pipe, and on a terminal above how pump and line stand."""
    if wanted.as_json or not on_terminal(sys.stdout):

        def write(entry: Read) -> None:
            line = json_line("monitor", entry_document(entry)) if wanted.as_json else entry_text(entry)
            with writing():
                sys.stdout.write(line + "\n")
                sys.stdout.flush()

        yield write
        return
    from hil.cli.terminal import lines_over_a_table  # noqa: PLC0415 - rich, for a terminal alone

    state = LineState()
    with lines_over_a_table() as show:

        def draw(entry: Read) -> None:
            state.take(entry)
            show(entry_text(entry), state.rows())

        yield draw
