"""Writes a program as a file that is read as the same program, to the last nanolitre.

A dose is written where its nearest rate or volume is the one of the program; else the rate or volume itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.procedures.doses import (
    NL_PER_ML,
    dose_for_rate_ng_per_day,
    drug_ng,
    nearest,
    rate_for_dose_nl_per_day,
    volume_for_dose_nl,
)
from hil.programmer.staging import HOURS_PER_DAY, DayGroup, DoseStep
from hil.programs.declaration import MODES, days_in_words
from hil.programs.measures import (
    CONCENTRATION,
    DOSE,
    DOSE_A_DAY,
    DOSE_AN_HOUR,
    RATE,
    TIME,
    VOLUME,
    time_of_day,
)
from hil.programs.reading import dose_of_course
from protocol.identifiers import InfusionMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.programs.infusion_program import Course, InfusionProgram
    from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock


def toml_text(program: InfusionProgram) -> str:
    """The file of a program."""
    return "\n".join(_lines(program)) + "\n"


def dose_an_hour(rate_nl_per_day: int, concentration_ng_per_ml: int) -> int | None:
    """The dose an hour in ng whose nearest rate is this one; None where no whole ng/h has it."""
    if not concentration_ng_per_ml:
        return None
    dose = nearest(dose_for_rate_ng_per_day(rate_nl_per_day, concentration_ng_per_ml) / HOURS_PER_DAY)
    again = rate_for_dose_nl_per_day(dose * HOURS_PER_DAY, concentration_ng_per_ml)
    return dose if again == rate_nl_per_day else None


def step_text(rate_nl_per_day: int, concentration_ng_per_ml: int) -> str:
    """A step as a file has it: its dose an hour, or its rate where no dose an hour has exactly that."""
    dose = dose_an_hour(rate_nl_per_day, concentration_ng_per_ml)
    return RATE.text(rate_nl_per_day) if dose is None else DOSE_AN_HOUR.text(dose)


def bolus_text(volume_nl: int, concentration_ng_per_ml: int) -> tuple[str, str]:
    """Key and value of the size of a bolus: its dose, or its volume where no dose has exactly that."""
    dose = nearest(drug_ng(volume_nl, concentration_ng_per_ml))
    if dose and concentration_ng_per_ml and volume_for_dose_nl(dose, concentration_ng_per_ml) == volume_nl:
        return "dose", DOSE.text(dose)
    return "volume", VOLUME.text(volume_nl)


def _lines(program: InfusionProgram) -> Iterator[str]:
    mode = MODES[program.mode]
    yield f'mode = "{mode.name}"'
    yield f"drug = {program.drug_id}"
    yield f'concentration = "{CONCENTRATION.text(program.concentration_ng_per_ml)}"'
    if program.mode is InfusionMode.FLEX:
        for course in program.courses:
            yield from _group(course, program.concentration_ng_per_ml)
    else:
        for course in program.courses:
            yield from _constant(course, program)
    if program.periodic is not None:
        yield from _periodic(program.periodic, program.concentration_ng_per_ml)
    if program.patient is not None:
        yield from _patient(program.patient, program.concentration_ng_per_ml)
    if program.bridge is not None:
        yield from _bridge(program.bridge, program.old_concentration_ng_per_ml)


def _constant(course: Course, program: InfusionProgram) -> Iterator[str]:
    """The dose of a constant rate, and the rate where it is not the nearest one of that dose."""
    rate = course.segments[0].rate_nl_per_day
    by_dose = rate_for_dose_nl_per_day(course.dose_ng_per_day, program.concentration_ng_per_ml)
    if program.mode is InfusionMode.MINIMUM_RATE:
        yield f'rate = "{RATE.text(rate)}"'
        if course.dose_ng_per_day == rate * program.concentration_ng_per_ml // NL_PER_ML:
            return
    yield f'dose = "{DOSE_A_DAY.text(course.dose_ng_per_day)}"'
    if program.mode is InfusionMode.SIMPLE and rate != by_dose:
        yield f'rate = "{RATE.text(rate)}"'


def _group(course: Course, concentration_ng_per_ml: int) -> Iterator[str]:
    yield from ("", "[[group]]")
    names = [f'"{name}"' for name in days_in_words(course.days)]
    yield f"days = {names[0]}" if len(names) == 1 else f"days = [{', '.join(names)}]"
    doses = [dose_an_hour(row.rate_nl_per_day, concentration_ng_per_ml) for row in course.segments]
    steps = tuple(
        DoseStep(row.start_min, dose)
        for row, dose in zip(course.segments, doses, strict=True)
        if dose is not None
    )
    whole = len(steps) == len(course.segments)
    understood = (
        DayGroup(course.days, steps).dose_ng_per_day
        if whole
        else dose_of_course(course, concentration_ng_per_ml)
    )
    if course.dose_ng_per_day != understood:
        yield f'dose = "{DOSE_A_DAY.text(course.dose_ng_per_day)}"'
    for row in course.segments:
        yield f'"{time_of_day(row.start_min)}" = "{step_text(row.rate_nl_per_day, concentration_ng_per_ml)}"'


def _periodic(block: PeriodicBlock, concentration_ng_per_ml: int) -> Iterator[str]:
    key, text = bolus_text(block.volume_nl, concentration_ng_per_ml)
    yield from ("", "[periodic]", f'{key} = "{text}"')
    yield f'duration = "{TIME.text(block.duration_s)}"'
    yield f'interval = "{TIME.text(block.interval_s)}"'
    yield f'first_delay = "{TIME.text(block.first_delay_s)}"'


def _patient(block: PatientBlock, concentration_ng_per_ml: int) -> Iterator[str]:
    key, text = bolus_text(block.volume_nl, concentration_ng_per_ml)
    yield from ("", "[patient]", f'{key} = "{text}"')
    yield f'duration = "{TIME.text(block.duration_s)}"'
    yield f'lockout = "{TIME.text(block.lockout_s)}"'
    yield f'window = "{TIME.text(block.window_s)}"'
    yield f"max_count = {block.max_count}"


def _bridge(block: BridgeBlock, old_ng_per_ml: int | None) -> Iterator[str]:
    yield from ("", "[bridge]", f'volume = "{VOLUME.text(block.volume_nl)}"')
    if old_ng_per_ml:
        dose = nearest(dose_for_rate_ng_per_day(block.rate_nl_per_day, old_ng_per_ml))
        if rate_for_dose_nl_per_day(dose, old_ng_per_ml) == block.rate_nl_per_day:
            yield f'dose = "{DOSE_A_DAY.text(dose)}"'
            yield f'old_concentration = "{CONCENTRATION.text(old_ng_per_ml)}"'
            return
    yield f'rate = "{RATE.text(block.rate_nl_per_day)}"'
