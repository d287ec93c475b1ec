"""A moment by which something has to be over. It reads no clock; time is handed in."""

from __future__ import annotations

from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment on a channel's clock, in ms, by which something has to be over."""

    at_ms: int

    @classmethod
    def after(cls, duration_ms: int, now_ms: int) -> Deadline:
        """`duration_ms` from `now_ms`."""
        return cls(now_ms + duration_ms)

    def passed(self, now_ms: int) -> bool:
        """True from the moment on."""
        return now_ms >= self.at_ms

    def left_ms(self, now_ms: int) -> int:
        """What is left, never below 0."""
        return max(0, self.at_ms - now_ms)

    def sooner(self, other_ms: int | None) -> int:
        """The earlier of this and another moment, which may be absent (never)."""
        return self.at_ms if other_ms is None else min(self.at_ms, other_ms)
