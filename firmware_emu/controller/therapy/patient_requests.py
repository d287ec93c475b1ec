"""What the pump remembers of its patient's requests for a bolus: lockout, grants in the window, and counts [SPEC 6].

Ticks of monotonic time throughout: no clock that is set moves any of it. Whether a request is granted says
`patient_bolus`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from firmware_emu.units import MS_PER_DAY, MS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.messages.program import PatientBlock

GRANTS_MAX: Final = 255  # as many as `max_count` of a program can ask for
DENIALS_LOGGED_PER_DAY: Final = 12  # so that a flood of requests cannot push out the history of the therapy
_U16_MAX: Final = 0xFFFF
_NO_TICK: Final = 0xFFFF_FFFF_FFFF_FFFF
_HEADER: Final = struct.Struct("<QHHBB")
_TICK: Final = struct.Struct("<Q")
PACKED_BYTES_MAX: Final = _HEADER.size + (GRANTS_MAX + DENIALS_LOGGED_PER_DAY) * _TICK.size


@dataclass(slots=True)
class PatientRequests:
    """`locked_from_ms`: the last grant, program or refill; None before the first. Counts end at 65,535."""

    locked_from_ms: int | None = None
    grants_ms: list[int] = field(default_factory=list)
    denials_logged_ms: list[int] = field(default_factory=list)
    granted: int = 0
    denied: int = 0

    @property
    def ticks_ms(self) -> tuple[int, ...]:
        """Every moment that is remembered, in no order; none of them is to come."""
        since = () if self.locked_from_ms is None else (self.locked_from_ms,)
        return (*since, *self.grants_ms, *self.denials_logged_ms)

    def lock(self, tick_ms: int) -> None:
        """Begin the lockout anew."""
        self.locked_from_ms = tick_ms

    def unlocked_ms(self, block: PatientBlock) -> int:
        """The tick at which the lockout is over."""
        since_ms = self.locked_from_ms
        return 0 if since_ms is None else since_ms + block.lockout_s * MS_PER_S

    def counted_out_ms(self, block: PatientBlock) -> int:
        """The tick from which the count in the window lets one more through."""
        if len(self.grants_ms) < block.max_count:
            return 0
        return self.grants_ms[-block.max_count] + block.window_s * MS_PER_S

    def allotted_ms(self, block: PatientBlock, from_ms: int) -> Iterator[int]:
        """When boluses start whose patient asks from a tick on as soon as lockout and count allow, without end."""
        window_ms, lockout_ms = block.window_s * MS_PER_S, block.lockout_s * MS_PER_S
        at_ms = max(from_ms, self.unlocked_ms(block), self.counted_out_ms(block))
        starts_ms = self.grants_ms[-block.max_count :]
        while True:
            yield at_ms
            starts_ms = [*starts_ms, at_ms][-block.max_count :]
            at_ms += lockout_ms
            if len(starts_ms) == block.max_count:
                at_ms = max(at_ms, starts_ms[0] + window_ms)

    def grant(self, tick_ms: int, block: PatientBlock) -> None:
        """Count a grant, and begin the lockout; grants that no window of this program, nor a day, sees are dropped."""
        seen_ms = tick_ms - max(block.window_s * MS_PER_S, MS_PER_DAY)
        self.grants_ms = [at_ms for at_ms in self.grants_ms if at_ms > seen_ms][-GRANTS_MAX + 1 :]
        self.grants_ms.append(tick_ms)
        self.granted = min(self.granted + 1, _U16_MAX)
        self.lock(tick_ms)

    def deny(self, tick_ms: int) -> bool:
        """Count a denial; returns whether it may be logged, which only so many of a day are."""
        self.denied = min(self.denied + 1, _U16_MAX)
        self.denials_logged_ms = [at_ms for at_ms in self.denials_logged_ms if at_ms > tick_ms - MS_PER_DAY]
        if len(self.denials_logged_ms) >= DENIALS_LOGGED_PER_DAY:
            return False
        self.denials_logged_ms.append(tick_ms)
        return True

    def count_anew(self) -> bool:
        """Count from 0, because a clinician's session is over; returns whether that changes anything."""
        changed = bool(self.granted or self.denied)
        self.granted = self.denied = 0
        return changed

    def pack(self) -> bytes:
        """At most `PACKED_BYTES_MAX`: a header, the grants, and the denials that were logged."""
        since_ms = _NO_TICK if self.locked_from_ms is None else self.locked_from_ms
        ticks = (*self.grants_ms, *self.denials_logged_ms)
        counts = len(self.grants_ms), len(self.denials_logged_ms)
        return _HEADER.pack(since_ms, self.granted, self.denied, *counts) + b"".join(map(_TICK.pack, ticks))

    @classmethod
    def unpack(cls, data: bytes) -> PatientRequests:
        """The record as it was packed; ValueError for bytes that this program never wrote."""
        if len(data) < _HEADER.size:
            raise ValueError(f"a record of patient requests of {len(data)} bytes")
        since_ms, granted, denied, n_grants, n_denials = _HEADER.unpack_from(data)
        if len(data) != _HEADER.size + (n_grants + n_denials) * _TICK.size:
            raise ValueError(f"{len(data)} bytes for {n_grants} grants and {n_denials} denials")
        ticks = [tick_ms for (tick_ms,) in _TICK.iter_unpack(data[_HEADER.size :])]
        locked_from_ms = None if since_ms == _NO_TICK else since_ms
        return cls(locked_from_ms, ticks[:n_grants], ticks[n_grants:], granted, denied)
