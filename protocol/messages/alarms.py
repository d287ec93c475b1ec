"""The messages that read, acknowledge and test alarms [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import (
    BOOLEAN,
    LOG_ENTRY,
    U32,
    Count,
    Reserved,
    Rows,
    enum_of,
    flags_of,
    naming,
    volatile,
)
from protocol.codec.layouts import message, nested
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId, Opcode
from protocol.messages.command import command

ALARM_ROWS_MAX = 13


@command(Opcode.GET_ALARMS, "OPCS", while_unknown=True)
@message()
class GetAlarms(NamedTuple):
    """Each alarm that is active or latched."""

    @staticmethod
    def reply_class() -> "type[GetAlarmsReply]":
        return GetAlarmsReply


@message(
    "alarm_id" / enum_of(AlarmId) * "which alarm",
    "alarm_class" / enum_of(AlarmClass) * "its priority",
    "flags" / flags_of(AlarmFlag) * "what is so of it",
    Reserved(1),
    "on_seq" / naming(U32, LOG_ENTRY) * "of its ALARM_ON",
    "on_t_mono_s" / volatile(U32) * "running time at which it began",
    "value" / U32 * "measured when it began; by alarm",
)
class AlarmRow(NamedTuple):
    """One alarm that is active or latched."""

    alarm_id: AlarmId
    alarm_class: AlarmClass
    flags: AlarmFlag
    on_seq: int
    on_t_mono_s: int
    value: int


@message("n" / Count("alarms", ALARM_ROWS_MAX), Reserved(3), "alarms" / Rows("n", nested(AlarmRow)))
class GetAlarmsReply(NamedTuple):
    """Alarms, critical ones first."""

    alarms: tuple[AlarmRow, ...]


@command(Opcode.ALARM_ACK, "PC")
@message("alarm_id" / enum_of(AlarmId), "seq" / naming(U32, LOG_ENTRY) * "its on_seq")
class AlarmAck(NamedTuple):
    """Acknowledge one occurrence of an alarm."""

    alarm_id: AlarmId
    seq: int

    @staticmethod
    def reply_class() -> "type[AlarmAckReply]":
        return AlarmAckReply


@message(
    "still_active" / BOOLEAN * "1: its condition still holds",
    "silenced_until_t_mono_s" / volatile(U32) * "FFFFFFFF: until its condition begins anew",
)
class AlarmAckReply(NamedTuple):
    """The occurrence is acknowledged."""

    still_active: bool
    silenced_until_t_mono_s: int


@command(Opcode.ALARM_TEST, "C")
@message("alarm_class" / enum_of(AlarmClass))
class AlarmTest(NamedTuple):
    """Sound the alarm of a class, so that it is known."""

    alarm_class: AlarmClass

    @staticmethod
    def reply_class() -> "type[AlarmTestReply]":
        return AlarmTestReply


@message()
class AlarmTestReply(NamedTuple):
    """The alarm sounds."""
