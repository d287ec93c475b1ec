"""The keyword library of Robot Framework: the example suite on two targets, and what each failure says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from robot import running
from robot.libdocpkg import LibraryDocumentation

from hil.robot.quantities import CONVERTERS, DailyDose, Duration, Volume
from tests.support.stand_in_board import StandInBoard

EXAMPLE = Path(__file__).parents[3] / "fixtures" / "robot" / "pump.robot"
REPLAY = Path(__file__).parents[3] / "fixtures" / "sessions" / "clinic_day.pcapng"


def told(suite: Any, **variables: str) -> dict[str, tuple[str, str]]:
    """What became of each test of a suite that is run here, and the message of each."""
    result = suite.run(
        output=None, stdout=None, variable=[f"{name}:{value}" for name, value in variables.items()]
    )
    return {test.name: (test.status, test.message) for test in result.suite.all_tests}


def suite_of(*tests: tuple[str, str], settings: str = "target=emulator", more: str = "") -> Any:
    """A suite of tests, each with its lines."""
    lines = ["*** Settings ***", f"Library    hil.robot    {settings}", more, "*** Test Cases ***"]
    for name, body in tests:
        lines += [name, *(f"    {line.strip()}" for line in body.splitlines())]
    return running.TestSuite.from_string("\n".join(lines))


@pytest.mark.parametrize("target", ["emulator", "emulator:process"])
def test_the_example_suite_passes_on_each_emulator_and_skips_nothing(target: str) -> None:
    seen = told(running.TestSuite.from_file_system(EXAMPLE), TARGET=target)
    assert len(seen) == 5
    assert set(seen.values()) == {("PASS", "")}


FAILURES = [
    ("Give Bolus    50    10 min", "'50' is no volume: write mL, uL or nL behind the number, as '50 uL'"),
    ("Give Bolus    50 uL    10 m", "m may be minutes or months: write min for minutes"),
    ("Give Bolus    4 mL    10 min", "device: BOLUS_PREPARE refused: RATE"),
    ("State Should Be    STOP", "the pump is in RUN (COMMAND), and STOP is expected"),
    ("Alarm Should Be On    EMPTY", "EMPTY is not on; on: none"),
    ("Inject Fault    motor-stal", "usage: there is no fault 'motor-stal'"),
    ("Inject Fault    motor-stall    after=1 h    at_stroke=2", "usage: a fault starts once"),
    ("Wait Until Alarm    EMPTY    within=1 h", "EMPTY did not come within 1 h"),
    ("Truth Should Be    strokes_turned    >    5", "strokes_turned is 0, and > 5 is expected"),
    ("Truth Should Be    strokes_turned    >    many", "usage: strokes_turned is 0"),
    ("Get Truth    colour", "usage: there is no colour in the truth"),
    ("Restore Power", "usage: the pump has power already"),
    ("Bench Should Have    luck", "usage: no such capability: luck"),
    ("Write Program    no_such_file.toml", "configuration: "),
    ("Delivered Should Be    1 uL", "0 mL is counted as delivered by ALL, and 0.001 mL is expected"),
    (
        "Command Outcome Should Be    7    DONE",
        "command 7 is NEVER_RECEIVED (never received), and DONE is expected",
    ),
    (
        "Inject Fault    motor-stall    after=20 h",
        "motor-stall, which took no effect: it shows nothing; tag the test without-effect:NAME",
    ),
]


def test_each_failure_is_one_sentence_that_says_whose_fault_it_is() -> None:
    suite = suite_of(*((f"Row {number}", line) for number, (line, _) in enumerate(FAILURES)))
    seen = told(suite)
    for number, (line, expected) in enumerate(FAILURES):
        status, message = seen[f"Row {number}"]
        assert (status, expected in message) == ("FAIL", True), f"{line}: {message}"
        assert "Traceback" not in message


def test_a_fault_without_effect_is_no_failure_where_the_test_says_that_it_is_its_point() -> None:
    body = "[Tags]    without-effect:motor-stall\nInject Fault    motor-stall    after=20 h"
    assert told(suite_of(("Late", body))) == {"Late": ("PASS", "")}


def test_a_fault_without_effect_fails_the_last_test_where_a_suite_has_one_pump() -> None:
    """Green for a pump that took no fault: also where no test of it has the pump for itself."""
    tests = (("Stalls", "Inject Fault    motor-stall    after=20 h"), ("Looks", "State Should Be    RUN"))
    seen = told(suite_of(*tests, settings="pump_for=suite"))
    assert [status for status, _ in seen.values()] == ["PASS", "FAIL"]
    assert "motor-stall, which took no effect" in seen["Looks"][1]
    skipped = told(suite_of(tests[0], ("Looks", "Skip"), settings="pump_for=suite"))
    assert [status for status, _ in skipped.values()] == ["PASS", "FAIL"]
    tagged = (("Stalls", "[Tags]    without-effect:motor-stall\n" + tests[0][1]), tests[1])
    assert set(told(suite_of(*tagged, settings="pump_for=suite")).values()) == {("PASS", "")}


def test_each_test_has_a_new_pump_or_all_of_a_suite_have_one_that_its_set_up_prepared() -> None:
    tests = (("First", "State Should Be    STOP\nResume Pump"), ("Second", "State Should Be    RUN"))
    shared = suite_of(*tests, settings="pump_for=suite", more="Suite Setup    Stop Pump")
    assert set(told(shared).values()) == {("PASS", "")}
    fresh = told(suite_of(("First", "Stop Pump"), ("Second", "State Should Be    RUN")))
    assert set(fresh.values()) == {("PASS", "")}
    early = told(suite_of(("First", "State Should Be    RUN"), more="Suite Setup    Stop Pump"))
    assert "usage: each test has a pump of its own here" in early["First"][1]


def test_a_bench_that_lacks_what_a_keyword_needs_skips_the_test_and_says_what() -> None:
    seen = told(suite_of(("Ages", "Let Time Pass    1 h"), settings=f"target=replay:{REPLAY}"))
    assert seen == {"Ages": ("SKIP", f"target replay:{REPLAY} has no time")}


def test_a_magnet_of_the_bench_file_is_a_fault_and_others_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    near = f"{sys.executable} -c \"open('near', 'w')\""
    with StandInBoard() as board:
        board.bench_file(tmp_path, servo={"kind": "magnet", "on": near, "off": "rm near"})
        tests = (("Near", "Inject Fault    magnet"), ("Edges", "Inject Fault    edge-lost"))
        seen = told(suite_of(*tests, settings="target=bench:rig1"))
    assert seen == {"Near": ("PASS", ""), "Edges": ("SKIP", "target bench:rig1 has no faults")}
    assert not (tmp_path / "near").exists(), "the magnet was taken away after the test"


def test_an_address_that_cannot_be_right_ends_the_run_with_one_sentence() -> None:
    seen = told(suite_of(("One", "Get State"), ("Two", "Get State"), settings="target=emulatr"))
    assert seen["One"][0] == "FAIL"
    assert seen["One"][1].startswith(
        "configuration: no such target address: 'emulatr'; write one of emulator,"
    )
    assert seen["Two"] == ("FAIL", "Test execution stopped due to a fatal error.")


@pytest.mark.parametrize(
    ("kind", "written", "number", "shown"),
    [
        (Volume, "50 uL", 50_000, "0.05 mL"),
        (Volume, "0.05 mL", 50_000, "0.05 mL"),
        (Volume, "2500 nL", 2_500, "0.0025 mL"),
        (Duration, "1 h 30 min", 5_400, "1 h 30 min"),
        (DailyDose, "300 mcg/day", 300_000, "300 mcg/day"),
    ],
)
def test_what_a_keyword_returns_shows_its_unit_and_is_read_again(
    kind: type[int], written: str, number: int, shown: str
) -> None:
    read = CONVERTERS[kind](written)
    assert (int(read), str(read)) == (number, shown)
    assert CONVERTERS[kind](str(read)) == read


@pytest.mark.parametrize(
    "written", ["50", "50 ug", "0.0001 uL", "-1 mL", "1.5 nL", "mL", 50, None, "5000 mL"]
)
def test_what_is_no_volume_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"no volume|not a volume"):
        CONVERTERS[Volume](written)


def test_each_keyword_is_documented_by_a_sentence_and_each_argument_has_a_type() -> None:
    library = LibraryDocumentation("hil.robot")
    assert len(library.keywords) >= 30
    for each in library.keywords:
        assert each.short_doc[:1].isupper(), each.name
        assert each.doc.split("\n\n")[0].endswith((".", "...")), each.name
        assert all(argument.type for argument in each.args if argument.name), each.name
