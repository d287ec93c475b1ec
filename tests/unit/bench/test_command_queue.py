"""The way from another thread into the runner: in order, with its answer, and never into nowhere."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any, cast

import pytest

from firmware_emu.bench.command_queue import WAITING_MAX, CommandQueue
from firmware_emu.bench.errors import NotNowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from firmware_emu.bench.runner import Runner
    from tests.unit.bench.conftest import Loop

RUNNER = cast("Runner", "the runner")


def note(runner: Runner, future: Future[Any]) -> None:
    future.set_result(f"done by {runner}")


def test_an_errand_is_run_with_the_runner_and_answered() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    future = command_queue.leave(note)
    assert not future.done()
    command_queue.run(RUNNER)
    assert future.result(0) == "done by the runner"


def test_errands_are_run_in_order() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    order: list[int] = []

    def append(number: int) -> Callable[[Runner, Future[Any]], None]:
        return lambda _runner, _future: order.append(number)

    for number in range(5):
        command_queue.leave(append(number))
    command_queue.run(RUNNER)
    assert order == [0, 1, 2, 3, 4]


def test_what_an_errand_raises_goes_to_who_left_it_and_the_next_is_run() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()

    def stumble(_runner: Runner, _future: Future[Any]) -> None:
        raise ZeroDivisionError("on the way")

    failed, done = command_queue.leave(stumble), command_queue.leave(note)
    command_queue.run(RUNNER)
    with pytest.raises(ZeroDivisionError, match="on the way"):
        failed.result(0)
    assert done.done()


def test_leaving_an_errand_wakes_the_loop_once(loop: Loop) -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    command_queue.attach(loop.selector)
    assert loop.turn(0) == 0
    command_queue.leave(note)
    command_queue.wake()
    assert loop.turn(0) == 1
    assert loop.turn(0) == 0


def test_waking_never_blocks_however_often(loop: Loop) -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    command_queue.attach(loop.selector)
    for _ in range(100_000):
        command_queue.wake()
    assert loop.turn(0) == 1


def test_an_errand_that_nobody_waits_for_any_more_is_not_run() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    ran: list[int] = []
    future = command_queue.leave(lambda _runner, _future: ran.append(1))
    future.cancel()
    command_queue.run(RUNNER)
    assert not ran


def test_a_closed_mailbox_refuses_what_is_left_and_what_comes() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    before = command_queue.leave(note)
    command_queue.close()
    for future in (before, command_queue.leave(note)):
        with pytest.raises(NotNowError, match="the bench is closing"):
            future.result(0)


def test_a_full_mailbox_says_so() -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    futures = [command_queue.leave(note) for _ in range(WAITING_MAX + 1)]
    assert not any(future.done() for future in futures[:-1])
    with pytest.raises(NotNowError, match="too busy"):
        futures[-1].result(0)


def test_a_byte_on_its_descriptor_wakes_the_loop_as_a_signal_does(loop: Loop) -> None:
    command_queue: CommandQueue[Any] = CommandQueue()
    command_queue.attach(loop.selector)
    os.write(command_queue.wake_descriptor, b"\x0f")
    assert loop.turn(0) == 1
    assert not select.select([command_queue._read_end], [], [], 0)[0]
