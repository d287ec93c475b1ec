"""The records in the 12 bytes of data of a log entry, one for each type that has any [SPEC 8]."""

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from construct import Bytes

from protocol.codec.atoms import (
    ASKED_S,
    COMMAND,
    COMMAND_CHECK,
    I16,
    LOG_ENTRY,
    PROGRAM_REVISION,
    U8,
    U16,
    U32,
    Reserved,
    delta,
    enum_of,
    flags_of,
    naming,
    volatile,
)
from protocol.codec.identities import Identity
from protocol.codec.layouts import NO_IDENTITIES, message
from protocol.identifiers import (
    AlarmClass,
    AlarmId,
    ConfigId,
    DenyReason,
    ErrorCode,
    OnExpiry,
    RejectReason,
    Role,
    SelfTestFault,
    StopReason,
)
from protocol.log.types import (
    BolusEndReason,
    BootCause,
    DayFlag,
    DeliveryKind,
    LogType,
    RateChangeReason,
    SafeStateReason,
    SessionCloseReason,
    TelemetryExitReason,
)
from protocol.wire.limits import SESSION_MARK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.codec.layouts import MessageClass


@message()
class NoData(NamedTuple):
    """The type says it all."""


OF_KEY: "Mapping[str, Identity]" = MappingProxyType({"key_id": Identity.KEY_ID})
_DATA_OF: dict[LogType, type] = dict.fromkeys(LogType, NoData)
DATA_OF: "Mapping[LogType, type]" = MappingProxyType(_DATA_OF)


def data_of(
    log_type: LogType,
    *fields: Any,
    also: tuple[LogType, ...] = (),
    identities: "Mapping[str, Identity]" = NO_IDENTITIES,
) -> "Callable[[MessageClass], MessageClass]":
    """Declare the layout of the record below, and the types of entry that carry it."""

    def declare(cls: "MessageClass") -> "MessageClass":
        _DATA_OF.update(dict.fromkeys((log_type, *also), cls))
        return message(*fields, identities=identities)(cls)

    return declare


@data_of(LogType.BOOT, "cause" / enum_of(BootCause), Reserved(3), "boot_count" / volatile(U32))
class BootData(NamedTuple):
    """The program in the pump started."""

    cause: BootCause
    boot_count: int


@data_of(
    LogType.RESET_BROWNOUT,
    "uncertain_nl" / U32 * "basal volume that may have gone out since the last checkpoint",
)
class ResetBrownoutData(NamedTuple):
    """Power was lost while the motor could run; so much may have left uncounted."""

    uncertain_nl: int


@data_of(LogType.POST_FAIL, "failed" / flags_of(SelfTestFault, U32))
class PostFailData(NamedTuple):
    """A self-test found these parts wrong."""

    failed: SelfTestFault


@data_of(LogType.SELF_TEST, "failed" / flags_of(SelfTestFault, U32) * "0: all good")
class SelfTestData(NamedTuple):
    """Somebody had the device tested, and so it was found."""

    failed: SelfTestFault


@data_of(LogType.FW_INFO, "fw" / U32, "fw_crc32" / U32, "hw" / U16)
class FwInfoData(NamedTuple):
    """Which program runs since this entry."""

    fw: int
    fw_crc32: int
    hw: int


@data_of(LogType.NVM_FAULT, "region" / U8 * "which record of the memory", Reserved(3), "offset" / U32)
class NvmFaultData(NamedTuple):
    """A record of the memory could not be trusted."""

    region: int
    offset: int


@data_of(LogType.RAM_FAULT, "address" / U32)
class RamFaultData(NamedTuple):
    """A cell of RAM did not hold its value."""

    address: int


@data_of(LogType.SAFE_STATE_ENTER, "reason" / enum_of(SafeStateReason))
class SafeStateEnterData(NamedTuple):
    """The pump fell back to its safe rate."""

    reason: SafeStateReason


@data_of(LogType.TELEM_MODE_ENTER, "suspended" / U8 * "1: an alarm sounds, and nothing is infused")
class TelemetryEnterData(NamedTuple):
    """Something other than a frame has woken the receiver, or an alarm began to sound since."""

    suspended: int


