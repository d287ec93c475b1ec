"""The kinds of port, a row each, found by the scheme of `--port SCHEME:PLACE`.

An installed package adds one by an entry point of the group `pumpbench.ports`, whose value is a `PortScheme`; a
program adds one by `register_port`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.extensions import installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.bench.ports.port import Port, Say

ENTRY_POINT_GROUP: Final = "pumpbench.ports"
_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


class PortScheme(NamedTuple):
    """One kind of port."""

    name: str
    """A small letter, then small letters, digits, `+`, `.` and `-`."""
    form: str
    """How `--port` names such a port, for people: `tcp:HOST:PORT`."""
    check: Callable[[str], None]
    """Refuses a place (what stands behind the colon, "" without one) by BadConfigurationError; opens nothing."""
    open: Callable[[str, Say], Port]
    """Opens the port at a place; BenchError says why it cannot. Imports its body only here."""
    target: str
    """The address of such a port for `pumpbench program --target`, `{}` for the port's own: `socket://{}`.

    "" where nobody here can know it: at the other end of a cable a port has another name.
    """
    is_device: bool = False
    """Whether its address is a device path, for which `--link` can make a name."""


PORTS: Final[dict[str, PortScheme]] = {}


def register_port(scheme: PortScheme) -> None:
    """Add a kind of port. ValueError where there is one of that name, or where it is no name."""
    if not _NAME.fullmatch(scheme.name):
        raise ValueError(f"{scheme.name!r} is no name of a kind of port")
    if scheme.name in PORTS:
        raise ValueError(f"the kind of port {scheme.name} is there already")
    PORTS[scheme.name] = scheme


def port_named(text: str) -> tuple[PortScheme, str]:
    """Kind and place of `SCHEME:PLACE`, checked. BadConfigurationError where no such port can be opened."""
    name, _, place = text.partition(":")
    if name not in PORTS and _NAME.fullmatch(name):
        found = installed(ENTRY_POINT_GROUP, name, PortScheme)
        if found is not None:
            register_port(found)
    if name not in PORTS:
        forms = ", ".join(scheme.form for scheme in PORTS.values())
        raise BadConfigurationError(f"there is no kind of port {name!r}; there are {forms}")
    scheme = PORTS[name]
    scheme.check(place)
    return scheme, place


def _check_pty(place: str) -> None:
    if place:
        raise BadConfigurationError(
            f"the system chooses the path of a PTY: write pty, and --link {place} to name it"
        )


def _open_pty(_place: str, _say: Say) -> Port:
    from firmware_emu.bench.ports.pty import PtyPort  # noqa: PLC0415

    return PtyPort()


def _check_tcp(place: str) -> None:
    from firmware_emu.bench.ports.tcp import parse_loopback  # noqa: PLC0415 - a PTY needs no sockets

    parse_loopback(place)


def _open_tcp(place: str, say: Say) -> Port:
    from firmware_emu.bench.ports.tcp import TcpPort  # noqa: PLC0415

    return TcpPort(place, say)


def _check_rfc2217(place: str) -> None:
    from firmware_emu.bench.ports.rfc2217 import parse_place  # noqa: PLC0415

    parse_place(place)


def _open_rfc2217(place: str, say: Say) -> Port:
    from firmware_emu.bench.ports.rfc2217 import Rfc2217Port  # noqa: PLC0415

    return Rfc2217Port(place, say)


def _check_serial(place: str) -> None:
    from firmware_emu.bench.ports.serial_port import check_path  # noqa: PLC0415

    check_path(place)


def _open_serial(place: str, say: Say) -> Port:
    from firmware_emu.bench.ports.serial_port import SerialPort  # noqa: PLC0415

    return SerialPort(place, say)


register_port(PortScheme("pty", "pty", _check_pty, _open_pty, "pty:{}", is_device=True))
register_port(PortScheme("tcp", "tcp:HOST:PORT", _check_tcp, _open_tcp, "socket://{}"))
register_port(PortScheme("rfc2217", "rfc2217:HOST:PORT", _check_rfc2217, _open_rfc2217, "rfc2217://{}"))
register_port(PortScheme("serial", "serial:/dev/NAME", _check_serial, _open_serial, ""))
