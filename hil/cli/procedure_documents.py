"""The parts of JSON documents that `program dose`, `path`, `bridge`, `dates` and `refill` add: what was computed here.

All values are integers; a value that is a fraction is rounded to the nearest, halves up, and times up to a whole ms.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from hil.cli.documents import ErrorFields  # noqa: TC001 - the schemas read the hints


class BolusOfDose(TypedDict):
    """A bolus of a dose."""

    dose_ng: Annotated[int, "drug of one bolus"]
    volume_nl: Annotated[int, "volume of one bolus"]
    shortest_s: Annotated[int | None, "shortest duration beside the dose's rate; null where there is no room"]
    duration_s: NotRequired[Annotated[int, "duration that was asked for"]]
    rate_nl_per_day: NotRequired[Annotated[int, "rate over that duration"]]
    interval_s: NotRequired[Annotated[int, "from start to start"]]
    total_ng_per_day: NotRequired[Annotated[int, "what one every interval adds up to in a day"]]


class DosePart(TypedDict):
    """A dose as a rate, and what follows from it."""

    dose_ng_per_day: Annotated[int, "dose"]
    concentration_ng_per_ml: Annotated[int, "concentration of the drug"]
    rate_nl_per_day: Annotated[int, "rate that gives the dose"]
    accepted: Annotated[bool, "whether a pump runs that rate, and the bolus if there is one"]
    nearest_dose_ng_per_day: Annotated[int, "the nearest dose that a pump runs"]
    lowest_dose_ng_per_day: Annotated[int, "dose at the lowest rate that can be programmed"]
    highest_dose_ng_per_day: Annotated[int, "dose at the highest rate"]
    minimum_rate_dose_ng_per_day: Annotated[int, "dose at the minimum rate of the safe state"]
    reservoir_nl: Annotated[int, "a full reservoir"]
    lasts_ms: Annotated[int, "how long that lasts at the rate"]
    reservoir_drug_ng: Annotated[int, "drug in it"]
    missed_ng: NotRequired[Annotated[int, "drug that is missed while the pump is stopped for the time given"]]
    if_mistaken_ng_per_day: NotRequired[
        Annotated[int, "dose that is given where the drug is of the other concentration that was named"]
    ]
    bolus: NotRequired[Annotated[BolusOfDose, "the bolus that was asked for"]]
    error: NotRequired[Annotated[ErrorFields, "present where no pump runs it"]]


class PrimePart(TypedDict):
    """One kind of prime."""

    kind: Annotated[str, "why the path is primed: new, purged, replacement or revision"]
    volume_nl: Annotated[int, "volume of the prime"]
    duration_ms: Annotated[int, "how long it takes"]
    tip_drug_ng: Annotated[int, "drug that leaves the tip before its end"]
    following_drug_ng: Annotated[int, "drug that leaves the tip with the path volume that follows"]
    following_nominal_ng: Annotated[int, "drug in a path volume"]


class PrimeCommandPart(TypedDict):
    """What `prime` adds to what became of its command."""

    prime: Annotated[PrimePart, "what was asked for, before the pump took whole strokes of it"]
    path_nl: Annotated[int, "volume of tubing and catheter"]
    beside_nl: Annotated[int, "what the program gives meanwhile, at the rate of now"]


class PathPart(TypedDict):
    """Tubing and catheter."""

    implanted_mm: Annotated[
        int | None, "length of catheter that was implanted; null where its volume is the pump's"
    ]
    catheter_nl: Annotated[int, "its volume"]
    tubing_nl: Annotated[int, "volume of the pump's tubing"]
    path_nl: Annotated[int, "both together"]
    excess_nl: Annotated[int, "by how much the tubing is told too large; 0 where it is not"]
    prime_rate_nl_per_day: Annotated[int, "rate of a prime"]
    primes: Annotated[list[PrimePart], "each kind of prime"]
    transit_ms: NotRequired[Annotated[int, "time through the path at the dose's rate"]]
    supervise: Annotated[str, "what to heed in a prime"]


class BridgePart(TypedDict):
    """A bridge for a change of concentration."""

    old_concentration_ng_per_ml: Annotated[int, "of the drug in the path"]
    new_concentration_ng_per_ml: Annotated[int, "of the drug in the reservoir"]
    volume_nl: Annotated[int, "old drug to deliver first"]
    rate_nl_per_day: Annotated[int, "rate of the bridge"]
    duration_ms: Annotated[int, "how long it takes"]
    drug_ng: Annotated[int, "old drug in it"]
    rate_after_nl_per_day: Annotated[int, "rate of the program after it"]
    front_in_catheter_ms: Annotated[int, "when the new drug reaches the catheter"]
    first_new_ms: Annotated[int, "when the first new drug leaves the tip"]
    last_old_ms: Annotated[int, "when the last old drug has left the tip"]
    tip_drug_ng: Annotated[int, "drug that leaves the tip during the bridge, mixing considered"]
    last_dose_ng_per_day: Annotated[int, "dose at the end of the bridge, mixing considered"]
    dose_without_ng_per_day: Annotated[int, "dose that is given where the bridge is forgotten"]
    without_ms: Annotated[int, "for how long"]
    unrinsed_concentration_ng_per_ml: Annotated[int, "of a full reservoir that was not rinsed"]


class DatesPart(TypedDict):
    """When the reservoir will be low and empty, and the pump must be replaced."""

    reservoir_calc_nl: Annotated[int, "what the pump believes to be left"]
    low_alarm_nl: Annotated[int, "content at which the low alarm is due"]
    t_mono_s: Annotated[int, "running time of the pump now"]
    wall_s: Annotated[int, "its wall clock now"]
    tz_minutes: Annotated[int, "zone of its wall clock"]
    wall_valid: Annotated[bool, "whether the wall clock is set and not in doubt"]
    running: Annotated[bool, "whether the pump is in RUN; `warnings` says whose the dates are otherwise"]
    low_wall_s: Annotated[int | None, "date of the low alarm by the program; null never or not known"]
    empty_wall_s: Annotated[int | None, "date of empty by the program; null never or not known"]
    low_all_patient_wall_s: Annotated[int | None, "date of low if the patient asks for all that is allotted"]
    low_in_ms: Annotated[int | None, "time to low by the program; 0 reached already, null never"]
    empty_in_ms: Annotated[int | None, "time to empty by the program; 0 reached already, null never"]
    low_all_patient_in_ms: Annotated[int | None, "time to low with all allotted patient boluses; null never"]
    pump_low_t_mono_s: Annotated[int | None, "the pump's own date of low, as its running time; null never"]
    pump_empty_t_mono_s: Annotated[int | None, "the pump's own date of empty; null never"]
    plan_by_wall_s: Annotated[int | None, "date to plan the replacement by; null not known"]
    replace_by_wall_s: Annotated[int | None, "date to replace the pump by, as it says; null not known"]
    warnings: Annotated[list[str], "what deserves a second look"]


class RefillPart(TypedDict):
    """What a refill says of the time before it, and what comes after it."""

    expected_nl: Annotated[int, "what the pump believed to be left"]
    measured_nl: Annotated[int, "what came out"]
    difference_nl: Annotated[int, "measured - expected: above 0 too little was delivered, below 0 too much"]
    missed_nl: Annotated[
        int, "of stalls since the last fill, by the log: commanded, expected as given, never turned"
    ]
    ratio_ppm: Annotated[int | None, "delivered / programmed, in millionths; null where nothing was due"]
    investigate: Annotated[bool, "whether difference or ratio must be investigated"]
    dates: Annotated[DatesPart | None, "the dates after it; null where they could not be read"]
