"""`pumpbench replay`: a recorded session played again, as its device or as its programmer."""

from __future__ import annotations

import shlex
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil import address as addresses
from hil.cli.connection import one_of, tell_error
from hil.cli.documents import json_line
from hil.cli.output import say, tell
from hil.cli.quantities import Quantity
from hil.cli.ready_port import tell_ready
from hil.cli.stays_stopped import LEAVE_STOPPED
from hil.errors import AnswerNotWritten, BenchLost, NotTheSame, PumpbenchError, UsageError
from hil.key_file import read_keys
from hil.own_paths import path_of
from hil.programmer.entropy import SystemEntropy
from hil.quantity_words import are, counted
from hil.replay.conversation import read_conversation
from hil.replay.device import OnMiss, ReplayDevice
from hil.replay.timing import timing_named
from hil.targets.choices import SEED_MAX

if TYPE_CHECKING:
    from contextlib import ExitStack

    from hil.replay.conversation import Conversation
    from hil.replay.timing import Timing
    from hil.targets.emulated import EndingSignals

AS_DEVICE, AS_PROGRAMMER = "device", "programmer"
OF_ONE_SIDE: Final = {
    **{name: (AS_DEVICE, f"--{name}") for name in ("link", "tcp", "strict")},
    "on_miss": (AS_DEVICE, "--on-miss"),
    **{name: (AS_PROGRAMMER, f"--{name}") for name in ("target", "seed", "profile", "yes")},
    "rules_path": (AS_PROGRAMMER, "--rules"),
    "leave_stopped": (AS_PROGRAMMER, "--leave-stopped"),
    "all_of_them": (AS_PROGRAMMER, "--all"),
}
"""Options that only one side has, by their names."""


