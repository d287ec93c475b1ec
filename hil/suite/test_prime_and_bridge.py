"""Primes fill the path, bridges bring the old drug out of it, a change of drug is one stroke [SPEC 6; DOMAIN 4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, starts_as, verifies
from hil.programmer.staging import ProgramRefused
from hil.suite.observing import LogMark, alarm_row, is_latched, mono_ms
from hil.suite.refusals import refused
from protocol.codec.layouts import path_offset
from protocol.identifiers import (
    Activity,
    AlarmId,
    Capability,
    CommitMode,
    ErrorCode,
    InfusionMode,
    Outcome,
    State,
    StopReason,
)
from protocol.log.data import BolusEndData
from protocol.log.types import BolusEndReason, LogType
from protocol.messages.program import NO_GROUP, BridgeBlock, ProgramHeader

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

MS_PER_S, HOUR_MS = 1_000, 3_600_000
CATHETER_NL = 198_000  # 90 cm of 2.2 uL/cm [DOMAIN WE-10]
PATH_NL, PRIME_S = 338_000, 1_300
WE_13, WE_13_MS = BridgeBlock(PATH_NL, 600_000), 48_672_000  # 13 h 31 min 12 s
OLD_NG_PER_ML, NEW_NG_PER_ML = 500_000, 2_000_000


@pytest.fixture
def primable(running: Programmer) -> Programmer:
    """A clinician's programmer of a pump that runs and knows primes and bridges; skipped where it does not."""
    opened = running.session.opened
    assert opened is not None
    if Capability.PRIME_AND_BRIDGE not in Capability(opened.pump_hello.caps):
        pytest.skip("needs a pump with the capability bit for primes and bridges")
    return running


def changed_to_new_drug(pump: Programmer, bridge: BridgeBlock | None = WE_13) -> None:
    """WE-13: 300 mcg a day, from 500 to 2000 mcg/mL."""
    staged = pump.stage_simple_program(
        300_000, concentration_ng_per_ml=NEW_NG_PER_ML, drug_id=1, bridge=bridge
    )
    pump.refill_with_program(staged, 18_000_000, aspirated_nl=1_400_000, rinsed_twice=True)


# Primes.


@verifies("PRM-001", "PRM-002")
@needs("time", "reset")
@pytest.mark.parametrize("state", [State.RUN, State.STOP])
def test_a_prime_of_tubing_and_catheter_is_its_own_account_and_leaves_the_state(
    primable: Programmer, pump_rig: Rig, state: State
) -> None:
    if state is State.STOP:
        primable.stop(86_400)
    volume_nl = primable.info().tubing_nl + CATHETER_NL
    before = primable.delivery()
    done = primable.prime(volume_nl, PRIME_S)
    assert done.outcome is Outcome.RUNNING
    assert primable.status().activity == Activity.PRIME
    pump_rig.advance(PRIME_S * MS_PER_S)
    found, after = primable.query(done.cmd_id), primable.delivery()
    assert (found.outcome, found.delivered_nl) == (Outcome.DONE, volume_nl)
    assert after.prime_nl - before.prime_nl == volume_nl
    assert (after.bolus_nl, after.day_used_nl) == (before.bolus_nl, before.day_used_nl)
    assert primable.status().state is state


