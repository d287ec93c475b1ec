"""`pumpbench program refill`: what the syringe did, checked before it is told to the pump, and what follows from it.

Expected and measured volume are compared first, since a catheter that was blocked may open and give what it held back:
who restarts a pump must have heard of it [DOMAIN 6.8, RH-16]. A new concentration is typed twice (RH-20), and comes
with its program and the bridge for what is still in the path.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.connection import (
    Options,
    answer_to,
    confirm,
    connected,
    require_target,
    somebody_is_there,
    with_options,
)
from hil.cli.output import say
from hil.cli.procedure_commands import single_dose_ng_per_day
from hil.cli.procedure_documents import RefillPart
from hil.cli.program_review import ACCEPT, accepting, reviewed, summary
from hil.cli.quantities import MCG_PER_DAY, MCG_PER_ML, ML
from hil.cli.reservoir_dates import PumpDates, dates_document, dates_rows, read_dates
from hil.cli.stays_stopped import LEAVE_STOPPED, confirm_stays_stopped
from hil.cli.therapy_commands import CONCENTRATION, DRUG, YES, report, sentence_to_investigate
from hil.errors import Declined, PumpbenchError, UsageError
from hil.procedures.doses import given_by_mistake_ng, must_be_retyped, nearest, rate_for_dose_nl_per_day
from hil.procedures.fluid_path import RESIDUAL_NL, mixed_concentration_ng_per_ml
from hil.procedures.reservoir import (
    HIGHEST_RATIO,
    LOWEST_RATIO,
    Missed,
    RefillCheck,
    check_refill,
    missed_since_fill,
)
from hil.programs.infusion_program import InfusionProgram
from hil.programs.reading import read_program
from hil.quantity_words import mcg_per_day, mcg_per_ml, ml, ml_per_day, percent
from protocol.identifiers import InfusionMode
from protocol.log.types import LogType
from protocol.messages.program import BridgeBlock

if TYPE_CHECKING:
    from hil.cli.tables import Rows
    from hil.programmer.programmer import Programmer
    from protocol.messages.program import ProgramHeader

PPM: Final = 1_000_000
ASKED_ANYWAY: Final = frozenset({"concentration", "no-bridge", "rinse"})
"""Warnings about a program that a refill has questions and words of its own for."""


class _Wanted(NamedTuple):
    """What the command line says of a refill; None is as it is."""

    filled_nl: int
    aspirated_nl: int
    concentration_ng_per_ml: int | None
    again_ng_per_ml: int | None
    drug_id: int | None
    low_alarm_nl: int | None
    rinsed_twice: bool
    dose_ng_per_day: int | None
    bridge_nl: int | None
    bridge_ng_per_day: int | None
    no_bridge: bool
    file: Path | None
    accepted: tuple[str, ...]
    yes: bool
    leave_stopped: bool


class _Change(NamedTuple):
    """The program that a new drug or concentration needs, with the bridge before it."""

    old_ng_per_ml: int
    old_drug_id: int
    program: InfusionProgram

    @property
    def is_of_the_drug(self) -> bool:
        """Whether drug or concentration become another."""
        old = self.old_ng_per_ml, self.old_drug_id
        return old != (self.new_ng_per_ml, self.program.drug_id)

    @property
    def new_ng_per_ml(self) -> int:
        """The concentration of the new drug."""
        return self.program.concentration_ng_per_ml

    def words(self) -> str:
        """What the pump will do then, and what the patient gets where the concentration was told wrongly."""
        program = self.program
        rates = sum(len(course.segments) for course in program.courses)
        at_most = "at most " if rates > 1 else ""
        told = f"then {summary(program)} ({at_most}{ml_per_day(program.peak_rate_nl_per_day)})"
        if program.bridge is not None:
            told += f" after a bridge of {ml(program.bridge.volume_nl)} at {ml_per_day(program.bridge.rate_nl_per_day)}"
        else:
            told += " without a bridge"
        if self.new_ng_per_ml != self.old_ng_per_ml:
            highest = max(course.dose_ng_per_day for course in program.courses)
            wrong = given_by_mistake_ng(highest, self.new_ng_per_ml, self.old_ng_per_ml)
            given = mcg_per_day(nearest(wrong))
            told += f"; if the drug is still of {mcg_per_ml(self.old_ng_per_ml)} that gives {given}"
        return told


@click.command()
@click.option("--filled", "filled_nl", type=ML, required=True, help="mL in the reservoir after filling.")
@click.option("--aspirated", "aspirated_nl", type=ML, required=True, help="mL that came out before.")
@CONCENTRATION
@click.option(
    "--concentration-again",
    "again_ng_per_ml",
    type=MCG_PER_ML,
    help="The same once more, where it changes by a factor of 2 or more and nobody can be asked.",
)
@DRUG
@click.option(
    "--low-alarm", "low_alarm_nl", type=ML, help="mL at which the low alarm sounds (default: as it is)."
)
@click.option("--rinsed-twice", is_flag=True, help="The reservoir was rinsed twice.")
@click.option(
    "--dose",
    "dose_ng_per_day",
    type=MCG_PER_DAY,
    help="Of another drug or concentration: simple infusion of this dose (default: the dose of before).",
)
@click.option(
    "--bridge-ml", "bridge_nl", type=ML, help="Old drug to deliver first: the path, as `bridge` shows it."
)
@click.option(
    "--bridge-dose", "bridge_ng_per_day", type=MCG_PER_DAY, help="During the bridge (default: as before)."
)
@click.option("--no-bridge", is_flag=True, help="The path holds the new drug already.")
@click.option(
    "--program",
    "file",
    type=click.Path(path_type=Path),
    help="TOML file of the program that comes with the drug, with its bridge: instead of --dose and --bridge-ml.",
)
@ACCEPT
@YES
@LEAVE_STOPPED
@with_options
def refill(options: Options, **given: Any) -> None:
    """Tell the pump what the syringe did, and see whether it fits what the pump expected."""
    require_target(options)
    wanted = _Wanted(**given)
    program = None if wanted.file is None else read_program(wanted.file)
    if program is not None:
        wanted = _of_program(wanted, program)
    with connected(options, settled=True) as pump:
        status, header = pump.status(), pump.program().header  # read first: a human says yes to these
        change = _change(wanted, header, program) if status.mode is not InfusionMode.NONE else None
        if change is not None and wanted.file is not None:
            seen = reviewed(pump, change.program, file=str(wanted.file))
            for line in seen.lines:
                say(line)
            for each in seen.warned:
                if each.name not in ASKED_ANYWAY:
                    accepting(wanted.accepted)(each)
        before = pump.reservoir()
        check = check_refill(before.last_fill_nl, before.reservoir_calc_nl, wanted.aspirated_nl)
        missed = missed_since_fill(pump.read_log(type_filter=1 << (LogType.REFILL >> 8)).entries)
        for sentence in _warnings(wanted, check, change):
            say(f"pumpbench: {sentence}")
        if check.investigate:
            confirm(
                "this must be investigated before the patient leaves; record it all the same", yes=wanted.yes
            )
        if change is not None:
            _retype(wanted, change)
        concentration = (
            header.concentration_ng_per_ml
            if wanted.concentration_ng_per_ml is None
            else wanted.concentration_ng_per_ml
        )
        drug = header.drug_id if wanted.drug_id is None else wanted.drug_id
        volumes = f"{ml(wanted.aspirated_nl)} out, {ml(wanted.filled_nl)} in"
        words = f"{volumes}, drug number {drug}, {mcg_per_ml(concentration)}"
        confirm(f"record a refill: {words}{f', {change.words()}' if change else ''}", yes=wanted.yes)
        executed = pump.refill(
            wanted.filled_nl,
            aspirated_nl=wanted.aspirated_nl,
            concentration_ng_per_ml=concentration,
            drug_id=drug,
            low_alarm_nl=wanted.low_alarm_nl,
            rinsed_twice=wanted.rinsed_twice,
            staged_crc=0 if change is None else _staged(pump, change, status.program_rev),
        )
        after = _dates_after(pump)
        fields = {**_refill_part(check, missed, after)}
        report(options, executed, [*check_rows(check, missed), *_dates_rows(after)], fields=fields)
        confirm_stays_stopped(options, pump, confirmed=wanted.leave_stopped)


def _of_program(wanted: _Wanted, program: InfusionProgram) -> _Wanted:
    """With the drug of the program's file; UsageError where the command line says another, or says it twice."""
    others = {
        "--dose": wanted.dose_ng_per_day,
        "--bridge-ml": wanted.bridge_nl,
        "--bridge-dose": wanted.bridge_ng_per_day,
    }
    if twice := [option for option, value in others.items() if value is not None]:
        raise UsageError(
            f"nothing was sent: {' and '.join(twice)} and --program both say what comes with the drug",
            advice="write it in the file, and leave the option out",
        )
    for option, named, in_file, text in (
        ("--concentration", wanted.concentration_ng_per_ml, program.concentration_ng_per_ml, mcg_per_ml),
        ("--drug", wanted.drug_id, program.drug_id, str),
    ):
        if named is not None and named != in_file:
            raise UsageError(
                f"nothing was sent: {option} is {text(named)}, and the program of {wanted.file} is for {text(in_file)}",
                advice="look at the vial, and at the file",
            )
    return wanted._replace(concentration_ng_per_ml=program.concentration_ng_per_ml, drug_id=program.drug_id)


