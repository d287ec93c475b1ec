"""What the clinic configures: it holds at once, it lasts, and what cannot be is refused with the nearest [SPEC 6]."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from hil.plugin import verifies
from hil.suite.observing import MS_PER_S
from hil.suite.refusals import check_refusal, refused
from protocol.identifiers import ConfigId, ErrorCode, Role, StopReason
from protocol.log.types import LogType
from protocol.messages.configuration import ConfigWrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.configuration import ConfigValue
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from hil.suite.raw_client import RawClient

S_PER_DAY = 86_400
U32_MAX = 0xFFFF_FFFF
TEXTS = (ConfigId.PATIENT_ID, ConfigId.NOTES, ConfigId.DRUG_NAME, ConfigId.CATHETER_MODEL)

pytestmark = pytest.mark.needs("reset")


def another_value(pump: Programmer, config_id: ConfigId) -> ConfigValue:
    """A value that this pump takes and does not have yet."""
    value = pump.configuration(config_id)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value} and µg"
    return value - S_PER_DAY if config_id is ConfigId.IMPLANT_WALL_S else value + 1


@verifies("CFG-001")
@pytest.mark.needs("power")
@pytest.mark.parametrize("config_id", list(ConfigId), ids=lambda config_id: config_id.name)
def test_an_item_is_read_as_it_was_written_also_after_a_loss_of_power(
    pump: Programmer, pump_rig: Rig, config_id: ConfigId
) -> None:
    value = another_value(pump, config_id)
    others = {other: pump.configuration(other) for other in ConfigId if other is not config_id}
    pump.configure(config_id, value)
    assert pump.configuration(config_id) == value
    pump_rig.power_cut()
    pump_rig.power_restore()
    assert pump.configuration(config_id) == value
    assert {other: pump.configuration(other) for other in others} == others


@verifies("CFG-002")
def test_a_number_out_of_its_range_is_refused_with_the_nearest_that_is_taken(pump: Programmer) -> None:
    numbers = [each for each in ConfigId if type(pump.configuration(each)) is int]
    for config_id in numbers:
        code = ErrorCode.TIME_RANGE if config_id is ConfigId.IMPLANT_WALL_S else ErrorCode.CONFIG_VALUE
        before = pump.configuration(config_id)
        with refused(code) as refusal:
            pump.configure(config_id, U32_MAX)
        assert refusal.error.detail == U32_MAX
        assert refusal.error.limit == refusal.error.nearest
        assert pump.configuration(config_id) == before
        pump.configure(config_id, refusal.error.nearest)
        assert pump.configuration(config_id) == refusal.error.nearest


@verifies("CFG-003")
def test_a_text_that_is_no_utf_8_and_a_number_of_another_length_are_refused(raw: RawClient) -> None:
    for config_id in TEXTS:
        check_refusal(raw.say(ConfigWrite(config_id, b"caf\xe9")), ErrorCode.CONFIG_VALUE)
    for config_id in set(ConfigId) - set(TEXTS):
        check_refusal(raw.say(ConfigWrite(config_id, bytes(3))), ErrorCode.LENGTH)


@verifies("CFG-004")
def test_a_limit_binds_the_next_bolus_and_is_told(running: Programmer) -> None:
    stroke_nl = running.limits().stroke_nl
    most_nl = 20 * stroke_nl
    running.prepare_bolus(2 * most_nl, 3_600)
    running.configure(ConfigId.BOLUS_MAX_NL, most_nl)
    assert running.limits().bolus_max_nl == most_nl
    with refused(ErrorCode.BOLUS_MAX) as refusal:
        running.prepare_bolus(2 * most_nl, 3_600)
    assert (refusal.error.limit, refusal.error.nearest) == (most_nl, most_nl)
    running.prepare_bolus(most_nl, 3_600)


@verifies("CFG-004", "ALM-017")
@pytest.mark.needs("time", "tones", "stall")
@pytest.mark.parametrize("interval_s", [60, 7_200])
def test_a_tone_comes_at_the_new_interval_at_once(
    running: Programmer, pump_rig: Rig, interval_s: int
) -> None:
    pump_rig.stall(on=True)
    pump_rig.run_until("alarm", 86_400_000)
    running.configure(ConfigId.CRITICAL_INTERVAL_S, interval_s)
    with refused(ErrorCode.CONFIG_VALUE) as refusal:
        running.configure(ConfigId.CRITICAL_INTERVAL_S, 0)
    assert (refusal.error.limit, refusal.error.nearest) == (60, 60)
    heard = len(pump_rig.tones())
    pump_rig.advance(10 * interval_s * MS_PER_S)
    tones = pump_rig.tones()[heard:]
    assert len(tones) == 10
    assert {late.at_ms - early.at_ms for early, late in pairwise(tones)} == {interval_s * MS_PER_S}


@verifies("CFG-004")
def test_tubing_and_date_of_the_implant_are_told_and_the_date_moves_the_replacement(
    pump: Programmer,
) -> None:
    by_s, implanted_s = pump.reservoir().replace_by_wall_s, pump.info().implant_wall_s
    pump.configure(ConfigId.TUBING_NL, 199_000)
    pump.configure(ConfigId.IMPLANT_WALL_S, implanted_s - 365 * S_PER_DAY)
    assert (pump.info().tubing_nl, pump.info().implant_wall_s) == (199_000, implanted_s - 365 * S_PER_DAY)
    moved_s = by_s - pump.reservoir().replace_by_wall_s
    assert abs(moved_s - 365 * S_PER_DAY) <= 3 * S_PER_DAY


@verifies("CFG-005")
@pytest.mark.parametrize("role", [Role.OBSERVER, Role.PATIENT], ids=lambda role: role.name.lower())
def test_therapy_in_the_log_is_hidden_from_patient_and_observer_until_the_clinic_allows_it(
    pump: Programmer, pump_as: Callable[[Role], Programmer], role: Role
) -> None:
    seq = pump.status().last_seq
    pump.stop(60, reason=StopReason.MRI)
    whole = [entry.type for entry in pump.read_log(from_seq=seq + 1).entries]
    assert LogType.STOP in whole
    reader = None
    for allowed in (False, True, False):
        pump.configure(ConfigId.PATIENT_MAY_READ_THERAPY, allowed)
        pump.end_session()
        reader = reader or pump_as(role)
        seen = [entry.type for entry in reader.read_log(from_seq=seq + 1).entries][: len(whole)]
        assert (seen == whole, LogType.HIDDEN in seen) == (allowed, not allowed)
        reader.end_session()
