"""When a fault starts, how long it lasts and how often it comes, as data: what a rig has ordered and is still to come.

Nothing here acts: `fault_orders` looks at the orders after each event and causes the faults. Times are pump time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.events import FaultValue, Said
from firmware_emu.faults.fault import COUNT_MAX
from firmware_emu.plant.component import StateError, field, integer, section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from firmware_emu.plant.component import Json


class At(StrEnum):
    """What a fault waits for; the last four are those of `awaited`."""

    TIME = "time"
    STROKE = "stroke"
    WRITE = "write"
    FRAME = "frame"
    EVENT = "event"
    ALARM = "alarm"
    TRUTH = "truth"
    BELIEF = "belief"


COUNTED: Final = (At.STROKE, At.WRITE, At.FRAME, At.EVENT, At.ALARM)
COMPARED: Final = (At.TRUTH, At.BELIEF)


class Start(NamedTuple):
    """When a fault starts.

    After so many ms; behind the `count`-th commanded stroke, write to the memory, event or alarm; as the `count`-th
    frame has come, before the pump acts on it; or at the first event, each stroke being one, at which a field compares
    so.
    """

    at: At = At.TIME
    after_ms: int = 0
    count: int = 1  # type: ignore[assignment] # hides the method of tuple, which nobody calls on a start
    """From now on."""
    name: str | None = None
    """Kind of the event, type of the log's entry, or the alarm."""
    cleared: bool = False
    """Of an alarm: ended rather than raised."""
    field: str | None = None
    operator: str | None = None
    value: bool | int | str | None = None

    def said(self) -> dict[str, Any]:
        """What is said of what is waited for, without what is as it is unsaid."""
        return {name: each for name, each in self._asdict().items() if name != "at" and each != UNSAID[name]}

    def told(self) -> tuple[At, tuple[Said, ...]]:
        """The same for the trace: what it waits for, and what is said of that."""
        return self.at, tuple(Said(name, each) for name, each in self.said().items())


UNSAID: Final = Start._field_defaults
NOW: Final = Start()
TAKES: Final[Mapping[At, tuple[str, ...]]] = {
    At.TIME: ("after_ms",),
    At.STROKE: ("count",),
    At.WRITE: ("count",),
    At.FRAME: ("count",),
    At.EVENT: ("name", "count"),
    At.ALARM: ("name", "cleared", "count"),
    At.TRUTH: ("field", "operator", "value"),
    At.BELIEF: ("field", "operator", "value"),
}
"""What is said of each."""


class Order(NamedTuple):
    """A fault that is to come, or to end, or to come again."""

    fault: str
    values: tuple[FaultValue, ...]
    start: Start
    for_ms: int | None = None
    """How long it lasts each time; None: until it is cleared, or ends by itself."""
    every_ms: int | None = None
    """So long after each start it starts again; None: when what it waits for comes again."""
    times: int = 1
    """How often it is to start in all."""
    begun: int = 0
    """How often it has started."""
    left: int = 0
    """Strokes, writes, frames or events that are still to come before it starts; 0 where none are counted."""
    starts_at_ms: int | None = None
    ends_at_ms: int | None = None

    @property
    def waits_for(self) -> At | None:
        """What it waits for now; None where it will not start any more."""
        if self.begun >= self.times:
            return None
        return At.TIME if self.starts_at_ms is not None else self.start.at

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is to come."""
        return self.waits_for is None and self.ends_at_ms is None

    def due_ms(self) -> int | None:
        """The next time at which it starts or ends by itself; None where it waits for something else."""
        times_ms = [at_ms for at_ms in (self.starts_at_ms, self.ends_at_ms) if at_ms is not None]
        return min(times_ms, default=None)

    def waiting(self, now_ms: int) -> Order:
        """The order that waits anew, from now on, for what it waits for."""
        if self.begun and self.every_ms is not None:
            return self._replace(starts_at_ms=now_ms + self.every_ms)
        if self.start.at is At.TIME:
            return self._replace(starts_at_ms=now_ms + self.start.after_ms)
        return self._replace(left=0 if self.start.at in COMPARED else self.start.count)

    def started(self, now_ms: int) -> Order:
        """The order after the fault has started at this time."""
        ends_at_ms = None if self.for_ms is None else now_ms + self.for_ms
        begun = self._replace(begun=self.begun + 1, left=0, starts_at_ms=None, ends_at_ms=ends_at_ms)
        return begun if begun.begun >= begun.times else begun.waiting(now_ms)


def checked_order(order: Order) -> Order:
    """The order, if it can be; ValueError says what is wrong with it."""
    takes = TAKES[order.start.at]
    for name in order.start.said():
        if name not in takes:
            raise ValueError(f"{name} says nothing of {order.start.at}, of which {', '.join(takes)} are said")
    for name, value, lowest in (
        ("count", order.start.count, 1),
        ("after_ms", order.start.after_ms, 0),
        ("for_ms", order.for_ms, 1),
        ("every_ms", order.every_ms, 1),
        ("times", order.times, 1),
    ):
        if value is not None and (type(value) is not int or not lowest <= value <= COUNT_MAX):
            raise ValueError(f"{name} must be a whole number from {lowest} to {COUNT_MAX}, is {value!r}")
    if order.times > 1 and order.every_ms is None and order.start.at in (At.TIME, *COMPARED):
        raise ValueError(
            f"a fault that starts {order.times} times at {order.start.at} needs every_ms: how long between"
        )
    if order.every_ms is not None and order.times == 1:
        raise ValueError("every_ms says how long between two starts, and there is one; say times")
    if order.every_ms is not None and order.for_ms is not None and order.for_ms >= order.every_ms:
        raise ValueError(
            f"for_ms, {order.for_ms}, must be less than every_ms, {order.every_ms}: it would never end"
        )
    return order


def order_to_json(order: Order) -> Json:
    """The order as plain JSON values."""
    start = order.start._asdict() | {"at": order.start.at.value}
    return order._asdict() | {"values": [list(each) for each in order.values], "start": start}


def order_from_json(state: Json) -> Order:
    """An order that `order_to_json` gave; ValueError where it can be none."""
    start, values = section(state, "start"), field(state, "values")
    if not isinstance(values, list) or not all(_is_value(each) for each in values):
        raise StateError(f"values must be rows of a name and a number, are {values!r:.60}")
    try:
        order = Order(
            fault=str(field(state, "fault")),
            values=tuple(FaultValue(*each) for each in values),
            start=Start(**{**start, "at": At(field(start, "at"))}),
            for_ms=field(state, "for_ms"),
            every_ms=field(state, "every_ms"),
            times=field(state, "times"),
            begun=integer(state, "begun"),
            left=integer(state, "left"),
            starts_at_ms=_time_or_none(state, "starts_at_ms"),
            ends_at_ms=_time_or_none(state, "ends_at_ms"),
        )
    except TypeError as error:
        raise StateError(f"start must have the fields {', '.join(Start._fields)}") from error
    return checked_order(order)


def _is_value(each: object) -> bool:
    return isinstance(each, list) and [type(part) for part in each] == [str, int]


def _time_or_none(state: Json, name: str) -> int | None:
    return None if field(state, name) is None else integer(state, name)
