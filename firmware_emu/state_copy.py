"""A copy of an object with all that it can change, and nothing that it cannot: how a pump is forked.

Shared is what cannot change: numbers, text, bytes, enums, frozen dataclasses, classes, functions without a state of
their own, and tuples of these. Whatever else is reached is copied once, by its slots and its attributes,
never by what they happen to hold. A kind of object that this module does not know is a TypeError: to share it might
let two pumps change each other.

The function that copies a class is generated from the names of its slots, as `dataclasses` makes its methods: a loop
over names took twice as long. Nothing but these names enters its source.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

State = TypeVar("State")
Memo = dict[int, Any]
OWN_PACKAGES: Final = ("firmware_emu", "protocol")
_SHARED: set[type] = {int, str, bytes, bool, float, type(None), range}
_SHARED |= {type, BuiltinFunctionType}
_COPIERS: dict[type, Callable[[Any, Memo], Any]] = {}
_all_shared: Final = _SHARED.issuperset  # of `map(type, values)`, which looks at them all in C


def copy_state(state: State) -> State:
    """The same state with a future of its own; TypeError where it holds a kind of object that is not known here."""
    copied: State = _copied(state, {})
    return copied


def is_ours(kind: type) -> bool:
    """Whether a class is one of ours, or inherits from one."""
    return any(base.__module__.partition(".")[0] in OWN_PACKAGES for base in kind.__mro__)


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """The slots of a class and of those that it inherits from."""
    slots = (slot for base in kind.__mro__ for slot in _slots(base))
    return tuple(slot for slot in slots if slot not in ("__dict__", "__weakref__"))


def _copied(value: Any, memo: Memo) -> Any:
    known = memo.get(id(value))
    if known is not None:
        return known
    kind = type(value)
    copier = _COPIERS.get(kind)
    if copier is None:
        if kind in _SHARED or _cannot_change(kind):
            _SHARED.add(kind)
            return value
        copier = _COPIERS[kind] = _copier_for(kind)
    return copier(value, memo)


def _cannot_change(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    frozen = parameters is not None and parameters.frozen
    return bool(frozen) or issubclass(kind, Enum | type)


def _copier_for(kind: type) -> Callable[[Any, Memo], Any]:
    if issubclass(kind, tuple):
        return _copy_tuple
    if not is_ours(kind):
        raise TypeError(f"nobody has said how to copy a {kind.__module__}.{kind.__qualname__}")
    return _generated_copier(kind)


def _generated_copier(kind: type) -> Callable[[Any, Memo], Any]:
    """A function with a line for each slot; each looks at what that slot holds now, as another object may hold more."""
    lines = ["def copy_object(value, memo):", " copied = memo[id(value)] = new(kind)"]
    for slot in field_names(kind):
        lines += [
            " try:",
            f"  held = value.{slot}",
            " except AttributeError:",  # never set
            "  pass",
            " else:",
            f"  copied.{slot} = held if type(held) in shared else copy(held, memo)",
        ]
    if kind.__dictoffset__:
        lines += [
            " mine = copied.__dict__",
            " for name, held in value.__dict__.items():",
            "  mine[name] = held if type(held) in shared else copy(held, memo)",
        ]
    names = {"new": object.__new__, "kind": kind, "shared": _SHARED, "copy": _copied}
    exec("\n".join([*lines, " return copied"]), names)  # noqa: S102 - names of slots alone are in it
    made: Callable[[Any, Memo], Any] = names["copy_object"]  # type: ignore[assignment] # exec has put it there
    return made


def _slots(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _copy_tuple(value: tuple[Any, ...], memo: Memo) -> Any:
    for each in value:
        if type(each) not in _SHARED:
            break
    else:
        return value
    held = [each if type(each) in _SHARED else _copied(each, memo) for each in value]
    for mine, theirs in zip(held, value, strict=True):
        if mine is not theirs:
            copied = memo[id(value)] = tuple.__new__(type(value), held)
            return copied
    return value


def _copy_list(value: list[Any], memo: Memo) -> list[Any]:
    copied: list[Any] = []
    memo[id(value)] = copied
    if value:
        copied += [each if type(each) in _SHARED else _copied(each, memo) for each in value]
    return copied


def _copy_dict(value: dict[Any, Any], memo: Memo) -> dict[Any, Any]:
    if not value or (_all_shared(map(type, value.values())) and _all_shared(map(type, value))):
        copied = memo[id(value)] = value.copy()
        return copied
    copied = memo[id(value)] = {}
    for key, held in value.items():
        mine = key if type(key) in _SHARED else _copied(key, memo)
        copied[mine] = held if type(held) in _SHARED else _copied(held, memo)
    return copied


def _copy_set(value: set[Any], memo: Memo) -> set[Any]:
    copied = memo[id(value)] = {_copied(each, memo) for each in value}
    return copied


def _copy_deque(value: deque[Any], memo: Memo) -> deque[Any]:
    copied = memo[id(value)] = value.copy()  # the most that it may hold is copied with it
    if not _all_shared(map(type, value)):
        for place, held in enumerate(value):
            copied[place] = _copied(held, memo)
    return copied


def _copy_bytearray(value: bytearray, memo: Memo) -> bytearray:
    copied = memo[id(value)] = bytearray(value)
    return copied


def _copy_method(value: MethodType, memo: Memo) -> MethodType:
    return MethodType(value.__func__, _copied(value.__self__, memo))


def _same_function(value: FunctionType, _memo: Memo) -> FunctionType:
    if value.__closure__:
        raise TypeError(
            f"the function {value.__qualname__} holds variables of its own, which two pumps would share"
        )
    return value


_COPIERS |= {
    list: _copy_list,
    dict: _copy_dict,
    set: _copy_set,
    deque: _copy_deque,
    bytearray: _copy_bytearray,
}
_COPIERS |= {MethodType: _copy_method, FunctionType: _same_function}
