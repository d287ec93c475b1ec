"""`pumpbench emulate`: a pump on a port; `pumpbench profile`: which pump. What they do is in `bench`.

Imports nothing of the pump until the command line is known to be right.
"""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from firmware_emu.bench.clock import TRAVEL_MAX_MS, Pace
from firmware_emu.bench.errors import (
    OUT_OF_RESOURCES,
    BadConfigurationError,
    BenchError,
    BenchLostError,
)
from firmware_emu.bench.log import Log
from firmware_emu.bench.signals import ending_signals
from protocol.capture.limits import SIZE_LIMIT_BYTES, SIZE_LIMIT_MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

SEED_MAX = (1 << 63) - 1
MIB = 1 << 20
MEMORY_ID_DIGITS = 16
MOST_BOARDS = 64  # more than anybody has on a desk; each has descriptors of its own


class _WholeNumber(click.IntRange):
    """A whole number within a range, in ASCII digits alone: Python reads `1_000`, spaces and other scripts too."""

    def _describe_range(self) -> str:
        return f"{self.min} to {self.max}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,40}", value):
            self.fail(f"{value[:40]!r} is not a valid integer: write digits, as 25", param, ctx)
        return super().convert(value, param, ctx)


def _checked(read: Callable[[str], object]) -> Callable[..., object]:
    """An option whose text the bench must be able to read; what it cannot is wrong usage."""

    def check(_context: click.Context, _option: click.Parameter, text: str | None) -> object:
        try:
            return None if text is None else read(text)
        except BenchError as error:
            raise click.BadParameter(str(error)) from error

    return check


def _loopback(text: str) -> str:
    from firmware_emu.bench.ports.tcp import parse_loopback  # noqa: PLC0415 - a PTY needs no sockets

    parse_loopback(text)
    return text


def _port(text: str) -> str:
    from firmware_emu.bench.ports.schemes import port_named  # noqa: PLC0415 - the default needs no check

    port_named(text)
    return text


def _memory_id(text: str) -> int:
    if not re.fullmatch(f"[0-9a-fA-F]{{1,{MEMORY_ID_DIGITS}}}", text):
        raise BadConfigurationError(f"{text!r} is no memory id; write 1 to {MEMORY_ID_DIGITS} hex digits")
    return int(text, 16)


