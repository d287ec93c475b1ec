"""What the pump can test of itself: a row each, by the bit under which SELF_TEST and the log tell it [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.controller.firmware import code_fails
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.service_life import Voltage
from firmware_emu.pins import CELLS, WORD_BITS
from protocol.identifiers import AlarmId, BatteryPhase, SelfTestFault
from protocol.log.data import NvmFaultData
from protocol.log.types import LogName, LogType, MemoryFault
from protocol.messages.log import LogStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.memory.records import Records
    from firmware_emu.pins import BatteryPin, EntropyPin, Pins, ProcessorPin
    from firmware_emu.profile import PumpModel

    Test = Callable[[Records, Pins, PumpModel], bool]

_SELF_TEST_BYTES: Final = 16
_PATTERNS: Final = tuple(int.from_bytes(bytes([byte]) * (WORD_BITS // 8), "little") for byte in (0x55, 0xAA))
_LEFT, _RIGHT, _PRODUCT = 0xDEAD_BEEF, 0x1234_5678, 0xFD5BDEE5621CA08


_BATTERY_READINGS: Final = 10  # [DOMAIN SR-68]
NO_REGION: Final = (
    0xFF  # of NVM_FAULT and the alarms of the memory: no record, but what makes records durable
)


def battery_voltage(pins: BatteryPin, model: PumpModel, tick_ms: int) -> Voltage:
    """The cell's voltage at a tick: the mean of ten readings, held against the gauge [DOMAIN SR-68]."""
    read_mv = sum(pins.millivolts(tick_ms) for _ in range(_BATTERY_READINGS)) // _BATTERY_READINGS
    return Voltage.of(read_mv, pins.percent(tick_ms), model.battery_full_mv, model.battery_eos_mv)


def random_source_fails(entropy: EntropyPin) -> bool:
    """Whether two draws are equal, or one is all alike: that is no source of keys [SPEC 4, H6]."""
    first, second = (entropy.draw("self-test", _SELF_TEST_BYTES) for _ in range(2))
    return first == second or len(set(first)) == 1


def cpu_fails(processor: ProcessorPin) -> bool:
    """Whether a product whose result is known comes out wrong."""
    return processor.multiply(_LEFT, _RIGHT) != _PRODUCT


def ram_fails(pins: Pins) -> bool:
    """Whether a cell does not hold each bit both ways; what was in the cells is put back."""
    processor = pins.processor
    for cell in range(CELLS):
        kept = processor.read_cell(cell)
        fails = False
        for pattern in _PATTERNS:
            processor.write_cell(cell, pattern)
            fails = fails or processor.read_cell(cell) != pattern
        processor.write_cell(cell, kept)
        if fails:
            return True
    return False


def _memory_fails(records: Records, _pins: Pins, _model: PumpModel) -> bool:
    """Whether a record cannot be read back; it is logged, and written anew from what is in use, which is whole."""
    memory = records.memory
    damaged: list[int] = [region for region in Region if memory.read_record(region) is None]
    for region in map(Region, damaged):
        records.enter(LogType.NVM_FAULT, NvmFaultData(region, 0))
        records.mark_dirty(region)
    if memory.read_checkpoint() is None:
        damaged.append(NO_REGION)
    if damaged:
        records.raise_alarm(AlarmId.MEM_NONCRITICAL, damaged[0], MemoryFault.RECORD)
    return bool(damaged)


def _log_fails(records: Records, _pins: Pins, _model: PumpModel) -> bool:
    """Whether a slot cannot be read, or a chain does not match what it covers."""
    found = [records.log.status(LogStatus(name)) for name in LogName]
    records.tell_log_damage(records.log.damage())
    bad_seqs = [each.first_bad_seq for each in found if each.corrupt or each.bad_checkpoints]
    if bad_seqs:
        records.raise_alarm(AlarmId.MEM_NONCRITICAL, bad_seqs[0], MemoryFault.LOG)
    return bool(bad_seqs)


def _clock_fails(records: Records, _pins: Pins, _model: PumpModel) -> bool:
    """Whether the wall clock is not valid, or running time lies behind what is in the log."""
    return not records.wall_clock.valid or records.tick_ms < records.log.newest_tick_ms


def _random_source_fails(_records: Records, pins: Pins, _model: PumpModel) -> bool:
    return random_source_fails(pins.entropy)


def _battery_fails(records: Records, pins: Pins, model: PumpModel) -> bool:
    """Whether it must be replaced, by its phase or by its voltage now, or its converter cannot be right."""
    voltage = battery_voltage(pins.battery, model, records.tick_ms)
    spent = voltage.millivolts <= model.battery_eri_mv
    return records.service.phase is not BatteryPhase.OK or spent or voltage.doubted


def _sounder_fails(_records: Records, pins: Pins, _model: PumpModel) -> bool:
    return not pins.sounder.conducts()


TESTS: Final[
    dict[SelfTestFault, Test]
] = {  # the log first: it is read as it lies there, before anything is entered
    SelfTestFault.LOG: _log_fails,
    SelfTestFault.MEMORY: _memory_fails,
    SelfTestFault.CLOCK: _clock_fails,
    SelfTestFault.ENTROPY: _random_source_fails,
    SelfTestFault.BATTERY: _battery_fails,
    SelfTestFault.SOUNDER: _sounder_fails,
    SelfTestFault.CPU: lambda _records, pins, _model: cpu_fails(pins.processor),
    SelfTestFault.FIRMWARE: lambda _records, pins, model: code_fails(pins.processor, model),
    SelfTestFault.RAM: lambda _records, pins, _model: ram_fails(pins),
    SelfTestFault.WATCHDOG: lambda _records, pins, _model: not pins.processor.watchdog_counts(),
    SelfTestFault.STACK: lambda _records, pins, _model: not pins.processor.guard_intact(),
}


ALARM_OF: Final = {  # as of a start; MEMORY and LOG raise theirs as they find it, the others have timers of their own
    SelfTestFault.ENTROPY: AlarmId.RNG_FAILED,
    SelfTestFault.CPU: AlarmId.SELF_TEST,
    SelfTestFault.FIRMWARE: AlarmId.SELF_TEST,
    SelfTestFault.RAM: AlarmId.SELF_TEST,
    SelfTestFault.WATCHDOG: AlarmId.SELF_TEST,
    SelfTestFault.STACK: AlarmId.SELF_TEST,
}
UNTRUSTED: Final = SelfTestFault.CPU | SelfTestFault.FIRMWARE | SelfTestFault.RAM | SelfTestFault.STACK
"""Parts without which nobody can vouch for a dose: the safe state."""


def run_self_test(records: Records, pins: Pins, model: PumpModel) -> SelfTestFault:
    """Run all tests and raise the alarms of what failed; returns that."""
    failed = SelfTestFault(sum(fault for fault, fails in TESTS.items() if fails(records, pins, model)))
    for part, alarm_id in ALARM_OF.items():
        if part & failed:
            records.raise_alarm(alarm_id, part)
    return failed
