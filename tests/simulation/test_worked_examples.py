"""The worked examples of the domain, on a whole pump, to the nanolitre and the millisecond."""

from __future__ import annotations

from itertools import pairwise

import pytest

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.controller.events import AlarmCleared, AlarmRaised
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S, PPM, S_PER_DAY
from hil.campaign.conversation import (
    MARCH_2_S,
    SEED,
    Conversation,
    factory_profile,
    profile_of,
)
from protocol.identifiers import AlarmId, ErrorCode, RefillFlag, State, StopReason
from protocol.log.data import AlarmOnData
from protocol.log.types import LogName, LogType
from protocol.messages.log import LogRead
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from tests.simulation.stepping import alarm_ms, alarms_in

STROKE_NL = 500
WE_20 = Implant(filled_nl=20_000_000)


def programmed(dose_ng_per_day: int, concentration_ng_per_ml: int) -> Conversation:
    """A pump from the factory, filled and programmed over the link at 1 s."""
    talk = Conversation.with_new_pump(factory_profile())
    talk.wait(MS_PER_S)
    talk.granted(Refill(1, 0, 20_000_000, 1, RefillFlag(0), concentration_ng_per_ml, 2_000_000))
    verified = talk.stage(dose_ng_per_day, concentration_ng_per_ml, base_rev=0)
    assert not verified.refusals
    talk.granted(ProgCommit(2, 0, verified.staged_crc, start=True))
    return talk


def delivered_nl(talk: Conversation) -> int:
    belief = talk.pump.belief()
    assert belief is not None
    truth = talk.pump.truth()
    assert truth.emitted_nl_ppm == belief.delivered_total_nl * PPM
    return belief.delivered_total_nl


@pytest.mark.parametrize(
    ("dose_mcg", "concentration_mcg", "rate_nl_per_day"),
    [
        pytest.param(300, 500, 600_000, id="WE-01"),
        pytest.param(300, 2000, 150_000, id="WE-02"),
        pytest.param(96, 2000, 48_000, id="WE-04 at 2000"),
        pytest.param(48, 1000, 48_000, id="WE-04 at 1000"),
        pytest.param(24, 500, 48_000, id="WE-04 at 500"),
        pytest.param(2.4, 50, 48_000, id="WE-04 at 50"),
        pytest.param(100, 500, 200_000, id="WE-05 first"),
        pytest.param(550, 1000, 550_000, id="WE-05 second"),
        pytest.param(800, 2000, 400_000, id="WE-05 third"),
        pytest.param(1000, 2000, 500_000, id="WE-05 fourth"),
    ],
)
def test_a_dose_becomes_a_rate_and_the_rate_becomes_strokes(
    dose_mcg: float, concentration_mcg: int, rate_nl_per_day: int
) -> None:
    talk = programmed(round(dose_mcg * 1_000), concentration_mcg * 1_000)
    start_ms = talk.now_ms
    assert talk.granted(GetStatus()).rate_nl_per_day == rate_nl_per_day
    for hours in (1, 2, 24, 240):
        due_nl = rate_nl_per_day * hours // 24
        whole_strokes_nl = due_nl // STROKE_NL * STROKE_NL
        talk.wait_until(start_ms + hours * MS_PER_HOUR - 1)
        assert delivered_nl(talk) == (due_nl - 1) // STROKE_NL * STROKE_NL
        talk.wait_until(start_ms + hours * MS_PER_HOUR)
        assert delivered_nl(talk) == whole_strokes_nl


