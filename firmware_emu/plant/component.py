"""What every piece of the plant has in common: it is a value, so it can be copied and put on file.

No physics here. A part's slots hold plain immutable values, flat dicts or lists of those, and other parts.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, Self

Json = dict[str, Any]


class StateError(ValueError):
    """A snapshot on file that is no state of this plant; the message names the field."""


class Component:
    """A piece of the plant."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    SAVED: ClassVar[tuple[str, ...]] = ()
    """Slots that go on file: integers and booleans. What else a part must save, it adds itself."""
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
        for name in self.SAVED:
            absent = name in self.MAY_BE_NONE and field(state, name) is None
            setattr(self, name, None if absent else integer(state, name))


def field(state: Json, name: str) -> Any:
    """One saved value, of whatever type."""
    if name not in state:
        raise StateError(f"{name} is missing")
    return state[name]


def integer(state: Json, name: str) -> int:
    """One saved number; booleans are integers too."""
    value = field(state, name)
    if not isinstance(value, int):
        raise StateError(f"{name} must be an integer, is {value!r}")
    return value


def integers(state: Json, name: str, length: int) -> tuple[int, ...] | None:
    """A saved record of `length` integers, or None where there was none."""
    value = field(state, name)
    return None if value is None else _row(value, name, length)


def rows(state: Json, name: str, length: int) -> list[tuple[int, ...]]:
    """A saved list of records."""
    value = field(state, name)
    if not isinstance(value, list):
        raise StateError(f"{name} must be a list, is {value!r}")
    return [_row(row, name, length) for row in value]


def section(state: Json, name: str) -> Json:
    """The saved state of one part."""
    value = field(state, name)
    if not isinstance(value, dict):
        raise StateError(f"{name} must be an object, is {value!r}")
    return value


def _row(value: object, name: str, length: int) -> tuple[int, ...]:
    if isinstance(value, list) and len(value) == length and all(isinstance(item, int) for item in value):
        return tuple(value)
    raise StateError(f"{name} must be {length} integers, is {value!r}")
