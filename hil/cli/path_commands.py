"""The commands of `pumpbench program` about tubing and catheter: path, bridge and prime.

`path` and `bridge` change nothing. What the command line does not say of the path is asked of the pump, and each says
where a volume came from, so that a slip of place is seen.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.connection import Options, confirm, connected, one_of, require_target, show, with_options
from hil.cli.output import say
from hil.cli.procedure_commands import (
    CONCENTRATION,
    HOURS_PER_DAY,
    Known,
    above_0,
    first_named,
    needed,
    single_dose_ng_per_day,
)
from hil.cli.procedure_documents import BridgePart, PathPart, PrimeCommandPart, PrimePart
from hil.cli.quantities import MCG_PER_DAY, MCG_PER_ML, ML, Quantity
from hil.cli.therapy_commands import YES, delivered_nl, refuse_after_another_bolus, report
from hil.errors import UsageError
from hil.procedures import doses
from hil.procedures.doses import (
    MS_PER_DAY,
    dose_for_rate_ng_per_day,
    drug_ng,
    nearest,
    rate_for_dose_nl_per_day,
)
from hil.procedures.fluid_path import (
    CATHETER_NL_PER_CM,
    RESIDUAL_NL,
    TUBING_NL,
    Bridge,
    FluidPath,
    Prime,
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
from protocol.identifiers import ConfigId, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.cli.tables import Rows
    from hil.programmer.programmer import Programmer
    from protocol.messages.reading import GetDeliveryReply

WATCH: Final = "fluids mix: some drug arrives before a prime has ended and less after it; watch the patient"
MS_PER_S: Final = 1_000
A_TENTH: Final = 10
PRIME_NL_PER_DAY: Final = 24_000_000  # 1 mL/h [DOMAIN 4.3]

MM = Quantity("cm", places=1, low=1, high=10_000)
NL_PER_CM = Quantity("mL/cm", places=6, low=1, high=1_000_000)
PERMILLE = Quantity("%", places=1, high=500)
PRIME_RATE = Quantity("mL/h", places=3, low=1, high=1_000)


class PathOptions(NamedTuple):
    """The options by which a path is measured."""

    length_mm: int | None
    trimmed_mm: int
    nl_per_cm: int
    tubing_nl: int | None
    permille: int

    @property
    def implanted_mm(self) -> int | None:
        """The length that was implanted, None where none is named; UsageError where more was trimmed than there was."""
        if self.length_mm is None:
            if self.trimmed_mm:
                raise UsageError(
                    "--trimmed-cm is of --length-cm, which is missing", advice="name the length that was sold"
                )
            return None
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

    def path(self, tubing_nl: int, pump: Programmer | None = None) -> FluidPath:
        """The path as it is named; else with the tubing given here, and the catheter that is written into the pump.

        UsageError where nobody knows the catheter.
        """
        tubing = tubing_nl if self.tubing_nl is None else self.tubing_nl
        if self.implanted_mm is not None:
            return FluidPath(catheter_volume_nl(self.implanted_mm, 0, self.nl_per_cm), tubing)
        catheter_nl = None if pump is None else pump.configuration(ConfigId.CATHETER_NL)
        if not catheter_nl:
            raise UsageError(
                "--length-cm is missing, and no pump that is named knows its catheter",
                advice="name the length as sold and --trimmed-cm, or write the volume into the pump: "
                "`pumpbench program config catheter 0.198`",
            )
        return FluidPath(int(catheter_nl), tubing)

    def catheter_words(self) -> str:
        """Where the volume of the catheter comes from."""
        if self.implanted_mm is None:
            return "as it is written into the pump"
        return f"{decimal_text(self.implanted_mm, 1)} cm of {decimal_text(self.nl_per_cm, 6)} mL/cm"


def with_path_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which a path is measured, as one argument."""

    @click.option(
        "--length-cm",
        "length_mm",
        type=MM,
        help="Length of the catheter as sold. Default: the catheter that is written into the pump.",
    )
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
        measured = PathOptions(**{name: kwargs.pop(name) for name in PathOptions._fields})
        try:
            command(*args, measured=measured, **kwargs)
        except ValueError as error:
            raise UsageError(f"--dispersion: {error}", advice="name less of it") from error

    return wrapped


with_prime_rate = click.option(
    "--prime-rate",
    "prime_ul_per_h",
    type=PRIME_RATE,
    help="Rate of a prime. Default: 1 mL/h, or what a program that runs leaves of it.",
)


