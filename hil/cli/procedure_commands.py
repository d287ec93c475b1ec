"""The commands of `pumpbench program` that compute a procedure and change nothing: dose, path, bridge, dates.

Where a target is named its limits, tubing and active program are used; `dose` and `path` need none and then use the
published values. Each shows what follows from the numbers beside them, so that a slip of unit or place is seen.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.connection import Options, connected, show, with_options
from hil.cli.procedure_documents import BolusOfDose, BridgePart, DosePart, PathPart, PrimePart
from hil.cli.quantities import HOURS_MINUTES, MCG, MCG_PER_DAY, MCG_PER_ML, ML, Quantity
from hil.cli.reservoir_dates import dates_document, dates_rows, read_dates
from hil.errors import UsageError
from hil.procedures import doses
from hil.procedures.doses import dose_for_rate_ng_per_day, drug_ng, nearest, rate_for_dose_nl_per_day
from hil.procedures.fluid_path import (
    CATHETER_NL_PER_CM,
    RESIDUAL_NL,
    TUBING_NL,
    Bridge,
    FluidPath,
    PrimeKind,
    bridge_for,
    catheter_volume_nl,
    mixed_concentration_ng_per_ml,
    prime_for,
)
from hil.quantity_words import (
    decimal_text,
    duration,
    duration_of_ms,
    mcg,
    mcg_per_day,
    mcg_per_ml,
    ml,
    ml_per_day,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.cli.tables import Rows

RESERVOIR_NL: Final = 20_000_000  # [DOMAIN 0.3, C1]
HOURS_PER_DAY: Final = 24
WATCH: Final = "fluids mix: some drug arrives before a prime has ended and less after it; watch the patient"

MM = Quantity("cm", places=1, low=1, high=10_000)
NL_PER_CM = Quantity("mL/cm", places=6, low=1, high=1_000_000)
PERMILLE = Quantity("%", places=1, high=500)
PRIME_RATE = Quantity("mL/h", places=3, low=1, high=1_000)


class _Known(NamedTuple):
    """What a dose or a path is computed against: of the named pump, or as published."""

    rate_min_nl_per_day: int = doses.RATE_MIN_NL_PER_DAY
    rate_max_nl_per_day: int = doses.RATE_MAX_NL_PER_DAY
    safe_rate_nl_per_day: int = doses.SAFE_RATE_NL_PER_DAY
    reservoir_nl: int = RESERVOIR_NL
    tubing_nl: int = TUBING_NL
    concentration_ng_per_ml: int | None = None
    dose_ng_per_day: int | None = None


def _known(options: Options) -> _Known:
    """Read what the named pump says of itself; without one, what is published."""
    if not options.target:
        return _Known()
    with connected(options) as pump:
        limits, info, header = pump.limits(), pump.info(), pump.program().header
    return _Known(
        limits.rate_min_nl_per_day,
        limits.rate_max_nl_per_day,
        limits.safe_rate_nl_per_day,
        info.reservoir_size_nl,
        info.tubing_nl,
        *(
            None if each == 0 else each
            for each in (header.concentration_ng_per_ml, header.groups[0].dose_ng_per_day)
        ),
    )


def _needed(value: int | None, option: str, why: str) -> int:
    if value is None:
        raise UsageError(f"{option} is missing: {why}", advice=f"name {option}, above 0")
    return _above_0(value, option)


def _above_0(value: int, option: str) -> int:
    if value:
        return value
    raise UsageError(
        f"{option} is 0, and nothing can be computed with that", advice=f"name {option}, above 0"
    )


def _named(*values: int | None) -> int | None:
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
    known = _known(options)
    ng_per_ml = _needed(
        _named(asked.ng_per_ml, known.concentration_ng_per_ml), "--concentration", "a dose is drug"
    )
    wanted = _needed(
        _named(asked.first_dose(), known.dose_ng_per_day), "--dose", "there is none to compute with"
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


def _dose_part(known: _Known, wanted: int, ng_per_ml: int) -> DosePart:
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
    known: _Known, part: DosePart, bolus_ng: int, duration_s: int | None, interval_s: int | None
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


def _refused(known: _Known, part: DosePart) -> UsageError | None:
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


def _dose_rows(known: _Known, part: DosePart) -> Iterator[tuple[str, str]]:
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


class _PathOptions(NamedTuple):
    """The options by which a path is measured."""

    length_mm: int
    trimmed_mm: int
    nl_per_cm: int
    tubing_nl: int | None
    permille: int

    @property
    def implanted_mm(self) -> int:
        """The length that was implanted; UsageError where more was trimmed than there was."""
        if self.trimmed_mm >= self.length_mm:
            raise UsageError(
                f"--trimmed-cm {decimal_text(self.trimmed_mm, 1)} leaves nothing of --length-cm "
                f"{decimal_text(self.length_mm, 1)}",
                advice="name the length that was sold, and what was cut off",
            )
        return self.length_mm - self.trimmed_mm

    @property
    def dispersion(self) -> Fraction:
        """As a part of the path volume."""
        return Fraction(self.permille, 1_000)

    def path(self, tubing_nl: int) -> FluidPath:
        """The path with the tubing that was named, else the one given here."""
        catheter_nl = catheter_volume_nl(self.implanted_mm, 0, self.nl_per_cm)
        return FluidPath(catheter_nl, tubing_nl if self.tubing_nl is None else self.tubing_nl)


def with_path_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which a path is measured, as one argument."""

    @click.option("--length-cm", "length_mm", type=MM, required=True, help="Length of the catheter as sold.")
    @click.option(
        "--trimmed-cm", "trimmed_mm", type=Quantity("cm", places=1, high=10_000), default=0, help="Cut off."
    )
    @click.option(
        "--ml-per-cm",
        "nl_per_cm",
        type=NL_PER_CM,
        default=CATHETER_NL_PER_CM,
        show_default="0.0022",
        help="Volume of the catheter.",
    )
    @click.option(
        "--tubing-ml", "tubing_nl", type=ML, help="Tubing of the pump. Default: the pump's, else 0.14."
    )
    @click.option(
        "--dispersion",
        "permille",
        type=PERMILLE,
        default=0,
        show_default="0, plug flow",
        help="How far fluids mix, in percent of the path.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        measured = _PathOptions(**{name: kwargs.pop(name) for name in _PathOptions._fields})
        try:
            command(*args, measured=measured, **kwargs)
        except ValueError as error:
            raise UsageError(f"--dispersion: {error}", advice="name less of it") from error

    return wrapped


@click.command()
@with_path_options
@CONCENTRATION
@click.option(
    "--old-concentration", "old_ng_per_ml", type=MCG_PER_ML, help="In the catheter of a replaced pump."
)
@click.option(
    "--dose", "dose_ng_per_day", type=MCG_PER_DAY, help="For the transit. Default: the active program's."
)
@click.option(
    "--prime-rate",
    "prime_ul_per_h",
    type=PRIME_RATE,
    default=1_000,
    show_default="1 mL/h",
    help="Rate of a prime.",
)
@with_options
def path(
    options: Options,
    *,
    measured: _PathOptions,
    ng_per_ml: int | None,
    old_ng_per_ml: int | None,
    dose_ng_per_day: int | None,
    prime_ul_per_h: int,
) -> None:
    """Volumes of tubing and catheter, primes and transit. Changes nothing."""
    known = _known(options)
    ng_per_ml = _named(ng_per_ml, known.concentration_ng_per_ml)
    dose_ng_per_day = _named(dose_ng_per_day, known.dose_ng_per_day)
    named = (
        ("--concentration", ng_per_ml),
        ("--old-concentration", old_ng_per_ml),
        ("--dose", dose_ng_per_day),
    )
    for option, value in named:
        if value is not None:
            _above_0(value, option)
    if dose_ng_per_day is not None and ng_per_ml is None:
        raise UsageError("--dose needs --concentration", advice="name the drug's")
    drug = 0 if ng_per_ml is None else ng_per_ml
    old_drug = drug if old_ng_per_ml is None else old_ng_per_ml
    part = _path_part(measured, known.tubing_nl, prime_ul_per_h, drug, old_drug)
    rate = 0
    if dose_ng_per_day is not None and ng_per_ml is not None:
        rate = rate_for_dose_nl_per_day(dose_ng_per_day, ng_per_ml)
    if rate:
        part["transit_ms"] = doses.delivery_time_ms(part["path_nl"], rate)
    show(options, list(_path_rows(measured, part, ng_per_ml, rate)), {**part})


def _path_part(
    measured: _PathOptions, tubing_nl: int, prime_ul_per_h: int, ng_per_ml: int, old_ng_per_ml: int
) -> PathPart:
    whole = measured.path(tubing_nl)
    rate = prime_ul_per_h * 1_000 * HOURS_PER_DAY
    primes = [
        prime_for(kind, whole, rate, ng_per_ml, old_ng_per_ml, measured.dispersion) for kind in PrimeKind
    ]
    return PathPart(
        implanted_mm=measured.implanted_mm,
        catheter_nl=whole.catheter_nl,
        tubing_nl=whole.tubing_nl,
        path_nl=whole.volume_nl,
        excess_nl=whole.excess_before_2016_nl,
        prime_rate_nl_per_day=rate,
        primes=[
            PrimePart(
                kind=prime.kind.value,
                volume_nl=prime.volume_nl,
                duration_ms=prime.duration_ms,
                tip_drug_ng=nearest(prime.tip_drug_ng),
                following_drug_ng=nearest(prime.following_drug_ng),
                following_nominal_ng=nearest(prime.following_nominal_ng),
            )
            for prime in primes
        ],
        supervise=WATCH,
    )


PRIME_WORDS: Final = {
    PrimeKind.NEW: "new pump and catheter",
    PrimeKind.PURGED: "new, pump purged before",
    PrimeKind.REPLACEMENT: "pump replaced",
    PrimeKind.REVISION: "catheter revised",
}


def _path_rows(
    measured: _PathOptions, part: PathPart, ng_per_ml: int | None, rate_nl_per_day: int
) -> Iterator[tuple[str, str]]:
    per_cm = f"{decimal_text(measured.nl_per_cm, 6)} mL/cm"
    yield "catheter", f"{ml(part['catheter_nl'])}: {decimal_text(part['implanted_mm'], 1)} cm of {per_cm}"
    yield "tubing", ml(part["tubing_nl"])
    yield "path", ml(part["path_nl"])
    if part["excess_nl"]:
        drug = f", {mcg(nearest(drug_ng(part['excess_nl'], ng_per_ml)))} too much" if ng_per_ml else ""
        yield (
            "look",
            f"the tubing is told {ml(part['excess_nl'])} larger than it is: a prime gives that{drug}",
        )
    for prime in part["primes"]:
        words = f"{ml(prime['volume_nl'])} in {duration_of_ms(prime['duration_ms'])}"
        if ng_per_ml:
            words += f", {mcg(prime['tip_drug_ng'])} out of the tip before its end"
            missing_ng = prime["following_nominal_ng"] - prime["following_drug_ng"]
            if missing_ng > 0 and prime["kind"] != PrimeKind.REPLACEMENT:
                words += f", {mcg(missing_ng)} too little in the path volume after it"
        yield f"prime, {PRIME_WORDS[PrimeKind(prime['kind'])]}", words
    if "transit_ms" in part:
        yield "transit", f"{duration_of_ms(part['transit_ms'])} at {ml_per_day(rate_nl_per_day)}"
    yield "heed", part["supervise"]


@click.command()
@click.option("--concentration", "new_ng_per_ml", type=MCG_PER_ML, required=True, help="Of the new drug.")
@click.option("--dose", "dose_ng_per_day", type=MCG_PER_DAY, help="After it. Default: the active program's.")
@click.option(
    "--bridge-dose", "bridge_ng_per_day", type=MCG_PER_DAY, help="During it. Default: the active program's."
)
@with_path_options
@with_options
def bridge(
    options: Options,
    *,
    new_ng_per_ml: int,
    dose_ng_per_day: int | None,
    bridge_ng_per_day: int | None,
    measured: _PathOptions,
) -> None:
    """Plan the bridge for a new concentration. Changes nothing; `refill` programs it."""
    with connected(options) as pump:
        limits, info, header = pump.limits(), pump.info(), pump.program().header
    old_dose = header.groups[0].dose_ng_per_day
    plan = bridge_for(
        measured.path(info.tubing_nl),
        old_ng_per_ml=_needed(
            header.concentration_ng_per_ml, "a program", "the pump has no drug to bridge from"
        ),
        new_ng_per_ml=_needed(new_ng_per_ml, "--concentration", "a drug has one"),
        bridge_dose_ng_per_day=_needed(
            _named(bridge_ng_per_day, old_dose), "--bridge-dose", "the pump has no dose"
        ),
        new_dose_ng_per_day=_needed(_named(dose_ng_per_day, old_dose), "--dose", "the pump has no dose"),
        dispersion=measured.dispersion,
    )
    for name, rate in (("--bridge-dose", plan.rate_nl_per_day), ("--dose", plan.rate_after_nl_per_day)):
        if not limits.rate_min_nl_per_day <= rate <= limits.rate_max_nl_per_day:
            raise UsageError(
                f"{name} is {ml_per_day(rate)}, and the pump runs {ml_per_day(limits.rate_min_nl_per_day)} to "
                f"{ml_per_day(limits.rate_max_nl_per_day)}",
                advice="name another dose, or another concentration",
            )
    unrinsed = mixed_concentration_ng_per_ml(
        info.reservoir_size_nl - RESIDUAL_NL, plan.new_ng_per_ml, RESIDUAL_NL, plan.old_ng_per_ml
    )
    show(options, bridge_rows(plan, nearest(unrinsed)), {**_bridge_part(plan, nearest(unrinsed))})


def bridge_rows(plan: Bridge, unrinsed_ng_per_ml: int) -> Rows:
    """A bridge, as people read it."""
    wanted = dose_for_rate_ng_per_day(plan.rate_nl_per_day, plan.old_ng_per_ml)
    after = nearest(dose_for_rate_ng_per_day(plan.rate_after_nl_per_day, plan.new_ng_per_ml))
    without = nearest(plan.dose_without_ng_per_day)
    last_old = duration_of_ms(plan.last_old_ms)
    rows = [
        ("change", f"{mcg_per_ml(plan.old_ng_per_ml)} to {mcg_per_ml(plan.new_ng_per_ml)}"),
        (
            "bridge",
            f"{ml(plan.volume_nl)} ({mcg(nearest(plan.drug_ng))}) in {duration_of_ms(plan.duration_ms)}",
        ),
        ("rate", f"{ml_per_day(plan.rate_nl_per_day)} ({mcg_per_day(nearest(wanted))})"),
        ("then", f"{ml_per_day(plan.rate_after_nl_per_day)} ({mcg_per_day(after)})"),
        ("in the catheter", f"the new drug after {duration_of_ms(plan.in_catheter_ms)}"),
        (
            "at the tip",
            f"the first new drug after {duration_of_ms(plan.first_new_ms)}, the last old one after {last_old}",
        ),
    ]
    if plan.dispersion:
        out, at_end = mcg(nearest(plan.tip_drug_ng)), mcg_per_day(nearest(plan.last_dose_ng_per_day))
        rows.append(("mixed", f"{out} leave the tip during it, at its end {at_end}; watch the patient"))
    rows += [
        (
            "without it",
            f"{mcg_per_day(without)} ({percent(without, after)}) for {duration_of_ms(plan.without_ms)}",
        ),
        ("without a rinse", f"a full reservoir is of {mcg_per_ml(unrinsed_ng_per_ml)}"),
    ]
    if plan.new_ng_per_ml < plan.old_ng_per_ml:
        rows.append(("heed", "a weaker drug: rinse the reservoir twice before it is filled"))
    return rows


def _bridge_part(plan: Bridge, unrinsed_ng_per_ml: int) -> BridgePart:
    return BridgePart(
        old_concentration_ng_per_ml=plan.old_ng_per_ml,
        new_concentration_ng_per_ml=plan.new_ng_per_ml,
        volume_nl=plan.volume_nl,
        rate_nl_per_day=plan.rate_nl_per_day,
        duration_ms=plan.duration_ms,
        drug_ng=nearest(plan.drug_ng),
        rate_after_nl_per_day=plan.rate_after_nl_per_day,
        front_in_catheter_ms=plan.in_catheter_ms,
        first_new_ms=plan.first_new_ms,
        last_old_ms=plan.last_old_ms,
        tip_drug_ng=nearest(plan.tip_drug_ng),
        last_dose_ng_per_day=nearest(plan.last_dose_ng_per_day),
        dose_without_ng_per_day=nearest(plan.dose_without_ng_per_day),
        without_ms=plan.without_ms,
        unrinsed_concentration_ng_per_ml=unrinsed_ng_per_ml,
    )


@click.command()
@with_options
def dates(options: Options) -> None:
    """When the reservoir is low and empty by the active program, and when the pump must be replaced."""
    with connected(options) as pump:
        seen = read_dates(pump)
    show(options, dates_rows(seen), {**dates_document(seen)})


PROCEDURE_COMMANDS = (dose, path, bridge, dates)
