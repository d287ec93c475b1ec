"""Cells that flip or take no write: what hangs on them decides what the pump does [DOMAIN 8.4].

Therapy data: the safe state and a critical alarm. Other data: therapy goes on, with an alarm that is not. Never a dose
that looks right and is wrong, also not after a reset that finds the old record where the new one should be.
"""

from __future__ import annotations

import contextlib
from functools import cache

import pytest

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.events import LogWritten
from firmware_emu.controller.memory.memory_map import (
    CHECKPOINT_OFFSETS,
    CRITICAL_REGIONS,
    FIRST_JOURNAL_OFFSET,
    LOG_OFFSET,
    LOG_SLOT_BYTES,
    MARK_OFFSET,
    PLACES,
    Region,
    journal_offsets,
    log_ring,
)
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, bridged, profile_of, simple_header
from hil.plugin import verifies
from protocol.identifiers import (
    AlarmId,
    ConfigId,
    Outcome,
    ProgramSlot,
    RefillFlag,
    State,
    StatusFlag,
    StopReason,
)
from protocol.log.types import LogName, LogType
from protocol.messages.configuration import ConfigWrite
from protocol.messages.ledger import QueryCmd
from protocol.messages.log import LogStatus
from protocol.messages.program import GetProgram, ProgCommit, Segment
from protocol.messages.reading import GetInfo, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.wire.checksum import crc32c
from tests.simulation.invariants import assert_volumes_agree
from tests.support.soak import part_of

RATE_NL_PER_DAY = 600_000
SAFE_RATE_NL_PER_DAY = 6_000
CRITICAL = sorted(CRITICAL_REGIONS)
of_a_checkpoint_or_a_journal = pytest.mark.parametrize(
    "offset", [CHECKPOINT_OFFSETS[0], FIRST_JOURNAL_OFFSET], ids=["checkpoint A", "journal"]
)
OTHER = sorted(set(Region) - CRITICAL_REGIONS)


def name_of(region: Region) -> str:
    return region.name


@cache
def lived() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
    talk.wait(MS_PER_HOUR)
    talk.start_bolus(1, 20_000, 600)
    talk.wait(MS_PER_HOUR)
    return talk


def restarted(talk: Conversation) -> Conversation:
    talk.pump.cut_power()
    talk.pump.restore_power()
    return talk


def effects_of(talk: Conversation, name: str) -> int:
    return next(each.effects for each in talk.pump.faults() if each.fault.name == name)


def assert_safe(talk: Conversation, *alarms: AlarmId) -> None:
    """The safe state with one of these alarms, at its rate."""
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.SAFE_STATE, SAFE_RATE_NL_PER_DAY)
    assert any((status.alarm_active | status.alarm_latched) >> alarm & 1 for alarm in alarms)
    before = talk.pump.truth().strokes_turned
    talk.wait(MS_PER_DAY)
    assert talk.pump.truth().strokes_turned - before == SAFE_RATE_NL_PER_DAY // 500


# FI 40
@pytest.mark.parametrize("region", Region, ids=name_of)
def test_a_flip_counts_once_it_is_read_and_ends_in_the_alarm_of_its_record(region: Region) -> None:
    talk = lived().fork()
    talk.pump.inject("bit-flip", {"region": int(region), "offset_bytes": 3, "bit": 5})
    assert effects_of(talk, "bit-flip") == 0
    restarted(talk)
    assert effects_of(talk, "bit-flip") == 1
    status = talk.granted(GetStatus())
    critical = region in CRITICAL_REGIONS
    assert status.state is (State.SAFE_STATE if critical else State.RUN)
    assert bool(status.alarm_active >> AlarmId.MEM_CRITICAL & 1) == critical
    assert bool(status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1) != critical
    assert_volumes_agree(talk)


