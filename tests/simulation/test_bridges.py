"""Bridges: the old drug leaves the path at a rate of its own, then the program starts [SPEC 6; DOMAIN 4.4]."""

from __future__ import annotations

from collections.abc import Callable

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation, bridged, flexible_program, profile_of, simple_header
from protocol.identifiers import (
    Activity,
    AlarmId,
    BolusKind,
    ErrorCode,
    InfusionMode,
    Outcome,
    RefillFlag,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.log.data import BolusEndData, BolusStartData, RateChangeData
from protocol.log.types import BolusEndReason, DeliveryKind, LogType, RateChangeReason
from protocol.messages.bolus import BolusCancel, BolusPrepare
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit, ProgramHeader, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.test_flexible_programs import EVERY_DAY, MIDNIGHT_S, WE_37
from tests.support.for_each import for_each

PATH_NL = 338_000
WE_13_MS = 48_672_000  # 13 h 31 min 12 s
OLD_RATE, NEW_RATE = 600_000, 150_000
RINSED = RefillFlag.RINSED_TWICE


def program(
    dose_ng_per_day: int = 300_000, ng_per_ml: int = 2_000_000
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """A dose a day."""
    rate = dose_ng_per_day * 1_000_000 // ng_per_ml
    return simple_header(dose_ng_per_day, ng_per_ml), (Segment(0, rate),)


def refill_with(
    talk: Conversation, staged: tuple[ProgramHeader, tuple[Segment, ...]], cmd_id: int = 1, rev: int = 1
) -> Refill:
    """The refill that brings a staged program with it."""
    crc = talk.stage_program(*staged, base_rev=rev).staged_crc
    return Refill(cmd_id, 1_000_000, 18_000_000, 1, RINSED, staged[0].concentration_ng_per_ml, 2_000_000, crc)


def bridging(staged: tuple[ProgramHeader, tuple[Segment, ...]] | None = None) -> Conversation:
    """WE-13 has just begun: 500 to 2000 mcg/mL, 300 mcg a day, 0.338 mL at 0.6 mL a day."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S))
    talk.wait_until(MS_PER_HOUR)
    talk.granted(refill_with(talk, staged or bridged(program(), PATH_NL, OLD_RATE)))
    return talk


def delivered(talk: Conversation) -> tuple[int, int]:
    """Basal and bridge, in nL."""
    reply = talk.granted(GetDelivery())
    return reply.basal_nl, reply.bridge_nl


def entries(talk: Conversation, *types: LogType) -> list[object]:
    return [entry.details() for entry in talk.log() if entry.type in types]


def rate(talk: Conversation) -> int:
    return int(talk.granted(GetStatus()).rate_nl_per_day)


# FI 21
def test_we_13_the_bridge_runs_at_its_rate_to_the_millisecond_and_then_the_program() -> None:
    talk = bridging()
    basal_nl, _ = delivered(talk)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, status.program_rev) == (State.RUN, OLD_RATE, 2)
    assert (status.activity, status.bolus_cmd_id, status.bolus_left_nl) == (Activity.BRIDGE, 0, PATH_NL)
    for hour in range(1, 14):
        talk.wait(MS_PER_HOUR)
        assert delivered(talk) == (basal_nl, hour * 25_000), "within a stroke at any time"
    talk.wait(WE_13_MS - 13 * MS_PER_HOUR - 1)
    assert (delivered(talk), rate(talk)) == ((basal_nl, PATH_NL - 500), OLD_RATE)
    talk.wait(1)
    status = talk.granted(GetStatus())
    assert (delivered(talk), status.rate_nl_per_day) == ((basal_nl, PATH_NL), NEW_RATE)
    assert (status.activity, status.bolus_left_nl) == (Activity(0), 0)
    talk.wait(24 * MS_PER_HOUR)
    after_nl, bridge_nl = delivered(talk)
    assert bridge_nl == PATH_NL
    assert abs(after_nl - basal_nl - NEW_RATE) < 500
    assert entries(talk, LogType.BRIDGE_START, LogType.BRIDGE_END) == [
        BolusStartData(PATH_NL, 48_672, DeliveryKind.BRIDGE),
        BolusEndData(PATH_NL, 0, BolusEndReason.COMPLETE),
    ]
    assert entries(talk, LogType.RATE_CHANGE)[-1] == RateChangeData(
        OLD_RATE, NEW_RATE, RateChangeReason.BRIDGE
    )
    assert not talk.granted(GetStatus()).alarm_latched >> AlarmId.BOLUS_PARTIAL & 1
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_bridge_at_the_rate_of_old_and_new_changes_no_rate_and_still_counts_by_itself() -> None:
    talk = bridging(bridged(program(1_200_000), PATH_NL, OLD_RATE))
    changes = entries(talk, LogType.RATE_CHANGE)
    talk.wait(WE_13_MS + 24 * MS_PER_HOUR)
    assert entries(talk, LogType.RATE_CHANGE) == changes
    assert delivered(talk)[1] == PATH_NL
    assert_volumes_agree(talk)


def test_what_of_a_stroke_was_owed_before_the_bridge_is_owed_behind_it() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(30_000)  # 208 nL are owed
    talk.granted(refill_with(talk, bridged(program(), PATH_NL, OLD_RATE)))
    basal_nl, _ = delivered(talk)
    talk.wait(WE_13_MS)
    asked_ms_nl = 30_000 * OLD_RATE
    while delivered(talk)[0] == basal_nl:
        talk.wait(MS_PER_S)
        asked_ms_nl += NEW_RATE * MS_PER_S
    assert 0 <= asked_ms_nl - 500 * 86_400_000 < NEW_RATE * MS_PER_S


@for_each(
    ("message", "code"),
    [
        (BolusPrepare(BolusKind.BOLUS, 20_000, 600, 2), ErrorCode.BRIDGE_ACTIVE),
        (BolusPrepare(BolusKind.PRIME, 20_000, 600, 2), ErrorCode.BRIDGE_ACTIVE),
    ],
)
def test_a_bolus_and_a_prime_are_refused_until_the_bridge_is_over(message: object, code: ErrorCode) -> None:
    talk = bridging()
    talk.wait(WE_13_MS - 1)
    error = talk.refused(message)
    assert (error.code, error.detail) == (code, 500), "the volume that is left"
    talk.wait(1)
    assert talk.code(message) is None


def test_a_cancel_ends_no_bridge() -> None:
    talk = bridging()
    answer = talk.granted(BolusCancel(9, 0, 0xFFFF))
    assert answer.target_outcome is Outcome.NEVER_RECEIVED
    talk.wait(WE_13_MS)
    assert delivered(talk)[1] == PATH_NL


def test_a_bridge_waits_through_a_stop_and_goes_on_with_what_was_left() -> None:
    talk = bridging()
    basal_nl, _ = delivered(talk)
    talk.wait(5 * MS_PER_HOUR + 50_000)  # 347 nL of a stroke are owed
    talk.granted(Stop(5, 40_000, StopReason.MRI))
    stopped_at = delivered(talk)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.STOP, 0)
    assert status.activity == Activity.BRIDGE | Activity.SUSPENDED_BOLUS
    talk.wait(7 * MS_PER_HOUR)
    assert delivered(talk) == stopped_at
    assert talk.code(BolusPrepare(BolusKind.PRIME, 20_000, 600, 2)) is ErrorCode.BRIDGE_ACTIVE
    assert talk.granted(Resume(6, 2)).rate_nl_per_day == OLD_RATE
    talk.wait(WE_13_MS - 5 * MS_PER_HOUR - 50_001)
    assert (delivered(talk), rate(talk)) == ((basal_nl, PATH_NL - 500), OLD_RATE)
    talk.wait(1)
    assert (delivered(talk), rate(talk)) == ((basal_nl, PATH_NL), NEW_RATE)
    assert len(entries(talk, LogType.BRIDGE_START, LogType.BRIDGE_END)) == 2
    assert_volumes_agree(talk)


def test_a_bridge_of_a_pump_that_stands_still_begins_with_its_start() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(MS_PER_HOUR)
    talk.granted(Stop(1, 80_000, StopReason.REFILL))
    talk.granted(refill_with(talk, bridged(program(), PATH_NL, OLD_RATE), 2))
    talk.wait(10 * MS_PER_HOUR)
    assert (delivered(talk)[1], entries(talk, LogType.BRIDGE_START)) == (0, [])
    talk.granted(Resume(3, 2))
    talk.wait(WE_13_MS)
    assert (delivered(talk)[1], rate(talk)) == (PATH_NL, NEW_RATE)


def test_a_new_program_takes_the_place_of_the_bridge_and_begins_its_own() -> None:
    talk = bridging()
    talk.wait(2 * MS_PER_HOUR)
    crc = talk.stage_program(*bridged(program(), 288_000, 300_000), base_rev=2).staged_crc
    talk.granted(ProgCommit(5, 2, crc, start=True))
    assert (rate(talk), talk.granted(GetStatus()).bolus_left_nl) == (300_000, 288_000)
    talk.wait(MS_PER_HOUR)
    crc = talk.stage_program(*program(), base_rev=3).staged_crc
    talk.granted(ProgCommit(6, 3, crc, start=True))
    assert (rate(talk), talk.granted(GetStatus()).activity) == (NEW_RATE, Activity(0))
    assert entries(talk, LogType.BRIDGE_END) == [
        BolusEndData(50_000, 0, BolusEndReason.REPLACED),
        BolusEndData(12_500, 0, BolusEndReason.REPLACED),
    ]
    talk.wait(WE_13_MS)
    assert delivered(talk)[1] == 62_500
    assert_volumes_agree(talk)


def test_a_refill_of_the_same_drug_leaves_the_bridge_as_it_is() -> None:
    talk = bridging()
    talk.wait(2 * MS_PER_HOUR)
    talk.granted(Refill(5, 0, 19_000_000, 1, RefillFlag(0), 2_000_000, 2_000_000))
    talk.wait(WE_13_MS - 2 * MS_PER_HOUR)
    assert (delivered(talk)[1], rate(talk)) == (PATH_NL, NEW_RATE)


def test_a_stall_lengthens_a_bridge_and_nothing_is_caught_up() -> None:
    talk = bridging()
    talk.wait(2 * MS_PER_HOUR)
    talk.pump.stall_motor(True)
    talk.wait(3 * MS_PER_HOUR)
    status = talk.granted(GetStatus())
    assert (status.activity, status.bolus_left_nl) == (Activity.BRIDGE, PATH_NL - 50_000)
    assert status.alarm_active >> AlarmId.MOTOR_STALL & 1, "an alarm, and the therapy goes on trying"
    talk.pump.stall_motor(False)
    talk.wait(WE_13_MS - 2 * MS_PER_HOUR - 1)
    assert (delivered(talk)[1], rate(talk)) == (PATH_NL - 500, OLD_RATE)
    talk.wait(1)
    assert (delivered(talk)[1], rate(talk)) == (PATH_NL, NEW_RATE)
    assert_volumes_agree(talk)


# FI 07, FI 21
def test_a_bridge_is_right_after_a_stall_and_too_long_where_a_turning_rotor_was_not_seen() -> None:
    """WE-13 held by the drug that leaves the tip: 169 mcg of the old one, then 300 mcg a day of the new."""
    given_fg_ppm = {}
    for cause, given, stands_ms, turns in (
        ("", {}, 0, 676),
        ("motor-stall", {"duration_ms": 3 * MS_PER_HOUR}, 3 * MS_PER_HOUR, 676),
        ("edge-lost", {"every_strokes": 2}, 0, 2 * 676 - 1),
    ):
        talk = bridging()
        before = talk.pump.truth()
        if cause:
            talk.pump.inject(cause, given)
        talk.wait(stands_ms + turns * WE_13_MS // 676 - 1)
        assert talk.granted(GetStatus()).activity is Activity.BRIDGE
        talk.wait(1)
        status, after = talk.granted(GetStatus()), talk.pump.truth()
        assert (status.activity, delivered(talk)[1]) == (Activity(0), PATH_NL), "counted by what was seen"
        assert after.strokes_turned - before.strokes_turned == turns
        believed_nl = 18_000_000 - status.reservoir_calc_nl
        assert believed_nl == (turns + stands_ms * 676 // WE_13_MS) * 500, (
            "the reservoir by what was commanded"
        )
        given_fg_ppm[cause] = after.tip_fg_ppm - before.tip_fg_ppm
    old_fg_ppm = PATH_NL * 500_000 * 1_000_000
    assert given_fg_ppm[""] == given_fg_ppm["motor-stall"] == old_fg_ppm
    assert given_fg_ppm["edge-lost"] == old_fg_ppm + (PATH_NL - 500) * 2_000_000 * 1_000_000, (
        "four times the dose"
    )


def test_a_flexible_program_takes_over_in_the_segment_of_the_moment_in_which_the_bridge_ends() -> None:
    week = flexible_program((EVERY_DAY, WE_37), concentration_ng_per_ml=500_000)
    talk = bridging(bridged(week, PATH_NL, OLD_RATE))  # at 1:00 of a Monday
    talk.wait(WE_13_MS - 1)  # over all the steps of the morning
    assert rate(talk) == OLD_RATE
    talk.granted(TimeSet(5, MIDNIGHT_S + 20 * 3_600, 0, TimeSetReason.ZONE, confirm=True))
    assert rate(talk) == OLD_RATE, "a clock moves no bridge"
    talk.wait(1)
    assert (rate(talk), talk.granted(GetStatus()).mode) == (576_000, InfusionMode.FLEX)
    talk.wait(4 * MS_PER_HOUR)
    assert rate(talk) == 384_000


@for_each("policy", tuple(EmptyPolicy))
def test_an_empty_reservoir_does_to_a_bridge_what_it_does_to_the_basal_rate(policy: EmptyPolicy) -> None:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=3_000_000), empty_policy=policy))
    talk.wait_until(MS_PER_HOUR)
    crc = talk.stage_program(*bridged(program(), PATH_NL, OLD_RATE), base_rev=1).staged_crc
    talk.granted(Refill(1, 0, 100_000, 1, RINSED, 2_000_000, 50_000, crc))
    talk.wait(4 * MS_PER_HOUR)
    status = talk.granted(GetStatus())
    assert status.alarm_active >> AlarmId.EMPTY & 1
    assert delivered(talk)[1] == 100_000
    state, wanted = {
        EmptyPolicy.CONTINUE: (State.RUN, OLD_RATE),
        EmptyPolicy.MINIMUM_RATE: (State.SAFE_STATE, 6_000),
        EmptyPolicy.STOP: (State.STOP, 0),
    }[policy]
    assert (status.state, status.rate_nl_per_day) == (state, wanted)
    assert entries(talk, LogType.BRIDGE_END) == []
    talk.wait(MS_PER_HOUR)
    talk.granted(Refill(2, 0, 18_000_000, 1, RefillFlag(0), 2_000_000, 2_000_000))
    if policy is EmptyPolicy.STOP:
        talk.granted(Resume(3, 2))
    talk.wait(WE_13_MS)
    assert (delivered(talk)[1], rate(talk)) == (PATH_NL, NEW_RATE)
    assert_volumes_agree(talk)


def test_the_end_of_service_ends_a_bridge_and_starts_nothing() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S, service_life_months=1))
    ahead = talk.fork()
    ahead.wait_until(32 * 24 * MS_PER_HOUR)
    (eos_ms,) = (entry.t_mono_s * MS_PER_S for entry in ahead.log() if entry.type is LogType.EOS)
    talk.wait_until(eos_ms - 6 * MS_PER_HOUR)
    talk.granted(refill_with(talk, bridged(program(), PATH_NL, OLD_RATE)))
    talk.wait(8 * MS_PER_HOUR)
    assert talk.granted(GetStatus()).state is State.EOS
    (end,) = entries(talk, LogType.BRIDGE_END)
    assert isinstance(end, BolusEndData)
    assert (end.reason, end.delivered_nl) == (BolusEndReason.EOS, delivered(talk)[1])
    assert entries(talk, LogType.RATE_CHANGE)[-1] == RateChangeData(OLD_RATE, 0, RateChangeReason.EOS)


@for_each("staged", [program(), flexible_program((EVERY_DAY, WE_37), concentration_ng_per_ml=500_000)])
def test_low_and_empty_are_foretold_over_the_bridge_and_the_program_behind_it(
    staged: tuple[ProgramHeader, tuple[Segment, ...]],
) -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=MIDNIGHT_S))
    talk.wait_until(MS_PER_HOUR)
    crc = talk.stage_program(*bridged(staged, PATH_NL, OLD_RATE), base_rev=1).staged_crc
    concentration = staged[0].concentration_ng_per_ml
    talk.granted(Refill(1, 0, 1_000_300, 1, RINSED, concentration, 900_001, crc))
    for wait_ms in (12_345, 3 * MS_PER_HOUR, 4 * MS_PER_HOUR, 20 * MS_PER_HOUR):
        talk.wait(wait_ms)
        told = talk.granted(GetReservoir())
        ahead = talk.fork()
        for moment_s, alarm in (
            (told.low_t_mono_s, AlarmId.LOW_RESERVOIR),
            (told.empty_t_mono_s, AlarmId.EMPTY),
        ):
            if talk.granted(GetStatus()).alarm_active >> alarm & 1:
                continue
            ahead.wait_until(moment_s * MS_PER_S - 1)
            assert not ahead.granted(GetStatus()).alarm_active >> alarm & 1
            ahead.wait(MS_PER_S)
            assert ahead.granted(GetStatus()).alarm_active >> alarm & 1


# Power.


def _end_of(talk: Conversation) -> None:
    """Let the rest of the bridge flow, and see that no stroke of it is missing or doubled but what was uncertain."""
    uncertain_nl = sum(
        entry.details().uncertain_nl for entry in talk.log() if entry.type is LogType.RESET_BROWNOUT
    )
    turned_before = talk.pump.truth().strokes_turned * 500 - sum(delivered(talk))
    talk.wait(WE_13_MS + MS_PER_HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, delivered(talk)[1]) == (State.RUN, NEW_RATE, PATH_NL)
    assert 0 <= turned_before <= uncertain_nl
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_power_cut_lets_a_bridge_go_on_with_at_most_a_stroke_uncertain() -> None:
    base = bridging()
    base.wait(2 * MS_PER_HOUR)
    for after_ms in (0, 1, 71_999, 72_000, 72_001, MS_PER_MINUTE, MS_PER_HOUR + 1):
        talk = base.fork()
        talk.wait(after_ms)
        talk.pump.cut_power()
        talk.wait(MS_PER_HOUR)
        talk.pump.restore_power()
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day, status.activity) == (
            State.RUN,
            OLD_RATE,
            Activity.BRIDGE,
        )
        (brownout,) = entries(talk, LogType.RESET_BROWNOUT)
        assert brownout.uncertain_nl <= 500  # type: ignore[attr-defined]
        _end_of(talk)


def test_a_power_cut_in_each_write_of_a_stroke_and_of_the_end_of_a_bridge_loses_none_of_it() -> None:
    for before_ms in (72_000, WE_13_MS):
        base = bridging()
        base.wait(before_ms - 1)
        done = base.fork()
        done.wait(1)
        lengths = [len(data) for _, data in done.writes[len(base.writes) :]]
        assert lengths
        for number, length in enumerate(lengths, 1):
            for torn in {0, 1, length // 2, length - 1, length}:
                talk = base.fork()
                talk.pump.plant.cut_at_write(number, torn)
                talk.wait(1)
                assert len(entries(talk, LogType.RESET_BROWNOUT)) == 1
                _end_of(talk)
        talk = base.fork()
        talk.pump.plant.cut_at_stroke(1)
        talk.wait(1)
        _end_of(talk)


def test_a_power_cut_while_a_bridge_waits_leaves_it_waiting() -> None:
    talk = bridging()
    talk.wait(2 * MS_PER_HOUR)
    talk.granted(Stop(5, 80_000, StopReason.MRI))
    for _ in range(3):
        talk.wait(MS_PER_HOUR)
        talk.pump.cut_power()
        talk.pump.restore_power()
        status = talk.granted(GetStatus())
        assert (status.state, status.bolus_left_nl) == (State.STOP, PATH_NL - 50_000)
    talk.granted(Resume(6, 2))
    _end_of(talk)


def test_power_cuts_without_end_bring_a_bridge_to_its_end() -> None:
    talk = bridging()
    for number in range(40):
        talk.wait(30 * MS_PER_MINUTE + 7_919 * number)
        talk.pump.cut_power()
        talk.pump.restore_power()
        assert_volumes_agree(talk)
    assert delivered(talk)[1] == PATH_NL
    assert len(entries(talk, LogType.BRIDGE_START)) == len(entries(talk, LogType.BRIDGE_END)) == 1
    assert rate(talk) == NEW_RATE


# A change of concentration in one stroke.


def test_sr_26_another_concentration_needs_a_verified_program_for_it() -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(MS_PER_HOUR)
    wrong = bridged(program(), PATH_NL, OLD_RATE)
    refill = Refill(1, 0, 18_000_000, 1, RINSED, 2_000_000, 2_000_000)
    assert talk.code(refill) is ErrorCode.CONC
    assert talk.code(refill._replace(staged_crc=7)) is ErrorCode.NO_STAGED
    crc = talk.stage_program(*wrong, base_rev=1).staged_crc
    assert talk.code(refill._replace(staged_crc=crc ^ 1)) is ErrorCode.VERIFY_CRC
    assert talk.code(refill._replace(staged_crc=crc, concentration_ng_per_ml=1_000_000)) is ErrorCode.CONC
    assert talk.code(ProgCommit(1, 1, crc, start=True)) is ErrorCode.CONC
    talk.start_bolus(1, 20_000, 600)
    assert talk.code(refill._replace(cmd_id=2, staged_crc=crc)) is ErrorCode.BOLUS_ACTIVE
    assert talk.granted(GetStatus()).program_rev == 1
    talk.granted(BolusCancel(3, 1, 0xFFFF))
    reply = talk.granted(refill._replace(cmd_id=4, staged_crc=crc))
    assert (reply.program_rev, reply.reservoir_calc_nl) == (2, 18_000_000)
    assert talk.granted(QueryCmd(4)).outcome is Outcome.DONE
    assert rate(talk) == OLD_RATE


def _bolus(talk: Conversation) -> object:
    return talk.start_bolus(1, 50_000, 3_600)


def _prime(talk: Conversation) -> object:
    return talk.start_prime(1, 50_000, 3_600)


@for_each("begin", [_bolus, _prime])
def test_a_refill_of_the_same_drug_beside_a_bolus_or_a_prime_conserves_both(
    begin: Callable[[Conversation], object],
) -> None:
    talk = Conversation.with_new_pump(profile_of())
    talk.wait_until(MS_PER_HOUR)
    begin(talk)
    talk.wait(30 * MS_PER_MINUTE)
    talk.granted(Refill(2, 0, 19_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    talk.wait(MS_PER_HOUR)
    reply = talk.granted(GetDelivery())
    assert reply.bolus_nl + reply.prime_nl == 50_000
    assert talk.granted(GetStatus()).reservoir_calc_nl == 19_000_000 - 25_000 - 25_000
    assert_volumes_agree(talk)
