"""The test of the pump by itself at each start, before anything is delivered: a row each, in its order [DOMAIN SR-60].

The first part that fails ends it, and raises its own alarm [SR-61]. Where the program could not vouch for a dose any
more it goes to the safe state; where it could, therapy goes on, since a pump that stands still harms too [SR-71]. The
memory is tested by the start itself (`boot`, `damage`). It takes no time of the pump's, so no bolus can fall into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller import self_test
from firmware_emu.controller.firmware import code_fails
from protocol.identifiers import AlarmId, SelfTestFault, StateReason
from protocol.log.data import PostFailData
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import Pins


class Started(NamedTuple):
    """A program that has read its records, and what it runs on."""

    therapy: Therapy
    pins: Pins
    clock_credible: bool
    """Whether the register of the oscillator can be right, by what the memory knows."""


class Step(NamedTuple):
    """One test, and what its failure leads to."""

    part: SelfTestFault
    fails: Callable[[Started], bool]
    alarm: AlarmId
    trusted: bool = True
    """Whether therapy goes on; else the safe state."""


def _battery_at_its_end(started: Started) -> bool:
    """Whether the battery carries the pump no longer; the end of service raises its alarm in the same moment."""
    therapy, pins, _ = started
    return pins.battery.millivolts(therapy.records.tick_ms) <= therapy.model.battery_eos_mv


STEPS: Final = (
    Step(
        SelfTestFault.CPU,
        lambda started: self_test.cpu_fails(started.pins.processor),
        AlarmId.SELF_TEST,
        trusted=False,
    ),
    Step(
        SelfTestFault.FIRMWARE,
        lambda started: code_fails(started.pins.processor, started.therapy.model),
        AlarmId.SELF_TEST,
        trusted=False,
    ),
    Step(
        SelfTestFault.RAM, lambda started: self_test.ram_fails(started.pins), AlarmId.SELF_TEST, trusted=False
    ),
    Step(SelfTestFault.BATTERY, _battery_at_its_end, AlarmId.EOS),
    Step(
        SelfTestFault.WATCHDOG,
        lambda started: not started.pins.processor.watchdog_counts(),
        AlarmId.SELF_TEST,
    ),
    Step(SelfTestFault.CLOCK, lambda started: not started.clock_credible, AlarmId.WALL_INVALID),
    Step(
        SelfTestFault.ENTROPY,
        lambda started: self_test.random_source_fails(started.pins.entropy),
        AlarmId.RNG_FAILED,
    ),
)


def power_on_test(started: Started) -> Step | None:
    """Run the tests until one fails: log that, and raise its alarm. Returns the step that failed."""
    therapy = started.therapy
    failed = next((step for step in STEPS if step.fails(started)), None)
    if failed is not None:
        therapy.records.enter(LogType.POST_FAIL, PostFailData(failed.part))
        if failed.alarm is not AlarmId.EOS:
            therapy.records.raise_alarm(failed.alarm, failed.part)
        if not failed.trusted:
            therapy.distrust(StateReason.SELF_TEST)
    return failed
