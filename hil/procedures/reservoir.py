"""The reservoir: when it will be low and empty under a whole program, and what a refill says of the time before it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.procedures.doses import MS_PER_DAY
from protocol.codec.atoms import Malformed
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.log.entry import LogEntry

MS_PER_WEEK: Final = 7 * MS_PER_DAY
LOWEST_RATIO: Final = Fraction(855, 1000)  # labelled accuracy, 14.5 % either way [DOMAIN 1.3, S8]
HIGHEST_RATIO: Final = Fraction(1145, 1000)
DELTA_LIMIT_NL: Final = 2_000_000  # 2 mL either way: investigate [DOMAIN 4.7, S19]
CHANGES_MAX: Final = 400_000  # of the rate that are followed: 20 years of a bolus each hour
SOON_DAYS: Final = 7  # a refill due earlier than this is worth a warning [DOMAIN 2.3, S36]
LATE_MONTHS: Final = 6  # so is one due later than this [DOMAIN 2.3, S22]


class WeekStep(NamedTuple):
    """A basal rate from a moment of the local week on; moments are ms since Monday 00:00."""

    start_ms: int
    rate_nl_per_day: int


class BolusSeries(NamedTuple):
    """Boluses that come by themselves; `first_in_ms` is from now and negative where they have begun."""

    volume_nl: int
    duration_ms: int
    interval_ms: int
    first_in_ms: int


class BridgeLeft(NamedTuple):
    """Old drug that is still to be delivered before the program begins."""

    volume_nl: int
    rate_nl_per_day: int


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that will leave the reservoir from now on.

    `week` is the basal rate over the local week, its first step at 0 (one step: a constant rate), and `week_ms` what
    the clock on the wall says now. A bridge comes first; while it lasts neither basal rate nor boluses are given, and
    a bolus whose moment falls into it is left out [SPEC 6]. `patient_nl_per_day` is what the patient may ask for,
    spread evenly over the day [DOMAIN 4.6].
    """

    week: tuple[WeekStep, ...]
    week_ms: int = 0
    bridge: BridgeLeft | None = None
    periodic: BolusSeries | None = None
    patient_nl_per_day: Fraction = Fraction(0)

    @classmethod
    def constant(cls, rate_nl_per_day: int, bridge: BridgeLeft | None = None) -> Course:
        """One rate for ever."""
        return cls((WeekStep(0, rate_nl_per_day),), bridge=bridge)

    def flows(self) -> Iterator[tuple[Fraction, Fraction | None]]:
        """Rate in nL/day and the moment until which it holds, in ms from now; None is for ever, and the last."""
        begin = Fraction(0)
        if self.bridge is not None and self.bridge.volume_nl:
            rate_nl_per_day = self.bridge.rate_nl_per_day
            if not rate_nl_per_day:
                yield Fraction(0), None
                return
            begin = Fraction(self.bridge.volume_nl * MS_PER_DAY, rate_nl_per_day)
            yield Fraction(rate_nl_per_day), begin
        starts_ms = [step.start_ms for step in self.week]
        at: Fraction | None = begin
        while at is not None:
            rate, until = self._basal_at(at, starts_ms)
            if self.periodic is not None:
                on_top, edge = self._periodic_at(self.periodic, at, begin)
                rate, until = rate + on_top, edge if until is None else min(until, edge)
            yield rate, until
            at = until

    def _basal_at(self, at: Fraction, starts_ms: list[int]) -> tuple[Fraction, Fraction | None]:
        """The basal rate with what the patient may ask for, and when that changes; None where it never does."""
        weeks, week_ms = divmod(self.week_ms + at, MS_PER_WEEK)
        row = bisect_right(starts_ms, week_ms) - 1
        rate = self.week[row].rate_nl_per_day + self.patient_nl_per_day
        if len(self.week) == 1:
            return rate, None
        end_ms = starts_ms[row + 1] if row + 1 < len(starts_ms) else MS_PER_WEEK
        return rate, Fraction(weeks * MS_PER_WEEK + end_ms - self.week_ms)

    @staticmethod
    def _periodic_at(series: BolusSeries, at: Fraction, begin: Fraction) -> tuple[Fraction, Fraction]:
        """The rate of the bolus that is being given, or 0, and when that changes; `begin` is the bridge's end."""
        count = (at - series.first_in_ms) // series.interval_ms
        if count < 0:
            return Fraction(0), Fraction(series.first_in_ms)
        start_ms = series.first_in_ms + count * series.interval_ms
        in_bridge = begin > 0 and start_ms < begin
        if at < start_ms + series.duration_ms and not in_bridge:
            rate = Fraction(series.volume_nl * MS_PER_DAY, series.duration_ms)
            return rate, Fraction(start_ms + series.duration_ms)
        return Fraction(0), Fraction(start_ms + series.interval_ms)


