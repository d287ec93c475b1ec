"""`pumpbench hil targets`, and the speed of a line."""

from __future__ import annotations

import json
import os
import sys
import termios
import tty
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from serial.tools import list_ports, list_ports_common

from hil.address import parse
from hil.bench_session import BenchSession
from hil.cli.run import hil
from hil.errors import BadConfiguration
from hil.leases import BoardLock, lease_directory
from hil.targets.board import path_target, usb_target
from hil.targets.usb import SerialPort, serial_ports, usb_address
from tests.support.warm_python import run_python
from tests.unit.hil.runs import environment, hil_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from click.testing import CliRunner


@pytest.fixture
def pty() -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def port(device: str, **fields: Any) -> list_ports_common.ListPortInfo:
    found = list_ports_common.ListPortInfo(device, skip_link_detection=True)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


@pytest.fixture
def two_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    board = port("/dev/ttyUSB0", description="Pump board", vid=0x0403, pid=0x6001, serial_number="A50285BI")
    monkeypatch.setattr(list_ports, "comports", lambda: [board, port("/dev/ttyS0")])


def targets(*arguments: str) -> str:
    done = CliRunner().invoke(hil, ["targets", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.usefixtures("two_ports")
def test_the_ports_of_this_machine_are_listed_with_what_is_known_of_them() -> None:
    assert serial_ports() == [
        SerialPort("/dev/ttyS0", "", "", ""),
        SerialPort("/dev/ttyUSB0", "Pump board", "0403:6001", "A50285BI"),
    ]
    lines = [line.split() for line in targets().splitlines()]
    assert ["/dev/ttyUSB0", "Pump", "board", "0403:6001", "A50285BI"] in lines
    assert ["/dev/ttyS0", "-", "-", "-"] in lines
    assert ["device", "description", "VID:PID", "serial", "number"] in lines  # nobody holds any
    assert json.loads(targets("--json"))["serial_ports"][1] == {
        "device": "/dev/ttyUSB0",
        "description": "Pump board",
        "vid_pid": "0403:6001",
        "serial_number": "A50285BI",
        "interface": "",
        "address": "usb:0403:6001:A50285BI",
        "held_by": None,
    }


@pytest.mark.usefixtures("two_ports")
def test_who_holds_a_board_is_said_of_the_port_that_it_has_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lease = BoardLock(lease_directory(None), "usb:0403:6001:A50285BI").take("the night run", 600)
    held = {port["device"]: port["held_by"] for port in json.loads(targets("--json"))["serial_ports"]}
    assert held["/dev/ttyS0"] is None
    assert held["/dev/ttyUSB0"]["purpose"] == "the night run"
    lease.give_back()


@pytest.mark.usefixtures("two_ports")
def test_a_board_is_the_same_under_its_path_and_by_what_it_is() -> None:
    by_what_it_is = usb_target("usb", usb_address("usb", "0403:6001"), None)
    assert (
        by_what_it_is.board() == path_target("path", "/dev/ttyUSB0", None).board() == "usb:0403:6001:A50285BI"
    )
    assert path_target("path", "/dev/ttyS0", None).board() == "/dev/ttyS0"


def test_no_port_is_said_in_words_and_emulators_are_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", list)
    said = targets()
    assert "none found" in said
    assert "emulator:process" in said
    assert json.loads(targets("--json"))["serial_ports"] == []


def test_the_command_lists_targets_as_somebody_starts_it(tmp_path: Path) -> None:
    done = run_python([sys.executable, "-m", "hil.cli", "hil", "targets"], env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("serial ports:\n")


@pytest.mark.parametrize(("said", "baud"), [("", 9600), ("?baud=9600", None)])
def test_the_baud_of_a_device_path_goes_to_the_port(
    said: str, baud: int | None, pty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with closing(BenchSession(parse(pty + said), baud=baud)) as session:
        session.reach()
        descriptor = os.open(pty, os.O_RDWR | os.O_NOCTTY)
        speed = termios.tcgetattr(descriptor)[5]
        os.close(descriptor)
    assert speed == termios.B9600


def test_a_baud_that_is_said_twice_is_refused() -> None:
    with pytest.raises(BadConfiguration, match=r"is 9600, and /dev/x\?baud=300 says its speed itself"):
        BenchSession(parse("/dev/x?baud=300"), baud=9600)


@pytest.mark.parametrize(
    "target",
    ["emulator", "emulator:process", "pty:./pump", "socket://127.0.0.1:9"],
    ids=lambda text: text[:9],
)
def test_a_baud_is_refused_by_whatever_has_no_speed(target: str, tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--target", target, "--baud", "9600")
    assert done.returncode == 10, done.stdout + done.stderr
    assert f"--baud (--hil-baud) is for device paths alone, and {target} is none; it is 9600" in done.stderr


@pytest.mark.parametrize("baud", ["0", "-9600", str(1 << 70)])
def test_a_baud_that_no_port_can_have_ends_the_run_with_10_before_it_begins(
    baud: str, pty: str, tmp_path: Path
) -> None:
    done = hil_run(tmp_path, "--target", pty, "--baud", baud)
    assert done.returncode == 10, done.stdout + done.stderr
    assert baud in done.stdout + done.stderr  # of a number that is none, or of a port that cannot have it
    assert "Traceback" not in done.stdout + done.stderr
