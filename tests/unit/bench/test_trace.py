"""The trace of a pump: typed events with pump time and line time, their plain form, and what the hash is made of."""

from __future__ import annotations

import hashlib
import json

import pytest

from firmware_emu.bench.event_words import shown, words_of
from firmware_emu.bench.trace_hash import TraceHash, trace_bytes
from firmware_emu.controller.events import AlarmRaised, FrameReceived, FrameSent, LogWritten
from firmware_emu.events import (
    Event,
    FaultCleared,
    FaultInjected,
    FaultValue,
    MemoryWritten,
    PowerCutCause,
    PowerLost,
    PowerOn,
    RefilledByHand,
    SyringeAspirated,
    SyringeFilled,
    TraceEntry,
    fields_of,
)
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.pump import Pump
from hil.campaign.conversation import SEED, Conversation, Counting, profile_of
from protocol.identifiers import AlarmId, BolusKind, RefillFlag
from protocol.link.client_end import ClientEnd
from protocol.log.data import AlarmOnData, NoData
from protocol.log.types import LogType
from protocol.messages.bolus import BolusCommit, BolusPrepare
from protocol.messages.reservoir import Refill
from protocol.wire.frame import Fault

LOGGED = LogWritten(9, LogType.ALARM_ON, 0, 0, AlarmOnData(AlarmId.EMPTY, 0, 3))


class Leaked(Event):
    """A kind of event that somebody adds: this is all that it takes."""

    volume_nl: int
    where: PowerCutCause
    open_valves: RefillFlag
    at_strokes: tuple[int, ...]


LEAKED = Leaked(5, PowerCutCause.STROKE, RefillFlag(0), (1, 2))


def test_an_event_is_equal_to_one_of_its_own_kind_alone() -> None:
    same, other_kind = SyringeFilled(5, 7), RefilledByHand(5, 7)
    told: list[Event] = [SyringeFilled(5, 7)]
    assert same in told
    assert other_kind not in told


@pytest.mark.parametrize(
    ("event", "fields", "words"),
    [
        (
            LOGGED,
            {
                "seq": 9,
                "log_type": "ALARM_ON",
                "actor": 0,
                "cmd_id": 0,
                "data": {"alarm_id": "EMPTY", "cause": 0, "value": 3},
            },
            "LogWritten: seq 9, log_type ALARM_ON, actor 0, cmd_id 0, alarm_id EMPTY, cause 0, value 3",
        ),
        (
            LogWritten(1, LogType.EOS, 0, 0, NoData()),
            None,
            "LogWritten: seq 1, log_type EOS, actor 0, cmd_id 0",
        ),
        (FrameReceived(b"\x01\xff", Fault.CRC), {"encoded": "01ff", "fault": "CRC"}, None),
        (FrameSent(b"\x01"), {"encoded": "01"}, "FrameSent: encoded 01"),
        (FrameReceived(b"\x01", None), {"encoded": "01", "fault": None}, "FrameReceived: encoded 01"),
        (MemoryWritten(4, b"\x05"), {"address": 4, "data": "05"}, "MemoryWritten: address 4, data 05"),
        (
            FaultInjected("motor-stall", (FaultValue("duration_ms", 6),)),
            {"name": "motor-stall", "parameters": [{"name": "duration_ms", "value": 6}]},
            "FaultInjected: name motor-stall, parameters name duration_ms, value 6",
        ),
        (FaultCleared("magnet"), {"name": "magnet"}, "FaultCleared: name magnet"),
        (
            LEAKED,
            {"volume_nl": 5, "where": "STROKE", "open_valves": 0, "at_strokes": [1, 2]},
            "Leaked: volume_nl 5, where STROKE, open_valves 0, at_strokes 1; 2",
        ),
    ],
)
def test_any_event_has_plain_fields_and_words(
    event: Event, fields: dict[str, object] | None, words: str | None
) -> None:
    if fields is not None:
        assert fields_of(event) == fields
    if words is not None:
        assert words_of(event) == words


def test_an_event_that_holds_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="an event holds a float"):
        fields_of(SyringeAspirated(0.5))  # type: ignore[arg-type] # that is the point


def test_the_hash_can_be_computed_from_what_rig_control_shows() -> None:
    """As DESIGN.md says it, by hand."""
    trace = [
        TraceEntry(Now(number, number // 2), event) for number, event in enumerate([LOGGED, LEAKED] * 40)
    ]
    rows = [shown(entry)._asdict() for entry in trace]
    for row in rows:
        del row["text"]
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
    assert text.startswith(
        b'{"kind":"LogWritten","now_ms":0,"line_ms":0,"fields":{"seq":9,"log_type":"ALARM_ON",'
    )
    chain = b""
    while len(text) >= 4_096:
        chain, text = hashlib.sha256(chain + text[:4_096]).digest(), text[4_096:]
    assert chain, "more than a block"
    trace_hash = TraceHash()
    for entry in trace:
        trace_hash.add(trace_bytes([entry]))
    assert trace_hash.hexdigest() == hashlib.sha256(chain + text).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        TraceEntry(Now(1, 3), SyringeFilled(5, 7)),
        TraceEntry(Now(2, 2), SyringeFilled(5, 7)),
        TraceEntry(Now(1, 2), RefilledByHand(5, 7)),
        TraceEntry(Now(1, 2), SyringeFilled(5, 8)),
    ],
)
def test_kind_both_times_and_each_field_are_in_the_hash(other: TraceEntry) -> None:
    assert trace_bytes([TraceEntry(Now(1, 2), SyringeFilled(5, 7))]) != trace_bytes([other])