def test_what_is_owed_at_a_change_of_rate_or_a_stop_is_kept_to_the_millisecond() -> None:
    """Half a stroke at 0.6 mL/day takes 36 s; the other half at 1.2 mL/day takes 18 s."""
    talk = programmed(300_000, 500_000)
    start_ms = talk.now_ms
    talk.wait_until(start_ms + 36_000)
    crc = talk.stage(600_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, crc, start=True))
    talk.wait_until(start_ms + 36_000 + 17_999)
    assert delivered_nl(talk) == 0
    talk.wait(1)
    assert delivered_nl(talk) == STROKE_NL
    talk.wait(27_000)  # three quarters of the next stroke
    talk.granted(Stop(4, 3_600, StopReason.MRI))
    talk.wait(MS_PER_HOUR // 2)
    talk.granted(Resume(5, 2))
    talk.wait(8_999)
    assert delivered_nl(talk) == STROKE_NL
    talk.wait(1)
    assert delivered_nl(talk) == 2 * STROKE_NL


def test_we_01_is_25_microlitres_an_hour_and_we_02_is_6250_nanolitres() -> None:
    first, second = programmed(300_000, 500_000), programmed(300_000, 2_000_000)
    for talk in (first, second):
        talk.wait(2 * MS_PER_HOUR)
    assert delivered_nl(first) == 2 * 25_000
    assert delivered_nl(second) == 2 * 6_250


def test_we_03_is_refused_and_the_nearest_rate_is_named() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    talk.granted(Refill(1, 0, 20_000_000, 1, RefillFlag(0), 2_000_000, 2_000_000))
    refusals = talk.stage(90_000, 2_000_000, base_rev=0).refusals
    assert [(row.code, row.value, row.nearest) for row in refusals] == [(ErrorCode.RATE, 45_000, 48_000)]
    crc = talk.stage(90_000, 2_000_000, base_rev=0).staged_crc
    assert talk.refused(ProgCommit(2, 0, crc, start=True)).code is ErrorCode.VERIFY_CRC
    assert talk.granted(GetStatus()).state is State.STOP


@pytest.mark.parametrize(
    ("size_ml", "dose_ng_per_day", "concentration_ng_per_ml", "low_ms", "empty_ms"),
    [
        pytest.param(20, 300_000, 500_000, 30 * MS_PER_DAY, 2_880_000_000, id="WE-20"),
        pytest.param(40, 300_000, 500_000, 5_472_000_000, 5_760_000_000, id="WE-21 40 mL at 0.6"),
        pytest.param(20, 300_000, 2_000_000, 120 * MS_PER_DAY, 11_520_000_000, id="WE-21 20 mL at 0.15"),
        pytest.param(40, 300_000, 2_000_000, 21_888_000_000, 23_040_000_000, id="WE-21 40 mL at 0.15"),
    ],
)
def test_low_and_empty_are_reached_at_their_exact_millisecond(
    size_ml: int, dose_ng_per_day: int, concentration_ng_per_ml: int, low_ms: int, empty_ms: int
) -> None:
    implant = Implant(
        filled_nl=size_ml * 1_000_000,
        dose_ng_per_day=dose_ng_per_day,
        concentration_ng_per_ml=concentration_ng_per_ml,
    )
    profile = profile_of(
        implant=implant, wall_at_start_s=MARCH_2_S, reservoir_size_nl=size_ml * 1_000_000, residual_nl=0
    )
    talk = Conversation.with_new_pump(profile)
    predicted = talk.granted(GetReservoir())
    assert (predicted.low_t_mono_s, predicted.empty_t_mono_s) == (low_ms // 1_000, empty_ms // 1_000)
    talk.wait_until(low_ms - 1)
    assert talk.granted(GetStatus()).alarm_active == 0
    talk.wait_until(low_ms)
    status = talk.granted(GetStatus())
    assert status.alarm_active == 1 << AlarmId.LOW_RESERVOIR
    assert status.reservoir_calc_nl == 2_000_000
    talk.wait_until(empty_ms - 1)
    assert talk.granted(GetStatus()).reservoir_calc_nl == STROKE_NL
    talk.wait_until(empty_ms)
    status = talk.granted(GetStatus())
    assert status.alarm_active == 1 << AlarmId.LOW_RESERVOIR | 1 << AlarmId.EMPTY
    assert (status.state, status.reservoir_calc_nl) == (State.SAFE_STATE, 0)
    assert alarms_in(talk.trace) == [(low_ms, AlarmRaised), (empty_ms, AlarmRaised)]
    assert talk.pump.truth().true_nl_ppm == 0


def test_we_20_is_low_on_the_1st_of_april_at_10_and_empty_on_the_4th_at_18() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=WE_20, wall_at_start_s=MARCH_2_S))
    talk.wait_until(34 * MS_PER_DAY)
    on = {
        entry.details().alarm_id: MARCH_2_S + entry.t_mono_s
        for entry in talk.log()
        if isinstance(entry.details(), AlarmOnData)
    }
    april_1_10_00 = MARCH_2_S + 30 * S_PER_DAY
    assert on == {AlarmId.LOW_RESERVOIR: april_1_10_00, AlarmId.EMPTY: april_1_10_00 + (3 * 24 + 8) * 3_600}


@pytest.mark.parametrize("hours", [2, 24, 48])
def test_we_32_what_a_stall_misses_is_missed_for_good(hours: int) -> None:
    talk = Conversation.with_new_pump()
    start_ms = 10 * MS_PER_HOUR
    talk.wait_until(start_ms)
    talk.pump.stall_motor(True)
    talk.wait_until(start_ms + hours * MS_PER_HOUR)
    talk.pump.stall_motor(False)
    talk.wait_until(start_ms + hours * MS_PER_HOUR + MS_PER_DAY)
    missed_nl = hours * 25_000
    belief, truth = talk.pump.belief(), talk.pump.truth()
    assert belief is not None
    assert missed_nl * 500_000 // 1_000_000 == {2: 25_000, 24: 300_000, 48: 600_000}[hours]  # ng
    assert truth.strokes_missed * STROKE_NL == missed_nl
    commanded_nl = (10 + hours + 24) * 25_000
    assert truth.emitted_nl_ppm == (commanded_nl - missed_nl) * PPM
    assert belief.delivered_total_nl == commanded_nl - missed_nl
    assert belief.reservoir_calc_nl == 18_000_000 - commanded_nl


