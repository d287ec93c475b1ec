"""Procedures on the command line: dose, path, bridge, dates and refill, in words and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hil.address import parse
from hil.bench_of_test import TestBench
from hil.bench_session import BenchSession
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.cli.reservoir_dates import dates_document, read_dates, warnings_of
from hil.cli.therapy_commands import check_of_last_refill
from hil.errors import ExitCode, PumpbenchError
from hil.plugin import verifies
from hil.procedures.fluid_path import FluidPath, bridge_for
from hil.programmer.staging import DayGroup, Days, DoseStep
from hil.programs.reading import program_of, read_program
from protocol.identifiers import AlarmId
from tests.support.for_each import for_each

PATH = ("--length-cm", "114", "--trimmed-cm", "24")
EMULATOR = ("--target", "emulator")
REFILL = ("refill", "--filled", "18", "--yes", *EMULATOR)
DAY_MS = 86_400_000
PROGRAMS = Path(__file__).parents[3] / "fixtures/programs"
BRIDGE_FILE = PROGRAMS / "bridge.toml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments])


def document(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def told(*arguments: str) -> dict[str, str]:
    """The rows of a table, by their labels."""
    lines = run(*arguments).stdout.splitlines()
    rows = (line.split("  ", 1) for line in lines)
    return {label: words.strip() for label, words in rows}


def refused(*arguments: str) -> str:
    """The sentence of a usage error of ours."""
    error = run(*arguments).exception
    assert isinstance(error, PumpbenchError), arguments
    assert error.exit_code is ExitCode.USAGE
    return error.one_line()


@for_each(
    ("arguments", "label", "words"),
    [
        ("dose --dose 300 --concentration 500", "rate", "0.6 mL/day (25 uL/h)"),
        ("dose --dose 300 --concentration 2000", "rate", "0.15 mL/day (6.25 uL/h)"),
        ("dose --dose 300 --concentration 2000", "possible", "96 mcg/day to 48000 mcg/day"),
        ("dose --dose 300 --concentration 500", "minimum rate", "3 mcg/day in the safe state"),
        ("dose --dose 300 --concentration 500", "full", "20 mL lasts 33 d 8 h, 10000 mcg"),
        ("dose --screening 50 --effect-hours 6 --concentration 500", "dose", "100 mcg/day of 500 mcg/mL"),
        ("dose --screening 50 --effect-hours 9 --concentration 500", "dose", "50 mcg/day of 500 mcg/mL"),
        ("dose --dose 300 --concentration 500 --stopped 2:00", "missed", "25 mcg in the stop"),
        (
            "dose --dose 100 --concentration 100 --if-in-truth 1000",
            "if mistaken",
            "1000 mcg/day is given in truth",
        ),
        (
            "dose --dose 300 --concentration 500 --bolus 25 --every 6:00",
            "every",
            "6 h = 4 a day = 100 mcg/day",
        ),
        (
            "dose --dose 300 --concentration 500 --bolus 25 --every 0:06",
            "every",
            "6 min = 240 a day = 6000 mcg/day",
        ),
        ("dose --dose 300 --concentration 500 --bolus 25 --duration 600", "over", "10 min: 0.3 mL/h"),
        ("path --length-cm 114 --trimmed-cm 24", "path", "0.338 mL"),
        ("path --target emulator", "catheter", "0.198 mL: as it is written into the pump"),
        (
            "prime --kind new --length-cm 90 --yes --target emulator",
            "prime",
            (
                "new pump and catheter: 0.338 mL in 20 min 48 s, 0 mcg out of the tip before its end; "
                "the program gives 0.008666 mL (4.333 mcg) beside it"
            ),
        ),
        (
            "prime --kind revision --prime-rate 0.5 --yes --target emulator",
            "prime",
            (
                "catheter revised: 0.198 mL in 23 min 46 s, 0 mcg out of the tip before its end; "
                "the program gives 0.0099 mL (4.95 mcg) beside it"
            ),
        ),
        ("path --length-cm 114 --trimmed-cm 24", "prime, new pump and catheter", "0.338 mL in 20 min 17 s"),
        (
            "path --length-cm 110 --trimmed-cm 30 --ml-per-cm 0.0026",
            "catheter",
            "0.208 mL: 80 cm of 0.0026 mL/cm",
        ),
        (
            "path --length-cm 90 --tubing-ml 0.199 --concentration 2000",
            "look",
            "the tubing is told 0.059 mL larger than it is: a prime gives that, 118 mcg too much",
        ),
        ("path --length-cm 90 --dose 300 --concentration 500", "transit", "13 h 31 min 12 s at 0.6 mL/day"),
        (
            "path --length-cm 90 --concentration 500 --dispersion 10",
            "prime, new pump and catheter",
            (
                "0.338 mL in 20 min 17 s, 4.225 mcg out of the tip before its end, "
                "4.225 mcg too little in the path volume after it"
            ),
        ),
        (
            "path --length-cm 90",
            "heed",
            "fluids mix: some drug arrives before a prime has ended and less after it; watch the patient",
        ),
        ("bridge --length-cm 90 --concentration 2000", "bridge", "0.338 mL (169 mcg) in 13 h 31 min 12 s"),
        ("bridge --length-cm 90 --concentration 2000", "then", "0.15 mL/day (300 mcg/day)"),
        (
            "bridge --length-cm 90 --concentration 2000",
            "without it",
            "75 mcg/day (25 %) for 2 d 6 h 4 min 48 s",
        ),
        (
            "bridge --length-cm 90 --concentration 2000 --bridge-dose 330",
            "rate",
            "0.66 mL/day (330 mcg/day)",
        ),
        (
            "bridge --length-cm 90 --concentration 200",
            "heed",
            "a weaker drug: rinse the reservoir twice before it is filled",
        ),
        ("dates", "low (2 mL)", "2026-03-29 02:00:00 UTC+00:00 (in 26 d 16 h)"),
        ("dates", "empty", "2026-04-01 10:00:00 UTC+00:00 (in 30 d)"),
        ("dates", "plan by", "2032-09-02 10:00:00 UTC+00:00"),
        ("dates", "replace by", "2033-03-02 10:00:00 UTC+00:00"),
    ],
)
def test_a_procedure_says_in_words_what_a_clinic_asks(arguments: str, label: str, words: str) -> None:
    assert told(*arguments.split())[label] == words


@verifies("PRC-003")
def test_every_plan_of_a_prime_says_that_the_patient_is_watched() -> None:
    for arguments in (PATH, (*PATH, "--concentration", "500", "--dispersion", "20")):
        assert "watch the patient" in document("path", *arguments)["supervise"]


# FI 20, 24, RH-20
@for_each(
    ("arguments", "sentence"),
    [
        (
            "dose --dose 90 --concentration 2000",
            (
                "90 mcg/day of 2000 mcg/mL is 0.045 mL/day, and a pump runs 0.048 mL/day to 24 mL/day; "
                "the nearest dose is 96 mcg/day"
            ),
        ),
        (
            "dose --dose 13000 --concentration 500",
            (
                "13000 mcg/day of 500 mcg/mL is 26 mL/day, and a pump runs 0.048 mL/day to 24 mL/day; "
                "the nearest dose is 12000 mcg/day"
            ),
        ),
        (
            "dose --dose 300 --concentration 500 --bolus 25 --duration 120",
            "25 mcg over 2 min is 1.5 mL/h, with the dose more than 1 mL/h; it takes 3 min 5 s at least",
        ),
        ("dose --dose 300", "--concentration is missing: a dose is drug; name --concentration, above 0"),
        (
            "dose --dose 0 --concentration 500 --target emulator",
            "--dose is 0, and nothing can be computed with that; name --dose, above 0",
        ),
        (
            "dose --dose 300 --concentration 0 --target emulator",
            "--concentration is 0, and nothing can be computed with that; name --concentration, above 0",
        ),
        (
            "path --length-cm 90 --concentration 0 --target emulator",
            "--concentration is 0, and nothing can be computed with that; name --concentration, above 0",
        ),
        (
            "bridge --length-cm 90 --concentration 2000 --bridge-dose 0 --target emulator",
            "--bridge-dose is 0, and nothing can be computed with that; name --bridge-dose, above 0",
        ),
        (
            "path",
            (
                "--length-cm is missing, and no pump that is named knows its catheter; name the length as sold and "
                "--trimmed-cm, or write the volume into the pump: `pumpbench program config catheter 0.198`"
            ),
        ),
        (
            "path --trimmed-cm 24",
            "--trimmed-cm is of --length-cm, which is missing; name the length that was sold",
        ),
        (
            "prime --kind new --concentration 0 --yes --target emulator",
            "--concentration is 0, and nothing can be computed with that; name --concentration, above 0",
        ),
        (
            "path --length-cm 24 --trimmed-cm 24",
            "--trimmed-cm 24 leaves nothing of --length-cm 24; name the length that was sold, and what was cut off",
        ),
        (
            "path --length-cm 5 --dispersion 50",
            "--dispersion: a dispersion of 1/2 mixes 75500 nL, more than the 11000 nL before the tip; name less of it",
        ),
        (
            "bridge --length-cm 90 --concentration 2000 --bridge-dose 20",
            (
                "--bridge-dose is 0.04 mL/day, and the pump runs 0.048 mL/day to 24 mL/day; "
                "name another dose, or another concentration"
            ),
        ),
        (
            "refill --filled 18 --aspirated 18 --concentration 2000 --yes --target emulator",
            (
                "nothing was sent: 500 mcg/mL is still in tubing and catheter, and the new rate would give it; "
                "`pumpbench program bridge` says how much: name it as --bridge-ml, or say --no-bridge"
            ),
        ),
        (
            "refill --filled 18 --aspirated 18 --dose 200 --yes --target emulator",
            (
                "nothing was sent: --dose and a bridge are for another drug or concentration, and both stay; "
                "`pumpbench program set` changes the dose"
            ),
        ),
        *(
            (
                f"refill --filled 18 --aspirated 18 --program {BRIDGE_FILE} {more} --yes --target emulator",
                sentence,
            )
            for more, sentence in (
                (
                    "--dose 300 --bridge-ml 0.3",
                    (
                        "nothing was sent: --dose and --bridge-ml and --program both say what comes with the drug; "
                        "write it in the file, and leave the option out"
                    ),
                ),
                (
                    "--concentration 500",
                    (
                        f"nothing was sent: --concentration is 500 mcg/mL, and the program of {BRIDGE_FILE} is for "
                        "2000 mcg/mL; look at the vial, and at the file"
                    ),
                ),
                (
                    "--drug 2",
                    (
                        f"nothing was sent: --drug is 2, and the program of {BRIDGE_FILE} is for 1; look at the vial, "
                        "and at the file"
                    ),
                ),
                (
                    "--no-bridge",
                    (
                        f"nothing was sent: {BRIDGE_FILE} has a [bridge], and --no-bridge says that there is none; "
                        "leave one of them out"
                    ),
                ),
                (
                    "",
                    (
                        "nothing was sent: the concentration changes from 500 mcg/mL to 2000 mcg/mL, by a factor of "
                        "2 or more; write it a second time, as --concentration-again"
                    ),
                ),
            )
        ),
        (
            "refill --filled 18 --aspirated 18 --concentration 2000 --no-bridge --yes --target emulator",
            (
                "nothing was sent: the concentration changes from 500 mcg/mL to 2000 mcg/mL, by a factor of 2 or more; "
                "write it a second time, as --concentration-again"
            ),
        ),
        (
            (
                "refill --filled 18 --aspirated 18 --concentration 2000 --no-bridge --concentration-again 200 --yes "
                "--target emulator"
            ),
            "nothing was sent: the concentration was first 2000 mcg/mL and then 200 mcg/mL; read it from the vial",
        ),
    ],
)
@verifies("PRC-006")
def test_what_cannot_be_is_refused_with_what_could(arguments: str, sentence: str) -> None:
    assert refused(*arguments.split()) == f"usage: {sentence}"


@pytest.mark.parametrize("name", ["bridge", "patient"])
def test_a_refill_commits_the_program_of_its_file_in_the_same_stroke(
    name: str, on_a_port: tuple[str, str]
) -> None:
    wanted = read_program(PROGRAMS / f"{name}.toml")
    arguments = ("--filled", "18", "--aspirated", "18", "--program", str(PROGRAMS / f"{name}.toml"), "--yes")
    change = ("--concentration-again", "2000", "--rinsed-twice") if name == "bridge" else ()
    done = run("refill", *arguments, *change, "--json", *on_a_port)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)
    assert (found["outcome"], found["reply"]["reservoir_calc_nl"]) == ("DONE", 18_000_000)
    assert "pump reads, every day" in done.stderr
    assert program_of(run("show", "--toml", *on_a_port).stdout, name) == wanted


# FI 58
@for_each("interval", ["6", "6:0", "0:00", "6:60", "-1:00", "6h", "745:00"])
def test_an_interval_has_hours_and_minutes_each_in_its_place(interval: str) -> None:
    result = run("dose", "--dose", "300", "--concentration", "500", "--bolus", "25", "--every", interval)
    assert result.exit_code == 2
    assert "write 6:00 for six hours" in result.output or "No such option" in result.output


def test_a_dose_that_no_pump_runs_is_a_document_with_its_error() -> None:
    found = document("dose", "--dose", "90", "--concentration", "2000")
    assert (found["accepted"], found["nearest_dose_ng_per_day"], found["error"]["exit_code"]) == (
        False,
        96_000,
        2,
    )
    assert set(json_schema("dose")["properties"]) >= set(found)


# FI 20, RH-20
@verifies("PRC-006")
def test_a_new_concentration_comes_with_its_program_and_says_what_it_gives() -> None:
    change = ("--concentration", "2000", "--concentration-again", "2000", "--no-bridge", "--dose", "200")
    asked = CliRunner().invoke(
        main.cli,
        ["program", "refill", "--filled", "18", "--aspirated", "18", *change, "--target", "emulator"],
    )
    words = (
        "2000 mcg/mL (0.1 mL/day) without a bridge; if the drug is still of 500 mcg/mL that gives 50 mcg/day"
    )
    assert words in str(asked.exception)
    found = document(*REFILL, "--aspirated", "18", *change)
    assert found["reply"]["program_rev"] == 2
    assert found["dates"]["low_in_ms"] == 160 * DAY_MS
    assert "1883.333 mcg/mL" in run(*REFILL, "--aspirated", "18", *change).stderr
    assert "1883.333" not in run(*REFILL, "--aspirated", "18", *change, "--rinsed-twice").stderr


# FI 25, RH-16
@verifies("PRC-004")
@for_each(
    ("aspirated", "investigate"),
    [("18", False), ("16.000001", False), ("16", True), ("20", True), ("19.999999", False), ("0", True)],
)
def test_a_refill_is_investigated_from_two_millilitres_on(aspirated: str, investigate: bool) -> None:
    result = run(*REFILL, "--aspirated", aspirated, "--json")
    assert json.loads(result.stdout)["investigate"] is investigate
    assert ("INVESTIGATE before the pump runs" in result.stderr) is investigate
    unasked = run("refill", "--filled", "18", "--aspirated", aspirated, *EMULATOR)
    assert (
        "this must be investigated" in str(unasked.exception)
    ) is investigate  # nobody is there to say yes


@verifies("PRC-004")
def test_who_starts_a_pump_after_a_refill_that_was_not_as_expected_hears_of_it(bench: TestBench) -> None:
    pump = bench.open_programmer()

    def heard() -> str:
        return check_of_last_refill(pump.reservoir(), pump.read_log().entries)

    assert heard() == ""
    pump.stop(3_600)
    pump.refill(18_000_000, aspirated_nl=19_999_999)
    assert heard() == ""
    pump.refill(18_000_000, aspirated_nl=20_000_000)
    assert "2 mL more than expected came out at the refill; too little was delivered" in heard()


WORKDAYS_LOW = (
    DayGroup(Days.WORKDAYS, (DoseStep(0, 8_000), DoseStep(360, 20_000), DoseStep(480, 10_000))),
    DayGroup(Days.WEEKEND, (DoseStep(0, 40_000), DoseStep(1_439, 5_000))),
)


@verifies("PRC-008")
@for_each("hours", [0, 1, 37, 200])
def test_dates_computed_from_a_program_are_those_of_the_pump_and_of_its_alarm(hours: int) -> None:
    session = BenchSession(parse("emulator"))
    bench = session.open_bench("dates")
    try:
        pump, rig = bench.open_programmer(), bench.target.rig
        pump.set_flex_program(WORKDAYS_LOW)
        rig.advance(hours * 3_600_000 + 1_234)
        seen = read_dates(pump)
        assert warnings_of(seen) == []
        low_ms = seen.by_program.low_ms
        assert low_ms is not None
        low_t_mono_s = seen.reservoir.low_t_mono_s
        assert abs(seen.status.t_mono_s + low_ms // 1_000 - low_t_mono_s) <= 180
        rig.advance(low_ms + 180_000)
        (alarm,) = [row for row in pump.alarms().alarms if row.alarm_id is AlarmId.LOW_RESERVOIR]
        assert alarm.on_t_mono_s == low_t_mono_s
    finally:
        bench.close()
        session.close()


@verifies("PRC-007")
def test_dates_are_told_before_a_pump_is_started(bench: TestBench) -> None:
    pump = bench.open_programmer()
    running = dates_document(read_dates(pump))
    pump.stop(3_600)
    stopped = dates_document(read_dates(pump))
    assert (running["running"], stopped["running"]) == (True, False)
    assert stopped["low_in_ms"] == running["low_in_ms"] == 16 * DAY_MS * 10 // 6
    assert stopped["pump_low_t_mono_s"] is None
    assert stopped["warnings"] == ["the program does not run: these are the dates if it is started now"]


# RH-11
@verifies("PRC-005")
def test_a_pump_whose_date_of_replacement_is_not_that_of_its_implant_is_accused(bench: TestBench) -> None:
    seen = read_dates(bench.open_programmer())
    assert seen.wall_s(0) == int(
        (datetime(2026, 3, 2, 10, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds()
    )
    later = seen.reservoir._replace(replace_by_wall_s=seen.reservoir.replace_by_wall_s + 2 * 86_400)
    (warning,) = warnings_of(seen._replace(reservoir=later))
    assert warning.startswith(
        "84 months after its implant is 2033-03-02 10:00:00 UTC+00:00, and the pump says another"
    )


def test_a_pump_whose_date_of_low_is_not_that_of_its_program_is_accused(bench: TestBench) -> None:
    seen = read_dates(bench.open_programmer())
    for wrong_s in (seen.reservoir.low_t_mono_s + 600, 0xFFFF_FFFF):
        other = seen.reservoir._replace(low_t_mono_s=wrong_s)
        assert "the pump's own date of low" in warnings_of(seen._replace(reservoir=other))[0]


def test_a_refill_that_is_due_soon_or_late_is_worth_a_look(bench: TestBench) -> None:
    pump = bench.open_programmer()
    for dose_ng_per_day, words in (
        (2_400_000, "less than 7 days"),
        (30_000, "more than 6 months"),
        (300_000, ""),
    ):
        pump.set_simple_program(dose_ng_per_day)
        assert words in "".join(warnings_of(read_dates(pump)))
    assert warnings_of(read_dates(pump)) == []


def test_the_numbers_of_a_bridge_for_programs_are_those_of_its_computation() -> None:
    plan = bridge_for(
        FluidPath(198_000),
        old_ng_per_ml=500_000,
        new_ng_per_ml=2_000_000,
        bridge_dose_ng_per_day=300_000,
        new_dose_ng_per_day=300_000,
    )
    found = document("bridge", *PATH, "--concentration", "2000")
    names = (
        "volume_nl",
        "rate_nl_per_day",
        "duration_ms",
        "drug_ng",
        "first_new_ms",
        "last_old_ms",
        "without_ms",
    )
    assert {name: found[name] for name in names} == {name: getattr(plan, name) for name in names}


# FI 59
@pytest.mark.parametrize("option", ["--dose", "--screening", "--bolus", "--if-in-truth"])
def test_a_dose_in_milligrams_is_no_number_of_micrograms(option: str) -> None:
    result = run("dose", "--concentration", "500", option, "0.3mg")
    assert result.exit_code == 2
    assert "write digits, as 25 or 0.5" in result.output
