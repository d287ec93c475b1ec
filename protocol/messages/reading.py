"""The messages that read the pump's status, identity, limits and delivered volumes, as it believes them [SPEC 6]."""

from typing import NamedTuple

from construct import Bytes

from protocol.codec.atoms import (
    ASKED_S,
    BOOLEAN,
    COMMAND,
    I16,
    MEMORY,
    PROGRAM_REVISION,
    U8,
    U16,
    U32,
    U64,
    Reserved,
    delta,
    enum_of,
    enum_or_none,
    flags_of,
    monotonic,
    naming,
    volatile,
)
from protocol.codec.identities import Identity
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
    "status_rev" / monotonic(U32) * "counts changes of the status",
    "t_mono_s" / monotonic(U32) * "running time: seconds that the pump has been under power",
    "wall_s" / volatile(U32) * "seconds since 2000-01-01 UTC; 0 never set, an estimate without WALL_VALID",
    "tz_minutes" / I16 * "local minus UTC",
    "state" / enum_of(State),
    "state_reason" / enum_of(StateReason) * "why it is in this state",
    "mode" / enum_of(InfusionMode) * "how the active program infuses",
    "flags" / flags_of(StatusFlag) * "what else is so",
    "rate_nl_per_day" / U32 * "the basal rate in effect, or the bridge's",
    "program_rev" / naming(U32, PROGRAM_REVISION) * "of the active program; 0 none yet",
    "bolus_cmd_id" / naming(U32, COMMAND) * "0 none",
    "bolus_left_nl" / U32 * "of the bolus that runs, or of the bridge",
    "reservoir_calc_nl" / U32 * "what the pump believes to be left",
    "delivered_total_nl" / U64 * "since the pump was made, from all sources",
    "batt_mv" / U16 * "voltage of the battery",
    "batt_pct" / U8 * "0 to 100",
    "activity" / flags_of(Activity) * "what is delivered on top of the basal rate, or in its place",
    "alarm_active" / U32 * "bit n: alarm n",
    "alarm_latched" / U32 * "bit n: alarm n",
    "last_seq" / monotonic(U32) * "newest entry of the main log",
    "last_cmd_id" / naming(U32, COMMAND) * "of this key",
    "stopped_s" / delta(U32, ASKED_S) * "how long it has been stopped; 0 while it runs",
    "bolus_key_id" / U16 * "key that ordered the bolus",
    "stopped_by" / enum_or_none(Role, NOBODY) * "who stopped it",
    Reserved(1),
    "stop_expires_t_mono_s" / volatile(U32) * "0 none",
    identities={"bolus_key_id": Identity.KEY_ID},
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
    "model" / U16 * "number of the model",
    "hw" / U16 * "revision of the hardware",
    "fw" / U32 * "version of the firmware",
    "fw_crc32" / U32 * "CRC-32 of the firmware",
    "serial" / Bytes(SERIAL_BYTES) * "ASCII",
    "implant_wall_s" / U32 * "0: not implanted",
    "reservoir_size_nl" / U32 * "what the reservoir holds when full",
    "kind" / enum_of(DeviceKind),
    "dev_key" / BOOLEAN * "1: this session's key is a published development key",
    "profile" / enum_of(SecurityProfile) * "whether sessions are secured",
    "commit_mode" / enum_of(CommitMode) * "whether a new program replaces the old one at once",
    "tubing_nl" / U32 * "volume from the reservoir to the catheter's port, without the catheter",
    "memory_id"
    / naming(U64, MEMORY)
    * "drawn when the memory was created; a client files its outcomes under it",
    identities={"serial": Identity.SERIAL, "memory_id": Identity.MEMORY},
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
    "rate_min_nl_per_day" / U32 * "smallest rate of a program other than MINIMUM_RATE",
    "rate_max_nl_per_day" / U32 * "largest rate of a program, also with a bolus on top",
    "safe_rate_nl_per_day" / U32 * "rate in the safe state",
    "bolus_max_nl" / U32 * "largest single bolus",
    "hour_max_nl" / U32 * "all boluses in any 60 min",
    "day_max_nl" / U32 * "all boluses in any 24 h",
    "min_bolus_gap_s" / U32 * "from the end of one bolus to the start of the next",
    "max_stop_s" / U32 * "longest stop before it expires",
    "stroke_nl" / U32 * "volume of one stroke",
    "max_segments" / U8 * "of a program",
    "log_capacity" / U32 * "entries that the main log holds",
    "max_payload" / U8 * "bytes of the largest payload",
    "program_day_max_nl" / U32 * "basal, periodic and allotted patient boluses of a program in a day",
    "hello_per_min" / U16 * "unproven answers in any 60 s",
    "hello_per_day" / U16 * "unproven answers in any 24 h",
    "bolus_max_duration_s" / U32 * "longest duration of a bolus or a prime",
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
    bolus_max_duration_s: int


@command(Opcode.GET_DELIVERY, "OPCS", while_unknown=True)
@message()
class GetDelivery(NamedTuple):
    """What was delivered since the pump was made, by source."""

    @staticmethod
    def reply_class() -> "type[GetDeliveryReply]":
        return GetDeliveryReply


@message(
    "basal_nl" / U64 * "at the basal rate",
    "bolus_nl" / U64 * "single boluses of a clinician",
    "patient_nl" / U64 * "boluses that the patient asked for",
    "periodic_nl" / U64 * "boluses that came by themselves",
    "prime_nl" / U64 * "to fill the tubing",
    "bridge_nl" / U64 * "the old drug out of the tubing",
    "hour_used_nl" / U32 * "boluses in the last 60 min",
    "hour_max_nl" / U32 * "boluses allowed in any 60 min",
    "day_used_nl" / U32 * "boluses in the last 24 h",
    "day_max_nl" / U32 * "boluses allowed in any 24 h",
    "strokes" / U64 * "strokes of the motor",
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
