"""What may be read of a pump, one method a question. Reading changes nothing and may be asked again at will."""

from __future__ import annotations

from hil.errors import PumpbenchError
from hil.programmer.ledger import Ledger
from hil.programmer.log_reading import OLDEST, LogHistory, LogReader
from protocol.identifiers import ProgramSlot
from protocol.log.types import LogName
from protocol.messages.alarms import GetAlarms, GetAlarmsReply
from protocol.messages.conversation import (
    EndSession,
    GetLinkStats,
    GetLinkStatsReply,
    Ping,
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
        return self.request(GetStatus())

    def info(self) -> GetInfoReply:
        """Which pump this is, and whether it is a real one."""
        return self.request(GetInfo())

    def limits(self) -> GetLimitsReply:
        """What it refuses to exceed."""
        return self.request(GetLimits())

    def time(self) -> GetTimeReply:
        """Both its clocks."""
        client_ms = self._session.now_ms() & U32
        return self.request(GetTime(client_ms))

    def program(self, slot: ProgramSlot = ProgramSlot.ACTIVE) -> GetProgramReply:
        """The active or the staged program with all of its segments."""
        program = self.request(GetProgram(slot, 0))
        segments = program.segments
        while len(segments) < program.header.n_segments:
            more = self.request(GetProgram(slot, len(segments)))
            if more.crc != program.crc or not more.segments:
                return self.program(slot)  # it was replaced while we read: the new one, from its start
            segments += more.segments
        return program._replace(segments=segments)

    def delivery(self) -> GetDeliveryReply:
        """What it has delivered since it was made, by source."""
        return self.request(GetDelivery())

    def alarms(self) -> GetAlarmsReply:
        """Each alarm that is active, latched or silenced."""
        return self.request(GetAlarms())

    def reservoir(self) -> GetReservoirReply:
        """The calculated reservoir, and when it will be low and empty."""
        return self.request(GetReservoir())

    def link_stats(self, *, clear: bool = False) -> GetLinkStatsReply:
        """What its link has seen go wrong."""
        return self.request(GetLinkStats(clear))

    def read_log(
        self, log: LogName = LogName.MAIN, *, from_seq: int = OLDEST, type_filter: int = 0
    ) -> LogHistory:
        """The log from an entry on (0: the oldest), whole; DeviceError if entries are missing that should be there."""
        return LogReader(log, from_seq, type_filter).read(self.request)

    def log_page(self, request: LogRead) -> LogReadReply:
        """One page of a log, as it comes."""
        return self.request(request)

    def log_status(self, log: LogName = LogName.MAIN) -> LogStatusReply:
        """What a log holds, by the pump's own check of its chain."""
        return self.request(LogStatus(log))

    def ping(self) -> None:
        """Ask whether somebody is there; LinkError if not."""
        self.request(Ping())

    def end_session(self) -> None:
        """Close the session. If the answer gets lost it counts as closed all the same [SPEC 4]."""
        if not self._session.is_open:
            return
        if self._session.is_waiting:  # an interrupt came between a question and its answer
            self._session.forget_session()
            return
        try:
            self._request_once(EndSession(), self._deadline())
        except PumpbenchError:
            pass  # whatever went wrong here, nothing hangs on it, and what was done before must be told
        finally:
            self._session.forget_session()
