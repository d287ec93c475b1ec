"""The commands of `pumpbench program` that compute a procedure and change nothing: dose and dates.

Where a target is named its limits and active program are used; `dose` needs none and then uses the published values.
Each shows what follows from the numbers beside them, so that a slip of unit or place is seen.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import click

from hil.cli.connection import Options, connected, show, with_options
from hil.cli.procedure_documents import BolusOfDose, DosePart
from hil.cli.quantities import HOURS_MINUTES, MCG, MCG_PER_DAY, MCG_PER_ML, Quantity
from hil.cli.reservoir_dates import dates_document, dates_rows, read_dates
from hil.errors import UsageError
from hil.procedures import doses
from hil.procedures.doses import dose_for_rate_ng_per_day, drug_ng, nearest, rate_for_dose_nl_per_day
from hil.procedures.fluid_path import TUBING_NL
from hil.quantity_words import (
    decimal_text,
    duration,
    duration_of_ms,
    mcg,
    mcg_per_day,
    mcg_per_ml,
    ml,
    ml_per_day,
)
from protocol.identifiers import InfusionMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.programmer.programmer import Programmer
    from protocol.messages.program import ProgramHeader

RESERVOIR_NL: Final = 20_000_000  # [DOMAIN 0.3, C1]
HOURS_PER_DAY: Final = 24


class Known(NamedTuple):
    """What a dose or a path is computed against: of the named pump, or as published."""

    rate_min_nl_per_day: int = doses.RATE_MIN_NL_PER_DAY
    rate_max_nl_per_day: int = doses.RATE_MAX_NL_PER_DAY
    safe_rate_nl_per_day: int = doses.SAFE_RATE_NL_PER_DAY
    reservoir_nl: int = RESERVOIR_NL
    tubing_nl: int = TUBING_NL
    concentration_ng_per_ml: int | None = None
    dose_ng_per_day: int | None = None

    @classmethod
    def of(cls, pump: Programmer) -> Self:
        """What a pump says of itself."""
        limits, info, header = pump.limits(), pump.info(), pump.program().header
        return cls(
            limits.rate_min_nl_per_day,
            limits.rate_max_nl_per_day,
            limits.safe_rate_nl_per_day,
            info.reservoir_size_nl,
            info.tubing_nl,
            None if header.concentration_ng_per_ml == 0 else header.concentration_ng_per_ml,
            single_dose_ng_per_day(header),
        )


def single_dose_ng_per_day(header: ProgramHeader) -> int | None:
    """The dose of a simple program; None of any other, whose doses differ by the day, and of one that has none."""
    dose_ng_per_day = header.groups[0].dose_ng_per_day
    return dose_ng_per_day if header.mode is InfusionMode.SIMPLE and dose_ng_per_day else None


def needed(value: int | None, option: str, why: str) -> int:
    if value is None:
        raise UsageError(f"{option} is missing: {why}", advice=f"name {option}, above 0")
    return above_0(value, option)


def above_0(value: int, option: str) -> int:
    if value:
        return value
    raise UsageError(
        f"{option} is 0, and nothing can be computed with that", advice=f"name {option}, above 0"
    )


def first_named(*values: int | None) -> int | None:
    """The first that is named; a 0 is named, and a wrong one."""
    return next((value for value in values if value is not None), None)


CONCENTRATION = click.option(
    "--concentration", "ng_per_ml", type=MCG_PER_ML, help="Of the drug. Default: the active program's."
)


class _DoseOptions(NamedTuple):
    """What the command line asks of a dose; None is not asked."""

    dose_ng_per_day: int | None
    screening_ng: int | None
    effect_hours: int | None
    ng_per_ml: int | None
    real_ng_per_ml: int | None
    bolus_ng: int | None
    duration_s: int | None
    interval_s: int | None
    stopped_s: int | None

    def first_dose(self) -> int | None:
        """The dose that is named, or follows from the screening; UsageError where options do not go together."""
        if self.bolus_ng is None and (self.duration_s or self.interval_s):
            raise click.UsageError("--duration and --every are of a --bolus")
        if self.screening_ng is None and self.effect_hours is None:
            return self.dose_ng_per_day
        if self.screening_ng is None or self.effect_hours is None or self.dose_ng_per_day is not None:
            raise click.UsageError("name --dose, or --screening with --effect-hours")
        return doses.starting_dose_ng_per_day(self.screening_ng, self.effect_hours)


@click.command()
@click.option(
    "--dose", "dose_ng_per_day", type=MCG_PER_DAY, help="Dose a day. Default: the active program's."
)
@click.option(
    "--screening", "screening_ng", type=MCG, help="The screening bolus that worked, instead of --dose."
)
@click.option(
    "--effect-hours", type=Quantity("h", low=1, high=96), help="How long the screening bolus worked."
)
@CONCENTRATION
@click.option(
    "--if-in-truth",
    "real_ng_per_ml",
    type=MCG_PER_ML,
    help="Show the dose if the drug is of this concentration.",
)
@click.option("--bolus", "bolus_ng", type=MCG, help="A bolus of so much drug.")
@click.option("--duration", "duration_s", type=Quantity("s", low=1), help="Over which the bolus is given.")
@click.option("--every", "interval_s", type=HOURS_MINUTES, help="A bolus every H:MM, as 6:00 for six hours.")
@click.option("--stopped", "stopped_s", type=HOURS_MINUTES, help="Show what is missed in a stop of H:MM.")
@with_options
def dose(options: Options, **given: Any) -> None:
    """Turn a dose into a rate, and see what follows from it. Changes nothing."""
    asked = _DoseOptions(**given)
    known = Known()
    if options.target:
        with connected(options) as pump:
            known = Known.of(pump)
    ng_per_ml = needed(
        first_named(asked.ng_per_ml, known.concentration_ng_per_ml), "--concentration", "a dose is drug"
    )
    wanted = needed(
        first_named(asked.first_dose(), known.dose_ng_per_day), "--dose", "there is none to compute with"
    )
    part = _dose_part(known, wanted, ng_per_ml)
    if asked.bolus_ng is not None:
        part["bolus"] = _bolus_part(known, part, asked.bolus_ng, asked.duration_s, asked.interval_s)
    if asked.stopped_s is not None:
        part["missed_ng"] = nearest(doses.missed_dose_ng(wanted, asked.stopped_s * 1_000))
    if asked.real_ng_per_ml is not None:
        mistaken = doses.given_by_mistake_ng(wanted, ng_per_ml, asked.real_ng_per_ml)
        part["if_mistaken_ng_per_day"] = nearest(mistaken)
    error = _refused(known, part)
    part["accepted"] = error is None
    show(options, list(_dose_rows(known, part)), {**part}, error=error)
    if error is not None:
        raise error


def _dose_part(known: Known, wanted: int, ng_per_ml: int) -> DosePart:
    rate = rate_for_dose_nl_per_day(wanted, ng_per_ml)
    lowest, highest, safe = (
        nearest(dose_for_rate_ng_per_day(each, ng_per_ml))
        for each in (known.rate_min_nl_per_day, known.rate_max_nl_per_day, known.safe_rate_nl_per_day)
    )
    return DosePart(
        dose_ng_per_day=wanted,
        concentration_ng_per_ml=ng_per_ml,
        rate_nl_per_day=rate,
        accepted=True,
        nearest_dose_ng_per_day=doses.dose_in_range_ng_per_day(
            wanted, ng_per_ml, known.rate_min_nl_per_day, known.rate_max_nl_per_day
        ),
        lowest_dose_ng_per_day=lowest,
        highest_dose_ng_per_day=highest,
        minimum_rate_dose_ng_per_day=safe,
        reservoir_nl=known.reservoir_nl,
        lasts_ms=doses.delivery_time_ms(known.reservoir_nl, max(rate, 1)),
        reservoir_drug_ng=nearest(drug_ng(known.reservoir_nl, ng_per_ml)),
    )


def _bolus_part(
    known: Known, part: DosePart, bolus_ng: int, duration_s: int | None, interval_s: int | None
) -> BolusOfDose:
    volume_nl = doses.volume_for_dose_nl(bolus_ng, part["concentration_ng_per_ml"])
    found = BolusOfDose(
        dose_ng=bolus_ng,
        volume_nl=volume_nl,
        shortest_s=doses.shortest_bolus_s(volume_nl, known.rate_max_nl_per_day, part["rate_nl_per_day"]),
    )
    if duration_s is not None:
        found["duration_s"] = duration_s
        found["rate_nl_per_day"] = nearest(doses.bolus_rate_nl_per_day(volume_nl, duration_s))
    if interval_s is not None:
        found["interval_s"] = interval_s
        found["total_ng_per_day"] = nearest(doses.periodic_total_ng_per_day(bolus_ng, interval_s))
    return found


def _refused(known: Known, part: DosePart) -> UsageError | None:
    """Why a pump would not run it: dose or bolus, with what it would run."""
    rate = part["rate_nl_per_day"]
    if not known.rate_min_nl_per_day <= rate <= known.rate_max_nl_per_day:
        limits = f"{ml_per_day(known.rate_min_nl_per_day)} to {ml_per_day(known.rate_max_nl_per_day)}"
        return UsageError(
            f"{mcg_per_day(part['dose_ng_per_day'])} of {mcg_per_ml(part['concentration_ng_per_ml'])} is "
            f"{ml_per_day(rate)}, and a pump runs {limits}",
            advice=f"the nearest dose is {mcg_per_day(part['nearest_dose_ng_per_day'])}",
        )
    bolus = part.get("bolus")
    if bolus is None or "duration_s" not in bolus:
        return None
    shortest_s = bolus["shortest_s"]
    if shortest_s is not None and bolus["duration_s"] >= shortest_s:
        return None
    at_least = (
        "no duration is long enough" if shortest_s is None else f"it takes {duration(shortest_s)} at least"
    )
    return UsageError(
        f"{mcg(bolus['dose_ng'])} over {duration(bolus['duration_s'])} is {_ml_per_hour(bolus['rate_nl_per_day'])}, "
        f"with the dose more than {_ml_per_hour(known.rate_max_nl_per_day)}",
        advice=at_least,
    )


def _ml_per_hour(rate_nl_per_day: int) -> str:
    return f"{decimal_text(nearest(Fraction(rate_nl_per_day, HOURS_PER_DAY)), 6)} mL/h"


def _dose_rows(known: Known, part: DosePart) -> Iterator[tuple[str, str]]:
    rate = part["rate_nl_per_day"]
    yield "dose", f"{mcg_per_day(part['dose_ng_per_day'])} of {mcg_per_ml(part['concentration_ng_per_ml'])}"
    per_hour = decimal_text(nearest(Fraction(rate, HOURS_PER_DAY)), 3)
    yield "rate", f"{ml_per_day(rate)} ({per_hour} uL/h)"
    least, most = mcg_per_day(part["lowest_dose_ng_per_day"]), mcg_per_day(part["highest_dose_ng_per_day"])
    yield "possible", f"{least} to {most}"
    yield "minimum rate", f"{mcg_per_day(part['minimum_rate_dose_ng_per_day'])} in the safe state"
    yield (
        "full",
        f"{ml(known.reservoir_nl)} lasts {duration_of_ms(part['lasts_ms'])}, {mcg(part['reservoir_drug_ng'])}",
    )
    if "if_mistaken_ng_per_day" in part:
        yield "if mistaken", f"{mcg_per_day(part['if_mistaken_ng_per_day'])} is given in truth"
    if "missed_ng" in part:
        yield "missed", f"{mcg(part['missed_ng'])} in the stop"
    if "bolus" in part:
        yield from _bolus_rows(part["bolus"])


def _bolus_rows(bolus: BolusOfDose) -> Iterator[tuple[str, str]]:
    shortest_s = bolus["shortest_s"]
    at_least = "no duration" if shortest_s is None else f"over {duration(shortest_s)} at least"
    yield "bolus", f"{mcg(bolus['dose_ng'])} ({ml(bolus['volume_nl'])}), {at_least}"
    if "duration_s" in bolus:
        yield "over", f"{duration(bolus['duration_s'])}: {_ml_per_hour(bolus['rate_nl_per_day'])}"
    if "interval_s" in bolus:
        interval_s = bolus["interval_s"]
        a_day = decimal_text(nearest(Fraction(100 * doses.S_PER_DAY, interval_s)), 2)
        yield "every", f"{duration(interval_s)} = {a_day} a day = {mcg_per_day(bolus['total_ng_per_day'])}"


@click.command()
@with_options
def dates(options: Options) -> None:
    """When the reservoir is low and empty by the active program, and when the pump must be replaced."""
    with connected(options) as pump:
        seen = read_dates(pump)
    show(options, dates_rows(seen), {**dates_document(seen)})


PROCEDURE_COMMANDS = (dose, dates)
