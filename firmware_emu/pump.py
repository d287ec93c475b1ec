"""One pump: the plant and the program in it, as a function of time.

`step(now, received)` takes bytes and gives bytes. Nothing here waits or reads a clock; the bench calls it with real,
accelerated or manual time, and the same input gives the same output however the time is cut into steps.

Order within one instant: internal events that are due, then rig actions (the rig's verbs act between steps), then
bytes; answers leave at the same moment. A power cut is an exception from a pin, caught here alone: the controller is
thrown away, and another is booted when power comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.controller import Belief, Controller
from firmware_emu.controller.late_events import late_events
from firmware_emu.controller.memory.event_log import LogSeqs
from firmware_emu.controller.memory.memory_map import PLACES, RECORD_OVERHEAD_BYTES, memory_size_bytes
from firmware_emu.events import (
    Event,
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
from firmware_emu.fault_orders import FaultOrders
from firmware_emu.faults.catalogue import fault_named
from firmware_emu.faults.orders import NOW, Order
from firmware_emu.now import Now, TickNow
from firmware_emu.pins import PowerCut
from firmware_emu.plant.plant import Plant
from firmware_emu.plant.processor import LINK_TASK, NO_TASK
from firmware_emu.state_copy import copy_state
from firmware_emu.trace import QuietHours, Step, Written
from firmware_emu.units import earlier
from protocol.wire.framing import DELIMITER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from firmware_emu.controller.commands.device_context import Refilled
    from firmware_emu.faults.fault import FaultState
    from firmware_emu.faults.orders import Start
    from firmware_emu.pins import Tone
    from firmware_emu.plant.truth import Truth
    from firmware_emu.profile import Profile
    from firmware_emu.trace import Note

MEMORY_ID_BYTES = 8
START = Now(0, 0)
NOTHING_TOLD = LogSeqs()
RECORDS = tuple((place.offset, RECORD_OVERHEAD_BYTES + place.capacity_bytes) for place in PLACES.values())
"""Where the program keeps each of its records: a rig aims at them by the number of a region."""
RUNS_ON = frozenset({NO_TASK, LINK_TASK})
"""Which task may hang while the rest of the program runs on; all others take each other's events."""


