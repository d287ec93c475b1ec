"""Every number that the wire gives a meaning to; here those of frames, sessions, commands and errors.

Pure names and numbers [SPEC 3 to 9]; layouts stand in the message modules, rules in `link`. The numbers of
the device and of its log have modules of their own, and are found here too.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from protocol.device_identifiers import (
    Activity,
    AlarmClass,
    AlarmFlag,
    AlarmId,
    BatteryPhase,
    BolusKind,
    CommitMode,
    ConfigId,
    DenyReason,
    DeviceKind,
    EventFlag,
    InfusionMode,
    OnExpiry,
    ProgramFlag,
    ProgramSlot,
    RefillFlag,
    SecurityProfile,
    SelfTestFault,
    State,
    StateReason,
    StatusFlag,
    StopReason,
    TimeSetReason,
)
from protocol.log_identifiers import (
    Actor,
    BolusEndReason,
    BootCause,
    DayFlag,
    DeliveryKind,
    LogFlag,
    LogName,
    LogType,
    RateChangeReason,
    SafeStateReason,
    SessionCloseReason,
)

__all__ = [
    "PROTOCOL_VERSION",
    "Activity",
    "Actor",
    "AlarmClass",
    "AlarmFlag",
    "AlarmId",
    "BatteryPhase",
    "BolusEndReason",
    "BolusKind",
    "BootCause",
    "Capability",
    "CommitMode",
    "ConfigId",
    "DayFlag",
    "DeliveryKind",
    "DenyReason",
    "DeviceKind",
    "ErrorClass",
    "ErrorCode",
    "EventFlag",
    "Handshake",
    "InfusionMode",
    "Kind",
    "LogFlag",
    "LogName",
    "LogType",
    "OnExpiry",
    "Opcode",
    "Outcome",
    "ProgramFlag",
    "ProgramSlot",
    "RateChangeReason",
    "RefillFlag",
    "RejectReason",
    "Role",
    "SafeStateReason",
    "SecurityProfile",
    "SelfTestFault",
    "SessionCloseReason",
    "State",
    "StateChanged",
    "StateReason",
    "StatusFlag",
    "StopReason",
    "Suite",
    "TimeSetReason",
]

PROTOCOL_VERSION = 1


class Kind(IntEnum):
    """Low nibble of `vt`: what a frame is [SPEC 3]."""

    HANDSHAKE = 0
    REQUEST = 1
    RESPONSE = 2
    EVENT = 3
    ERROR = 4


class Handshake(IntEnum):
    """Opcode of a HANDSHAKE frame [SPEC 4]."""

    CLIENT_HELLO = 0x01
    PUMP_HELLO = 0x02
    CLIENT_PROOF = 0x03
    PUMP_PROOF = 0x04
    REJECT = 0x05


class RejectReason(IntEnum):
    """Why a handshake was refused; an unauthenticated hint [SPEC 4]."""

    VERSION = 1
    SUITE = 2
    PROOF = 3
    LIMITED = 4
    RNG_FAILED = 5
    BUSY = 6
    ROLE = 7


class Suite(IntFlag):
    """Cipher suites, one bit each [SPEC 4]."""

    AES_128_CCM_8 = 1
    NONE = 2


class Capability(IntFlag):
    """What a pump can do, told in PUMP_HELLO [SPEC 4]."""

    FLEX = 1
    PATIENT_BOLUS = 2
    PERIODIC = 4
    PRIME_AND_BRIDGE = 8
    EVENTS = 16
    PAIRING = 32


class Role(IntEnum):
    """What a key may do [SPEC 10]."""

    OBSERVER = 0
    PATIENT = 1
    CLINICIAN = 2
    SERVICE = 3


class Opcode(IntEnum):
    """Opcode of a REQUEST, its RESPONSE and its ERROR [SPEC 6]."""

    GET_STATUS = 0x10
    GET_INFO = 0x11
    GET_LIMITS = 0x12
    GET_TIME = 0x13
    GET_PROGRAM = 0x14
    GET_DELIVERY = 0x15
    GET_LINK_STATS = 0x16
    GET_ALARMS = 0x17
    GET_RESERVOIR = 0x18
    BOLUS_PREPARE = 0x20
    BOLUS_COMMIT = 0x21
    QUERY_CMD = 0x22
    VOID_CMD = 0x23
    BOLUS_CANCEL = 0x24
    STOP = 0x25
    RESUME = 0x26
    PATIENT_BOLUS = 0x27
    PROG_BEGIN = 0x28
    PROG_WRITE = 0x29
    PROG_VERIFY = 0x2A
    PROG_COMMIT = 0x2B
    PROG_ABORT = 0x2C
    PRIME = 0x2D
    LOG_READ = 0x30
    LOG_STATUS = 0x31
    ALARM_ACK = 0x38
    ALARM_TEST = 0x3A
    TIME_SET = 0x40
    REFILL = 0x48
    CONFIG_READ = 0x4A
    CONFIG_WRITE = 0x4B
    SUBSCRIBE = 0x50
    EVENT_HINT = 0x51
    KEY_ADD = 0x58
    KEY_REVOKE = 0x59
    KEY_LIST = 0x5A
    SELF_TEST = 0x60
    PING = 0x7E
    END_SESSION = 0x7F


class StateChanged(IntEnum):
    """Whether a refused command changed anything; Hamming codewords [SPEC 7]."""

    NO = 0x69
    YES = 0x96
    UNKNOWN = 0x5A


class Outcome(IntEnum):
    """What became of a command [SPEC 9]."""

    NEVER_RECEIVED = 1
    INTENT = 2
    RUNNING = 3
    DONE = 4
    PARTIAL = 5
    NOT_STARTED = 6
    VOIDED = 7
    REFUSED = 8
    TOO_OLD = 9


class ErrorClass(IntEnum):
    SESSION = 1
    AUTHORISATION = 2
    SYNTAX = 3
    STATE = 4
    LIMIT = 5
    COMMAND = 6
    DEVICE = 7
    LOG = 8


class ErrorCode(IntEnum):
    """class << 8 | position in its row, from 1 [SPEC 7]."""

    NO_SESSION = 0x0101
    SESSION_EXPIRED = 0x0102
    HS_PROOF = 0x0103
    HS_LIMITED = 0x0104
    VERSION = 0x0105
    SUITE = 0x0106
    RNG_FAILED = 0x0107
    ROLE = 0x0201
    KEY_REVOKED = 0x0202
    PAIRING_CLOSED = 0x0203
    UNSUPPORTED_OP = 0x0301
    LENGTH = 0x0302
    RESERVED_BITS = 0x0303
    ENUM = 0x0304
    STOPPED = 0x0401
    RUNNING = 0x0402
    BOLUS_ACTIVE = 0x0403
    ALARM_BLOCKS = 0x0404
    SAFE_STATE = 0x0405
    EOS = 0x0406
    BUSY = 0x0407
    NO_STAGED = 0x0408
    BRIDGE_ACTIVE = 0x0409
    RATE = 0x0501
    BOLUS_MAX = 0x0502
    HOUR_MAX = 0x0503
    DAY_MAX = 0x0504
    GAP = 0x0505
    RESERVOIR = 0x0506
    TIME_RANGE = 0x0507
    SEGMENTS = 0x0508
    CONC = 0x0509
    DOSE = 0x050A
    TOKEN = 0x0601
    CMD_ID_OLD = 0x0602
    CMD_ID_MISMATCH = 0x0603
    REV_MISMATCH = 0x0604
    CONFIRM = 0x0605
    VERIFY_CRC = 0x0606
    CMD_ID_RANGE = 0x0607
    NVM = 0x0701
    MOTOR = 0x0702
    SENSOR = 0x0703
    BATTERY = 0x0704
    CLOCK_INVALID = 0x0705
    INTERNAL = 0x0706
    EPOCH = 0x0801
    RANGE = 0x0802
    CORRUPT = 0x0803

    @property
    def error_class(self) -> ErrorClass:
        return ErrorClass(self >> 8)