# FI 41
def test_a_flip_in_each_copy_of_the_keys_leaves_therapy_and_locks_all_but_the_card_out() -> None:
    talk = lived().fork()
    for region in (Region.KEYS, Region.KEYS_COPY):
        talk.pump.inject("bit-flip", {"region": int(region), "offset_bytes": 10, "bit": 0})
    restarted(talk)
    belief = talk.pump.belief()
    assert belief is not None
    assert (belief.state, belief.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
    assert belief.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    with pytest.raises(AssertionError, match="opened no session"):
        talk.open()


# FI 41
@pytest.mark.parametrize("bits", [(0, 1), (0, 7), (3, 4)])
@pytest.mark.parametrize("region", CRITICAL, ids=name_of)
def test_two_flips_in_one_record_are_found_as_one_is(region: Region, bits: tuple[int, int]) -> None:
    talk = lived().fork()
    for offset_bytes, bit in enumerate(bits):
        talk.pump.inject("bit-flip", {"region": int(region), "offset_bytes": 2 + offset_bytes, "bit": bit})
    assert_safe(restarted(talk), AlarmId.MEM_CRITICAL)


def test_the_same_flip_twice_is_none() -> None:
    talk = lived().fork()
    for _ in range(2):
        talk.pump.inject("bit-flip", {"region": int(Region.PROGRAM), "offset_bytes": 3})
    assert restarted(talk).granted(GetStatus()).state is State.RUN
    assert effects_of(talk, "bit-flip") == 0


def write_a_program(talk: Conversation) -> None:
    crc = talk.stage(150_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, crc, start=True))


def give_a_bolus(talk: Conversation) -> None:
    talk.start_bolus(3, 30_000, 600)


def refill_of(talk: Conversation, cmd_id: int, low_alarm_nl: int) -> None:
    talk.granted(Refill(cmd_id, 0, 12_000_000, 1, RefillFlag(0), 500_000, low_alarm_nl))


def refill(talk: Conversation) -> None:
    refill_of(talk, 3, 1_000_000)


STUCK = {
    Region.THERAPY: give_a_bolus,
    Region.PROGRAM: write_a_program,
    Region.RESERVOIR: refill,
    Region.LEDGER: give_a_bolus,
    Region.BOLUS_WINDOW: give_a_bolus,
}


def stuck_in(region: Region) -> Conversation:
    """The pump with the first cells of a record stuck, once it has had something to write there."""
    talk = lived().fork()
    talk.granted(GetStatus())  # a session is open, so that nothing else is written before
    for offset_bytes in range(64):
        talk.pump.inject("stuck-cell", {"region": int(region), "offset_bytes": offset_bytes})
    STUCK[region](talk)
    talk.wait(MS_PER_HOUR)
    return talk


# FI 43
@verifies("HDW-005")
@pytest.mark.parametrize("region", STUCK, ids=name_of)
def test_therapy_data_that_do_not_land_end_in_the_safe_state_at_once_and_after_a_reset(
    region: Region,
) -> None:
    talk = stuck_in(region)
    assert effects_of(talk, "stuck-cell") > 0
    faults = [entry.details().region for entry in talk.log() if entry.type is LogType.NVM_FAULT]
    assert region in faults
    assert_safe(talk.fork(), AlarmId.MEM_CRITICAL)
    assert_safe(restarted(talk), AlarmId.MEM_CRITICAL)
    assert_volumes_agree(talk)


# FI 43
def test_a_bolus_that_the_ledger_did_not_take_is_not_given_twice_over_a_reset() -> None:
    talk = stuck_in(Region.LEDGER)
    first = talk.granted(QueryCmd(3))
    assert first.outcome is Outcome.PARTIAL, "the alarm ended it"
    before = talk.pump.truth().strokes_turned
    restarted(talk)
    assert talk.ask(QueryCmd(3)) is not None
    talk.wait(MS_PER_HOUR)
    assert talk.pump.truth().strokes_turned - before <= 1, "one of the safe rate"


