"""`program status` names whatever is delivered besides the basal rate, also what no command began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.cli.tables import status_rows
from protocol.messages.program import BridgeBlock, PeriodicBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.programmer.programmer import Programmer


def bridge(pump: Programmer) -> object:
    return pump.set_simple_program(300_000, bridge=BridgeBlock(338_000, 600_000))


def stopped_bridge(pump: Programmer) -> None:
    bridge(pump)
    pump.stop()


def periodic(pump: Programmer) -> object:
    return pump.set_simple_program(300_000, periodic=PeriodicBlock(20_000, 600, 3_600, 0))


@pytest.mark.parametrize(
    ("begin", "label", "text"),
    [
        (lambda pump: pump.bolus(20_000, 600), "bolus", "command 1, 0.02 mL left"),
        (lambda pump: pump.prime(20_000, 600), "prime", "command 1, 0.02 mL left"),
        (bridge, "bridge", "0.338 mL left"),
        (periodic, "periodic bolus", "0.02 mL left"),
        (stopped_bridge, "bridge", "0.338 mL left (it waits)"),
    ],
)
def test_what_is_under_way_has_a_row_with_its_name_and_what_is_left(
    bench: TestBench, begin: Callable[[Programmer], object], label: str, text: str
) -> None:
    bench.target.start()
    pump = bench.open_programmer()
    assert label not in dict(status_rows(pump.status(), pump.info(), None))
    begin(pump)
    assert dict(status_rows(pump.status(), pump.info(), None))[label] == text
