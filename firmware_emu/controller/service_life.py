"""How long the pump may serve: replacement indicated (ERI), end of service (EOS), and the date to replace it by.

Dates are counted by the calendar, once, from the day of the implant; from then on monotonic time decides, so
that nobody prolongs a pump's life by its clock [DOMAIN 1.5]. Not for alarms, nor for what EOS does to
therapy.
"""

from __future__ import annotations

import struct
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from firmware_emu.units import MS_PER_DAY, MS_PER_S, S_PER_DAY
from protocol.identifiers import BatteryPhase

MONTHS_PER_YEAR: Final = 12
PLAN_MONTHS: Final = 6  # plan the replacement so long before the pump ends [DOMAIN 1.5]
_EPOCH: Final = date(2000, 1, 1)
GAUGE_TOLERANCE_MV: Final = 200
"""So far a reading may lie from what the gauge says: more is no cell, and no film on it either."""
_NO_TIME: Final = 0xFFFF_FFFF_FFFF_FFFF
_RECORD: Final = struct.Struct("<BxhIQQQ")


def months_later(wall_s: int, months: int, tz_minutes: int = 0) -> int:
    """The same local time of day so many months later; a day that the month lacks becomes its last.

    Wall time in seconds since 2000-01-01 UTC; `months` may be negative.
    """
    days, second_of_day = divmod(wall_s + tz_minutes * 60, S_PER_DAY)
    start = _EPOCH + timedelta(days=days)
    years, month0 = divmod(start.month - 1 + months, MONTHS_PER_YEAR)
    year, month = start.year + years, month0 + 1
    end = date(year, month, min(start.day, monthrange(year, month)[1]))
    return (end - _EPOCH).days * S_PER_DAY + second_of_day - tz_minutes * 60


class Voltage(NamedTuple):
    """The cell's voltage by the converter, as far as the gauge bears it out."""

    millivolts: int
    doubted: bool
    """The converter and the gauge disagree: then the gauge counts, so that no end comes too late, and none at once."""

    @classmethod
    def of(cls, read_mv: int, percent_left: int, full_mv: int, empty_mv: int) -> Voltage:
        """What to believe of a reading, beside what the gauge says is left of a cell between these voltages."""
        gauge_mv = full_mv - (full_mv - empty_mv) * (100 - percent_left) // 100
        doubted = abs(read_mv - gauge_mv) > GAUGE_TOLERANCE_MV
        return cls(gauge_mv if doubted else read_mv, doubted)


@dataclass(slots=True)
class ServiceLife:
    """The pump's end, in ticks; without an implant date nothing is counted but the battery."""

    life_months: int
    eri_to_eos_ms: int
    implant_wall_s: int | None = None
    tz_minutes: int = 0
    hard_eos_ms: int | None = None
    eri_ms: int | None = None
    eos_ms: int | None = None

    @classmethod
    def of(cls, life_months: int, eri_to_eos_days: int) -> ServiceLife:
        """The life of a pump that nobody has implanted yet."""
        return cls(life_months, eri_to_eos_days * MS_PER_DAY)

    @property
    def phase(self) -> BatteryPhase:
        """The phase of the battery."""
        if self.eos_ms is not None:
            return BatteryPhase.EOS
        return BatteryPhase.OK if self.eri_ms is None else BatteryPhase.ERI

    def implanted(self, implant_wall_s: int, wall_s: int, tick_ms: int, tz_minutes: int = 0) -> None:
        """Fix the end by the implant date; the wall clock said `wall_s` at `tick_ms`."""
        self.implant_wall_s = implant_wall_s
        self.tz_minutes = tz_minutes
        eos_wall_s = months_later(implant_wall_s, self.life_months, tz_minutes)
        self.hard_eos_ms = max(0, tick_ms + (eos_wall_s - wall_s) * MS_PER_S)

    def next_ms(self) -> int | None:
        """Tick of the next thing that the calendar brings: ERI, then EOS, then None."""
        if self.eos_ms is not None:
            return None
        if self.eri_ms is None:
            return None if self.hard_eos_ms is None else max(0, self.hard_eos_ms - self.eri_to_eos_ms)
        return self._end_ms(self.eri_ms)

    def arrive(self, tick_ms: int) -> BatteryPhase | None:
        """Take the one step that is due at `tick_ms`; returns the phase that it led to, or None."""
        due_ms = self.next_ms()
        if due_ms is None or tick_ms < due_ms:
            return None
        return self._step(tick_ms)

    def observe_battery(self, tick_ms: int, millivolts: int, eri_mv: int, eos_mv: int) -> BatteryPhase | None:
        """Take the one step that the battery's voltage demands; call it until it returns None."""
        indicated = millivolts <= eri_mv and self.eri_ms is None
        ended = millivolts <= eos_mv and self.eos_ms is None
        return self._step(tick_ms) if indicated or ended else None

    def replace_by_ms(self) -> int | None:
        """Tick to replace the pump by: the hard end, or the countdown's if that comes first."""
        if self.eri_ms is None:
            return self.hard_eos_ms
        return self._end_ms(self.eri_ms)

    def replace_by_wall_s(self, tick_ms: int, wall_s: int) -> int | None:
        """Wall time to replace the pump by, to the second until ERI; None where nobody knows.

        The clock says `wall_s` at `tick_ms`, or 0: it does not know.
        """
        by_ms = self.replace_by_ms()
        if by_ms is None:
            return None
        if self.implant_wall_s is not None and by_ms == self.hard_eos_ms:
            return months_later(self.implant_wall_s, self.life_months, self.tz_minutes)
        return wall_s + (by_ms - tick_ms) // MS_PER_S if wall_s else None

    def plan_by_wall_s(self) -> int | None:
        """The date by which a replacement should be planned."""
        if self.implant_wall_s is None:
            return None
        return months_later(self.implant_wall_s, self.life_months - PLAN_MONTHS, self.tz_minutes)

    def _end_ms(self, eri_ms: int) -> int:
        countdown_ms = eri_ms + self.eri_to_eos_ms
        return countdown_ms if self.hard_eos_ms is None else min(countdown_ms, self.hard_eos_ms)

    def _step(self, tick_ms: int) -> BatteryPhase:
        if self.eri_ms is None:
            self.eri_ms = tick_ms
        else:
            self.eos_ms = tick_ms
        return self.phase

    def pack(self) -> bytes:
        """Its record, of fixed size."""
        return _RECORD.pack(
            self.implant_wall_s is not None,
            self.tz_minutes,
            0 if self.implant_wall_s is None else self.implant_wall_s,
            *(_NO_TIME if each is None else each for each in (self.hard_eos_ms, self.eri_ms, self.eos_ms)),
        )

    @classmethod
    def unpack(cls, data: bytes, life_months: int, eri_to_eos_days: int) -> ServiceLife:
        """The life as it was packed; ValueError for bytes that this program never wrote."""
        if len(data) != _RECORD.size:
            raise ValueError(f"service life in {len(data)} bytes, expected {_RECORD.size}")
        known, tz_minutes, implant_wall_s, *times = _RECORD.unpack(data)
        hard_eos_ms, eri_ms, eos_ms = (None if each == _NO_TIME else each for each in times)
        life = cls.of(life_months, eri_to_eos_days)
        life.implant_wall_s = implant_wall_s if known else None
        life.tz_minutes = tz_minutes
        life.hard_eos_ms, life.eri_ms, life.eos_ms = hard_eos_ms, eri_ms, eos_ms
        return life
