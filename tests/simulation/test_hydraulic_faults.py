"""What goes wrong with motor, fluid and surroundings, on a whole pump: what is so, what it believes, what it says."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, PPM
from hil.campaign.conversation import Conversation, factory_profile, profile_of
from hil.plugin import verifies
from hil.procedures.reservoir import check_refill
from protocol.identifiers import AlarmId, OnExpiry, RefillFlag, StopReason
from protocol.log.types import LogType
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop

if TYPE_CHECKING:
    from firmware_emu.controller.controller import Belief

ML = 1_000_000
DRUG = 500_000  # ng/mL
STROKE_NL = 500
STROKE_MS = 72_000
DETECT_MS = 1_200_000
WE_20 = Implant(filled_nl=20 * ML)


def belief_of(talk: Conversation) -> Belief:
    belief = talk.pump.belief()
    assert belief is not None
    return belief


def entries_of(talk: Conversation, *types: LogType) -> list[tuple[LogType, int]]:
    """When entries of these types were made, in ms."""
    return [(entry.type, entry.t_mono_s * 1_000 + entry.t_ms) for entry in talk.log() if entry.type in types]


def active(talk: Conversation) -> set[AlarmId]:
    mask = talk.granted(GetStatus()).alarm_active
    return {alarm for alarm in AlarmId if mask >> alarm & 1}


def found_at_refill(talk: Conversation, fill_nl: int) -> tuple[int, bool]:
    """What a syringe finds, and whether the check at a refill says that it must be investigated."""
    expected_nl = belief_of(talk).reservoir_calc_nl
    measured_nl = talk.pump.aspirate(None)
    return measured_nl, check_refill(fill_nl, expected_nl, measured_nl).investigate


# FI 01, 02
@pytest.mark.parametrize("delay_h", [0, 2, 24])
def test_a_scan_stalls_the_motor_for_the_field_and_the_gears_and_what_was_missed_is_missed(
    delay_h: int,
) -> None:
    talk = Conversation.with_new_pump()
    start_ms = 10 * MS_PER_HOUR
    talk.wait_until(start_ms)
    given = {
        "field_duration_ms": MS_PER_HOUR // 2,
        "restart_delay_ms": delay_h * MS_PER_HOUR,
        "backward_strokes": 3,
    }
    talk.pump.inject("mri", given)
    held_ms = MS_PER_HOUR // 2 + delay_h * MS_PER_HOUR
    talk.wait_until(start_ms + 2 * MS_PER_DAY)
    missed = held_ms // STROKE_MS
    truth, belief = talk.pump.truth(), belief_of(talk)
    assert truth.strokes_missed == missed
    assert missed * 250 == 12_500 * held_ms // MS_PER_HOUR  # ng, at 300 mcg a day
    assert (
        belief.delivered_total_nl == (start_ms + 2 * MS_PER_DAY) // STROKE_MS * STROKE_NL - missed * STROKE_NL
    )
    assert truth.backflow_nl_ppm == 3 * STROKE_NL * PPM
    (stall, stalled_ms), (recovery, recovered_ms) = entries_of(talk, LogType.STALL, LogType.STALL_RECOVERED)
    assert (stall, recovery) == (LogType.STALL, LogType.STALL_RECOVERED)
    assert stalled_ms - start_ms <= DETECT_MS + 2 * STROKE_MS
    assert recovered_ms - (start_ms + held_ms) <= 2 * STROKE_MS


# FI 04
def test_three_stalls_in_three_days_leave_three_pairs_of_entries() -> None:
    talk = Conversation.with_new_pump()
    for day in range(3):
        talk.wait_until(day * MS_PER_DAY + MS_PER_HOUR)
        talk.pump.inject("motor-stall", {"duration_ms": 2 * MS_PER_HOUR})
    talk.wait_until(3 * MS_PER_DAY)
    told = entries_of(talk, LogType.STALL, LogType.STALL_RECOVERED)
    assert [kind for kind, _ in told] == [LogType.STALL, LogType.STALL_RECOVERED] * 3
    assert active(talk) == set()


# RH-12
@verifies("HYD-001")
def test_worn_gears_are_told_each_time_that_they_bind_and_stay_told_when_they_bind_for_good() -> None:
    talk = Conversation.with_new_pump()
    talk.pump.inject("wear", {"free_strokes": 400, "held_strokes": 40, "fewer_strokes": 150})
    talk.wait_until(3 * MS_PER_DAY)
    told = entries_of(talk, LogType.STALL, LogType.STALL_RECOVERED)
    assert [kind for kind, _ in told] == [LogType.STALL, LogType.STALL_RECOVERED] * 2 + [LogType.STALL]
    bound_at = [401, 400 + 40 + 251, 400 + 40 + 250 + 40 + 101]  # strokes, the first of each spell
    detected = [at_ms for kind, at_ms in told if kind is LogType.STALL]
    for first_k, at_ms in zip(bound_at, detected, strict=True):
        assert DETECT_MS <= at_ms - first_k * STROKE_MS <= DETECT_MS + STROKE_MS
    assert active(talk) == {AlarmId.MOTOR_STALL}
    healthy = Conversation.with_new_pump()
    healthy.wait_until(3 * MS_PER_DAY)
    assert entries_of(healthy, LogType.STALL) == []


# FI 05
@verifies("HYD-006")
def test_a_rotor_that_turns_backwards_is_no_delivery_and_is_told_as_a_stall() -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    before = belief_of(talk)
    talk.pump.inject("rotor-backward", {"strokes": 40})
    talk.wait(40 * STROKE_MS)
    assert belief_of(talk).delivered_total_nl == before.delivered_total_nl
    assert active(talk) == {AlarmId.MOTOR_STALL}
    truth = talk.pump.truth()
    assert truth.backflow_nl_ppm == 40 * STROKE_NL * PPM, "no reverse delivery beyond the fault (SR-16)"
    talk.wait(2 * STROKE_MS)
    assert active(talk) == set()
    assert belief_of(talk).delivered_total_nl == before.delivered_total_nl + 2 * STROKE_NL


# FI 06, RH-10
def test_a_stall_of_a_stopped_pump_is_found_only_after_it_goes_on() -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    talk.granted(Stop(1, 10 * 3_600, StopReason.MRI))
    talk.pump.inject("mri", {"field_duration_ms": MS_PER_HOUR, "restart_delay_ms": 20 * MS_PER_HOUR})
    talk.wait(8 * MS_PER_HOUR)
    assert entries_of(talk, LogType.STALL) == []
    assert [state.effects for state in talk.pump.faults() if state.fault.name == "mri"] == [0]
    resumed_ms = talk.now_ms
    talk.granted(Resume(2, 1))
    talk.wait(2 * MS_PER_HOUR)
    ((_, stalled_ms),) = entries_of(talk, LogType.STALL)
    assert DETECT_MS <= stalled_ms - resumed_ms <= DETECT_MS + 2 * STROKE_MS


# FI 07
def test_a_sensor_that_misses_every_edge_is_told_as_a_stall_of_a_rotor_that_turned() -> None:
    talk = Conversation.with_new_pump()
    talk.pump.inject("edge-lost", {})
    talk.wait_until(5 * MS_PER_HOUR)
    truth = talk.pump.truth()
    assert active(talk) == {AlarmId.MOTOR_STALL}
    assert (truth.emitted_nl_ppm, belief_of(talk).delivered_total_nl) == (125_000 * PPM, 0)
    assert (truth.strokes_turned, truth.edges) == (250, 0)


# FI 07
@pytest.mark.parametrize(("fault", "seen"), [("edge-lost", 225), ("edge-false", 250)])
def test_edges_lost_or_false_now_and_then_never_let_it_count_more_than_it_commanded(
    fault: str, seen: int
) -> None:
    talk = Conversation.with_new_pump()
    talk.pump.inject(fault, {"every_strokes": 10})
    talk.start_bolus(1, 20_000, 600)
    talk.wait_until(5 * MS_PER_HOUR)
    belief, truth = belief_of(talk), talk.pump.truth()
    assert belief.strokes_commanded == truth.strokes_turned == 290
    assert belief.strokes_seen <= 290
    assert (belief.strokes_seen == truth.edges) == (fault == "edge-lost")
    assert seen <= belief.strokes_seen


# FI 08, RH-04
@verifies("SAF-017")
@pytest.mark.parametrize(("accuracy_ppm", "dry_first"), [(1_112_000, True), (1_111_000, False), (PPM, False)])
def test_a_pump_that_gives_a_ninth_more_is_dry_before_its_alarm_and_the_refill_finds_it(
    accuracy_ppm: int, dry_first: bool
) -> None:
    talk = Conversation.with_new_pump(profile_of(implant=WE_20, residual_nl=0))
    if accuracy_ppm != PPM:
        talk.pump.inject("accuracy", {"accuracy_ppm": accuracy_ppm})
    talk.wait_until(30 * MS_PER_DAY - 1)
    dry_ms = talk.pump.truth().ran_dry_at_ms
    assert active(talk) == set()
    assert (dry_ms is not None) == dry_first
    talk.wait_until(30 * MS_PER_DAY)
    assert active(talk) == {AlarmId.LOW_RESERVOIR}
    measured_nl, investigate = found_at_refill(talk, 20 * ML)
    assert measured_nl == max(0, 20 * ML - 18 * accuracy_ppm)
    assert investigate == (measured_nl == 0)


# FI 08
def test_a_pump_that_gives_more_from_day_to_day_believes_what_it_believed() -> None:
    drifting, steady = (Conversation.with_new_pump(profile_of(implant=WE_20)) for _ in range(2))
    drifting.pump.inject("accuracy-drift", {"ramp_ppm_per_day": 20_000})
    for talk in (drifting, steady):
        talk.wait_until(20 * MS_PER_DAY)
    assert belief_of(drifting) == belief_of(steady)
    extra_nl = sum(500 * (20_000 * k * STROKE_MS // MS_PER_DAY) for k in range(1, 24_001)) / PPM
    gone = [talk.pump.truth().emitted_nl_ppm for talk in (drifting, steady)]
    assert gone[0] - gone[1] == extra_nl * PPM
    assert found_at_refill(drifting, 20 * ML)[1]
    assert not found_at_refill(steady, 20 * ML)[1]


# FI 09, RH-13
@pytest.mark.parametrize("flow_ppm", [800_000, None])
def test_a_pump_without_propellant_says_nothing_and_the_refill_finds_more_than_it_should(
    flow_ppm: int | None,
) -> None:
    talk = Conversation.with_new_pump(profile_of(implant=WE_20))
    if flow_ppm is not None:
        talk.pump.inject("propellant-loss", {"flow_ppm": flow_ppm})
    talk.wait_until(20 * MS_PER_DAY)
    assert (active(talk), entries_of(talk, LogType.STALL)) == (set(), [])
    assert found_at_refill(talk, 20 * ML) == ((10_400_000, True) if flow_ppm else (8_000_000, False))


# FI 13, 14, 17, 18, 19, RH-14, RH-21
@verifies("HYD-004")
@pytest.mark.parametrize(
    ("fault", "given", "into_nl", "pocket_nl", "suspect"),
    [
        ("pocket-fill", {}, 0, 18 * ML, True),
        ("partial-fill", {"filled_ppm": 500_000}, 9 * ML, 0, True),
        ("overfill", {"extra_nl": 4 * ML}, 22 * ML, 0, True),
        (None, {}, 18 * ML, 0, False),
    ],
)
def test_a_refill_that_went_elsewhere_is_believed_as_it_was_told(
    fault: str | None, given: dict[str, int], into_nl: int, pocket_nl: int, suspect: bool
) -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    before = talk.pump.truth()
    if fault is not None:
        talk.pump.inject(fault, given)
    talk.granted(Refill(1, 17_975_000, 18 * ML, 1, RefillFlag(0), DRUG, 2 * ML))
    truth = talk.pump.truth()
    assert (truth.true_nl_ppm, truth.pocket_nl_ppm) == (into_nl * PPM, pocket_nl * PPM)
    assert belief_of(talk).reservoir_calc_nl == 18 * ML
    talk.wait_until(MS_PER_HOUR + 20 * MS_PER_DAY)
    truth = talk.pump.truth()
    assert active(talk) == set(), "12 of 18 mL: no alarm yet"
    moved_nl = min(12 * ML, max(0, into_nl - 1_400_000))
    assert truth.emitted_nl_ppm - before.emitted_nl_ppm == moved_nl * PPM
    assert truth.dry_nl_ppm == (12 * ML - moved_nl) * PPM
    assert truth.accuracy_suspect == suspect


# FI 10, RH-15
@verifies("HYD-002")
def test_behind_an_occlusion_the_pump_says_nothing_and_its_release_is_a_bolus_that_nobody_asked_for() -> None:
    occluded, free = (Conversation.with_new_pump() for _ in range(2))
    for talk in (occluded, free):
        talk.wait_until(MS_PER_HOUR)
    occluded.pump.inject("occlusion", {"compliance_nl": 100_000})
    at_tip = occluded.pump.truth().tip_fg_ppm
    for talk in (occluded, free):
        talk.wait(MS_PER_DAY)
    assert active(occluded) == set()
    assert belief_of(occluded) == belief_of(free)
    truth = occluded.pump.truth()
    assert (truth.tip_fg_ppm, truth.stored_nl_ppm) == (at_tip, 100_000 * PPM)
    assert free.pump.truth().tip_fg_ppm - at_tip == 300 * 10**9 * PPM, "300 mcg that the patient did not get"
    occluded.pump.clear("occlusion")
    assert occluded.pump.truth().tip_fg_ppm - at_tip == 50 * 10**9 * PPM, "50 mcg at once"


# RH-16
def test_the_case_of_19_ml_found_at_a_refill_is_warned_of_and_its_release_comes_after_the_restart() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=20 * ML, dose_ng_per_day=180_000)))
    talk.pump.inject("occlusion", {"compliance_nl": ML})
    talk.wait_until(50 * MS_PER_DAY)
    assert belief_of(talk).reservoir_calc_nl == 2 * ML
    at_tip = talk.pump.truth().tip_fg_ppm
    assert found_at_refill(talk, 20 * ML) == (19 * ML, True)
    talk.pump.fill(20 * ML, DRUG)
    talk.granted(Stop(1, 3_600, StopReason.CLINICAL))
    talk.granted(Refill(2, 19 * ML, 20 * ML, 1, RefillFlag(0), DRUG, 2 * ML))
    rev = talk.granted(GetStatus()).program_rev
    talk.granted(ProgCommit(3, rev, talk.stage(90_000, DRUG, base_rev=rev).staged_crc, start=True))
    talk.wait(10 * 60_000)
    assert talk.pump.truth().tip_fg_ppm == at_tip == 0
    talk.pump.clear("occlusion")
    assert talk.pump.truth().tip_fg_ppm == ML * PPM * DRUG, "500 mcg ten minutes after the restart"
    free = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=20 * ML, dose_ng_per_day=180_000)))
    free.wait_until(50 * MS_PER_DAY)
    assert found_at_refill(free, 20 * ML) == (2 * ML, False)


# FI 11
def test_a_catheter_that_came_off_gives_the_patient_nothing_and_the_pump_says_nothing() -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    at_tip = talk.pump.truth().tip_fg_ppm
    talk.pump.inject("catheter-leak", {})
    talk.wait(MS_PER_DAY)
    truth = talk.pump.truth()
    assert (truth.tip_fg_ppm, truth.lost_fg_ppm) == (at_tip, 600_000 * PPM * DRUG)
    assert active(talk) == set()


# FI 12
def test_a_siphon_gives_more_than_anybody_asked_for_and_the_refill_finds_it() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=WE_20))
    talk.wait_until(1)
    talk.pump.inject("siphon", {"rate_nl_per_day": 300_000})
    talk.wait_until(10 * MS_PER_DAY + 1)
    truth = talk.pump.truth()
    assert truth.free_flow_nl_ppm == 3 * ML * PPM
    assert belief_of(talk).delivered_total_nl == 6 * ML
    assert truth.tip_fg_ppm == 9 * ML * PPM * DRUG
    assert active(talk) == set()
    assert found_at_refill(talk, 20 * ML) == (11 * ML, True)


def test_a_syringe_finds_what_has_flowed_also_where_nobody_looked_before() -> None:
    talk = Conversation.with_new_pump()
    talk.pump.inject("siphon", {"rate_nl_per_day": 240_000})
    talk.wait_until(10_000)  # before the first stroke
    assert talk.pump.aspirate(None) == 18 * ML - 28
    assert talk.pump.truth().free_flow_nl_ppm == 27_777_777


def test_a_siphon_goes_on_without_power() -> None:
    talk = Conversation.with_new_pump()
    talk.pump.inject("siphon", {"rate_nl_per_day": 240_000})
    talk.wait_until(MS_PER_HOUR)
    talk.pump.cut_power()
    talk.wait_until(5 * MS_PER_HOUR)
    assert talk.pump.truth().free_flow_nl_ppm == 50_000 * PPM


# FI 16, RH-17
@verifies("HYD-003")
@pytest.mark.parametrize(
    ("stopped_h", "tube_ppm", "given_ppm"),
    [(49, 1_300_000, 1_300_000), (49, None, PPM), (47, 1_300_000, PPM)],
)
def test_after_48_hours_of_standing_the_event_is_logged_and_what_it_gives_is_suspect(
    stopped_h: int, tube_ppm: int | None, given_ppm: int
) -> None:
    talk = Conversation.with_new_pump()
    if tube_ppm is not None:
        talk.pump.inject("tube-set", {"accuracy_ppm": tube_ppm})
    talk.wait_until(MS_PER_HOUR)
    talk.granted(Stop(1, 172_800, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    talk.wait(stopped_h * MS_PER_HOUR)
    before = talk.pump.truth()
    talk.granted(Resume(2, 1))
    talk.wait(MS_PER_DAY)
    truth = talk.pump.truth()
    assert truth.emitted_nl_ppm - before.emitted_nl_ppm == 600_000 * given_ppm
    assert truth.accuracy_suspect == before.accuracy_suspect == (stopped_h > 48)
    assert [at_ms for _, at_ms in entries_of(talk, LogType.TUBE_SET)] == [49 * MS_PER_HOUR] * (stopped_h > 48)
    talk.pump.clear("tube-set")
    assert not talk.pump.truth().accuracy_suspect


# FI 15, RH-22
@verifies("HYD-005")
def test_a_dive_pushes_fluid_back_into_the_reservoir_and_the_pump_believes_what_it_believed() -> None:
    dived, dry = (Conversation.with_new_pump() for _ in range(2))
    for talk in (dived, dry):
        talk.wait_until(MS_PER_HOUR)
    start = dived.pump.truth()
    dived.pump.inject("ambient-pressure", {"pressure_pa": 405_200, "backflow_nl_per_day": 2_400_000})
    for talk in (dived, dry):
        talk.wait(2 * MS_PER_HOUR)
    dived.pump.clear("ambient-pressure")
    for talk in (dived, dry):
        talk.wait(MS_PER_HOUR)
    truth = dived.pump.truth()
    assert truth.backflow_nl_ppm == 200_000 * PPM
    assert truth.true_nl_ppm == start.true_nl_ppm + 200_000 * PPM - 75_000 * PPM
    assert belief_of(dived) == belief_of(dry)
    assert truth.true_nl_ppm > belief_of(dived).reservoir_calc_nl * PPM
    assert dry.pump.truth().true_nl_ppm == belief_of(dry).reservoir_calc_nl * PPM
    assert active(dived) == set()


# RH-22, WE-45
@verifies("HYD-005")
@pytest.mark.parametrize(("pressure_pa", "accepted_nl"), [(405_200, 27 * ML), (202_600, 40 * ML)])
def test_we_45_a_refill_of_40_ml_after_dives_to_30_m_puts_27_ml_in_and_40_are_believed(
    pressure_pa: int, accepted_nl: int
) -> None:
    talk = Conversation.with_new_pump(
        profile_of(reservoir_size_nl=40 * ML, implant=Implant(filled_nl=10 * ML))
    )
    talk.pump.inject("ambient-pressure", {"pressure_pa": pressure_pa, "capacity_nl": 27 * ML})
    talk.wait_until(1)
    talk.pump.clear("ambient-pressure")
    talk.granted(Refill(1, 10 * ML, 40 * ML, 1, RefillFlag(0), DRUG, 2 * ML))
    assert talk.pump.truth().true_nl_ppm == accepted_nl * PPM
    assert belief_of(talk).reservoir_calc_nl == 40 * ML


# FI 28
def test_a_side_port_that_was_drawn_and_not_primed_leaves_a_catheter_volume_of_time_without_drug() -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(MS_PER_HOUR)
    talk.pump.inject("side-port-aspiration", {})
    at_tip = talk.pump.truth().tip_fg_ppm
    talk.wait(396 * STROKE_MS)
    assert talk.pump.truth().tip_fg_ppm == at_tip
    talk.wait(STROKE_MS)
    assert talk.pump.truth().tip_fg_ppm > at_tip
    assert active(talk) == set()


# RH-02
@pytest.mark.parametrize("dispersion_ppm", [400_000, 0])
def test_drug_that_mixes_on_its_way_comes_before_the_end_of_a_prime_and_is_missed_after_it(
    dispersion_ppm: int,
) -> None:
    talk = Conversation.with_new_pump(factory_profile(catheter_dispersion_ppm=dispersion_ppm))
    talk.wait_until(1_000)
    talk.granted(Refill(1, 0, 20 * ML, 1, RefillFlag(0), DRUG, 2 * ML))
    talk.granted(ProgCommit(2, 0, talk.stage(300_000, DRUG, base_rev=0).staged_crc, start=False))
    talk.start_prime(3, 338_000, 1_300)
    talk.wait(1_300_000)
    early = talk.pump.truth().tip_fg_ppm
    assert (early > 0) == (dispersion_ppm > 0)
    talk.granted(Resume(4, 1))
    talk.wait(676 * STROKE_MS)
    following = talk.pump.truth().tip_fg_ppm - early
    assert following == 338_000 * PPM * DRUG - early


@pytest.mark.parametrize(
    ("accuracy_ppm", "day_nl", "month_nl"), [(855_000, 513_000, 15_390_000), (1_145_000, 687_000, 20_610_000)]
)
def test_we_31_the_labelled_accuracy_to_the_nanolitre(accuracy_ppm: int, day_nl: int, month_nl: int) -> None:
    profile = profile_of(reservoir_size_nl=40 * ML, implant=Implant(filled_nl=40 * ML))
    talk = Conversation.with_new_pump(profile)
    talk.pump.inject("accuracy", {"accuracy_ppm": accuracy_ppm})
    for days, nl in ((1, day_nl), (30, month_nl)):
        talk.wait_until(days * MS_PER_DAY)
        assert talk.pump.truth().emitted_nl_ppm == nl * PPM


def test_what_leaves_the_tip_never_goes_back_into_it_through_all_of_that() -> None:
    """The output that a test integrates: drug at the tip, hour by hour through a bad month."""
    talk = Conversation.with_new_pump(profile_of(implant=WE_20))
    bad: dict[int, tuple[str, dict[str, int]]] = {
        20: ("mri", {"backward_strokes": 50, "restart_delay_ms": 3 * MS_PER_HOUR}),
        40: ("occlusion", {}),
        80: ("ambient-pressure", {"pressure_pa": 400_000}),
        100: ("siphon", {"rate_nl_per_day": 500_000}),
        110: ("catheter-leak", {"lost_ppm": 250_000}),
    }
    at_tip = []
    for hour in range(1, 151):
        talk.wait_until(hour * MS_PER_HOUR)
        if hour in bad:
            talk.pump.inject(*bad[hour])
        if hour == 60:
            talk.pump.clear("occlusion")
        at_tip.append(talk.pump.truth().tip_fg_ppm)
    assert all(earlier <= later for earlier, later in pairwise(at_tip))
