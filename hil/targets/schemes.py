"""The kinds of target, a row each, found by the scheme of an address: what stands before its first colon.

An installed package adds one by an entry point of the group `pumpbench.targets`, whose value is a `Scheme`; a program
adds one by `register_scheme`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import BadConfiguration
from hil.extensions import installed
from hil.targets.usb import FORM, usb_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.targets.choices import PumpChoice
    from hil.targets.target import Target

ENTRY_POINT_GROUP: Final = "pumpbench.targets"
MAX_PORT: Final = 65_535
_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


class Scheme(NamedTuple):
    """One kind of target."""

    name: str
    """What an address begins with: a small letter, then small letters, digits, `+`, `.` and `-`."""
    form: str
    """How such an address is written, for people: `socket://HOST:PORT`."""
    check: Callable[[str, str], object]
    """Refuses an address (its text, and what stands behind the scheme's colon) by BadConfiguration; touches nothing."""
    make: Callable[[str, str, PumpChoice], Target]
    """The target of an address, not started yet. Imports its body only here."""
    lives_on: bool = True
    """Whether the device is there after the command has ended: then outcomes are kept on file without being asked."""
    takes_baud: bool = False
    """Whether the line has a speed that somebody may choose: `?baud=N` at the end, which is `baud` of the choice."""


SCHEMES: Final[dict[str, Scheme]] = {}


def register_scheme(scheme: Scheme) -> None:
    """Add a kind of target. ValueError where there is one of that name, or where it is no name."""
    if not _NAME.fullmatch(scheme.name):
        raise ValueError(f"{scheme.name!r} is no name of a scheme")
    if scheme.name in SCHEMES:
        raise ValueError(f"the scheme {scheme.name} is there already")
    SCHEMES[scheme.name] = scheme


def scheme_named(name: str) -> Scheme | None:
    """The kind of target of that name, also one of an installed package; None where there is none.

    BadConfiguration where the package that brings it cannot be used.
    """
    if name not in SCHEMES and _NAME.fullmatch(name):
        found = installed(ENTRY_POINT_GROUP, name, Scheme, "target")
        if found is not None:
            register_scheme(found)
    return SCHEMES.get(name)


def _check_emulator(text: str, place: str) -> None:
    if text not in {"emulator", "emulator:process"}:
        raise BadConfiguration(
            f"there is no emulator {place!r}", advice="write emulator (in this process), or emulator:process"
        )


def _make_emulator(_text: str, place: str, choice: PumpChoice) -> Target:
    if place:
        from hil.targets.process import ProcessTarget  # noqa: PLC0415

        return ProcessTarget(choice)
    from hil.targets.emulated import EmulatedTarget  # noqa: PLC0415

    return EmulatedTarget(choice)


def _check_path(text: str, place: str) -> None:
    if not place:
        raise BadConfiguration(
            f"the address {text!r} names no path", advice="write pty:PATH or a device path"
        )


def _make_port(text: str, place: str, _choice: PumpChoice) -> Target:
    from hil.targets.port import PortTarget, open_port  # noqa: PLC0415

    return PortTarget(text, lambda: open_port(place, text))


def _make_path(text: str, place: str, choice: PumpChoice) -> Target:
    from hil.targets.board import path_target  # noqa: PLC0415

    return path_target(text, place, choice.baud)


def _make_usb(text: str, place: str, choice: PumpChoice) -> Target:
    from hil.targets.board import usb_target  # noqa: PLC0415

    return usb_target(text, usb_address(text, place), choice.baud)


def _check_bench(text: str, place: str) -> None:
    if not place:
        raise BadConfiguration(
            f"the address {text!r} names no target of a bench file", advice="write bench:NAME"
        )


def _make_bench(text: str, place: str, _choice: PumpChoice) -> Target:
    from hil.bench_file import nearest_bench_file  # noqa: PLC0415
    from hil.targets.board import bench_target  # noqa: PLC0415

    return bench_target(text, nearest_bench_file().target(place))


def host_and_port(text: str, place: str) -> tuple[str, int]:
    """Host and port of `//HOST:PORT`; BadConfiguration names the address."""
    advice = f"write {text.partition(':')[0]}://HOST:PORT"
    host, separator, port = place.removeprefix("//").rpartition(":")
    digits = port.isascii() and port.isdecimal()
    if not (place.startswith("//") and separator and host and digits and 0 < int(port[:6]) <= MAX_PORT):
        raise BadConfiguration(f"the address {text!r} names no host and port", advice=advice)
    host = host.strip("[]")
    try:
        encodable = "\0" not in host and host.encode("idna")
    except UnicodeError:  # a part that is empty, or longer than 63 letters, or what is no letter
        encodable = b""
    if not encodable:
        raise BadConfiguration(
            f"no such address: {text!r}; {host!r} cannot be the name of a host", advice=advice
        )
    return host, int(port)


def _make_socket(text: str, place: str, _choice: PumpChoice) -> Target:
    from hil.targets.port import PortTarget, open_socket  # noqa: PLC0415

    host, port = host_and_port(text, place)
    return PortTarget(text, lambda: open_socket(host, port, text))


def _make_remote_port(text: str, place: str, choice: PumpChoice) -> Target:
    from hil.targets.port import BAUD, PortTarget  # noqa: PLC0415
    from hil.targets.remote_port import RemotePort  # noqa: PLC0415

    host, port = host_and_port(text, place)
    baud = BAUD if choice.baud is None else choice.baud
    return PortTarget(text, RemotePort(host, port, text, baud=baud).open)


def _check_labgrid(text: str, place: str) -> None:
    from hil.targets.labgrid import labgrid_address  # noqa: PLC0415 - few have it

    labgrid_address(text, place)


def _make_labgrid(text: str, place: str, choice: PumpChoice) -> Target:
    from hil.targets.board import labgrid_target  # noqa: PLC0415
    from hil.targets.labgrid import labgrid_address  # noqa: PLC0415

    return labgrid_target(text, labgrid_address(text, place), choice.baud)


def _check_recording(text: str, place: str) -> None:
    if not place:
        raise BadConfiguration(f"the address {text!r} names no recording", advice="write replay:FILE")


def _make_replay(text: str, place: str, _choice: PumpChoice) -> Target:
    from pathlib import Path  # noqa: PLC0415

    from hil.own_paths import path_of  # noqa: PLC0415
    from hil.targets.replayed import ReplayedTarget  # noqa: PLC0415

    return ReplayedTarget(text, path_of(Path(place), "--target"))


for _scheme in (
    Scheme("emulator", "emulator, emulator:process", _check_emulator, _make_emulator, lives_on=False),
    Scheme("pty", "pty:PATH", _check_path, _make_port),
    Scheme("path", "/dev/NAME", _check_path, _make_path, takes_baud=True),
    Scheme("usb", FORM, usb_address, _make_usb, takes_baud=True),
    Scheme("socket", "socket://HOST:PORT", host_and_port, _make_socket),
    Scheme("rfc2217", "rfc2217://HOST:PORT", host_and_port, _make_remote_port, takes_baud=True),
    Scheme("labgrid", "labgrid:PLACE", _check_labgrid, _make_labgrid, takes_baud=True),
    Scheme("bench", "bench:NAME", _check_bench, _make_bench),
    Scheme("replay", "replay:FILE", _check_recording, _make_replay, lives_on=False),
):
    register_scheme(_scheme)
