"""A rig of the instruments that a lab has around one board: what it has it does, what it lacks it says.

`NotOnThisRig` is what a test gets for the rest; under pytest such a test is skipped with that reason.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

from hil.errors import BadConfiguration, NotOnThisRig
from hil.instruments.declaration import DeclaredInstrument, Part, declared
from hil.rig import (
    FaultStart,
    LostEvents,
    Rig,
    RigClock,
    RigEvent,
    RigFault,
    RigProfile,
    RigState,
    RigTone,
    RigTrace,
    RunResult,
    Weighing,
    check_said,
    whole,
)
from hil.rig_snapshots import KeepsSnapshots

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Unpack

    from hil.capabilities import TargetCapability
    from hil.instruments.declaration import BenchAccess, Instrument
    from hil.instruments.mt_sics import MtSicsBalance
    from hil.instruments.reset_line import ResetLine
    from hil.instruments.switches import PersonAtRotor, Switch
    from hil.instruments.time_line import TimeLine
    from hil.rig import Awaited

OFF_MAX_MS: Final = 10_000
"""How long a rig without a time line leaves the power off for a test: it is the wall's time, and somebody waits."""


class InstrumentFault(NamedTuple):
    """A fault that an instrument causes, by the name that it has in a rig."""

    name: str
    instrument: str
    """Kind of the instrument."""
    seen_as: str


FAULTS: Final = (
    InstrumentFault("motor-stall", "stall", "the motor takes no edges"),
    InstrumentFault("magnet", "magnet", "the pump's receiver wakes"),
)
POWER: Final = ("power", "uhubctl", "http-outlet", "labgrid")
"""Kinds that bring the board's power, of which a rig takes the first it has."""


def declared_instruments(
    place: Path | str, tables: Mapping[str, Mapping[str, object]]
) -> tuple[DeclaredInstrument, ...]:
    """All instruments of one target. BadConfiguration for a wrong one, and where two bring the same."""
    import hil.instruments.kinds  # noqa: F401, PLC0415 - our own kinds are there from here on

    found = tuple(declared(place, name, table) for name, table in tables.items())
    bringing: dict[str, str] = {}
    for each in found:
        for what in dict.fromkeys((each.kind.name, *(capability.value for capability in each.kind.brings))):
            other = bringing.setdefault(what, each.name)
            if other != each.name:
                raise BadConfiguration(
                    f"{place}: instruments {other} and {each.name} both bring {what}",
                    advice="leave one of them out",
                )
    return found


def brought_by(instruments: tuple[DeclaredInstrument, ...]) -> frozenset[TargetCapability]:
    """What a rig of these can do."""
    return frozenset().union(*(each.kind.brings for each in instruments))


def _close_all(instruments: Iterable[Instrument]) -> None:
    """Close each, also where one before could not be: no pump stays under a magnet since its power could not be put on.

    Raises what one of them raised.
    """
    with ExitStack() as stack:
        for instrument in reversed([*instruments]):
            stack.callback(instrument.close)


