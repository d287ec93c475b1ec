"""Programs: what is refused and why, staging, and the switch in one stroke [SPEC 6, DOMAIN 4.1, 6.1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.programmer.staging import EVERY_DAY, minimum_rate_program, simple_program
from hil.suite.observing import MS_PER_DAY, LogMark, volume_at_rate_nl
from hil.suite.raw_client import RawClient
from hil.suite.refusals import check_refusal, refused
from protocol.codec.layouts import encode
from protocol.identifiers import (
    Capability,
    ErrorCode,
    InfusionMode,
    Opcode,
    Outcome,
    ProgramFlag,
    ProgramSlot,
    Role,
    State,
    StatusFlag,
)
from protocol.log.types import LogType, RateChangeReason
from protocol.messages.program import (
    BridgeBlock,
    Group,
    PatientBlock,
    PeriodicBlock,
    ProgBegin,
    ProgCommit,
    ProgramHeader,
    ProgramRefusal,
    ProgVerify,
    ProgVerifyReply,
    ProgWrite,
    Segment,
    padded_groups,
    staged_crc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

NG_PER_MCG = 1_000


def read_back(pump: Programmer, header: ProgramHeader, segments: Sequence[Segment]) -> ProgVerifyReply:
    """Stage a program, let the pump read it, and throw it away."""
    pump.request(ProgBegin(pump.status().program_rev, header))
    pump.request(ProgWrite(0, tuple(segments)))
    verified = pump.request(ProgVerify())
    pump.abort_program()
    assert verified.staged_crc == staged_crc(header, segments)
    return verified


def refusals_of(pump: Programmer, dose_mcg_tenths: int, mcg_per_ml: int) -> dict[ErrorCode, ProgramRefusal]:
    """What the pump has against a dose, by code."""
    verified = read_back(pump, *simple_program(dose_mcg_tenths * 100, mcg_per_ml * NG_PER_MCG, 1))
    return {refusal.code: refusal for refusal in verified.refusals}


# Worked examples of DOMAIN 7: tenths of a mcg a day, mcg/mL, nL/day.
DOSES = (
    (3_000, 500, 600_000),  # WE-01
    (3_000, 2_000, 150_000),  # WE-02
    (960, 2_000, 48_000),  # WE-04
    (480, 1_000, 48_000),
    (240, 500, 48_000),
    (24, 50, 48_000),
    (1_000, 500, 200_000),  # WE-05
    (5_500, 1_000, 550_000),
    (8_000, 2_000, 400_000),
    (10_000, 2_000, 500_000),
)


@verifies("PRG-001", "PRG-002")
def test_the_pump_reads_the_published_doses_as_the_published_rates(pump: Programmer) -> None:
    for tenths, mcg_per_ml, rate_nl_per_day in DOSES:
        verified = read_back(pump, *simple_program(tenths * 100, mcg_per_ml * NG_PER_MCG, 1))
        assert verified.refusals == ()
        assert verified.peak_rate_nl_per_day == rate_nl_per_day
        assert verified.day_totals_nl == (rate_nl_per_day,)


@verifies("PRG-002")
def test_a_dose_below_the_slowest_rate_is_refused_with_the_slowest_rate(pump: Programmer) -> None:
    found = refusals_of(pump, 900, 2_000)  # WE-03: 0.045 mL/day
    rate_min = pump.limits().rate_min_nl_per_day
    assert set(found) == {ErrorCode.RATE}
    assert (found[ErrorCode.RATE].value, found[ErrorCode.RATE].nearest) == (45_000, rate_min)


@verifies("PRG-002")
def test_rates_are_accepted_to_their_very_edges_and_refused_one_beyond(pump: Programmer) -> None:
    limits = pump.limits()
    fastest = min(limits.rate_max_nl_per_day, limits.program_day_max_nl)
    for rate in (limits.rate_min_nl_per_day, limits.rate_min_nl_per_day + 1, fastest - 1, fastest):
        assert read_back(pump, *_program_of_rate(rate)).refusals == ()
    for rate in (0, limits.rate_min_nl_per_day - 1):
        codes = {r.code: r.nearest for r in read_back(pump, *_program_of_rate(rate)).refusals}
        assert codes == {ErrorCode.RATE: limits.rate_min_nl_per_day}
    beyond = {
        r.code: r.nearest for r in read_back(pump, *_program_of_rate(limits.rate_max_nl_per_day + 1)).refusals
    }
    assert beyond[ErrorCode.RATE] == limits.rate_max_nl_per_day


@verifies("PRG-013")
def test_a_day_that_holds_more_than_a_program_may_is_refused_with_the_most_it_may(pump: Programmer) -> None:
    most_nl = pump.limits().program_day_max_nl
    (refusal,) = read_back(pump, *_program_of_rate(most_nl + 1)).refusals
    assert (refusal.code, refusal.value, refusal.limit) == (ErrorCode.DAY_MAX, most_nl + 1, most_nl)
    assert refusal.nearest == most_nl


@verifies("PRG-006")
def test_a_dose_that_does_not_fit_rate_and_concentration_is_refused(pump: Programmer) -> None:
    header, segments = simple_program(300_000, 500_000, 1)
    for told_ng_per_day, ng_per_ml in (
        (300_000_000, 500_000),  # mg for mcg
        (300_000, 500),  # mcg for mg
        (300_000, 1_000_000),  # twice the concentration
        (30_000, 500_000),  # a slipped decimal
    ):
        wrong = header._replace(
            concentration_ng_per_ml=ng_per_ml, groups=padded_groups([Group(EVERY_DAY, 1, told_ng_per_day)])
        )
        (refusal,) = read_back(pump, wrong, segments).refusals
        assert (refusal.code, refusal.value) == (ErrorCode.DOSE, told_ng_per_day)
        assert refusal.nearest == 600_000 * ng_per_ml // 1_000_000


def _program_of_rate(
    rate_nl_per_day: int, ng_per_ml: int = 500_000
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    header, _ = simple_program(rate_nl_per_day * ng_per_ml // 1_000_000, ng_per_ml, 1)
    return header, (Segment(0, rate_nl_per_day),)


@verifies("PRG-014")
def test_minimum_rate_mode_runs_at_the_safe_rate_and_at_no_other(pump: Programmer) -> None:
    safe = pump.limits().safe_rate_nl_per_day
    assert read_back(pump, *minimum_rate_program(500_000, 1, safe)).refusals == ()
    for rate in (safe - 1, safe + 1, 600_000):
        refusals = read_back(pump, *minimum_rate_program(500_000, 1, rate)).refusals
        assert [(r.code, r.nearest) for r in refusals if r.code is ErrorCode.RATE] == [(ErrorCode.RATE, safe)]


@verifies("PRG-015")
def test_a_program_that_does_not_cover_the_week_is_refused(pump: Programmer) -> None:
    header = simple_program(300_000, 500_000, 1)[0]
    six_days = header._replace(groups=padded_groups([Group(0x3F, 1, 300_000)]))
    for wanted, start_min, code in (
        (six_days, 0, ErrorCode.SEGMENTS),
        (header, 1, ErrorCode.TIME_RANGE),  # a day that starts late
        (header._replace(n_segments=2), 0, ErrorCode.SEGMENTS),  # a segment missing
    ):
        verified = read_back(pump, wanted, (Segment(start_min, 600_000),))
        assert code in {refusal.code for refusal in verified.refusals}


# What needs a capability, and the header that asks for it.
_SIMPLE = simple_program(300_000, 500_000, 1)[0]
ASKS_FOR = (
    (Capability.FLEX, 0, _SIMPLE._replace(mode=InfusionMode.FLEX)),
    (
        Capability.PERIODIC,
        3,
        _SIMPLE._replace(flags=ProgramFlag.PERIODIC, periodic=PeriodicBlock(50_000, 600, 21_600, 21_600)),
    ),
    (
        Capability.PATIENT_BOLUS,
        3,
        _SIMPLE._replace(flags=ProgramFlag.PATIENT, patient=PatientBlock(10_000, 600, 3_600, 86_400, 4)),
    ),
    (
        Capability.PRIME_AND_BRIDGE,
        3,
        _SIMPLE._replace(flags=ProgramFlag.BRIDGE, bridge=BridgeBlock(338_000, 600_000)),
    ),
)


@verifies("PRG-012")
def test_what_the_pump_cannot_do_by_its_own_word_it_refuses_before_it_is_staged(raw: RawClient) -> None:
    assert raw.pump_hello is not None
    caps, rev = Capability(raw.pump_hello.caps), raw.status().program_rev
    for capability, offset, header in ASKS_FOR:
        if capability in caps:
            continue
        error = check_refusal(raw.say(ProgBegin(rev, header)), ErrorCode.ENUM)
        assert error.field_offset == 4 + offset
    assert StatusFlag.STAGED_PROGRAM not in raw.status().flags


# Staging.


@verifies("PRG-008")
def test_a_staged_program_reads_back_field_by_field(running: Programmer) -> None:
    header, segments = simple_program(275_000, 500_000, 1)
    staged = running.stage_program(header, segments)
    read = running.program(ProgramSlot.STAGED)
    assert (read.header, read.segments, read.crc) == (header, segments, staged.crc)
    assert StatusFlag.STAGED_PROGRAM in running.status().flags
    running.abort_program()
    assert StatusFlag.STAGED_PROGRAM not in running.status().flags
    with refused(ErrorCode.NO_STAGED):
        running.program(ProgramSlot.STAGED)


@verifies("PRG-016")
def test_segments_are_taken_in_order_and_may_be_written_again_but_not_skipped(running: Programmer) -> None:
    header, segments = simple_program(275_000, 500_000, 1)
    running.request(ProgBegin(running.status().program_rev, header))
    with refused(ErrorCode.SEGMENTS):
        running.request(ProgWrite(1, segments))
    assert running.request(ProgWrite(0, (Segment(0, 1),))).count == 1
    assert running.request(ProgWrite(0, segments)).count == 1
    with refused(ErrorCode.SEGMENTS):
        running.request(ProgWrite(1, segments))
    assert running.request(ProgVerify()).refusals == ()
    running.abort_program()


@verifies("PRG-009")
def test_a_commit_without_a_verified_staging_is_refused(raw: RawClient) -> None:
    status = raw.status()
    rev, cmd_id = status.program_rev, status.last_cmd_id + 1
    check_refusal(raw.say(ProgCommit(cmd_id, rev, 0, start=False)), ErrorCode.NO_STAGED)
    program = simple_program(275_000, 500_000, 1)
    raw.say(ProgBegin(rev, program[0]))
    raw.ask(Opcode.PROG_WRITE, b"\x00\x01" + encode(program[1][0]))
    crc = staged_crc(*program)
    check_refusal(raw.say(ProgCommit(cmd_id, rev, crc, start=False)), ErrorCode.VERIFY_CRC)
    raw.ask(Opcode.PROG_VERIFY)
    check_refusal(raw.say(ProgCommit(cmd_id, rev, crc ^ 1, start=False)), ErrorCode.VERIFY_CRC)
    raw.ask(Opcode.PROG_WRITE, b"\x00\x01" + encode(program[1][0]))  # another reading is needed now
    check_refusal(raw.say(ProgCommit(cmd_id, rev, crc, start=False)), ErrorCode.VERIFY_CRC)
    raw.ask(Opcode.PROG_ABORT)
    after = raw.status()
    assert (after.program_rev, after.last_cmd_id) == (rev, status.last_cmd_id)


@verifies("PRG-005")
def test_a_program_on_top_of_another_revision_is_refused_with_the_revision_that_runs(raw: RawClient) -> None:
    rev = raw.status().program_rev
    answer = raw.say(ProgBegin(rev + 1, simple_program(275_000, 500_000, 1)[0]))
    assert check_refusal(answer, ErrorCode.REV_MISMATCH).nearest == rev


@verifies("PRG-010")
def test_a_staging_dies_with_its_session_and_the_log_says_so(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    before, mark = running.status(), LogMark(running)
    staged = running.stage_simple_program(275_000, concentration_ng_per_ml=500_000, drug_id=1)
    running.end_session()
    other = pump_as(Role.CLINICIAN)
    assert mark.types(other) == [LogType.STAGE_LOST]
    with refused(ErrorCode.NO_STAGED):
        other.commit_program(staged)
    after = other.status()
    assert (after.program_rev, after.rate_nl_per_day) == (before.program_rev, before.rate_nl_per_day)


@verifies("PRG-026")
@needs("time", "reset")
def test_what_was_staged_and_forgotten_is_gone_after_two_minutes_and_the_old_program_runs(
    running: Programmer, pump_rig: Rig
) -> None:
    before, mark = running.status(), LogMark(running)
    staged = running.stage_simple_program(1_000_000, concentration_ng_per_ml=500_000, drug_id=1)
    pump_rig.advance(120_000)
    with refused(ErrorCode.NO_STAGED):
        running.commit_program(staged)
    assert LogType.STAGE_LOST in mark.types(running)
    after = running.status()
    assert StatusFlag.STAGED_PROGRAM not in after.flags
    assert (after.program_rev, after.rate_nl_per_day) == (before.program_rev, before.rate_nl_per_day)
    delivered_nl = after.delivered_total_nl - before.delivered_total_nl
    assert abs(delivered_nl - volume_at_rate_nl(before.rate_nl_per_day, 120_000)) < 500


# The switch.


@verifies("PRG-003")
@needs("time", "reset")
def test_a_staged_program_does_not_change_the_flow_until_it_is_committed(
    running: Programmer, pump_rig: Rig
) -> None:
    before = running.delivery().basal_nl
    running.stage_simple_program(1_000_000, concentration_ng_per_ml=500_000, drug_id=1)
    for _ in range(10):
        pump_rig.advance(60_000)
        running.ping()
    assert abs(running.delivery().basal_nl - before - volume_at_rate_nl(600_000, 600_000)) < 500
    assert StatusFlag.STAGED_PROGRAM in running.status().flags


@verifies("PRG-004", "LOG-001")
@needs("time", "reset")
def test_a_commit_switches_the_rate_at_once_and_counts_one_revision(
    running: Programmer, pump_rig: Rig
) -> None:
    before, mark = running.status(), LogMark(running)
    pump_rig.advance(3_600_000)
    basal_nl = running.delivery().basal_nl
    done = running.set_simple_program(1_000_000)
    assert (done.outcome, done.dup) == (Outcome.DONE, False)
    assert done.reply.program_rev == before.program_rev + 1
    after = running.status()
    assert (after.rate_nl_per_day, after.program_rev) == (2_000_000, before.program_rev + 1)
    commit, change = mark.entries(running)
    assert (commit.type, commit.cmd_id, commit.seq) == (LogType.PROGRAM_COMMIT, done.cmd_id, done.seq)
    assert (change.type, change.details()) == (
        LogType.RATE_CHANGE,
        change.details()._replace(
            old_nl_per_day=600_000, new_nl_per_day=2_000_000, reason=RateChangeReason.PROGRAM
        ),
    )
    pump_rig.advance(MS_PER_DAY)
    assert abs(running.delivery().basal_nl - basal_nl - 2_000_000) < 500
    read = running.program()
    assert read.header.groups[0].dose_ng_per_day == 1_000_000


@verifies("PRG-005")
@needs("reset")
def test_of_two_programmers_on_one_revision_the_second_is_refused(
    running: Programmer, make_raw: Callable[..., RawClient]
) -> None:
    rev = running.status().program_rev
    running.set_simple_program(250_000)
    answer = make_raw().say(ProgBegin(rev, simple_program(275_000, 500_000, 1)[0]))
    assert check_refusal(answer, ErrorCode.REV_MISMATCH).nearest == rev + 1
    assert running.status().rate_nl_per_day == 500_000


@verifies("PRG-007")
@needs("reset")
def test_a_program_for_another_drug_or_concentration_than_the_reservoirs_is_refused(
    running: Programmer,
) -> None:
    for ng_per_ml, drug_id in ((2_000_000, 1), (500_000, 2)):
        staged = running.stage_simple_program(300_000, concentration_ng_per_ml=ng_per_ml, drug_id=drug_id)
        with refused(ErrorCode.CONC):
            running.commit_program(staged)
    assert running.status().rate_nl_per_day == 600_000


@verifies("PRG-004")
@needs("reset")
def test_a_commit_may_leave_a_stopped_pump_stopped_or_start_it(running: Programmer) -> None:
    running.stop(3_600)
    kept = running.set_simple_program(250_000, start=False)
    assert (kept.reply.state, running.status().rate_nl_per_day) == (State.STOP, 0)
    started = running.set_simple_program(275_000, start=True)
    assert (started.reply.state, running.status().rate_nl_per_day) == (State.RUN, 550_000)


@verifies("PRG-017")
@needs("reset")
def test_no_program_is_switched_during_a_bolus(running: Programmer) -> None:
    running.bolus(100_000, 600)
    staged = running.stage_simple_program(250_000)
    with refused(ErrorCode.BOLUS_ACTIVE):
        running.commit_program(staged)
    assert running.status().rate_nl_per_day == 600_000


@verifies("PRG-011")
@needs("time", "reset")
def test_over_72_hours_the_delivered_volume_is_within_one_stroke_of_the_program(
    running: Programmer, pump_rig: Rig
) -> None:
    stroke_nl = running.limits().stroke_nl
    for rate_nl_per_day in (48_000, 48_001, 777_777, 4_999_999):
        running.commit_program(running.stage_program(*_program_of_rate(rate_nl_per_day)))
        before = running.delivery().basal_nl
        for hours in (1, 23, 48):
            pump_rig.advance(hours * 3_600_000)
        delivered_nl = running.delivery().basal_nl - before
        assert abs(delivered_nl - volume_at_rate_nl(rate_nl_per_day, 72 * 3_600_000)) <= stroke_nl
