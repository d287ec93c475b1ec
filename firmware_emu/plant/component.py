"""What every piece of the plant has in common: it is a value, so it can be copied and put on file.

No physics here. A part's slots hold plain immutable values, flat dicts or lists of those, and other parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Final, NamedTuple, Self

Json = dict[str, Any]


class Range(NamedTuple):
    """The integers that a saved value can be, both ends included."""

    lowest: int = 0
    highest: int = (1 << 63) - 1


Kind = Range | type[bool]
"""What a saved value can be."""
Kinds = Mapping[str, Kind]
COUNT: Final = Range()
"""A count or a time: no pump lives to see more."""
SIGNED: Final = Range(-COUNT.highest)
VOLUME: Final = Range(0, 1 << 80)
"""nL x 10^-6, a sum of all that ever moved: a rig may fill and draw for a century."""
POSITION: Final = Range(-VOLUME.highest, VOLUME.highest)
"""nL x 10^-6, on the line of all fluid that ever left the reservoir; before it lies what was in the path at first."""
DRUG: Final = Range(0, VOLUME.highest << 32)
"""fg x 10^-6: that volume at the u32 of a concentration in ng/mL."""


class StateError(ValueError):
    """A snapshot on file that is no state of this plant; the message names the field."""


class Component:
    """A piece of the plant."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    SAVED: ClassVar[Kinds] = {}
    """Slots that go on file, each with what it can be. What else a part must save, it adds itself."""
    MAY_BE_NONE: ClassVar[tuple[str, ...]] = ()
    ALL_SLOTS: ClassVar[tuple[str, ...]] = ()
    """Slots of the class and of those above it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.ALL_SLOTS = tuple(
            dict.fromkeys(name for each in cls.__mro__ for name in vars(each).get("__slots__", ()))
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy by value, sharing all that is immutable; ten times as fast as the general way."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for name in self.ALL_SLOTS:
            value = getattr(self, name)
            if isinstance(value, Component):
                value = deepcopy(value, memo)
            elif type(value) in {dict, list}:
                value = value.copy()
            setattr(twin, name, value)
        return twin

    def to_json(self) -> Json:
        """State as plain JSON values."""
        return {name: getattr(self, name) for name in self.SAVED}

    def from_json(self, state: Json) -> None:
        """Take over a state that `to_json` gave."""
        for name, kind in self.SAVED.items():
            absent = name in self.MAY_BE_NONE and field(state, name) is None
            setattr(self, name, None if absent else _checked(field(state, name), name, kind))


def field(state: Json, name: str) -> Any:
    """One saved value, of whatever type."""
    if name not in state:
        raise StateError(f"{name} is missing")
    return state[name]


def integer(state: Json, name: str, kind: Range = COUNT) -> int:
    """One saved number."""
    return _checked(field(state, name), name, kind)


def boolean(state: Json, name: str) -> bool:
    """One saved yes or no."""
    return bool(_checked(field(state, name), name, bool))


def record(state: Json, name: str, kinds: Kinds) -> tuple[int, ...] | None:
    """A saved record of these fields, or None where there was none."""
    value = field(state, name)
    return None if value is None else _row(value, name, kinds)


def rows(state: Json, name: str, kinds: Kinds) -> list[tuple[int, ...]]:
    """A saved list of records of these fields."""
    value = field(state, name)
    if not isinstance(value, list):
        raise StateError(f"{name} must be a list, is {value!r:.60}")
    return [_row(row, name, kinds) for row in value]


def section(state: Json, name: str) -> Json:
    """The saved state of one part."""
    value = field(state, name)
    if not isinstance(value, dict):
        raise StateError(f"{name} must be an object, is {value!r:.60}")
    return value


def _row(value: object, name: str, kinds: Kinds) -> tuple[int, ...]:
    if isinstance(value, list) and len(value) == len(kinds):
        named = zip(kinds.items(), value, strict=True)
        return tuple(_checked(item, f"{name}.{part}", kind) for (part, kind), item in named)
    raise StateError(f"{name} must be {len(kinds)} values ({', '.join(kinds)}), is {value!r:.60}")


def _checked(value: object, name: str, kind: Kind) -> int:
    """The value, if it is of this kind: to Python `True` is a number, in a saved state it is none."""
    if isinstance(kind, Range):
        if type(value) is int and kind.lowest <= value <= kind.highest:
            return value
        raise StateError(f"{name} must be an integer from {kind.lowest} to {kind.highest}, is {value!r:.60}")
    if isinstance(value, bool):
        return value
    raise StateError(f"{name} must be true or false, is {value!r:.60}")