@verifies("PRM-003")
@needs("time", "reset")
def test_an_interrupted_bolus_a_prime_and_a_resume_are_three_accounts(
    primable: Programmer, pump_rig: Rig
) -> None:
    bolus = primable.bolus(100_000, 3_600)
    pump_rig.advance(HOUR_MS // 2)
    primable.stop(86_400)
    broken_off = primable.query(bolus.cmd_id)
    assert broken_off.outcome is Outcome.PARTIAL
    before = primable.delivery()
    primable.prime(PATH_NL, PRIME_S)
    pump_rig.advance(PRIME_S * MS_PER_S)
    primable.resume()
    pump_rig.advance(10 * HOUR_MS)
    after, stroke_nl = primable.delivery(), primable.limits().stroke_nl
    assert (after.bolus_nl, after.prime_nl - before.prime_nl) == (before.bolus_nl, PATH_NL)
    assert abs(after.basal_nl - before.basal_nl - 250_000) <= stroke_nl
    assert primable.query(bolus.cmd_id) == broken_off


@verifies("PRM-004")
@needs("time", "reset")
def test_a_prime_is_refused_beside_a_bolus_and_ends_for_good_with_a_cancel(
    primable: Programmer, pump_rig: Rig
) -> None:
    bolus = primable.bolus(20_000, 3_600)
    with refused(ErrorCode.BOLUS_ACTIVE):
        primable.prepare_prime(PATH_NL, PRIME_S)
    primable.cancel_bolus(bolus.cmd_id)
    mark, prime = LogMark(primable), primable.prime(PATH_NL, PRIME_S)
    with refused(ErrorCode.BOLUS_ACTIVE):
        primable.prepare_bolus(20_000, 600)
    pump_rig.advance(PRIME_S * MS_PER_S // 2)
    primable.cancel_bolus(prime.cmd_id)
    pump_rig.advance(HOUR_MS)
    assert primable.query(prime.cmd_id).delivered_nl == PATH_NL // 2
    assert is_latched(primable.status(), AlarmId.BOLUS_PARTIAL)
    (end,) = [entry for entry in mark.entries(primable) if entry.type is LogType.PRIME_END]
    assert end.details() == BolusEndData(PATH_NL // 2, 0, BolusEndReason.CANCELLED)


@verifies("PRM-005", "BOL-019")
@needs("reset")
def test_a_bolus_and_a_prime_may_not_last_longer_than_announced(primable: Programmer) -> None:
    longest_s = primable.limits().bolus_max_duration_s
    for prepare in (primable.prepare_bolus, primable.prepare_prime):
        assert prepare(20_000, longest_s).announced.quantised_nl == 20_000
        with refused(ErrorCode.TIME_RANGE) as refusal:
            prepare(20_000, longest_s + 1)
        assert (refusal.error.detail, refusal.error.nearest) == (longest_s + 1, longest_s)


# Bridges.


@verifies("BRG-001", "BRG-002", "RFL-008")
@needs("time", "reset")
def test_we_13_the_old_drug_leaves_at_the_old_rate_and_then_the_program_starts(
    primable: Programmer, pump_rig: Rig
) -> None:
    before, rev = primable.delivery(), primable.status().program_rev
    mark = LogMark(primable)
    changed_to_new_drug(primable)
    status = primable.status()
    assert (status.state, status.program_rev, status.rate_nl_per_day) == (State.RUN, rev + 1, 600_000)
    assert (status.activity, status.bolus_left_nl) == (Activity.BRIDGE, PATH_NL)
    with refused(ErrorCode.BRIDGE_ACTIVE) as refusal:
        primable.prepare_bolus(20_000, 600)
    assert refusal.error.detail == PATH_NL
    pump_rig.advance(WE_13_MS - 1)
    assert primable.status().rate_nl_per_day == 600_000
    pump_rig.advance(1)
    after = primable.delivery()
    assert (after.bridge_nl - before.bridge_nl, after.basal_nl) == (PATH_NL, before.basal_nl)
    assert (primable.status().rate_nl_per_day, primable.status().activity) == (150_000, Activity(0))
    assert {LogType.BRIDGE_START, LogType.BRIDGE_END} <= set(mark.types(primable))
    assert primable.prepare_bolus(20_000, 600).announced.quantised_nl == 20_000


@verifies("BRG-003")
@needs("time", "power", "reset")
def test_a_bridge_waits_through_a_stop_and_a_loss_of_power_and_is_whole_at_its_end(
    primable: Programmer, pump_rig: Rig
) -> None:
    before = primable.delivery()
    changed_to_new_drug(primable)
    pump_rig.advance(2 * HOUR_MS)
    primable.cancel_bolus()
    primable.stop(86_400, reason=StopReason.MRI)
    pump_rig.advance(5 * HOUR_MS)
    assert primable.delivery().bridge_nl - before.bridge_nl == 50_000
    primable.resume()
    pump_rig.advance(2 * HOUR_MS)
    pump_rig.power_cut()
    assert pump_rig.power_restore(HOUR_MS)
    assert primable.status().activity == Activity.BRIDGE
    pump_rig.advance(WE_13_MS)
    assert primable.delivery().bridge_nl - before.bridge_nl == PATH_NL
    assert primable.status().rate_nl_per_day == 150_000


@verifies("BRG-004")
@needs("time", "reset")
def test_the_next_program_takes_the_place_of_a_bridge(primable: Programmer, pump_rig: Rig) -> None:
    changed_to_new_drug(primable)
    pump_rig.advance(2 * HOUR_MS)
    mark = LogMark(primable)
    primable.set_simple_program(300_000, bridge=BridgeBlock(20_000, 300_000))
    assert (primable.status().rate_nl_per_day, primable.status().bolus_left_nl) == (300_000, 20_000)
    (end,) = [entry for entry in mark.entries(primable) if entry.type is LogType.BRIDGE_END]
    assert end.details() == BolusEndData(50_000, 0, BolusEndReason.REPLACED)


@verifies("BRG-005")
@needs("reset")
@pytest.mark.parametrize(
    ("bridge", "code", "field"),
    [
        (BridgeBlock(0, 600_000), ErrorCode.RATE, "volume_nl"),
        (BridgeBlock(338_000_000, 600_000), ErrorCode.RESERVOIR, "volume_nl"),
        (BridgeBlock(PATH_NL, 0), ErrorCode.RATE, "rate_nl_per_day"),
        (BridgeBlock(PATH_NL, 600_000_000), ErrorCode.RATE, "rate_nl_per_day"),
    ],
)
def test_a_bridge_that_cannot_be_run_is_refused_with_place_value_and_the_nearest(
    primable: Programmer, bridge: BridgeBlock, code: ErrorCode, field: str
) -> None:
    rev = primable.status().program_rev
    with pytest.raises(ProgramRefused) as caught:
        primable.stage_simple_program(300_000, bridge=bridge)
    (found,) = caught.value.refusals
    place = (NO_GROUP, path_offset(ProgramHeader, f"bridge.{field}"))
    assert (found.code, found.group, found.index, found.value) == (code, *place, getattr(bridge, field))
    repaired = bridge._replace(**{field: found.nearest})
    primable.set_simple_program(300_000, bridge=repaired)
    assert primable.status().program_rev == rev + 1


@verifies("BRG-006")
@needs("time", "reset")
@starts_as(implant={"filled_nl": 3_000_000})
def test_low_and_empty_are_foretold_over_a_bridge(primable: Programmer, pump_rig: Rig) -> None:
    primable.set_simple_program(300_000, bridge=BridgeBlock(PATH_NL, 1_200_000))
    told = primable.reservoir()
    for moment_s, alarm in (
        (told.low_t_mono_s, AlarmId.LOW_RESERVOIR),
        (told.empty_t_mono_s, AlarmId.EMPTY),
    ):
        pump_rig.advance(moment_s * MS_PER_S - 1 - mono_ms(primable))
        assert alarm_row(primable, alarm) is None
        pump_rig.advance(MS_PER_S)
        row = alarm_row(primable, alarm)
        assert row is not None
        assert row.on_t_mono_s == moment_s


# Programs.


@verifies("PRG-014")
@needs("reset")
def test_the_minimum_rate_is_the_pump_s_own(primable: Programmer) -> None:
    primable.set_minimum_rate_program()
    status = primable.status()
    assert (status.mode, status.rate_nl_per_day) == (
        InfusionMode.MINIMUM_RATE,
        primable.limits().safe_rate_nl_per_day,
    )


@verifies("PRG-024")
@needs("time", "reset")
@starts_as(model={"commit_mode": "stop_write_verify_restart"})
@pytest.mark.parametrize("ended_by", ["a commit", "the end of its session"])
def test_a_pump_that_stands_still_while_it_is_programmed_says_so_and_runs_only_after_the_commit(
    running: Programmer, pump_rig: Rig, ended_by: str
) -> None:
    assert running.info().commit_mode is CommitMode.STOP_WRITE_VERIFY_RESTART
    staged = running.stage_simple_program(400_000)
    assert (running.status().state, running.status().rate_nl_per_day) == (State.STOP, 0)
    if ended_by == "a commit":
        running.commit_program(staged, start=False)
        assert (running.status().state, running.status().rate_nl_per_day) == (State.RUN, 800_000)
        return
    running.end_session()
    pump_rig.advance(48 * HOUR_MS)
    row = alarm_row(running, AlarmId.STOPPED_TOO_LONG)
    assert row is not None
    assert running.status().program_rev == staged.base_rev
    with pytest.raises(ProgramRefused, match="stands still while it is programmed"):
        running.stage_simple_program(400_000_000)
