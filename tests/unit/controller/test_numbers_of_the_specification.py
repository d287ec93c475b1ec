"""Each number of SPEC 6 to 12 by what it does, at its edge and one beside it; numbers stand here as SPEC has them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.alarms.alarms import Alarms
from firmware_emu.controller.memory.identity import Identity
from firmware_emu.controller.memory.ledger import Ledger, LedgerEntry
from firmware_emu.controller.memory.memory import Memory
from firmware_emu.controller.memory.memory_map import Region, log_ring, memory_size_bytes
from firmware_emu.controller.service_life import ServiceLife
from firmware_emu.controller.therapy.bolus_window import BolusWindow
from firmware_emu.controller.therapy.programs import Program
from firmware_emu.controller.therapy.reservoir_belief import ReservoirBelief
from firmware_emu.controller.therapy.therapy_record import TherapyRecord
from firmware_emu.controller.wall_clock import WallClock
from firmware_emu.now import Now
from firmware_emu.plant.flash import Flash
from firmware_emu.profile import PairedKey
from firmware_emu.pump import Pump
from hil.campaign.conversation import SEED, Conversation, profile_of
from protocol.identifiers import AlarmId, ErrorCode, InfusionMode, Outcome, ProgramFlag, Role, StopReason
from protocol.link.development_keys import DeviceKey, development_key
from protocol.log.types import LogName, LogType, SessionCloseReason
from protocol.messages.log import LogStatus
from protocol.messages.program import (
    Group,
    ProgBegin,
    ProgBeginReply,
    ProgramHeader,
    Segment,
    padded_groups,
)
from protocol.messages.reading import GetInfo, GetStatus
from protocol.messages.stop import Stop
from tests.support.for_each import for_each

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
LOG_ENTRY_BYTES = 32


def entries(talk: Conversation, log_type: LogType) -> list[int]:
    """When entries of this type were written, in ms."""
    return [entry.t_mono_s * 1_000 + entry.t_ms for entry in talk.log() if entry.type is log_type]


@for_each("cut", [False, True])
def test_a_stop_is_too_long_after_48_hours_to_the_millisecond(cut: bool) -> None:
    talk = Conversation.with_new_pump(profile_of(max_stop_s=400_000))
    talk.wait_until(HOUR_MS + 250)
    talk.granted(Stop(1, 400_000, StopReason.CLINICAL))
    if cut:
        talk.pump.cut_power()
        talk.pump.restore_power()
    due_ms = HOUR_MS + 250 + 48 * HOUR_MS - talk.pump.plant.crystal.offset_ms
    talk.wait_until(due_ms - 1)
    assert not talk.granted(GetStatus()).alarm_active >> AlarmId.STOPPED_TOO_LONG & 1
    talk.wait_until(due_ms)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.STOPPED_TOO_LONG & 1
    assert entries(talk, LogType.STOPPED_TOO_LONG) == [HOUR_MS + 250 + 48 * HOUR_MS]


def test_the_log_tells_the_wall_clock_every_18_hours() -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(60 * HOUR_MS)
    assert entries(talk, LogType.TIME_REF) == [18 * HOUR_MS, 36 * HOUR_MS, 54 * HOUR_MS]


@for_each("after_ms", [HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS - 1, 5 * HOUR_MS + 3_599_000])
def test_no_power_cut_makes_more_basal_volume_uncertain_than_an_hour_and_a_second_give(after_ms: int) -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(after_ms)
    talk.pump.cut_power()
    turned_nl = talk.pump.truth().strokes_turned * 500
    talk.pump.restore_power()
    (reset,) = [entry.details() for entry in talk.log() if entry.type is LogType.RESET_BROWNOUT]
    assert reset.uncertain_nl <= 600_000 * 3_601 // 86_400 + 500
    counted_nl = talk.granted(GetStatus()).delivered_total_nl
    assert counted_nl <= turned_nl <= counted_nl + reset.uncertain_nl


@for_each("log", LogName)
def test_a_chain_checkpoint_in_a_damaged_slot_is_told_and_asking_goes_on(log: LogName) -> None:
    talk = Conversation.with_new_pump()
    while len(talk.log(log)) < 64:
        talk.open()
        talk.granted(Stop(1, 60, StopReason.CLINICAL))
    flash = talk.pump.plant.flash
    offset = log_ring(log, log_capacity=2_000).offset + 63 * LOG_ENTRY_BYTES
    assert flash.read(offset, 4) == (64).to_bytes(4, "little")
    flash.load([(offset + 8, bytes([flash.read(offset + 8, 1)[0] ^ 1]))])
    found = talk.granted(LogStatus(log))
    assert (found.corrupt, found.first_bad_seq) == (1, 64)
    assert found.bad_checkpoints in (1, 2)  # its own link, and the span behind it, if there is one
    talk.pump.cut_power()
    talk.pump.restore_power()
    again = talk.granted(LogStatus(log))
    assert (again.corrupt, again.first_bad_seq) == (1, 64)


def test_a_session_idles_out_by_the_time_of_the_line_however_little_the_pumps_time_moves() -> None:
    for pump_ms, line_ms, open_still in (
        (1, 119_999, True),
        (1, 120_000, False),
        (10 * DAY_MS, 119_999, True),
    ):
        talk = Conversation.with_new_pump()
        talk.pump.step(Now(1_000, 0))
        talk.open()
        step = talk.pump.step(Now(1_000, 1))
        assert step.wake_line_ms == 120_000
        talk.pump.step(Now(1_000 + pump_ms, line_ms))
        assert talk.pump.controller is not None
        assert (talk.pump.controller.link.session is not None) is open_still, (pump_ms, line_ms)
        if not open_still:
            talk.pump.step(Now(1_001, 120_001))
            talk.client = Conversation(talk.pump).client
            closed = [e.details() for e in talk.log(LogName.SECURITY) if e.type is LogType.SESSION_CLOSE]
            assert [each.reason for each in closed] == [SessionCloseReason.IDLE]


def test_a_session_idles_out_in_a_step_in_which_the_two_times_meet() -> None:
    talk = Conversation.with_new_pump()
    talk.open()
    talk.pump.step(Now(200_000, 10))
    talk.pump.step(Now.both(200_001))
    assert talk.pump.controller is not None
    assert talk.pump.controller.link.session is None


@for_each("development", [False, True])
def test_a_session_under_a_private_key_is_none_under_a_development_key(development: bool) -> None:
    private = DeviceKey(7, Role.CLINICIAN, b"of this test....", slot=1, development=False)
    observer = development_key(Role.OBSERVER)
    keys = (
        PairedKey(observer.key_id, observer.role, observer.key, development=True),
        PairedKey(private.key_id, private.role, private.key),
    )
    talk = Conversation(Pump.new(replace(profile_of(), keys=keys), SEED))
    talk.key = observer if development else private
    talk.client = talk._new_client()
    assert talk.granted(GetInfo()).dev_key is development
    opened = [e for e in talk.log(LogName.SECURITY) if e.type is LogType.SESSION_OPEN]
    assert [e.details().key_id for e in opened] == [talk.key.key_id]
    assert {e.actor & 0xF for e in opened} == {0 if development else 1}


@for_each("acknowledged", [False, True])
@for_each("alarm_id", sorted(ALARMS))
def test_an_alarm_in_each_of_its_states_is_read_back_as_it_was(alarm_id: AlarmId, acknowledged: bool) -> None:
    critical_silence_ms = 1_800_000
    for ended in (False, True):
        alarms = Alarms()
        alarms.raise_(alarm_id, 5_000, on_seq=9, value=7, cause=1)
        if acknowledged:
            alarms.acknowledge(alarm_id, 9, 6_000)
        if ended:
            alarms.clear(alarm_id, 7_000)
        again = Alarms.unpack(alarms.pack())
        before, after = alarms.occurrences[alarm_id], again.occurrences[alarm_id]
        if before.tone_from_ms == 6_000 + critical_silence_ms:  # a reset ends it with its session
            before.tone_from_ms = 5_000
            alarms._count(7_000)
        assert after == before
        assert again == alarms


@for_each(
    ("groups", "segments", "nearest"),
    [
        *((1, segments, None) for segments in (1, 90, 91)),
        (1, 0, 1),
        (1, 92, 91),
        (1, 255, 91),
        *((groups, 7, None) for groups in (1, 6, 7)),
        (0, 7, 1),
        (8, 7, 7),
    ],
)
def test_a_program_has_one_to_seven_groups_and_one_to_91_segments(
    groups: int, segments: int, nearest: int | None
) -> None:
    rows = padded_groups([Group(0x7F, 1, 300_000)])
    header = ProgramHeader(InfusionMode.SIMPLE, groups, segments, ProgramFlag(0), 1, 500_000, groups=rows)
    talk = implanted().fork()
    answer = talk.ask(ProgBegin(1, header))
    if nearest is None:
        assert answer == ProgBeginReply()
    else:
        assert (answer.code, answer.nearest) == (ErrorCode.SEGMENTS, nearest)


@cache
def implanted() -> Conversation:
    return Conversation.with_new_pump()


def largest_records() -> dict[Region, bytes]:
    """Each record with as much in it as SPEC lets there be."""
    ledger = Ledger()
    for key_id in range(0xFFF8, 0x1_0000):
        for cmd_id in range(0xFFFF_FFF0 - 8, 0xFFFF_FFF0):
            ledger._keys.setdefault(key_id, type(ledger._of(key_id))()).last_id = cmd_id - 1
            ledger.record(key_id, LedgerEntry(cmd_id, 0x21, Outcome.RUNNING, cmd_crc=0xFFFF_FFFF))
    window = BolusWindow()
    for number in range(200):
        window.start(500_000)
        window.end(number, 500_000, 500_000)
    alarms = Alarms()
    for alarm_id in ALARMS:
        alarms.raise_(alarm_id, (1 << 47) - 1, 0xFFFF_FFFF, 0xFFFF_FFFF, 255)
    groups = padded_groups([Group(1 << day, 13, 0xFFFF_FFFF) for day in range(7)])
    header = ProgramHeader(InfusionMode.FLEX, 7, 91, ProgramFlag(0), 0xFFFF, 0xFFFF_FFFF, groups=groups)
    program = Program(header, tuple(Segment(1_439, 0xFFFF_FFFF) for _ in range(91)))
    return {
        Region.IDENTITY: Identity(memory_id=(1 << 64) - 1, chain_key=b"\xff" * 16).pack(),
        Region.THERAPY: TherapyRecord(boot_count=0xFFFF_FFFF).pack(),
        Region.PROGRAM: program.pack(),
        Region.RESERVOIR: ReservoirBelief(500, belief_nl=-(1 << 62)).pack(),
        Region.LEDGER: ledger.pack(),
        Region.ALARMS: alarms.pack(),
        Region.BOLUS_WINDOW: window.pack(),
        Region.WALL_CLOCK: WallClock(1 << 62, 840, valid=True, moved_at_tick_ms=1 << 62).pack(),
        Region.SERVICE: ServiceLife(84, 1, 0xFFFF_FFFF, 840, 1 << 62, 1 << 62, 1 << 62).pack(),
    }


def test_every_record_at_its_largest_lies_in_its_region_and_all_of_them_in_one_commit() -> None:
    flash = Flash(memory_size_bytes(1_000))
    memory = Memory(flash, 1_000)
    memory.recover()
    memory.format()
    records = largest_records()
    assert len(records[Region.LEDGER]) == 1 + 8 * (12 + 8 * 40)
    assert len(records[Region.BOLUS_WINDOW]) == 16 + 128 * 12
    assert len(records[Region.PROGRAM]) >= 98 + 91 * 6
    for region, data in records.items():
        memory.stage(region, data)
    # what moves with a stroke, the basal rate, and a delivery of each of the five sources on top of it
    memory.stage_checkpoint(bytes(100 + (2 + 20) + 5 * (2 + 44)))
    memory.commit()
    again = Memory(flash, 1_000)
    assert again.recover().corrupt == ()
    assert {region: again.read_record(region) for region in records} == records
    assert Ledger.unpack(records[Region.LEDGER]).pack() == records[Region.LEDGER]
    assert Program.unpack(records[Region.PROGRAM]).pack() == records[Region.PROGRAM]
