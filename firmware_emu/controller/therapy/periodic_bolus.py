"""The boluses that a program gives by itself: the k-th at commit + first delay + k x interval [SPEC 6].

The series runs on monotonic time, whatever the pump does meanwhile. A start that cannot be made is passed over, logged
once for a row of the same reason, and never caught up.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.bolus import ActiveBolus, check_size, check_windows, quantised_nl
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.units import MS_PER_S
from protocol.identifiers import ErrorCode, ProgramFlag, State
from protocol.log.data import CmdRefusedData
from protocol.log.types import Actor, LogType

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.therapy import Therapy
    from protocol.messages.program import PeriodicBlock, ProgramHeader

NO_COMMAND: Final = 0  # in place of an opcode, a command id or a key: the pump begins these boluses itself
_NO_TICK: Final = 0xFFFF_FFFF_FFFF_FFFF
_RECORD: Final = struct.Struct("<QQH")
_NOT_RUNNING: Final = {State.STOP: ErrorCode.STOPPED, State.EOS: ErrorCode.EOS}


@dataclass(slots=True)
class PeriodicSeries:
    """`next_start_ms`: None without a series. `passed_for`: why the last start was passed over, 0 if it was made."""

    next_start_ms: int | None = None
    interval_ms: int = 0
    passed_for: int = 0

    @classmethod
    def of(cls, header: ProgramHeader, tick_ms: int) -> PeriodicSeries:
        """The series of a program that is committed at `tick_ms`."""
        if not header.flags & ProgramFlag.PERIODIC:
            return cls()
        block = header.periodic
        return cls(tick_ms + block.first_delay_s * MS_PER_S, block.interval_s * MS_PER_S)

    def move_on(self, tick_ms: int) -> int:
        """Go on to the first start behind `tick_ms`; returns how many starts lay until then."""
        if self.next_start_ms is None or self.next_start_ms > tick_ms:
            return 0
        starts = (tick_ms - self.next_start_ms) // self.interval_ms + 1
        self.next_start_ms += starts * self.interval_ms
        return starts

    def pack(self) -> bytes:
        """Its record, of fixed size."""
        next_ms = _NO_TICK if self.next_start_ms is None else self.next_start_ms
        return _RECORD.pack(next_ms, self.interval_ms, self.passed_for)

    @classmethod
    def unpack(cls, data: bytes) -> PeriodicSeries:
        """The series as it was packed; ValueError for bytes that this program never wrote."""
        if len(data) != _RECORD.size:
            raise ValueError(f"a record of periodic boluses of {len(data)} bytes, expected {_RECORD.size}")
        next_ms, interval_ms, passed_for = _RECORD.unpack(data)
        if next_ms == _NO_TICK:
            return cls(None, interval_ms, passed_for)
        if not interval_ms:
            raise ValueError("a series of boluses without an interval")
        return cls(next_ms, interval_ms, passed_for)


def periodic_block(therapy: Therapy) -> PeriodicBlock | None:
    """What the active program gives by itself; None where it gives nothing."""
    program = therapy.records.program
    if program is None or not program.header.flags & ProgramFlag.PERIODIC:
        return None
    return program.header.periodic


def start_due(therapy: Therapy) -> None:
    """Begin the bolus that is due now, or pass it over; the next one is due an interval later."""
    records, block = therapy.records, periodic_block(therapy)
    records.periodic.move_on(records.tick_ms)
    records.mark_dirty(Region.PERIODIC)
    refused = _refusal(therapy, block)
    if refused is not None or block is None:
        code, detail = (ErrorCode.NO_STAGED, 0) if refused is None else refused
        _pass_over(therapy, code, detail)
        return
    records.periodic.passed_for = 0
    bolus = ActiveBolus(
        source=Source.PERIODIC,
        cmd_id=NO_COMMAND,
        key_id=NO_COMMAND,
        stroke_nl=therapy.model.stroke_nl,
        strokes_total=block.volume_nl // therapy.model.stroke_nl,
        duration_ms=block.duration_s * MS_PER_S,
        start_ms=records.tick_ms,
    )
    therapy.start_delivery(bolus, actor=Actor.PUMP)


def pass_without_power(therapy: Therapy) -> None:
    """Pass over the starts that a loss of power swallowed; one that is due at this very tick is still to come."""
    records = therapy.records
    missed = records.periodic.move_on(records.tick_ms - 1)
    if missed:
        records.mark_dirty(Region.PERIODIC)
        _pass_over(therapy, ErrorCode.BATTERY, missed)


def _pass_over(therapy: Therapy, code: ErrorCode, detail: int) -> None:
    """Log that a bolus was not begun, where the one before it was or had another reason."""
    records = therapy.records
    if records.periodic.passed_for == code:
        return
    records.periodic.passed_for = code
    records.enter(LogType.CMD_REFUSED, CmdRefusedData(NO_COMMAND, code, saturated_u32(detail)))


def _refusal(therapy: Therapy, block: PeriodicBlock | None) -> tuple[ErrorCode, int] | None:
    """Why a bolus cannot begin now, and the value that says so; None where it can."""
    records, model = therapy.records, therapy.model
    state = records.therapy.state
    if state is not State.RUN or block is None:
        return _NOT_RUNNING.get(state, ErrorCode.SAFE_STATE), state
    if records.alarms.critical_active or therapy.telemetry.suspends:
        return ErrorCode.ALARM_BLOCKS, records.alarms.active_mask
    if therapy.deliveries.bridge is not None:
        return ErrorCode.BRIDGE_ACTIVE, therapy.deliveries.bridge.left_nl
    if (other := therapy.deliveries.in_the_way_of(Source.PERIODIC)) is not None:
        return ErrorCode.BOLUS_ACTIVE, other.cmd_id
    volume_nl = quantised_nl(block.volume_nl, model.stroke_nl)
    highest = therapy.highest_basal_nl_per_day(block.duration_s * MS_PER_S)
    refusal = check_size(volume_nl, block.duration_s, highest, model) or check_windows(
        volume_nl, model, records.window, records.tick_ms
    )
    return None if refusal is None else (refusal.code, refusal.value)
