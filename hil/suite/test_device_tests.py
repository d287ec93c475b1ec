"""What a clinician lets a patient hear, and what a service technician has a stopped pump test [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.suite.observing import LogMark
from hil.suite.refusals import refused
from protocol.identifiers import AlarmClass, ErrorCode, Role, SelfTestFault
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig


@verifies("TST-001")
@needs("tones", "reset")
def test_a_clinician_lets_each_tone_be_heard_once_and_no_alarm_comes_of_it(
    running: Programmer, pump_rig: Rig
) -> None:
    mark = LogMark(running)
    for alarm_class, duration_ms in ((AlarmClass.NON_CRITICAL, 1_000), (AlarmClass.CRITICAL, 3_000)):
        heard = len(pump_rig.tones())
        running.test_alarm(alarm_class)
        running.session.wait(duration_ms + 1_000)
        (tone,) = pump_rig.tones()[heard:]
        assert tone.critical is (alarm_class is AlarmClass.CRITICAL)
        assert abs(tone.duration_ms - duration_ms) <= duration_ms // 10
    entries = mark.entries(running, LogType.ALARM_TEST)
    assert [entry.details().alarm_class for entry in entries] == [
        AlarmClass.NON_CRITICAL,
        AlarmClass.CRITICAL,
    ]
    assert not running.alarms().alarms


@verifies("TST-002")
@needs("reset")
def test_a_pump_that_is_whole_finds_nothing_wrong_and_only_while_it_is_stopped(
    running: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    running.end_session()
    service = pump_as(Role.SERVICE)
    with refused(ErrorCode.RUNNING):
        service.self_test()
    service.stop(3_600)
    mark = LogMark(service)
    assert service.self_test() == SelfTestFault(0)
    (entry,) = mark.entries(service, LogType.SELF_TEST)
    assert (entry.actor >> 4, entry.details().failed) == (Role.SERVICE, SelfTestFault(0))


@verifies("TST-002")
@needs("power", "reset")
def test_a_pump_whose_clock_stood_still_says_so(
    running: Programmer, pump_rig: Rig, pump_as: Callable[[Role], Programmer]
) -> None:
    running.stop(3_600)
    running.end_session()
    pump_rig.power_cut()
    assert pump_rig.power_restore(0)
    assert SelfTestFault.CLOCK in pump_as(Role.SERVICE).self_test()
