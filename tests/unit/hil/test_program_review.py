"""Before a program is written, a human sees old and new, the pump's own reading and each warning, and says yes."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.cli.program_commands import set_as_confirmed
from hil.errors import BadConfiguration, DeviceRefused, UsageError
from hil.plugin import verifies
from hil.programmer.staging import DayGroup, Days, DoseStep
from hil.programs.infusion_program import InfusionProgram
from hil.programs.reading import program_of
from hil.programs.review import review_lines, settings
from hil.programs.warnings import NAMES, PumpNow, warnings
from hil.programs.writing import toml_text
from protocol.identifiers import ErrorCode, InfusionMode, ProgramSlot, State
from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock
from tests.support.for_each import for_each
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from hil.bench_of_test import TestBench

HOUSE = Path(__file__).resolve().parents[3]
WEEK = HOUSE / "fixtures" / "programs" / "weekdays_and_weekend.toml"
EMULATOR = ("--target", "emulator")
OLD = InfusionProgram.simple(300_000, 500_000, 1)
NOW = PumpNow(OLD, reservoir_nl=18_000_000, low_alarm_nl=2_000_000)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments])


def simple(dose_ng_per_day: int, concentration_ng_per_ml: int = 500_000) -> InfusionProgram:
    return InfusionProgram.simple(dose_ng_per_day, concentration_ng_per_ml, 1)


def with_blocks(program: InfusionProgram, **blocks: object) -> InfusionProgram:
    return replace(program, **blocks)  # type: ignore[arg-type]


FOUR_A_DAY = PatientBlock(30_000, 600, 21_600, 86_400, 4)  # 15 mcg each, 60 mcg/day
WARNED = [
    (simple(360_000), NOW, []),
    (simple(360_001), NOW, ["dose-change"]),
    (simple(240_000), NOW, []),
    (simple(239_999), NOW, ["dose-change"]),
    (with_blocks(simple(300_000), patient=FOUR_A_DAY), NOW, []),
    (with_blocks(simple(301_000), patient=FOUR_A_DAY), NOW, ["dose-change"]),
    (with_blocks(simple(300_000), periodic=PeriodicBlock(50_000, 600, 21_600, 0)), NOW, ["dose-change"]),
    (
        InfusionProgram.flexible(
            [
                DayGroup(Days.WORKDAYS, (DoseStep(0, 12_500),)),
                DayGroup(Days.WEEKEND, (DoseStep(0, 16_000),)),
            ],
            500_000,
            1,
        ),
        NOW,
        ["dose-change"],
    ),
    (simple(300_000), NOW._replace(active=None), []),
    (simple(300_000), NOW._replace(reservoir_nl=6_200_000), []),  # low in exactly 7 days
    (simple(300_000), NOW._replace(reservoir_nl=6_199_999), ["refill-soon"]),
    (simple(300_000), NOW._replace(reservoir_nl=1_000_000), ["refill-soon"]),
    (simple(45_000), PumpNow(simple(45_000), 18_470_000, 2_000_000), []),  # in exactly 183 days
    (simple(45_000), PumpNow(simple(45_000), 18_470_001, 2_000_000), ["refill-late"]),
    (simple(300_000, 999_999), NOW, ["concentration", "no-bridge"]),
    (simple(300_000, 1_000_000), NOW, ["concentration", "no-bridge"]),
    (simple(300_000, 250_000), NOW, ["concentration", "no-bridge", "rinse"]),
    (with_blocks(simple(300_000, 1_000_000), bridge=BridgeBlock(338_000, 600_000)), NOW, ["concentration"]),
    (
        with_blocks(
            simple(300_000), bridge=BridgeBlock(338_000, 600_000), old_concentration_ng_per_ml=1_000_000
        ),
        NOW,
        ["bridge-concentration"],
    ),
]


# FI 21, 23
@for_each(("program", "now", "names"), WARNED, name=lambda row: f"{row[0]} {row[2]}")
def test_what_has_to_be_confirmed_is_found_at_its_boundary(
    program: InfusionProgram, now: PumpNow, names: list[str]
) -> None:
    assert [each.name for each in warnings(program, now)] == names


def test_each_warning_has_a_program_here() -> None:
    assert {name for _, _, names in WARNED for name in names} == set(NAMES)


@pytest.mark.parametrize("new_ng_per_ml", [1_000_000, 250_000])
def test_another_concentration_says_which_dose_a_day_then_has(new_ng_per_ml: int) -> None:
    found = {each.name: each for each in warnings(simple(310_000, new_ng_per_ml), NOW)}
    assert "a day then has 310 mcg/day" in found["concentration"].sentence


def test_a_program_for_another_drug_is_checked_and_written_with_its_refill_alone(tmp_path: Path) -> None:
    path = tmp_path / "strong.toml"
    path.write_text(toml_text(simple(300_000, 2_000_000)))
    checked = run("write", str(path), "--check", *EMULATOR)
    assert "the concentration changes from 500 mcg/mL to 2000 mcg/mL" in checked.stdout
    result = run("write", str(path), "--yes", *(f"--accept={name}" for name in NAMES), *EMULATOR)
    assert "another drug comes with its refill" in str(result.exception)
    assert "PROG_COMMIT" not in result.stdout


@verifies("PRC-010")
def test_all_settings_stand_side_by_side_and_those_that_differ_are_marked() -> None:
    new = program_of((HOUSE / "fixtures/programs/periodic.toml").read_text(), "x")
    week = program_of(WEEK.read_text(), "x")
    assert review_lines(settings(OLD, week)) == [
        "                        now                      new",
        "* mode                  simple                   flexible",
        "  drug                  number 1                 number 1",
        "  concentration         500 mcg/mL               500 mcg/mL",
        "* weekdays, prescribed  300 mcg/day              336 mcg/day",
        "* weekdays, 00:00       12.5 mcg/h (0.6 mL/day)  8 mcg/h (0.384 mL/day)",
        "* weekdays, 06:00       12.5 mcg/h (0.6 mL/day)  16 mcg/h (0.768 mL/day)",
        "* weekend, prescribed   300 mcg/day              288 mcg/day",
        "* weekend, 00:00        12.5 mcg/h (0.6 mL/day)  12 mcg/h (0.576 mL/day)",
    ]
    rows = {row.name: row for row in settings(week, with_blocks(new, bridge=BridgeBlock(338_000, 600_000)))}
    assert {name for name, row in rows.items() if not row.differs} == {"drug", "concentration"}
    assert rows["weekdays, 06:00"][1:] == ("16 mcg/h (0.768 mL/day)", "8.333 mcg/h (0.4 mL/day)")
    assert rows["weekend, prescribed"][1:] == ("288 mcg/day", "200 mcg/day")
    assert rows["periodic in a day"][1:] == ("-", "25 mcg every 6 h = 4 per day = 100 mcg/day")
    assert rows["periodic interval"][1:] == ("-", "6 h")
    assert rows["bridge volume"][1:] == ("-", "0.338 mL")
    back = {row.name: row for row in settings(new, week)}
    assert back["periodic interval"][1:] == ("6 h", "-"), "what is taken away stands there too"


# FI 69
def test_a_review_has_the_pumps_own_reading_and_comes_before_the_question() -> None:
    result = run("write", str(WEEK), "--yes", *EMULATOR)
    assert result.exit_code == 0, result.exception
    for part in (
        "* weekdays, 06:00       12.5 mcg/h (0.6 mL/day)  16 mcg/h (0.768 mL/day)",
        "pump reads, weekdays  0.672 mL a day (336 mcg) of basal rate",
        "pump reads, peak      0.768 mL/day",
    ):
        assert part in result.stderr


def test_a_check_changes_nothing_and_leaves_nothing_staged() -> None:
    result = run("write", str(WEEK), "--check", *EMULATOR)
    assert result.exit_code == 0, result.exception
    assert "the pump would run it; nothing was changed" in result.stdout
    assert "new emulated pump" in run("write", str(WEEK), "--check").stderr


# FI 65
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("set", "--dose", "361"), "dose-change"),
        (("minimum-rate", "--accept", "refill-late"), "dose-change"),
        (("minimum-rate", "--accept", "dose-change"), "refill-late"),
        (("flex", "00:00=16mcg/h"), "dose-change"),
    ],
)
@verifies("PRC-011")
def test_a_warning_is_not_confirmed_by_yes_alone(arguments: tuple[str, ...], name: str) -> None:
    result = run(*arguments, "--yes", *EMULATOR)
    assert isinstance(result.exception, UsageError), result.output
    assert f"add --accept {name} in scripts" in str(result.exception)
    accepted = run(*arguments, "--yes", "--accept", name, *EMULATOR)
    assert accepted.exit_code == 0
    assert "warning" in accepted.stdout
    assert name in accepted.stdout, "it stays visible in the answer"
    document = json.loads(run(*arguments, "--yes", "--accept", name, "--json", *EMULATOR).stdout)
    assert name in document["warnings"]


def typed(answers: list[bytes], *arguments: str) -> tuple[int, str, str]:
    """A command whose questions are answered on a terminal, each once it stands there: exit code, stdout and stderr."""
    human, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "program", *arguments, *EMULATOR],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HOUSE,
    )
    os.close(terminal)
    assert process.stderr is not None
    said = b""
    for number, answer in enumerate(answers, start=1):
        while said.count(b"[y/N]: ") < number:
            byte = process.stderr.read(1)
            assert byte, said
            said += byte
        os.write(human, answer)
    out, rest = process.communicate(timeout=PATIENCE_S)
    os.close(human)
    return process.returncode, out.decode(), (said + rest).decode()


# FI 69
@for_each(
    ("answers", "code"),
    [([b"n\n"], 13), ([b"y\n", b"n\n"], 13), ([b"y\n", b"y\n"], 0)],
)
def test_who_declines_a_warning_or_the_program_has_changed_nothing(answers: list[bytes], code: int) -> None:
    found, out, err = typed(answers, "set", "--dose", "400")
    assert (found, err.count("[y/N]")) == (code, len(answers)), err
    assert err.index("* every day, prescribed  300 mcg/day") < err.index("[y/N]")
    assert ("PROG_COMMIT" in out) == (code == 0)
    if code:
        assert err.rstrip().endswith("pumpbench: declined: nothing was changed")


# FI 69
def test_what_was_reviewed_is_refused_where_the_program_changed_meanwhile(bench: TestBench) -> None:
    pump = bench.open_programmer()

    def ask(_question: str) -> None:
        bench.open_programmer().set_simple_program(275_000)

    with pytest.raises(DeviceRefused) as caught:
        set_as_confirmed(pump, 350_000, ask=ask)
    assert caught.value.code == ErrorCode.REV_MISMATCH


def test_a_declined_program_leaves_the_pump_as_it_was(bench: TestBench) -> None:
    pump = bench.open_programmer()

    def no(_question: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_as_confirmed(pump, 350_000, ask=no)
    assert pump.program().header.groups[0].dose_ng_per_day == 300_000
    with pytest.raises(DeviceRefused) as caught:
        pump.program(ProgramSlot.STAGED)
    assert caught.value.code == ErrorCode.NO_STAGED


def test_the_library_writes_programs_of_each_mode_that_the_pump_has(bench: TestBench) -> None:
    pump = bench.open_programmer()
    week = program_of(WEEK.read_text(), "week")
    for program in (week, InfusionProgram.minimum_rate(500_000, 1), OLD):
        executed = pump.write_program(program)
        assert executed.answer is not None
        assert executed.answer.state is State.RUN
        reply = pump.program()
        assert InfusionProgram.from_wire(reply.header, reply.segments) == program.for_pump(6_000)
    assert pump.status().mode is InfusionMode.SIMPLE


# FI 58, RH-03
def test_the_library_sends_nothing_of_a_program_that_cannot_be_run(bench: TestBench) -> None:
    pump = bench.open_programmer()
    hours_as_minutes = with_blocks(OLD, periodic=PeriodicBlock(50_000, 300, 360, 0))
    with pytest.raises(UsageError, match=r"25 mcg every 6 min = 240 per day = 6000 mcg/day"):
        pump.write_program(hours_as_minutes)
    assert "PROG_BEGIN" not in pump.wire_log.text(last=50)
    assert "GET_LIMITS" in pump.wire_log.text(last=50)


@for_each(
    ("words", "said"),
    [
        (("06:00=8mcg/h",), "group 1 says nothing from midnight on"),
        (("00:00=8",), "a number without a unit is not read"),
        (("00:00=0.008mg/h",), "1 mg is 1000 mcg"),
        (("weekdays", "00:00=8mcg/h"), "the groups leave out weekend"),
        (("weekdays", "00:00=8mcg/h", "friday,weekend", "00:00=8mcg/h"), "group 2 days has friday"),
        (("weekday", "00:00=8mcg/h"), "was 'weekdays' meant?"),
        (("00:00=8mcg/h", "00:00=9mcg/h"), "group 1 has '00:00' twice"),
        (("00:00=8mcg/h", "6=9mcg/h"), "group 1 has the key '6'"),
        (("00:00=800mcg/h",), "the nearest is 500 mcg/h"),
    ],
)
def test_steps_on_the_command_line_are_read_as_those_of_a_file(words: tuple[str, ...], said: str) -> None:
    result = run("flex", *words, "--yes", *EMULATOR)
    assert isinstance(result.exception, BadConfiguration | UsageError), result.output
    assert said in str(result.exception)
    assert str(result.exception).startswith("flex: ")


def test_show_has_every_setting_and_a_file_only_where_there_is_a_program(tmp_path: Path) -> None:
    shown = run("show", *EMULATOR).stdout
    assert re.search(r"^every day, 00:00 +12\.5 mcg/h \(0\.6 mL/day\)$", shown, re.MULTILINE)
    assert 'dose = "300 mcg/day"' in run("show", "--toml", *EMULATOR).stdout
    assert isinstance(run("show", "--toml", "--json", *EMULATOR).exception, UsageError)
