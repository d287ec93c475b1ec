"""Preflight: in 5 s and before the first test, whether identity, link, clock, power and disk are fit for a run."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.bench_look import PartLooks
from hil.errors import BenchLost, ExitCode
from hil.instruments.declaration import Part
from hil.noise import Direction
from hil.preflight import (
    CHECKS,
    FREE_BYTES_MIN,
    LIMIT_MS,
    PINGS,
    Seen,
    look_at,
    refuse_where_unfit,
    results,
)
from hil.programmer.expected_pump import ExpectedPump
from hil.programmer.programmer import Programmer
from protocol.identifiers import AlarmId, DeviceKind
from tests.support.stand_in_board import StandInBoard
from tests.unit.hil.runs import pytest_on
from tests.unit.hil.test_boards_on_the_command_line import lab, pumpbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.noise import FaultyLine
    from tests.unit.hil.test_boards_on_the_command_line import Lab

__all__ = ["lab"]


def look(bench: TestBench, report: Path = Path(), *, serial: str = "") -> Seen:
    """A preflight on a pump in virtual time."""
    expected = ExpectedPump("the bench", serial=serial)
    seen = look_at(Programmer(bench.line, expected_pump=expected), report)
    seen.free_bytes = FREE_BYTES_MIN  # of this test's own bench: whatever the machine has
    return seen


def problems(seen: Seen) -> dict[str, str]:
    return {each.name: each.problem for each in results(seen) if each.problem}


def test_a_pump_that_is_well_passes_each_check(bench: TestBench) -> None:
    seen = look(bench)
    assert problems(seen) == {}
    refuse_where_unfit("the bench", seen)
    found = {each.name: each.found for each in results(seen)}
    assert list(found) == ["identity", "capabilities", "link", "clock", "power", "disk"]
    assert found["identity"].startswith("emulator, serial EMU000000001, firmware 0x")
    assert found["link"] == f"{PINGS} of {PINGS} pings, 0 again, 0 damaged frames"
    assert re.fullmatch(r"\d+ %, \d+ mV", found["power"])


def test_whoever_does_not_answer_is_found_out_in_5_s_of_the_line(bench: TestBench) -> None:
    bench.line.drop(Direction.TO_PUMP, 1_000)
    began_ms = bench.line.now_ms()
    seen = look(bench)
    assert bench.line.now_ms() - began_ms <= LIMIT_MS
    assert "nothing answers" in problems(seen)["identity"]
    assert list(problems(seen)) == ["identity"]
    states = {
        each.name: each.state.value for each in results(seen)
    }  # nothing is green that was not looked at
    assert states == {
        "identity": "unfit",
        "capabilities": "not seen",
        "link": "not seen",
        "clock": "not seen",
        "power": "not seen",
        "disk": "fit",
    }


def test_a_pump_that_falls_silent_in_between_ends_it_in_5_s_too(bench: TestBench) -> None:
    bench.line.drop(Direction.TO_PUMP, 1_000, skip=12)
    began_ms = bench.line.now_ms()
    seen = look(bench)
    assert bench.line.now_ms() - began_ms <= LIMIT_MS
    assert problems(seen)


def flip_some(line: FaultyLine, direction: Direction) -> None:
    for skip in (8, 11, 14):
        line.flip(direction, 40, skip=skip)


@pytest.mark.parametrize("direction", list(Direction))
def test_a_line_that_damages_frames_is_told_by_either_end(direction: Direction, bench: TestBench) -> None:
    flip_some(bench.line, direction)
    seen = look(bench)
    assert (seen.answered, seen.damaged) == (PINGS, 3)
    assert re.search(r"3 had to be sent again, and 3 frames arrived damaged", problems(seen)["link"])


def test_one_damaged_frame_is_no_reason(bench: TestBench) -> None:
    bench.line.flip(Direction.TO_PUMP, 40, skip=9)
    seen = look(bench)
    assert seen.damaged == 1
    assert problems(seen) == {}


def test_another_pump_than_the_bench_file_says_is_a_reason(bench: TestBench) -> None:
    assert "the bench file says serial PUMP-17" in problems(look(bench, serial="PUMP-17"))["identity"]


def of_hardware(seen: Seen) -> None:
    assert seen.info is not None
    seen.info = seen.info._replace(kind=DeviceKind.HARDWARE)


def stand_still(seen: Seen) -> None:
    of_hardware(seen)
    seen.host_ms, seen.pump_ms = 1_000, 0


def run_fast(seen: Seen) -> None:
    of_hardware(seen)
    seen.host_ms, seen.pump_ms = 1_000, 1_100


def run_well(seen: Seen) -> None:
    of_hardware(seen)
    seen.host_ms, seen.pump_ms = 1_000, 1_016


def fill_the_disk(seen: Seen) -> None:
    seen.free_bytes = FREE_BYTES_MIN - 1


def empty_the_battery(alarm: AlarmId) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        assert seen.status is not None
        seen.status = seen.status._replace(alarm_active=1 << alarm)

    return change


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (stand_still, "clock", "in 1000 ms of the host the pump's clock went on by 0 ms"),
        (run_fast, "clock", "went on by 1100 ms"),
        (run_well, "", ""),
        (empty_the_battery(AlarmId.ERI), "power", r"to be replaced \(ERI, \d+ mV\)"),
        (empty_the_battery(AlarmId.EOS), "power", r"to be replaced \(EOS, "),
        (fill_the_disk, "disk", "199 MiB are free for the report in .*, and 200 MiB are wanted"),
    ],
)
def test_each_check_says_what_is_wrong(
    change: Callable[[Seen], None], name: str, said: str, bench: TestBench
) -> None:
    seen = look(bench)
    change(seen)
    assert list(problems(seen)) == [name] * bool(name)
    assert re.search(said, problems(seen).get(name, ""))


def test_all_reasons_stand_in_one_sentence_that_ends_with_7(bench: TestBench) -> None:
    seen = look(bench, serial="PUMP-17")
    fill_the_disk(seen)
    with pytest.raises(BenchLost, match=r"bench:rig1 is not fit for a run: identity: .*; disk: ") as caught:
        refuse_where_unfit("bench:rig1", seen)
    assert caught.value.exit_code is ExitCode.BENCH_LOST
    assert "\n" not in caught.value.one_line()


def checks(*words: str) -> tuple[int, dict[str, Any]]:
    done = pumpbench("hil", "preflight", "--json", *words)
    code = getattr(done.exception, "exit_code", done.exit_code)
    return int(code), json.loads(done.stdout)


def test_the_command_shows_each_check_and_ends_with_7_where_one_fails(lab: Lab) -> None:
    code, document = checks("--target", "bench:rig1")
    assert (code, [row["name"] for row in document["checks"]]) == (0, [check.name for check in CHECKS])
    assert "error" not in document
    lab.write(serial="PUMP-17")
    code, document = checks("--target", "bench:rig1")
    assert code == 7
    assert "serial PUMP-17" in document["error"]["message"]
    shown = pumpbench("hil", "preflight", "--target", "bench:rig1").stdout
    assert re.search(r"^identity +unfit +not known$", shown, re.MULTILINE)
    assert re.search(r"^link +not seen$", shown, re.MULTILINE)


def test_a_run_on_a_bench_that_is_not_fit_ends_with_7_before_its_first_test(lab: Lab) -> None:
    lab.write(serial="PUMP-17")
    done = pytest_on(
        lab.directory,
        """
        def test_is_not_begun(pump):
            open("begun", "w").close()
        """,
        "--hil-target=bench:rig1",
        "--hil-report=report",
    )
    assert done.returncode == 7, done.stdout + done.stderr
    assert (
        "bench:rig1 is not fit for a run: identity: nothing was changed: another pump"
        in done.stdout + done.stderr
    )
    assert (done.stdout + done.stderr).count("not fit for a run") == 1
    assert not (lab.directory / "begun").exists()
    assert "not fit for a run" in (lab.directory / "report" / "summary.txt").read_text()


def test_instruments_and_console_are_looked_at_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with StandInBoard() as board, socket.create_server(("127.0.0.1", 0)) as voice:
        bench = board.bench_file(
            tmp_path,
            outlet=board.outlet(),
            scale=board.balance(),
            reset=board.reset(tmp_path),
            servo=board.magnet(tmp_path),
            hours=board.time_line(),
        )
        console = f"socket://127.0.0.1:{voice.getsockname()[1]}"
        bench.write_text(bench.read_text().replace("\n", f'\nconsole = "{console}"\n', 1))
        code, document = checks("--target", "bench:rig1")
        found = {row["name"]: row["found"] for row in document["checks"] if row["state"] == "fit"}
        assert (code, list(found)[6:]) == (
            0,
            [*(f"instrument {name}" for name in ("outlet", "scale", "reset", "servo", "hours")), "console"],
        )
        assert found["instrument scale"].endswith(" g on its pan")
        assert board.truth.state().powered
        assert [fault.on for fault in board.truth.faults() if fault.name == "magnet"] == [False]


def test_an_instrument_or_console_that_is_not_there_ends_it_with_7_and_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.preflight.PART_LIMIT_MS", 300)
    with StandInBoard() as board, socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        bench = board.bench_file(
            tmp_path,
            scale={"kind": "balance", "port": f"socket://127.0.0.1:{port}"},
            relay={"kind": "power", "on": "./no-relay on", "off": "./no-relay off"},
            hours={"kind": "time", "port": "/dev/no-such-port"},
        )
        bench.write_text(bench.read_text().replace("\n", '\nconsole = "/dev/no-console"\n', 1))
        code, document = checks("--target", "bench:rig1")
    said = {row["name"]: row["problem"] for row in document["checks"] if row["state"] == "unfit"}
    assert (code, list(said)) == (7, ["instrument scale", "instrument relay", "instrument hours", "console"])
    assert f"socket://127.0.0.1:{port} has not answered SI within 300 ms" in said["instrument scale"]
    assert "there is no program ./no-relay" in said["instrument relay"]
    assert "/dev/no-such-port" in said["instrument hours"]
    assert "/dev/no-console" in said["console"]
    assert all(problem in document["error"]["message"] for problem in said.values())


def test_a_part_whose_look_raises_what_nobody_expects_is_not_told_as_one_that_is_silent() -> None:
    def look(_limit_ms: int) -> str:
        raise KeyError("unit")

    (seen,) = PartLooks((Part("instrument scale", look),), 1_000).ended(lambda: 10.0)
    assert seen.problem == "its look raised KeyError: 'unit'"
