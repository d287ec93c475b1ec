"""The test of the pump by itself at each start, before anything is delivered: a row each, in its order [DOMAIN SR-60].

The first part that fails ends it, and raises its own alarm [SR-61]. Where the program could not vouch for a dose any
more it goes to the safe state; where it could, therapy goes on, since a pump that stands still harms too [SR-71]. The
memory is tested by the start itself (`boot`, `damage`). It takes no time of the pump's, so no bolus can fall into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller import self_test
from firmware_emu.controller.firmware import code_fails
from firmware_emu.units import MS_PER_HOUR
from protocol.identifiers import AlarmId, SelfTestFault, StateReason
from protocol.log.data import PostFailData
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import Pins


class Step(NamedTuple):
    """One test, and what its failure leads to."""

    part: SelfTestFault
    fails: Callable[[Therapy, Pins], bool]
    alarm: AlarmId
    trusted: bool = True
    """Whether therapy goes on; else the safe state."""


def _clock_lost(therapy: Therapy, pins: Pins) -> bool:
    """Whether the register of the oscillator lies so far behind the memory that it can only have lost its value."""
    return pins.crystal.latched_ms() + MS_PER_HOUR < therapy.records.tick_ms


def _battery_at_its_end(therapy: Therapy, pins: Pins) -> bool:
    """Whether the battery carries the pump no longer; the end of service raises its alarm in the same moment."""
    return pins.battery.millivolts(therapy.records.tick_ms) <= therapy.model.battery_eos_mv


STEPS: Final = (
    Step(
        SelfTestFault.CPU,
        lambda _, pins: self_test.cpu_fails(pins.processor),
        AlarmId.SELF_TEST,
        trusted=False,
    ),
    Step(
        SelfTestFault.FIRMWARE,
        lambda therapy, pins: code_fails(pins.processor, therapy.model),
        AlarmId.SELF_TEST,
        trusted=False,
    ),
    Step(SelfTestFault.RAM, lambda _, pins: self_test.ram_fails(pins), AlarmId.SELF_TEST, trusted=False),
    Step(SelfTestFault.BATTERY, _battery_at_its_end, AlarmId.EOS),
    Step(SelfTestFault.WATCHDOG, lambda _, pins: not pins.processor.watchdog_counts(), AlarmId.SELF_TEST),
    Step(SelfTestFault.CLOCK, _clock_lost, AlarmId.WALL_INVALID),
    Step(
        SelfTestFault.ENTROPY,
        lambda _, pins: self_test.random_source_fails(pins.entropy),
        AlarmId.RNG_FAILED,
    ),
)


def power_on_test(therapy: Therapy, pins: Pins) -> Step | None:
    """Run the tests until one fails: log that, and raise its alarm. Returns the step that failed."""
    failed = next((step for step in STEPS if step.fails(therapy, pins)), None)
    if failed is not None:
        therapy.records.enter(LogType.POST_FAIL, PostFailData(failed.part))
        if failed.alarm is not AlarmId.EOS:
            therapy.records.raise_alarm(failed.alarm, failed.part)
        if not failed.trusted:
            therapy.distrust(StateReason.SELF_TEST)
    return failed