def test_a_frame_carries_the_line_time_at_which_it_was_on_the_line() -> None:
    pump = Pump.new(profile_of(), SEED)
    talk = Conversation(pump)
    client = ClientEnd(key=talk.key, entropy=Counting(), secured=True)
    client.open(40)
    hello = client.take_output()
    step = pump.step(Now(144_000, 40), hello)
    frames = [entry for entry in step.trace if isinstance(entry.event, FrameReceived | FrameSent)]
    assert frames == [
        TraceEntry(Now(144_000, 40), FrameReceived(hello[1:-1], None)),
        TraceEntry(Now(144_000, 40), FrameSent(step.to_send[1:-1])),
    ]


def test_what_falls_due_between_two_steps_has_the_line_time_of_its_moment() -> None:
    """Time runs 3,600 times as fast for the patient."""
    pump = Pump.new(profile_of(implant=Implant(filled_nl=2_100_000)), SEED)
    end = Now(3_600 * 48_000, 48_000)
    [(now, low)] = [(now, event) for now, event in pump.step(end).trace if isinstance(event, AlarmRaised)]
    assert low.alarm_id is AlarmId.LOW_RESERVOIR
    assert 0 < now.pump_ms < end.pump_ms
    assert now.line_ms == now.pump_ms // 3_600


def test_a_request_its_consequences_and_its_answer_stand_in_this_order() -> None:
    talk = Conversation.with_new_pump()
    talk.granted(BolusPrepare(BolusKind.BOLUS, 5_000, 300, 1))
    talk.trace.clear()
    talk.start_bolus(1, 5_000, 300)
    kinds = [type(entry.event) for entry in talk.trace if not isinstance(entry.event, MemoryWritten)]
    assert kinds[-4:] == [FrameReceived, LogWritten, LogWritten, FrameSent]


def test_power_that_goes_in_a_commit_leaves_the_request_in_the_trace_and_no_log_entry() -> None:
    talk = Conversation.with_new_pump()
    prepared = talk.granted(BolusPrepare(BolusKind.BOLUS, 5_000, 300, 1))
    talk.trace.clear()
    talk.pump.inject("power-cut-at-write", {"writes": 1})
    assert talk.ask(BolusCommit(1, prepared.quantised_nl, 300, prepared.token, 1)) is None
    kinds = [type(entry.event) for entry in talk.trace]
    assert kinds[:2] == [FaultInjected, FrameReceived]
    assert kinds[-1] is PowerLost
    assert set(kinds[2:-1]) <= {MemoryWritten}


def test_each_verb_of_the_rig_is_an_event_with_its_numbers() -> None:
    pump = Pump.new(profile_of(), SEED)
    pump.step(Now.both(1_000))
    pump.aspirate(2_000)
    pump.fill(1_500, 500_000)
    pump.inject("motor-stall", {"duration_ms": 5_000})
    pump.clear("motor-stall")
    pump.cut_power()
    pump.restore_power()
    at = Now.both(1_000)
    trace = pump.step(at).trace
    assert trace[:5] == tuple(
        TraceEntry(at, event)
        for event in (
            SyringeAspirated(2_000),
            SyringeFilled(1_500, 500_000),
            FaultInjected("motor-stall", (FaultValue("duration_ms", 5_000),)),
            FaultCleared("motor-stall"),
            PowerLost(PowerCutCause.RIG, None, while_starting=False, stays_off=True),
        )
    )
    assert TraceEntry(at, PowerOn(2, first=False)) in trace


def test_a_cut_at_a_stroke_names_its_tick_and_whether_power_stays_off() -> None:
    pump = Pump.new(profile_of(), SEED)
    pump.inject("power-cut-at-stroke", {"strokes": 1, "stays_off": 0})
    trace = pump.step(Now.both(3_600_000)).trace
    [lost] = [entry for entry in trace if isinstance(entry.event, PowerLost)]
    assert lost.event == PowerLost(
        PowerCutCause.STROKE, lost.now.pump_ms, while_starting=False, stays_off=False
    )


def test_a_refill_by_hand_is_told_with_what_went_in() -> None:
    talk = Conversation.with_new_pump()
    belief = talk.pump.belief()
    assert belief is not None
    talk.granted(
        Refill(
            cmd_id=1,
            aspirated_nl=belief.reservoir_calc_nl,
            filled_nl=18_000_000,
            drug_id=1,
            flags=RefillFlag(0),
            concentration_ng_per_ml=500_000,
            low_alarm_nl=1_000_000,
        )
    )
    assert RefilledByHand(18_000_000, 500_000) in [entry.event for entry in talk.trace]
