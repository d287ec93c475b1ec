"""A call of the library with something of another kind is the caller's mistake: UsageError, before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from hil.errors import UsageError
from hil.rig_client import RigClient

OF_THE_PUMP = (
    lambda pump: pump.pair("x"),
    lambda pump: pump.next_hint("x"),
    lambda pump: pump.subscribe("x"),
    lambda pump: pump.set_simple_program(100, nonsense=3),
    lambda pump: pump.stage_flex_program([], nonsense=3),
)
OF_THE_RIG = (
    lambda rig: rig.inject("motor-stall", "now"),
    lambda rig: rig.snapshot(3),
    lambda rig: rig.put_snapshot("a", None),
    lambda rig: rig.put_snapshot(3, {}),
)
OF_THE_BENCH = (
    lambda bench: bench.line.send("text"),
    lambda bench: bench.line.receive(None),
    lambda bench: bench.open_programmer("clinician"),
    lambda bench: bench.open_programmer(key=3),
    lambda bench: bench.open_programmer(patience_ms="x"),
)


@pytest.mark.parametrize("call", range(len(OF_THE_PUMP)))
def test_of_a_programmer(call: int, bench: Any) -> None:
    pump = bench.open_programmer()
    with pytest.raises(UsageError):
        OF_THE_PUMP[call](pump)


@pytest.mark.parametrize("call", range(len(OF_THE_RIG)))
def test_of_a_rig_in_this_process_and_of_one_over_http(call: int, bench: Any) -> None:
    for rig in (bench.rig, RigClient("http://127.0.0.1:9", "nobody is asked")):
        with pytest.raises(UsageError):
            OF_THE_RIG[call](rig)


@pytest.mark.parametrize("call", range(len(OF_THE_BENCH)))
def test_of_a_bench_and_its_line(call: int, bench: Any) -> None:
    with pytest.raises(UsageError):
        OF_THE_BENCH[call](bench)
