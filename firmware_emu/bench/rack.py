"""Several boards behind one process: what tells each from the others, and the loop in which they take turns.

Each has its pump, memory, serial number, port and rig control. A board is numbered from 1.
"""

from __future__ import annotations

import re
import selectors
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from firmware_emu.bench.errors import BadConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from firmware_emu.bench.emulator import Wanted
    from firmware_emu.bench.runner import Runner
    from firmware_emu.profile import Profile

_ANY_PORT: Final = "0"
_PLACE: Final = re.compile(r"(?P<before>.*:)(?P<port>[0-9]+)(?P<after>,.*)?", re.DOTALL)
_NUMBERED_SCHEMES: Final = ("tcp:", "rfc2217:")
_SERIAL_NUMBER: Final = re.compile("(?P<letters>.*?)(?P<digits>[0-9]+)", re.DOTALL)


def board_of(wanted: Wanted, number: int) -> Wanted:
    """What is wanted of one board of several; that of the only one is what was wanted.

    A TCP port is counted up, but for 0, and so is the seed; a path gets the number before its suffix.
    BadConfigurationError for what cannot be several.
    """
    if wanted.boards == 1:
        return wanted
    for option, given, one in (
        ("--memory-id", wanted.memory_id, "names one memory"),
        ("--snapshot", wanted.snapshot, "holds one pump"),
    ):
        if given is not None:
            raise BadConfigurationError(f"{option} {one}, and --boards makes several: leave one of them out")
    return wanted._replace(
        boards=1,
        port=_port_of(wanted.port, number),
        control=None if wanted.control is None else _counted_up(wanted.control, number),
        seed=None if wanted.seed is None else wanted.seed + number - 1,
        link=_numbered(wanted.link, number),
        image=_numbered(wanted.image, number),
        record=_numbered(wanted.record, number),
    )


def pump_of(profile: Profile, number: int) -> Profile:
    """The profile with a serial number of its own: that of the first board, counted up.

    BadConfigurationError where its digits do not reach so far.
    """
    if number == 1:
        return profile
    serial = profile.model.serial
    found = _SERIAL_NUMBER.fullmatch(serial)
    counted = "" if found is None else str(int(found["digits"]) + number - 1).zfill(len(found["digits"]))
    if found is None or len(counted) > len(found["digits"]):
        raise BadConfigurationError(
            f"serial {serial!r} of the profile cannot be counted up to board {number}: let it end in enough digits"
        )
    return replace(profile, model=replace(profile.model, serial=found["letters"] + counted))


def run_together(runners: Sequence[Runner]) -> None:
    """Serve all boards until one is told to stop; then all do."""
    if len(runners) == 1:
        runners[0].run()
        return
    with ExitStack() as stack, selectors.DefaultSelector() as any_of:
        for each in runners:
            any_of.register(each.selector, selectors.EVENT_READ)
            stack.enter_context(each.serving())
        while not any(each.is_stopping for each in runners):
            any_of.select(min(each.wait_s() for each in runners))
            for each in runners:
                each.turn(0.0)


def _port_of(port: str, number: int) -> str:
    if port.startswith(_NUMBERED_SCHEMES):
        return _counted_up(port, number)
    if port == "pty":
        return port
    raise BadConfigurationError(
        f"--boards takes --pty, --tcp and --rfc2217, and {port} is one port: name one of them"
    )


def _counted_up(place: str, number: int) -> str:
    found = _PLACE.fullmatch(place)
    if found is None or found["port"] == _ANY_PORT:
        return place
    return f"{found['before']}{int(found['port']) + number - 1}{found['after'] or ''}"


def _numbered(path: Path | None, number: int) -> Path | None:
    return None if path is None else path.with_name(f"{path.stem}-{number}{path.suffix}")
