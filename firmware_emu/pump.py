"""One pump: the plant and the program in it, as a function of time.

`step(now, received)` takes bytes and gives bytes. Nothing here waits or reads a clock; the bench calls it with real,
accelerated or manual time, and the same input gives the same output however the time is cut into steps.

Order within one instant: internal events that are due, then rig actions (the rig's verbs act between steps), then
bytes; answers leave at the same moment. A power cut is an exception from a pin, caught here alone: the controller is
thrown away, and another is booted when power comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.controller import Belief, Controller
from firmware_emu.controller.memory.memory_map import memory_size_bytes
from firmware_emu.events import (
    Event,
    FaultCleared,
    FaultInjected,
    FaultValue,
    LeaseEnded,
    PowerCutCause,
    PowerLost,
    PowerOn,
    RefilledByHand,
    SyringeAspirated,
    SyringeFilled,
    TraceEntry,
    WatchdogReset,
)
from firmware_emu.faults.catalogue import FAULTS, FaultState, fault_named
from firmware_emu.now import Now, TickNow
from firmware_emu.pins import PowerCut
from firmware_emu.plant.plant import Plant
from firmware_emu.plant.processor import LINK_TASK, NO_TASK
from firmware_emu.state_copy import copy_state
from firmware_emu.trace import QuietHours, Written, entries_of, writes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from firmware_emu.controller.commands.device_context import Refilled
    from firmware_emu.pins import Tone
    from firmware_emu.plant.truth import Truth
    from firmware_emu.profile import Profile
    from firmware_emu.trace import Note, Write

MEMORY_ID_BYTES = 8
START = Now(0, 0)
RUNS_ON = frozenset({NO_TASK, LINK_TASK})
"""Which task may hang while the rest of the program runs on; all others take each other's events."""


class Step(NamedTuple):
    """What one step gave. A wake-up of None asks for none; both are hints, early and late calls do no harm."""

    to_send: bytes
    wake_at_ms: int | None
    wake_line_ms: int | None
    notes: tuple[Note, ...]
    """What happened, in order; `trace` and `writes` read it."""

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """Each event with its moment, made anew at each call."""
        return entries_of(self.notes)

    @property
    def writes(self) -> tuple[Write, ...]:
        """What reached the memory, in order."""
        return writes_of(self.notes)


