"""What is known on the host to be wrong with a program before it is sent: the table of [DOMAIN 2.3].

Each row names what is looked at and finds sentences, each with the key, what came, what was expected and the nearest
that would do. The pump refuses the same by itself; here it is said in the words of the file.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from hil.procedures.doses import (
    NL_PER_ML,
    bolus_rate_nl_per_day,
    dose_for_rate_ng_per_day,
    drug_ng,
    nearest,
    shortest_bolus_s,
)
from hil.programs.measures import time_of_day
from hil.programs.writing import bolus_text, step_text
from hil.quantity_words import duration, mcg, mcg_per_day, mcg_per_ml, ml, ml_per_day
from protocol.identifiers import InfusionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.programs.infusion_program import Course, InfusionProgram
    from protocol.messages.program import PatientBlock, PeriodicBlock
    from protocol.messages.reading import GetLimitsReply

S_PER_HOUR, S_PER_DAY = 3_600, 86_400


class Check(NamedTuple):
    """A row of the table: what it is about, where it comes from, and what finds what is wrong."""

    about: str
    source: str
    find: Callable[[InfusionProgram, GetLimitsReply], Iterator[str]]


def refusals(program: InfusionProgram, limits: GetLimitsReply) -> list[str]:
    """What this pump could not run of a program, a sentence each, beginning with the key; empty where nothing is."""
    resolved = program.for_pump(limits.safe_rate_nl_per_day)
    return [sentence for check in CHECKS for sentence in check.find(resolved, limits)]


def daily_echo(program: InfusionProgram) -> list[tuple[str, str]]:
    """What boluses add up to in a day, as `every 6 h = 4 per day = 100 mcg/day`, by block."""
    return [
        (name, _echo(program, block, count))
        for name, block, count in (
            ("periodic", program.periodic, program.periodic_count_per_day),
            ("patient", program.patient, program.patient_count_per_day),
        )
        if block is not None
    ]


def _echo(program: InfusionProgram, block: PeriodicBlock | PatientBlock, count: int) -> str:
    concentration = program.concentration_ng_per_ml
    one, total = (nearest(drug_ng(block.volume_nl * times, concentration)) for times in (1, count))
    every = "every" if block is program.periodic else "at most every"
    spacing = block[2]  # the interval, or the lockout
    return f"{mcg(one)} {every} {duration(spacing)} = {count} per day = {mcg_per_day(total)}"


def _rows(program: InfusionProgram) -> Iterator[tuple[str, int]]:
    """Each rate of a program, behind its place in a file and what stands there."""
    concentration = program.concentration_ng_per_ml
    for number, course in enumerate(program.courses, start=1):
        for row in course.segments:
            if program.mode is InfusionMode.FLEX:
                text = step_text(row.rate_nl_per_day, concentration)
                yield f'group {number} "{time_of_day(row.start_min)}" is {text}', row.rate_nl_per_day
            else:
                yield f"dose is {mcg_per_day(course.dose_ng_per_day)}", row.rate_nl_per_day


def _rates(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """Basal rates outside what the pump runs, with the nearest that it does."""
    if program.mode is InfusionMode.MINIMUM_RATE:
        return
    lowest, highest = limits.rate_min_nl_per_day, limits.rate_max_nl_per_day
    for came, rate in _rows(program):
        near = min(max(rate, lowest), highest)
        if rate != near:
            dose = nearest(dose_for_rate_ng_per_day(near, program.concentration_ng_per_ml))
            step = program.mode is InfusionMode.FLEX
            shown = step_text(near, program.concentration_ng_per_ml) if step else mcg_per_day(dose)
            yield (
                f"{came} ({ml_per_day(rate)} of {mcg_per_ml(program.concentration_ng_per_ml)}), and "
                f"{ml_per_day(lowest)} to {ml_per_day(highest)} is expected: the nearest is {shown}"
            )


def _minimum_rate(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """Minimum rate that is another than the pump's."""
    safe = limits.safe_rate_nl_per_day
    for _, rate in _rows(program):
        if program.mode is InfusionMode.MINIMUM_RATE and rate != safe:
            yield f"rate is {ml_per_day(rate)}, and the minimum rate of this pump is expected, {ml_per_day(safe)}"