def time_to_deliver_ms(volume_nl: int, course: Course) -> int | None:
    """When a volume has left the reservoir, rounded up to a whole ms; None where it never will.

    Exact: nothing is rounded before the end. Also None where the rate changes too often before.
    """
    left, at = Fraction(volume_nl * MS_PER_DAY), Fraction(0)
    if left <= 0:
        return 0
    for flow, until in islice(course.flows(), CHANGES_MAX):
        if flow and (until is None or left <= flow * (until - at)):
            return ceil(at + left / flow)
        if until is None:
            break
        left, at = left - flow * (until - at), until
    return None


class RefillDates(NamedTuple):
    """When the low-reservoir alarm and the calculated emptiness fall, in ms from now; None means never."""

    low_ms: int | None
    empty_ms: int | None


def refill_dates(content_nl: int, alarm_nl: int, course: Course) -> RefillDates:
    """Dates by volume alone. The pump acts at the stroke that reaches the threshold: at most one stroke later."""
    return RefillDates(
        low_ms=time_to_deliver_ms(content_nl - alarm_nl, course),
        empty_ms=time_to_deliver_ms(content_nl, course),
    )


def allotted_nl_per_day(volume_nl: int, lockout_s: int, window_s: int, max_count: int) -> Fraction:
    """What a patient can ask for in a day, exactly: by the count in its window, or by the lockout where that is less.

    0 without a window.
    """
    if not window_s:
        return Fraction(0)
    by_count = Fraction(max_count, window_s)
    per_s = min(by_count, Fraction(1, lockout_s)) if lockout_s else by_count
    return volume_nl * per_s * (MS_PER_DAY // 1000)


@dataclass(frozen=True, slots=True)
class RefillCheck:
    """Measured against expected at a refill [DOMAIN 4.7]. `ratio` is delivered / programmed; None if none was due."""

    expected_nl: int
    measured_nl: int
    ratio: Fraction | None

    @property
    def delta_nl(self) -> int:
        """What came out beyond what was expected: above 0 too little was delivered, below 0 too much."""
        return self.measured_nl - self.expected_nl

    @property
    def outside_accuracy(self) -> bool:
        """The ratio is outside the labelled accuracy of 14.5 %; both bounds are inside."""
        return self.ratio is not None and not LOWEST_RATIO <= self.ratio <= HIGHEST_RATIO

    @property
    def at_or_beyond_delta(self) -> bool:
        """The difference is 2 mL or more. Sources differ on which side 2 mL is; a look costs less than a miss."""
        return abs(self.delta_nl) >= DELTA_LIMIT_NL

    @property
    def investigate(self) -> bool:
        """Either criterion is met. They disagree in both directions, so neither stands for the other."""
        return self.outside_accuracy or self.at_or_beyond_delta


class Missed(NamedTuple):
    """Strokes that stalls took: commanded and not turned, so that as much more is left than the pump believes."""

    volume_nl: int
    stalls: int
    whole: bool
    """Whether the entries reach back to the last fill, none is damaged, and no stall lasts; else it may be more."""


def missed_since_fill(entries: Sequence[LogEntry]) -> Missed:
    """What the motor missed since the last refill, by the entries of the log from the oldest to the newest.

    A pump's belief counts what was commanded, also in a stall; its log tells what of that the rotor did not turn.
    """
    fills = [index for index, entry in enumerate(entries) if entry.type is LogType.REFILL]
    since = entries[fills[-1] + 1 :] if fills else entries
    begun = sum(entry.type is LogType.STALL for entry in since)
    ended = [_missed_nl(entry) for entry in since if entry.type is LogType.STALL_RECOVERED]
    known = [missed_nl for missed_nl in ended if missed_nl is not None]
    lost = len(known) < len(ended) or any(entry.type is LogType.CORRUPT_SLOT for entry in since)
    return Missed(sum(known), max(begun, len(ended)), whole=bool(fills) and not lost and begun <= len(ended))


def _missed_nl(recovered: LogEntry) -> int | None:
    try:
        return int(recovered.details().missed_nl)
    except Malformed:
        return None


def check_refill(fill_nl: int, expected_nl: int, measured_nl: int) -> RefillCheck:
    """Compare what was aspirated with what should have been left of the last fill."""
    programmed_nl = fill_nl - expected_nl
    ratio = Fraction(fill_nl - measured_nl, programmed_nl) if programmed_nl > 0 else None
    return RefillCheck(expected_nl, measured_nl, ratio)
