"""What can be waited for: an event by its name, an alarm, or a comparison of one field of truth or belief.

A time run ends at it, and a fault starts. Whatever is asked for and cannot be is refused with what there is. Knows no
time: who waits asks at each event, and lets each stroke be one where `every_stroke` says so.
"""

from __future__ import annotations

import operator as operators
from enum import Enum, EnumType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from firmware_emu.controller.controller import Belief
from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten, ProgramEvent
from firmware_emu.events import Event, MemoryWritten, kind_of
from firmware_emu.faults import orders
from firmware_emu.faults.orders import At
from firmware_emu.plant.truth import Truth
from protocol.identifiers import AlarmId
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from firmware_emu.events import TraceEntry
    from firmware_emu.pump import Pump

Value = bool | int | str | None
"""A value of a field as JSON has it: an enum is its name, None what is not there."""
OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operators.lt,
    "<=": operators.le,
    "==": operators.eq,
    "!=": operators.ne,
    ">=": operators.ge,
    ">": operators.gt,
}
EQUALITY: Final = ("==", "!=")
FIELDS: Final[dict[str, dict[str, Any]]] = {"truth": get_type_hints(Truth), "belief": get_type_hints(Belief)}
TAKES: Final[dict[str, tuple[str, ...]]] = {
    at.value: orders.TAKES[at] for at in (At.EVENT, At.ALARM, At.TRUTH, At.BELIEF)
}
"""What can be waited for, and what is said of it: a part of what a fault can wait for."""
UNSAID: Final[dict[str, Value]] = {
    name: nothing for name, nothing in orders.UNSAID.items() if any(name in takes for takes in TAKES.values())
}
"""All that can be said of it, each as it is where it was not said."""


class AwaitedError(ValueError):
    """Nothing of that kind can happen to a pump."""


class AwaitedEvents:
    """The n-th event, from the start of the wait, of those that a test lets pass."""

    every_stroke = False

    def __init__(self, is_wanted: Callable[[Event], bool], count: int) -> None:
        self._is_wanted = is_wanted
        self._left = count

    def wanted(self, entries: Iterable[TraceEntry]) -> list[TraceEntry]:
        """Those of the entries that are waited for; each counts."""
        found = [entry for entry in entries if self._is_wanted(entry.event)]
        self._left -= len(found)
        return found

    def is_reached(self, _pump: Pump) -> bool:
        """Whether as many have happened as are waited for."""
        return self._left <= 0


class AwaitedCondition:
    """A comparison of one field of truth or belief; belief compares with nothing while there is no power.

    What follows time alone, as a battery's voltage, is seen at each event.
    """

    every_stroke = True

    def __init__(self, side: str, field: str, operator: str, value: Value) -> None:
        self._of_belief = side == "belief"
        self._field = field
        self._compare = OPERATORS[operator]
        self._is_equality = operator in EQUALITY
        self._value = value

    def wanted(self, _entries: Iterable[TraceEntry]) -> list[TraceEntry]:
        """None: a condition is no event."""
        return []

    def seen(self, pump: Pump) -> Value:
        """The field's value now; None without power, for belief."""
        seen = pump.belief() if self._of_belief else pump.truth()
        value = getattr(seen, self._field) if seen is not None else None
        return value.name if isinstance(value, Enum) else value

    def is_reached(self, pump: Pump) -> bool:
        """Whether it holds now."""
        if self._of_belief and not pump.powered:
            return False
        seen = self.seen(pump)
        if seen is None and not self._is_equality:
            return False  # what is not there is neither less nor more
        return self._compare(seen, self._value)


Awaited = AwaitedEvents | AwaitedCondition


