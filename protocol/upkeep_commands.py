"""Requests around the therapy: log, alarms, time, refill, configuration, keys, session [SPEC 6]."""

from typing import NamedTuple

from construct import Bytes

from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    ConfigId,
    EventFlag,
    LogName,
    RefillFlag,
    Role,
    TimeSetReason,
)
from protocol.layout_atoms import BOOLEAN, I16, U16, U32, Count, Octets, Reserved, enum_of, flags_of, one_of
from protocol.layouts import message

LOG_READ_MAX = 6
CONFIG_VALUE_MAX = 64
WRAPPED_KEY_BYTES = 24


@message(
    "log" / enum_of(LogName),
    "epoch" / U16 * "0 any",
    "from_seq" / U32 * "0 the oldest",
    "count" / one_of(1, LOG_READ_MAX) * "1 to 6",
    "filter" / U16 * "bit k: entries of types 0x0kxx; 0 all",
)
class LogRead(NamedTuple):
    """Entries of a log from a number on."""

    log: LogName
    epoch: int
    from_seq: int
    count: int  # type: ignore[assignment] # hides a method of tuple that nobody calls
    filter: int = 0


@message("log" / enum_of(LogName))
class LogStatus(NamedTuple):
    """What a log holds and what it has lost."""

    log: LogName


@message(
    "alarm_id" / enum_of(AlarmId),
    "seq" / U32 * "its on_seq",
)
class AlarmAck(NamedTuple):
    """Acknowledge one occurrence of an alarm."""

    alarm_id: AlarmId
    seq: int


@message("alarm_class" / enum_of(AlarmClass))
class AlarmTest(NamedTuple):
    """Sound the alarm of a class, so that it is known."""

    alarm_class: AlarmClass


@message(
    "cmd_id" / U32,
    "wall_s" / U32 * "seconds since 2000-01-01 UTC",
    "tz_minutes" / I16 * "-720 to 840, local minus UTC",
    "reason" / enum_of(TimeSetReason),
    "confirm" / BOOLEAN * "1: a change above 120 s, or from an invalid clock, is meant",
    not_in_cmd_crc=("confirm",),
)
class TimeSet(NamedTuple):
    """Set the wall clock and the time zone."""

    cmd_id: int
    wall_s: int
    tz_minutes: int
    reason: TimeSetReason
    confirm: bool = False


@message(
    "cmd_id" / U32,
    "aspirated_nl" / U32 * "what came out",
    "filled_nl" / U32 * "what went in: the whole content",
    "drug_id" / U16,
    "flags" / flags_of(RefillFlag, U16),
    "concentration_ng_per_ml" / U32,
    "low_alarm_nl" / U32,
    "staged_crc" / U32 * "0: the program stays; else the verified staged program to commit with it",
)
class Refill(NamedTuple):
    """What the clinician did with the syringe."""

    cmd_id: int
    aspirated_nl: int
    filled_nl: int
    drug_id: int
    flags: RefillFlag
    concentration_ng_per_ml: int
    low_alarm_nl: int
    staged_crc: int = 0


@message("config_id" / enum_of(ConfigId, U16))
class ConfigRead(NamedTuple):
    """One item of the configuration."""

    config_id: ConfigId


@message(
    "config_id" / enum_of(ConfigId, U16),
    "length" / Count("value", CONFIG_VALUE_MAX),
    "value" / Octets("length"),
)
class ConfigWrite(NamedTuple):
    """Set one item of the configuration; absolute, so that writing twice is writing once."""

    config_id: ConfigId
    value: bytes


@message("mask" / flags_of(EventFlag, U32))
class Subscribe(NamedTuple):
    """Which changes the client wants to be told of; 0 none."""

    mask: EventFlag


@message(
    "key_id" / U16,
    "role" / enum_of(Role),
    Reserved(1),
    "wrapped" / Bytes(WRAPPED_KEY_BYTES) * "the new key, sealed under Kpair",
)
class KeyAdd(NamedTuple):
    """Pair another programmer."""

    key_id: int
    role: Role
    wrapped: bytes


@message("key_id" / U16)
class KeyRevoke(NamedTuple):
    """Forget a paired programmer."""

    key_id: int


@message()
class KeyList(NamedTuple):
    """Ask who is paired. No key material is ever readable."""


@message()
class SelfTest(NamedTuple):
    """Test the device; only while stopped."""


@message()
class Ping(NamedTuple):
    """Ask whether anybody is there."""


@message()
class EndSession(NamedTuple):
    """Close the session."""
