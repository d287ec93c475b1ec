"""The orders of one pump: which faults are still to start, and which to end. `pump` asks after each thing that happens.

It counts and compares; that a fault starts is the doing of whoever asks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from firmware_emu.conditions import condition_of, event_named
from firmware_emu.events import TraceEntry
from firmware_emu.faults.orders import At, Order, checked_order
from firmware_emu.trace import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from firmware_emu.controller.controller import Belief
    from firmware_emu.plant.truth import Truth
    from firmware_emu.trace import Note

    Seen = tuple[Truth, Belief | None]

_event_named = lru_cache(event_named)
_condition_of = lru_cache(condition_of)


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
        return any(order.waits_for in (At.STROKE, At.CONDITION) for order in self.by_fault.values())

    @property
    def is_quiet(self) -> bool:
        """Whether no stroke and no write to the memory can start one."""
        waits = {order.waits_for for order in self.by_fault.values()}
        return not waits & {At.STROKE, At.CONDITION, At.WRITE}

    def count(self, notes: Iterable[Note], driven: int, frames: int = 0) -> None:
        """Take in what has happened since the last call: events and writes, strokes commanded in all, and frames."""
        strokes, self.driven = driven - self.driven, driven
        events, writes = [], 0
        for note in notes:
            if isinstance(note, TraceEntry):
                events.append(note.event)
            elif isinstance(note, Written):
                writes += len(note.writes)
        counted = {At.STROKE: strokes, At.WRITE: writes, At.FRAME: frames}
        for name, order in self.by_fault.items():
            if order.waits_for is At.EVENT:
                wanted = _event_named(order.start.event)
                seen = sum(wanted.matches(event) for event in events)
            elif order.waits_for in counted:
                seen = counted[order.waits_for]
            else:
                continue
            self.by_fault[name] = order._replace(left=max(0, order.left - seen))

    def take_ended(self, now_ms: int) -> list[str]:
        """Faults whose time is over."""
        ended = []
        for name, order in list(self.by_fault.items()):
            if order.ends_at_ms is not None and order.ends_at_ms <= now_ms:
                ended.append(name)
                self.put(order._replace(ends_at_ms=None))
        return ended

    def take_started(self, now_ms: int, look: Callable[[], Seen]) -> list[Order]:
        """Orders whose fault is to start now; `look` gives truth and belief, for those that wait for a condition."""
        started = []
        for order in list(self.by_fault.values()):
            match order.waits_for:
                case None:
                    starts = False
                case At.TIME:
                    starts = order.starts_at_ms is not None and order.starts_at_ms <= now_ms
                case At.CONDITION:
                    starts = _condition_of(order.start.condition).holds(*look())
                case _:
                    starts = not order.left
            if starts:
                started.append(order)
                self.put(order.started(now_ms))
        return started


def checked(order: Order) -> Order:
    """The order, if it waits for what can come; ValueError says what is wrong with it."""
    if order.start.at is At.EVENT:
        event_named(order.start.event)
    if order.start.at is At.CONDITION:
        condition_of(order.start.condition)
    return checked_order(order)
