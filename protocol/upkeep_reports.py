"""Answers to the commands around the therapy, the refusal ERR and the hint EVENT_HINT [SPEC 6, 7]."""

from typing import NamedTuple

from construct import Bytes

from protocol.identifiers import (
    AlarmClass,
    AlarmFlag,
    AlarmId,
    ConfigId,
    ErrorClass,
    ErrorCode,
    EventFlag,
    LogName,
    Role,
    SelfTestFault,
    StateChanged,
)
from protocol.layout_atoms import (
    BOOLEAN,
    I32,
    OFFSET_OR_NONE,
    U8,
    U16,
    U32,
    Count,
    Octets,
    Reserved,
    Rows,
    enum_of,
    flags_of,
)
from protocol.layouts import message, nested
from protocol.therapy_reports import CommandResult
from protocol.upkeep_commands import CONFIG_VALUE_MAX, LOG_READ_MAX

ALARM_ROWS_MAX = 13
LOG_ENTRY_BYTES = 32
KEYS_MAX = 8
DELTA_FROM_INVALID_S = -(2**31)


@message(
    "crc_bad" / U32,
    "cobs_bad" / U32,
    "mac_bad" / U32,
    "replay_drop" / U32,
    "dup_served" / U32,
    "hs_fail" / U32,
    "hs_limited" / U32,
)
class GetLinkStatsReply(NamedTuple):
    """What the link has seen go wrong, since boot or the last clear."""

    crc_bad: int
    cobs_bad: int
    mac_bad: int
    replay_drop: int
    dup_served: int
    hs_fail: int
    hs_limited: int


@message(
    "alarm_id" / enum_of(AlarmId),
    "alarm_class" / enum_of(AlarmClass),
    "flags" / flags_of(AlarmFlag),
    Reserved(1),
    "on_seq" / U32 * "of its ALARM_ON",
    "on_t_mono_s" / U32,
    "value" / U32,
)
class AlarmRow(NamedTuple):
    """One alarm that is active or latched."""

    alarm_id: AlarmId
    alarm_class: AlarmClass
    flags: AlarmFlag
    on_seq: int
    on_t_mono_s: int
    value: int


@message(
    "n" / Count("alarms", ALARM_ROWS_MAX),
    Reserved(3),
    "alarms" / Rows("n", nested(AlarmRow)),
)
class GetAlarmsReply(NamedTuple):
    """Alarms, critical ones first."""

    alarms: tuple[AlarmRow, ...]


@message(
    "log" / enum_of(LogName),
    "n" / Count("entries", LOG_READ_MAX),
    "epoch" / U16,
    "from_seq" / U32 * "as asked; the oldest for 0",
    "next_seq" / U32 * "everything before it was scanned",
    "oldest_seq" / U32 * "0: the log is empty",
    "newest_seq" / U32 * "0: the log is empty",
    "entries" / Rows("n", Bytes(LOG_ENTRY_BYTES)) * "section 8",
)
class LogReadReply(NamedTuple):
    """Entries as stored; `log_entries.LogEntry.unpack` checks and reads each."""

    log: LogName
    epoch: int
    from_seq: int
    next_seq: int
    oldest_seq: int
    newest_seq: int
    entries: tuple[bytes, ...]


@message(
    "epoch" / U16,
    "first_seq" / U32,
    "last_seq" / U32,
    "lost_total" / U32,
    "corrupt" / U16 * "slots with a bad check",
    "bad_checkpoints" / U16 * "chain checkpoints that do not match",
    "first_bad_seq" / U32 * "0 none",
)
class LogStatusReply(NamedTuple):
    """What a log holds and what it has lost; the pump checks its own chain."""

    epoch: int
    first_seq: int
    last_seq: int
    lost_total: int
    corrupt: int
    bad_checkpoints: int
    first_bad_seq: int


@message(
    "still_active" / BOOLEAN * "1: its condition still holds",
    "silenced_until_t_mono_s" / U32 * "FFFFFFFF: until its condition begins anew",
)
class AlarmAckReply(NamedTuple):
    """Acknowledged."""

    still_active: bool
    silenced_until_t_mono_s: int


@message()
class AlarmTestReply(NamedTuple):
    """It sounds."""