@click.command()
@click.option(
    "--port",
    metavar="SCHEME:PLACE",
    callback=_checked(_port),
    help="pty, tcp:HOST:PORT, rfc2217:HOST:PORT, serial:/dev/NAME, or an installed package's.  [default: pty]",
)
@click.option("--pty", "wants_pty", is_flag=True, help="The same as --port pty: a pseudo terminal.")
@click.option("--link", type=click.Path(path_type=Path), help="A stable name for the PTY: a symlink.")
@click.option(
    "--tcp",
    metavar="HOST:PORT",
    callback=_checked(_loopback),
    help="The same as --port tcp:HOST:PORT: on loopback; port 0 lets the system choose.",
)
@click.option(
    "--rfc2217",
    metavar="HOST:PORT[,reset=dtr|rts]",
    callback=_checked(lambda text: _port(f"rfc2217:{text}").removeprefix("rfc2217:")),
    help="The same as --port rfc2217:HOST:PORT: a serial port over telnet; its DTR or RTS may reset the board.",
)
@click.option(
    "--serial",
    metavar="/dev/NAME",
    callback=_checked(lambda text: _port(f"serial:{text}").removeprefix("serial:")),
    help="The same as --port serial:/dev/NAME: the pump at this end of a real cable, at 115200 baud.",
)
@click.option(
    "--boards",
    type=_WholeNumber(1, MOST_BOARDS),
    default=1,
    metavar="N",
    help="So many pumps in this process, each with a port, memory and serial number of its own.  [default: 1]",
)
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="The pump's memory on file: a killed emulator comes back.",
)
@click.option(
    "--profile",
    default="implanted",
    show_default=True,
    metavar="NAME|FILE",
    help="What pump, and what was done to it.",
)
@click.option(
    "--snapshot",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Go on from a snapshot, as `pumpbench rig snapshot --out` or a failed test wrote it.",
)
@click.option(
    "--seed",
    type=_WholeNumber(0, SEED_MAX),
    metavar="N",
    help="Same seed, same input, same bytes. Default: random, in the ready line.",
)
@click.option(
    "--memory-id",
    metavar="HEX",
    callback=_checked(_memory_id),
    help="Identity of a new memory, 1 to 16 hex digits, for a run that must repeat. Default: random.",
)
@click.option(
    "--sync",
    type=click.Choice(["commit", "never"]),
    default="commit",
    show_default=True,
    help="When --image is forced to the disk: at each write of the pump's memory, or when the system likes.",
)
@click.option(
    "--time",
    "pace",
    default="real",
    show_default=True,
    metavar="real|xN|manual",
    callback=_checked(Pace.parse),
    help="How the patient's time runs.",
)
@click.option(
    "--time-off",
    "off_ms",
    type=_WholeNumber(0, TRAVEL_MAX_MS),
    default=0,
    metavar="MS",
    help="How long the pump of --image was without power.",
)
@click.option(
    "--control",
    metavar="HOST:PORT",
    callback=_checked(_loopback),
    help="Rig control over HTTP on loopback: time, power, syringe, faults.",
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Record every byte of the port, and what happens to the pump, in pcapng: `pumpbench decode FILE` reads it.",
)
@click.option(
    "--no-secrets",
    "without_secrets",
    is_flag=True,
    help="Leave the keys of sessions out of --record: their frames cannot be read then.",
)
@click.option(
    "--record-limit",
    "record_limit_mib",
    type=_WholeNumber(1, SIZE_LIMIT_MOST_BYTES // MIB),
    default=SIZE_LIMIT_BYTES // MIB,
    show_default=True,
    metavar="MIB",
    help="How large a file of --record becomes before the next one begins.",
)
@click.option(
    "--until-eof",
    is_flag=True,
    help="End when stdin reaches end of file: with whoever holds the other end of that pipe.",
)
@click.option("--json-ready", is_flag=True, help="The ready line as JSON, also on a terminal.")
@click.pass_context
def emulate(context: click.Context, /, *, wants_pty: bool, **wanted: Any) -> None:
    """Start a virtual pump on a port, and run it until Ctrl-C. Not a medical device.

    The first line on stdout is one JSON object, printed when everything in it is open: target (the address
    for `pumpbench program --target`), port, link, tcp, control, token, keys (path of the key file), identity,
    seed, version. On a terminal there are a few lines for people in its place.

    With --boards N there are N such lines. TCP ports (but for 0), seed and serial number are counted up from those
    of the first board; names of files and links get its number: pump-1, pump-2.
    """
    wanted["port"] = _one_port(
        wanted["port"],
        {"--pty": "pty" if wants_pty else None}
        | {
            f"--{name}": (place := wanted.pop(name)) and f"{name}:{place}"
            for name in ("tcp", "rfc2217", "serial")
        },
        wanted["link"],
    )
    if wanted["off_ms"] and wanted["image"] is None:
        raise click.UsageError("--time-off is about the pump of an --image; give one")

    if wanted["snapshot"] is not None:
        for option in ("profile", "seed", "off_ms"):
            if context.get_parameter_source(option) is not ParameterSource.DEFAULT:
                said = "time-off" if option == "off_ms" else option
                raise click.UsageError(f"--snapshot is a whole pump: leave --{said} out")
    wanted["syncing"] = wanted.pop("sync") == "commit"
    wanted["record_secrets"] = not wanted.pop("without_secrets")
    wanted["record_limit_bytes"] = wanted.pop("record_limit_mib") * MIB
    log = Log("pumpbench emulate")
    with ending_signals() as signals:
        try:
            gc.disable()  # nothing that is imported is garbage, and looking for it costs a tenth of a start
            from firmware_emu.bench import emulator, ready_line  # noqa: PLC0415 - after the cheap checks

            ready_line.ALWAYS_JSON.set(wanted.pop("json_ready"))
            gc.freeze()
            gc.enable()
            emulator.emulate(emulator.Wanted(**wanted), log.say, signals)
        except BenchError as error:
            log.say(str(error))
            context.exit(error.exit_code)
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
            log.say(
                f"the system gives this process too little: {error.strerror}; raise its limits (ulimit -n, -v)"
            )
            context.exit(BenchLostError.exit_code)


def _one_port(port: str | None, shorter: dict[str, str | None], link: Path | None) -> str:
    """The one port that the options name, as `SCHEME:PLACE`; a PTY where they name none."""
    given = {option: text for option, text in (shorter | {"--port": port}).items() if text}
    chosen = next(iter(given.values()), "pty")
    if link is not None and given:
        from firmware_emu.bench.ports.schemes import port_named  # noqa: PLC0415 - the default needs no look

        if not port_named(chosen)[0].is_device:
            given["--link"] = str(link)
    if len(given) > 1:
        first, *_others, last = given
        raise click.UsageError(f"{last} and {first} exclude each other: one line a pump")
    return chosen


AS_JSON = click.option("--json", "as_json", is_flag=True, help="JSON.")


@click.command()
@click.argument("which", metavar="[NUMBER|NAME]", required=False)
@AS_JSON
def faults(which: str | None, as_json: bool) -> None:
    """What can go wrong: the seventy faults of the domain report with what causes each, or all of one of them.

    Those that act on the pump are caused by `pumpbench rig inject NAME`, those of the line by a test's `pump_line`, and
    those of people by what they do.
    """
    from firmware_emu import fault_pages  # noqa: PLC0415 - nothing of it unless it is wanted

    if as_json:
        _tell_json("faults", **fault_pages.as_values())
        return
    try:
        text = fault_pages.overview() if which is None else fault_pages.page(which)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NUMBER|NAME") from error
    click.echo(text)


@click.group()
def profile() -> None:
    """Which pump to emulate: see the profiles there are, and check one of your own."""


@profile.command(name="list")
@AS_JSON
def list_profiles(as_json: bool) -> None:
    """The profiles that are installed, each by the name that `emulate --profile` takes."""
    from firmware_emu.bench.profile_file import profile_names, profile_summary  # noqa: PLC0415 - as above

    summaries = {name: profile_summary(name) for name in profile_names()}
    if as_json:
        _tell_json("profiles", profiles=[{"name": name, "summary": text} for name, text in summaries.items()])
        return
    width = max(map(len, summaries))
    click.echo("\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in summaries.items()))


@profile.command()
@click.argument("which", metavar="NAME|FILE")
@AS_JSON
@click.pass_context
def show(context: click.Context, which: str, as_json: bool) -> None:
    """A profile with every value it has, as a file to start one's own from. Device keys are not shown."""
    from firmware_emu.bench.profile_file import load_profile  # noqa: PLC0415 - as above
    from firmware_emu.bench.profile_text import profile_text  # noqa: PLC0415 - as above

    try:
        text = profile_text(load_profile(which))
    except BenchError as error:
        _end(context, error, as_json=as_json)
        return
    if as_json:
        import tomllib  # noqa: PLC0415 - where it is asked for

        _tell_json("profile", **tomllib.loads(text))
        return
    click.echo(text, nl=False)


@profile.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@AS_JSON
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Say of each file whether it is a profile, or what is wrong in it: key, what was expected, what came."""
    from firmware_emu.bench.profile_file import load_profile  # noqa: PLC0415 - as above

    faults: dict[str, BenchError | None] = {}
    for file in files:
        try:
            load_profile(file)
            faults[file] = None
        except BenchError as error:
            faults[file] = error
    found = [error for error in faults.values() if error is not None]
    if as_json:
        told = [{"file": file, "fault": fault and str(fault)} for file, fault in faults.items()]
        _tell_json("profile-check", good=not found, files=told)
    else:
        for file, fault in faults.items():
            click.echo(f"{file} is a profile" if fault is None else str(fault), err=fault is not None)
    if found:
        context.exit(found[0].exit_code)


@profile.command()
def schema() -> None:
    """The JSON Schema of profile files, for editors; it lies beside the installed profiles, too."""
    import json  # noqa: PLC0415 - as above

    from firmware_emu.bench.profile_rules import json_schema  # noqa: PLC0415 - as above

    click.echo(json.dumps(json_schema(), indent=2))


def _end(context: click.Context, error: BenchError, *, as_json: bool) -> None:
    if as_json:
        _tell_json("error", error={"message": str(error), "exit_code": int(error.exit_code)})
    click.echo(f"pumpbench profile: {error}", err=True)
    context.exit(error.exit_code)


def _tell_json(name: str, /, **parts: object) -> None:
    """A document that begins with its schema and version, as those of `pumpbench program` do."""
    import json  # noqa: PLC0415 - as above

    click.echo(json.dumps({"schema": f"pumpbench/{name}", "version": 1, **parts}, indent=2, default=str))