@pytest.mark.parametrize("turned_ms", [0, 100_003])
def test_a_bolus_ends_once_and_as_it_did_however_often_a_pump_starts_whose_ledger_takes_no_write(
    turned_ms: int,
) -> None:
    talk = lived().fork()
    talk.start_bolus(3, 30_000, 600)
    talk.wait(turned_ms)
    talk.pump.inject("stuck-page", {"region": int(Region.LEDGER), "offset_bytes": 11})
    told = {restarted(talk).granted(QueryCmd(3)) for _ in range(3)}
    ends = [entry for entry in talk.log() if entry.type is LogType.BOLUS_END and entry.cmd_id == 3]
    assert len(ends) == len(told) == 1
    (reply,), (end,) = told, ends
    assert (reply.end_seq, reply.delivered_nl) == (end.seq, end.details().delivered_nl)
    assert reply.uncertain_nl == end.details().uncertain_nl
    assert reply.outcome is (Outcome.PARTIAL if turned_ms else Outcome.NOT_STARTED)


@pytest.mark.parametrize("region", STUCK, ids=name_of)
def test_what_did_not_land_is_known_after_a_reset_from_the_journal(region: Region) -> None:
    talk = stuck_in(region)
    query, program, info = (
        talk.granted(QueryCmd(3)),
        talk.granted(GetProgram(ProgramSlot.ACTIVE, 0)),
        talk.granted(GetInfo()),
    )
    restarted(talk)
    assert (talk.granted(QueryCmd(3)), talk.granted(GetProgram(ProgramSlot.ACTIVE, 0))) == (query, program)
    assert talk.granted(GetInfo()).memory_id == info.memory_id, "it has forgotten nothing"


def test_alarms_after_a_start_are_those_of_the_log_where_their_page_takes_no_write() -> None:
    """A stale record brought an alarm back of which the log said that it had ended."""
    talk = lived().fork()
    refill_of(talk, 2, low_alarm_nl=11_995_000)
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.LOW_RESERVOIR & 1
    talk.pump.inject("stuck-page", {"region": int(Region.ALARMS), "offset_bytes": 2})
    refill_of(talk, 3, low_alarm_nl=1_000_000)
    for _ in range(2):
        restarted(talk)
        active = set()
        for entry in talk.log():
            if entry.type is LogType.ALARM_ON and not ALARMS[entry.details().alarm_id].momentary:
                assert entry.details().alarm_id not in active
                active.add(entry.details().alarm_id)
            elif entry.type is LogType.ALARM_OFF:
                active.remove(entry.details().alarm_id)
        status = talk.granted(GetStatus())
        assert {alarm for alarm in AlarmId if status.alarm_active >> alarm & 1} == active
        assert AlarmId.LOW_RESERVOIR not in active


# FI 43
@pytest.mark.parametrize("region", STUCK, ids=name_of)
def test_power_that_goes_in_any_write_over_stuck_cells_gives_nothing_that_is_not_counted(
    region: Region,
) -> None:
    base = lived().fork()
    base.granted(GetStatus())
    for offset_bytes in range(64):
        base.pump.inject("stuck-cell", {"region": int(region), "offset_bytes": offset_bytes})
    whole = base.fork()
    before = len(whole.writes)
    STUCK[region](whole)
    lengths = [len(data) for _, data in whole.writes[before:]]
    cuts = [(number, int(length * part)) for number, length in enumerate(lengths, 1) for part in (0, 0.5, 1)]
    ended_safe = set()
    for number, torn_after_bytes in part_of(f"cuts over stuck {region.name}", cuts, one_in=6):
        talk = base.fork()
        talk.pump.plant.cut_at_write(number, torn_after_bytes)
        with contextlib.suppress(AssertionError):  # what is asked of a pump without power is not granted
            STUCK[region](talk)
        talk.wait(MS_PER_HOUR)
        status = talk.granted(GetStatus())
        ended_safe.add(status.state is State.SAFE_STATE)
        assert status.state in (State.SAFE_STATE, State.RUN), (number, torn_after_bytes)
        assert_volumes_agree(talk)
        found = talk.granted(QueryCmd(3))
        assert found.outcome is not Outcome.RUNNING
        turned = talk.pump.truth().strokes_turned
        again = restarted(talk)
        again.wait(MS_PER_HOUR)
        assert_volumes_agree(again)
        most = 1 if again.granted(GetStatus()).state is State.SAFE_STATE else RATE_NL_PER_DAY // 24 // 500 + 1
        assert again.pump.truth().strokes_turned - turned <= most
    assert True in ended_safe


