"""The log under its reader's feet: a ring that wraps between two pages, and a line that loses answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil.errors import LinkError, PumpbenchError
from hil.noise import Direction
from protocol.log.types import LogName
from protocol.messages.log import LogRead
from tests.simulation.operators import Operator
from tests.simulation.scenario import World, simulated_profile

LOG_CAPACITY = 128
ENTRIES_A_PAGE = 6


def small_log_world() -> World:
    profile = simulated_profile()
    return World(profile=replace(profile, model=replace(profile.model, log_capacity=LOG_CAPACITY)))


def write_entries(operator: Operator, times: int) -> None:
    """Four entries a time: stop, rate change, resume, rate change."""
    for _ in range(times):
        operator.programmer.stop()
        operator.programmer.resume()


def test_a_ring_that_wraps_under_its_reader_leaves_a_named_hole_and_no_silent_one() -> None:
    operator = Operator(small_log_world())
    write_entries(operator, 20)
    seen: list[int] = []
    lost: list[int] = []
    from_seq = 0
    while True:
        page = operator.programmer.request(LogRead(LogName.MAIN, 0, from_seq, ENTRIES_A_PAGE, 0))
        lost += range(from_seq or page.oldest_seq, page.oldest_seq)
        seen += [int.from_bytes(entry[:4], "little") for entry in page.entries]
        if page.next_seq > page.newest_seq:
            break
        from_seq = page.next_seq
        if from_seq < LOG_CAPACITY // 2:
            write_entries(operator, 12)
    assert lost
    assert sorted(seen + lost) == list(range(1, max(seen) + 1))
    history = operator.programmer.read_log()
    assert history.first_seq > 1
    assert [entry.seq for entry in history.entries] == list(range(history.first_seq, history.next_seq))


# FI 52
@pytest.mark.parametrize("k", range(2, 21))
def test_a_log_read_over_a_line_that_loses_every_kth_answer_is_whole(k: int) -> None:
    operator = Operator(World())
    write_entries(operator, 30)
    faults = [operator.line.drop(Direction.FROM_PUMP, skip=n * (k - 1)) for n in range(1, 21)]
    history = operator.tries(lambda programmer: programmer.read_log())
    assert any(fault.fired for fault in faults)
    assert not isinstance(history, PumpbenchError), history
    assert [entry.seq for entry in history.entries] == list(range(1, history.next_seq))
    assert history.complete


# FI 52
def test_a_log_read_over_a_line_that_loses_every_answer_is_an_error_and_no_short_log() -> None:
    operator = Operator(World())
    write_entries(operator, 2)
    fault = operator.line.drop(Direction.FROM_PUMP, 1_000, skip=1)
    assert isinstance(operator.tries(lambda programmer: programmer.read_log()), LinkError)
    assert fault.fired