class Pump:
    """Plant plus controller; `now` is the moment up to which it has run."""

    def __init__(
        self, profile: Profile, plant: Plant, now: Now = START, memory_id: int | None = None
    ) -> None:
        """A pump without power; `new` and `restore` make one that runs, and say what `memory_id` is."""
        self.profile = profile
        self.plant = plant
        self.now = now
        self.controller: Controller | None = None
        self.hands_off_reservoir = False
        self._memory_id = memory_id  # until a start has taken it
        self._notes: list[Note] = []
        self._traces_frames = True
        self._sent = b""  # in this step, before its bytes are handed over

    @classmethod
    def new(cls, profile: Profile, seed: bytes, now: Now = START, memory_id: int | None = None) -> Pump:
        """A pump with blank memory, made and (where the profile says so) implanted `now`, running.

        `memory_id` (u64) is the identity of its memory; without one it is drawn from the seed, so that a second
        pump of the same seed has it too.
        """
        memory_bytes = memory_size_bytes(profile.model.log_capacity)
        unit = b"" if memory_id is None else memory_id.to_bytes(MEMORY_ID_BYTES, "big")
        plant = Plant(profile.model, seed, implant=profile.implant, memory_bytes=memory_bytes, unit=unit)
        pump = cls(profile, plant, now, memory_id)
        pump._boot()
        return pump

    @classmethod
    def restore(cls, profile: Profile, plant: Plant, now: Now, memory_id: int | None = None) -> Pump:
        """The pump of an image: power comes back to this plant, with its memory, `now`.

        `memory_id` is a new identity for a memory of which the bench knows that it has lost something.
        """
        pump = cls(profile, plant, now, memory_id)
        pump._boot()
        return pump

    # --- time ---------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Pump time."""
        return self.now.pump_ms

    def step(self, now: Now, received: bytes = b"") -> Step:
        """Run to this moment, then take `received`. ValueError where time would go back."""
        if now.pump_ms < self.now.pump_ms or now.line_ms < self.now.line_ms:
            raise ValueError(f"time goes forward only: the pump is at {self.now}, asked for {now}")
        wake_at_ms = self._run_until(now)
        if received and self.controller is not None and not self.plant.processor.hung_task:
            controller = self.controller
            self._receive(received)
            sent = self._sent + controller.take_answered()
            wake_at_ms = self._next_event_ms()
        else:
            sent = self._sent
        self._sent = b""
        running = None if self.plant.processor.hung_task else self.controller
        wake_line_ms = None if running is None else running.deadline_ms()
        if wake_line_ms is not None and now.is_same and (wake_at_ms is None or wake_line_ms < wake_at_ms):
            wake_at_ms = wake_line_ms
        notes = tuple(self._notes)
        self._notes.clear()
        return Step(sent, wake_at_ms, wake_line_ms, notes)

    def _run_until(self, now: Now) -> int | None:
        """Run all that is due at or before `now`, in order; returns when the next is, in pump time."""
        before, processor = self.now, self.plant.processor
        while True:
            at_ms = self._next_event_ms()
            controller = None if processor.hung_task else self.controller
            line_ms = None if controller is None else controller.deadline_ms()
            if line_ms is not None and line_ms <= now.line_ms:
                # where the client's time is not the pump's, it has no point in pump time but the end of this step
                deadline_ms = line_ms if before.is_same and now.is_same else now.pump_ms
                if at_ms is None or deadline_ms < at_ms:
                    self.now = before.on_the_way_to(now, max(self.now.pump_ms, deadline_ms))
                    self._receive(b"")
                    if self.controller is not None:
                        self._sent += self.controller.take_answered()
                    continue
            if at_ms is None or at_ms > now.pump_ms:
                self.now = now
                return at_ms
            if (line_ms is None or line_ms > now.line_ms) and self._run_quiet_hours(before, now):
                continue
            self.now = (
                now if at_ms == now.pump_ms else before.on_the_way_to(now, max(self.now.pump_ms, at_ms))
            )
            self._run_event()

    def _run_quiet_hours(self, before: Now, now: Now) -> bool:
        """Run in one go hours in which strokes decide nothing and no fault waits; False where there are none."""
        controller, plant = self.controller, self.plant
        if controller is None or not plant.is_quiet:
            return False
        offset_ms = plant.crystal.offset_ms
        ends = controller.schedule.run_quiet_hours(now.pump_ms + offset_ms)
        if not ends:
            return False
        ends_ms = range(ends.start - offset_ms, ends.stop - offset_ms, ends.step)
        self.now = before.on_the_way_to(now, ends_ms[-1])
        self._notes.append(QuietHours(before, now, ends_ms, plant.flash.take_writes()))
        return True

    def _next_event_ms(self) -> int | None:
        plant = self.plant
        plant_ms = plant.next_event_ms()
        processor = plant.processor
        if self.controller is None or processor.hung_task not in RUNS_ON:
            return plant_ms
        tick_ms = self.controller.schedule.next_event_ms(every_stroke=plant.strokes_matter)
        if not processor.healthy and (processor.disturbed or processor.fails_hourly_test):
            tick_ms = min(tick_ms, self.controller.integrity.next_test_ms(cells=processor.disturbed))
        at_ms = tick_ms - plant.crystal.offset_ms
        return at_ms if plant_ms is None or at_ms < plant_ms else plant_ms

    def _run_event(self) -> None:
        """What is due at `now_ms`: the controller first, so that strokes up to here meet the plant as it was."""
        processor = self.plant.processor
        if self.controller is not None and processor.hung_task in RUNS_ON:
            try:
                if not processor.healthy:
                    self._test_cells()
                self.controller.schedule.run_event(self._tick_ms())
            except PowerCut as cut:
                self._power_cut(cut)
            else:
                if self.controller.records.hints.untold:
                    self.controller.send_hint(TickNow(self._tick_ms(), self.now.line_ms))
                    self._sent += self.controller.take_answered()
                self._collect()
        reset_ms = None if processor.healthy else processor.next_event_ms()
        self.plant.advance_to(self.now.pump_ms)
        if reset_ms is not None and reset_ms <= self.now.pump_ms and self.controller is not None:
            self._watchdog_reset()
        if self.plant.receiver.untold:
            self._tell_receiver()

    def _test_cells(self) -> None:
        """Let the program test its RAM and its code; where nothing is disturbed that finds nothing, and is left out.

        A program reads a cell whenever it uses what is in it: so before an event, and before bytes.
        """
        processor = self.plant.processor
        if self.controller is not None and (processor.disturbed or processor.fails_hourly_test):
            self.controller.integrity.test(self._tick_ms(), cells=processor.disturbed)

    def _tell_receiver(self) -> None:
        """Call the program where the receiver woke or fell asleep; one that hangs finds out after its reset."""
        if self.controller is None or self.plant.processor.hung_task or not self.plant.receiver.take_change():
            return
        try:
            self.controller.receiver_changed(self._tick_ms())
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            self._collect()

    def _receive(self, received: bytes) -> None:
        """Hand bytes to the controller; none at a deadline of the link."""
        assert self.controller is not None  # noqa: S101 - the caller looked
        try:
            if not self.plant.processor.healthy:
                self._test_cells()
            self.controller.receive(TickNow(self._tick_ms(), self.now.line_ms), received)
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            self._collect()

    def _tick_ms(self) -> int:
        """This moment by the ticks of the program that runs."""
        return self.now.pump_ms + self.plant.crystal.offset_ms

    # --- what happened ------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """What the controller has to tell after an event or after bytes, and what was written to the memory."""
        controller, now = self.controller, self.now
        if controller is not None and (controller.records.events or controller.device.refills):
            self._notes += [TraceEntry(now, event) for event in controller.records.take_events()]
            for refilled in controller.take_refills():
                self._refill_by_hand(refilled)
        if self.plant.flash.writes:
            self._notes.append(Written(now, self.plant.flash.take_writes()))

    def leave_frames_out(self) -> None:
        """Leave frames out of the trace from here on, for a bench where nobody reads them; they are most of it."""
        self._traces_frames = False
        if self.controller is not None:
            self.controller.link.observing = False

    def _refill_by_hand(self, refilled: Refilled) -> None:
        """Empty and fill the reservoir as an accepted REFILL said, unless the rig's syringe was used for it."""
        if self.hands_off_reservoir:
            self.hands_off_reservoir = False
            return
        self.plant.aspirate(None)
        self.plant.fill(refilled.filled_nl, refilled.concentration_ng_per_ml)
        self._note(RefilledByHand(refilled.filled_nl, refilled.concentration_ng_per_ml))

    def _note(self, event: Event) -> None:
        self._notes.append(TraceEntry(self.now, event))

    # --- power --------------------------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """False while power is cut."""
        return self.controller is not None

    def _power_cut(self, cut: PowerCut, *, while_starting: bool = False) -> None:
        """Take note that a pin raised PowerCut."""
        cause = PowerCutCause.MEMORY_WRITE if cut.at_ms is None else PowerCutCause.STROKE
        self._power_lost(PowerLost(cause, cut.at_ms, while_starting, cut.stays_off))

    def _power_lost(self, lost: PowerLost) -> None:
        self._collect()
        self.controller = None
        self.plant.power_lost(self.now_ms)
        self._note(lost)
        if not lost.stays_off:
            self._boot()

    def _watchdog_reset(self) -> None:
        """The watchdog resets the chip: the program is thrown away and starts anew at once."""
        task = self.plant.processor.hung_task
        self._collect()
        self.controller = None
        self.plant.reset_by_watchdog(self.now_ms)
        self._note(WatchdogReset(task))
        self._boot()

    def _boot(self) -> None:
        self.plant.reboot(self.now_ms)
        try:
            controller = Controller(self.plant.pins(), self.profile, self._memory_id)
        except PowerCut as cut:
            self._power_cut(cut, while_starting=True)
            return
        self._memory_id = None
        self.plant.crystal.offset_ms = controller.tick_ms - self.now_ms
        controller.link.observing = self._traces_frames
        self.controller = controller
        self._note(PowerOn(controller.records.therapy.boot_count, controller.started_blank))
        self._collect()
        self._tell_receiver()

    # --- the rig's verbs: between steps, at `now_ms` ----------------------------------------------------------------

    def cut_power(self) -> None:
        """Cut power until it is restored; nothing where it is cut already."""
        self._catch_up()
        if self.controller is not None:
            self._power_lost(PowerLost(PowerCutCause.RIG, None, while_starting=False, stays_off=True))

    def restore_power(self) -> None:
        """Restore power; nothing where there is power already."""
        if self.controller is None:
            self._boot()

    def aspirate(self, volume_nl: int | None = None) -> int:
        """Draw fluid out of the reservoir (None: all of it); returns the nL drawn. The next REFILL is not by hand."""
        self._catch_up()
        self.hands_off_reservoir = True
        taken_nl = self.plant.aspirate(volume_nl)
        self._note(SyringeAspirated(taken_nl))
        return taken_nl

    def fill(self, volume_nl: int, concentration_ng_per_ml: int) -> None:
        """Inject fluid into the reservoir; the next REFILL is not by hand. ValueError where it cannot hold it."""
        self._catch_up()
        self.plant.fill(volume_nl, concentration_ng_per_ml)
        self.hands_off_reservoir = True
        self._note(SyringeFilled(volume_nl, concentration_ng_per_ml))

    def inject(self, name: str, parameters: Mapping[str, object]) -> None:
        """Cause a fault of the catalogue; ValueError where there is none, or for a wrong parameter."""
        fault = fault_named(name)
        values = fault.values(parameters)
        self._catch_up()
        if self.controller is not None and not self.plant.processor.disturbed:
            self.controller.integrity.store_cells()  # put off until somebody can see what is in them
        fault.inject(self.plant, self.now_ms, values)
        given = tuple(FaultValue(key, value) for key, value in values.items() if value is not None)
        self._note(FaultInjected(name, given))
        self._tell_receiver()

    def clear(self, name: str) -> None:
        """End a fault of the catalogue; ValueError where there is none of that name."""
        fault = fault_named(name)
        self._catch_up()
        fault.clear(self.plant)
        self._note(FaultCleared(name))
        self._tell_receiver()

    def end_lease(self, who: str, faults: Iterable[str]) -> None:
        """End those of the faults that are still there: whoever injected them has gone without a word."""
        self._catch_up()
        cleared = tuple(name for name in faults if fault_named(name).is_on(self.plant))
        for name in cleared:
            self.clear(name)
        self._note(LeaseEnded(who, cleared))

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
        """Turn the strokes that are due by now, before the rig changes the plant."""
        if self.controller is not None and self.plant.processor.hung_task in RUNS_ON:
            try:
                self.controller.therapy.turn_until(self._tick_ms())
            except PowerCut as cut:
                self._power_cut(cut)

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
        return None if self.controller is None else self.controller.belief(self._tick_ms())

    def fork(self) -> Pump:
        """Another pump in the same state, with a future of its own."""
        return copy_state(self)
