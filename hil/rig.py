"""What a rig around a pump can be asked to do: a protocol, with `rig_client` (HTTP) and `targets.emulated` behind it.

The rig sees truth and belief side by side; a programmer sees belief only. `Rig.faults` lists the faults that there are;
those of the emulator stand in `firmware_emu/faults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypedDict, Unpack

from hil.capabilities import TargetCapability, lacks
from hil.errors import UsageError
from hil.rig_snapshots import KeepsSnapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class RigState(NamedTuple):
    """Truth and belief at one moment, named as rig control names them."""

    now_ms: int
    powered: bool
    truth: Mapping[str, Any]
    belief: Mapping[str, Any] | None
    trace_hash: str | None
    seed: int | None
    """What the pump's chance began from, by which its life is repeated; None where chance is its own."""


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
    """Where a run until something ended, whether that something happened, and what of it did, the newest last.

    `value` is what a field that was compared is then; None where none was, or of the belief without power.
    """

    now_ms: int
    reached: bool
    events: tuple[RigEvent, ...]
    value: bool | int | str | None = None


class Awaited(TypedDict, total=False):
    """What is said of what a run ends at.

    Of "event": `name`, a kind of event of the trace or the type of an entry of the log, and `count`, the n-th. Of
    "alarm": `name` of its AlarmId, whether it is `cleared` rather than raised, `count`. Of "truth" and "belief":
    `field`, `operator` (<, <=, ==, !=, >=, >) and `value`; an enum is its name, None what is not there.
    """

    name: str
    cleared: bool
    count: int
    field: str
    operator: str
    value: bool | int | str | None


class LostEvents(NamedTuple):
    """In the place of events that were not kept any more when they were read: how many."""

    lost: int


class RigTrace(NamedTuple):
    """What happened from a mark on. `lost` events before these were not kept; `mark` is where to go on."""

    events: tuple[RigEvent, ...]
    lost: int
    mark: int


class RigProfile(NamedTuple):
    """What a pump was made from, never a key. Units are in the names.

    `model` is the device, `implant` what was done to it before time 0 (None: nothing), `configured` what the clinic has
    changed by CONFIG_WRITE since, by the names of ConfigId (None without power).
    """

    name: str
    model: Mapping[str, Any]
    implant: Mapping[str, Any] | None
    wall_at_start_s: int | None
    tz_minutes: int
    vendor_messages: tuple[str, ...]
    texts: Mapping[str, str]
    configured: Mapping[str, int | str | bool] | None


class FaultStart(NamedTuple):
    """When a fault starts: `at` says what it waits for, and which of the other fields counts.

    "time": `after_ms`. "stroke", "write": behind the `count`-th, from now on, that is commanded or reaches the memory.
    "frame": as the `count`-th has come, before the pump acts on it. "event", "alarm", "truth", "belief": as for
    `run_until`, with the same fields; a comparison is looked at now, at each event and at each stroke.
    """

    at: str = "time"
    after_ms: int = 0
    count: int = 1  # type: ignore[assignment] # hides the method of tuple, which nobody calls on a start
    name: str | None = None
    cleared: bool = False
    field: str | None = None
    operator: str | None = None
    value: bool | int | str | None = None


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


class FaultParameter(NamedTuple):
    """One number that a fault takes; its unit is the last part of its name."""

    name: str
    lowest: int
    highest: int
    required: bool
    default: int | None
    """What holds where it is not given; None: no number, as `meaning` says."""
    meaning: str


class RigFault(NamedTuple):
    """One fault that a rig can cause: whether it is so, and how often it took effect."""

    name: str
    where: str
    """What it acts on: plant, power, memory, clock or processor."""
    summary: str
    seen_as: str
    parameters: tuple[FaultParameter, ...]
    on: bool
    effects: int
    order: FaultOrder | None
    """None where nothing of it is to come."""