@message(
    "result" / nested(CommandResult),
    "delta_s" / I32 * "new - old of wall_s + 60 tz_minutes, saturated; 80000000 if the clock was invalid",
)
class TimeSetReply(NamedTuple):
    """The clock is set."""

    result: CommandResult
    delta_s: int


@message(
    "result" / nested(CommandResult),
    "reservoir_calc_nl" / U32 * "the new belief",
    "expected_nl" / U32 * "the belief before",
    "diff_nl" / I32 * "aspirated - expected",
    "program_rev" / U32,
)
class RefillReply(NamedTuple):
    """The refill is believed; a large `diff_nl` accuses pump, catheter or syringe."""

    result: CommandResult
    reservoir_calc_nl: int
    expected_nl: int
    diff_nl: int
    program_rev: int


@message(
    "config_id" / enum_of(ConfigId, U16),
    "length" / Count("value", CONFIG_VALUE_MAX),
    "value" / Octets("length"),
)
class ConfigReadReply(NamedTuple):
    """One item of the configuration."""

    config_id: ConfigId
    value: bytes


@message()
class ConfigWriteReply(NamedTuple):
    """It is set."""


@message()
class SubscribeReply(NamedTuple):
    """Hints will come for these changes."""


@message(
    "mask" / flags_of(EventFlag, U32) * "what changed since the last GET_STATUS",
    "status_rev" / U32,
    "last_seq" / U32,
)
class EventHint(NamedTuple):
    """EVT: something changed. A hint, never the only carrier of a fact."""

    mask: EventFlag
    status_rev: int
    last_seq: int


@message()
class KeyAddReply(NamedTuple):
    """Paired."""


@message()
class KeyRevokeReply(NamedTuple):
    """Forgotten."""


@message(
    "key_id" / U16,
    "role" / enum_of(Role),
    "slot" / U8,
)
class KeyRow(NamedTuple):
    """One paired programmer."""

    key_id: int
    role: Role
    slot: int


@message(
    "n" / Count("keys", KEYS_MAX),
    "keys" / Rows("n", nested(KeyRow)),
)
class KeyListReply(NamedTuple):
    """Who is paired."""

    keys: tuple[KeyRow, ...]


@message("failed" / flags_of(SelfTestFault, U32) * "0: all good")
class SelfTestReply(NamedTuple):
    """What the device found wrong with itself."""

    failed: SelfTestFault


@message()
class PingReply(NamedTuple):
    """Here."""


@message()
class EndSessionReply(NamedTuple):
    """The last answer of the session."""


@message(
    "error_class" / enum_of(ErrorClass),
    "code" / enum_of(ErrorCode, U16),
    "state_changed" / enum_of(StateChanged),
    "detail" / U32 * "the value refused",
    "retry_after_ms" / U16 * "0: no advice",
    "field_offset" / OFFSET_OR_NONE * "of the field refused, in the request's payload",
    Reserved(1),
    "limit" / U32 * "the limit it violates",
    "nearest" / U32 * "the nearest acceptable value",
)
class ErrorReply(NamedTuple):
    """ERR: the request was refused, and what it changed."""

    error_class: ErrorClass
    code: ErrorCode
    state_changed: StateChanged
    detail: int = 0
    retry_after_ms: int = 0
    field_offset: int | None = None
    limit: int = 0
    nearest: int = 0


def refusal(
    code: ErrorCode,
    state_changed: StateChanged = StateChanged.NO,
    *,
    detail: int = 0,
    field_offset: int | None = None,
    limit: int = 0,
    nearest: int = 0,
    retry_after_ms: int = 0,
) -> ErrorReply:
    """An ERR whose class follows from its code; numbers above 32 bits are told as the largest."""
    return ErrorReply(
        error_class=code.error_class,
        code=code,
        state_changed=state_changed,
        detail=_saturated(detail),
        retry_after_ms=min(retry_after_ms, 0xFFFF),
        field_offset=field_offset,
        limit=_saturated(limit),
        nearest=_saturated(nearest),
    )


def _saturated(value: int) -> int:
    return value & 0xFFFF_FFFF if value < 0 else min(value, 0xFFFF_FFFF)