# FI 43
def test_other_data_that_do_not_land_cost_an_alarm_and_no_therapy() -> None:
    talk = lived().fork()
    for offset_bytes in range(64):
        talk.pump.inject("stuck-cell", {"region": int(Region.TEXTS), "offset_bytes": offset_bytes})
    talk.granted(ConfigWrite(ConfigId.NOTES, b"a new note"))
    for each in (talk, restarted(talk.fork())):
        status = each.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
        assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
        assert not status.alarm_active >> AlarmId.MEM_CRITICAL & 1


# FI 43
@pytest.mark.parametrize(
    "offset",
    [MARK_OFFSET, *CHECKPOINT_OFFSETS, FIRST_JOURNAL_OFFSET],
    ids=["mark", "checkpoint A", "checkpoint B", "journal"],
)
def test_where_no_change_can_be_made_whole_any_more_the_pump_falls_back(offset: int) -> None:
    talk = lived().fork()
    talk.pump.inject("stuck-page", {"offset_bytes": offset})
    talk.wait(3 * MS_PER_HOUR)  # two checkpoints, and a commit where a session is opened
    talk.granted(GetStatus())
    assert effects_of(talk, "stuck-page") > 0
    assert_safe(talk.fork(), AlarmId.NVM)
    assert_safe(restarted(talk), AlarmId.NVM, AlarmId.MEM_CRITICAL)
    assert_volumes_agree(talk)


# FI 43
@of_a_checkpoint_or_a_journal
def test_a_critical_alarm_of_a_write_that_did_not_land_ends_a_bolus_before_another_stroke_of_it(
    offset: int,
) -> None:
    talk = lived().fork()
    talk.granted(GetStatus())
    talk.start_bolus(3, 60_000, 3_600)
    talk.pump.inject("stuck-page", {"offset_bytes": offset})
    talk.wait(MS_PER_HOUR)
    log = talk.log()
    alarms = [entry for entry in log if entry.type is LogType.ALARM_ON]
    (alarm,) = [entry for entry in alarms if entry.details().alarm_id is AlarmId.NVM]
    (end,) = [entry for entry in log if entry.type is LogType.BOLUS_END and entry.cmd_id == 3]
    assert (end.t_mono_s, end.t_ms) == (alarm.t_mono_s, alarm.t_ms)
    assert talk.granted(QueryCmd(3)).outcome is Outcome.PARTIAL
    assert_volumes_agree(talk)


# FI 43
@of_a_checkpoint_or_a_journal
def test_the_log_tells_the_rate_of_a_bridge_that_goes_on_after_a_reset_where_a_write_did_not_land(
    offset: int,
) -> None:
    talk = lived().fork()
    talk.pump.inject("stuck-page", {"offset_bytes": offset})
    talk.wait(3 * MS_PER_HOUR)
    talk.granted(GetStatus())
    program = simple_header(300_000, 500_000), (Segment(0, RATE_NL_PER_DAY),)
    staged = talk.stage_program(*bridged(program, 300_000, 400_000), base_rev=1)
    talk.granted(ProgCommit(3, 1, staged.staged_crc, start=True))
    talk.pump.clear("stuck-page")
    status = restarted(talk).granted(GetStatus())
    told = [entry.details().new_nl_per_day for entry in talk.log() if entry.type is LogType.RATE_CHANGE]
    assert (status.state, status.rate_nl_per_day, told[-1]) == (State.RUN, 400_000, 400_000)