class Pump:
    """Plant plus controller; `now` is the moment up to which it has run."""

    __slots__ = (
        "_in_frame",
        "_memory_id",
        "_sent",
        "_traces_frames",
        "controller",
        "every_stroke",
        "hands_off_reservoir",
        "notes",
        "now",
        "orders",
        "plant",
        "profile",
        "told",
    )

    def __init__(
        self, profile: Profile, plant: Plant, now: Now = START, memory_id: int | None = None
    ) -> None:
        """A pump without power; `new` and `restore` make one that runs, and say what `memory_id` is."""
        self.profile = profile
        self.plant = plant
        plant.flash.places = RECORDS
        self.now = now
        self.controller: Controller | None = None
        self.hands_off_reservoir = False
        self.every_stroke = False
        """Whether somebody waits for what a stroke may change: then each is an event, and nothing else differs."""
        self._memory_id = memory_id  # until a start has taken it
        self.told = NOTHING_TOLD
        """The newest entries of both logs of which the trace tells."""
        self.notes: list[Note] = []
        """What has happened in this step so far, and between it and the one before."""
        self._traces_frames = True
        self._sent = b""  # in this step, before its bytes are handed over
        self.orders = FaultOrders()
        """The faults that a rig has ordered and that are to start or to end."""
        self._in_frame = False  # bytes have come since the last delimiter

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
    def restore(
        cls,
        profile: Profile,
        plant: Plant,
        now: Now,
        memory_id: int | None = None,
        told: LogSeqs = NOTHING_TOLD,
    ) -> Pump:
        """The pump of an image: power comes back to this plant, with its memory, `now`.

        `memory_id` is a new identity for a memory of which the bench knows that it has lost something; `told` has the
        newest log entries that an earlier trace told.
        """
        pump = cls(profile, plant, now, memory_id)
        pump.told = told
        pump._boot()
        return pump

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Pump time."""
        return self.now.pump_ms

    def step(self, now: Now, received: bytes = b"") -> Step:
        """Run to this moment, then take `received`. ValueError where time would go back."""
        if now.pump_ms < self.now.pump_ms or now.line_ms < self.now.line_ms:
            raise ValueError(f"time goes forward only: the pump is at {self.now}, asked for {now}")
        if self.orders.by_fault:
            self.orders.follow_rig(self)
        wake_at_ms = self._run_until(now)
        if received and not self._deaf:
            self._take(received)
            wake_at_ms = self._next_event_ms()
        elif received:
            self.plant.processor.feel_hang()
        if self.plant.processor.hung_task:
            self._feel_hang()
        sent, self._sent = self._sent, b""
        wake_line_ms = self._deadline_ms()
        if wake_line_ms is not None and now.is_same and (wake_at_ms is None or wake_line_ms < wake_at_ms):
            wake_at_ms = wake_line_ms
        notes = tuple(self.notes)
        self.notes.clear()
        self.orders.end_step()
        return Step(sent, wake_at_ms, wake_line_ms, notes)

    def _run_until(self, now: Now) -> int | None:
        """Run all that is due at or before `now`, in order; returns when the next is, in pump time."""
        before = self.now
        while True:
            at_ms = self._next_event_ms()
            line_ms = self._deadline_ms()
            if line_ms is not None and line_ms <= now.line_ms:
                # where the client's time is not the pump's, it has no point in pump time but the end of this step
                deadline_ms = line_ms if before.is_same and now.is_same else now.pump_ms
                if at_ms is None or deadline_ms < at_ms:
                    self.now = before.on_the_way_to(now, max(self.now.pump_ms, deadline_ms))
                    self._receive(b"")
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
        waits = self.every_stroke or (self.orders.by_fault and not self.orders.is_quiet)
        if controller is None or waits or not plant.is_quiet or not plant.crystal.is_exact:
            return False
        offset_ms, last_ms = plant.crystal.offset_ms, now.pump_ms
        due_ms = self.orders.due_ms() if self.orders.by_fault else None
        if due_ms is not None:
            last_ms = min(last_ms, due_ms - 1)
        ends = controller.schedule.run_quiet_hours(last_ms + offset_ms)
        if not ends:
            return False
        ends_ms = range(ends.start - offset_ms, ends.stop - offset_ms, ends.step)
        self.now = before.on_the_way_to(now, ends_ms[-1])
        self.notes.append(QuietHours(before, now, ends_ms, plant.flash.take_writes()))
        return True

    def _next_event_ms(self) -> int | None:
        plant, orders = self.plant, self.orders
        at_ms = plant.next_event_ms()
        if orders.by_fault:
            at_ms = earlier(at_ms, orders.due_ms())
        controller = self._running
        if controller is None:
            return at_ms
        every_stroke = self.every_stroke or plant.strokes_matter or orders.strokes_matter
        return earlier(at_ms, plant.crystal.now_of(self._due_tick_ms(controller, every_stroke=every_stroke)))

    def _due_tick_ms(self, controller: Controller, *, every_stroke: bool) -> int:
        """The tick of the program's own next event, or of a test that may find something."""
        processor = self.plant.processor
        tick_ms = controller.schedule.next_event_ms(every_stroke=every_stroke)
        if not processor.healthy and (processor.disturbed or processor.fails_hourly_test):
            tick_ms = min(tick_ms, controller.integrity.next_test_ms(cells=processor.disturbed))
        return tick_ms

    def _run_event(self) -> None:
        """What is due at `now_ms`: the controller first, so that strokes up to here meet the plant as it was."""
        plant, processor = self.plant, self.plant.processor
        if plant.battery.is_faulty:
            plant.crystal.now_ms = self.now_ms
        controller = self._running
        if controller is not None:
            self._run_program(controller)
        reset_ms = None if processor.healthy else processor.next_event_ms()
        try:
            plant.advance_to(self.now.pump_ms)
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            if reset_ms is not None and reset_ms <= self.now.pump_ms:
                self._watchdog_reset()
        back_at_ms = plant.battery.back_at_ms
        if back_at_ms is not None and back_at_ms <= self.now.pump_ms:
            self._boot()
        if plant.receiver.untold:
            self.tell_receiver()
        self.orders.follow(self)

    # --- the program that runs -----------------------------------------------------------------------------------

    @property
    def _running(self) -> Controller | None:
        """The program while it runs: with power, a clock that goes on, and no task hanging that all others wait for."""
        plant = self.plant
        stands = plant.crystal.standing_since_ms is not None or plant.processor.hung_task not in RUNS_ON
        return None if stands else self.controller

    def _run_program(self, controller: Controller) -> None:
        """Let the program do what is due at `now_ms`; where that is the rig's or the plant's, it tests nothing."""
        plant, tick_ms = self.plant, self._tick_ms()
        drifts, healthy = plant.crystal.drift_ppm, plant.processor.healthy
        if drifts or not healthy:
            due_ms = self._due_tick_ms(controller, every_stroke=plant.strokes_matter)
        if drifts:  # more than one tick may fall into one ms
            tick_ms = max(controller.records.tick_ms, min(tick_ms, due_ms))
        try:
            if not healthy and due_ms <= tick_ms:
                self._test_cells(tick_ms)
            controller.schedule.run_event(tick_ms)
        except PowerCut as cut:
            self._power_cut(cut)
            return
        if controller.records.hints.untold:
            controller.send_hint(TickNow(tick_ms, self.now.line_ms))
            self._send_answered()
        self._collect()

    def _test_cells(self, tick_ms: int) -> None:
        """Let the program test its RAM and its code; where nothing is disturbed that finds nothing, and is left out.

        A program reads a cell whenever it uses what is in it: so before an event of its own, and before bytes.
        """
        processor = self.plant.processor
        if self.controller is not None and (processor.disturbed or processor.fails_hourly_test):
            self.controller.integrity.test(tick_ms, cells=processor.disturbed)

    def tell_receiver(self) -> None:
        """Call the program where the receiver woke or fell asleep; one that hangs finds out after its reset."""
        if self.controller is None or self.plant.processor.hung_task or not self.plant.receiver.take_change():
            return
        try:
            self.controller.receiver_changed(self._tick_ms())
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            self._collect()

    def _feel_hang(self) -> None:
        """Note whether the program would have done something by now but for a task that hangs."""
        controller, processor = self.controller, self.plant.processor
        if controller is None or processor.hung_task in RUNS_ON:
            return
        if controller.schedule.next_event_ms(every_stroke=True) <= self._tick_ms():
            processor.feel_hang()

    def _tick_ms(self) -> int:
        """This moment by the ticks of the program that runs."""
        return self.plant.crystal.tick_of(self.now.pump_ms)

    # --- the line ------------------------------------------------------------------------------------------------

    def _take(self, received: bytes) -> None:
        """Hand bytes of the line to the controller: frame by frame while a fault is ordered, which one may start."""
        start = 0
        while self.orders.by_fault and (end := received.find(DELIMITER, start)) >= 0:
            self._in_frame = self._in_frame or end > start
            self._receive(received[start:end])
            if self._in_frame:
                self.orders.follow(self, frames=1)
            self._receive(DELIMITER)
            start, self._in_frame = end + 1, False
        if start < len(received):
            self._receive(received[start:])
            self._in_frame = not received.endswith(DELIMITER)

    def _receive(self, received: bytes) -> None:
        """Hand bytes to the controller, none at a deadline of the link; its answers leave at the same moment."""
        controller = self.controller
        if controller is None or self._deaf:
            return
        if self.plant.battery.is_faulty:
            self.plant.crystal.now_ms = self.now_ms
        try:
            if not self.plant.processor.healthy:
                controller.therapy.turn_until(self._tick_ms())  # whoever has looked meanwhile
                self._test_cells(self._tick_ms())
            controller.receive(TickNow(self._tick_ms(), self.now.line_ms), received)
        except PowerCut as cut:
            self._sent += controller.take_answered()  # what had left before
            self._power_cut(cut)
        else:
            self._send_answered()
            self._collect()
        self.orders.follow(self)

    def _send_answered(self) -> None:
        """Send what the controller has answered, unless the supply gives way under it."""
        assert self.controller is not None  # noqa: S101 - the caller looked
        answered = self.controller.take_answered()
        if not answered:
            return
        try:
            self.plant.battery.send(len(answered))
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            self._sent += answered

    @property
    def _deaf(self) -> bool:
        """Whether bytes reach nobody: without power, and while the program's clock stands."""
        return self._running is None or bool(self.plant.processor.hung_task)

    def _deadline_ms(self) -> int | None:
        """The line time at which the link wants to be called."""
        return None if self.controller is None or self._deaf else self.controller.deadline_ms()

    def leave_frames_out(self, *, out: bool = True) -> None:
        """Leave frames out of the trace from here on, for a bench where nobody reads them; they are most of it."""
        self._traces_frames = not out
        if self.controller is not None:
            self.controller.link.observing = not out

    def begin_anew_for_clients(self, memory_id: int) -> None:
        """Let those on the line find a memory of this name, no session, and random numbers that nobody has seen."""
        self.catch_up()
        self.plant.entropy.branch = memory_id.to_bytes(MEMORY_ID_BYTES, "big")
        self._memory_id, self._sent, self._in_frame = memory_id, b"", False
        if self.controller is None:
            return  # the next start takes the name
        try:
            self.controller.begin_anew_for_clients(TickNow(self._tick_ms(), self.now.line_ms), memory_id)
        except PowerCut as cut:
            self._power_cut(cut)
        else:
            self._memory_id = None
            self._collect()

    # --- what is told of a step ----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """What the controller has to tell after an event or after bytes, and what was written to the memory."""
        controller, now = self.controller, self.now
        if controller is not None and (controller.records.events or controller.device.refills):
            self.notes += [TraceEntry(now, event) for event in controller.records.take_events()]
            self.told = controller.records.committed
            for refilled in controller.take_refills():
                self._refill_by_hand(refilled)
        if self.plant.flash.writes:
            self.notes.append(Written(now, self.plant.flash.take_writes()))

    def _refill_by_hand(self, refilled: Refilled) -> None:
        """Empty and fill the reservoir as an accepted REFILL said, unless the rig's syringe was used for it."""
        if self.hands_off_reservoir:
            self.hands_off_reservoir = False
            return
        self.plant.flow_until(self.now_ms)
        tried_nl = self.plant.reservoir.fill_by_hand(refilled.filled_nl, refilled.concentration_ng_per_ml)
        self.note(RefilledByHand(tried_nl, refilled.concentration_ng_per_ml))

    def note(self, event: Event) -> None:
        self.notes.append(TraceEntry(self.now, event))

    # --- power ---------------------------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """False while power is cut."""
        return self.controller is not None

    def _power_cut(self, cut: PowerCut, *, while_starting: bool = False) -> None:
        """Take note that a pin raised PowerCut."""
        cause = PowerCutCause(cut.load.value)
        self._power_lost(PowerLost(cause, cut.at_ms, while_starting, cut.stays_off))

    def _power_lost(self, lost: PowerLost) -> None:
        self._collect()
        self._feel_hang()
        self.controller = None
        self.plant.power_lost(self.now_ms)
        self.note(lost)
        if not lost.stays_off and self.plant.battery.back_at_ms is None:
            self._boot()

    def _watchdog_reset(self) -> None:
        """The watchdog resets the chip: the program is thrown away and starts anew at once."""
        task = self.plant.processor.hung_task
        if self.controller is None:  # a chip without power has nothing that could be reset
            self.plant.processor.lose_ram()
            return
        self._collect()
        self.controller = None
        self.plant.reset_by_watchdog(self.now_ms)
        self.note(WatchdogReset(task))
        self._boot()

    def _boot(self) -> None:
        self.plant.reboot(self.now_ms)
        self.plant.crystal.now_ms = self.now_ms
        try:
            controller = Controller(self.plant.pins(), self.profile, self._memory_id)
        except PowerCut as cut:
            self._power_cut(cut, while_starting=True)
            return
        self._memory_id = None
        self.plant.crystal.begin(self.now_ms, controller.tick_ms)
        controller.link.observing = self._traces_frames
        self.controller = controller
        for event in late_events(controller.records.log, self.told):
            self.note(event)
        self.note(PowerOn(controller.records.therapy.boot_count, controller.started_blank))
        self._collect()
        self.tell_receiver()

    # --- the rig's verbs: between steps, at `now_ms` -------------------------------------------------------------

    def cut_power(self) -> None:
        """Cut power until it is restored; nothing where it is cut already."""
        self.catch_up()
        self.plant.battery.back_at_ms = None  # of a brown-out: now it stays away
        if self.controller is not None:
            self._power_lost(PowerLost(PowerCutCause.RIG, None, while_starting=False, stays_off=True))

    def restore_power(self) -> None:
        """Restore power; nothing where there is power already."""
        if self.controller is None:
            self._boot()

    def aspirate(self, volume_nl: int | None = None) -> int:
        """Draw fluid out of the reservoir (None: all of it); returns the nL drawn. The next REFILL is not by hand."""
        self.catch_up()
        self.hands_off_reservoir = True
        taken_nl = self.plant.aspirate(volume_nl)
        self.note(SyringeAspirated(taken_nl))
        return taken_nl

    def fill(self, volume_nl: int, concentration_ng_per_ml: int) -> None:
        """Inject fluid into the reservoir; the next REFILL is not by hand. ValueError where it cannot hold it."""
        self.catch_up()
        self.plant.fill(volume_nl, concentration_ng_per_ml)
        self.hands_off_reservoir = True
        self.note(SyringeFilled(volume_nl, concentration_ng_per_ml))

    def inject(
        self,
        name: str,
        parameters: Mapping[str, object],
        start: Start = NOW,
        *,
        for_ms: int | None = None,
        every_ms: int | None = None,
        times: int = 1,
    ) -> None:
        """Cause a fault of the catalogue, at once or when `start` comes, for so long, so often (see `Order`).

        What was ordered of this fault before is called off. ValueError where there is no such fault, for a wrong
        parameter, and for a start that can never come.
        """
        order = Order(name, fault_named(name).told(parameters), start, for_ms, every_ms, times)
        self.orders.inject(self, order)

    def clear(self, name: str) -> None:
        """End a fault of the catalogue, and what was ordered of it; ValueError where there is none of that name."""
        self.orders.clear(self, name)

    def stall_motor(self, on: bool) -> None:  # noqa: FBT001 - a switch is a boolean
        """Hold the rotor, or let it go: the fault motor-stall."""
        if on:
            self.inject("motor-stall", {})
        else:
            self.clear("motor-stall")

    def end_lease(self, who: str, faults: Iterable[str]) -> None:
        """End those of the faults that are still there or to come: whoever injected them has gone without a word."""
        self.note(LeaseEnded(who, self.orders.clear_each(self, faults)))

    # --- looking into it -----------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Turn the strokes that are due by now: before the rig changes the plant, and before anybody looks into it."""
        if self.plant.battery.is_faulty:
            self.plant.crystal.now_ms = self.now_ms
        controller = self._running
        if controller is not None:
            try:
                controller.therapy.turn_until(self._tick_ms())
            except PowerCut as cut:
                self._power_cut(cut)
        self.plant.flow_until(self.now_ms)

    def truth(self) -> Truth:
        """What is physically so, now."""
        self.catch_up()
        return self.plant.truth(self.now_ms)

    def tones(self) -> tuple[Tone, ...]:
        """The last tones that were heard, the newest last; `truth` counts them all."""
        return self.plant.sounder.heard

    def belief(self) -> Belief | None:
        """What the program in the pump believes, now; None without power."""
        self.catch_up()
        return None if self.controller is None else self.controller.belief(self._tick_ms())

    def faults(self) -> tuple[FaultState, ...]:
        """Every fault of the catalogue as it stands in this pump."""
        return self.orders.states(self)

    def fork(self) -> Pump:
        """Another pump in the same state, with a future of its own."""
        return copy_state(self)
