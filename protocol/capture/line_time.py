"""Times for a recording: of a line that runs by the host's clocks, and of one whose pump has a time of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MOVED_NS: Final = 1_000_000_000
"""From here on a difference of the two clocks is told: the wall clock was set."""


_NS_PER_MS: Final = 1_000_000


class RecordingTime(Protocol):
    """Where the times of a recording come from."""

    @property
    def told(self) -> dict[str, str]:
        """What the head of the recording says of it."""
        ...

    def now_ns(self) -> int:
        """The time of the recording, which never goes back."""
        ...

    def wall_moved_ns(self) -> int | None:
        """By how much the wall clock is ahead of the recording, where that has changed; None where it has not."""
        ...


class LineTime:
    """ns since the epoch: the wall clock when it began, and from there on the clock that nobody sets.

    Both are handed in, each in ns.
    """

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._began_wall_ns = wall_ns()
        self._began_ns = monotonic_ns()
        self._told_moved_ns = 0

    @property
    def told(self) -> dict[str, str]:
        """Both clocks at the beginning, for the head of the recording."""
        return {"time": "real", "wall_ns": str(self._began_wall_ns), "monotonic_ns": str(self._began_ns)}

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


class VirtualTime:
    """ns that begin at 0, of lines whose time is in their pump: on from one pump to the next, and never back."""

    told: Final = {"time": "virtual"}

    def __init__(self, line_ms: Callable[[], int | None]) -> None:
        """`line_ms` has the time of the present line, None where there is none: then the time stands still."""
        self._line_ms = line_ms
        self._ahead_ns = 0
        self._last_ns = 0

    def now_ns(self) -> int:
        """The time of the recording."""
        line_ms = self._line_ms()
        if line_ms is not None:
            line_ns = line_ms * _NS_PER_MS
            # a new pump, or one that was set back
            self._ahead_ns = max(self._ahead_ns, self._last_ns - line_ns)
            self._last_ns = line_ns + self._ahead_ns
        return self._last_ns

    def wall_moved_ns(self) -> None:
        """There is no wall clock here."""