def awaited(
    what: str,
    *,
    name: str | None = None,
    cleared: bool = False,
    count: int = 1,
    field: str | None = None,
    operator: str | None = None,
    value: Value = None,
) -> Awaited:
    """What is waited for; AwaitedError for what cannot happen, with what there is.

    `what` is "event" (`name` a kind of event, or the type of a log entry; any of the program's own without one),
    "alarm" (`name` of an AlarmId, raised or `cleared`), the `count`-th of it, or "truth" or "belief" (`field operator
    value`).
    """
    given = {
        "name": name,
        "cleared": cleared,
        "count": count,
        "field": field,
        "operator": operator,
        "value": value,
    }
    if not isinstance(what, str) or what not in TAKES:
        raise AwaitedError(f"nothing waits for {what!r}; what is waited for is one of {_listed(TAKES)}")
    for said, asked in given.items():
        if said not in TAKES[what] and asked != UNSAID[said]:
            raise AwaitedError(f"{said} says nothing of {what}, of which {_listed(TAKES[what])} are said")
    for said, asked, kind in (("name", name, str), ("field", field, str), ("operator", operator, str)):
        if asked is not None and not isinstance(asked, kind):
            raise AwaitedError(f"{said} is {asked!r}, and a text is expected")
    if type(cleared) is not bool:
        raise AwaitedError(f"cleared is {cleared!r}, and true or false is expected")
    if what == "event":
        return AwaitedEvents(_event_named(name), _checked_count(count))
    if what == "alarm":
        return AwaitedEvents(
            _alarm_named(name, AlarmCleared if cleared else AlarmRaised), _checked_count(count)
        )
    return _condition(what, field, operator, value)


def event_kinds() -> dict[str, type[Event]]:
    """Every kind of event that there is, by its name."""
    found: dict[str, type[Event]] = {}
    pending = [Event]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind not in {Event, ProgramEvent, MemoryWritten}:  # nobody sees what is written, see MemoryChanged
            found[kind.__name__] = kind
    return dict(sorted(found.items()))


def _event_named(name: str | None) -> Callable[[Event], bool]:
    if name is None:
        return lambda event: isinstance(event, ProgramEvent)
    if name in LogType.__members__:
        log_type = LogType[name]
        return lambda event: isinstance(event, LogWritten) and event.log_type is log_type
    kinds = event_kinds()
    if name not in kinds:
        raise AwaitedError(
            f"there is no event {name!r}; there are {_listed(kinds)}, and the entries of a log, "
            f"{_listed(LogType.__members__)}"
        )
    return lambda event: kind_of(event) == name


def _alarm_named(name: str | None, change: type[AlarmRaised | AlarmCleared]) -> Callable[[Event], bool]:
    if name is None:
        return lambda event: isinstance(event, change)
    if name not in AlarmId.__members__:
        raise AwaitedError(f"there is no alarm {name!r}; there are {_listed(AlarmId.__members__)}")
    alarm_id = AlarmId[name]
    return lambda event: isinstance(event, change) and event.alarm_id is alarm_id


def _checked_count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise AwaitedError(f"count is {count!r}, and a whole number from 1 on is expected: the n-th")
    return count


def _condition(side: str, field: str | None, operator: str | None, value: Value) -> AwaitedCondition:
    if field not in FIELDS[side]:
        had = "no field was named" if field is None else f"{side} has no field {field!r}"
        raise AwaitedError(f"{had}; {side} has {_listed(FIELDS[side])}")
    if operator not in OPERATORS:
        had = "no operator was named" if operator is None else f"there is no operator {operator!r}"
        raise AwaitedError(f"{had}; there are {_listed(OPERATORS)}")
    kinds = get_args(FIELDS[side][field]) or (FIELDS[side][field],)
    kind = next(each for each in kinds if each is not type(None))
    expected, is_one = _values_of(kind, value)
    if value is None:
        is_one = type(None) in kinds
    if type(None) in kinds:
        expected += " or null"
    if not is_one:
        raise AwaitedError(f"{field} of {side} is {expected}, and is never {value!r}")
    if operator not in EQUALITY and (kind is not int or value is None):
        raise AwaitedError(f"{field} of {side} compares with {value!r} by {_listed(EQUALITY)} alone")
    return AwaitedCondition(side, field, operator, value)


def _values_of(kind: Any, value: Value) -> tuple[str, bool]:
    """What a field of this type holds, in words, and whether a value is of it."""
    if isinstance(kind, EnumType):
        return f"one of {_listed(kind.__members__)}", isinstance(value, str) and value in kind.__members__
    words = {bool: "true or false", int: "a whole number", str: "a text"}
    return words[kind], type(value) is kind


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
