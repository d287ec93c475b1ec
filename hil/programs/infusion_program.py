"""An infusion program as a value: what a file says, what the wire carries, and what a pump reads back.

Rates are what counts, as in the pump; a dose is what was prescribed, and is shown beside them [SPEC 6, DOMAIN 2.1].
Volumes in nL, rates in nL/day, doses in ng, concentrations in ng/mL, times in s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import UsageError
from hil.procedures.doses import S_PER_DAY, dose_for_rate_ng_per_day, rate_for_dose_nl_per_day
from hil.programmer.staging import MINUTES_PER_DAY, DayGroup, Days, flex_program
from protocol.identifiers import InfusionMode, ProgramFlag
from protocol.messages.program import (
    GROUPS_MAX,
    BridgeBlock,
    Group,
    PatientBlock,
    PeriodicBlock,
    ProgramHeader,
    Segment,
    padded_groups,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Course(NamedTuple):
    """Days that share one course of the day: its rates, and the dose that was prescribed for it."""

    days: Days
    segments: tuple[Segment, ...]
    dose_ng_per_day: int

    @property
    def day_total_nl(self) -> int:
        """Volume of one such day, rounded down [SPEC 6]."""
        ends = [*(segment.start_min for segment in self.segments[1:]), MINUTES_PER_DAY]
        return (
            sum(
                segment.rate_nl_per_day * (end - segment.start_min)
                for segment, end in zip(self.segments, ends[: len(self.segments)], strict=True)
            )
            // MINUTES_PER_DAY
        )

    def rate_at(self, minute: int) -> int:
        """The rate at a minute of the day, in nL/day; 0 where nothing is programmed for it."""
        before = [segment.rate_nl_per_day for segment in self.segments if segment.start_min <= minute]
        return before[-1] if before else 0


@dataclass(frozen=True, slots=True)
class InfusionProgram:
    """A program. Without courses it is minimum rate, at the safe rate of whichever pump it is written to.

    A block is None where the program has none. `old_concentration_ng_per_ml` is that of the drug that a bridge
    delivers, where it is known: it decides nothing in the pump, so two programs that differ in it alone are equal.
    """

    mode: InfusionMode
    drug_id: int
    concentration_ng_per_ml: int
    courses: tuple[Course, ...] = ()
    periodic: PeriodicBlock | None = None
    patient: PatientBlock | None = None
    bridge: BridgeBlock | None = None
    old_concentration_ng_per_ml: int | None = field(default=None, compare=False)

    @classmethod
    def simple(cls, dose_ng_per_day: int, concentration_ng_per_ml: int, drug_id: int) -> InfusionProgram:
        """Simple continuous infusion of a dose, to the nearest nL/day."""
        rate_nl_per_day = rate_for_dose_nl_per_day(dose_ng_per_day, _above_0(concentration_ng_per_ml))
        course = Course(Days.EVERY_DAY, (Segment(0, rate_nl_per_day),), dose_ng_per_day)
        return cls(InfusionMode.SIMPLE, drug_id, concentration_ng_per_ml, (course,))

    @classmethod
    def minimum_rate(cls, concentration_ng_per_ml: int, drug_id: int) -> InfusionProgram:
        """The lowest flow, which keeps the path open: the pump's safe rate."""
        return cls(InfusionMode.MINIMUM_RATE, drug_id, _above_0(concentration_ng_per_ml))

    @classmethod
    def flexible(
        cls, groups: Sequence[DayGroup], concentration_ng_per_ml: int, drug_id: int
    ) -> InfusionProgram:
        """Infusion by the time of day, each step at the rate that comes nearest to its dose."""
        return cls.from_wire(*flex_program(groups, _above_0(concentration_ng_per_ml), drug_id))

    @classmethod
    def from_wire(cls, header: ProgramHeader, segments: Sequence[Segment]) -> InfusionProgram:
        """The program of a header and its segments, as GET_PROGRAM gives them."""
        courses, first = [], 0
        for group in header.groups[: header.n_groups]:
            rows = tuple(segments[first : first + group.n_segments])
            courses.append(Course(Days(group.day_mask), rows, group.dose_ng_per_day))
            first += group.n_segments
        return cls(
            header.mode,
            header.drug_id,
            header.concentration_ng_per_ml,
            tuple(courses),
            header.periodic if ProgramFlag.PERIODIC in header.flags else None,
            header.patient if ProgramFlag.PATIENT in header.flags else None,
            header.bridge if ProgramFlag.BRIDGE in header.flags else None,
        )

    def for_pump(self, safe_rate_nl_per_day: int) -> InfusionProgram:
        """The same with each rate known: minimum rate gets that of the pump."""
        if self.courses:
            return self
        dose = int(dose_for_rate_ng_per_day(safe_rate_nl_per_day, self.concentration_ng_per_ml))
        course = Course(Days.EVERY_DAY, (Segment(0, safe_rate_nl_per_day),), dose)
        return replace(self, courses=(course,))

    def on_wire(self) -> tuple[ProgramHeader, tuple[Segment, ...]]:
        """Header and segments; UsageError where they have no room for it, or minimum rate has no rate yet."""
        if not 1 <= len(self.courses) <= GROUPS_MAX:
            raise UsageError(
                f"a program has 1 to {GROUPS_MAX} groups of days, and {len(self.courses)} came",
                advice="put each day in one group",
            )
        blocks = ((self.periodic, "PERIODIC"), (self.patient, "PATIENT"), (self.bridge, "BRIDGE"))
        flags = ProgramFlag(0)
        for block, name in blocks:
            flags |= ProgramFlag(0) if block is None else ProgramFlag[name]
        header = ProgramHeader(
            self.mode,
            len(self.courses),
            sum(len(course.segments) for course in self.courses),
            flags,
            self.drug_id,
            self.concentration_ng_per_ml,
            PeriodicBlock() if self.periodic is None else self.periodic,
            PatientBlock() if self.patient is None else self.patient,
            BridgeBlock() if self.bridge is None else self.bridge,
            padded_groups(
                Group(int(course.days), len(course.segments), course.dose_ng_per_day)
                for course in self.courses
            ),
        )
        return header, tuple(segment for course in self.courses for segment in course.segments)

    @property
    def peak_rate_nl_per_day(self) -> int:
        """The highest basal rate, in nL/day; 0 without courses."""
        return max((row.rate_nl_per_day for course in self.courses for row in course.segments), default=0)

    @property
    def periodic_count_per_day(self) -> int:
        """The most periodic boluses that can start in any day."""
        return 0 if self.periodic is None else _times_in(S_PER_DAY, self.periodic.interval_s)

    @property
    def most_boluses_nl_per_day(self) -> int:
        """The most that periodic boluses and all allotted patient boluses bring into any day."""
        periodic_nl = 0 if self.periodic is None else self.periodic.volume_nl * self.periodic_count_per_day
        patient_nl = 0 if self.patient is None else self.patient.volume_nl * self.patient_count_per_day
        return periodic_nl + patient_nl

    @property
    def patient_count_per_day(self) -> int:
        """How many boluses a patient can get in a day at most, by count, window and lockout."""
        block = self.patient
        if block is None:
            return 0
        by_window = block.max_count * _times_in(S_PER_DAY, block.window_s)
        return min(by_window, _times_in(S_PER_DAY, block.lockout_s))

    def most_on_nl(self, course: Course) -> int:
        """All that one of its days can hold: basal, periodic boluses and each allotted patient bolus."""
        return course.day_total_nl + self.most_boluses_nl_per_day

    def course_on(self, day: Days) -> Course | None:
        """The course of one day of the week; None where it is in no group."""
        return next((course for course in self.courses if day in course.days), None)


def _above_0(concentration_ng_per_ml: int) -> int:
    if concentration_ng_per_ml <= 0:
        raise UsageError(
            "a dose needs a concentration above 0", advice="refill first, or name the concentration"
        )
    return concentration_ng_per_ml


def _times_in(span_s: int, period_s: int) -> int:
    """How often something fits into a span that comes again after a period, the first at its very beginning.

    Without a period it is not bounded by it, and counted as once a second.
    """
    return ceil(Fraction(span_s, max(period_s, 1)))


def single_days(days: Days) -> Iterable[Days]:
    """The days of a set, Monday first."""
    return (Days(1 << number) for number in range(7) if days >> number & 1)
