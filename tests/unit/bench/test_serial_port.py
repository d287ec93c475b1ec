"""The emulator on a real cable: here a PTY, whose master is the cable's other end; it goes away and comes back."""

from __future__ import annotations

import fcntl
import os
import termios
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.errors import BadConfigurationError, TakenError
from firmware_emu.bench.ports.schemes import port_named
from firmware_emu.bench.ports.serial_port import LOOKING, SerialPort
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump
from firmware_emu.bench.ready_line import _lines_for_people
from firmware_emu.bench.runner import Runner
from hil.programmer.programmer import Programmer
from hil.targets.descriptor import DescriptorChannel
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.bench.conftest import Loop

OPEN_FILES = Path("/proc/self/fd")
ALL_BYTES = bytes(range(256))


class Cable:
    """A cable whose near end has a path that stays the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.far = -1
        self.plug_in()

    def plug_in(self) -> None:
        self.far, self._near = os.openpty()  # which without its near end would look hung up from the far one
        self.path.symlink_to(os.ttyname(self._near))

    def unplug(self) -> None:
        if self.far >= 0:
            self.path.unlink()
            os.close(self.far)
            os.close(self._near)
            self.far = -1


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "ttyUSB0")
    yield cable
    cable.unplug()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def port(cable: Cable, loop: Loop, said: list[str]) -> Iterator[SerialPort]:
    scheme, place = port_named(f"serial:{cable.path}")
    port = scheme.open(place, said.append)
    assert isinstance(port, SerialPort)
    port.attach(loop.selector)
    yield port
    port.close()


def test_a_programmer_at_the_other_end_of_the_cable_talks_to_a_pump_also_after_it_was_unplugged(
    cable: Cable, said: list[str]
) -> None:
    port = SerialPort(str(cable.path), said.append)
    runner = Runner(PumpHost(new_pump(load_profile("implanted"), 1)), Clock(0, MANUAL), port, CommandQueue())
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    for _ in range(2):
        channel = DescriptorChannel(os.dup(cable.far), "the far end", lambda: None)
        os.set_blocking(channel.fileno(), False)
        with Programmer(channel) as pump:
            assert pump.info().serial.rstrip(b"\0") == b"EMU000000001"
        os.close(channel.fileno())
        cable.unplug()
        cable.plug_in()
    runner.stop()
    thread.join(PATIENCE_S)
    runner.selector.close()
    port.close()


def test_a_person_at_a_terminal_is_told_that_the_pump_is_at_an_end_of_a_cable() -> None:
    told = _lines_for_people({"target": "", "port": "/dev/ttyUSB0", "link": None, "control": None})
    assert "ready at its end of a cable, /dev/ttyUSB0." in told
    assert "--target /dev/NAME, the port at the other end" in told


def test_every_byte_passes_both_ways_and_none_comes_back_as_an_echo(
    loop: Loop, port: SerialPort, cable: Cable
) -> None:
    os.write(cable.far, ALL_BYTES)
    assert loop.received(port, len(ALL_BYTES)) == ALL_BYTES
    port.send(ALL_BYTES)
    assert loop.read(cable.far, len(ALL_BYTES)) == ALL_BYTES  # an echo would stand before them


def test_the_line_is_raw_at_its_speed_and_closing_leaves_the_modem_lines(
    port: SerialPort, cable: Cable
) -> None:
    attributes = termios.tcgetattr(cable.far)
    assert attributes[tty.ISPEED] == attributes[tty.OSPEED] == termios.B115200
    assert not attributes[tty.CFLAG] & termios.HUPCL
    assert not attributes[tty.LFLAG] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert port.address == str(cable.path)


@pytest.mark.usefixtures("port")
def test_a_second_user_of_the_port_is_refused(cable: Cable) -> None:
    with pytest.raises(TakenError, match="is in use by another program") as taken:
        SerialPort(str(cable.path), print)
    assert taken.value.exit_code == 11


def test_a_port_that_another_has_locked_is_not_taken(cable: Cable) -> None:
    other = os.open(cable.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(TakenError):
        SerialPort(str(cable.path), print)
    os.close(other)
    SerialPort(str(cable.path), print).close()


@pytest.mark.parametrize(
    ("name", "says"),
    [("missing", "cannot be opened: No such file"), (".", "Is a directory"), ("file", "is no serial port")],
)
def test_what_is_no_port_is_said_in_one_sentence(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadConfigurationError, match=says):
        SerialPort(str(tmp_path / name), print)


@pytest.mark.parametrize("place", ["", "a\0b"])
def test_a_place_that_names_no_path_is_refused_before_anything_is_opened(place: str) -> None:
    with pytest.raises(BadConfigurationError, match="is no path of a serial port"):
        port_named(f"serial:{place}")


def test_a_cable_that_is_unplugged_and_back_carries_bytes_again_and_what_was_said_meanwhile_is_counted(
    loop: Loop, port: SerialPort, cable: Cable, said: list[str]
) -> None:
    cable.unplug()
    loop.until(lambda: len(said) == 1)
    assert "is gone" in said[0]
    port.send(b"into the air")
    assert port.dropped_bytes == len(b"into the air")
    cable.plug_in()
    loop.until(lambda: len(said) == 2)
    assert said[1] == f"{cable.path} is back"
    os.write(cable.far, b"request")
    assert loop.received(port, 7) == b"request"
    port.send(b"answer")
    assert loop.read(cable.far, 6) == b"answer"


def test_a_port_can_be_closed_while_its_cable_is_away_and_leaves_no_descriptor_and_no_thread(
    loop: Loop, cable: Cable, said: list[str]
) -> None:
    before = len(list(OPEN_FILES.iterdir()))
    port = SerialPort(str(cable.path), said.append)
    port.attach(loop.selector)
    cable.unplug()
    loop.until(lambda: bool(said))
    port.close()
    assert not [thread for thread in threading.enumerate() if thread.name == LOOKING]
    assert len(list(OPEN_FILES.iterdir())) == before - 2  # the cable itself
