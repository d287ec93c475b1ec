"""Targets that are already there: a PTY or device path through pyserial, and a TCP socket.

Opening a port makes no edge on DTR and RTS that the system does not make itself (an edge resets many boards) and never
shares it: a second user is told so. What was waiting on the line belongs to nobody; a client discards until the answer
to its own request.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from hil.channel import Channel
from hil.errors import BadConfiguration, BenchLost, InUse, UsageError
from hil.lock_holder import holder_of
from hil.targets.descriptor import DescriptorChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from serial import Serial, rfc2217

    from hil.capabilities import TargetCapability
    from hil.rig import Rig

BAUD = 115_200  # [SPEC 1]
CONNECT_LIMIT_S = 5.0
OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
Line = TypeVar("Line", bound=Channel)
LINKS_MAX = 40  # what Linux follows
NO_SUCH_LINE = frozenset({errno.ENOTTY, errno.EINVAL})


class LineLevels(NamedTuple):
    """The levels of the modem lines while a port is open.

    Linux raises both when it opens a port that nobody has open. To leave them so is no edge, and so no reset.
    """

    dtr: bool = True
    rts: bool = True


def open_port(
    path: str,
    name: str,
    device_ms: Callable[[], int | None] | None = None,
    *,
    baud: int = BAUD,
    levels: LineLevels = LineLevels(),  # noqa: B008 - it never changes
) -> DescriptorChannel:
    """Open a serial port or PTY for this process alone, without an edge on the lines that reset boards."""
    import serial  # noqa: PLC0415 - 20 ms that only ports need

    place = os.path.expanduser(path)  # noqa: PTH111 - pathlib raises where there is no such user
    try:
        there = Path(place).exists()
    except OSError as error:  # too long a name, a folder that is shut
        raise _reason_port_is_shut(path, error) from error
    if not there:
        raise BadConfiguration(
            f"there is no port at {path}",
            advice=f"plug the board in, or start an emulator with `pumpbench emulate --link {path}`",
        )
    _refuse_dead_link(Path(place))
    port = serial.Serial(baudrate=baud, timeout=0, write_timeout=None, exclusive=True)
    port.port = place
    port.dtr, port.rts = levels  # before it is open: pyserial then sets nothing else in between
    try:
        port.open()
    except (ValueError, OverflowError) as error:
        raise BadConfiguration(
            f"the port {path} cannot be set to {baud} baud ({error})", advice="name a rate that it knows"
        ) from error
    except (serial.SerialException, OSError, termios.error) as error:
        raise _reason_port_is_shut(path, error) from error
    descriptor = int(port.fileno())
    _keep_lines_at_close(descriptor)
    return DescriptorChannel(descriptor, name, port.close, device_ms, lines=SerialLines(port, path))


class SerialLines:
    """The modem lines of an open serial port, and its break. A PTY has none of them."""

    def __init__(self, port: Serial | rfc2217.Serial, path: str) -> None:
        self._port = port
        self._path = path

    def set_dtr(self, *, active: bool) -> None:
        """Drive DTR. BadConfiguration where the line has none."""
        self._drive("DTR", "dtr", active=active)

    def set_rts(self, *, active: bool) -> None:
        """Drive RTS. BadConfiguration where the line has none."""
        self._drive("RTS", "rts", active=active)

    def set_break(self, *, active: bool) -> None:
        """Begin or end the break condition. BadConfiguration where the line cannot."""
        self._drive("break condition", "break_condition", active=active)

    def _drive(self, what: str, attribute: str, *, active: bool) -> None:
        try:
            setattr(self._port, attribute, active)
        except OSError as error:
            if error.errno not in NO_SUCH_LINE:
                raise BenchLost(
                    f"the port {self._path} is gone ({error.strerror})", advice="look at its cable"
                ) from error
            raise BadConfiguration(
                f"the port {self._path} has no {what} (a PTY has none)",
                advice="choose another way to reset the board",
            ) from error


def _refuse_dead_link(path: Path) -> None:
    """BenchLost where an emulator has made this link, or one that it leads to, and holds its lock no more.

    Such a link was left by a killed emulator; the PTY behind it may be somebody's terminal by now.
    """
    for _ in range(LINKS_MAX):
        if not path.is_symlink():
            return
        if _nobody_holds(path.with_name(f".{path.name}.pumpbench-lock")):  # as the emulator names it
            raise BenchLost(
                f"{path} was left by an emulator or a tap that has ended, and what it points to may be somebody else's",
                advice=f"start the emulator again with `pumpbench emulate --link {path}`",
            )
        path = path.parent / path.readlink()


def _nobody_holds(lock: Path) -> bool:
    """Whether this is an emulator's lock that nobody holds; it is taken for a moment, shared, to see that."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (
        OSError
    ):  # there is none, so no emulator has made that link; or another user's, whose PTY is shut too
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _reason_port_is_shut(path: str, error: Exception) -> Exception:
    number = getattr(error, "errno", None)
    text = str(error)
    if number in {errno.EWOULDBLOCK, errno.EBUSY} or "exclusively lock" in text:
        return _in_use(path)
    if number in {errno.EACCES, errno.EPERM}:
        return BadConfiguration(
            f"the port {path} may not be opened by this user",
            advice="add the user to the port's group (often dialout) and log in again",
        )
    if number in OUT_OF_RESOURCES:
        return _too_little(f"the port {path}", error)
    if number == errno.EIO:
        return BenchLost(
            f"the port {path} is dead: nothing holds its other end", advice="start the emulator again"
        )
    text = getattr(error, "strerror", None) or text
    return BadConfiguration(f"{path} is no serial port ({text})", advice="name a PTY or a serial device")


