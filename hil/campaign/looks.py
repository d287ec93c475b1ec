"""What is looked at after each deed beside the ten properties: L1, L2 and P9; a part of `Life`."""

from __future__ import annotations

from hil.campaign.deed import Doing
from protocol.identifiers import Outcome, State
from protocol.link.client_end import Phase
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd
from protocol.messages.reservoir import GetReservoir


class Looks(Doing):
    """Looks at a pump as a clinician would; nothing of it is by chance."""

    def look_at_the_ledger(self, cmd_id: int) -> None:
        """L2, of a command to which no answer came."""
        outcome = self.talk.granted(QueryCmd(cmd_id)).outcome
        self.properties.hold("L2", outcome is not Outcome.RUNNING, cmd_id, "is told to be running")

    def look_at_the_dates(self) -> None:
        """P9, where a session is open."""
        if self.talk.client.phase is Phase.OPEN:
            dates = self.talk.ask(GetReservoir())
            if dates is not None and not isinstance(dates, ErrorReply):
                self.properties.hold("P9", dates.low_t_mono_s <= dates.empty_t_mono_s, dates)

    def look_at_the_schedule(self) -> None:
        """The rate is that of the segment in which the local minute lies, as a clinician would read it."""
        controller = self.talk.pump.controller
        if controller is None:
            return
        records, clock = controller.records, controller.records.wall_clock
        program, basal = records.program, controller.therapy.rate_nl_per_day
        bridge = controller.therapy.deliveries.bridge
        suspended = controller.therapy.telemetry.suspends
        if records.therapy.state is not State.RUN or program is None or suspended:
            return
        if bridge is not None:
            self.sometimes("a bridge under way", bridge.delivered > 0)
            rates = (basal, bridge.rate_nl_per_day, program.header.bridge.rate_nl_per_day)
            self.properties.hold("L1", len({*rates}) == 1 and not bridge.waits, "in a bridge", rates)
            return
        if program.week is None:
            return
        if not clock.valid:
            self.sometimes("a schedule without a time of day")
            constant = program.constant_rate_nl_per_day
            self.properties.hold("L1", basal == constant, basal, "without a time of day, not", constant)
            return
        day, minute = divmod(clock.local_s(records.tick_ms) // 60, 1_440)
        first = 0
        for group in program.header.groups:
            rows = program.segments[first : first + group.n_segments]
            first += group.n_segments
            if group.day_mask >> (day + 5) % 7 & 1:  # 2000-01-01 was a Saturday
                due = [row.rate_nl_per_day for row in rows if row.start_min <= minute][-1]
                self.properties.hold("L1", basal == due, basal, "at minute", minute, "not", due)
