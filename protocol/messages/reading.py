"""The messages that read the pump's status, identity, limits and delivered volumes, as it believes them [SPEC 6]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import BOOLEAN, I16, U8, U16, U32, U64, Reserved, enum_of, enum_or_none, flags_of
from protocol.codec.layouts import message
from protocol.identifiers import (
    Activity,
    CommitMode,
    DeviceKind,
    InfusionMode,
    Opcode,
    Role,
    SecurityProfile,
    State,
    StateReason,
    StatusFlag,
)
from protocol.messages.command import command
from protocol.messages.stop import NOBODY

SERIAL_BYTES = 12


@command(Opcode.GET_STATUS, "OPCS", while_unknown=True)
@message()
class GetStatus(NamedTuple):
    """What the pump believes and does."""

    @staticmethod
    def reply_class() -> "type[GetStatusReply]":
        return GetStatusReply


@message(
    "status_rev" / U32 * "counts changes of the status",
    "t_mono_s" / U32,
    "wall_s" / U32,
    "tz_minutes" / I16,
    "state" / enum_of(State),
    "state_reason" / enum_of(StateReason),
    "mode" / enum_of(InfusionMode),
    "flags" / flags_of(StatusFlag),
    "rate_nl_per_day" / U32 * "the basal rate in effect",
    "program_rev" / U32,
    "bolus_cmd_id" / U32 * "0 none",
    "bolus_left_nl" / U32,
    "reservoir_calc_nl" / U32,
    "delivered_total_nl" / U64,
    "batt_mv" / U16,
    "batt_pct" / U8,
    "activity" / flags_of(Activity),
    "alarm_active" / U32 * "bit n: alarm n",
    "alarm_latched" / U32 * "bit n: alarm n",
    "last_seq" / U32 * "newest entry of the main log",
    "last_cmd_id" / U32 * "of this key",
    "stopped_s" / U32,
    "bolus_key_id" / U16,
    "stopped_by" / enum_or_none(Role, NOBODY),
    Reserved(1),
    "stop_expires_t_mono_s" / U32 * "0 none",
)
class GetStatusReply(NamedTuple):
    """What the pump believes and does."""

    status_rev: int
    t_mono_s: int
    wall_s: int
    tz_minutes: int
    state: State
    state_reason: StateReason
    mode: InfusionMode
    flags: StatusFlag
    rate_nl_per_day: int
    program_rev: int
    bolus_cmd_id: int
    bolus_left_nl: int
    reservoir_calc_nl: int
    delivered_total_nl: int
    batt_mv: int
    batt_pct: int
    activity: Activity
    alarm_active: int
    alarm_latched: int
    last_seq: int
    last_cmd_id: int
    stopped_s: int
    bolus_key_id: int
    stopped_by: Role | None
    stop_expires_t_mono_s: int


@command(Opcode.GET_INFO, "OPCS", while_unknown=True)
@message()
class GetInfo(NamedTuple):
    """Which pump this is."""

    @staticmethod
    def reply_class() -> "type[GetInfoReply]":
        return GetInfoReply


@message(
    "model" / U16,
    "hw" / U16,
    "fw" / U32,
    "fw_crc32" / U32,
    "serial" / Bytes(SERIAL_BYTES) * "ASCII",
    "implant_wall_s" / U32 * "0: not implanted",
    "reservoir_size_nl" / U32,
    "kind" / enum_of(DeviceKind),
    "dev_key" / BOOLEAN * "1: this session's key is a published development key",
    "profile" / enum_of(SecurityProfile),
    "commit_mode" / enum_of(CommitMode),
    "tubing_nl" / U32,
    "memory_id" / U64 * "drawn when the memory was created; a client files its outcomes under it",
)
class GetInfoReply(NamedTuple):
    """Which pump this is, and that it is virtual if it is."""

    model: int
    hw: int
    fw: int
    fw_crc32: int
    serial: bytes
    implant_wall_s: int
    reservoir_size_nl: int
    kind: DeviceKind
    dev_key: bool
    profile: SecurityProfile
    commit_mode: CommitMode
    tubing_nl: int
    memory_id: int


@command(Opcode.GET_LIMITS, "OPCS", while_unknown=True)
@message()
class GetLimits(NamedTuple):
    """What this pump refuses to exceed."""

    @staticmethod
    def reply_class() -> "type[GetLimitsReply]":
        return GetLimitsReply


@message(
    "rate_min_nl_per_day" / U32,
    "rate_max_nl_per_day" / U32,
    "safe_rate_nl_per_day" / U32,
    "bolus_max_nl" / U32,
    "hour_max_nl" / U32,
    "day_max_nl" / U32,
    "min_bolus_gap_s" / U32,
    "max_stop_s" / U32,
    "stroke_nl" / U32,
    "max_segments" / U8,
    "log_capacity" / U32,
    "max_payload" / U8,
    "program_day_max_nl" / U32,
    "hello_per_min" / U16 * "unproven answers in any 60 s",
    "hello_per_day" / U16 * "unproven answers in any 24 h",
)
class GetLimitsReply(NamedTuple):
    """What this pump refuses to exceed."""

    rate_min_nl_per_day: int
    rate_max_nl_per_day: int
    safe_rate_nl_per_day: int
    bolus_max_nl: int
    hour_max_nl: int
    day_max_nl: int
    min_bolus_gap_s: int
    max_stop_s: int
    stroke_nl: int
    max_segments: int
    log_capacity: int
    max_payload: int
    program_day_max_nl: int
    hello_per_min: int
    hello_per_day: int


@command(Opcode.GET_DELIVERY, "OPCS", while_unknown=True)
@message()
class GetDelivery(NamedTuple):
    """What was delivered since the pump was made, by source."""

    @staticmethod
    def reply_class() -> "type[GetDeliveryReply]":
        return GetDeliveryReply


@message(
    "basal_nl" / U64,
    "bolus_nl" / U64,
    "patient_nl" / U64,
    "periodic_nl" / U64,
    "prime_nl" / U64,
    "bridge_nl" / U64,
    "hour_used_nl" / U32,
    "hour_max_nl" / U32,
    "day_used_nl" / U32,
    "day_max_nl" / U32,
    "strokes" / U64,
)
class GetDeliveryReply(NamedTuple):
    """What was delivered since the pump was made, by source, and what the bolus windows hold."""

    basal_nl: int
    bolus_nl: int
    patient_nl: int
    periodic_nl: int
    prime_nl: int
    bridge_nl: int
    hour_used_nl: int
    hour_max_nl: int
    day_used_nl: int
    day_max_nl: int
    strokes: int
