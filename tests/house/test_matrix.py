"""`make matrix` leaves out no kind of port, and says what was skipped and why."""

from __future__ import annotations

from firmware_emu.bench.ports.schemes import PORTS
from scripts.matrix import COLUMNS, skipped


def test_every_kind_of_port_whose_address_the_emulator_tells_is_a_column() -> None:
    assert {scheme.name for scheme in PORTS.values() if scheme.target} == {
        column.name for column in COLUMNS if column.emulate
    }


def test_skips_are_summed_by_reason_the_most_frequent_first() -> None:
    outcomes = [
        ("skipped", "time"),
        ("passed", ""),
        ("skipped", "power"),
        ("skipped", "power"),
        ("failed", "no"),
    ]
    report = {"tests": [{"outcome": outcome, "reason": reason} for outcome, reason in outcomes]}
    assert skipped(report) == ["     2 skipped: power", "     1 skipped: time"]
