"""One well-formed request of each command: what is sent to see a role, a length or a value refused.

None of them would do harm if it were taken by mistake: ids are 0, which no pump records, and nothing here starts
delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol import commands
from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    BolusKind,
    ConfigId,
    EventFlag,
    InfusionMode,
    LogName,
    Opcode,
    ProgramFlag,
    ProgramSlot,
    RefillFlag,
    Role,
    StopReason,
    TimeSetReason,
)
from protocol.program import Group, ProgramHeader, Segment, padded_groups
from protocol.registry import COMMANDS, command_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_ID = 0
_HEADER = ProgramHeader(
    InfusionMode.SIMPLE,
    n_groups=1,
    n_segments=1,
    flags=ProgramFlag(0),
    drug_id=1,
    concentration_ng_per_ml=500_000,
    groups=padded_groups([Group(0x7F, 1, 300_000)]),
)

_SAMPLES = (
    commands.GetStatus(),
    commands.GetInfo(),
    commands.GetLimits(),
    commands.GetTime(0),
    commands.GetProgram(ProgramSlot.ACTIVE, 0),
    commands.GetDelivery(),
    commands.GetLinkStats(clear=False),
    commands.GetAlarms(),
    commands.GetReservoir(),
    commands.BolusPrepare(BolusKind.BOLUS, 0, 0, 0),
    commands.BolusCommit(_NO_ID, 0, 0, 0, 0),
    commands.QueryCmd(1),
    commands.VoidCmd(_NO_ID),
    commands.BolusCancel(_NO_ID, 1, commands.OWN_KEY),
    commands.Stop(_NO_ID, 0, StopReason.CLINICAL),
    commands.Resume(_NO_ID, 0),
    commands.PatientBolus(_NO_ID),
    commands.ProgBegin(0xFFFF_FFFF, _HEADER),
    commands.ProgWrite(90, (Segment(0, 0),)),
    commands.ProgVerify(),
    commands.ProgCommit(_NO_ID, 0, 0, start=False),
    commands.ProgAbort(),
    commands.Prime(_NO_ID, 0, 0, 0, 0),
    commands.LogRead(LogName.MAIN, 0, 0, 1),
    commands.LogStatus(LogName.MAIN),
    commands.AlarmAck(AlarmId.LOW_RESERVOIR, 0xFFFF_FFFF),
    commands.AlarmTest(AlarmClass.NON_CRITICAL),
    commands.TimeSet(_NO_ID, 0, 0, TimeSetReason.DRIFT),
    commands.Refill(_NO_ID, 0, 0, 0, RefillFlag(0), 0, 0),
    commands.ConfigRead(ConfigId.NOTES),
    commands.ConfigWrite(ConfigId.NOTES, b""),
    commands.Subscribe(EventFlag(0)),
    commands.KeyAdd(0, Role.OBSERVER, bytes(24)),
    commands.KeyRevoke(0),
    commands.KeyList(),
    commands.SelfTest(),
    commands.Ping(),
    commands.EndSession(),
)

SAMPLE_REQUESTS: Mapping[Opcode, Any] = {command_of(type(sample)).opcode: sample for sample in _SAMPLES}

if set(SAMPLE_REQUESTS) != set(COMMANDS):
    raise AssertionError(f"no sample of {set(COMMANDS) - set(SAMPLE_REQUESTS)}")