@data_of(
    LogType.TELEM_MODE_EXIT,
    "reason" / enum_of(TelemetryExitReason),
    Reserved(3),
    "suspended_s" / U32 * "for how long nothing was infused",
)
class TelemetryExitData(NamedTuple):
    """The telemetry mode is over, and infusion goes on."""

    reason: TelemetryExitReason
    suspended_s: int


@data_of(
    LogType.CHANNEL_MISMATCH,
    "source" / U8 * "0 basal, 1 bolus, 2 patient, 3 periodic, 4 prime, 5 bridge; FF: no strokes, but a value",
    Reserved(3),
    "commanded" / U32 * "strokes by the first channel",
    "due" / U32 * "strokes by the second",
)
class ChannelMismatchData(NamedTuple):
    """The two channels did not agree, and nothing was delivered."""

    source: int
    commanded: int
    due: int


@data_of(
    LogType.TIME_SET,
    "old_wall_s" / volatile(U32),
    "new_wall_s" / volatile(U32),
    "old_tz_minutes" / I16,
    "new_tz_minutes" / I16,
)
class TimeSetData(NamedTuple):
    """The wall clock was set."""

    old_wall_s: int
    new_wall_s: int
    old_tz_minutes: int
    new_tz_minutes: int


@data_of(LogType.WALL_INVALID, "last_wall_s" / volatile(U32) * "last known; 0 never set")
class WallInvalidData(NamedTuple):
    """The wall clock is not to be trusted any more."""

    last_wall_s: int


@data_of(LogType.TIME_REF, "wall_s" / volatile(U32), "tz_minutes" / I16)
class TimeRefData(NamedTuple):
    """What the wall clock shows at this t_mono_s; at least every 18 h."""

    wall_s: int
    tz_minutes: int


@data_of(
    LogType.DAY_TOTAL, "basal_nl" / U32, "bolus_nl" / U32 * "all boluses", "flags" / flags_of(DayFlag, U32)
)
class DayTotalData(NamedTuple):
    """What one local day delivered."""

    basal_nl: int
    bolus_nl: int
    flags: DayFlag


@data_of(LogType.PROGRAM_COMMIT, "program_rev" / naming(U32, PROGRAM_REVISION), "crc" / U32)
class ProgramCommitData(NamedTuple):
    """A new program is the active one."""

    program_rev: int
    crc: int


@data_of(
    LogType.RATE_CHANGE, "old_nl_per_day" / U32, "new_nl_per_day" / U32, "reason" / enum_of(RateChangeReason)
)
class RateChangeData(NamedTuple):
    """The basal rate in effect changed."""

    old_nl_per_day: int
    new_nl_per_day: int
    reason: RateChangeReason


@data_of(LogType.STOP, "max_stop_s" / U32, "reason" / enum_of(StopReason), "on_expiry" / enum_of(OnExpiry))
class StopData(NamedTuple):
    """Delivery was stopped."""

    max_stop_s: int
    reason: StopReason
    on_expiry: OnExpiry


@data_of(LogType.RESUME, "rate_nl_per_day" / U32)
class ResumeData(NamedTuple):
    """Delivery runs again."""

    rate_nl_per_day: int


@data_of(LogType.STOPPED_TOO_LONG, "stopped_s" / U32)
class StoppedTooLongData(NamedTuple):
    """Stopped for 48 h."""

    stopped_s: int


@data_of(
    LogType.CONFIG_WRITE,
    "config_id" / enum_of(ConfigId),
    Reserved(3),
    "old" / U32 * "what held before; of a text how many bytes it had",
    "new" / U32 * "what holds now, likewise",
)
class ConfigWriteData(NamedTuple):
    """The clinic set an item of the configuration."""

    config_id: ConfigId
    old: int
    new: int


@data_of(
    LogType.CMD_INTENT, "op" / U8, Reserved(3), "cmd_crc" / naming(U32, COMMAND_CHECK), "volume_nl" / U32
)
class CmdIntentData(NamedTuple):
    """A command is accepted, and nothing has moved yet."""

    op: int
    cmd_crc: int
    volume_nl: int


