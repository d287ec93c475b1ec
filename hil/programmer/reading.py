"""What may be read of a pump, one method a question. Reading changes nothing and may be asked again at will."""

from __future__ import annotations

from hil.errors import PumpbenchError
from hil.programmer.ledger import Ledger
from hil.programmer.log_reading import OLDEST, LogHistory, LogReader
from protocol.identifiers import Opcode, ProgramSlot
from protocol.log.types import LogName
from protocol.messages.alarms import GetAlarms, GetAlarmsReply
from protocol.messages.conversation import (
    EndSession,
    EndSessionReply,
    GetLinkStats,
    GetLinkStatsReply,
    Ping,
    PingReply,
)
from protocol.messages.log import LogRead, LogReadReply, LogStatus, LogStatusReply
from protocol.messages.program import GetProgram, GetProgramReply
from protocol.messages.reading import (
    GetDelivery,
    GetDeliveryReply,
    GetInfo,
    GetInfoReply,
    GetLimits,
    GetLimitsReply,
    GetStatus,
    GetStatusReply,
)
from protocol.messages.reservoir import GetReservoir, GetReservoirReply
from protocol.messages.time import GetTime, GetTimeReply

U32 = 0xFFFF_FFFF


class Reading(Ledger):
    """The questions."""

    def status(self) -> GetStatusReply:
        """What the pump believes and does."""
        return self._ask(Opcode.GET_STATUS, GetStatus(), GetStatusReply)

    def info(self) -> GetInfoReply:
        """Which pump this is, and whether it is a real one."""
        return self._ask(Opcode.GET_INFO, GetInfo(), GetInfoReply)

    def limits(self) -> GetLimitsReply:
        """What it refuses to exceed."""
        return self._ask(Opcode.GET_LIMITS, GetLimits(), GetLimitsReply)

    def time(self) -> GetTimeReply:
        """Both its clocks."""
        client_ms = self._conversation.now_ms() & U32
        return self._ask(Opcode.GET_TIME, GetTime(client_ms), GetTimeReply)

    def program(self, slot: ProgramSlot = ProgramSlot.ACTIVE) -> GetProgramReply:
        """The active or the staged program with all of its segments."""
        program = self._ask(Opcode.GET_PROGRAM, GetProgram(slot, 0), GetProgramReply)
        segments = program.segments
        while len(segments) < program.header.n_segments:
            more = self._ask(Opcode.GET_PROGRAM, GetProgram(slot, len(segments)), GetProgramReply)
            if more.crc != program.crc or not more.segments:
                return self.program(slot)  # it was replaced while we read: the new one, from its start
            segments += more.segments
        return program._replace(segments=segments)

    def delivery(self) -> GetDeliveryReply:
        """What it has delivered since it was made, by source."""
        return self._ask(Opcode.GET_DELIVERY, GetDelivery(), GetDeliveryReply)

    def alarms(self) -> GetAlarmsReply:
        """Each alarm that is active, latched or silenced."""
        return self._ask(Opcode.GET_ALARMS, GetAlarms(), GetAlarmsReply)

    def reservoir(self) -> GetReservoirReply:
        """The calculated reservoir, and when it will be low and empty."""
        return self._ask(Opcode.GET_RESERVOIR, GetReservoir(), GetReservoirReply)

    def link_stats(self, *, clear: bool = False) -> GetLinkStatsReply:
        """What its link has seen go wrong."""
        return self._ask(Opcode.GET_LINK_STATS, GetLinkStats(clear), GetLinkStatsReply)

    def read_log(
        self, log: LogName = LogName.MAIN, *, from_seq: int = OLDEST, type_filter: int = 0
    ) -> LogHistory:
        """The log from an entry on (0: the oldest), whole; DeviceError if entries are missing that should be there."""
        return LogReader(log, from_seq, type_filter).read(
            lambda request: self._ask(Opcode.LOG_READ, request, LogReadReply)
        )

    def log_page(self, request: LogRead) -> LogReadReply:
        """One page of a log, as it comes."""
        return self._ask(Opcode.LOG_READ, request, LogReadReply)

    def log_status(self, log: LogName = LogName.MAIN) -> LogStatusReply:
        """What a log holds, by the pump's own check of its chain."""
        return self._ask(Opcode.LOG_STATUS, LogStatus(log), LogStatusReply)

    def ping(self) -> None:
        """Ask whether somebody is there; LinkError if not."""
        self._ask(Opcode.PING, Ping(), PingReply)

    def end_session(self) -> None:
        """Close the session. If the answer gets lost it counts as closed all the same [SPEC 4]."""
        if not self._conversation.is_open:
            return
        if self._conversation.is_waiting:  # an interrupt came between a question and its answer
            self._conversation.forget_session()
            return
        try:
            self._ask_once(Opcode.END_SESSION, EndSession(), EndSessionReply, self._deadline())
        except PumpbenchError:
            pass  # whatever went wrong here, nothing hangs on it, and what was done before must be told
        finally:
            self._conversation.forget_session()
