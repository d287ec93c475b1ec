"""Files of programs: what cannot be meant is refused in one sentence, with file, key, what came and what should."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hil.errors import BadConfiguration, PumpbenchError, UsageError
from hil.programmer.staging import DayGroup, Days, DoseStep
from hil.programs.checks import CHECKS, refusals
from hil.programs.infusion_program import InfusionProgram
from hil.programs.measures import DOSE_A_DAY, RATE, TIME
from hil.programs.reading import program_of, read_program
from hil.programs.writing import toml_text
from protocol.identifiers import InfusionMode
from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock
from protocol.messages.reading import GetLimitsReply
from tests.support.for_each import for_each

SIMPLE = 'mode = "simple"\ndrug = 1\nconcentration = "500 mcg/mL"\ndose = "300 mcg/day"\n'
FLEXIBLE = (
    'mode = "flexible"\ndrug = 1\nconcentration = "500 mcg/mL"\n'
    '[[group]]\ndays = "every day"\n"00:00" = "12 mcg/h"\n'
)
PERIODIC = '[periodic]\ndose = "25 mcg"\nduration = "10 min"\ninterval = "6 h"\nfirst_delay = "1 h"\n'
PATIENT = '[patient]\ndose = "10 mcg"\nduration = "10 min"\nlockout = "2 h"\nwindow = "24 h"\nmax_count = 4\n'
BRIDGE = '[bridge]\nvolume = "0.338 mL"\nrate = "0.6 mL/day"\n'
LIMITS = GetLimitsReply(
    rate_min_nl_per_day=48_000,
    rate_max_nl_per_day=24_000_000,
    safe_rate_nl_per_day=6_000,
    bolus_max_nl=500_000,
    hour_max_nl=1_000_000,
    day_max_nl=5_000_000,
    min_bolus_gap_s=900,
    max_stop_s=172_800,
    stroke_nl=500,
    max_segments=91,
    log_capacity=1_000,
    max_payload=224,
    program_day_max_nl=5_000_000,
    hello_per_min=10,
    hello_per_day=1_000,
    bolus_max_duration_s=86_400,
)

# What is changed in a good file, into what, and what its sentence says.
MISTAKES = [
    (SIMPLE, '"300 mcg/day"', "300", "dose is the number 300, and a dose a day such as '300 mcg/day' is expected"),
    (SIMPLE, "300 mcg/day", "300", "a number without a unit is not read"),
    (SIMPLE, "300 mcg/day", "0.3 mg/day", "1 mg is 1000 mcg"),
    (SIMPLE, "300 mcg/day", "300 ug/day", "write mcg for micrograms"),
    (SIMPLE, "300 mcg/day", "300000 ng/day", "1000 ng are 1 mcg"),
    (SIMPLE, "300 mcg/day", "12.5 mcg/h", "'mcg/h' is not its unit"),
    (SIMPLE, "300 mcg/day", "-1 mcg/day", "is no number of mcg/day"),
    (SIMPLE, "300 mcg/day", "1e2 mcg/day", "is expected"),
    (SIMPLE, "300 mcg/day", "0.0001 mcg/day", "at most 3 decimals"),
    (SIMPLE, "300 mcg/day", "5000000 mcg/day", "out of range"),
    (SIMPLE, '"300 mcg/day"', "true", "dose is true"),
    (SIMPLE, "500 mcg/mL", "0 mcg/mL", "concentration is '0 mcg/mL'"),
    (SIMPLE, "500 mcg/mL", "0.5 mg/mL", "1 mg is 1000 mcg"),
    (SIMPLE, "drug = 1", 'drug = "baclofen"', "drug is 'baclofen', and the number of a drug such as '1' is expected"),
    (SIMPLE, "drug = 1", "drug = 65536", "it is out of range: 0 to 65535"),
    (SIMPLE, "drug = 1", "drug = true", "drug is true"),
    (SIMPLE, "drug = 1\n", "", "drug is not there"),
    (SIMPLE, "dose =", "dosis =", "dosis is not known, and one of mode, drug, concentration, dose, rate"),
    (SIMPLE, "dose =", "doze =", "was 'dose' meant?"),
    (SIMPLE, '"simple"', '"simpel"', "was 'simple' meant?"),
    (SIMPLE, '"simple"', '"flexible"', "dose is there, and a program of mode 'flexible' has"),
    (SIMPLE, '"simple"', '"minimum_rate"', "dose is there without rate"),
    (SIMPLE, 'mode = "simple"\n', "", "mode is not there"),
    (SIMPLE, "drug = 1", "drug = 1\ndrug = 1", "is not TOML: Cannot overwrite a value (at line 3"),
    (SIMPLE + PERIODIC, "[periodic]", "[[periodic]]", "periodic is a list of 1, and a table under [periodic]"),
    (SIMPLE + PERIODIC, '"6 h"', '"6"', "nobody can tell hours, minutes and seconds apart"),
    (SIMPLE + PERIODIC, '"6 h"', '"6 m"', "m may be minutes or months"),
    (SIMPLE + PERIODIC, '"6 h"', '"6 hours"', "write h for hours"),
    (SIMPLE + PERIODIC, '"6 h"', '"360 minutes"', "write min for minutes"),
    (SIMPLE + PERIODIC, '"6 h"', '"6:00"', "nobody can tell hours"),
    (SIMPLE + PERIODIC, '"6 h"', '"30 min 5 h"', "the largest first"),
    (SIMPLE + PERIODIC, '"6 h"', '"1 h 1 h"', "each unit stands there once"),
    (SIMPLE + PERIODIC, '"6 h"', '"0.5 d"', "write whole numbers with a unit each"),
    (SIMPLE + PERIODIC, 'interval = "6 h"\n', "", "periodic interval is not there"),
    (SIMPLE + PERIODIC, 'dose = "25 mcg"', 'dose = "25 mcg"\nvolume = "0.05 mL"', "either dose, or volume is expected"),
    (SIMPLE + PERIODIC, 'dose = "25 mcg"\n', "", "periodic has none of them, and either dose, or volume"),
    (SIMPLE + PATIENT, "max_count = 4", "max_count = 0", "patient max_count is the number 0"),
    (SIMPLE + PATIENT, "max_count = 4", "max_count = 256", "it is out of range: 1 to 255"),
    (SIMPLE + PATIENT, "max_count = 4", "max_count = 4.0", "patient max_count is the number 4.0"),
    (SIMPLE + BRIDGE, 'volume = "0.338 mL"', 'catheter = "0.198 mL"', "either volume, or catheter and tubing"),
    (SIMPLE + BRIDGE, 'rate = "0.6 mL/day"', 'dose = "300 mcg/day"', "either rate, or dose and old_concentration"),
    (SIMPLE + BRIDGE, "0.338 mL", "0.338 ml", "'ml' is not its unit"),
    (FLEXIBLE, '"every day"', '"everyday"', "was 'every day' meant?"),
    (FLEXIBLE, '"every day"', '["monday", "monday"]', "group 1 days has monday twice"),
    (FLEXIBLE, '"every day"', '["weekend", "sunday"]', "group 1 days has sunday twice"),
    (FLEXIBLE, '"every day"', "[]", "group 1 days is a list of 0"),
    (FLEXIBLE, '"every day"', "[1]", "group 1 days is the number 1"),
    (FLEXIBLE, '"every day"', '"weekdays"', "the groups leave out weekend"),
    (FLEXIBLE, 'days = "every day"\n', "", "group 1 days is not there"),
    (FLEXIBLE, '"00:00"', '"24:00"', "group 1 has the key '24:00', and a time of day from 00:00 to 23:59"),
    (FLEXIBLE, '"00:00"', '"0:00"', "group 1 has the key '0:00'"),
    (FLEXIBLE, '"00:00"', '"00:01"', "group 1 says nothing from midnight on (its first step is at 00:01)"),
    (FLEXIBLE, '"00:00" = "12 mcg/h"\n', "", "(it has no step)"),
    (FLEXIBLE, "12 mcg/h", "12 mcg/min", "group 1 \"00:00\" is '12 mcg/min', and a dose an hour such as '8 mcg/h'"),
    (FLEXIBLE, "12 mcg/h", "288 mcg/day", "'mcg/day' is not its unit"),
    (FLEXIBLE, '"00:00" =', 'does = "1"\n"00:00" =', "group 1 does is not known"),
    (FLEXIBLE, "[[group]]", "[group]", "group is a table, and a table of each group of days, under [[group]]"),
    (FLEXIBLE, '"00:00" = ', "".join(f'"{n:02}:30" = "1 mcg/h"\n' for n in range(13)) + '"00:00" = ', "has 14 steps"),
]  # fmt: skip


@for_each(("text", "right", "wrong", "words"), MISTAKES, name=lambda row: f"{row[1]} -> {row[2]}")
def test_what_cannot_be_meant_is_refused_in_one_sentence_that_names_the_file(
    text: str, right: str, wrong: str, words: str
) -> None:
    program_of(text, "good.toml")
    assert right in text
    with pytest.raises(BadConfiguration) as caught:
        program_of(text.replace(right, wrong), "week.toml")
    said = str(caught.value)
    assert said.startswith("week.toml")
    assert (
        "expected" in said or "TOML" in said or "minimum_rate" in said or "each day" in said or "has " in said
    )
    assert words in said
    assert "\n" not in said


# Which row of the table of checks a program fails, and what its sentence says.
UNRUNNABLE = [
    (SIMPLE, "300 mcg/day", "20 mcg/day", 0, "the nearest is 24 mcg/day"),
    (FLEXIBLE, "12 mcg/h", "1000 mcg/h", 0, "the nearest is 500 mcg/h"),
    (
        'mode = "minimum_rate"\ndrug = 1\nconcentration = "500 mcg/mL"\nrate = "0.006 mL/day"\n',
        "0.006",
        "0.007",
        1,
        "the minimum rate of this pump is expected, 0.006 mL/day",
    ),
    (SIMPLE + BRIDGE, "0.6 mL/day", "25 mL/day", 2, "bridge rate is 25 mL/day"),
    (SIMPLE + BRIDGE, "0.338 mL", "0.0004 mL", 2, "at least one stroke is expected, 0.0005 mL"),
    (SIMPLE + PERIODIC, "25 mcg", "0.2 mcg", 3, "periodic dose is 0.2 mcg (0.0004 mL), and at least one stroke"),
    (SIMPLE + PATIENT, "10 mcg", "251 mcg", 3, "at most 250 mcg is expected"),
    (SIMPLE + PERIODIC, '"10 min"', '"3 min 4 s"', 4, "at least 3 min 5 s is expected"),
    (SIMPLE + PATIENT, '"10 min"', '"0 s"', 4, "patient duration is 0 s"),
    (SIMPLE + PERIODIC, '"6 h"', '"10 min"', 5, "more than the duration is expected, 10 min"),
    (SIMPLE + PATIENT, '"2 h"', '"10 min"', 5, "patient lockout is 10 min"),
    (SIMPLE + PATIENT, '"24 h"', '"1 h"', 5, "at least the lockout is expected, 2 h"),
    (SIMPLE + PERIODIC, '"6 h"', '"15 min"', 6, "25 mcg every 15 min = 96 per day = 2400 mcg/day"),
    (SIMPLE + PERIODIC, '"6 h"', '"17 min"', None, ""),
    (SIMPLE, "300 mcg/day", "2500.1 mcg/day", 6, "dose makes a day of 2500.1 mcg (5.0002 mL)"),
    (SIMPLE, "300 mcg/day", "2500 mcg/day", None, ""),
    (SIMPLE + PERIODIC.replace("25 mcg", "249 mcg").replace("10 min", "31 min"), '"6 h"', '"45 min"', 7, "in an hour"),
    (SIMPLE, "300 mcg/day", '301.1 mcg/day"\nrate = "0.6 mL/day', 8, "what its rates give is expected, 300 mcg/day"),
    (SIMPLE, "300 mcg/day", '301 mcg/day"\nrate = "0.6 mL/day', 8, "dose is 301 mcg/day"),
    (SIMPLE, "300 mcg/day", '300.001 mcg/day"\nrate = "0.6 mL/day', None, ""),
]  # fmt: skip


@for_each(("text", "right", "wrong", "row", "words"), UNRUNNABLE, name=lambda row: f"{row[1]} -> {row[2]}")
def test_what_the_pump_could_not_run_is_found_by_its_row_of_the_table(
    text: str, right: str, wrong: str, row: int | None, words: str
) -> None:
    assert refusals(program_of(text, "good"), LIMITS) == []
    assert right in text
    program = program_of(text.replace(right, wrong), "bad").for_pump(LIMITS.safe_rate_nl_per_day)
    found = {
        number: " ".join(check.find(program, LIMITS))
        for number, check in enumerate(CHECKS)
        if list(check.find(program, LIMITS))
    }
    assert row is None or words in found.get(row, "nothing was found"), found
    assert row is not None or not found, found


def test_each_row_of_the_table_is_broken_by_a_program_here_or_cannot_be_by_a_file() -> None:
    rows = {row for *_, row, _ in UNRUNNABLE if row is not None}
    assert rows == set(range(len(CHECKS))) - {9}, "91 steps is what a file can have, and what a pump has"
    largest = program_of(
        (Path(__file__).resolve().parents[3] / "fixtures/programs/largest.toml").read_text(), "x"
    )
    assert refusals(largest, LIMITS._replace(max_segments=90)) == [
        "group has 91 steps in all, and at most 90 are expected"
    ]


@for_each("name", ["no such file", "a folder", "no text", "too long", "no file name"])
def test_a_file_that_cannot_be_read_is_one_sentence(name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "program.toml"
        if name == "a folder":
            path.mkdir()
        elif name == "no text":
            path.write_bytes(b'mode = "\xff"')
        elif name == "too long":
            path.write_text("#" * 100_001)
        with pytest.raises(BadConfiguration, match=r"program"):
            read_program("program\0.toml" if name == "no file name" else path)


def test_lengths_of_time_and_quantities_are_read_as_they_are_written() -> None:
    for seconds in (0, 1, 59, 60, 61, 3_600, 5_400, 86_399, 86_400, 90_061, 4_294_967_295):
        assert TIME.read(TIME.text(seconds)) == seconds
    for number in (0, 1, 999, 300_000, 4_294_967_295):
        assert DOSE_A_DAY.read(DOSE_A_DAY.text(number)) == RATE.read(RATE.text(number)) == number


def test_any_rates_and_doses_of_a_pump_are_written_so_that_they_are_read_again() -> None:
    """Also those of another programmer, which no dose gives, at a concentration that does not divide."""
    for step in range(200):
        rate = 48_000 + step * 1_237
        program = InfusionProgram.simple(300_000, 333_333 + step, 7)
        course = program.courses[0]
        odd = InfusionProgram(
            InfusionMode.SIMPLE if step % 2 else InfusionMode.FLEX,
            7,
            333_333 + step,
            (course._replace(segments=(course.segments[0]._replace(rate_nl_per_day=rate),)),),
            PeriodicBlock(20_000 + step, 600, 21_600 + step, step),
            PatientBlock(10_000 + step, 601, 7_200, 86_400 + step, 4),
            BridgeBlock(338_000 + step, rate),
        )
        again = program_of(toml_text(odd), "again")
        assert (again, again.on_wire()) == (odd, odd.on_wire())


def test_what_a_call_of_the_library_cannot_mean_is_a_usage_error() -> None:
    for make in (
        lambda: InfusionProgram.simple(300_000, 0, 1),
        lambda: InfusionProgram.minimum_rate(0, 1),
        lambda: InfusionProgram.flexible([DayGroup(Days.EVERY_DAY, (DoseStep(0, 1),))] * 8, 500_000, 1),
        lambda: InfusionProgram.minimum_rate(500_000, 1).on_wire(),
    ):
        with pytest.raises(UsageError) as caught:
            make()
        assert isinstance(caught.value, PumpbenchError)