@click.command()
@with_path_options
@CONCENTRATION
@click.option(
    "--old-concentration", "old_ng_per_ml", type=MCG_PER_ML, help="In the catheter of a replaced pump."
)
@click.option(
    "--dose", "dose_ng_per_day", type=MCG_PER_DAY, help="For the transit. Default: the active program's."
)
@with_prime_rate
@with_options
def path(
    options: Options,
    *,
    measured: PathOptions,
    ng_per_ml: int | None,
    old_ng_per_ml: int | None,
    dose_ng_per_day: int | None,
    prime_ul_per_h: int | None,
) -> None:
    """Volumes of tubing and catheter, primes and transit. Changes nothing."""
    known, whole = Known(), None
    if options.target:
        with connected(options) as pump:
            known = Known.of(pump)
            whole = measured.path(known.tubing_nl, pump)
    if whole is None:
        whole = measured.path(known.tubing_nl)
    ng_per_ml = first_named(ng_per_ml, known.concentration_ng_per_ml)
    dose_ng_per_day = first_named(dose_ng_per_day, known.dose_ng_per_day)
    named = (
        ("--concentration", ng_per_ml),
        ("--old-concentration", old_ng_per_ml),
        ("--dose", dose_ng_per_day),
    )
    for option, value in named:
        if value is not None:
            above_0(value, option)
    if dose_ng_per_day is not None and ng_per_ml is None:
        raise UsageError("--dose needs --concentration", advice="name the drug's")
    drug = 0 if ng_per_ml is None else ng_per_ml
    old_drug = drug if old_ng_per_ml is None else old_ng_per_ml
    part = _path_part(measured, whole, prime_ul_per_h, drug, old_drug)
    rate = 0
    if dose_ng_per_day is not None and ng_per_ml is not None:
        rate = rate_for_dose_nl_per_day(dose_ng_per_day, ng_per_ml)
        _refuse_rate("--dose", rate, known.rate_min_nl_per_day, known.rate_max_nl_per_day)
    if rate:
        part["transit_ms"] = doses.delivery_time_ms(part["path_nl"], rate)
    show(options, list(_path_rows(measured, part, ng_per_ml, rate)), {**part})


def _path_part(
    measured: PathOptions, whole: FluidPath, prime_ul_per_h: int | None, ng_per_ml: int, old_ng_per_ml: int
) -> PathPart:
    rate = _prime_rate_nl_per_day(prime_ul_per_h)
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
        primes=[_prime_part(prime) for prime in primes],
        supervise=WATCH,
    )


def _prime_rate_nl_per_day(ul_per_h: int | None, room_nl_per_day: int = PRIME_NL_PER_DAY) -> int:
    """The rate that is named; else the usual one, as far as there is room beside the program."""
    if ul_per_h is None:
        return min(PRIME_NL_PER_DAY, room_nl_per_day)
    return ul_per_h * 1_000 * HOURS_PER_DAY


def _prime_part(prime: Prime) -> PrimePart:
    return PrimePart(
        kind=prime.kind.value,
        volume_nl=prime.volume_nl,
        duration_ms=prime.duration_ms,
        tip_drug_ng=nearest(prime.tip_drug_ng),
        following_drug_ng=nearest(prime.following_drug_ng),
        following_nominal_ng=nearest(prime.following_nominal_ng),
    )


PRIME_WORDS: Final = {
    PrimeKind.NEW: "new pump and catheter",
    PrimeKind.PURGED: "new, pump purged before",
    PrimeKind.REPLACEMENT: "pump replaced",
    PrimeKind.REVISION: "catheter revised",
}


def _path_rows(
    measured: PathOptions, part: PathPart, ng_per_ml: int | None, rate_nl_per_day: int
) -> Iterator[tuple[str, str]]:
    yield "catheter", f"{ml(part['catheter_nl'])}: {measured.catheter_words()}"
    yield "tubing", ml(part["tubing_nl"])
    yield "path", ml(part["path_nl"])
    if part["excess_nl"]:
        yield "look", excess_words(part["excess_nl"], ng_per_ml)
    for prime in part["primes"]:
        yield f"prime, {PRIME_WORDS[PrimeKind(prime['kind'])]}", _prime_words(prime, ng_per_ml)
    if "transit_ms" in part:
        yield "transit", f"{duration_of_ms(part['transit_ms'])} at {ml_per_day(rate_nl_per_day)}"
    yield "heed", part["supervise"]


def excess_words(excess_nl: int, ng_per_ml: int | None) -> str:
    """That the tubing is told with the volume of before 2016, and what a prime of it gives too much (RH-01)."""
    drug = f", {mcg(nearest(drug_ng(excess_nl, ng_per_ml)))} too much" if ng_per_ml else ""
    return f"the tubing is told {ml(excess_nl)} larger than it is: a prime gives that{drug}"


