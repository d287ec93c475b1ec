"""A pump, the lines to it, and an observer who sees each stroke: the stage of the link's simulations.

Everything is real but the place: the pump, the programmer, the faults. The observer stands at the rotor, which
no program can deceive, and looks after every step of the pump. What people were told is in `operators`, what
must hold at the end in `link_checkers`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.controller.memory.memory_map import memory_size_bytes
from firmware_emu.plant.plant import Plant
from firmware_emu.plant.rotor import Rotor
from firmware_emu.profile import PairedKey, Profile
from firmware_emu.pump import START, Pump
from hil.noise import Direction, FaultyLine
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey
from protocol.wire.limits import RECEIVE_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.pins import StrokeRun
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.reservoir import Reservoir
    from firmware_emu.profile import PumpModel

SECOND_CLINICIAN = DeviceKey(
    key_id=9, role=Role.CLINICIAN, key=b"sim key: clinic2", slot=4, development=False
)
SHORTEST_S = 10  # of a bolus of up to 2,500 nL beside the basal rate; each attempt has another
MS_PER_S = 1_000


def simulated_profile(*, secured: bool = True, log_capacity: int = 256) -> Profile:
    """The implanted pump with a second clinician, and without the gap between boluses: it would hide faults.

    Its log is small: these stories start the pump some 10,000 times, and each start reads the whole log.
    """
    profile = load_profile("implanted")
    model = replace(
        profile.model,
        min_bolus_gap_s=0,
        hour_max_nl=4_000_000,
        secured=secured,
        hello_per_min=40,
        log_capacity=log_capacity,
    )
    second = PairedKey(SECOND_CLINICIAN.key_id, int(SECOND_CLINICIAN.role), SECOND_CLINICIAN.key)
    return replace(profile, model=model, keys=(*profile.keys, second))


class WatchedRotor(Rotor):
    """A rotor that counts its strokes by what asked for them. A bolus is known by its duration, in ms."""

    __slots__ = ("basal_denominator", "turned_by_duration_ms")

    def __init__(self, model: PumpModel, reservoir: Reservoir, crystal: Crystal) -> None:
        super().__init__(model.stroke_nl, model.accuracy_ppm, reservoir, crystal)
        self.basal_denominator = model.stroke_nl * 86_400_000
        self.turned_by_duration_ms: dict[int, int] = {}

    def _turn(self, run: StrokeRun) -> int:
        turned = super()._turn(run)
        if run.stroke_denominator != self.basal_denominator:
            so_far = self.turned_by_duration_ms.get(run.stroke_denominator, 0)
            self.turned_by_duration_ms[run.stroke_denominator] = so_far + turned
        return turned


@dataclass(slots=True)
class Attempt:
    """One bolus that somebody tried to give, known by its duration. `denied` is for ever: "not delivered"."""

    duration_s: int
    announced_nl: int = 0
    denied: str = ""


class Violation(AssertionError):
    """What must never happen did. Its text says what; the test adds how to see it again."""


class World:
    """One pump and everything around it, in virtual time."""

    def __init__(
        self,
        *,
        seed: int = 1,
        pump_class: type[Pump] = Pump,
        profile: Profile | None = None,
        frames_traced: bool = False,
    ) -> None:
        profile = profile or simulated_profile()
        size = memory_size_bytes(profile.model.log_capacity)
        plant = Plant(profile.model, seed.to_bytes(8, "big"), implant=profile.implant, memory_bytes=size)
        self.rotor = WatchedRotor(profile.model, plant.reservoir, plant.crystal)
        plant.rotor = plant.battery.rotor = self.rotor
        self.profile = profile
        self.bench = VirtualBench(pump_class.restore(profile, plant, START), hashing=frames_traced)
        self.attempts: list[Attempt] = []
        self.lines: list[FaultyLine] = []
        self._ends: list[LineEnd] = []

    @property
    def pump(self) -> Pump:
        return self.bench.host.pump

    @property
    def now_ms(self) -> int:
        return self.bench.now_ms

    def new_attempt(self, *, shortest_s: int = SHORTEST_S) -> Attempt:
        """A bolus with a duration of its own."""
        taken = {attempt.duration_s for attempt in self.attempts}
        attempt = Attempt(next(s for s in itertools.count(shortest_s) if s not in taken))
        self.attempts.append(attempt)
        return attempt

    def true_nl(self, attempt: Attempt) -> int:
        """What the rotor really turned for an attempt."""
        turned = self.rotor.turned_by_duration_ms.get(attempt.duration_s * MS_PER_S, 0)
        return turned * self.rotor.stroke_nl

    # The line

    def new_line(self) -> FaultyLine:
        """A line to the pump; what the pump sends goes to all of them, as through the air."""
        end = LineEnd(self)
        line = FaultyLine(end)
        self._ends.append(end)
        self.lines.append(line)
        return line

    def end_of(self, line: FaultyLine) -> LineEnd:
        """What stands behind the faults of a line."""
        return self._ends[self.lines.index(line)]

    def put(self, data: bytes) -> None:
        """Bytes to the pump, now."""
        self._spread(self.bench.feed(data))

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self._spread(self.bench.advance(ms))

    def wait_for(self, end: LineEnd, deadline_ms: int) -> bytes:
        """What has arrived at one end; time passes until there is something, or until the deadline."""
        while not end.arrived and self.now_ms < deadline_ms:
            wake_ms = self.bench.host.wake_at_ms
            until_ms = deadline_ms if wake_ms is None else min(deadline_ms, max(wake_ms, self.now_ms + 1))
            self.advance(until_ms - self.now_ms)
        arrived, end.arrived = end.arrived, b""
        return arrived

    def all_frames(self) -> list[bytes]:
        """Every frame that anybody ever sent, the pump included, whatever became of it."""
        return [frame for line in self.lines for way in Direction for frame in line.seen(way)]

    def _spread(self, sent: bytes) -> None:
        for end in self._ends:
            end.arrived += sent
        self.check()

    # The observer

    def check(self) -> None:
        """What holds after every step of the pump."""
        known = {attempt.duration_s * MS_PER_S for attempt in self.attempts}
        stray = set(self.rotor.turned_by_duration_ms) - known
        if stray:
            raise Violation(f"the rotor turned for boluses of {stray} ms that nobody asked for")
        for attempt in self.attempts:
            true_nl = self.true_nl(attempt)
            if true_nl > attempt.announced_nl:
                raise Violation(f"{true_nl} nL were delivered of {attempt}")
            if attempt.denied and true_nl:
                raise Violation(f"{true_nl} nL were delivered of {attempt}")
        self._check_memory_use()

    def _check_memory_use(self) -> None:
        controller = self.pump.controller
        if controller is None:
            return
        link = controller.link
        held = len(link._deframer._partial)
        if held > RECEIVE_LIMIT_BYTES:
            raise Violation(f"the receiver holds {held} bytes of a partial frame")
        for name, left in (
            ("frames", link._arrived),
            ("link events", link._events),
            ("bytes to send", controller.answered),
            ("events", controller.records.events),
            ("refills", controller.device.refills),
        ):
            if left:
                raise Violation(f"{len(left)} {name} are left over after a step")
        still_open = controller.records.ledger.open_entries()
        if len(still_open) > 1:
            raise Violation(f"{len(still_open)} commands are open at once")


class LineEnd:
    """The channel behind the faults. `on_operation` is called before each send and each wait, with its number."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.arrived = b""
        self.sent_bytes = 0
        self.operations = 0
        self.on_operation: Callable[[int], None] | None = None

    def send(self, data: bytes) -> None:
        self._operate()
        self.sent_bytes += len(data)
        self._world.put(data)

    def receive(self, deadline_ms: int) -> bytes:
        self._operate()
        return self._world.wait_for(self, deadline_ms)

    def now_ms(self) -> int:
        return self._world.now_ms

    def device_ms(self) -> int:
        return self._world.now_ms

    def close(self) -> None:
        """There is nothing to give back."""

    def _operate(self) -> None:
        self.operations += 1
        if self.on_operation is not None:
            self.on_operation(self.operations)
