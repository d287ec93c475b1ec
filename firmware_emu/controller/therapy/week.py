"""The rates of a program over the local week: at a moment, until the next change, and summed up [SPEC 6, Meaning].

A moment is ms since Monday 00:00 by the clock on the patient's wall, of which `wall_clock` knows; sums are in nL x
ms/day, as those of the accumulator. Not for what is turned (`delivery`), nor for when a change is due (`timers`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from firmware_emu.units import DAYS_PER_WEEK, MS_PER_DAY, MS_PER_MINUTE, MS_PER_WEEK, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from firmware_emu.controller.therapy.delivery import Basal
    from protocol.messages.program import Group, Segment


@dataclass(frozen=True, slots=True)
class Week:
    """The first row starts at 0, each further one where the rate changes; `grown_before` is the sum until then."""

    starts_ms: tuple[int, ...]
    rates_nl_per_day: tuple[int, ...]
    grown_before: tuple[int, ...]
    total: int

    @classmethod
    def of(cls, days: Iterable[tuple[Group, Sequence[Segment]]]) -> Week:
        """The week of groups of days, each with the segments of its day."""
        of_day = {
            day: rows for group, rows in days for day in range(DAYS_PER_WEEK) if group.day_mask >> day & 1
        }
        starts_ms, rates = [0], [0]
        for day in range(DAYS_PER_WEEK):
            for segment in of_day.get(day, ()):
                start_ms = day * MS_PER_DAY + segment.start_min * MS_PER_MINUTE
                if start_ms == 0:
                    rates[0] = segment.rate_nl_per_day
                elif segment.rate_nl_per_day != rates[-1]:
                    starts_ms.append(start_ms)
                    rates.append(segment.rate_nl_per_day)
        ends_ms = [*starts_ms[1:], MS_PER_WEEK]
        grown = [rate * (end - start) for start, end, rate in zip(starts_ms, ends_ms, rates, strict=True)]
        *grown_before, total = accumulate(grown, initial=0)
        return cls(tuple(starts_ms), tuple(rates), tuple(grown_before), total)

    def _row(self, week_ms: int) -> int:
        return bisect_right(self.starts_ms, week_ms) - 1

    def rate_at(self, week_ms: int) -> int:
        """The rate at a moment of the week, in nL/day."""
        return self.rates_nl_per_day[self._row(week_ms)]

    def until_change_ms(self, week_ms: int) -> int | None:
        """How long the rate stays what it is at this moment; None where it never changes."""
        starts_ms, rates = self.starts_ms, self.rates_nl_per_day
        row = self._row(week_ms)
        if row + 1 < len(starts_ms):
            return starts_ms[row + 1] - week_ms
        if rates[0] != rates[-1]:
            return MS_PER_WEEK - week_ms
        return MS_PER_WEEK + starts_ms[1] - week_ms if len(starts_ms) > 1 else None

    def highest_rate(self, week_ms: int, duration_ms: int) -> int:
        """The highest rate from a moment on, for so long."""
        if duration_ms >= MS_PER_WEEK:
            return max(self.rates_nl_per_day)
        last_ms = week_ms + max(duration_ms - 1, 0)
        first, last = self._row(week_ms), self._row(last_ms % MS_PER_WEEK)
        if last_ms < MS_PER_WEEK:
            return max(self.rates_nl_per_day[first : last + 1])
        return max(self.rates_nl_per_day[first:] + self.rates_nl_per_day[: last + 1])

    def grown_until(self, since_monday_ms: int) -> int:
        """The sum of rate x time since Monday 00:00; the moment may lie in a later week."""
        weeks, week_ms = divmod(since_monday_ms, MS_PER_WEEK)
        row = self._row(week_ms)
        in_row = self.rates_nl_per_day[row] * (week_ms - self.starts_ms[row])
        return weeks * self.total + self.grown_before[row] + in_row

    def reached_ms(self, grown: int) -> int:
        """The first ms since Monday 00:00 at which the sum is `grown`, at least 1; no rate may be 0."""
        weeks, rest = divmod(grown - 1, self.total)
        row = bisect_left(self.grown_before, rest + 1) - 1  # the last row before which it was less
        in_row_ms = ceil_div(rest + 1 - self.grown_before[row], self.rates_nl_per_day[row])
        return weeks * MS_PER_WEEK + self.starts_ms[row] + in_row_ms


@dataclass(frozen=True, slots=True)
class ScheduledBasal:
    """The strokes to come of an accumulator whose rate follows a week; it turns none of them.

    `week_ms` is the moment of the week at the accumulator's `reached_ms`.
    """

    basal: Basal
    week: Week
    week_ms: int

    @property
    def reached_ms(self) -> int:
        """The tick until which the accumulator was advanced."""
        return self.basal.reached_ms

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""
        now = self.week.grown_until(self.week_ms)
        then = self.week.grown_until(self.week_ms + tick_ms - self.reached_ms)
        return (self.basal.owed + then - now) // self.basal.stroke

    def stroke_ms(self, n: int) -> int:
        """Time of the n-th next stroke, from 1."""
        missing = n * self.basal.stroke - self.basal.owed
        at_ms = self.week.reached_ms(self.week.grown_until(self.week_ms) + missing)
        return self.reached_ms + at_ms - self.week_ms
