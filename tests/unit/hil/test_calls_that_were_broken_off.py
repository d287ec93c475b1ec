"""A call of the library that was broken off, by Ctrl-C or by a callback: the programmer goes on, and STOP works."""

from collections.abc import Callable
from typing import Any

import pytest

import hil
from hil.bench_of_test import TestBench
from hil.noise import FaultyLine
from hil.outcome_store import OutcomeStore
from hil.programmer.programmer import Programmer
from hil.wire_log import WireEntry
from protocol.identifiers import State


class BrokenLine(FaultyLine):
    """A line on which Ctrl-C comes at the n-th sending or receiving from when it was armed."""

    left = 0

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def send(self, data: bytes) -> None:
        self._count()
        super().send(data)
        self._count()

    def receive(self, deadline_ms: int) -> bytes:
        self._count()
        data = super().receive(deadline_ms)
        self._count()
        return data


CALLS: list[Callable[[Programmer], Any]] = [
    lambda pump: pump.bolus(20_000, 600),
    lambda pump: pump.set_simple_program(200_000),
    lambda pump: pump.status(),
    lambda pump: pump.read_log(),
]


@pytest.mark.parametrize("call", CALLS, ids=["bolus", "set", "status", "log"])
def test_after_a_call_that_was_broken_off_anywhere_stop_and_reading_work(
    bench: TestBench, call: Callable[[Programmer], Any]
) -> None:
    line = BrokenLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore())
    pump.connect()
    for moment in range(1, 40):
        line.left = moment
        try:
            call(pump)
        except KeyboardInterrupt:
            pass
        except hil.DeviceError:
            assert moment > 3  # it was not interrupted: what an earlier one had done was in its way
        line.left = 0
        assert pump.status().state in State
        assert pump.stop().reply.state is State.STOP
        pump.ledger.resolve()
        pump.found_out.clear()
        pump.resume()
        bench.target.rig.advance(60_000)
    pump.close()


def test_a_bolus_that_was_broken_off_is_unknown_and_asked_for(bench: TestBench) -> None:
    line = BrokenLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore())
    pump.connect()
    prepared = pump.prepare_bolus(20_000, 600)
    pump.ledger.unknown()
    line.left = 2  # it has left, and is not answered yet
    with pytest.raises(KeyboardInterrupt):
        pump.commit_bolus(prepared)
    line.left = 0
    (unknown,) = pump.ledger.unknown()
    (settled,) = pump.ledger.resolve()
    assert (settled.cmd_id, settled.outcome) == (unknown.cmd_id, "RUNNING")


def test_a_watch_that_raises_breaks_off_one_call_and_no_other() -> None:
    seen: list[WireEntry] = []

    def fail_from_the_fifth_on(entry: WireEntry) -> None:
        seen.append(entry)
        if len(seen) >= 5:  # the handshake takes four
            raise ZeroDivisionError

    with hil.connect("emulator", watch=fail_from_the_fifth_on) as pump:
        with pytest.raises(ZeroDivisionError):
            pump.status()
        assert pump.stop().reply.state is State.STOP