# FI 43
@pytest.mark.parametrize("stuck", [(0,), (1,), (0, 1)], ids=["whose turn it is", "the other", "both"])
def test_a_stop_that_power_cuts_short_is_whole_or_never_was_where_a_journal_takes_no_write(
    stuck: tuple[int, ...],
) -> None:
    """With both journals gone a part may be left, and then nobody vouches for the therapy."""
    base = lived().fork()
    base.start_bolus(2, 20_000, 600)
    taken = base.fork()
    taken.granted(Stop(3, 60, StopReason.MRI))
    turn = taken.writes[len(base.writes)][0]
    journals = sorted(
        journal_offsets(base.pump.profile.model.log_capacity), key=lambda offset: offset != turn
    )
    for journal in stuck:
        base.pump.inject("stuck-page", {"offset_bytes": journals[journal] + 300})
    seen = set()
    for write in range(1, 16):
        talk = base.fork()
        talk.pump.inject("power-cut-at-write", {"writes": write, "stays_off": 0})
        if talk.ask(Stop(3, 60, StopReason.MRI)) is not None:
            break
        state = talk.granted(GetStatus()).state
        is_stopped = state in (State.STOP, State.FAULT_STOP)
        log = talk.log()
        is_logged = any(entry.type is LogType.STOP for entry in log)
        is_done = talk.granted(QueryCmd(3)).outcome is Outcome.DONE
        if is_stopped == is_logged == is_done:
            ends = [entry.cmd_id for entry in log if entry.type is LogType.BOLUS_END]
            assert ends == [1, 2], f"cut in write {write}"
        else:
            assert len(stuck) == 2, f"cut in write {write}: {is_stopped}, {is_logged}, {is_done}"
            assert state in (State.SAFE_STATE, State.FAULT_STOP)
        seen.add(is_stopped)
    assert write > 8
    assert seen == {False, True}


# FI 43
def test_a_page_of_the_log_that_takes_nothing_costs_its_entries_and_no_therapy() -> None:
    talk = lived().fork()
    next_seq = talk.pump.controller.records.log.last_seq + 1  # type: ignore[union-attr]
    talk.pump.inject("stuck-page", {"offset_bytes": LOG_OFFSET + (next_seq + 7) * LOG_SLOT_BYTES})
    for cmd_id in range(3, 9):
        talk.start_bolus(cmd_id, 5_000, 60)
        talk.wait(MS_PER_HOUR)
    assert effects_of(talk, "stuck-page") > 0
    for each in (talk, restarted(talk.fork())):
        status = each.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
        assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
        assert each.granted(LogStatus(LogName.MAIN)).corrupt > 0
        assert_volumes_agree(each)


@pytest.mark.parametrize("log_capacity", [64, 2_000], ids=["full", "not full"])
@pytest.mark.parametrize("name", LogName, ids=[log.name for log in LogName])
def test_no_number_of_a_log_is_given_twice_where_its_newest_page_takes_no_write(
    name: LogName, log_capacity: int
) -> None:
    """A start found the end of the log before the page, and gave the numbers of what had not landed once more."""
    talk = Conversation.with_new_pump(profile_of(log_capacity=log_capacity))
    while talk.granted(LogStatus(name)).last_seq < 70:
        talk.open()  # an entry of the security log, and a STOP is one of the main log
        talk.granted(Stop(1, 60, StopReason.MRI))
        talk.granted(Resume(2, 1))
    ring = log_ring(name, log_capacity)
    newest_seq = talk.granted(LogStatus(name)).last_seq
    talk.pump.inject("stuck-page", {"offset_bytes": ring.offset + newest_seq % ring.slots * LOG_SLOT_BYTES})
    for _ in range(3):
        talk.open()
        talk.ask(Stop(1, 60, StopReason.MRI))
        restarted(talk)
    written = [entry.event for entry in talk.trace if isinstance(entry.event, LogWritten)]
    given = [event.seq for event in written if (event.log_type >> 8 == 8) is (name is LogName.SECURITY)]
    assert len(given) > 70
    assert given == sorted(set(given))
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.MEM_NONCRITICAL & 1


