"""`usb:VID:PID[:SERIAL]`: found anew at each opening among what is plugged in, and the pump behind it compared."""

from __future__ import annotations

import os
import re
import tty
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import serial

from hil.errors import BadConfiguration, BenchLost
from hil.programmer.programmer import Programmer
from hil.targets.board import BoardTarget, usb_target
from hil.targets.port import LineLevels, open_port
from hil.targets.reset import RESET_METHODS, ResetOrder
from hil.targets.usb import SerialPort, find_port, usb_address
from protocol.identifiers import ConfigId
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOARD = SerialPort("/dev/ttyUSB0", "Pump board", "0403:6001", "A1", "1.0")
TWIN = SerialPort("/dev/ttyUSB1", "Pump board", "0403:6001", "B2", "1.0")
CONSOLE = SerialPort("/dev/ttyUSB2", "Pump board", "0403:6001", "A1", "1.1")
NAMELESS = SerialPort("/dev/ttyUSB3", "Clone", "1A86:7523", "", "1.0")
OTHER_NAMELESS = SerialPort("/dev/ttyUSB4", "Clone", "1A86:7523", "", "1.0")
BUILT_IN = SerialPort("/dev/ttyS0", "", "", "")


def found(place: str, *ports: SerialPort) -> str:
    return find_port(f"usb:{place}", usb_address(f"usb:{place}", place), lambda: ports).device


def test_a_board_is_found_by_what_it_is() -> None:
    assert found("0403:6001", BUILT_IN, BOARD) == "/dev/ttyUSB0"
    assert found("0403:6001:B2", BOARD, TWIN) == "/dev/ttyUSB1"
    assert found("0403:6001:A1#1.1", BOARD, CONSOLE) == "/dev/ttyUSB2"
    assert found("1a86:7523", NAMELESS, BOARD) == "/dev/ttyUSB3"


@pytest.mark.parametrize(
    ("place", "ports", "said"),
    [
        (
            "0403:6001",
            (BUILT_IN,),
            "is not plugged in; there is: no USB serial port at all; plug the board in$",
        ),
        ("0403:6001:C3", (BOARD, TWIN), r"there is: usb:0403:6001:A1 \(/dev/ttyUSB0\), usb:0403:6001:B2 \("),
        ("0403:6001", (BOARD, TWIN), "names 2 ports: .*; add the serial number: usb:0403:6001:A1"),
        ("0403:6001:A1", (BOARD, CONSOLE), r"ports of one board, so add which: usb:0403:6001:A1#1\.0"),
        ("1A86:7523", (NAMELESS, OTHER_NAMELESS), "unplug the others, or name this one by its device path"),
    ],
)
def test_missing_or_ambiguous_it_is_said_what_is_there_and_how_to_say_which(
    place: str, ports: tuple[SerialPort, ...], said: str
) -> None:
    with pytest.raises(BadConfiguration, match=said) as caught:
        found(place, *ports)
    assert "\n" not in caught.value.one_line()


class Desk:
    """Pumps on real PTYs, and a listing of what is plugged in, which a test changes."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self.plugged: list[SerialPort] = []

    def pump(self, serial_number: str = "PUMP-A") -> str:
        """The path of a new pump with this serial number."""
        profile = self._directory / f"{serial_number}.toml"
        profile.write_text(f'[model]\nserial = "{serial_number}"\n')
        bench = ThreadBench(seed=1, profile=str(profile))
        self._stack.callback(bench.close)
        return str(bench.ready["port"])

    def plug(self, *devices: str) -> None:
        """From here on these and no others are there."""
        self.plugged = [BOARD._replace(device=device) for device in devices]

    def target(self) -> BoardTarget:
        """The board, by what it is."""
        place = "0403:6001:A1"
        target = usb_target(f"usb:{place}", usb_address("", place), None, lambda: self.plugged)
        self._stack.callback(target.close)
        return target


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(stack, tmp_path)


def programmer(target: BoardTarget) -> Programmer:
    return Programmer(target.open_channel(), expected_pump=target.expected_pump)


def test_a_renumbered_board_is_found_again_and_a_missing_one_is_named(desk: Desk) -> None:
    first, second = desk.pump(), desk.pump()
    target = desk.target()
    desk.plug(first)
    with programmer(target) as pump:
        serial_number = pump.info().serial
    desk.plug(second)  # the same pump, as another device
    with programmer(target) as pump:
        assert pump.info().serial == serial_number
    desk.plug()
    with pytest.raises(BadConfiguration, match=re.escape("usb:0403:6001:A1 is not plugged in")):
        target.open_channel()


def test_another_pump_under_the_same_name_is_refused_before_it_is_changed(desk: Desk) -> None:
    target = desk.target()
    desk.plug(desk.pump())
    with programmer(target) as pump:
        pump.ping()
    other = desk.pump("PUMP-B")
    desk.plug(other)
    with pytest.raises(
        BenchLost, match=r"nothing was changed: another pump answers .* before it was serial PUMP-A"
    ):
        programmer(target).configure(ConfigId.PATIENT_ID, "P-2")
    target.close()
    with closing(open_port(other, other)) as channel, Programmer(channel) as pump:
        assert pump.configuration(ConfigId.PATIENT_ID) == ""


class NotedPort(serial.Serial):
    """A serial port that notes what is driven on it, in order, and whether it was open by then."""

    noted: list[tuple[str, bool]]

    def _update_dtr_state(self) -> None:
        self.noted.append(("dtr", self.dtr))

    def _update_rts_state(self) -> None:
        self.noted.append(("rts", self.rts))

    def _update_break_state(self) -> None:
        self.noted.append(("break", self.break_condition))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What is driven on the lines of each port that is opened."""
    NotedPort.noted = []
    monkeypatch.setattr(serial, "Serial", NotedPort)
    return NotedPort.noted


@pytest.fixture
def pty() -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("levels", [LineLevels(), LineLevels(dtr=False, rts=False)])
def test_opening_sets_each_line_once_to_its_level_and_closing_sets_none(
    levels: LineLevels, pty: str, noted: list[tuple[str, bool]]
) -> None:
    open_port(pty, pty, levels=levels).close()
    assert noted == [("dtr", levels.dtr), ("rts", levels.rts)]


@pytest.mark.parametrize(
    ("method", "edges"),
    [
        ("dtr", [("dtr", False), "wait", ("dtr", True)]),
        ("rts", [("rts", False), "wait", ("rts", True)]),
        (
            "esp32",
            [("dtr", False), ("rts", True), "wait", ("rts", False), ("dtr", True), ("rts", True)],
        ),
        ("break", [("break", True), "wait", ("break", False)]),
        ("none", []),
    ],
)
def test_each_way_to_reset_drives_its_line_and_gives_it_back(
    method: str, edges: list[object], pty: str, noted: list[object]
) -> None:
    with closing(open_port(pty, pty)) as channel:
        noted.clear()
        assert channel.lines is not None
        order = ResetOrder(channel.lines, lambda _ms: noted.append("wait"), True, True, lambda: None)
        RESET_METHODS[method].perform(order)
    assert noted == edges


def test_a_line_without_modem_lines_says_so(pty: str) -> None:
    with closing(open_port(pty, pty)) as channel:
        assert channel.lines is not None
        with pytest.raises(BadConfiguration, match="has no DTR"):
            channel.lines.set_dtr(active=False)