def _change(wanted: _Wanted, header: ProgramHeader, program: InfusionProgram | None) -> _Change | None:
    """The program that a new drug or concentration needs; None where both stay. UsageError where a part is missing."""
    old = header.concentration_ng_per_ml
    new = old if wanted.concentration_ng_per_ml is None else wanted.concentration_ng_per_ml
    drug = header.drug_id if wanted.drug_id is None else wanted.drug_id
    of_change = (wanted.dose_ng_per_day, wanted.bridge_nl, wanted.bridge_ng_per_day, wanted.no_bridge or None)
    if (new, drug) == (old, header.drug_id):
        if program is not None:
            return _Change(old, header.drug_id, program)
        if any(each is not None for each in of_change):
            raise UsageError(
                "nothing was sent: --dose and a bridge are for another drug or concentration, and both stay",
                advice="`pumpbench program set` changes the dose",
            )
        return None
    if not new:
        raise UsageError("a drug has a concentration above 0", advice="name the one that was filled in")
    if wanted.no_bridge and program is not None and program.bridge is not None:
        raise UsageError(
            f"nothing was sent: {wanted.file} has a [bridge], and --no-bridge says that there is none",
            advice="leave one of them out",
        )
    has_bridge = wanted.bridge_nl is not None if program is None else program.bridge is not None
    if has_bridge == wanted.no_bridge:
        where = "--bridge-ml" if program is None else f"the [bridge] of {wanted.file}"
        raise UsageError(
            f"nothing was sent: {mcg_per_ml(old)} is still in tubing and catheter, and the new rate would give it",
            advice=f"`pumpbench program bridge` says how much: name it as {where}, or say --no-bridge",
        )
    if program is not None:
        return _Change(old, header.drug_id, program)
    old_dose = single_dose_ng_per_day(header)
    dose = old_dose if wanted.dose_ng_per_day is None else wanted.dose_ng_per_day
    bridge_dose = old_dose if wanted.bridge_ng_per_day is None else wanted.bridge_ng_per_day
    if dose is None or (wanted.bridge_nl and bridge_dose is None):
        raise UsageError(
            "nothing was sent: a new drug needs a simple program, and the one of before has no single dose",
            advice="name --dose, and --bridge-dose for the bridge",
        )
    program = InfusionProgram.simple(dose, new, drug)
    if wanted.bridge_nl and bridge_dose is not None:
        bridge = BridgeBlock(wanted.bridge_nl, rate_for_dose_nl_per_day(bridge_dose, old))
        program = replace(program, bridge=bridge)
    return _Change(old, header.drug_id, program)