def _in_use(path: str) -> InUse:
    """That somebody else has a port, and who: whoever wants to stop a pump must not have to look for it."""
    holder = holder_of(Path(os.path.expanduser(path)))  # noqa: PTH111 - pathlib raises where there is no such user
    if holder is None:
        return InUse(
            f"the port {path} is in use by another program", advice="close that program and try again"
        )
    return InUse(f"the port {path} is in use by {holder.words()}", advice=holder.advice())


def _too_little(what: str, error: Exception) -> BenchLost:
    """What is said where not the port is at fault, but what the system gives this process."""
    number = getattr(error, "errno", None)
    return BenchLost(
        f"{what} cannot be opened: the system gives this process too little ({os.strerror(number or 0)})",
        advice="raise its limits (ulimit -n, -v), or close other programs",
    )


def _keep_lines_at_close(descriptor: int) -> None:
    """Clear HUPCL, so that closing does not drop DTR and the next opening does not raise it: no pulse, no reset."""
    with contextlib.suppress(termios.error):  # a PTY may refuse: it has no modem lines to keep
        attributes = termios.tcgetattr(descriptor)
        attributes[2] &= ~termios.HUPCL
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def open_socket(host: str, port: int, name: str) -> DescriptorChannel:
    """Connect to a TCP port that carries the bare bytes of the line."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_LIMIT_S)
    except TimeoutError as error:
        raise BenchLost(f"{name} does not answer", advice="check host and port") from error
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise _too_little(name, error) from error
        reason = error.strerror or str(error)
        raise BenchLost(
            f"nothing can be reached at {name} ({reason})",
            advice=f"start an emulator with `pumpbench emulate --tcp {host}:{port}`",
        ) from error
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def somebody_listens() -> bool:
        try:
            socket.create_connection((host, port), timeout=CONNECT_LIMIT_S).close()
        except OSError:
            return False
        return True

    return DescriptorChannel(connection.fileno(), name, connection.close, somebody_listens=somebody_listens)


class PortTarget(Generic[Line]):
    """A device behind a port that somebody else keeps: no rig, no reset."""

    capabilities: frozenset[TargetCapability] = frozenset()

    def __init__(self, address: str, open_line: Callable[[], Line]) -> None:
        """`address` as the person wrote it; `open_line` opens the port, or says why it cannot."""
        self.address = address
        self._open_line = open_line
        self._channel: Line | None = None

    @property
    def rig(self) -> Rig:
        """There is none."""
        raise UsageError(
            f"the target {self.address} has no rig: its time, power and faults cannot be reached",
            advice="use emulator or emulator:process for that",
        )

    def launch(self) -> None:
        """Nothing to launch."""

    def dismiss(self) -> None:
        """Nothing to dismiss."""

    def start(self) -> None:
        """Nothing to start: the device is there or it is not, and opening tells."""

    def open_channel(self) -> Line:
        """Open the port; the previous channel is closed."""
        self.close_line()
        self._channel = self._open_line()
        return self._channel

    def close(self) -> None:
        """Close the port."""
        self.close_line()

    def close_line(self) -> None:
        """Close the port, and keep what else there is."""
        if self._channel:
            self._channel.close()
            self._channel = None
