"""The log: numbers without a gap, pages to the end, nothing lost without being named, nobody's flood [SPEC 8]."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hil.noise import Direction, FaultyLine
from hil.plugin import needs, starts_as, verifies
from hil.programmer.log_reading import LostRange
from hil.suite.observing import MS_PER_DAY, LogMark, time_of_ms
from hil.suite.raw_client import RawClient
from hil.suite.refusals import refused
from hil.suite.sample_requests import SAMPLE_REQUESTS
from protocol.codec.layouts import encode
from protocol.identifiers import ErrorCode, Opcode, Outcome, Role
from protocol.log.data import FwInfoData
from protocol.log.entry import LogEntry
from protocol.log.types import DayFlag, LogName, LogType
from protocol.messages.log import LogRead

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from protocol.messages.log import LogReadReply

LOG_READ_MAX = 6  # [SPEC 8]
BUSY_MONTH_ENTRIES = 1_200  # 30 days of a program with many boluses [DOMAIN SR-81]

FAR = 0x7FFF_0000


def page(
    pump: Programmer, from_seq: int, count: int = LOG_READ_MAX, log: LogName = LogName.MAIN
) -> LogReadReply:
    """One LOG_READ."""
    return pump.request(LogRead(log, 0, from_seq, count))


def fill_log(pump: Programmer, entries: int) -> None:
    """Write at least so many entries: each stop and resume makes four."""
    for _ in range(-(-entries // 4)):
        pump.stop(3_600)
        pump.resume()


@verifies("LOG-002", "LOG-007")
def test_the_log_reads_from_its_first_to_its_last_entry_without_a_gap(pump: Programmer) -> None:
    status, log = pump.log_status(), pump.read_log()
    assert log.complete
    assert [entry.seq for entry in log.entries] == list(range(status.first_seq, log.next_seq))
    assert log.next_seq - 1 >= status.last_seq
    assert pump.status().last_seq >= status.last_seq
    times = [time_of_ms(entry) for entry in log.entries]
    assert times == sorted(times)


@verifies("LOG-007")
def test_the_pump_finds_its_own_log_whole(pump: Programmer) -> None:
    for log in LogName:
        status = pump.log_status(log)
        assert (status.corrupt, status.bad_checkpoints, status.first_bad_seq) == (0, 0, 0)
        assert status.lost_total == status.first_seq - 1
        for entry in pump.read_log(log).entries:
            entry.details()  # raises where the data are not what the type says


@verifies("LOG-002")
def test_pages_of_any_size_join_without_a_gap(pump: Programmer) -> None:
    last = pump.log_status().last_seq
    for count in (1, 2, 5, LOG_READ_MAX):
        seqs: list[int] = []
        next_seq = max(1, last - 20)
        while next_seq <= last:
            answer = page(pump, next_seq, count)
            assert 1 <= len(answer.entries) <= count
            seqs += [LogEntry.unpack(raw).seq for raw in answer.entries]
            next_seq = answer.next_seq
        assert seqs == list(range(max(1, last - 20), next_seq))


@verifies("LOG-005")
def test_reading_from_0_starts_at_the_oldest_entry(pump: Programmer) -> None:
    answer = page(pump, 0, 1)
    assert answer.from_seq == answer.oldest_seq == LogEntry.unpack(answer.entries[0]).seq


@verifies("LOG-005")
def test_reading_beyond_the_newest_entry_is_empty_and_says_where_the_newest_is(pump: Programmer) -> None:
    newest = page(pump, 0).newest_seq
    for from_seq in (newest + 1, newest + FAR, 0xFFFF_FFFF):
        answer = page(pump, from_seq)
        assert answer.entries == ()
        assert answer.newest_seq >= newest


@verifies("LOG-008")
def test_a_filter_picks_its_ranges_and_still_says_how_far_it_looked(pump: Programmer) -> None:
    whole = pump.read_log()
    for kind in (1, 3, 4, 5, 6):
        picked = pump.read_log(type_filter=1 << kind)
        wanted = [entry for entry in whole.entries if entry.type >> 8 == kind]
        assert [entry for entry in picked.entries if entry.seq < whole.next_seq] == wanted
        assert picked.next_seq >= whole.next_seq


@verifies("LOG-005")
def test_a_log_of_another_epoch_is_refused_with_the_epoch_there_is(pump: Programmer) -> None:
    epoch = pump.log_status().epoch
    with refused(ErrorCode.EPOCH) as refusal:
        pump.request(LogRead(LogName.MAIN, epoch + 1, 1, 1))
    assert refusal.error.limit == epoch
    assert pump.request(LogRead(LogName.MAIN, epoch, 0, 1)).epoch == epoch


@verifies("LOG-009")
def test_what_was_done_in_therapy_is_hidden_from_those_who_do_not_treat_but_not_that_it_was(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    mark = LogMark(running)
    running.stop(3_600)
    running.resume()
    full = running.read_log(from_seq=mark.seq + 1).entries
    running.end_session()
    for role in (Role.OBSERVER, Role.PATIENT):
        other = pump_as(role)
        seen = other.read_log(from_seq=mark.seq + 1).entries[: len(full)]
        other.end_session()
        assert [(entry.seq, entry.t_mono_s) for entry in seen] == [(one.seq, one.t_mono_s) for one in full]
        hidden = [entry for entry in seen if entry.type is LogType.HIDDEN]
        assert len(hidden) >= 4
        assert all((entry.cmd_id, entry.data) == (0, bytes(12)) for entry in hidden)
        assert not {entry.type for entry in seen} & {LogType.STOP, LogType.RESUME, LogType.RATE_CHANGE}


@verifies("LOG-004")
@needs("time", "reset")
def test_the_boluses_of_the_log_add_up_to_what_was_delivered(running: Programmer, pump_rig: Rig) -> None:
    mark, before_nl = LogMark(running), running.delivery().bolus_nl
    for volume_nl, wait_ms in ((20_000, 120_000), (50_000, 60_000), (10_000, 500_000)):
        running.bolus(volume_nl, 300)
        pump_rig.advance(wait_ms)
        running.cancel_bolus()
        pump_rig.advance(1_000_000)
    ends = mark.entries(running, LogType.BOLUS_END)
    assert sum(end.details().delivered_nl for end in ends) == running.delivery().bolus_nl - before_nl
    assert len(mark.entries(running, LogType.BOLUS_START)) == len(ends) == 3


@verifies("LOG-006")
@needs("reset")
def test_a_flood_of_refusals_leaves_the_history_of_the_therapy_where_it_was(
    running: Programmer, make_raw: Callable[..., RawClient]
) -> None:
    stopped = running.stop(3_600)
    running.end_session()
    patient = make_raw(Role.PATIENT)
    for _ in range(1_200):
        patient.ask(Opcode.PROG_VERIFY)
    patient.end_session()
    clinician = make_raw()
    for _ in range(300):
        clinician.ask(Opcode.BOLUS_COMMIT, encode(SAMPLE_REQUESTS[Opcode.BOLUS_COMMIT]))
    clinician.end_session()
    status = running.log_status()
    assert status.lost_total == 0
    assert status.last_seq - stopped.seq < 30
    (entry,) = running.read_log(from_seq=stopped.seq).entries[:1]
    assert (entry.type, entry.cmd_id) == (LogType.STOP, stopped.cmd_id)
    security = running.log_status(LogName.SECURITY)
    assert security.last_seq > 1_200
    assert security.last_seq - security.first_seq < running.limits().log_capacity // 10
    assert (security.corrupt, security.bad_checkpoints) == (0, 0)


@verifies("LOG-010")
@starts_as(model={"log_capacity": 200})
def test_what_the_ring_has_overwritten_is_named_and_numbers_go_on(pump: Programmer) -> None:
    fill_log(pump, 300)
    status = pump.log_status()
    assert status.last_seq > 300
    assert status.first_seq > 1
    assert status.lost_total == status.first_seq - 1
    answer = page(pump, 1)
    assert answer.from_seq == 1
    assert LogEntry.unpack(answer.entries[0]).seq == answer.oldest_seq == status.first_seq
    log = pump.read_log(from_seq=1)
    assert [(lost.first_seq, lost.last_seq) for lost in log.lost] == [(1, status.first_seq - 1)]
    assert [entry.seq for entry in log.entries] == list(range(status.first_seq, log.next_seq))
    assert (status.corrupt, status.bad_checkpoints) == (0, 0)


@verifies("LOG-011")
@needs("time", "reset")
def test_a_log_read_over_a_line_that_loses_answers_is_complete(
    pump: Programmer, pump_line: FaultyLine
) -> None:
    fill_log(pump, 40)
    wanted = [entry.seq for entry in pump.read_log().entries]
    for every in (1, 2, 3, 5):
        pump_line.drop(Direction.FROM_PUMP, skip=every - 1)
        log = pump.read_log()
        assert log.complete
        assert [entry.seq for entry in log.entries] == wanted


@verifies("LOG-012")
@needs("time", "reset")
def test_at_least_every_18_hours_the_log_ties_the_two_clocks_together(
    pump: Programmer, pump_rig: Rig
) -> None:
    pump_rig.advance(7 * MS_PER_DAY)
    references = [entry for entry in pump.read_log().entries if entry.type is LogType.TIME_REF]
    times = [0, *(entry.t_mono_s for entry in references), 7 * 86_400]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 18 * 3_600
    wall_less_mono = {entry.details().wall_s - entry.t_mono_s for entry in references}
    assert len(wall_less_mono) == 1


@verifies("LOG-013")
@needs("time", "reset")
def test_each_local_midnight_has_its_total_and_the_totals_add_up_to_what_was_delivered(
    running: Programmer, pump_rig: Rig
) -> None:
    running.bolus(20_000, 600)
    pump_rig.advance(4 * MS_PER_DAY)
    history = running.read_log().entries
    totals = [entry for entry in history if entry.type is LogType.DAY_TOTAL]
    reference = next(entry for entry in history if entry.type is LogType.TIME_REF)
    told = reference.details()
    local_less_mono_s = told.wall_s + 60 * told.tz_minutes - reference.t_mono_s
    assert len(totals) == 4
    assert {(entry.t_mono_s + local_less_mono_s) % 86_400 for entry in totals} == {0}
    assert [entry.details().bolus_nl for entry in totals] == [20_000, 0, 0, 0]
    assert len({entry.details().basal_nl for entry in totals[1:]}) == 1
    since_ms = running.time().t_mono_s * 1_000 - time_of_ms(totals[-1])
    delivered_nl = sum(entry.details().basal_nl + entry.details().bolus_nl for entry in totals)
    status, stroke_nl = running.status(), running.limits().stroke_nl
    after_nl = status.rate_nl_per_day * since_ms // MS_PER_DAY
    assert abs(status.delivered_total_nl - delivered_nl - after_nl) <= stroke_nl


@verifies("LOG-014")
@needs("time", "reset")
def test_the_day_in_which_the_clock_was_set_says_so_and_ends_at_the_new_midnight(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    time = running.time()
    running.set_time(time.wall_s + 7_200, time.tz_minutes, confirm=True)
    pump_rig.advance(2 * MS_PER_DAY)
    entries = [e for e in running.read_log(from_seq=mark.seq + 1).entries if e.type is LogType.DAY_TOTAL]
    ahead_s = time.wall_s + 7_200 + 60 * time.tz_minutes - time.t_mono_s
    assert [(entry.t_mono_s + ahead_s) % 86_400 <= 1 for entry in entries] == [True] * len(entries)
    assert [entry.details().flags for entry in entries] == [DayFlag.CLOCK_CHANGED, DayFlag(0)]


@verifies("LOG-015")
def test_the_log_has_room_for_30_days_of_a_busy_program(pump: Programmer) -> None:
    assert pump.limits().log_capacity >= BUSY_MONTH_ENTRIES


@verifies("LOG-016")
@needs("reset")
def test_the_log_says_which_firmware_runs(pump: Programmer) -> None:
    told = [entry.details() for entry in pump.read_log().entries if entry.type is LogType.FW_INFO]
    info = pump.info()
    assert told[-1] == FwInfoData(info.fw, info.fw_crc32, info.hw)


@verifies("LOG-002")
@starts_as(model={"log_capacity": 200})
def test_what_is_lost_is_a_value_of_its_own_in_its_place(pump: Programmer) -> None:
    fill_log(pump, 300)
    reader = pump.log(from_seq=1)
    first, *entries = reader
    oldest = pump.log_status().first_seq
    assert first == LostRange(1, oldest - 1)
    assert [item.seq for item in entries if isinstance(item, LogEntry)] == list(
        range(oldest, reader.next_seq)
    )


@verifies("LOG-001", "LED-007")
@needs("reset")
def test_a_repeated_command_leaves_no_second_entry(raw: RawClient) -> None:
    resume = SAMPLE_REQUESTS[Opcode.RESUME]._replace(cmd_id=1, program_rev=raw.status().program_rev)
    first = raw.say(resume)
    seq = raw.status().last_seq
    for _ in range(3):
        again = raw.say(resume)
        assert (again.result.dup, again.result.outcome) == (True, Outcome.DONE)
        assert again.result.seq == first.result.seq
    assert raw.status().last_seq == seq