@data_of(
    LogType.BOLUS_START,
    "volume_nl" / U32,
    "duration_s" / U32,
    "kind" / enum_of(DeliveryKind),
    also=(LogType.PRIME_START, LogType.BRIDGE_START),
)
class BolusStartData(NamedTuple):
    """Data of BOLUS_START, PRIME_START and BRIDGE_START: volume, duration, kind."""

    volume_nl: int
    duration_s: int
    kind: DeliveryKind


@data_of(
    LogType.BOLUS_END,
    "delivered_nl" / U32,
    "uncertain_nl" / U32,
    "reason" / enum_of(BolusEndReason),
    also=(LogType.PRIME_END, LogType.BRIDGE_END),
)
class BolusEndData(NamedTuple):
    """Data of BOLUS_END, PRIME_END and BRIDGE_END: what was delivered, what is uncertain, why it ended."""

    delivered_nl: int
    uncertain_nl: int
    reason: BolusEndReason


@data_of(
    LogType.BOLUS_CANCEL,
    "target_cmd_id" / naming(U32, COMMAND),
    "target_key_id" / U16,
    identities={"target_key_id": Identity.KEY_ID},
)
class BolusCancelData(NamedTuple):
    """A bolus was told to end."""

    target_cmd_id: int
    target_key_id: int


@data_of(LogType.CMD_VOID, "voided_cmd_id" / naming(U32, COMMAND))
class CmdVoidData(NamedTuple):
    """A command that was never received never will be."""

    voided_cmd_id: int


@data_of(LogType.CMD_REFUSED, "op" / U8, Reserved(1), "code" / enum_of(ErrorCode, U16), "detail" / U32)
class CmdRefusedData(NamedTuple):
    """A command was refused."""

    op: int
    code: ErrorCode
    detail: int


@data_of(LogType.PTM_GRANT, "volume_nl" / U32, "duration_s" / U32)
class PtmGrantData(NamedTuple):
    """The patient asked and was granted."""

    volume_nl: int
    duration_s: int


@data_of(LogType.PTM_DENY, "deny" / enum_of(DenyReason), Reserved(3), "next_allowed_s" / delta(U32, ASKED_S))
class PtmDenyData(NamedTuple):
    """The patient asked and was denied."""

    deny: DenyReason
    next_allowed_s: int


@data_of(
    LogType.ALARM_ON,
    "alarm_id" / enum_of(AlarmId),
    "cause" / U8 * "0; or a detail of the alarm",
    Reserved(2),
    "value" / U32,
)
class AlarmOnData(NamedTuple):
    """A condition began, or occurred anew."""

    alarm_id: AlarmId
    cause: int = 0
    value: int = 0


@data_of(LogType.ALARM_ACK, "alarm_id" / enum_of(AlarmId), Reserved(3), "on_seq" / naming(U32, LOG_ENTRY))
class AlarmAckData(NamedTuple):
    """Somebody acknowledged an occurrence."""

    alarm_id: AlarmId
    on_seq: int


@data_of(LogType.ALARM_OFF, "alarm_id" / enum_of(AlarmId))
class AlarmOffData(NamedTuple):
    """The condition ended."""

    alarm_id: AlarmId


@data_of(LogType.ALARM_TEST, "alarm_class" / enum_of(AlarmClass))
class AlarmTestData(NamedTuple):
    """Somebody let the tone of a class be heard."""

    alarm_class: AlarmClass


@data_of(LogType.STALL, "missed_edges" / U32)
class StallData(NamedTuple):
    """The rotor did not turn when it should have."""

    missed_edges: int


@data_of(LogType.STALL_RECOVERED, "missed_nl" / U32, "duration_s" / U32)
class StallRecoveredData(NamedTuple):
    """The rotor turns again; so much was commanded and not delivered."""

    missed_nl: int
    duration_s: int


@data_of(LogType.TUBE_SET, "stalled_s" / U32)
class TubeSetData(NamedTuple):
    """A long stall may have set the tube of the pump."""

    stalled_s: int


