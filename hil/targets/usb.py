"""The address `usb:VID:PID[:SERIAL][#INTERFACE]`: a board by what it is, found anew at each opening.

A path like /dev/ttyUSB0 says in which order things were plugged in; another board may have it tomorrow. Who lists the
ports is handed in, since nothing lists a PTY.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FORM: Final = "usb:VID:PID[:SERIAL]"
_ADDRESS: Final = re.compile(
    r"(?P<vid>[0-9a-fA-F]{4}):(?P<pid>[0-9a-fA-F]{4})(:(?P<serial>[^#]+))?(#(?P<interface>[0-9]+\.[0-9]+))?"
)


class SerialPort(NamedTuple):
    """A serial port that the system knows; "" where it does not know."""

    device: str
    description: str
    vid_pid: str
    serial_number: str
    interface: str = ""
    """Which of a board's ports it is, as its USB configuration and interface: `1.0`."""


class UsbAddress(NamedTuple):
    """What an address says of a board; "" where it says nothing."""

    vid_pid: str
    serial_number: str
    interface: str

    def fits(self, port: SerialPort) -> bool:
        """Whether a port is one that this names."""
        return (
            port.vid_pid == self.vid_pid
            and self.serial_number in {"", port.serial_number}
            and self.interface in {"", port.interface}
        )


def serial_ports() -> list[SerialPort]:
    """The serial ports of this machine, as pyserial finds them."""
    from serial.tools import list_ports  # noqa: PLC0415 - 20 ms that only ports need

    return [
        SerialPort(
            port.device,
            "" if port.description in {None, "n/a"} else port.description,
            "" if port.vid is None else f"{port.vid:04X}:{port.pid:04X}",
            port.serial_number or "",
            (port.location or "").partition(":")[2],
        )
        for port in sorted(list_ports.comports())
    ]


def usb_address(text: str, place: str) -> UsbAddress:
    """What stands behind `usb:`; BadConfiguration names the address and how one is written."""
    found = _ADDRESS.fullmatch(place)
    if found is None:
        raise BadConfiguration(
            f"no such address: {text!r}",
            advice=f"write {FORM} with four hex digits each, as usb:0403:6001:A50285BI; "
            "`pumpbench hil targets` lists them",
        )
    vid_pid = f"{found['vid']}:{found['pid']}".upper()
    return UsbAddress(vid_pid, found["serial"] or "", found["interface"] or "")


def address_of(port: SerialPort) -> str:
    """How a port is named by what it is; its path where it is no USB device."""
    if not port.vid_pid:
        return port.device
    return f"usb:{port.vid_pid}" + (f":{port.serial_number}" if port.serial_number else "")


def find_port(text: str, wanted: UsbAddress, ports: Callable[[], Iterable[SerialPort]]) -> SerialPort:
    """The one port that an address names now. BadConfiguration lists what is there, and how to say which."""
    there = list(ports())
    found = [port for port in there if wanted.fits(port)]
    if len(found) == 1:
        return found[0]
    if not found:
        listed = [_listed(port, there) for port in there if port.vid_pid]
        raise BadConfiguration(
            f"{text} is not plugged in; there is: {', '.join(listed) or 'no USB serial port at all'}",
            advice=f"plug the board in{', or name one of these' if listed else ''}",
        )
    raise BadConfiguration(
        f"{text} names {len(found)} ports: {', '.join(_listed(port, found) for port in found)}",
        advice=_how_to_say_which(found),
    )


def _listed(port: SerialPort, among: list[SerialPort]) -> str:
    """A port as one would write it, so that it is the only one among these where it can be."""
    plain = address_of(port)
    is_one_of_several = sum(address_of(other) == plain for other in among) > 1
    name = f"{plain}#{port.interface}" if is_one_of_several and port.interface else plain
    return f"{name} ({port.device})"


def _how_to_say_which(found: list[SerialPort]) -> str:
    serials = [port.serial_number for port in found]
    if len(set(serials)) == len(found):
        return f"add the serial number: {address_of(next(port for port in found if port.serial_number))}"
    if len(set(serials)) == 1 and len({port.interface for port in found}) == len(found):
        return f"they are ports of one board, so add which: {address_of(found[0])}#{found[0].interface}"
    return "unplug the others, or name this one by its device path: they have no serial numbers that tell them apart"
