"""One request of each command, as good as it can be without knowing the pump: ids, volumes, rates that may be taken.

It stands on the samples of the suite, which are harmless; where a sample would be refused for its zeros, here is
one that a new pump looks into as far as a request can lead it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.suite.sample_requests import SAMPLE_REQUESTS
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    Opcode,
    RefillFlag,
    StopReason,
    TimeSetReason,
)
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmAck
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare
from protocol.messages.ledger import VoidCmd
from protocol.messages.log import LogRead
from protocol.messages.program import ProgBegin, ProgCommit, ProgWrite, Segment
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from protocol.registry import command_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_TO_BE_TAKEN = (
    BolusPrepare(BolusKind.BOLUS, 20_000, 600, 1),
    BolusCommit(1, 20_000, 600, 1, 1),
    VoidCmd(1),
    BolusCancel(1, 0, 0xFFFF),
    Stop(1, 600, StopReason.MRI),
    Resume(1, 1),
    ProgBegin(1, SAMPLE_REQUESTS[Opcode.PROG_BEGIN].header),
    ProgWrite(0, (Segment(0, 600_000),)),
    ProgCommit(1, 1, 0, start=True),
    LogRead(LogName.MAIN, 0, 0, 6),
    AlarmAck(AlarmId.RESET, 1),
    TimeSet(1, 826_000_000, 0, TimeSetReason.DRIFT, confirm=True),
    Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000),
)

REQUESTS: Mapping[Opcode, Any] = {
    **SAMPLE_REQUESTS,
    **{command_of(type(request)).opcode: request for request in _TO_BE_TAKEN},
}
