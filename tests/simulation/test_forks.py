"""A fork of a pump shares nothing with it that can change."""

from __future__ import annotations

import gc
from collections import deque
from enum import Enum
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.state_copy import copy_state
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation
from protocol.messages.reading import GetStatus

if TYPE_CHECKING:
    from collections.abc import Callable


def reached_from(root: object) -> dict[int, object]:
    """All that the interpreter reaches from an object, but for classes, functions, modules, and what enums hold."""
    reached: dict[int, object] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) not in reached and not isinstance(each, type | FunctionType | ModuleType):
            reached[id(each)] = each
            waiting += [] if isinstance(each, Enum) else gc.get_referents(each)
    return reached


def can_change(value: object) -> bool:
    """Whether somebody could change it: a container, or an object of ours that is not frozen."""
    kind = type(value)
    parameters = getattr(kind, "__dataclass_params__", None)
    if isinstance(value, list | dict | set | bytearray | deque):
        return True
    if isinstance(value, tuple | Enum) or (parameters is not None and parameters.frozen):
        return False
    return kind.__module__.startswith(("firmware_emu", "protocol"))


def busy_pump() -> Conversation:
    """A session is open, a bolus runs, the rotor stands still, and frames were refused."""
    talk = Conversation.with_new_pump(load_profile("implanted"))
    talk.wait_until(30 * MS_PER_HOUR)
    talk.granted(GetStatus())
    talk.start_bolus(1, 20_000, 600)
    talk.wait(100_003)
    talk.pump.stall_motor(True)
    return talk


def test_a_fork_of_a_busy_pump_shares_no_container_and_no_object_that_can_change() -> None:
    pump = busy_pump().pump
    profile = set(reached_from(pump.profile))
    ours, theirs = reached_from(pump), reached_from(pump.fork())
    assert len(ours) > 200, "hardly anything was reached"
    shared = [ours[each] for each in ours.keys() & theirs.keys() - profile if can_change(ours[each])]
    assert shared == []


def with_a_lock() -> object:
    import threading  # noqa: PLC0415 - a kind of object that no pump holds

    return threading.Lock()


def with_a_variable_of_its_own() -> object:
    count: list[int] = []
    return lambda: count


def test_a_pump_that_holds_what_nobody_said_how_to_copy_is_not_forked() -> None:
    makers: list[Callable[[], object]] = [with_a_lock, with_a_variable_of_its_own, lambda: iter([1])]
    for make in makers:
        pump = busy_pump().pump
        assert pump.controller is not None
        pump.controller.device.refills.append(make())  # type: ignore[arg-type] # what never belongs there
        with pytest.raises(TypeError, match=r"nobody has said how to copy|two pumps would share"):
            pump.fork()


def test_what_two_places_hold_is_one_thing_in_the_copy_too() -> None:
    for held in ([1], [], {"a": [1]}, {"a": 1}, {}, {1}, deque([1], 3), bytearray(b"x")):
        first, second = copy_state([held, held])
        assert first is second
        assert first == held
        assert first is not held
    assert copy_state(deque([1], 3)).maxlen == 3


def test_what_a_container_holds_is_copied_too_wherever_it_stands_in_it() -> None:
    inner = [1]
    for held in ([0, inner], {0: 0, 1: inner}, deque([0, inner]), (0, inner), (0, (0, inner))):
        copied = copy_state(held)
        assert copied == held
        inner_too = next(
            each for each in reached_from(copied).values() if isinstance(each, list) and each == [1]
        )
        assert inner_too is not inner, held
