"""`emulate --boards N`: several pumps in one process, each with a port, memory and serial number of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hil
from firmware_emu.bench.emulator import Wanted
from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.rack import board_of, pump_of
from protocol.identifiers import Outcome
from tests.unit.bench.processes import Emulator


def test_each_board_has_its_own_and_only_one_knows_of_its_bolus(tmp_path: Path) -> None:
    emulator = Emulator(
        "--boards",
        "2",
        "--link",
        tmp_path / "pump",
        "--time",
        "manual",
        "--control",
        "127.0.0.1:0",
        cwd=tmp_path,
    )
    assert emulator.process.stdout is not None
    lines = [emulator.ready, json.loads(emulator.process.stdout.readline())]
    assert [line["identity"]["serial"] for line in lines] == ["EMU000000001", "EMU000000002"]
    for name in ("port", "control", "token", "keys", "link", "seed"):
        assert len({line[name] for line in lines}) == 2, name
    assert len({line["identity"]["memory_id"] for line in lines}) == 2
    first, second = (hil.RigClient(line["control"], line["token"]) for line in lines)
    with hil.connect(f"pty:{tmp_path}/pump-2", state=False) as pump:
        bolus = pump.bolus(volume_nl=50_000, duration_s=600)
        second.advance(600_000)
        assert pump.query(bolus.cmd_id).outcome is Outcome.DONE
    with hil.connect(f"pty:{tmp_path}/pump-1", state=False) as pump:
        assert pump.delivery().bolus_nl == 0
        assert pump.status().t_mono_s == 0, "the time of one board was turned, and not of another"
    second.shutdown()
    second.close()
    first.close()
    ended = emulator.wait()
    assert (ended.code, list(tmp_path.iterdir())) == (0, []), (
        "the end of one is the end of all, and nothing is left"
    )


WANTED = Wanted(
    boards=4,
    port="rfc2217:127.0.0.1:4000,reset=dtr",
    control="[::1]:5000",
    seed=7,
    link=Path("a/pump"),
    image=Path("pump.image"),
    record=Path("day.pcapng"),
)


def test_what_is_counted_and_what_is_named_tells_the_boards_apart() -> None:
    third = board_of(WANTED, 3)
    assert third == WANTED._replace(
        boards=1,
        port="rfc2217:127.0.0.1:4002,reset=dtr",
        control="[::1]:5002",
        seed=9,
        link=Path("a/pump-3"),
        image=Path("pump-3.image"),
        record=Path("day-3.pcapng"),
    )
    left_to_chance = Wanted(boards=4, port="tcp:127.0.0.1:0", control="127.0.0.1:0")
    assert board_of(left_to_chance, 3) == left_to_chance._replace(boards=1)
    alone = WANTED._replace(boards=1)
    assert board_of(alone, 1) == alone


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"port": "serial:/dev/ttyUSB0"},
            "takes --pty, --tcp and --rfc2217, and serial:/dev/ttyUSB0 is one port",
        ),
        ({"memory_id": 5}, "--memory-id names one memory, and --boards makes several"),
        ({"snapshot": Path("kept.json")}, "--snapshot holds one pump, and --boards makes several"),
    ],
)
def test_what_there_is_once_alone_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfigurationError, match=said):
        board_of(WANTED._replace(**changed), 1)


@pytest.mark.parametrize(
    ("serial", "number", "counted"),
    [
        ("EMU000000001", 1, "EMU000000001"),
        ("of letters alone", 1, "of letters alone"),
        ("EMU000000009", 2, "EMU000000010"),
        ("42", 3, "44"),
        ("A7B0", 2, "A7B1"),
    ],
)
def test_serial_numbers_are_counted_up(serial: str, number: int, counted: str) -> None:
    assert serial_of_board(serial, number) == counted


@pytest.mark.parametrize(("serial", "number"), [("EMU-WARD", 2), ("EMU9", 2), ("", 2)])
def test_a_serial_number_that_cannot_be_counted_so_far_is_refused(serial: str, number: int) -> None:
    with pytest.raises(BadConfigurationError, match="cannot be counted up to board"):
        serial_of_board(serial, number)


def serial_of_board(serial: str, number: int) -> str:
    profile = load_profile("implanted")
    return pump_of(replace(profile, model=replace(profile.model, serial=serial)), number).model.serial