def test_no_number_of_the_security_log_is_given_twice_where_none_of_its_entries_ever_landed() -> None:
    """A start took it for new, while the epoch went on."""
    talk = Conversation.with_new_pump(profile_of())
    ring = log_ring(LogName.SECURITY, talk.pump.profile.model.log_capacity)
    talk.pump.inject("stuck-page", {"offset_bytes": ring.offset})
    for _ in range(3):
        talk.open()
        restarted(talk)
    written = [entry.event for entry in talk.trace if isinstance(entry.event, LogWritten)]
    opened = [event.seq for event in written if event.log_type is LogType.SESSION_OPEN]
    assert len(opened) == 3
    assert opened == sorted(set(opened))
    assert talk.granted(LogStatus(LogName.SECURITY)).epoch == 1
    assert talk.granted(GetStatus()).alarm_active >> AlarmId.MEM_NONCRITICAL & 1


def test_a_memory_that_takes_all_writes_raises_no_alarm() -> None:
    talk = restarted(lived().fork())
    status = talk.granted(GetStatus())
    assert not status.alarm_active & (
        1 << AlarmId.MEM_CRITICAL | 1 << AlarmId.MEM_NONCRITICAL | 1 << AlarmId.NVM
    )


# FI 45
@pytest.mark.parametrize("region", Region, ids=name_of)
def test_a_record_of_another_version_is_no_record(region: Region) -> None:
    """As an update would leave it that changed a layout: its checksum is right, its version is not ours."""
    talk = lived().fork()
    flash, place = talk.pump.plant.flash, PLACES[region]
    length = int.from_bytes(flash.read(place.offset, 2), "little")
    record = bytearray(flash.read(place.offset, 3 + length))
    record[2] = place.version + 1
    talk.pump.cut_power()
    flash.load([(place.offset, bytes(record) + crc32c(bytes(record)).to_bytes(4, "little"))])
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    critical = region in CRITICAL_REGIONS
    assert status.state is (State.SAFE_STATE if critical else State.RUN)
    assert status.alarm_active >> (AlarmId.MEM_CRITICAL if critical else AlarmId.MEM_NONCRITICAL) & 1
    assert [entry.details().region for entry in talk.log() if entry.type is LogType.NVM_FAULT] == [region]


# FI 46
def test_a_full_log_goes_on_over_its_oldest_entries_and_finds_its_end_after_a_flip_there() -> None:
    """No pointer is kept: the end is found by looking at the slots, so a flip costs the entry that it hit."""
    talk = Conversation.with_new_pump(profile_of(log_capacity=64))
    for cmd_id in range(1, 30):
        talk.start_bolus(cmd_id, 1_000, 60)
        talk.wait(MS_PER_HOUR)
    last_seq = talk.granted(LogStatus(LogName.MAIN)).last_seq
    assert last_seq > 64
    newest = LOG_OFFSET + (last_seq - 1) % 64 * LOG_SLOT_BYTES
    talk.pump.inject("bit-flip", {"offset_bytes": newest, "bit": 0})
    restarted(talk)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
    assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    after = talk.granted(LogStatus(LogName.MAIN))
    assert (after.corrupt, after.first_bad_seq) == (1, last_seq)
    assert after.last_seq > last_seq, "no number is given twice"


# FI 40
def test_a_flip_in_the_clock_costs_the_clock_and_no_therapy() -> None:
    talk = lived().fork()
    talk.pump.inject("bit-flip", {"region": int(Region.WALL_CLOCK), "offset_bytes": 4})
    status = restarted(talk).granted(GetStatus())
    assert status.state is State.RUN
    assert not status.flags & StatusFlag.WALL_VALID


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        ("bit-flip", {"region": 99}, "region of bit-flip must be below 16, is 99"),
        ("stuck-page", {"offset_bytes": 1 << 30}, "offset_bytes of stuck-page must be below the memory's"),
        (
            "stuck-cell",
            {"region": 8, "offset_bytes": 5_000},
            "offset_bytes of stuck-cell in region 8 must be below",
        ),
    ],
)
def test_an_aim_outside_the_memory_is_named(name: str, given: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        lived().fork().pump.inject(name, given)
