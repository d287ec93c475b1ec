"""Tubing and catheter: their volumes, priming, bridges, and when a new fluid comes out of the tip.

All fluid lies on one line that pumping moves past the tip. With a dispersion of 0 that is plug flow: the border
between two fluids passes the tip in one instant. A dispersion of d mixes what lies within d x path volume on either
side of each point, evenly: the border becomes a zone of 2 x d path volumes over which the concentration changes in a
straight line, so that drug comes before the border and is still thin behind it [DOMAIN 4.3, RH-02]. It is a model,
chosen because it conserves mass and is rational: the zone has its full width from the first (in truth it grows on the
way), and nothing diffuses while nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.procedures.doses import (
    NL_PER_ML,
    delivery_time_ms,
    dose_for_rate_ng_per_day,
    drug_ng,
    nearest,
    rate_for_dose_nl_per_day,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MM_PER_CM: Final = 10
TUBING_NL: Final = 140_000  # pump tubing used for priming, as corrected in 2016 [DOMAIN 1.4, S6]
TUBING_BEFORE_2016_NL: Final = 199_000  # as the programmer showed it before [DOMAIN 1.4, S6]
CATHETER_NL_PER_CM: Final = 2_200  # 0.53 mm bore [DOMAIN 1.4]
RESIDUAL_NL: Final = 1_400_000  # what no syringe gets out of the reservoir, at most [DOMAIN 0.3, C2]


def catheter_volume_nl(
    total_length_mm: int, trimmed_length_mm: int = 0, volume_nl_per_cm: int = CATHETER_NL_PER_CM
) -> int:
    """Volume of the implanted length, to the nearest nL, halves up [DOMAIN 4.2]."""
    return nearest(Fraction((total_length_mm - trimmed_length_mm) * volume_nl_per_cm, MM_PER_CM))


def mixed_concentration_ng_per_ml(
    fill_nl: int, fill_ng_per_ml: int, residual_nl: int, residual_ng_per_ml: int
) -> Fraction:
    """Concentration after a fill onto a residual without a rinse, exactly [DOMAIN 4.4]."""
    return Fraction(fill_nl * fill_ng_per_ml + residual_nl * residual_ng_per_ml, fill_nl + residual_nl)


@dataclass(frozen=True, slots=True)
class FluidPath:
    """Everything between reservoir and catheter tip."""

    catheter_nl: int
    tubing_nl: int = TUBING_NL

    @property
    def volume_nl(self) -> int:
        """Tubing and catheter together."""
        return self.tubing_nl + self.catheter_nl

    @property
    def excess_before_2016_nl(self) -> int:
        """By how much a prime is too large where the tubing is told as more than the 0.140 mL of today [RH-01]."""
        return max(0, self.tubing_nl - TUBING_NL)


class PrimeKind(StrEnum):
    """Why a path is primed, which decides what of it [DOMAIN 4.3]."""

    NEW = "new"
    """A new pump on a new catheter: both hold water."""
    PURGED = "purged"
    """A new pump that was purged before it was implanted: its tubing holds drug already."""
    REPLACEMENT = "replacement"
    """A new pump on the old catheter, which holds drug of the old concentration."""
    REVISION = "revision"
    """A new catheter, or one that was aspirated through its port, on a pump that was running."""


class _Primed(NamedTuple):
    """What of a path is primed, and what it holds before: the new drug, water, or the old drug."""

    tubing: bool
    catheter: bool
    tubing_holds_drug: bool
    catheter_holds_old_drug: bool


PRIMED: Final = {
    PrimeKind.NEW: _Primed(
        tubing=True, catheter=True, tubing_holds_drug=False, catheter_holds_old_drug=False
    ),
    PrimeKind.PURGED: _Primed(
        tubing=False, catheter=True, tubing_holds_drug=True, catheter_holds_old_drug=False
    ),
    PrimeKind.REPLACEMENT: _Primed(
        tubing=True, catheter=False, tubing_holds_drug=False, catheter_holds_old_drug=True
    ),
    PrimeKind.REVISION: _Primed(
        tubing=False, catheter=True, tubing_holds_drug=True, catheter_holds_old_drug=False
    ),
}


class Stretch(NamedTuple):
    """Fluid of one concentration in a part of the path."""

    volume_nl: int
    ng_per_ml: int


@dataclass(frozen=True, slots=True)
class FluidColumn:
    """What is in a path, from the tip backwards, and what follows it out of the reservoir without end.

    `dispersion` is 0 for plug flow, else the half width of the mixing zone as a part of the path volume; ValueError
    where a zone would reach beyond the tip before anything has moved.
    """

    stretches: tuple[Stretch, ...]
    reservoir_ng_per_ml: int
    dispersion: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if not 0 <= self.mixing_nl <= self.stretches[0].volume_nl:
            raise ValueError(
                f"a dispersion of {self.dispersion} mixes {self.mixing_nl} nL, "
                f"more than the {self.stretches[0].volume_nl} nL before the tip"
            )

    @property
    def path_nl(self) -> int:
        """The whole path."""
        return sum(stretch.volume_nl for stretch in self.stretches)

    @property
    def mixing_nl(self) -> Fraction:
        """How far fluid mixes to either side."""
        return self.dispersion * self.path_nl

    def tip_drug_ng(self, pumped_nl: int | Fraction) -> Fraction:
        """Drug that has left the tip when so much was pumped, exactly."""
        reach = self.mixing_nl
        if not reach:
            return self._before(Fraction(pumped_nl))
        window = self._before_summed(pumped_nl + reach) - self._before_summed(pumped_nl - reach)
        return window / (2 * reach)

    def tip_ng_per_ml(self, pumped_nl: int | Fraction) -> Fraction:
        """Concentration of what comes out next when so much was pumped, exactly."""
        reach = self.mixing_nl
        if not reach:
            at = next(row for row in self._rows() if row[1] is None or pumped_nl < row[1])
            return Fraction(at[2])
        return NL_PER_ML * (self._before(pumped_nl + reach) - self._before(pumped_nl - reach)) / (2 * reach)

    def _rows(self) -> Iterator[tuple[int, int | None, int]]:
        """Start, end and concentration of each fluid on the line; the last has no end."""
        start = 0
        for stretch in self.stretches:
            yield start, start + stretch.volume_nl, stretch.ng_per_ml
            start += stretch.volume_nl
        yield start, None, self.reservoir_ng_per_ml

    def _before(self, position_nl: Fraction) -> Fraction:
        """Drug on the line between the tip's first position and this one; ahead of it the first fluid goes on."""
        if position_nl < 0:
            return position_nl * self.stretches[0].ng_per_ml / NL_PER_ML
        total = Fraction(0)
        for start, end, ng_per_ml in self._rows():
            last = position_nl if end is None else min(position_nl, Fraction(end))
            if last > start:
                total += (last - start) * ng_per_ml / NL_PER_ML
        return total

    def _before_summed(self, position_nl: Fraction) -> Fraction:
        """The integral of `_before` from the tip's first position."""
        if position_nl < 0:
            return position_nl * self._before(position_nl) / 2
        total = Fraction(0)
        for start, end, _ in self._rows():
            last = position_nl if end is None else min(position_nl, Fraction(end))
            if last > start:
                total += (last - start) * (self._before(Fraction(start)) + self._before(last)) / 2
        return total


