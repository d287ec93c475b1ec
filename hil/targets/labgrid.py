"""The address `labgrid:PLACE[#PORT][@COORDINATOR]`: the serial port of a place that a labgrid coordinator gives out.

labgrid is asked by its own command, `labgrid-client`, which may be installed in an environment of its own: its pyserial
and ours cannot be in one. What runs it is handed in. A place is acquired where nobody has it, and released by whoever
acquired it; one that this user had before is used, and left to him.
"""

from __future__ import annotations

import ast
import getpass
import os
import re
import socket
import subprocess
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.errors import BadConfiguration, BenchLost, InUse
from hil.targets.port import BAUD, PortTarget, open_port, open_socket
from hil.targets.remote_port import RemotePort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.channel import Channel

    Ask = Callable[[tuple[str, ...]], str]

COMMAND: Final = "labgrid-client"
LIMIT_S: Final = 60.0  # of one command; an exporter may start a program for the port meanwhile
NOBODY: Final = "None"
TRIED_WITH: Final = "26.0.1"
_ADDRESS: Final = re.compile(
    r"(?P<place>[^#@\s?]+)(#(?P<port>[^@\s?]+))?(@(?P<coordinator>[A-Za-z0-9._\[\]:-]+))?"
)
_PLACE: Final = re.compile(r"^Place '(?P<name>.*)':$", re.MULTILINE)
_FIELD: Final = re.compile(r"^  (?P<name>aliases|acquired|allowed): (?P<value>.*)$", re.MULTILINE)
_RESOURCE: Final = re.compile(
    r"^Acquired resource '(?P<name>.*)' \([^)\n]*\):\n(?P<table>(?:  .*(?:\n|\Z))+)", re.MULTILINE
)


class LabgridAddress(NamedTuple):
    """What an address says; "" where it says nothing."""

    place: str
    port: str
    """The name of one of the place's serial ports."""
    coordinator: str
    """HOST:PORT; labgrid itself takes $LG_COORDINATOR without it."""


def labgrid_address(text: str, place: str) -> LabgridAddress:
    """What stands behind the scheme's colon; BadConfiguration where that is no place."""
    found = _ADDRESS.fullmatch(place)
    if found is None:
        raise BadConfiguration(
            f"the address {text!r} names no place",
            advice="write labgrid:PLACE, labgrid:PLACE#PORT where it has several, and @HOST:PORT behind it for "
            "another coordinator than $LG_COORDINATOR",
        )
    return LabgridAddress(*(found[name] or "" for name in LabgridAddress._fields))


def ask_labgrid(coordinator: str, words: tuple[str, ...]) -> str:
    """What `labgrid-client` prints. BadConfiguration where it is not there, BenchLost where it fails or hangs."""
    command = (COMMAND, *(("-x", coordinator) if coordinator else ()), *words)
    shown = " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 - a command of the lab, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchLost(f"{shown} has not ended after {LIMIT_S:g} s", advice="run it by hand") from error
    except OSError as error:
        raise BadConfiguration(
            f"{COMMAND} cannot be run ({error.strerror})",
            advice="install labgrid in an environment of its own (pipx install labgrid), and have it on the PATH",
        ) from error
    if not done.returncode:
        return done.stdout.decode("utf-8", "replace")
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    reason = said[-1].rpartition("Error: ")[2] if said else f"it ended with {done.returncode}"
    if "matches nothing" in reason or "matches multiple" in reason:
        raise BadConfiguration(f"labgrid: {reason}", advice=f"name a place that `{COMMAND} places` lists")
    raise BenchLost(f"labgrid: {reason}", advice=f"run it by hand: {shown}")


class Resource(NamedTuple):
    """One thing of a place that was acquired, as labgrid tells it."""

    name: str
    kind: str
    is_there: bool
    settings: Mapping[str, Any]


class Seen(NamedTuple):
    """What labgrid shows of a place."""

    name: str
    aliases: tuple[str, ...]
    holder: str
    """HOST/USER; "" where nobody has it."""
    allowed: tuple[str, ...]
    """Who may use it too."""
    resources: tuple[Resource, ...]
    """Those that were acquired with it; none where it was not."""


def seen_in(shown: str) -> Seen:
    """Read what `labgrid-client show` prints; BenchLost where that is something else."""
    name = _PLACE.search(shown)
    fields = {found["name"]: found["value"] for found in _FIELD.finditer(shown)}
    try:
        resources = tuple(
            _resource(found["name"], ast.literal_eval(textwrap.dedent(found["table"])))
            for found in _RESOURCE.finditer(shown)
        )
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise _unreadable() from error
    if name is None or "acquired" not in fields:
        raise _unreadable()
    holder = "" if fields["acquired"] == NOBODY else fields["acquired"]
    return Seen(name["name"], _listed(fields, "aliases"), holder, _listed(fields, "allowed"), resources)


def _unreadable() -> BenchLost:
    return BenchLost(
        f"{COMMAND} shows a place in words that are not known here (they are of labgrid {TRIED_WITH})",
        advice="say so to the makers of pumpbench, with its version",
    )


def _resource(name: str, table: Mapping[str, Any]) -> Resource:
    return Resource(name, str(table["cls"]), bool(table["avail"]), dict(table["params"]))


def _listed(fields: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in fields.get(name, "").split(",") if word.strip())


def own_name() -> str:
    """How labgrid calls this user, HOST/USER."""
    host = os.environ.get("LG_HOSTNAME", socket.gethostname())
    return f"{host}/{os.environ.get('LG_USERNAME', '') or getpass.getuser()}"


