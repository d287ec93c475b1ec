"""The kinds of instrument that come with pumpbench, a row each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hil.capabilities import TargetCapability
from hil.instruments.declaration import (
    ABOVE_ZERO,
    COMMAND,
    TEXT,
    WEB_ADDRESS,
    WHOLE,
    InstrumentKind,
    Setting,
    register_kind,
)
from hil.instruments.mt_sics import MtSicsBalance
from hil.instruments.reset_line import ResetLine
from hil.instruments.switches import PersonAtRotor, command_switch, hub_switch, outlet_switch, place_switch
from hil.instruments.time_line import TimeLine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.instruments.declaration import BenchAccess

POWER: Final = frozenset({TargetCapability.POWER})
BALANCE_BAUD: Final = 9_600  # as such balances leave the factory
_SWITCH: Final = (
    Setting("exactness_ms", WHOLE, "how much later than asked it may switch", 50),
    Setting("settle_ms", WHOLE, "how long to wait once it is on: as long as the board takes to boot", 0),
)
_COMMANDS: Final = (
    Setting("on", COMMAND, "the command that puts it on", required=True),
    Setting("off", COMMAND, "the command that puts it off", required=True),
)


def _line(baud: int) -> tuple[Setting, ...]:
    return (
        Setting("port", TEXT, "a device path, pty:PATH or socket://HOST:PORT", required=True),
        Setting("baud", ABOVE_ZERO, "the speed of a device path", baud),
    )


def _balance(settings: Mapping[str, Any], access: BenchAccess) -> MtSicsBalance:
    return MtSicsBalance(
        partial(access.open_line, settings["port"], settings["baud"]),
        settings["port"],
        resolution_ug=settings["resolution_ug"],
        limit_ms=settings["limit_ms"],
    )


def _time(settings: Mapping[str, Any], access: BenchAccess) -> TimeLine:
    return TimeLine(
        partial(access.open_line, settings["port"], settings["baud"]),
        settings["port"],
        limit_ms=settings["limit_ms"],
    )


for _kind in (
    InstrumentKind(
        "power",
        "a switch of the board's power that commands throw",
        POWER,
        (*_COMMANDS, *_SWITCH),
        partial(command_switch, is_on=True),
    ),
    InstrumentKind(
        "uhubctl",
        "a port of a USB hub that can switch its power",
        POWER,
        (
            Setting("location", TEXT, "the hub's location as uhubctl shows it: 1-1", required=True),
            Setting("port", ABOVE_ZERO, "the port's number", required=True),
            *_SWITCH,
        ),
        hub_switch,
    ),
    InstrumentKind(
        "http-outlet",
        "an outlet that is switched by asking for an HTTP address",
        POWER,
        (
            Setting("on_url", WEB_ADDRESS, "what puts it on", required=True),
            Setting("off_url", WEB_ADDRESS, "what puts it off", required=True),
            *_SWITCH,
        ),
        outlet_switch,
    ),
    InstrumentKind(
        "labgrid",
        "the power of a place of labgrid, which has to be acquired meanwhile",
        POWER,
        (
            Setting("place", TEXT, "the name of the place", required=True),
            Setting("coordinator", TEXT, "HOST:PORT, where $LG_COORDINATOR does not say it", ""),
            Setting("resource", TEXT, "the name of the power resource, where the place has several", ""),
            *_SWITCH,
        ),
        place_switch,
    ),
    InstrumentKind(
        "reset",
        "a command that makes the board a new pump, its memory erased",
        frozenset({TargetCapability.RESET}),
        (
            Setting(
                "command",
                COMMAND,
                "that command; {profile} in it is the profile to make it from",
                required=True,
            ),
            _SWITCH[1],
        ),
        ResetLine,
    ),
    InstrumentKind(
        "magnet",
        "a magnet that commands bring near the pump and take away",
        frozenset({TargetCapability.MAGNET}),
        (*_COMMANDS, *_SWITCH),
        partial(command_switch, is_on=False),
    ),
    InstrumentKind(
        "stall",
        "a person at the terminal who holds the rotor and lets it go",
        frozenset({TargetCapability.STALL}),
        (),
        lambda _settings, access: PersonAtRotor(access.ask),
    ),
    InstrumentKind(
        "balance",
        "a balance that speaks MT-SICS and bears what the pump delivers",
        frozenset({TargetCapability.BALANCE}),
        (
            *_line(BALANCE_BAUD),
            Setting("resolution_ug", ABOVE_ZERO, "the smallest step that it shows", 100),
            Setting("limit_ms", ABOVE_ZERO, "how long a stable mass may take", 30_000),
        ),
        _balance,
    ),
    InstrumentKind(
        "time",
        "a second line over which a board's test build turns the patient's time",
        frozenset({TargetCapability.TIME}),
        (*_line(115_200), Setting("limit_ms", ABOVE_ZERO, "how long the board may take", 60_000)),
        _time,
    ),
):
    register_kind(_kind)