def _staged(pump: Programmer, change: _Change, base_rev: int) -> int:
    """Stage the program of a change and let the pump verify it; returns what REFILL names it by."""
    program = change.program.for_pump(pump.limits().safe_rate_nl_per_day)
    return pump.stage_program(*program.on_wire(), base_rev=base_rev).crc


def _warnings(wanted: _Wanted, check: RefillCheck, change: _Change | None) -> list[str]:
    """What a human must hear before he is asked anything."""
    told = [sentence_to_investigate(check)] if check.investigate else []
    if change is not None and change.is_of_the_drug and not wanted.rinsed_twice:
        mixed = mixed_concentration_ng_per_ml(
            max(0, wanted.filled_nl - RESIDUAL_NL), change.new_ng_per_ml, RESIDUAL_NL, change.old_ng_per_ml
        )
        told.append(
            f"without two rinses the reservoir is of {mcg_per_ml(nearest(mixed))}, since up to {ml(RESIDUAL_NL)} "
            "of the old drug stay in it"
        )
    return told


def _retype(wanted: _Wanted, change: _Change) -> None:
    """Have a concentration that changes much typed once more; UsageError where it is another, or nobody is there."""
    if not must_be_retyped(change.old_ng_per_ml, change.new_ng_per_ml):
        return
    from_to = f"from {mcg_per_ml(change.old_ng_per_ml)} to {mcg_per_ml(change.new_ng_per_ml)}"
    again = wanted.again_ng_per_ml
    if again is None:
        if wanted.yes or not somebody_is_there():
            raise UsageError(
                f"nothing was sent: the concentration changes {from_to}, by a factor of 2 or more",
                advice="write it a second time, as --concentration-again",
            )
        question = f"the concentration changes {from_to}; type the new one again, in mcg/mL"
        again = answer_to(lambda: click.prompt(question, type=MCG_PER_ML, err=True))
        if again is None:
            raise Declined("nothing was sent")
    if again != change.new_ng_per_ml:
        raise UsageError(
            f"nothing was sent: the concentration was first {mcg_per_ml(change.new_ng_per_ml)} and then "
            f"{mcg_per_ml(again)}",
            advice="read it from the vial",
        )