class Place:
    """One place: acquired where nobody has it, and released where it was acquired here."""

    def __init__(self, address: LabgridAddress, ask: Ask, own: str) -> None:
        """`ask` runs `labgrid-client` with words; `own` is how it calls this user."""
        self._address = address
        self._ask = ask
        self._own = own
        self._was_acquired_here = False

    def take(self) -> None:
        """Have the place. InUse names who has it instead."""
        seen = self._look()
        if seen.holder:
            self._check_ours(seen)
            return
        self._was_acquired_here = True  # before it is so: Ctrl-C may come in between
        try:
            self._ask(("-p", self._address.place, "acquire"))
        except BenchLost:
            self._was_acquired_here = False
            self._check_ours(self._look())  # somebody was faster
            raise

    def give_back(self) -> None:
        """Release the place, if it was acquired here and is still ours. BenchLost where it stays acquired."""
        if not self._was_acquired_here:
            return
        self._was_acquired_here = False
        try:
            self._ask(("-p", self._address.place, "release-from", self._own))
        except BenchLost:
            if self._look().holder == self._own:
                raise

    def serial_port(self) -> Resource:
        """The serial port of the place as it is now; errors where the place was taken away, or has no such port."""
        seen = self._look()
        self._check_ours(seen)
        wanted, place = self._address.port, seen.name
        ports = [each for each in seen.resources if each.kind in _WAYS and wanted in {"", each.name}]
        if len(ports) != 1:
            names = ", ".join(each.name for each in seen.resources if each.kind in _WAYS) or "none"
            raise BadConfiguration(
                f"labgrid place {place} has {len(ports) or 'no'} serial ports"
                f"{f' called {wanted}' if wanted else ''}; its serial ports: {names}",
                advice=f"write labgrid:{place}#NAME"
                if len(ports) > 1
                else "look at its matches and exporters",
            )
        if not ports[0].is_there:
            raise BenchLost(
                f"labgrid place {place}: the exporter of {ports[0].name} does not see its port",
                advice="look at the board's cable and power",
            )
        return ports[0]

    def _look(self) -> Seen:
        seen = seen_in(self._ask(("-p", self._address.place, "show")))
        known = {seen.name, *(alias.rpartition(":")[2] for alias in seen.aliases)}
        if self._address.place not in known:  # labgrid takes a part of a name for the whole
            raise BadConfiguration(
                f"labgrid has no place {self._address.place!r}, and {seen.name!r} is near it",
                advice="name the place in full",
            )
        return seen

    def _check_ours(self, seen: Seen) -> None:
        if seen.holder == self._own or (seen.holder and self._own in seen.allowed):
            return
        if not seen.holder:
            raise BenchLost(
                f"labgrid place {seen.name} was released while it was used here", advice="acquire it again"
            )
        raise InUse(
            f"labgrid place {seen.name} is acquired by {seen.holder}, and this is {self._own}",
            advice=f"ask them to release it, or to run: {COMMAND} -p {seen.name} allow {self._own}",
        )


class PlaceTarget(PortTarget["Channel"]):
    """The serial port of a place. It is looked for again where it is not where it was."""

    def __init__(self, text: str, place: Place, baud: int | None) -> None:
        """`baud` None: what labgrid says of the port."""
        self._place = place
        self._baud = baud
        self._open_again: Callable[[], Channel] | None = None
        super().__init__(text, self._open_port)

    def start(self) -> None:
        """Acquire the place. InUse where somebody else has it."""
        self._place.take()

    def close(self) -> None:
        """Close the port, and release the place if it was acquired here."""
        try:
            super().close()
        finally:
            self._place.give_back()

    def _open_port(self) -> Channel:
        if self._open_again is not None:
            try:
                return self._open_again()
            except BenchLost:  # an exporter gives a port another number when it comes back
                self._open_again = None
        port = self._place.serial_port()
        opening = _WAYS[port.kind](self.address, port.settings, self._baud)
        line = opening()
        self._open_again = opening
        return line


def _speed(settings: Mapping[str, Any], baud: int | None) -> int:
    return int(settings.get("speed", BAUD)) if baud is None else baud


def _network_port(text: str, settings: Mapping[str, Any], baud: int | None) -> Callable[[], Channel]:
    host, port = settings.get("host"), settings.get("port")
    if settings.get("extra", {}).get("proxy_required"):
        raise BadConfiguration(
            f"{text}: its exporter lets in {settings['extra'].get('proxy')} alone",
            advice=f"forward the port with ssh, and name it: rfc2217://localhost:{port}",
        )
    if not (isinstance(host, str) and isinstance(port, int)):
        raise BenchLost(
            f"{text}: its exporter has not opened the port",
            advice="look at the exporter's log (it needs ser2net)",
        )
    if settings.get("protocol", "rfc2217") == "raw":
        return partial(open_socket, host, port, text)
    return RemotePort(host, port, text, baud=_speed(settings, baud)).open


def _local_port(text: str, settings: Mapping[str, Any], baud: int | None) -> Callable[[], Channel]:
    return partial(open_port, str(settings.get("port")), text, baud=_speed(settings, baud))


_WAYS: Final = {
    "NetworkSerialPort": _network_port,
    "RawSerialPort": _local_port,
    "USBSerialPort": _local_port,
}
"""How a serial port of each of labgrid's classes is opened."""


def place_target(text: str, address: LabgridAddress, baud: int | None) -> PlaceTarget:
    """The target of a place."""
    return PlaceTarget(text, Place(address, partial(ask_labgrid, address.coordinator), own_name()), baud)
