"""One well-formed request of each command: what is sent to see a role, a length or a value refused.

None of them would do harm if it were taken by mistake: ids are 0, which no pump records, and nothing here starts
delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    BolusKind,
    ConfigId,
    EventFlag,
    InfusionMode,
    Opcode,
    ProgramFlag,
    ProgramSlot,
    RefillFlag,
    Role,
    StopReason,
    TimeSetReason,
)
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmAck, AlarmTest, GetAlarms
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, PatientBolus, Prime
from protocol.messages.configuration import ConfigRead, ConfigWrite
from protocol.messages.conversation import EndSession, GetLinkStats, Ping, SelfTest, Subscribe
from protocol.messages.keys import KeyAdd, KeyList, KeyRevoke, PairingOpen
from protocol.messages.ledger import OWN_KEY, QueryCmd, VoidCmd
from protocol.messages.log import LogRead, LogStatus
from protocol.messages.program import (
    GetProgram,
    Group,
    ProgAbort,
    ProgBegin,
    ProgCommit,
    ProgramHeader,
    ProgVerify,
    ProgWrite,
    Segment,
    padded_groups,
)
from protocol.messages.reading import GetDelivery, GetInfo, GetLimits, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import GetTime, TimeSet
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
    GetStatus(),
    GetInfo(),
    GetLimits(),
    GetTime(0),
    GetProgram(ProgramSlot.ACTIVE, 0),
    GetDelivery(),
    GetLinkStats(clear=False),
    GetAlarms(),
    GetReservoir(),
    BolusPrepare(BolusKind.BOLUS, 0, 0, 0),
    BolusCommit(_NO_ID, 0, 0, 0, 0),
    QueryCmd(1),
    VoidCmd(_NO_ID),
    BolusCancel(_NO_ID, 1, OWN_KEY),
    Stop(_NO_ID, 0, StopReason.CLINICAL),
    Resume(_NO_ID, 0),
    PatientBolus(_NO_ID),
    ProgBegin(0xFFFF_FFFF, _HEADER),
    ProgWrite(90, (Segment(0, 0),)),
    ProgVerify(),
    ProgCommit(_NO_ID, 0, 0, start=False),
    ProgAbort(),
    Prime(_NO_ID, 0, 0, 0, 0),
    LogRead(LogName.MAIN, 0, 0, 1),
    LogStatus(LogName.MAIN),
    AlarmAck(AlarmId.LOW_RESERVOIR, 0xFFFF_FFFF),
    AlarmTest(AlarmClass.NON_CRITICAL),
    TimeSet(_NO_ID, 0, 0, TimeSetReason.DRIFT),
    Refill(_NO_ID, 0, 0, 0, RefillFlag(0), 0, 0),
    ConfigRead(ConfigId.NOTES),
    ConfigWrite(ConfigId.NOTES, b""),
    Subscribe(EventFlag(0)),
    KeyAdd(0, Role.OBSERVER, bytes(24)),
    KeyRevoke(0),
    KeyList(),
    PairingOpen(),
    SelfTest(),
    Ping(),
    EndSession(),
)

SAMPLE_REQUESTS: Mapping[Opcode, Any] = {command_of(type(sample)).opcode: sample for sample in _SAMPLES}

if set(SAMPLE_REQUESTS) != set(COMMANDS):
    raise AssertionError(f"no sample of {set(COMMANDS) - set(SAMPLE_REQUESTS)}")
