"""When a request of a recording is sent again: at its own time, counted from the first frame or by the pump's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hil.replay.timing import ASKED

if TYPE_CHECKING:
    from hil.programmer.client_session import ClientSession
    from hil.replay.timing import Timing
    from hil.rig import Rig

NS_PER_MS = 1_000_000


class Moment(Protocol):
    """Something of a recording that has a time."""

    @property
    def since_ns(self) -> int | None:
        """Since the first packet; None where the file has no times."""
        ...

    @property
    def pump_ms(self) -> int | None:
        """The pump's own time; None where it was not known."""
        ...


class Pace(Protocol):
    """Lets time pass between two requests."""

    def wait_for(self, session: ClientSession, moment: Moment) -> None:
        """Return when it is time for this; what arrives meanwhile is heard and answers nothing."""
        ...


class LinePace:
    """The time of the line, counted from the first frame, so that no delay adds to another."""

    def __init__(self, timing: Timing, first_ns: int | None) -> None:
        """`first_ns` is the time of the first frame in the recording; that of the line is when it is asked for."""
        self._timing = timing
        self._first_ns = first_ns
        self._began_ms: int | None = None

    def wait_for(self, session: ClientSession, moment: Moment) -> None:
        """Wait on the line."""
        if moment.since_ns is None or self._first_ns is None:
            return
        since_first_ms = self._timing.scaled_ns(moment.since_ns - self._first_ns) // NS_PER_MS
        if (
            self._began_ms is None
        ):  # now, and not when the player was made, which is some way from its first frame
            self._began_ms = session.now_ms() - since_first_ms
        at_ms = self._began_ms + since_first_ms
        wait_ms = at_ms - session.now_ms()
        if wait_ms > 0:
            session.wait(wait_ms)


class PumpPace:
    """The time of a pump whose clock can be turned: each request comes when it came by the recorded pump's own clock.

    Where that is not in the file, the time between two requests is what it was. It costs no time of ours.
    """

    def __init__(self, timing: Timing, rig: Rig) -> None:
        self._waits = timing != ASKED
        self._rig = rig
        self._now_ms = rig.clock().now_ms
        self._last_ns: int | None = None

    def wait_for(self, session: ClientSession, moment: Moment) -> None:  # noqa: ARG002 - as of every pace
        """Turn the clock."""
        wait_ms = 0
        if moment.pump_ms is not None:
            wait_ms = moment.pump_ms - self._now_ms
        elif moment.since_ns is not None and self._last_ns is not None:
            wait_ms = (moment.since_ns - self._last_ns) // NS_PER_MS
        self._last_ns = moment.since_ns
        if self._waits and wait_ms > 0:
            self._now_ms = self._rig.advance(wait_ms)
