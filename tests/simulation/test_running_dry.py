"""An empty reservoir: what is so, what the pump believes, and what it does, one policy after the other [DOMAIN 3.3]."""

from __future__ import annotations

from typing import NamedTuple

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, RefillFlag, State, StateReason
from protocol.log.types import LogType
from protocol.messages.conversation import EndSession
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume
from tests.simulation.alarm_causes import until_alarm
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each

RATE_NL_PER_DAY = 600_000
FILLED_NL = 3_000_000
EMPTY_MS = 5 * MS_PER_DAY
SAFE_NL_PER_DAY = 6_000
TWO_DAYS = 2 * MS_PER_DAY


class After(NamedTuple):
    """What becomes of a pump when it believes itself empty, and after a refill."""

    state: State
    rate_nl_per_day: int
    state_two_days_later: State
    stopped_too_long: bool
    state_refilled: State
    rate_refilled: int


POLICIES = {  # [DOMAIN 3.3]; after a refill [DESIGN, Modes]: it never starts a pump that stands still
    EmptyPolicy.CONTINUE: After(State.RUN, RATE_NL_PER_DAY, State.RUN, False, State.RUN, RATE_NL_PER_DAY),
    EmptyPolicy.MINIMUM_RATE: After(
        State.SAFE_STATE, SAFE_NL_PER_DAY, State.SAFE_STATE, False, State.RUN, RATE_NL_PER_DAY
    ),
    EmptyPolicy.STOP: After(State.STOP, 0, State.STOP, True, State.STOP, 0),
}


def pump(policy: EmptyPolicy = EmptyPolicy.MINIMUM_RATE, **model: int) -> Conversation:
    """A pump that believes itself empty after five days."""
    implant = Implant(filled_nl=FILLED_NL)
    return Conversation.with_new_pump(
        profile_of(implant=implant, wall_at_start_s=826_000_000, empty_policy=policy, **model)
    )


def is_active(talk: Conversation, alarm_id: AlarmId) -> bool:
    return bool(talk.granted(GetStatus()).alarm_active >> alarm_id & 1)


@for_each("policy", list(EmptyPolicy))
def test_each_policy_does_what_it_says_at_the_stroke_that_empties_and_after_a_refill(
    policy: EmptyPolicy,
) -> None:
    talk, wanted = pump(policy), POLICIES[policy]
    talk.wait_until(EMPTY_MS - 1)
    before = talk.granted(GetStatus())
    assert (before.state, before.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
    assert not is_active(talk, AlarmId.EMPTY)
    talk.wait_until(EMPTY_MS)
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (wanted.state, wanted.rate_nl_per_day)
    if wanted.state is not State.RUN:
        assert status.state_reason is StateReason.EMPTY_POLICY
    assert is_active(talk, AlarmId.EMPTY)
    assert talk.pump.tones()[-1].critical
    turned = talk.pump.truth().strokes_turned
    talk.granted(EndSession())
    talk.wait(TWO_DAYS)
    assert (talk.pump.truth().strokes_turned - turned) * 500 == wanted.rate_nl_per_day * 2
    assert talk.granted(GetStatus()).state is wanted.state_two_days_later
    assert is_active(talk, AlarmId.STOPPED_TOO_LONG) is wanted.stopped_too_long
    talk.granted(Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (wanted.state_refilled, wanted.rate_refilled)
    assert not is_active(talk, AlarmId.EMPTY)
    assert not is_active(talk, AlarmId.LOW_RESERVOIR)
    if status.state is State.STOP:
        assert talk.granted(Resume(2, 1)).rate_nl_per_day == RATE_NL_PER_DAY
        assert not is_active(talk, AlarmId.STOPPED_TOO_LONG)
    assert len([entry for entry in talk.log() if entry.type is LogType.REFILL]) == 2
    assert_log_is_whole(talk)


# FI 13
@for_each(
    ("residual_nl", "accuracy_ppm", "dry_before"),
    [
        (0, 1_145_000, True),
        (1_400_000, 1_000_000, True),
        (1_400_000, 1_145_000, True),
        (0, 855_000, False),
    ],
)
def test_a_reservoir_runs_dry_before_or_after_its_alarm_and_the_pump_knows_of_neither(
    residual_nl: int, accuracy_ppm: int, dry_before: bool
) -> None:
    talk = pump(EmptyPolicy.CONTINUE, residual_nl=residual_nl, accuracy_ppm=accuracy_ppm)
    until_alarm(talk, AlarmId.EMPTY, 10 * MS_PER_DAY)
    assert talk.now_ms == EMPTY_MS, "the alarm comes when it is computed to come"
    dry_ms = talk.pump.truth().ran_dry_at_ms
    assert (dry_ms is not None and dry_ms < EMPTY_MS) is dry_before
    before = talk.pump.truth()
    talk.wait(MS_PER_DAY // 4)
    after = talk.pump.truth()
    assert (after.emitted_nl_ppm > before.emitted_nl_ppm) is not dry_before
    assert after.strokes_turned > before.strokes_turned, "the rotor turns, dry or not"
    talk.wait(3 * MS_PER_DAY)
    assert talk.pump.truth().ran_dry_at_ms is not None
    emitted = talk.pump.truth().emitted_nl_ppm
    talk.wait(MS_PER_DAY)
    assert talk.pump.truth().emitted_nl_ppm == emitted
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, RATE_NL_PER_DAY)
    assert_volumes_agree(talk)


# FI 14
def test_the_residual_volume_ends_the_flow_while_the_pump_believes_to_have_it_still() -> None:
    talk = pump()
    talk.wait_until(EMPTY_MS - MS_PER_HOUR)
    truth = talk.pump.truth()
    assert truth.ran_dry_at_ms == (FILLED_NL - 1_400_000) * MS_PER_DAY // RATE_NL_PER_DAY
    assert truth.deliverable_nl_ppm == 0
    assert truth.true_nl_ppm == 1_400_000 * 1_000_000
    believed_at_dry_nl = FILLED_NL - RATE_NL_PER_DAY * truth.ran_dry_at_ms // MS_PER_DAY
    assert believed_at_dry_nl == 1_400_000
    assert not is_active(talk, AlarmId.EMPTY)


# RH-04
@for_each(
    ("accuracy_ppm", "low_first"),
    [(1_000_000, True), (1_111_000, True), (1_112_000, False), (1_145_000, False)],
)
def test_a_pump_that_gives_a_ninth_more_is_dry_before_its_low_alarm_and_one_that_gives_what_it_should_is_not(
    accuracy_ppm: int, low_first: bool
) -> None:
    """20 mL, alarm at 2 mL: the border is 20/18 [DOMAIN 0.4]. The harm on such a pump, its absence on the usual one."""
    implant = Implant(filled_nl=20_000_000)
    talk = Conversation.with_new_pump(
        profile_of(implant=implant, accuracy_ppm=accuracy_ppm, residual_nl=0, wall_at_start_s=826_000_000)
    )
    until_alarm(talk, AlarmId.LOW_RESERVOIR, 31 * MS_PER_DAY)
    assert talk.now_ms == 30 * MS_PER_DAY
    assert (talk.pump.truth().ran_dry_at_ms is None) is low_first