@data_of(LogType.STROKE_MISMATCH, "commanded" / U32, "seen" / U32)
class StrokeMismatchData(NamedTuple):
    """Strokes commanded and strokes seen differ."""

    commanded: int
    seen: int


@data_of(LogType.REFILL, "aspirated_nl" / U32, "filled_nl" / U32, "expected_nl" / U32)
class RefillData(NamedTuple):
    """What the clinician reported of the syringe, and what the pump had expected."""

    aspirated_nl: int
    filled_nl: int
    expected_nl: int


@data_of(LogType.BATT_LOW, "batt_mv" / U16, also=(LogType.ERI,))
class BatteryData(NamedTuple):
    """The battery at this moment; of BATT_LOW and of ERI."""

    batt_mv: int


@data_of(LogType.RESISTANCE_HIGH, "resistance_mohm" / U32)
class ResistanceHighData(NamedTuple):
    """The battery gives less than it should under load."""

    resistance_mohm: int


@data_of(
    LogType.SESSION_OPEN,
    "key_id" / U16,
    "role" / enum_of(Role),
    Reserved(1),
    "nonce_start" / volatile(Bytes(SESSION_MARK_BYTES)),
    identities={"key_id": Identity.KEY_ID, "nonce_start": Identity.NONCE},
)
class SessionOpenData(NamedTuple):
    """A key was proven, in answer to the CLIENT_HELLO whose nonce begins so: a client knows its own session by it."""

    key_id: int
    role: Role
    nonce_start: bytes


@data_of(
    LogType.SESSION_CLOSE,
    "reason" / enum_of(SessionCloseReason),
    Reserved(1),
    "key_id" / U16,
    identities=OF_KEY,
)
class SessionCloseData(NamedTuple):
    """A session ended."""

    reason: SessionCloseReason
    key_id: int


@data_of(LogType.HS_FAIL, "reason" / enum_of(RejectReason), Reserved(1), "key_id" / U16, identities=OF_KEY)
class HsFailData(NamedTuple):
    """A handshake was refused."""

    reason: RejectReason
    key_id: int


@data_of(LogType.MAC_FAIL_BURST, "failures" / U32, "key_id" / U16, identities=OF_KEY)
class MacFailBurstData(NamedTuple):
    """Frames of a session did not prove themselves."""

    failures: int
    key_id: int


@data_of(LogType.REPLAY_DROP, "frames" / U32 * "dropped since the last such entry")
class ReplayDropData(NamedTuple):
    """Frames with used-up counters were dropped."""

    frames: int


@data_of(LogType.ROLE_DENIED, "opcode" / U8, Reserved(1), "key_id" / U16, identities=OF_KEY)
class RoleDeniedData(NamedTuple):
    """A key asked for what its role may not."""

    opcode: int
    key_id: int


@data_of(LogType.KEY_ADD, "key_id" / U16, "role" / enum_of(Role), "slot" / U8, identities=OF_KEY)
class KeyAddData(NamedTuple):
    """A programmer was paired."""

    key_id: int
    role: Role
    slot: int


@data_of(LogType.KEY_REVOKE, "key_id" / U16, identities=OF_KEY)
class KeyRevokeData(NamedTuple):
    """A programmer was forgotten."""

    key_id: int


@data_of(LogType.LOG_ERASED, "old_first" / volatile(U32), "old_last" / volatile(U32))
class LogErasedData(NamedTuple):
    """The memory was replaced; these entries are gone."""

    old_first: int
    old_last: int


@data_of(LogType.LOG_CORRUPT, "first_seq" / volatile(U32), "entries" / U32)
class LogCorruptData(NamedTuple):
    """Entries whose check fails."""

    first_seq: int
    entries: int


@data_of(LogType.LOG_CHECKPOINT, "chain_mac" / volatile(Bytes(8)), identities={"chain_mac": Identity.PROOF})
class LogCheckpointData(NamedTuple):
    """A keyed check over the entries since the last checkpoint, under a key that never leaves the device."""

    chain_mac: bytes
