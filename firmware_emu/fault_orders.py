"""The fault orders of one pump: what a rig has ordered, what is still to come of it, and that it comes.

`Pump` takes the verbs of a rig and calls `follow` after each thing that happens; which faults start and end then is
decided here, and done to that pump. Orders know no pump between two calls, so they are copied and kept as plain data.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from firmware_emu.awaited import AwaitedCondition, AwaitedEvents, awaited
from firmware_emu.events import FaultCleared, FaultImpossible, FaultInjected, FaultOrdered, TraceEntry
from firmware_emu.faults.catalogue import fault_named, states_of
from firmware_emu.faults.orders import COMPARED, COUNTED, NOW, At, Order, checked_order
from firmware_emu.trace import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from firmware_emu.faults.fault import FaultState
    from firmware_emu.faults.orders import Start
    from firmware_emu.pump import Pump
    from firmware_emu.trace import Note

NEVER_TOLD: Final = ("FrameReceived", "FrameSent", "MemoryChanged")
"""Events that not every bench makes, so that no fault can wait for one; frames and writes are counted instead."""


@lru_cache
def _awaited(start: Start) -> AwaitedEvents | AwaitedCondition:
    """What is waited for; it is asked whether it matches, and nothing else: who counts is the order."""
    return awaited(start.at, **start.said())


class FaultOrders:
    """At most one order a fault."""

    __slots__ = ("_driven", "_seen", "by_fault")

    def __init__(self, orders: Iterable[Order] = (), driven: int = 0) -> None:
        """`driven`: strokes that have been commanded so far."""
        self.by_fault = {order.fault: order for order in orders}
        """What is still to come of each fault; none for a fault of which nothing is."""
        self._driven = driven
        self._seen = 0  # notes of the pump, of this step, that have been counted

    # --- what a rig orders --------------------------------------------------------------------------------------

    def inject(self, pump: Pump, order: Order) -> None:
        """Take an order in the place of what was ordered of its fault before; one for now starts at once.

        ValueError for an order that can never come, and where the pump, as it stands, cannot take the fault.
        """
        checked(order)
        pump.catch_up()
        self.follow(pump)
        self._seen, self._driven = len(pump.notes), pump.plant.rotor.strokes_driven
        if order.start == NOW:
            _cause(pump, order)
            self._put(order.started(pump.now_ms))
        else:
            self._put(order.waiting(pump.now_ms))
            told = order.start.told()
            pump.note(
                FaultOrdered(order.fault, order.values, *told, order.for_ms, order.every_ms, order.times)
            )

    def clear(self, pump: Pump, name: str) -> None:
        """End a fault, and call off what was ordered of it; ValueError where there is none of that name."""
        fault_named(name)
        pump.catch_up()
        self.by_fault.pop(name, None)
        _end(pump, name)

    def clear_each(self, pump: Pump, names: Iterable[str]) -> tuple[str, ...]:
        """Clear those of the faults that are there or to come, and return their names."""
        pump.catch_up()
        cleared = tuple(
            name for name in names if name in self.by_fault or fault_named(name).is_on(pump.plant)
        )
        for name in cleared:
            self.clear(pump, name)
        return cleared

    def states(self, pump: Pump) -> tuple[FaultState, ...]:
        """Every fault of the catalogue as it stands in this pump, its effects so far, and what is ordered of it."""
        pump.catch_up()
        return states_of(pump.plant, self.by_fault)

    # --- what they wait for -------------------------------------------------------------------------------------

    def due_ms(self) -> int | None:
        """When the next one starts or ends by itself; None where none does."""
        due = [at_ms for order in self.by_fault.values() if (at_ms := order.due_ms()) is not None]
        return min(due, default=None)

    @property
    def strokes_matter(self) -> bool:
        """Whether one may start behind the next stroke: then each should be a step of its own."""
        orders = self.by_fault.values()
        return bool(orders) and any(order.waits_for in (At.STROKE, *COMPARED) for order in orders)

    @property
    def is_quiet(self) -> bool:
        """Whether no stroke and no write to the memory can start one."""
        waits = {order.waits_for for order in self.by_fault.values()}
        return not waits & {At.STROKE, At.WRITE, *COMPARED}

    # --- what happens -------------------------------------------------------------------------------------------

    def follow(self, pump: Pump, frames: int = 0) -> None:
        """Start and end the faults that were ordered for what has just happened, until nothing more follows from it.

        `frames`: how many have been received since the last call.
        """
        while self.by_fault:
            notes, self._seen = pump.notes[self._seen :], len(pump.notes)
            self._count(notes, pump.plant.rotor.strokes_driven, frames)
            frames = 0
            for name in self._take_ended(pump.now_ms):
                _end(pump, name)
            for order in self._take_started(pump):
                try:
                    _cause(pump, order)
                except ValueError as error:
                    pump.note(FaultImpossible(order.fault, str(error)))
            if self._seen == len(pump.notes):
                break

    def follow_rig(self, pump: Pump) -> None:
        """The same at the start of a step, where a rig has done something since the last one."""
        if self._seen < len(pump.notes):
            self.follow(pump)

    def end_step(self) -> None:
        """The notes of this step are handed over: those of the next one are counted from the first on."""
        self._seen = 0

    def _put(self, order: Order) -> None:
        """Keep it, in the place of what was ordered of this fault before, as long as something of it is to come."""
        if order.is_over:
            self.by_fault.pop(order.fault, None)
        else:
            self.by_fault[order.fault] = order

    def _count(self, notes: Sequence[Note], driven: int, frames: int) -> None:
        """Take in what has happened since the last call: events and writes, strokes commanded in all, and frames."""
        strokes, self._driven = driven - self._driven, driven
        entries = [note for note in notes if isinstance(note, TraceEntry)]
        writes = sum(len(note.writes) for note in notes if isinstance(note, Written))
        counted = {At.STROKE: strokes, At.WRITE: writes, At.FRAME: frames}
        for name, order in self.by_fault.items():
            waits_for = order.waits_for
            if waits_for in COUNTED:
                seen = counted.get(waits_for)
                if seen is None:
                    seen = len(_awaited(order.start).wanted(entries))
                self.by_fault[name] = order._replace(left=max(0, order.left - seen))

    def _take_ended(self, now_ms: int) -> list[str]:
        """Faults whose time is over."""
        ended = []
        for name, order in list(self.by_fault.items()):
            if order.ends_at_ms is not None and order.ends_at_ms <= now_ms:
                ended.append(name)
                self._put(order._replace(ends_at_ms=None))
        return ended

    def _take_started(self, pump: Pump) -> list[Order]:
        """Orders whose fault is to start now, with this pump as it stands."""
        now_ms = pump.now_ms
        started = []
        for order in list(self.by_fault.values()):
            match order.waits_for:
                case None:
                    starts = False
                case At.TIME:
                    starts = order.starts_at_ms is not None and order.starts_at_ms <= now_ms
                case At.TRUTH | At.BELIEF:
                    starts = _awaited(order.start).is_reached(pump)
                case _:
                    starts = not order.left
            if starts:
                started.append(order)
                self._put(order.started(now_ms))
        return started


def _cause(pump: Pump, order: Order) -> None:
    """Let the fault of an order start; ValueError where the plant, as it stands, cannot take it."""
    fault, plant = fault_named(order.fault), pump.plant
    plant.crystal.now_ms = pump.now_ms
    if pump.controller is not None and not plant.processor.disturbed:
        pump.controller.integrity.store_cells()  # put off until somebody can see what is in them
    fault.inject(plant, pump.now_ms, fault.values(dict(order.values)))
    pump.note(FaultInjected(order.fault, order.values))
    pump.tell_receiver()


def _end(pump: Pump, name: str) -> None:
    pump.plant.crystal.now_ms = pump.now_ms
    fault_named(name).clear(pump.plant, pump.now_ms)
    pump.note(FaultCleared(name))
    pump.tell_receiver()


def checked(order: Order) -> Order:
    """The order, if it waits for what can come; ValueError says what is wrong with it."""
    checked_order(order)
    if order.start.name in NEVER_TOLD:
        raise ValueError(
            f"no fault waits for {order.start.name}; frames and writes are counted: at frame, at write"
        )
    if order.start.at in (At.EVENT, At.ALARM, *COMPARED):
        _awaited(order.start)
    return order
