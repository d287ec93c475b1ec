"""What a rig around a pump can be asked to do: a protocol, with `rig_client` (HTTP) and `targets.emulated` behind it.

The rig sees truth and belief side by side; a programmer sees belief only. `Rig.faults` lists the faults that there are;
those of the emulator stand in `firmware_emu/faults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class RigState(NamedTuple):
    """Truth and belief at one moment, named as rig control names them."""

    now_ms: int
    powered: bool
    truth: Mapping[str, Any]
    belief: Mapping[str, Any] | None
    trace_hash: str | None


class RigClock(NamedTuple):
    """How the bench's time runs: mode real, scaled or manual; `speed` is pump ms per host ms, 0 under manual."""

    mode: str
    speed: int
    now_ms: int


class RigEvent(NamedTuple):
    """One thing that the pump did by itself: ask for `kind` and `fields`; `text` is for people, and may change."""

    kind: str
    now_ms: int
    line_ms: int
    fields: Mapping[str, Any]
    text: str


class RunResult(NamedTuple):
    """Where a run until something ended, and whether that something happened."""

    now_ms: int
    reached: bool
    events: tuple[RigEvent, ...]


class FaultStart(NamedTuple):
    """When a fault starts. `at` says what it waits for, and which of the other fields counts.

    `time`: `after_ms`. `stroke`, `write`, `frame`: the `nth` from now on, behind a commanded stroke or a write to the
    memory, and before the pump acts on a frame. `event`: behind the `nth` of a kind, as `AlarmRaised MOTOR_STALL`.
    `condition`: the first event, each stroke being one, at which it holds, as `truth.battery_mv <= 2600` or
    `belief.state == STOP`.
    """

    at: str = "time"
    nth: int = 1
    after_ms: int = 0
    event: str = ""
    condition: str = ""


class FaultOrder(NamedTuple):
    """What is to come of a fault. Times are pump time."""

    start: FaultStart
    for_ms: int | None
    """How long it lasts each time; None: until it is cleared, or ends by itself."""
    every_ms: int | None
    times: int
    begun: int
    """How often it has started."""
    left: int
    """Strokes, writes, frames or events that are still to come before it starts."""
    starts_at_ms: int | None
    ends_at_ms: int | None


class RigFault(NamedTuple):
    """One fault that a rig can cause: whether it is so, and how often it took effect."""

    name: str
    where: str
    """What it acts on: plant, power, memory, clock or processor."""
    summary: str
    seen_as: str
    parameters: tuple[str, ...]
    on: bool
    effects: int
    order: FaultOrder | None
    """None where nothing of it is to come."""


class RigTone(NamedTuple):
    """One tone that was heard of the pump. `critical`: two pitches, else one."""

    at_ms: int
    critical: bool
    duration_ms: int


def whole(name: str, value: object) -> int:
    """A time in ms or a volume in nL that a rig is asked for; UsageError where it is no whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{name} is {value!r}, and a whole number from 0 on is expected")
    return value


class Rig(Protocol):
    """What a rig can do to the bench around a pump, and see of it."""

    def state(self) -> RigState: ...

    def clock(self) -> RigClock: ...

    def set_speed(self, speed: int) -> RigClock:
        """Let the patient's time run that many times as fast as the wall's; UsageError under virtual time."""
        ...

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        """Let the patient's time pass; returns the new time. Waits first until the pump has that many bytes."""
        ...

    def run_until(self, what: str, limit_ms: int) -> RunResult:
        """Let time pass until the next "event" or "alarm", at most `limit_ms`."""
        ...

    def power_cut(self, after_writes: int | None = None, torn_after_bytes: int | None = None) -> None:
        """Pull the plug, now or in the n-th write to the pump's memory from now, of which so many bytes land."""
        ...

    def power_restore(self, off_ms: int = 0) -> bool:
        """Put the plug back after `off_ms`; False where it was in, and a cut that was armed never fired."""
        ...

    def aspirate(self, volume_nl: int | None = None) -> int:
        """Draw fluid (None: all that comes); returns how much came."""
        ...

    def fill(self, volume_nl: int, concentration_ng_per_ml: int | None = None) -> int:
        """Inject fluid into the reservoir; returns how much went in."""
        ...

    def faults(self) -> tuple[RigFault, ...]:
        """What can go wrong, and how each stands."""
        ...

    def inject(
        self,
        fault: str,
        start: FaultStart | None = None,
        *,
        for_ms: int | None = None,
        every_ms: int | None = None,
        times: int = 1,
        **parameters: int,
    ) -> None:
        """Cause a fault, now or when `start` comes, for `for_ms` (None: until it is cleared), `times` times in all.

        It starts again `every_ms` after each start or, without that, when what it waits for comes again. UsageError
        where there is no fault of that name, for a wrong parameter, and for a start that can never come.
        """
        ...

    def clear(self, fault: str) -> None:
        """End a fault, and what was ordered of it; nothing where there is neither."""
        ...

    def stall(self, *, on: bool) -> None:
        """Hold the rotor, or let it go: the fault motor-stall."""
        if type(on) is not bool:
            raise UsageError(f"on is {on!r}, and True or False is expected")
        if on:
            self.inject("motor-stall")
        else:
            self.clear("motor-stall")

    def tones(self) -> tuple[RigTone, ...]:
        """The last tones that the pump played, the newest last; a bench keeps so many as it has room for."""
        ...

    def shutdown(self) -> None:
        """End the emulator in good order."""
        ...