def _dates_after(pump: Programmer) -> PumpDates | None:
    """The dates after a refill; None where they cannot be read, since the refill is recorded all the same."""
    try:
        return read_dates(pump)
    except PumpbenchError:
        return None


def _dates_rows(dates: PumpDates | None) -> Rows:
    if dates is None:
        return [("dates", "could not be read; `pumpbench program dates` shows them")]
    return dates_rows(dates)[1:]  # the reservoir's content is in the pump's answer


def check_rows(check: RefillCheck, missed: Missed) -> Rows:
    """Expected against measured, what stalls explain of the difference, and the verdict."""
    rows = [("measured", f"{ml(check.measured_nl)} where {ml(check.expected_nl)} was expected")]
    if check.ratio is not None:
        told = percent(max(0, check.ratio.numerator), check.ratio.denominator)
        bounds = " to ".join(
            percent(each.numerator, each.denominator) for each in (LOWEST_RATIO, HIGHEST_RATIO)
        )
        rows.append(("ratio", f"{told} of what was programmed ({bounds} is within accuracy)"))
    verdict = "investigate" if check.investigate else "as expected"
    if missed.stalls:
        least = "" if missed.whole else "at least "
        rest_nl = check.delta_nl - missed.volume_nl
        took = f"{least}{ml(missed.volume_nl)} was commanded and never turned"
        words = f"{missed.stalls} since the last fill: {took}, and the pump's expectation counts it as given"
        rows.append(("stalls", f"{words}; without it the difference is {ml(rest_nl)}"))
        verdict = verdict if check.investigate else "within the limits, but the motor has stood still"
    return [*rows, ("verdict", verdict)]


def _refill_part(check: RefillCheck, missed: Missed, dates: PumpDates | None) -> RefillPart:
    return RefillPart(
        missed_nl=missed.volume_nl,
        expected_nl=check.expected_nl,
        measured_nl=check.measured_nl,
        difference_nl=check.delta_nl,
        ratio_ppm=None if check.ratio is None else nearest(check.ratio * PPM),
        investigate=check.investigate,
        dates=None if dates is None else dates_document(dates),
    )
