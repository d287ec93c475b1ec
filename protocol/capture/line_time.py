"""Times for a recording: the wall clock when it began, and from there on the clock that nobody sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOVED_NS: Final = 1_000_000_000
"""From here on a difference of the two clocks is told: the wall clock was set."""


class LineTime:
    """ns since the epoch, which never go back. Both clocks are handed in: of the wall, and monotonic, each in ns."""

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._began_wall_ns = wall_ns()
        self._began_ns = monotonic_ns()
        self._told_moved_ns = 0

    @property
    def told(self) -> dict[str, str]:
        """Both clocks at the beginning, for the head of the recording."""
        return {"wall_ns": str(self._began_wall_ns), "monotonic_ns": str(self._began_ns)}

    def now_ns(self) -> int:
        """The time of the recording."""
        return self._began_wall_ns + self._monotonic_ns() - self._began_ns

    def wall_moved_ns(self) -> int | None:
        """By how much the wall clock is ahead of the recording, where that has changed; None where it has not."""
        moved_ns = self._wall_ns() - self.now_ns()
        if abs(moved_ns - self._told_moved_ns) < MOVED_NS:
            return None
        self._told_moved_ns = moved_ns
        return moved_ns