class _Wanted(NamedTuple):
    """What the command line asks of a device."""

    path: Path
    conversation: Conversation
    timing: Timing
    on_miss: OnMiss
    strict: bool
    link: Path | None
    place: str
    as_json: bool


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "side",
    type=click.Choice([AS_DEVICE, AS_PROGRAMMER]),
    required=True,
    help="Whose part is played: the device's for a programmer, or the programmer's at a device.",
)
@click.option("--timing", default="original", help="original, xN (N times as fast), or asked (at once).")
@click.option(
    "--in-part", is_flag=True, help="Play what can be read of a file that is damaged, or partly sealed."
)
@click.option(
    "--key",
    "key_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file of the device: for a recording that holds no keys, and to open sessions as its programmer.",
)
@click.option("--link", type=click.Path(path_type=Path), help="A stable name for the PTY: a symlink.")
@click.option(
    "--tcp", metavar="HOST:PORT", help="A TCP port on loopback for the programmer, and no PTY; 0: any port."
)
@click.option(
    "--on-miss",
    type=one_of(OnMiss),
    default=OnMiss.REFUSE.value,
    help="What becomes of a question that was not recorded. A command is refused, whatever this says.",
)
@click.option("--strict", is_flag=True, help="End with 15 where a request came that was not recorded.")
@click.option(
    "--target",
    metavar="ADDRESS",
    envvar=addresses.ENVIRONMENT_NAME,
    help="As programmer, the device: as of `pumpbench program`.",
)
@click.option(
    "--seed", type=Quantity("", high=SEED_MAX), help="Seed of an emulated pump, if not the recorded one."
)
@click.option("--profile", metavar="NAME", help="Profile of an emulated pump, if not the recorded one.")
@click.option("--all", "all_of_them", is_flag=True, help="Play on after a difference, and show all of them.")
@click.option(
    "--rules",
    "rules_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Rules of your own for what is the same, in TOML, as of `pumpbench diff`.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@LEAVE_STOPPED
@click.option("--json", "as_json", is_flag=True, help="A JSON document a line.")
@click.pass_context
def replay(context: click.Context, /, file: Path, *, as_json: bool, **wanted: Any) -> None:
    """Play a recorded session again, message by message.

    --as device offers a port, opens sessions with the development keys, and answers as the pump in the recording did,
    until Ctrl-C. It says REPLAY, and a command that the recording does not have is refused and never looks done.

    --as programmer sends the recorded requests to the device of --target, commands that change therapy among them, and
    compares what it answers; it ends with 15 at the first difference, or with --all after all of them, and with 14
    where it leaves the pump stopped and nobody confirms that.
    """
    try:
        _check_sides(context, wanted["side"])
        if wanted["side"] == AS_DEVICE:
            _replay_device(file, wanted, as_json=as_json)
        else:
            from hil.cli.replay_programmer import replay_programmer  # noqa: PLC0415 - what only this side needs

            replay_programmer(file, wanted, as_json=as_json)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise


def _check_sides(context: click.Context, side: str) -> None:
    """UsageError where an option was given that the other side has."""
    for name, (owner, option) in OF_ONE_SIDE.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and owner != side:
            raise UsageError(f"{option} is for --as {owner} alone", advice="leave it out")


# --- as the device ---------------------------------------------------------------------------------------------------


def _replay_device(file: Path, given: dict[str, Any], *, as_json: bool) -> None:
    link, tcp, key_path = given["link"], given["tcp"], given["key_path"]
    if tcp and link:
        raise UsageError("--tcp and --link exclude each other", advice="a link is the name of a PTY")
    path, pace = path_of(file, "FILE"), timing_named(given["timing"])
    keys = [] if key_path is None else read_keys(key_path)
    wanted = _Wanted(
        path=path,
        conversation=read_conversation(path, keys, in_part=given["in_part"]),
        timing=pace,
        on_miss=OnMiss(given["on_miss"]),
        strict=given["strict"],
        link=None if link is None else path_of(link, "--link"),
        place="pty" if tcp is None else f"tcp:{tcp}",
        as_json=as_json,
    )
    from hil.targets.emulated import ending_signals, errors_as_ours  # noqa: PLC0415 - once all is known to be right

    say_what_is_left_out(path, wanted.conversation)
    with errors_as_ours(), ending_signals() as signals, signals.making() as stack:
        _serve(wanted, signals, stack)


def say_what_is_left_out(path: Path, conversation: Conversation) -> None:
    """Say what of the file is not played, where somebody has asked for that."""
    if conversation.damaged or conversation.sealed:
        places = f"{counted(conversation.damaged, 'place')} of it {are(conversation.damaged)} damaged"
        frames = f"{counted(conversation.sealed, 'frame')} {are(conversation.sealed)} sealed"
        say(f"{path} is played in part: {places}, and {frames}")


def _serve(wanted: _Wanted, signals: EndingSignals, stack: ExitStack) -> None:
    """Offer the port, and let the device answer until a signal, or until it has met what ends it."""
    from hil.replay.serving import ReplayServer  # noqa: PLC0415 - as above
    from hil.targets.emulated import open_programmers_port  # noqa: PLC0415

    with signals.held():
        near, offered = open_programmers_port(wanted.place, wanted.link, say, stack)
    device = ReplayDevice(
        wanted.conversation,
        SystemEntropy(),
        timing=wanted.timing,
        on_miss=wanted.on_miss,
        tell=lambda sentence: say(f"REPLAY: {sentence}"),
    )
    with signals.held():
        server = ReplayServer(near, device, time.monotonic_ns)
        stack.callback(server.close)
    ready = {
        "entry": "ready",
        "kind": "replay",
        "target": offered if wanted.link is None else f"pty:{wanted.link.absolute()}",
        "recording": str(wanted.path.absolute()),
        "requests": len(wanted.conversation.exchanges),
        "memory_id": f"{device.memory_id:016x}",
    }
    tell_ready(json_line("replay", ready) if wanted.as_json else _for_people(ready), signals, server, stack)
    trouble: PumpbenchError | None = None
    try:
        server.run()
    except BenchLost as error:
        trouble = error
    trouble = trouble or _judged(device, strict=wanted.strict)
    with nullcontext() if trouble is None else suppress(AnswerNotWritten):
        _tell_end(device, as_json=wanted.as_json)
    if trouble is not None:
        raise trouble


def _for_people(ready: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"A REPLAY of {ready['recording']} is ready at {ready['target']}. It is no pump: nothing it says is done.",
            f"Talk to it:  pumpbench program info --target {shlex.quote(ready['target'])}",
            "             All else it answers in the order of the recording, each request once.",
            "End it:      Ctrl-C",
        ]
    )


def _judged(device: ReplayDevice, *, strict: bool) -> NotTheSame | None:
    """The error of a run in which something came that was not recorded, where that is one."""
    tally = device.tally
    if not (device.stopped or (strict and tally.missed)):
        return None
    return NotTheSame(
        f"{tally.missed} of {tally.asked} requests were not recorded ({tally.nearest} answered as the nearest, "
        f"{tally.refused} refused); the first: {tally.misses[0]}",
        advice="the others stand above" if tally.missed > 1 else "",
    )


def _tell_end(device: ReplayDevice, *, as_json: bool) -> None:
    tally = device.tally
    if as_json:
        tell(
            json_line("replay", {"entry": "summary", "kind": "replay", **asdict(tally)}),
            done="it was replayed",
        )
        return
    tell(
        f"REPLAY: {tally.asked} requests came; {tally.recorded} were answered as recorded, {tally.by_rule} by rule, "
        f"{tally.nearest} as the nearest, and {tally.refused} were refused",
        done="it was replayed",
    )
