"""One address for every device: `emulator`, `emulator:process`, `pty:PATH`, a device path, `socket://H:P`.

Parsing and the order of precedence only; `targets` opens what an address names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hil.errors import BadConfiguration

ENVIRONMENT_NAME = "PUMPBENCH_TARGET"
DEFAULT_ADDRESS = "emulator"
FORMS = "emulator, emulator:process, pty:PATH, /dev/NAME, socket://HOST:PORT"
MAX_PORT = 65_535


class TargetKind(StrEnum):
    """What stands behind an address."""

    EMULATED = "emulator"
    PROCESS = "emulator:process"
    PORT = "port"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address; `text` is what the person wrote."""

    text: str
    kind: TargetKind
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Address:
    """The address that `text` names, else BadConfiguration with the forms that exist."""
    if text == TargetKind.EMULATED.value:
        return Address(text, TargetKind.EMULATED)
    if text == TargetKind.PROCESS.value:
        return Address(text, TargetKind.PROCESS)
    if text.startswith("pty:"):
        return _port(text, text.removeprefix("pty:"))
    if text.startswith("socket://"):
        return _socket(text, text.removeprefix("socket://"))
    if text.startswith(("/", "./", "../", "~")):
        return _port(text, text)
    raise BadConfiguration(f"no such target address: {text!r}", advice=f"write one of {FORMS}")


def _port(text: str, path: str) -> Address:
    if not path:
        raise BadConfiguration(
            f"the address {text!r} names no path", advice="write pty:PATH or a device path"
        )
    return Address(text, TargetKind.PORT, path=path)


def _socket(text: str, place: str) -> Address:
    host, separator, port = place.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise BadConfiguration(
            f"the address {text!r} names no host and port", advice="write socket://HOST:PORT"
        )
    return Address(text, TargetKind.SOCKET, host=host.strip("[]"), port=int(port))


def choose(command_line: str | None, environment: str | None, ini: str | None) -> Address:
    """The address by precedence: command line, environment, ini, default. Empty counts as absent."""
    return parse(command_line or environment or ini or DEFAULT_ADDRESS)