def _bridge(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """A bridge that the pump cannot run."""
    if program.bridge is None:
        return
    volume, rate = program.bridge
    lowest, highest = limits.rate_min_nl_per_day, limits.rate_max_nl_per_day
    if volume < limits.stroke_nl:
        yield f"bridge volume is {ml(volume)}, and at least one stroke is expected, {ml(limits.stroke_nl)}"
    if not lowest <= rate <= highest:
        yield (
            f"bridge rate is {ml_per_day(rate)}, and {ml_per_day(lowest)} to {ml_per_day(highest)} is expected: "
            f"the nearest is {ml_per_day(min(max(rate, lowest), highest))}"
        )
    in_a_day = min(volume, rate)
    if in_a_day > limits.program_day_max_nl:
        yield (
            f"bridge volume is {ml(in_a_day)} in a day, and at most {ml(limits.program_day_max_nl)} is expected"
        )


def _boluses(program: InfusionProgram) -> Iterator[tuple[str, PeriodicBlock | PatientBlock]]:
    if program.periodic is not None:
        yield "periodic", program.periodic
    if program.patient is not None:
        yield "patient", program.patient


def _bolus_volumes(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """Boluses smaller than a stroke or larger than one may be."""
    for name, block in _boluses(program):
        key, text = bolus_text(block.volume_nl, program.concentration_ng_per_ml)
        came = text if key == "volume" else f"{text} ({ml(block.volume_nl)})"
        if block.volume_nl < limits.stroke_nl:
            yield f"{name} {key} is {came}, and at least one stroke is expected, {ml(limits.stroke_nl)}"
        if block.volume_nl > limits.bolus_max_nl:
            _, most = bolus_text(limits.bolus_max_nl, program.concentration_ng_per_ml)
            yield f"{name} {key} is {came}, and at most {most} is expected, the most that one bolus may have"


def _bolus_rates(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """Boluses that with the highest basal rate are faster than the pump, with the shortest duration."""
    highest, basal = limits.rate_max_nl_per_day, program.peak_rate_nl_per_day
    for name, block in _boluses(program):
        shortest = shortest_bolus_s(block.volume_nl, highest, basal)
        if not limits.stroke_nl <= block.volume_nl <= limits.bolus_max_nl or shortest is None:
            continue
        if block.duration_s < shortest:
            rate = (
                f"with {ml_per_day(basal)} beside it that is "
                f"{ml_per_day(nearest(bolus_rate_nl_per_day(block.volume_nl, block.duration_s) + basal))}, "
                if block.duration_s
                else ""
            )
            yield (
                f"{name} duration is {duration(block.duration_s)}, and at least {duration(shortest)} is expected: "
                f"{rate}the pump runs at most {ml_per_day(highest)}"
            )


def _spacing(program: InfusionProgram, _limits: GetLimitsReply) -> Iterator[str]:
    """Boluses that would begin before the one before has ended; a window shorter than its lockout."""
    if program.periodic is not None and program.periodic.interval_s <= program.periodic.duration_s:
        yield _too_short("periodic interval", program.periodic.interval_s, program.periodic.duration_s)
    if program.patient is not None:
        block = program.patient
        if block.lockout_s <= block.duration_s:
            yield _too_short("patient lockout", block.lockout_s, block.duration_s)
        if block.window_s < block.lockout_s:
            yield (
                f"patient window is {duration(block.window_s)}, and at least the lockout is expected, "
                f"{duration(block.lockout_s)}"
            )


def _too_short(place: str, spacing_s: int, duration_s: int) -> str:
    return f"{place} is {duration(spacing_s)}, and more than the duration is expected, {duration(duration_s)}"


def _day_totals(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """A day that can hold more than it may, with what its boluses add up to: minutes typed for hours show here."""
    most = limits.program_day_max_nl
    for number, course in enumerate(program.courses, start=1):
        total = program.most_on_nl(course)
        if total > most:
            echoes = "".join(f"; {name}: {echo}" for name, echo in daily_echo(program))
            where = f"group {number}" if program.mode is InfusionMode.FLEX else _blame(program)
            yield (
                f"{where} makes a day of {_dose_and_volume(program, total)}, and at most "
                f"{_dose_and_volume(program, most)} is expected: basal {_dose_and_volume(program, course.day_total_nl)}"
                f"{echoes}"
            )


def _blame(program: InfusionProgram) -> str:
    """The key of a constant program that makes its day too large: the series where there is one."""
    if program.periodic is not None:
        return "periodic interval"
    return "dose" if program.patient is None else "patient max_count"


def _dose_and_volume(program: InfusionProgram, volume_nl: int) -> str:
    return f"{mcg(nearest(drug_ng(volume_nl, program.concentration_ng_per_ml)))} ({ml(volume_nl)})"


def _windows(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """A series whose boluses the pump would skip, since an hour or a day may not hold so many."""
    block = program.periodic
    if block is None or block.interval_s <= block.duration_s:
        return
    windows = (("an hour", S_PER_HOUR, limits.hour_max_nl), ("a day", S_PER_DAY, limits.day_max_nl))
    for span, window_s, most in windows:
        held = ceil(Fraction(window_s + block.duration_s, block.interval_s)) * block.volume_nl
        if block.volume_nl <= limits.bolus_max_nl and held > most:
            yield (
                f"periodic interval is {duration(block.interval_s)}, and at most {ml(most)} of boluses in {span} are "
                f"expected: it makes {ml(held)}"
            )


def _doses(program: InfusionProgram, _limits: GetLimitsReply) -> Iterator[str]:
    """A prescribed dose that its rates do not give, within the rounding of the rates [SPEC 6]."""
    concentration = program.concentration_ng_per_ml
    for number, course in enumerate(program.courses, start=1):
        odds = abs(course.day_total_nl * concentration - course.dose_ng_per_day * NL_PER_ML)
        if odds > len(course.segments) * concentration + NL_PER_ML:
            place = f"group {number} dose" if program.mode is InfusionMode.FLEX else "dose"
            given = mcg_per_day(nearest(drug_ng(course.day_total_nl, concentration)))
            yield (
                f"{place} is {mcg_per_day(course.dose_ng_per_day)}, and what its rates give is expected, {given}"
            )


def _room(program: InfusionProgram, limits: GetLimitsReply) -> Iterator[str]:
    """More steps than this pump has room for."""
    count = sum(len(course.segments) for course in program.courses)
    if count > limits.max_segments:
        yield f"group has {count} steps in all, and at most {limits.max_segments} are expected"


CHECKS = (
    Check("rate outside what the pump runs", "DOMAIN 2.3", _rates),
    Check("minimum rate that is not the pump's", "SPEC 6", _minimum_rate),
    Check("bridge outside what the pump runs", "DOMAIN 4.4", _bridge),
    Check("bolus of no stroke, or larger than one may be", "DOMAIN 2.3", _bolus_volumes),
    Check("bolus and basal rate above the highest rate", "DOMAIN 2.3", _bolus_rates),
    Check("lockout or interval not longer than the duration", "DOMAIN 2.3", _spacing),
    Check("day above the most of a day", "DOMAIN 2.3, RH-03", _day_totals),
    Check("series above the most of an hour or a day", "SPEC 6", _windows),
    Check("dose that the rates do not give", "SPEC 6", _doses),
    Check("more steps than there is room for", "SPEC 6", _room),
)
"""The checks of a program, in the order in which their sentences stand."""


def mean_nl_per_day(program: InfusionProgram) -> Fraction:
    """All that a day of the week can hold on average, with each allotted patient bolus."""
    return Fraction(
        sum(program.most_on_nl(course) * course.days.bit_count() for course in program.courses), 7
    )


def day_ng(program: InfusionProgram, course: Course) -> int:
    """The drug that one of its days can bring, in ng, with all its boluses."""
    return nearest(drug_ng(program.most_on_nl(course), program.concentration_ng_per_ml))
