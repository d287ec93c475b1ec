"""The way from another thread into the runner: in order, with its answer, and never into nowhere."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any, cast

import pytest

from firmware_emu.bench.errors import NotNowError
from firmware_emu.bench.mailbox import WAITING_MAX, Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from firmware_emu.bench.runner import Runner
    from tests.unit.bench.conftest import Loop

RUNNER = cast("Runner", "the runner")


def note(runner: Runner, future: Future[Any]) -> None:
    future.set_result(f"done by {runner}")


def test_an_errand_is_run_with_the_runner_and_answered() -> None:
    mailbox = Mailbox()
    future = mailbox.leave(note)
    assert not future.done()
    mailbox.run(RUNNER)
    assert future.result(0) == "done by the runner"


def test_errands_are_run_in_order() -> None:
    mailbox = Mailbox()
    order: list[int] = []

    def append(number: int) -> Callable[[Runner, Future[Any]], None]:
        return lambda _runner, _future: order.append(number)

    for number in range(5):
        mailbox.leave(append(number))
    mailbox.run(RUNNER)
    assert order == [0, 1, 2, 3, 4]


def test_what_an_errand_raises_goes_to_who_left_it_and_the_next_is_run() -> None:
    mailbox = Mailbox()

    def stumble(_runner: Runner, _future: Future[Any]) -> None:
        raise ZeroDivisionError("on the way")

    failed, done = mailbox.leave(stumble), mailbox.leave(note)
    mailbox.run(RUNNER)
    with pytest.raises(ZeroDivisionError, match="on the way"):
        failed.result(0)
    assert done.done()


def test_leaving_an_errand_wakes_the_loop_once(loop: Loop) -> None:
    mailbox = Mailbox()
    mailbox.attach(loop.selector)
    assert loop.turn(0) == 0
    mailbox.leave(note)
    mailbox.wake()
    assert loop.turn(0) == 1
    assert loop.turn(0) == 0


def test_waking_never_blocks_however_often(loop: Loop) -> None:
    mailbox = Mailbox()
    mailbox.attach(loop.selector)
    for _ in range(100_000):
        mailbox.wake()
    assert loop.turn(0) == 1


def test_an_errand_that_nobody_waits_for_any_more_is_not_run() -> None:
    mailbox = Mailbox()
    ran: list[int] = []
    future = mailbox.leave(lambda _runner, _future: ran.append(1))
    future.cancel()
    mailbox.run(RUNNER)
    assert not ran


def test_a_closed_mailbox_refuses_what_is_left_and_what_comes() -> None:
    mailbox = Mailbox()
    before = mailbox.leave(note)
    mailbox.close()
    for future in (before, mailbox.leave(note)):
        with pytest.raises(NotNowError, match="the bench is closing"):
            future.result(0)


def test_a_full_mailbox_says_so() -> None:
    mailbox = Mailbox()
    futures = [mailbox.leave(note) for _ in range(WAITING_MAX + 1)]
    assert not any(future.done() for future in futures[:-1])
    with pytest.raises(NotNowError, match="too busy"):
        futures[-1].result(0)


def test_a_byte_on_its_descriptor_wakes_the_loop_as_a_signal_does(loop: Loop) -> None:
    mailbox = Mailbox()
    mailbox.attach(loop.selector)
    os.write(mailbox.wake_descriptor, b"\x0f")
    assert loop.turn(0) == 1
    assert not select.select([mailbox._read_end], [], [], 0)[0]