class Weighing(NamedTuple):
    """What a balance shows of what the pump has delivered."""

    mass_ug: int
    resolution_ug: int
    """The smallest step that it shows: how exact a tolerance can be that is judged with it."""
    stable: bool


class RigTone(NamedTuple):
    """One tone that was heard of the pump. `critical`: two pitches, else one."""

    at_ms: int
    critical: bool
    duration_ms: int


NL_PPM_PER_NL: Final = 1_000_000
UG_PER_NL: Final = 1
"""Density of what an emulated pump delivers, as of water: 1 g/mL."""


def weighed(state: RigState) -> Weighing:
    """What a balance without error shows of an emulated pump: all that has left its rotor, of the truth."""
    return Weighing(state.truth["emitted_nl_ppm"] // NL_PPM_PER_NL * UG_PER_NL, UG_PER_NL, stable=True)


def whole(name: str, value: object) -> int:
    """A time in ms or a volume in nL that a rig is asked for; UsageError where it is no whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{name} is {value!r}, and a whole number from 0 on is expected")
    return value


def check_said(said: Mapping[str, object]) -> None:
    """UsageError where something is said of what a run ends at that nothing takes."""
    for name in said:
        if name not in Awaited.__annotations__:
            raise UsageError(
                f"{name!r} says nothing of what a run ends at",
                advice=f"say {', '.join(Awaited.__annotations__)}",
            )


def waited_s(wait_s: float | None) -> float | None:
    """How long a reader of events waits; UsageError where that is no time."""
    if wait_s is not None and (
        isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or not wait_s >= 0
    ):
        raise UsageError(
            f"wait_s is {wait_s!r}, and seconds from 0 on are expected, or None to wait for ever"
        )
    return wait_s


class Rig(KeepsSnapshots, Protocol):
    """What a rig can do to the bench around a pump, and see of it.

    A rig of your own leaves out what it cannot do, and its target the capability: tests that need it are skipped.
    """

    def state(self) -> RigState: ...

    def clock(self) -> RigClock: ...

    def set_speed(self, speed: int) -> RigClock:
        """Let the patient's time run that many times as fast as the wall's; UsageError under virtual time."""
        ...

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        """Let the patient's time pass; returns the new time. Waits first until the pump has that many bytes."""
        ...

    def run_until(self, what: str, limit_ms: int, **said: Unpack[Awaited]) -> RunResult:
        """Let time pass until an "event", an "alarm", or a comparison of "truth" or "belief", at most `limit_ms`.

        A comparison is looked at now, at each event and at each stroke, so that it ends at the millisecond of the
        stroke that made it true. UsageError for what cannot happen, with what can.
        """
        ...

    def mark(self) -> int:
        """A mark for `trace` and `events`: the place that this moment has in what happened."""
        raise lacks(TargetCapability.TRACE)

    def trace(self, since: int = 0) -> RigTrace:  # noqa: ARG002 - of the protocol
        """What has happened to the pump since a mark: what it did, what came over its line, what the rig did to it."""
        raise lacks(TargetCapability.TRACE)

    def events(
        self,
        since: int | None = None,  # noqa: ARG002 - of the protocol
        wait_s: float | None = None,  # noqa: ARG002 - of the protocol
    ) -> Iterator[RigEvent | LostEvents]:
        """The same as it happens, from now on or from a mark: ends with the bench, or after `wait_s` without any.

        Nothing happens in virtual time while one waits: there it ends with what has happened, and may be begun anew.
        """
        raise lacks(TargetCapability.TRACE)

    def profile(self) -> RigProfile:
        """What this pump was made from, and what the clinic has changed since."""
        raise lacks(TargetCapability.PROFILE)

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

    def weigh(self) -> Weighing:
        """What the pump has delivered lies on a balance: its mass, once it is stable."""
        raise lacks(TargetCapability.BALANCE)

    def shutdown(self) -> None:
        """End the emulator in good order."""
        ...