def _refuse_old_tubing(
    measured: PathOptions, whole: FluidPath, kind: PrimeKind, ng_per_ml: int | None
) -> None:
    """Raise UsageError where a prime would fill tubing that is larger in the pump alone, and nobody names it."""
    excess_nl = whole.excess_before_2016_nl
    if measured.tubing_nl is None and excess_nl and kind in {PrimeKind.NEW, PrimeKind.REPLACEMENT}:
        raise UsageError(
            f"nothing was sent: {excess_words(excess_nl, ng_per_ml)}",
            advice=f"correct it with `pumpbench program config tubing {decimal_text(TUBING_NL, 6)}`, "
            "or name its volume with --tubing-ml",
        )


def _prime_words(prime: PrimePart, ng_per_ml: int | None) -> str:
    words = f"{ml(prime['volume_nl'])} in {duration_of_ms(prime['duration_ms'])}"
    if ng_per_ml:
        words += f", {mcg(prime['tip_drug_ng'])} out of the tip before its end"
        missing_ng = prime["following_nominal_ng"] - prime["following_drug_ng"]
        if missing_ng > 0 and prime["kind"] != PrimeKind.REPLACEMENT:
            words += f", {mcg(missing_ng)} too little in the path volume after it"
    return words


@click.command()
@click.option("--concentration", "new_ng_per_ml", type=MCG_PER_ML, required=True, help="Of the new drug.")
@click.option(
    "--dose", "dose_ng_per_day", type=MCG_PER_DAY, help="After it. Default: that of a simple program."
)
@click.option(
    "--bridge-dose",
    "bridge_ng_per_day",
    type=MCG_PER_DAY,
    help="During it. Default: that of a simple program.",
)
@with_path_options
@with_options
def bridge(
    options: Options,
    *,
    new_ng_per_ml: int,
    dose_ng_per_day: int | None,
    bridge_ng_per_day: int | None,
    measured: PathOptions,
) -> None:
    """Plan the bridge for a new concentration. Changes nothing; `refill` programs it."""
    with connected(options) as pump:
        limits, info, header = pump.limits(), pump.info(), pump.program().header
        whole = measured.path(info.tubing_nl, pump)
    if not header.concentration_ng_per_ml:
        raise UsageError(
            "the pump has no program, and so no drug to bridge from",
            advice="a bridge is for a new concentration; `pumpbench program set` writes a first program",
        )
    old_dose = single_dose_ng_per_day(header)
    why = "the active program has no single dose"
    plan = bridge_for(
        whole,
        old_ng_per_ml=header.concentration_ng_per_ml,
        new_ng_per_ml=needed(new_ng_per_ml, "--concentration", "a drug has one"),
        bridge_dose_ng_per_day=needed(first_named(bridge_ng_per_day, old_dose), "--bridge-dose", why),
        new_dose_ng_per_day=needed(first_named(dose_ng_per_day, old_dose), "--dose", why),
        dispersion=measured.dispersion,
    )
    for name, rate in (("--bridge-dose", plan.rate_nl_per_day), ("--dose", plan.rate_after_nl_per_day)):
        _refuse_rate(name, rate, limits.rate_min_nl_per_day, limits.rate_max_nl_per_day)
    unrinsed = mixed_concentration_ng_per_ml(
        info.reservoir_size_nl - RESIDUAL_NL, plan.new_ng_per_ml, RESIDUAL_NL, plan.old_ng_per_ml
    )
    rows = bridge_rows(plan, nearest(unrinsed))
    if excess_nl := whole.excess_before_2016_nl:
        rows.append(
            ("look", f"the tubing is told {ml(excess_nl)} larger than it is: the bridge is too long by that")
        )
    show(options, rows, {**_bridge_part(plan, nearest(unrinsed))})