@dataclass(frozen=True, slots=True)
class Prime:
    """A prime, and what leaves the tip by it."""

    kind: PrimeKind
    volume_nl: int
    duration_ms: int
    column: FluidColumn
    """The path before it."""

    @property
    def tip_drug_ng(self) -> Fraction:
        """Drug that has left the tip when it ends: of a new path, by plug flow, none."""
        return self.column.tip_drug_ng(self.volume_nl)

    @property
    def following_drug_ng(self) -> Fraction:
        """Drug that leaves the tip with the path volume that follows."""
        end_nl = self.volume_nl + self.column.path_nl
        return self.column.tip_drug_ng(end_nl) - self.tip_drug_ng

    @property
    def following_nominal_ng(self) -> Fraction:
        """What one path volume of the new drug holds."""
        return drug_ng(self.column.path_nl, self.column.reservoir_ng_per_ml)


def prime_for(
    kind: PrimeKind,
    path: FluidPath,
    rate_nl_per_day: int,
    concentration_ng_per_ml: int = 0,
    old_ng_per_ml: int = 0,
    dispersion: Fraction = Fraction(0),
) -> Prime:
    """A prime of a path at a rate, the duration rounded up to a whole ms; ValueError as `FluidColumn` raises it.

    `old_ng_per_ml` is what the catheter holds at a replacement; a concentration of 0 is water.
    """
    primed = PRIMED[kind]
    volume_nl = path.tubing_nl * primed.tubing + path.catheter_nl * primed.catheter
    column = FluidColumn(
        (
            Stretch(path.catheter_nl, old_ng_per_ml if primed.catheter_holds_old_drug else 0),
            Stretch(path.tubing_nl, concentration_ng_per_ml if primed.tubing_holds_drug else 0),
        ),
        concentration_ng_per_ml,
        dispersion,
    )
    return Prime(kind, volume_nl, delivery_time_ms(volume_nl, rate_nl_per_day), column)


