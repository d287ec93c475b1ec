"""What must hold of any pump at any time, held against what is physically so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten
from protocol.log.entry import pack_data
from protocol.log.types import LogName, LogType
from protocol.messages.log import LogStatus

if TYPE_CHECKING:
    from hil.campaign.conversation import Conversation


def assert_log_is_whole(talk: Conversation) -> None:
    """Numbers without a gap, times that never go back, chains that hold."""
    for name in LogName:
        entries = talk.log(name)
        times = [(entry.t_mono_s, entry.t_ms) for entry in entries]
        assert times == sorted(times)
        status = talk.granted(LogStatus(name))
        assert (status.corrupt, status.bad_checkpoints) == (0, 0)


def assert_the_trace_tells_the_log(talk: Conversation) -> None:
    """Each entry that is in a log was told once, and none that is not; checkpoints of the chain are told by nothing."""
    logged = [
        entry for name in LogName for entry in talk.log(name) if entry.type is not LogType.LOG_CHECKPOINT
    ]
    events = [entry.event for entry in talk.trace]
    told = Counter(
        (event.seq, event.log_type, event.actor, event.cmd_id, pack_data(event.data))
        for event in events
        if isinstance(event, LogWritten)
    )
    wanted = Counter((entry.seq, entry.type, entry.actor, entry.cmd_id, entry.data) for entry in logged)
    assert told == wanted, f"told of none: {[*(told - wanted)]}, not told: {[*(wanted - told)]}"
    for kind, log_type in ((AlarmRaised, LogType.ALARM_ON), (AlarmCleared, LogType.ALARM_OFF)):
        alarms = sorted((event.log_seq, event.alarm_id) for event in events if isinstance(event, kind))
        rows = [(entry.seq, entry.details().alarm_id) for entry in logged if entry.type is log_type]
        assert alarms == rows, f"{kind.__name__}: {alarms}, by the log {rows}"


def assert_volumes_agree(talk: Conversation) -> None:
    """delivered <= true <= delivered + uncertain, over all sources; fluid is conserved."""
    truth, belief = talk.pump.truth(), talk.pump.belief()
    assert belief is not None
    uncertain_nl = sum(
        entry.details().uncertain_nl
        for entry in talk.log()
        if entry.type in (LogType.RESET_BROWNOUT, LogType.BOLUS_END, LogType.PRIME_END)
    )
    turned_nl = truth.strokes_turned * talk.pump.profile.model.stroke_nl
    assert belief.delivered_total_nl <= turned_nl <= belief.delivered_total_nl + uncertain_nl
    gone_nl_ppm = truth.aspirated_nl_ppm + truth.emitted_nl_ppm - truth.backflow_nl_ppm
    assert truth.true_nl_ppm == truth.filled_nl_ppm - gone_nl_ppm
    moved_nl_ppm = turned_nl * truth.accuracy_ppm
    assert truth.emitted_nl_ppm <= moved_nl_ppm
