"""ALARM_TEST and SELF_TEST: what a clinician lets a patient hear, and what a service technician lets the pump test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.controller.alarms.alarm_table import Remedy
from firmware_emu.controller.alarms.tones import tone_of
from firmware_emu.controller.commands.request_context import Refused
from firmware_emu.controller.self_test import UNTRUSTED, run_self_test
from firmware_emu.controller.therapy.modes import DELIVERING
from protocol.identifiers import AlarmClass, ErrorCode, SelfTestFault, StateReason
from protocol.log.data import AlarmTestData, PostFailData, SelfTestData
from protocol.log.types import LogType
from protocol.messages.alarms import AlarmTestReply
from protocol.messages.conversation import SelfTestReply

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.commands.request_context import RequestContext
    from protocol.messages.alarms import AlarmTest

DAMAGE: Final = SelfTestFault.MEMORY | SelfTestFault.LOG


def alarm_test(device: DeviceContext, request: RequestContext) -> AlarmTestReply:
    """Play the tone of a class once, now; while a critical alarm sounds no other may be heard.

    Where no current flows nobody can have heard it, and the log says so.
    """
    wanted: AlarmTest = request.message
    tick_ms, alarms = request.now.tick_ms, device.records.alarms
    critical_from_ms = alarms.sounds_from_ms.get(AlarmClass.CRITICAL)
    critical_sounds = critical_from_ms is not None and critical_from_ms <= tick_ms
    if critical_sounds and wanted.alarm_class is not AlarmClass.CRITICAL:
        raise Refused(
            ErrorCode.ALARM_BLOCKS, alarms.active_mask, limit=AlarmClass.CRITICAL, field="alarm_class"
        )
    if not device.pins.sounder.play(tone_of(wanted.alarm_class, tick_ms)):
        device.records.enter(LogType.POST_FAIL, PostFailData(SelfTestFault.SOUNDER))
    device.records.enter(LogType.ALARM_TEST, AlarmTestData(wanted.alarm_class), actor=request.actor)
    return AlarmTestReply()


def self_test(device: DeviceContext, request: RequestContext) -> SelfTestReply:
    """Test the device, which must not deliver meanwhile."""
    device.check_in_service()
    therapy = device.records.therapy
    if therapy.state in DELIVERING:
        raise Refused(ErrorCode.RUNNING, therapy.state)
    if (delivery := device.therapy.deliveries.current) is not None:
        raise Refused(ErrorCode.BOLUS_ACTIVE, delivery.cmd_id)
    failed = run_self_test(device.records, device.pins, device.model)
    if not failed & DAMAGE:
        device.records.remedy(Remedy.REWRITE)  # what was damaged is written anew, and was read back whole
    if failed & UNTRUSTED:
        device.therapy.distrust(StateReason.SELF_TEST)
    device.records.enter(LogType.SELF_TEST, SelfTestData(failed), actor=request.actor)
    return SelfTestReply(failed)