class ComposedRig(KeepsSnapshots):
    """The instruments around one board, made when each is first used."""

    def __init__(
        self,
        place: str,
        instruments: tuple[DeclaredInstrument, ...],
        access: BenchAccess,
        used: Counter[str] | None = None,
        sent_bytes: Callable[[], int] | None = None,
    ) -> None:
        """`used` counts in how many tests each instrument was needed, by its name in the bench file.

        `sent_bytes` is what went to the board since it was made new: its time waits until all of it has arrived.
        """
        self._sent_bytes = sent_bytes
        self._place = place
        self._access = access
        self._declared = {each.kind.name: each for each in instruments}
        self._made: dict[str, Instrument] = {}
        self._of_test: set[str] = set()
        self._used = used

    def exactness(self) -> Mapping[str, str]:
        """How exact each instrument is that was used so far, by its name."""
        return {self._declared[kind].name: made.exactness for kind, made in self._made.items()}

    def renew(self, profile: str) -> None:
        """Make the board a new pump of this profile, a name or a file. It counts as needed by no test."""
        instrument = cast("ResetLine", self._instrument("reset", "reset"))
        self._of_test.discard(self._declared["reset"].name)
        instrument.renew(profile)

    def end_test(self) -> None:
        """Put back what a test has left otherwise: power on, magnet away, rotor free; and count what it needed."""
        if self._used is not None:
            self._used.update(self._of_test)
        self._of_test.clear()
        _close_all(instrument for instrument in self._made.values() if hasattr(instrument, "put"))

    def close(self) -> None:
        """Put everything back and give every line back."""
        made, self._made = self._made, {}
        _close_all(made.values())

    def parts(self) -> tuple[Part, ...]:
        """Its instruments, to be looked at before a run. None counts as needed by it."""
        return tuple(
            Part(f"instrument {each.name}", getattr(self._made_of(each), "check", None))
            for each in self._declared.values()
        )

    def _made_of(self, found: DeclaredInstrument) -> Instrument:
        if found.kind.name not in self._made:
            self._made[found.kind.name] = found.kind.make(found.settings, self._access)
        return self._made[found.kind.name]

    def _instrument(self, what: str, *kinds: str) -> Any:
        """The first instrument of these kinds; NotOnThisRig where there is none."""
        kind = next((each for each in kinds if each in self._declared), None)
        if kind is None:
            self._lacks(what)
        self._of_test.add(self._declared[kind].name)
        return self._made_of(self._declared[kind])

    def _lacks(self, what: str) -> NoReturn:
        has = ", ".join(each.name for each in self._declared.values()) or "nothing"
        raise NotOnThisRig(
            f"the rig of {self._place} has no {what}", advice=f"its bench file gives it: {has}"
        )

    def _power(self) -> Switch:
        return cast("Switch", self._instrument("power switch", *POWER))

    def _time(self) -> TimeLine:
        return cast("TimeLine", self._instrument("time line", "time"))

    # The methods of Rig.

    def state(self) -> RigState:
        """As `Rig.state`: no instrument sees what is physically so."""
        self._lacks("truth")

    def clock(self) -> RigClock:
        """As `Rig.clock`, of the time line."""
        return RigClock("manual", 0, self._time().ask("NOW")["now_ms"])

    def set_speed(self, speed: int) -> RigClock:
        """As `Rig.set_speed`: a board's time is turned by hand, or not at all."""
        self._lacks(f"speed (of {speed})")

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        """As `Rig.advance`, over the time line."""
        if after_received is None and self._sent_bytes is not None:
            after_received = self._sent_bytes()
        said = {"duration_ms": whole("duration_ms", duration_ms), "after_received": after_received}
        answer = self._time().ask("ADVANCE", **{k: v for k, v in said.items() if v is not None})
        return int(answer["now_ms"])

    def run_until(self, what: str, limit_ms: int, **said: Unpack[Awaited]) -> RunResult:
        """As `Rig.run_until`, over the time line."""
        check_said(said)
        self.advance(0)  # once all that was sent has arrived
        answer = self._time().ask("UNTIL", what=what, limit_ms=whole("limit_ms", limit_ms), said=said)
        events = tuple(RigEvent(**each) for each in answer["events"])
        return RunResult(answer["now_ms"], answer["reached"], events, answer["value"])

    def mark(self) -> int:
        """As `Rig.mark`: no instrument keeps what happened."""
        self._lacks("trace")

    def trace(self, since: int = 0) -> RigTrace:  # noqa: ARG002 - of the protocol
        """As `Rig.trace`: no instrument keeps what happened."""
        self._lacks("trace")

    def events(
        self,
        since: int | None = None,  # noqa: ARG002 - of the protocol
        wait_s: float | None = None,  # noqa: ARG002 - of the protocol
    ) -> Iterator[RigEvent | LostEvents]:
        """As `Rig.events`: no instrument keeps what happened."""
        self._lacks("trace")

    def profile(self) -> RigProfile:
        """As `Rig.profile`: nobody knows what a real board was made from."""
        self._lacks("profile")

    def power_cut(self, after_writes: int | None = None, torn_after_bytes: int | None = None) -> None:
        """As `Rig.power_cut`, at once: no switch hits one write to a memory."""
        power = self._power()
        if after_writes is not None or torn_after_bytes is not None:
            self._lacks(f"power switch that is exact to one write: {power.exactness}")
        power.put(on=False)

    def power_restore(self, off_ms: int = 0) -> bool:
        """As `Rig.power_restore`; without a time line the wall's time passes, at most 10 s."""
        power = self._power()
        whole("off_ms", off_ms)
        was_off = not power.is_on
        if was_off and off_ms:
            if "time" in self._declared:
                self.advance(off_ms)
            elif off_ms <= OFF_MAX_MS:
                self._access.wait_ms(off_ms)
            else:
                self._lacks(f"time line, and would have to wait {off_ms} ms without power")
        power.put(on=True)
        return was_off

    def aspirate(self, volume_nl: int | None = None) -> int:  # noqa: ARG002 - of the protocol
        """As `Rig.aspirate`: no instrument holds a syringe."""
        self._lacks("syringe")

    def fill(self, volume_nl: int, concentration_ng_per_ml: int | None = None) -> int:  # noqa: ARG002 - of the protocol
        """As `Rig.fill`: no instrument holds a syringe."""
        self._lacks("syringe")

    def faults(self) -> tuple[RigFault, ...]:
        """The faults that its instruments cause; one takes effect as often as its instrument was put on."""
        rows = []
        for fault in FAULTS:
            if fault.instrument not in self._declared:
                continue
            found = self._declared[fault.instrument]
            made = cast("Switch | PersonAtRotor | None", self._made.get(fault.instrument))
            on, effects = (False, 0) if made is None else (made.is_on, made.times_put)
            rows.append(
                RigFault(fault.name, "plant", found.kind.meaning, fault.seen_as, (), on, effects, None)
            )
        return tuple(rows)

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
        """As `Rig.inject`, at once and until it is cleared: nobody throws a switch at a given stroke."""
        switch = self._of_fault(fault)
        if start is not None or for_ms is not None or every_ms is not None or times != 1 or parameters:
            self._lacks(f"{fault} that begins or ends by itself")
        switch.put(on=True)

    def clear(self, fault: str) -> None:
        """As `Rig.clear`."""
        switch = self._of_fault(fault)
        if switch.is_on:
            switch.put(on=False)

    stall = Rig.stall

    def _of_fault(self, name: str) -> Switch | PersonAtRotor:
        kind = next((each.instrument for each in FAULTS if each.name == name), None)
        if kind is None:
            self._lacks(f"fault {name!r}")
        instrument = cast("Switch | PersonAtRotor", self._instrument(f"{kind} ({name})", kind))
        if getattr(instrument, "is_there", True) is False:
            self._lacks(f"person at a terminal, who is needed for {name}")
        return instrument

    def _no_snapshots(self) -> NoReturn:
        """A board goes forward only."""
        self._lacks("snapshot")

    def tones(self) -> tuple[RigTone, ...]:
        """As `Rig.tones`: no instrument hears."""
        self._lacks("microphone")

    def weigh(self) -> Weighing:
        """As `Rig.weigh`, of the balance."""
        return cast("MtSicsBalance", self._instrument("balance", "balance")).weigh()

    def shutdown(self) -> None:
        """As `Rig.shutdown`: a board is no emulator."""
        self._lacks("emulator that could be ended")
