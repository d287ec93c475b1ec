"""The orders of one pump: which faults are still to start, and which to end. `pump` asks after each thing that happens.

It counts and compares; that a fault starts is the doing of whoever asks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from firmware_emu.awaited import AwaitedCondition, AwaitedEvents, awaited
from firmware_emu.events import TraceEntry
from firmware_emu.faults.orders import COMPARED, COUNTED, At, Order, checked_order
from firmware_emu.trace import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

    __slots__ = ("by_fault", "driven")

    def __init__(self, orders: Iterable[Order] = (), driven: int = 0) -> None:
        """`driven`: strokes that have been commanded so far."""
        self.by_fault = {order.fault: order for order in orders}
        self.driven = driven

    def put(self, order: Order) -> None:
        """Keep it, in the place of what was ordered of this fault before, as long as something of it is to come."""
        if order.is_over:
            self.by_fault.pop(order.fault, None)
        else:
            self.by_fault[order.fault] = order

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

    def count(self, notes: Sequence[Note], driven: int, frames: int = 0) -> None:
        """Take in what has happened since the last call: events and writes, strokes commanded in all, and frames."""
        strokes, self.driven = driven - self.driven, driven
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

    def take_ended(self, now_ms: int) -> list[str]:
        """Faults whose time is over."""
        ended = []
        for name, order in list(self.by_fault.items()):
            if order.ends_at_ms is not None and order.ends_at_ms <= now_ms:
                ended.append(name)
                self.put(order._replace(ends_at_ms=None))
        return ended

    def take_started(self, pump: Pump) -> list[Order]:
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
                self.put(order.started(now_ms))
        return started


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
