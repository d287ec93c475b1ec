"""`pumpbench record`: a tap between a programmer and a pump, which records what they say to each other."""

from __future__ import annotations

import shlex
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil import address as addresses
from hil.cli.connection import tell_error
from hil.cli.documents import json_line
from hil.cli.output import say, tell
from hil.cli.quantities import Quantity
from hil.cli.ready_port import tell_ready
from hil.errors import AnswerNotWritten, BenchLost, PumpbenchError, UsageError
from hil.key_file import key_finder, read_keys
from hil.own_paths import path_of
from hil.targets import make_target
from protocol.capture.limits import SIZE_LIMIT_BYTES, SIZE_LIMIT_MOST_BYTES
from protocol.capture.recording import Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from hil.address import Address
    from hil.capture.tap import Tap
    from hil.targets.descriptor import DescriptorChannel
    from hil.targets.emulated import EndingSignals

MIB: Final = 1 << 20


class _Wanted(NamedTuple):
    """What the command line asks for. Without `device_key`, no key of a session is kept."""

    path: Path
    address: Address
    link: Path | None
    place: str
    device_key: Callable[[int], bytes | None] | None
    limit_bytes: int
    as_json: bool


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--target",
    metavar="ADDRESS",
    envvar=addresses.ENVIRONMENT_NAME,
    help="The pump at the other end of the line: pty:PATH, /dev/NAME, socket://HOST:PORT.",
)
@click.option("--link", type=click.Path(path_type=Path), help="A stable name for the PTY: a symlink.")
@click.option(
    "--tcp", metavar="HOST:PORT", help="A TCP port on loopback for the programmer, and no PTY; 0: any port."
)
@click.option(
    "--key",
    "key_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file of the pump, from which those of its sessions follow (default: the development keys).",
)
@click.option(
    "--no-secrets",
    "without_secrets",
    is_flag=True,
    help="Leave the keys of sessions out: their frames cannot be read then without the pump's.",
)
@click.option(
    "--limit",
    "limit_mib",
    type=Quantity("MiB", low=1, high=SIZE_LIMIT_MOST_BYTES // MIB),
    default=SIZE_LIMIT_BYTES // MIB,
    help="How large a file becomes before the next one begins.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON document at the beginning, and one at the end.")
def record(file: Path, *, as_json: bool, **wanted: Any) -> None:
    """Record what a programmer and a pump say to each other, from the middle of their line, until Ctrl-C.

    The programmer opens the port that is printed, instead of the pump's. FILE is new, in pcapng, and for nobody else to
    read; `pumpbench decode FILE` shows it. A full disk ends the recording and not the line; the exit code is then 7.

    It ends by SIGINT or SIGTERM; what a script starts with & ignores SIGINT, so end it with kill.
    """
    try:
        _record(file, as_json=as_json, **wanted)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise


def _record(
    file: Path,
    *,
    target: str | None,
    link: Path | None,
    tcp: str | None,
    key_path: Path | None,
    without_secrets: bool,
    limit_mib: int,
    as_json: bool,
) -> None:
    if not target:
        raise UsageError("nobody has said to which pump the line leads", advice="name it with --target")
    if tcp and link:
        raise UsageError("--tcp and --link exclude each other", advice="a link is the name of a PTY")
    device_key = None if without_secrets else key_finder([] if key_path is None else read_keys(key_path))
    from hil.targets.emulated import ending_signals, errors_as_ours  # noqa: PLC0415 - once all is known to be right

    wanted = _Wanted(
        path=path_of(file, "FILE"),
        address=addresses.parse(target),
        link=None if link is None else path_of(link, "--link"),
        place="pty" if tcp is None else f"tcp:{tcp}",
        device_key=device_key,
        limit_bytes=limit_mib * MIB,
        as_json=as_json,
    )
    with errors_as_ours(), ending_signals() as signals, signals.making() as stack:
        _serve(wanted, signals, stack)


def _serve(wanted: _Wanted, signals: EndingSignals, stack: ExitStack) -> None:
    """Make all that the tap needs, and let it run until a signal, or until a side of the line is lost."""
    from hil.capture.recording_file import begin_recording  # noqa: PLC0415 - as above
    from hil.capture.tap import Tap  # noqa: PLC0415
    from hil.targets.emulated import open_programmers_port  # noqa: PLC0415

    path = wanted.path
    with signals.held():
        far = open_line(wanted.address, stack)
    with signals.held():
        near, offered = open_programmers_port(wanted.place, wanted.link, say, stack)
    with signals.held():
        recorder = begin_recording(
            path,
            {"target": wanted.address.text, "offered": offered, "recorded": "in the middle of the line"},
            trouble=lambda sentence: say(f"{path}: {sentence}"),
            device_key=wanted.device_key,
            size_limit_bytes=wanted.limit_bytes,
        )
        stack.callback(recorder.close)
    with signals.held():
        tap = Tap(near, far, recorder)
        stack.callback(tap.close)
    if wanted.device_key is not None:
        say(
            f"{path} will hold the keys of its sessions: whoever has it can read them (--no-secrets leaves them out)"
        )
    ready = {
        "entry": "ready",
        "target": offered if wanted.link is None else f"pty:{wanted.link.absolute()}",
        "pump": wanted.address.text,
        "recording": str(path.absolute()),
        "secrets": wanted.device_key is not None,
    }
    line = json_line("record", ready) if wanted.as_json else _for_people(ready)
    tell_ready(line, signals, tap, stack)
    trouble: PumpbenchError | None = None
    try:
        tap.run()
    except BenchLost as error:
        trouble = error
    recorder.close()
    if recorder.lost and trouble is None:
        trouble = BenchLost(
            f"the recording {path} ended before the line did, and what came after is not in it",
            advice="record again where there is room",
        )
    with nullcontext() if trouble is None else suppress(AnswerNotWritten):
        _tell_end(path, tap, complete=not recorder.lost, as_json=wanted.as_json)
    if trouble is not None:
        raise trouble


def open_line(address: Address, stack: ExitStack) -> DescriptorChannel:
    """The line to the pump; UsageError where it is none that others could open too."""
    from hil.targets.descriptor import DescriptorChannel  # noqa: PLC0415 - as above

    pump = stack.enter_context(closing(make_target(address)))
    pump.start()
    channel = stack.enter_context(closing(pump.open_channel()))
    if not isinstance(channel, DescriptorChannel):
        raise UsageError(
            f"{address} has no line of its own that could be tapped",
            advice="record an emulator with `pumpbench emulate --record FILE`",
        )
    return channel


def _for_people(ready: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"The line to {ready['pump']} is ready at {ready['target']}, and recorded in {ready['recording']}.",
            f"Talk through it:  pumpbench program status --target {shlex.quote(ready['target'])}",
            "End it:           Ctrl-C",
        ]
    )


def _tell_end(path: Path, tap: Tap, *, complete: bool, as_json: bool) -> None:
    to_pump, from_pump = (tap.passed_bytes[way] for way in (Way.TO_PUMP, Way.FROM_PUMP))
    dropped = tap.dropped_bytes
    done = f"the line was recorded in {path}"
    if as_json:
        document = {
            "entry": "summary",
            "to_pump_bytes": to_pump,
            "from_pump_bytes": from_pump,
            "to_pump_dropped_bytes": dropped[Way.TO_PUMP],
            "from_pump_dropped_bytes": dropped[Way.FROM_PUMP],
            "complete": complete,
        }
        tell(json_line("record", document), done=done)
        return
    lost = f"; {sum(dropped.values())} more found nobody who read them" if any(dropped.values()) else ""
    tell(f"{path}: {to_pump} bytes to the pump, {from_pump} from it{lost}", done=done)
