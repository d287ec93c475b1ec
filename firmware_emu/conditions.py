"""What a rig can wait for: an event by its kind, or a comparison with a value of the truth or of the pump's belief.

Both are read from text and checked against what there is, so that nobody waits for what can never come.
"""

from __future__ import annotations

import operator
import re
from enum import Enum, EnumType
from typing import TYPE_CHECKING, Final, NamedTuple, get_args, get_type_hints

from firmware_emu.controller.controller import Belief
from firmware_emu.controller.events import FrameReceived, FrameSent
from firmware_emu.events import Event, MemoryWritten, kind_of
from firmware_emu.plant.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
SIDES: Final[dict[str, type[NamedTuple]]] = {"truth": Truth, "belief": Belief}
_CONDITION: Final = re.compile(r"(\w+)\.(\w+)\s*([<>=!]+)\s*(-?\w+)")
_WORDS: Final = {"false": 0, "true": 1}
_COUNTED: Final = {FrameReceived, FrameSent, MemoryWritten}
"""Kinds that are not waited for by name: not every bench makes them, and each is counted elsewhere."""


class EventName(NamedTuple):
    """A kind of event and, where that matters, the name of a value in it."""

    kind: str
    value: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether it is one of these."""
        if kind_of(event) != self.kind:
            return False
        values = [getattr(event, name) for name in event.__match_args__]
        return self.value is None or self.value in [each.name for each in values if isinstance(each, Enum)]


class Condition(NamedTuple):
    """A comparison with a value of the truth or of the belief; what is none there, holds of nothing."""

    side: str
    field: str
    comparison: str
    value: int
    """A number; of a yes or no 0 or 1, of an enum its number."""

    def holds(self, truth: Truth, belief: Belief | None) -> bool:
        """Whether it does; never of a belief where there is no power."""
        seen: int | None = getattr(truth if self.side == "truth" else belief, self.field, None)
        return seen is not None and COMPARISONS[self.comparison](seen, self.value)


def event_named(text: str) -> EventName:
    """Read `AlarmRaised` or `AlarmRaised MOTOR_STALL`; ValueError says which kinds and values there are."""
    kind, _, value = text.strip().partition(" ")
    kinds = {each.__name__: each for each in _kinds(Event) if each not in _COUNTED}
    if kind not in kinds:
        raise ValueError(f"there is no event {kind!r}; there are {', '.join(sorted(kinds))}")
    value = value.strip()
    if not value:
        return EventName(kind)
    enums = [hint for hint in get_type_hints(kinds[kind]).values() if isinstance(hint, EnumType)]
    names = [name for enum in enums for name in enum.__members__]
    if value not in names:
        raise ValueError(f"no {kind} has a value {value!r}; it has {', '.join(names) or 'no named values'}")
    return EventName(kind, value)


def condition_of(text: str) -> Condition:
    """Read `truth.battery_mv <= 2600` or `belief.state == STOPPED`; ValueError says what is expected."""
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is no condition; write truth.FIELD or belief.FIELD, one of {' '.join(COMPARISONS)}, and a value"
        )
    side, name, comparison, said = found.groups()
    if side not in SIDES:
        raise ValueError(f"there is no {side}; a condition is on {' or '.join(SIDES)}")
    if comparison not in COMPARISONS:
        raise ValueError(f"there is no {comparison}; there are {' '.join(COMPARISONS)}")
    hints = get_type_hints(SIDES[side])
    if name not in hints:
        raise ValueError(f"the {side} has no {name}; it has {', '.join(hints)}")
    return Condition(side, name, comparison, _value_of(said, f"{side}.{name}", hints[name]))


def _value_of(said: str, whose: str, hint: object) -> int:
    kinds = [each for each in (get_args(hint) or (hint,)) if each is not type(None)]
    for kind in kinds:
        if isinstance(kind, EnumType):
            if said in kind.__members__:
                return int(kind[said].value)
            raise ValueError(f"{whose} is one of {', '.join(kind.__members__)}, not {said}")
        if kind is bool:
            if said in _WORDS:
                return _WORDS[said]
            raise ValueError(f"{whose} is true or false, not {said}")
    try:
        return int(said)
    except ValueError as error:
        raise ValueError(f"{whose} is a whole number, not {said!r}") from error


def _kinds(base: type[Event]) -> Iterator[type[Event]]:
    """All kinds of event below a class that have no kind below them."""
    below = base.__subclasses__()
    if not below:
        yield base
    for each in below:
        yield from _kinds(each)
