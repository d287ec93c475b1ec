"""Whether the program can vouch for itself: its critical values in RAM, its stack and its code, while it runs.

Each test is done at its time [DOMAIN SR-63]. A test whose result cannot have changed is no event: the pump asks for
these only while something is disturbed (`pump`). One wrong bit is put right and logged, without an alarm; what cannot
be put right ends in the safe state [SR-66, SR-71]. What is tested at a start and when somebody asks: `self_test`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware_emu.controller.critical_values import COPY, look, store
from firmware_emu.controller.firmware import code_fails
from firmware_emu.controller.self_test import cpu_fails
from firmware_emu.units import MS_PER_S
from protocol.identifiers import AlarmId, SelfTestFault, State, StateReason
from protocol.log.data import ChannelMismatchData, PostFailData, RamFaultData
from protocol.log.types import LogType, MemoryFault

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.controller.timers import Schedule
    from firmware_emu.pins import ProcessorPin

NO_SOURCE = 0xFF


@dataclass(slots=True, eq=False, repr=False)
class Integrity:
    """The tests of one run of the program; `worn` are cells whose wrong bit came back."""

    processor: ProcessorPin
    schedule: Schedule
    code_tested_ms: int
    worn: tuple[int, ...] = ()

    @property
    def therapy(self) -> Therapy:
        """What it vouches for."""
        return self.schedule.therapy

    def store_cells(self) -> None:
        """Write the critical values into their cells; while nobody can look at a cell, that is put off."""
        store(self.processor, self.therapy)

    def next_test_ms(self, *, cells: bool) -> int:
        """The tick of the next test: of arithmetic and code, and with `cells` of RAM and stack."""
        tick_ms, model = self.therapy.records.tick_ms, self.therapy.model
        code_ms = _next(max(tick_ms, self.code_tested_ms), model.code_test_s)
        return min(code_ms, _next(tick_ms, model.ram_test_s)) if cells else code_ms

    def test(self, tick_ms: int, *, cells: bool) -> None:
        """Do what is due before anything else is done at this tick: no stroke of it is turned yet. Raises PowerCut.

        Strokes that were due before it are turned first, since a failure drops what is owed.
        """
        records, model = self.therapy.records, self.therapy.model
        moment_ms, period_ms = records.tick_ms, model.code_test_s * MS_PER_S
        tests_code = tick_ms // period_ms > max(moment_ms, self.code_tested_ms) // period_ms
        if tick_ms - 1 > moment_ms:
            self.therapy.turn_until(tick_ms - 1)
        records.tick_ms = tick_ms
        if cells:
            self._test_cells()
            self._test_stack()
        if tests_code:
            self.code_tested_ms = tick_ms
            if cpu_fails(self.processor):
                self.fail(SelfTestFault.CPU)
            elif code_fails(self.processor, model):
                self.fail(SelfTestFault.FIRMWARE)
        if records.changed:
            self.schedule.commit(tick_ms)

    def fail(self, part: SelfTestFault) -> None:
        """Log a part that has failed, raise its alarm and go to the safe state, where that is not done already."""
        records = self.therapy.records
        if not records.alarms.is_active(AlarmId.SELF_TEST):
            records.enter(LogType.POST_FAIL, PostFailData(part))
            records.raise_alarm(AlarmId.SELF_TEST, part)
        self.therapy.distrust(StateReason.SELF_TEST)

    def _test_cells(self) -> None:
        therapy, records = self.therapy, self.therapy.records
        found, known = look(self.processor), self.worn
        lost = [cell for cell in found.lost if cell not in known]
        disagreed = [cell for cell in found.disagreed if cell not in known and cell + COPY not in known]
        for cell in (*found.corrected, *lost):
            if cell not in known:
                records.enter(LogType.RAM_FAULT, RamFaultData(cell))
        if lost:
            records.raise_alarm(AlarmId.MEM_CRITICAL, lost[0], MemoryFault.RAM)
        elif disagreed:
            records.enter(LogType.CHANNEL_MISMATCH, ChannelMismatchData(NO_SOURCE, 0, 0))
            records.raise_alarm(AlarmId.MEM_CRITICAL, disagreed[0], MemoryFault.CHANNELS)
        again_running = records.therapy.state is State.RUN and (found.lost or found.disagreed)
        # else each look at a worn cell would drop what the safe rate owes
        if lost or disagreed or again_running:
            therapy.distrust(StateReason.MEMORY)
        self.store_cells()
        if found.corrected or found.lost or found.disagreed:
            again = look(self.processor)
            worn = {*again.corrected, *again.lost, *again.disagreed}.difference(known)
            self.worn += tuple(worn)
            if worn:
                self.fail(SelfTestFault.RAM)

    def _test_stack(self) -> None:
        if not self.processor.guard_intact():
            self.processor.rearm_guard()
            self.fail(SelfTestFault.STACK)


def _next(tick_ms: int, period_s: int) -> int:
    """The first whole multiple of a period behind a tick."""
    period_ms = period_s * MS_PER_S
    return (tick_ms // period_ms + 1) * period_ms
