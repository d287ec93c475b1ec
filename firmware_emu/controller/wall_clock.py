"""The wall clock: an annotation of the monotonic ticks by which the pump doses. Only a flexible program follows it.

It is an offset and a time zone [SPEC 12]. After a reset the offset stays and the estimate goes on, but is no
longer valid: ticks do not count the time without power.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_S, MS_PER_WEEK
from protocol.identifiers import ErrorCode

TZ_MIN_MINUTES: Final = -720
TZ_MAX_MINUTES: Final = 840
UNCONFIRMED_DELTA_S: Final = 120  # a larger change wants a confirmation [SPEC 6, TIME_SET]
DELTA_OF_INVALID_CLOCK_S: Final = -(1 << 31)  # 80000000h: there was no time to compare with
_DELTA_MAX_S: Final = (1 << 31) - 1
_WALL_MAX_S: Final = (1 << 32) - 1  # in 2136; the clock stops there rather than begin anew
_WEEKDAY_OF_DAY_0: Final = 5  # 2000-01-01 was a Saturday; Monday is 0
_RECORD: Final = Struct("<qhBxQ")
_SET, _VALID, _MOVED = 1, 2, 4


@dataclass(slots=True)
class WallClock:
    """Wall time is tick + `offset_ms`, from 2000-01-01 UTC; never set, it stands at 0 and is not valid."""

    offset_ms: int | None = None
    tz_minutes: int = 0
    valid: bool = False
    moved_at_tick_ms: int | None = None  # when a TIME_SET last changed the local time of a valid clock

    def wall_s(self, tick_ms: int) -> int:
        """Seconds since 2000-01-01 UTC; an estimate if not `valid`, 0 if never set."""
        if self.offset_ms is None:
            return 0
        return max(0, min((tick_ms + self.offset_ms) // MS_PER_S, _WALL_MAX_S))

    def known_wall_s(self, tick_ms: int) -> int:
        """`wall_s` where the clock is valid, else 0: a date that is kept must not come from an estimate."""
        return self.wall_s(tick_ms) if self.valid else 0

    def local_s(self, tick_ms: int) -> int:
        """Seconds since midnight of 2000-01-01, by the clock on the patient's wall."""
        return self.wall_s(tick_ms) + 60 * self.tz_minutes

    def week_ms(self, tick_ms: int) -> int:
        """Ms since Monday 00:00 of the local week, by which a flexible program is read [SPEC 6].

        It goes on where `wall_s` stops, so that a clock set to the edge of time holds no rate for ever.
        """
        offset_ms = 0 if self.offset_ms is None else self.offset_ms
        local_ms = tick_ms + offset_ms + MS_PER_MINUTE * self.tz_minutes
        return (local_ms + _WEEKDAY_OF_DAY_0 * MS_PER_DAY) % MS_PER_WEEK

    def until_midnight_ms(self, tick_ms: int) -> int:
        """How long until the next local midnight, always more than 0."""
        return MS_PER_DAY - self.week_ms(tick_ms) % MS_PER_DAY

    def delta_s(self, tick_ms: int, wall_s: int, tz_minutes: int) -> int:
        """By how much local time would move: new - old, saturated; 80000000h from an invalid clock."""
        if not self.valid:
            return DELTA_OF_INVALID_CLOCK_S
        delta = wall_s + 60 * tz_minutes - self.local_s(tick_ms)
        return max(-_DELTA_MAX_S, min(delta, _DELTA_MAX_S))

    def refusal_of(self, tick_ms: int, wall_s: int, tz_minutes: int, *, confirm: bool) -> ErrorCode | None:
        """Why this TIME_SET must be refused; None if it may be done."""
        if not TZ_MIN_MINUTES <= tz_minutes <= TZ_MAX_MINUTES or not 0 <= wall_s <= _WALL_MAX_S:
            return ErrorCode.TIME_RANGE
        if not confirm and abs(self.delta_s(tick_ms, wall_s, tz_minutes)) > UNCONFIRMED_DELTA_S:
            return ErrorCode.CONFIRM
        return None

    def set(self, tick_ms: int, wall_s: int, tz_minutes: int) -> int:
        """Set it; returns `delta_s` as it was before. The caller has asked `refusal_of`."""
        delta_s = self.delta_s(tick_ms, wall_s, tz_minutes)
        if self.valid and delta_s != 0:
            self.moved_at_tick_ms = tick_ms
        self.offset_ms = wall_s * MS_PER_S - tick_ms
        self.tz_minutes = tz_minutes
        self.valid = True
        return delta_s

    def lose_power(self) -> bool:
        """Mark the clock as not valid, after a boot; returns whether it was valid until now."""
        was_valid, self.valid = self.valid, False
        return was_valid

    def pack(self) -> bytes:
        """Bytes for Region.WALL_CLOCK."""
        flags = (
            (_SET if self.offset_ms is not None else 0)
            | (_VALID if self.valid else 0)
            | (_MOVED if self.moved_at_tick_ms is not None else 0)
        )
        offset_ms = 0 if self.offset_ms is None else self.offset_ms
        moved_at_tick_ms = 0 if self.moved_at_tick_ms is None else self.moved_at_tick_ms
        return _RECORD.pack(offset_ms, self.tz_minutes, flags, moved_at_tick_ms)

    @classmethod
    def unpack(cls, data: bytes) -> WallClock:
        """The clock as packed; b"" is one that was never set. ValueError where the length is wrong."""
        if not data:
            return cls()
        if len(data) != _RECORD.size:
            raise ValueError(f"wall clock record has {len(data)} bytes, expected {_RECORD.size}")
        offset_ms, tz_minutes, flags, moved_at = _RECORD.unpack(data)
        return cls(
            offset_ms if flags & _SET else None,
            tz_minutes,
            bool(flags & _VALID),
            moved_at if flags & _MOVED else None,
        )
