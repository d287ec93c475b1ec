"""One pump: the plant and the program in it, as a function of time.

`step(now_ms, received)` takes bytes and gives bytes. Nothing here waits or reads a clock; the bench calls it with real,
accelerated or manual time, and the same input gives the same output however the time is cut into steps.

Order within one instant: internal events that are due, then rig actions (the rig's verbs act between steps), then
bytes; answers leave at the same `now_ms`. A power cut is an exception from a pin, caught here alone: the controller is
thrown away, and another is booted when power comes back.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.controller import Belief, Controller
from firmware_emu.controller.memory.memory_map import memory_size_bytes
from firmware_emu.faults.catalogue import FAULTS, FaultState, fault_named
from firmware_emu.pins import PowerCut
from firmware_emu.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from firmware_emu.controller.commands.device_context import Refilled
    from firmware_emu.pins import Tone
    from firmware_emu.plant.truth import Truth
    from firmware_emu.profile import Profile

MEMORY_ID_BYTES = 8


class TraceEntry(NamedTuple):
    """One thing that happened. `kind` is received, sent, event, memory, rig or power; `data` the bytes, if any."""

    now_ms: int
    kind: str
    text: str
    data: bytes = b""


class Step(NamedTuple):
    """What one step gave. A wake-up of None asks for none; both are hints, early and late calls do no harm."""

    to_send: bytes
    wake_at_ms: int | None
    wake_line_ms: int | None
    trace: tuple[TraceEntry, ...]
    writes: tuple[tuple[int, bytes], ...]


class Pump:
    """Plant plus controller. Times in ms of pump time; `line_ms` is the client's time where that differs."""

    __slots__ = (
        "_memory_id",
        "_trace",
        "_traces_frames",
        "_writes",
        "controller",
        "hands_off_reservoir",
        "now_ms",
        "plant",
        "profile",
    )

    def __init__(self, profile: Profile, plant: Plant, now_ms: int = 0, memory_id: int | None = None) -> None:
        """A pump without power; `new` and `restore` make one that runs, and say what `memory_id` is."""
        self.profile = profile
        self.plant = plant
        self.now_ms = now_ms
        self.controller: Controller | None = None
        self.hands_off_reservoir = False
        self._memory_id = memory_id  # until a start has taken it
        self._trace: list[TraceEntry] = []
        self._traces_frames = True
        self._writes: list[tuple[int, bytes]] = []

    @classmethod
    def new(cls, profile: Profile, seed: bytes, now_ms: int = 0, memory_id: int | None = None) -> Pump:
        """A pump with blank memory, made and (where the profile says so) implanted at `now_ms`, running.

        `memory_id` (u64) is the identity of its memory; without one it is drawn from the seed, so that a second
        pump of the same seed has it too.
        """
        memory_bytes = memory_size_bytes(profile.model.log_capacity)
        unit = b"" if memory_id is None else memory_id.to_bytes(MEMORY_ID_BYTES, "big")
        plant = Plant(profile.model, seed, implant=profile.implant, memory_bytes=memory_bytes, unit=unit)
        pump = cls(profile, plant, now_ms, memory_id)
        pump._boot()
        return pump

    @classmethod
    def restore(cls, profile: Profile, plant: Plant, now_ms: int, memory_id: int | None = None) -> Pump:
        """The pump of an image: power comes back to this plant, with its memory, at `now_ms`.

        `memory_id` is a new identity for a memory of which the bench knows that it has lost something.
        """
        pump = cls(profile, plant, now_ms, memory_id)
        pump._boot()
        return pump

    # --- time ---------------------------------------------------------------------------------------------------

    def step(self, now_ms: int, received: bytes = b"", line_ms: int | None = None) -> Step:
        """Run to `now_ms`, then take `received`. ValueError where time would go back."""
        if now_ms < self.now_ms:
            raise ValueError(
                f"time goes forward only: the pump is at {self.now_ms} ms, asked for {now_ms} ms"
            )
        sent = b""
        wake_at_ms = self._run_until(now_ms, line_ms)
        if received and self.controller is not None:
            sent = self._receive(received, now_ms if line_ms is None else line_ms)
            wake_at_ms = self._next_event_ms()
        wake_line_ms = None if self.controller is None else self.controller.link.deadline_ms()
        if line_ms is None and wake_line_ms is not None and (wake_at_ms is None or wake_line_ms < wake_at_ms):
            wake_at_ms = wake_line_ms
        trace = self._take_trace() if self._trace else ()
        writes = self._take_writes() if self._writes else ()
        return Step(sent, wake_at_ms, wake_line_ms, trace, writes)

    def _run_until(self, now_ms: int, line_ms: int | None) -> int | None:
        """Run all that is due at or before `now_ms`, in order; returns when the next is."""
        while True:
            at_ms = self._next_event_ms()
            deadline_ms = self._line_due_ms(now_ms, line_ms)
            if deadline_ms is not None and (at_ms is None or deadline_ms < at_ms):
                self.now_ms = max(self.now_ms, deadline_ms)
                self._expire_link(self.now_ms if line_ms is None else line_ms)
            elif at_ms is None or at_ms > now_ms:
                self.now_ms = now_ms
                return at_ms
            else:
                self.now_ms = max(self.now_ms, at_ms)
                self._run_event()

    def _line_due_ms(self, now_ms: int, line_ms: int | None) -> int | None:
        """Pump time of a deadline of the line that is due by now.

        Where the client's time is not the pump's, it has no point in pump time but the end of this step.
        """
        deadline_ms = None if self.controller is None else self.controller.link.deadline_ms()
        if deadline_ms is None:
            return None
        if line_ms is None:
            return deadline_ms if deadline_ms <= now_ms else None
        return now_ms if deadline_ms <= line_ms else None

    def _next_event_ms(self) -> int | None:
        plant = self.plant
        plant_ms = plant.next_event_ms()
        if self.controller is None:
            return plant_ms
        tick_ms = self.controller.schedule.next_event_ms(every_stroke=plant.strokes_matter)
        at_ms = tick_ms - plant.tick_offset_ms
        return at_ms if plant_ms is None or at_ms < plant_ms else plant_ms

    def _run_event(self) -> None:
        """What is due at `now_ms`: the controller first, so that strokes up to here meet the plant as it was."""
        if self.controller is not None:
            try:
                self.controller.run_event(self.now_ms + self.plant.tick_offset_ms)
            except PowerCut as cut:
                self._power_lost(_where(cut), stays_off=cut.stays_off)
            else:
                self._collect()
        self.plant.advance_to(self.now_ms)

    def _expire_link(self, line_ms: int) -> None:
        assert self.controller is not None  # noqa: S101 - the caller saw its deadline
        try:
            self.controller.expire_link(self.now_ms + self.plant.tick_offset_ms, line_ms)
        except PowerCut as cut:
            self._power_lost(_where(cut), stays_off=cut.stays_off)
        else:
            self._collect()

    def _receive(self, received: bytes, line_ms: int) -> bytes:
        assert self.controller is not None  # noqa: S101 - the caller looked
        controller = self.controller
        try:
            controller.receive(self.now_ms + self.plant.tick_offset_ms, line_ms, received)
        except PowerCut as cut:
            self._act_on(controller)
            sent = controller.take_answered()
            self._power_lost(_where(cut), stays_off=cut.stays_off)
            return sent
        self._collect()
        return controller.take_answered()

    # --- what happened ------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """What the controller has to tell after an event or after bytes, and what it wrote."""
        controller = self.controller
        if controller is not None and controller.has_events:
            self._trace += [TraceEntry(self.now_ms, *note) for note in controller.take_trace()]
            self._act_on(controller)
        if self.plant.flash.writes:
            self._collect_writes()

    def _collect_writes(self) -> None:
        now_ms, writes = self.now_ms, self.plant.flash.take_writes()
        self._trace += [TraceEntry(now_ms, "memory", "", at.to_bytes(4, "big") + data) for at, data in writes]
        self._writes += writes

    def _take_trace(self) -> tuple[TraceEntry, ...]:
        trace, self._trace = tuple(self._trace), []
        return trace

    def _take_writes(self) -> tuple[tuple[int, bytes], ...]:
        writes, self._writes = tuple(self._writes), []
        return writes

    def leave_frames_out(self) -> None:
        """Frames make most of the trace: from here on it does without, for a bench where nobody reads them."""
        self._traces_frames = False
        if self.controller is not None:
            self.controller.link.observing = False

    def _act_on(self, controller: Controller) -> None:
        """What people do in the world because the pump said yes: the clinician's hands at a refill."""
        for refilled in controller.take_refills():
            self._refill_by_hand(refilled)

    def _refill_by_hand(self, refilled: Refilled) -> None:
        """By default the reservoir is emptied and filled as the REFILL said; the rig's syringe replaces that."""
        if self.hands_off_reservoir:
            self.hands_off_reservoir = False
            return
        self.plant.aspirate(None)
        self.plant.fill(refilled.filled_nl, refilled.concentration_ng_per_ml)
        self._note("rig", f"refilled by hand with {refilled.filled_nl} nL")

    def _note(self, kind: str, text: str) -> None:
        self._trace.append(TraceEntry(self.now_ms, kind, text))

    # --- power --------------------------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """False while power is cut."""
        return self.controller is not None

    def _power_lost(self, why: str, *, stays_off: bool) -> None:
        self._collect_writes()
        self.controller = None
        self.plant.power_lost(self.now_ms)
        self._note("power", f"lost: {why}")
        if not stays_off:
            self._boot()

    def _boot(self) -> None:
        self.plant.reboot(self.now_ms)
        try:
            controller = Controller(self.plant.pins(), self.profile, self._memory_id)
        except PowerCut as cut:
            self._power_lost(f"while starting, {_where(cut)}", stays_off=cut.stays_off)
            return
        self._memory_id = None
        self.plant.tick_offset_ms = controller.tick_ms - self.now_ms
        controller.link.observing = self._traces_frames
        self.controller = controller
        self._note("power", f"on: {controller.boot_text}")
        self._collect()

    # --- the rig's verbs: between steps, at `now_ms` ----------------------------------------------------------------

    def cut_power(self) -> None:
        """Pull the plug. Nothing where it is out already."""
        if self.controller is not None:
            self.controller.turn_until(self.now_ms + self.plant.tick_offset_ms)
            self._power_lost("cut by the rig", stays_off=True)

    def restore_power(self) -> None:
        """Put the plug back. Nothing where it is in already."""
        if self.controller is None:
            self._boot()

    def aspirate(self, volume_nl: int | None = None) -> int:
        """Draw fluid out of the reservoir (None: all of it); returns what came, in nL. Next REFILL is not by hand."""
        self._catch_up()
        self.hands_off_reservoir = True
        taken_nl = self.plant.aspirate(volume_nl)
        self._note("rig", f"syringe aspirated {taken_nl} nL")
        return taken_nl

    def fill(self, volume_nl: int, concentration_ng_per_ml: int) -> None:
        """Inject fluid into the reservoir; the next REFILL is not by hand. ValueError where it cannot hold it."""
        self._catch_up()
        self.plant.fill(volume_nl, concentration_ng_per_ml)
        self.hands_off_reservoir = True
        self._note("rig", f"syringe filled {volume_nl} nL of {concentration_ng_per_ml} ng/mL")

    def inject(self, name: str, parameters: Mapping[str, object]) -> None:
        """Cause a fault of the catalogue; ValueError where there is none, or for a wrong parameter."""
        fault = fault_named(name)
        values = fault.values(parameters)
        self._catch_up()
        fault.inject(self.plant, self.now_ms, values)
        given = "".join(f" {key} {value}" for key, value in values.items() if value is not None)
        self._note("rig", f"fault {name} on{given}")

    def clear(self, name: str) -> None:
        """End a fault of the catalogue; ValueError where there is none of that name."""
        fault = fault_named(name)
        self._catch_up()
        fault.clear(self.plant)
        self._note("rig", f"fault {name} off")

    def faults(self) -> tuple[FaultState, ...]:
        """Every fault of the catalogue as it stands in this pump."""
        self._catch_up()
        plant = self.plant
        return tuple(FaultState(each, each.is_on(plant), each.effects(plant)) for each in FAULTS.values())

    def stall_motor(self, on: bool) -> None:  # noqa: FBT001 - a switch is a boolean
        """Hold the rotor, or let it go: the fault motor-stall."""
        if on:
            self.inject("motor-stall", {})
        else:
            self.clear("motor-stall")

    def _catch_up(self) -> None:
        """Strokes that are due by now belong to the plant as it was before the rig changes it."""
        if self.controller is not None:
            try:
                self.controller.turn_until(self.now_ms + self.plant.tick_offset_ms)
            except PowerCut as cut:
                self._power_lost(_where(cut), stays_off=cut.stays_off)

    # --- looking ------------------------------------------------------------------------------------------------

    def truth(self) -> Truth:
        """What is physically so, now."""
        self._catch_up()
        return self.plant.truth(self.now_ms)

    def tones(self) -> tuple[Tone, ...]:
        """The last tones that were heard, the newest last; `truth` counts them all."""
        return self.plant.sounder.heard

    def belief(self) -> Belief | None:
        """What the program in the pump believes, now; None without power."""
        self._catch_up()
        return (
            None
            if self.controller is None
            else self.controller.belief(self.now_ms + self.plant.tick_offset_ms)
        )

    def fork(self) -> Pump:
        """Another pump in the same state, with a future of its own."""
        return copy.deepcopy(self)


def _where(cut: PowerCut) -> str:
    return "in a memory write" if cut.at_ms is None else f"at the stroke of tick {cut.at_ms}"


def trace_bytes(entries: Iterable[TraceEntry]) -> bytes:
    """Trace entries as bytes to hash: equal traces, equal bytes."""
    return b"".join(
        b"%d\x00%s\x00%s\x00%s\x00\n" % (e.now_ms, e.kind.encode(), e.text.encode(), e.data.hex().encode())
        for e in entries
    )