def test_a_stall_is_told_at_the_stroke_that_proves_it_and_its_end_at_the_second_good_one() -> None:
    talk = Conversation.with_new_pump()
    stroke_ms = 72_000
    talk.wait_until(10 * MS_PER_HOUR)
    talk.pump.stall_motor(True)
    talk.wait_until(12 * MS_PER_HOUR)
    talk.pump.stall_motor(False)
    talk.wait_until(20 * MS_PER_HOUR)
    first_missed_ms = 10 * MS_PER_HOUR + stroke_ms
    decisive = -(-1_200_000 // stroke_ms)
    stalled_ms = first_missed_ms + decisive * stroke_ms
    recovered_ms = 12 * MS_PER_HOUR + 2 * stroke_ms
    assert alarms_in(talk.trace) == [(stalled_ms, AlarmRaised), (recovered_ms, AlarmCleared)]
    entries = {entry.type: entry for entry in talk.log()}
    assert entries[LogType.STALL].details().missed_edges == decisive + 1
    assert entries[LogType.STALL_RECOVERED].details().missed_nl == 50_000


FACTORS_PPM = [1_000_000, 1_145_000, 1_250_000, 1_500_000, 2_000_000]


@pytest.mark.parametrize("accuracy_ppm", FACTORS_PPM)
@pytest.mark.parametrize(
    ("residual_nl", "published_days"),
    [
        # WE-25, WE-26, and WE-20 for a factor of 1
        (0, {1_000_000: 33.333, 1_145_000: 29.112, 1_250_000: 26.667, 1_500_000: 22.222, 2_000_000: 16.667}),
        (
            1_400_000,
            {1_000_000: 31.0, 1_145_000: 27.075, 1_250_000: 24.8, 1_500_000: 20.667, 2_000_000: 15.5},
        ),
    ],
    ids=["residual 0", "residual 1.4 mL"],
)
def test_we_25_and_26_a_pump_that_gives_more_runs_dry_before_its_alarm(
    residual_nl: int, published_days: dict[int, float], accuracy_ppm: int
) -> None:
    profile = profile_of(implant=WE_20, accuracy_ppm=accuracy_ppm, residual_nl=residual_nl)
    pump = Pump.new(profile, SEED)
    pump.step(Now.both(40 * MS_PER_DAY))
    truth = pump.truth()
    deliverable_nl_ppm = (20_000_000 - residual_nl) * PPM
    strokes = -(-deliverable_nl_ppm // (STROKE_NL * accuracy_ppm))
    assert truth.ran_dry_at_ms == strokes * 72_000
    assert truth.emitted_nl_ppm == deliverable_nl_ppm
    assert truth.true_nl_ppm == residual_nl * PPM
    published_ms = published_days[accuracy_ppm] * MS_PER_DAY
    rounding_ms = MS_PER_DAY / 2_000
    assert abs(truth.ran_dry_at_ms - published_ms) <= 72_000 + rounding_ms
    low_ms = alarm_ms(pump, AlarmId.LOW_RESERVOIR)
    assert low_ms == 30 * MS_PER_DAY
    ratio_of_dry_before_low = 20_000_000 / 18_000_000
    if residual_nl == 0:
        assert (truth.ran_dry_at_ms < low_ms) == (accuracy_ppm / PPM > ratio_of_dry_before_low)


def test_the_default_pump_is_dry_before_it_says_so_and_the_truth_has_what_never_left() -> None:
    pump = Pump.new(load_profile("implanted"), SEED)
    pump.step(Now.both(30 * MS_PER_DAY))
    truth, belief = pump.truth(), pump.belief()
    assert truth.ran_dry_at_ms == 2_390_400_000  # day 27.67, as README and DESIGN say
    assert belief is not None
    assert belief.delivered_total_nl == 18_000_000
    assert (truth.emitted_nl_ppm, truth.dry_nl_ppm) == (16_600_000 * PPM, 1_400_000 * PPM)
    assert alarm_ms(pump, AlarmId.LOW_RESERVOIR) == 2_304_000_000  # day 26.67
    assert alarm_ms(pump, AlarmId.EMPTY) == 30 * MS_PER_DAY


def test_the_log_of_a_month_can_be_read_without_a_gap() -> None:
    talk = Conversation.with_new_pump(profile_of(implant=WE_20, wall_at_start_s=MARCH_2_S))
    talk.wait_until(34 * MS_PER_DAY)
    times = [entry.t_mono_s for entry in talk.log()]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert talk.granted(LogRead(LogName.MAIN, 0, 10_000, 6)).entries == ()
