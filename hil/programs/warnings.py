"""What a human has to confirm of a program by name before it is sent, and what stays visible afterwards [DOMAIN 2.3].

None of it is refused by the pump: it can be meant.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from hil.procedures.doses import drug_ng, nearest
from hil.programmer.staging import Days
from hil.programs.checks import day_ng, mean_nl_per_day
from hil.programs.infusion_program import single_days
from hil.quantity_words import mcg_per_day, mcg_per_ml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.programs.infusion_program import InfusionProgram

LARGE_CHANGE = Fraction(20, 100)  # more than that; 20 % itself is not large [DOMAIN 2.3]
SOONEST_REFILL_DAYS, LATEST_REFILL_DAYS = 7, 183  # [DOMAIN 2.3]: 7 days, 6 months


class PumpNow(NamedTuple):
    """What a program will meet: the active one (None: there is none), and the reservoir as it will be then, in nL."""

    active: InfusionProgram | None
    reservoir_nl: int
    low_alarm_nl: int


class Warned(NamedTuple):
    """Something to confirm, by its name."""

    name: str
    sentence: str


class Rule(NamedTuple):
    """A row of the table: the names of what it finds, what it is about, where it comes from, and what finds it."""

    names: tuple[str, ...]
    about: str
    source: str
    find: Callable[[InfusionProgram, PumpNow], Iterator[Warned]]


def warnings(program: InfusionProgram, now: PumpNow) -> list[Warned]:
    """What has to be confirmed, in order; `program` has its rates (`InfusionProgram.for_pump`)."""
    return [found for rule in RULES for found in rule.find(program, now)]


def _dose_change(program: InfusionProgram, now: PumpNow) -> Iterator[Warned]:
    if now.active is None:
        return
    largest: tuple[Fraction, int, int] | None = None
    for day in single_days(Days.EVERY_DAY):
        old_course, new_course = now.active.course_on(day), program.course_on(day)
        if old_course is None or new_course is None:
            continue
        old, new = day_ng(now.active, old_course), day_ng(program, new_course)
        change = Fraction(abs(new - old), old) if old else Fraction(new > 0)
        if largest is None or change > largest[0]:
            largest = change, old, new
    if largest is not None and largest[0] > LARGE_CHANGE:
        change, old, new = largest
        sign = "+" if new > old else "-"
        yield Warned(
            "dose-change",
            f"the dose of a day changes by {sign}{nearest(change * 100)} %, from {mcg_per_day(old)} to "
            f"{mcg_per_day(new)} with all boluses; more than {nearest(LARGE_CHANGE * 100)} % is unusual",
        )


def _refill_date(program: InfusionProgram, now: PumpNow) -> Iterator[Warned]:
    a_day = mean_nl_per_day(program)
    if not a_day:
        return
    days = max(Fraction(now.reservoir_nl - now.low_alarm_nl), Fraction(0)) / a_day
    when = f"the reservoir is low in {int(days)} days"
    if days < SOONEST_REFILL_DAYS:
        yield Warned("refill-soon", f"{when}; less than {SOONEST_REFILL_DAYS} is soon")
    if days > LATEST_REFILL_DAYS:
        yield Warned("refill-late", f"{when}; more than {LATEST_REFILL_DAYS} is longer than a drug keeps")


def _concentration(program: InfusionProgram, now: PumpNow) -> Iterator[Warned]:
    if now.active is None or not now.active.concentration_ng_per_ml:
        return
    old, new = now.active.concentration_ng_per_ml, program.concentration_ng_per_ml
    if old == new:
        return
    doses = sorted({day_ng(program, course) for course in program.courses})
    yield Warned(
        "concentration",
        f"the concentration changes from {mcg_per_ml(old)} to {mcg_per_ml(new)}; a day then has "
        f"{' or '.join(mcg_per_day(dose) for dose in doses)}",
    )


def _no_bridge(program: InfusionProgram, now: PumpNow) -> Iterator[Warned]:
    if now.active is None or now.active.concentration_ng_per_ml in {0, program.concentration_ng_per_ml}:
        return
    if program.bridge is None:
        before = mcg_per_ml(now.active.concentration_ng_per_ml)
        yield Warned(
            "no-bridge",
            f"there is no bridge: what tubing and catheter hold, of {before}, is delivered at the new rate",
        )
    if program.concentration_ng_per_ml < now.active.concentration_ng_per_ml:
        yield Warned(
            "rinse",
            "the concentration is lowered: the reservoir is rinsed twice with saline before it is filled",
        )


def _bridge_of_another_drug(program: InfusionProgram, now: PumpNow) -> Iterator[Warned]:
    old = program.old_concentration_ng_per_ml
    if old is None or now.active is None or old == now.active.concentration_ng_per_ml:
        return
    yield Warned(
        "bridge-concentration",
        f"the bridge is for an old drug of {mcg_per_ml(old)}, and the pump has "
        f"{mcg_per_ml(now.active.concentration_ng_per_ml)}: its "
        f"rate gives {mcg_per_day(_bridge_dose(program, now.active.concentration_ng_per_ml))}",
    )


def _bridge_dose(program: InfusionProgram, concentration_ng_per_ml: int) -> int:
    rate = 0 if program.bridge is None else program.bridge.rate_nl_per_day
    return nearest(drug_ng(rate, concentration_ng_per_ml))


RULES = (
    Rule(("dose-change",), "a day's dose changes by more than 20 %", "DOMAIN 2.3", _dose_change),
    Rule(
        ("refill-soon", "refill-late"),
        "the next refill in less than 7 days or more than 6 months",
        "DOMAIN 2.3",
        _refill_date,
    ),
    Rule(
        ("concentration",),
        "another concentration, with the dose that a day then has",
        "DOMAIN RH-20",
        _concentration,
    ),
    Rule(
        ("no-bridge", "rinse"), "another concentration without a bridge or a rinse", "DOMAIN 4.4", _no_bridge
    ),
    Rule(
        ("bridge-concentration",),
        "a bridge for another drug than the pump's",
        "DOMAIN 4.4",
        _bridge_of_another_drug,
    ),
)
NAMES = tuple(name for rule in RULES for name in rule.names)
"""The names of all that can be warned of."""