def _refuse_rate(option: str, rate_nl_per_day: int, lowest: int, highest: int) -> None:
    """Raise UsageError where an option asks for a rate that the pump does not run."""
    if not lowest <= rate_nl_per_day <= highest:
        raise UsageError(
            f"{option} is {ml_per_day(rate_nl_per_day)}, and the pump runs {ml_per_day(lowest)} to "
            f"{ml_per_day(highest)}",
            advice="name another dose, or another concentration",
        )


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
@click.option(
    "--kind",
    type=one_of(PrimeKind),
    required=True,
    help="What of the path holds no drug yet: as `path` lists them.",
)
@with_path_options
@CONCENTRATION
@click.option(
    "--old-concentration", "old_ng_per_ml", type=MCG_PER_ML, help="In the catheter of a replaced pump."
)
@with_prime_rate
@click.option(
    "--again", is_flag=True, help="The pump has delivered into this path, and it holds no drug all the same."
)
@YES
@with_options
def prime(
    options: Options,
    *,
    kind: str,
    measured: PathOptions,
    ng_per_ml: int | None,
    old_ng_per_ml: int | None,
    prime_ul_per_h: int | None,
    again: bool,
    yes: bool,
) -> None:
    """Fill tubing and catheter at the rate of a prime, beside the program if one runs."""
    require_target(options)
    with connected(options, settled=True) as pump:
        status = pump.status()  # read first: what changes after it is refused
        known = Known.of(pump)
        drug = first_named(ng_per_ml, known.concentration_ng_per_ml)
        for option, value in (("--concentration", drug), ("--old-concentration", old_ng_per_ml)):
            if value is not None:
                above_0(value, option)
        if ng_per_ml is not None:
            _refuse_another_drug(ng_per_ml, known)
        whole = measured.path(known.tubing_nl, pump)
        _refuse_old_tubing(measured, whole, PrimeKind[kind.upper()], drug)
        basal = status.rate_nl_per_day if status.state is State.RUN else 0
        rate = _prime_rate_nl_per_day(prime_ul_per_h, known.rate_max_nl_per_day - basal)
        new = 0 if drug is None else drug
        old = new if old_ng_per_ml is None else old_ng_per_ml
        part = _prime_part(prime_for(PrimeKind[kind.upper()], whole, rate, new, old, measured.dispersion))
        before = pump.delivery()
        say(f"pumpbench: {WATCH}")
        if given := given_into_the_path(part, whole, before, new):
            confirm(f"{given}; prime all the same", yes=again, option="--again")
        beside_nl = basal * part["duration_ms"] // MS_PER_DAY
        words = f"{PRIME_WORDS[PrimeKind(part['kind'])]}: {_prime_words(part, drug)}"
        if beside_nl:
            words += f"; the program gives {ml(beside_nl)}{_of_drug(beside_nl, new)} beside it"
        confirm(f"prime a {words}", yes=yes)
        refuse_after_another_bolus(before, pump.delivery())
        duration_s = -(-part["duration_ms"] // MS_PER_S)
        prepared = pump.prepare_prime(part["volume_nl"], duration_s, program_rev=status.program_rev)
        executed = pump.commit_prime(prepared)
        rows = [
            ("prime", words),
            ("volume", ml(prepared.announced.quantised_nl)),
            ("over", duration(duration_s)),
        ]
        fields = PrimeCommandPart(prime=part, path_nl=whole.volume_nl, beside_nl=beside_nl)
        report(options, executed, rows, fields={**fields})


def _refuse_another_drug(ng_per_ml: int, known: Known) -> None:
    """Raise UsageError where a prime is told with another concentration than the pump's program has."""
    of_program = known.concentration_ng_per_ml
    if of_program is not None and of_program != ng_per_ml:
        raise UsageError(
            f"nothing was sent: --concentration is {mcg_per_ml(ng_per_ml)}, and the pump's program is for "
            f"{mcg_per_ml(of_program)}",
            advice="look at the vial; `pumpbench program refill` tells the pump of another drug",
        )


def given_into_the_path(part: PrimePart, whole: FluidPath, before: GetDeliveryReply, ng_per_ml: int) -> str:
    """What the pump has delivered where it should not have, if the path were as empty as the kind of prime says.

    "" where it is less than a tenth of the prime, as of a pump that ran on the bench for a while [DOMAIN 8, 26].
    """
    given_nl = delivered_nl(before)
    holds_nl = {PrimeKind.PURGED: whole.tubing_nl, PrimeKind.REVISION: given_nl}.get(
        PrimeKind(part["kind"]), 0
    )
    beyond_nl = given_nl - holds_nl
    if beyond_nl <= 0 or beyond_nl * A_TENTH < part["volume_nl"]:
        return ""
    primed = f", {ml(before.prime_nl)} of it by a prime" if before.prime_nl else ""
    at_most_nl = min(given_nl, part["volume_nl"])
    early = f"up to {ml(at_most_nl)}{_of_drug(at_most_nl, ng_per_ml)} would leave the tip at once"
    return f"the pump has delivered {ml(given_nl)} already{primed}: if that is in the path, {early}"


def _of_drug(volume_nl: int, ng_per_ml: int) -> str:
    return f" ({mcg(nearest(drug_ng(volume_nl, ng_per_ml)))})" if ng_per_ml else ""


PATH_COMMANDS = (path, bridge, prime)
