"""How much bolus volume went out lately: sliding windows over one hour and one day of monotonic time [SPEC 6].

A bolus counts in full from its start, and by what it delivered from its end until a window after the end. Not
for the limits themselves (`bolus`); basal, prime and bridge are none of its business.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRIES_MAX: Final = 128
_NO_TICK: Final = 0xFFFF_FFFF_FFFF_FFFF
_HEADER: Final = struct.Struct("<QII")
_ENTRY: Final = struct.Struct("<QI")
PACKED_BYTES_MAX: Final = _HEADER.size + ENTRIES_MAX * _ENTRY.size


class Ended(NamedTuple):
    """A bolus that is over."""

    end_ms: int
    delivered_nl: int


@dataclass(slots=True)
class BolusWindow:
    """Ended boluses in the order of their ends, and the announced volume of those in work."""

    running_nl: int = 0
    last_end_ms: int | None = None
    ended: list[Ended] = field(default_factory=list)

    def used_nl(self, tick_ms: int, window_ms: int) -> int:
        """Volume that counts at `tick_ms` in a window of that length."""
        since_ms = tick_ms - window_ms
        used_nl = self.running_nl
        for bolus in reversed(self.ended):
            if bolus.end_ms <= since_ms:
                break
            used_nl += bolus.delivered_nl
        return used_nl

    def hour_used_nl(self, tick_ms: int) -> int:
        """Volume that counts in the last 3,600 s."""
        return self.used_nl(tick_ms, MS_PER_HOUR)

    def day_used_nl(self, tick_ms: int) -> int:
        """Volume that counts in the last 86,400 s."""
        return self.used_nl(tick_ms, MS_PER_DAY)

    def fits_at_ms(
        self, from_ms: int, volume_nl: int, window_ms: int, limit_nl: int, running: Sequence[Ended]
    ) -> int | None:
        """The first tick from `from_ms` on at which a volume fits under a limit, if nothing else is given.

        `running` says when what is in work will end. None where it never fits.
        """
        if volume_nl > limit_nl:
            return None
        counted = sorted(bolus for bolus in (*self.ended, *running) if bolus.end_ms > from_ms - window_ms)
        used_nl, at_ms = sum(bolus.delivered_nl for bolus in counted), from_ms
        for bolus in counted:
            if used_nl + volume_nl <= limit_nl:
                break
            used_nl -= bolus.delivered_nl
            at_ms = bolus.end_ms + window_ms
        return at_ms

    def start(self, volume_nl: int) -> None:
        """Count the announced volume of a bolus that has started."""
        self.running_nl += volume_nl

    def end(self, tick_ms: int, volume_nl: int, delivered_nl: int) -> None:
        """Count a bolus of `volume_nl` that has ended by what it delivered; the caller adds what is uncertain.

        Where there are more than `ENTRIES_MAX` in a day, two neighbours are joined, which may count some for longer,
        never less.
        """
        if volume_nl > self.running_nl:
            raise ValueError(f"{volume_nl} nL ended, {self.running_nl} nL were running")
        self.running_nl -= volume_nl
        self.ended = [bolus for bolus in self.ended if bolus.end_ms > tick_ms - MS_PER_DAY]
        if not delivered_nl:
            return
        self.last_end_ms = tick_ms
        self.ended.append(Ended(tick_ms, delivered_nl))
        if len(self.ended) > ENTRIES_MAX:
            self._join(tick_ms - MS_PER_HOUR)

    def _join(self, hour_ms: int) -> None:
        """Join the two neighbours that span the least time, of those that ended at or before a tick if any did.

        The span begins where the one before them ended; so no entry grows for ever, and the oldest leaves in time.
        """
        ends_ms = [bolus.end_ms for bolus in self.ended]
        places = range(1, len(ends_ms) - 1)
        behind = [place for place in places if ends_ms[place + 1] <= hour_ms]
        place = min(behind or places, key=lambda place: ends_ms[place + 1] - ends_ms[place - 1])
        earlier, later = self.ended[place : place + 2]
        self.ended[place : place + 2] = [Ended(later.end_ms, earlier.delivered_nl + later.delivered_nl)]

    def pack(self) -> bytes:
        """At most `PACKED_BYTES_MAX`: a header, and what has ended."""
        last_end_ms = _NO_TICK if self.last_end_ms is None else self.last_end_ms
        header = _HEADER.pack(last_end_ms, self.running_nl, len(self.ended))
        return header + b"".join(_ENTRY.pack(*bolus) for bolus in self.ended)

    @classmethod
    def unpack(cls, data: bytes) -> BolusWindow:
        """The windows as they were packed; ValueError for bytes that this program never wrote."""
        if len(data) < _HEADER.size:
            raise ValueError(f"bolus windows of {len(data)} bytes")
        last_end_ms, running_nl, count = _HEADER.unpack_from(data)
        if len(data) != _HEADER.size + count * _ENTRY.size:
            raise ValueError(f"bolus windows of {len(data)} bytes for {count} boluses")
        ended = [Ended(*entry) for entry in _ENTRY.iter_unpack(data[_HEADER.size :])]
        return cls(running_nl, None if last_end_ms == _NO_TICK else last_end_ms, ended)