@dataclass(frozen=True, slots=True)
class Bridge:
    """The old drug in the path, given at a rate of its own before the new rate begins [DOMAIN 4.4]."""

    path: FluidPath
    old_ng_per_ml: int
    new_ng_per_ml: int
    rate_nl_per_day: int
    rate_after_nl_per_day: int
    dispersion: Fraction

    @property
    def volume_nl(self) -> int:
        """All that lies between reservoir and tip."""
        return self.path.volume_nl

    @property
    def duration_ms(self) -> int:
        """Rounded up to a whole ms."""
        return delivery_time_ms(self.volume_nl, self.rate_nl_per_day)

    @property
    def drug_ng(self) -> Fraction:
        """The old drug in it."""
        return drug_ng(self.volume_nl, self.old_ng_per_ml)

    @property
    def in_catheter_ms(self) -> int:
        """When the border between old and new drug passes from tubing to catheter, rounded up to a whole ms."""
        return delivery_time_ms(self.path.tubing_nl, self.rate_nl_per_day)

    @property
    def column(self) -> FluidColumn:
        """The path before it."""
        return FluidColumn(
            (Stretch(self.volume_nl, self.old_ng_per_ml),), self.new_ng_per_ml, self.dispersion
        )

    @property
    def tip_drug_ng(self) -> Fraction:
        """Drug that really leaves the tip during it; by plug flow just the old drug."""
        return self.column.tip_drug_ng(self.volume_nl)

    @property
    def last_dose_ng_per_day(self) -> Fraction:
        """The dose at its very end; mixed, it may be far from the one that is wanted."""
        if not self.dispersion:
            return dose_for_rate_ng_per_day(self.rate_nl_per_day, self.old_ng_per_ml)
        return self.column.tip_ng_per_ml(self.volume_nl) * self.rate_nl_per_day / NL_PER_ML

    @property
    def first_new_ms(self) -> int:
        """When the first new drug leaves the tip, rounded up to a whole ms."""
        return _time_ms(self.volume_nl - self.column.mixing_nl, self.rate_nl_per_day)

    @property
    def last_old_ms(self) -> int:
        """When the last old drug has left the tip, rounded up to a whole ms."""
        return self.duration_ms + _time_ms(self.column.mixing_nl, self.rate_after_nl_per_day)

    @property
    def dose_without_ng_per_day(self) -> Fraction:
        """What the patient gets instead where the bridge is forgotten."""
        return dose_for_rate_ng_per_day(self.rate_after_nl_per_day, self.old_ng_per_ml)

    @property
    def without_ms(self) -> int:
        """How long he gets that, rounded up to a whole ms."""
        return delivery_time_ms(self.volume_nl, self.rate_after_nl_per_day)


def _time_ms(volume_nl: Fraction, rate_nl_per_day: int) -> int:
    return -(-delivery_time_ms(volume_nl.numerator, rate_nl_per_day) // volume_nl.denominator)


def bridge_for(
    path: FluidPath,
    *,
    old_ng_per_ml: int,
    new_ng_per_ml: int,
    bridge_dose_ng_per_day: int,
    new_dose_ng_per_day: int,
    dispersion: Fraction = Fraction(0),
) -> Bridge:
    """Bridge for a change of concentration, rates to the nearest nL/day; none of them may be 0."""
    return Bridge(
        path,
        old_ng_per_ml,
        new_ng_per_ml,
        rate_for_dose_nl_per_day(bridge_dose_ng_per_day, old_ng_per_ml),
        rate_for_dose_nl_per_day(new_dose_ng_per_day, new_ng_per_ml),
        dispersion,
    )
