"""When a fault starts, how long it lasts and how often it comes, as data: what a rig has ordered and is still to come.

Nothing here acts: `pump` looks at the orders after each event and causes the faults. Times are pump time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.events import FaultValue
from firmware_emu.faults.fault import COUNT_MAX
from firmware_emu.plant.component import StateError, field, integer, section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from firmware_emu.plant.component import Json


class At(StrEnum):
    """What a fault waits for."""

    TIME = "time"
    STROKE = "stroke"
    WRITE = "write"
    FRAME = "frame"
    EVENT = "event"
    CONDITION = "condition"


class Start(NamedTuple):
    """When a fault starts.

    After so many ms; behind the `nth` commanded stroke, write to the memory or event; as the `nth` frame has come,
    before the pump acts on it; or at the first event, each stroke being one, at which a condition holds.
    """

    at: At = At.TIME
    nth: int = 1
    """Of strokes, writes, frames or events, from now on."""
    after_ms: int = 0
    event: str = ""
    """Kind of the event and, after a blank, the name of a value in it, if that matters: `AlarmRaised MOTOR_STALL`."""
    condition: str = ""
    """`truth.true_nl_ppm <= 2000000000000`, or of `belief`."""

    def told(self) -> tuple[At, int, int, str]:
        """What it waits for, for the trace: the kind, the count, the time, and the event or condition."""
        return self.at, self.nth, self.after_ms, self.event or self.condition


NOW: Final = Start()
PARTS: Final[Mapping[At, tuple[str, ...]]] = {
    At.TIME: ("after_ms",),
    At.STROKE: ("nth",),
    At.WRITE: ("nth",),
    At.FRAME: ("nth",),
    At.EVENT: ("nth", "event"),
    At.CONDITION: ("condition",),
}
"""The fields that say something, by what is waited for."""


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
        return self._replace(left=0 if self.start.at is At.CONDITION else self.start.nth)

    def started(self, now_ms: int) -> Order:
        """The order after the fault has started at this time."""
        ends_at_ms = None if self.for_ms is None else now_ms + self.for_ms
        begun = self._replace(begun=self.begun + 1, left=0, starts_at_ms=None, ends_at_ms=ends_at_ms)
        return begun if begun.begun >= begun.times else begun.waiting(now_ms)


def checked_order(order: Order) -> Order:
    """The order, if it can be; ValueError says what is wrong with it."""
    said = set(PARTS[order.start.at])
    for name, default in Start._field_defaults.items():
        if name != "at" and name not in said and getattr(order.start, name) != default:
            raise ValueError(f"a start at a {order.start.at} has no {name}; it has {', '.join(sorted(said))}")
    for name, value, lowest in (
        ("nth", order.start.nth, 1),
        ("after_ms", order.start.after_ms, 0),
        ("for_ms", order.for_ms, 1),
        ("every_ms", order.every_ms, 1),
        ("times", order.times, 1),
    ):
        if value is not None and (type(value) is not int or not lowest <= value <= COUNT_MAX):
            raise ValueError(f"{name} must be a whole number from {lowest} to {COUNT_MAX}, is {value!r}")
    if order.times > 1 and order.every_ms is None and order.start.at in (At.TIME, At.CONDITION):
        raise ValueError(
            f"a fault that starts {order.times} times at a {order.start.at} needs every_ms: how long between"
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
