"""The enums and flags of the wire, but for those of the log, which are in `log.types` [SPEC 3 to 10]."""

from __future__ import annotations

from enum import IntEnum, IntFlag

PROTOCOL_VERSION = 1
CARD_KEY_ID = 0  # of the implant card, which is no paired key [SPEC 11]


class Named(IntEnum):
    """A number of the wire with a name: `print` and an f-string show the name, a format such as `:02X` the number."""

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec) if spec else self.name


class NamedFlags(IntFlag):
    """Bits of the wire with names: `print` and an f-string show the names, a format such as `:02X` the number."""

    def __str__(self) -> str:
        return self.name or (f"0x{int(self):X}" if self else "none")

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec) if spec else str(self)


class Kind(Named):
    """Low nibble of `vt`: what a frame is [SPEC 3]."""

    HANDSHAKE = 0
    REQUEST = 1
    RESPONSE = 2
    EVENT = 3
    ERROR = 4


class Handshake(Named):
    """Opcode of a HANDSHAKE frame [SPEC 4]."""

    CLIENT_HELLO = 0x01
    PUMP_HELLO = 0x02
    CLIENT_PROOF = 0x03
    PUMP_PROOF = 0x04
    REJECT = 0x05


class RejectReason(Named):
    """Why a handshake was refused; an unauthenticated hint [SPEC 4]."""

    VERSION = 1
    SUITE = 2
    PROOF = 3
    LIMITED = 4
    RNG_FAILED = 5
    BUSY = 6
    ROLE = 7


class Suite(NamedFlags):
    """Cipher suites, one bit each [SPEC 4]."""

    AES_128_CCM_8 = 1
    NONE = 2


class Capability(NamedFlags):
    """What a pump can do, told in PUMP_HELLO [SPEC 4]."""

    FLEX = 1
    PATIENT_BOLUS = 2
    PERIODIC = 4
    PRIME_AND_BRIDGE = 8
    EVENTS = 16
    PAIRING = 32
    VENDOR_MESSAGES = 64


class Role(Named):
    """What a key may do [SPEC 10]."""

    OBSERVER = 0
    PATIENT = 1
    CLINICIAN = 2
    SERVICE = 3


VENDOR_OPCODES = range(0xC0, 0xF0)
"""Opcodes that no version of this wire will use [SPEC 6]."""


class Opcode(Named):
    """Opcode of a REQUEST, its RESPONSE and its ERROR; `Opcode(0xC0)` to `Opcode(0xEF)` are of vendors [SPEC 6]."""

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
    PAIRING_OPEN = 0x5B
    SELF_TEST = 0x60
    PING = 0x7E
    END_SESSION = 0x7F

    @classmethod
    def _missing_(cls, value: object) -> Opcode | None:
        if not (isinstance(value, int) and value in VENDOR_OPCODES):
            return None
        vendors = int.__new__(cls, value)
        vendors._name_ = f"VENDOR_{value:02X}"
        vendors._value_ = value
        return cls._value2member_map_.setdefault(value, vendors)  # type: ignore[return-value] # of this class


class StateChanged(Named):
    """Whether a refused command changed anything; Hamming codewords [SPEC 7]."""

    NO = 0x69
    YES = 0x96
    UNKNOWN = 0x5A


class Outcome(Named):
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


class ErrorClass(Named):
    SESSION = 1
    AUTHORISATION = 2
    SYNTAX = 3
    STATE = 4
    LIMIT = 5
    COMMAND = 6
    DEVICE = 7
    LOG = 8


class ErrorCode(Named):
    """Why a request was refused: class << 8 | position in its row, from 1 [SPEC 7]."""

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
    KEY_ID = 0x0204
    KEY_SLOTS = 0x0205
    LAST_CLINICIAN = 0x0206
    KEY_SEAL = 0x0207
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
    CONFIG_VALUE = 0x050B
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


class State(Named):
    """State of therapy; Hamming codewords, each 4 bits or more from every other [SPEC 6]."""

    RUN = 0x55
    STOP = 0x33
    SAFE_STATE = 0x66
    FAULT_STOP = 0xA5
    EOS = 0xC3


class StateReason(Named):
    """Why the pump is in its state [SPEC 6]."""

    NONE = 0
    COMMAND = 1
    STOP_EXPIRED = 2
    RESET = 3
    MEMORY = 4
    EOS = 5
    EMPTY_POLICY = 6
    MOTOR = 7
    NEVER_PROGRAMMED = 8
    SELF_TEST = 9


class InfusionMode(Named):
    """What the active program is; NONE where there is no program [SPEC 6]."""

    NONE = 0
    MINIMUM_RATE = 1
    SIMPLE = 2
    FLEX = 3


class StatusFlag(NamedFlags):
    WALL_VALID = 1
    CLOCK_CHANGED = 2
    LOG_WRAPPED = 4
    STAGED_PROGRAM = 8


class Activity(NamedFlags):
    BOLUS = 1
    PATIENT = 2
    PERIODIC = 4
    PRIME = 8
    BRIDGE = 16
    SUSPENDED_BOLUS = 32


class DeviceKind(Named):
    """What kind of device replies, told in GET_INFO so that no virtual device is taken for a real one."""

    HARDWARE = 1
    EMULATOR = 2
    REPLAY = 3


class SecurityProfile(Named):
    SECURED = 1
    OPEN = 2


class CommitMode(Named):
    """How a program update is written; the second reproduces the 2021 advisory [SPEC 15]."""

    ATOMIC = 0
    STOP_WRITE_VERIFY_RESTART = 1


class ProgramSlot(Named):
    ACTIVE = 0
    STAGED = 1


class ProgramFlag(NamedFlags):
    PERIODIC = 1
    PATIENT = 2
    BRIDGE = 4


class BolusKind(Named):
    BOLUS = 1
    PRIME = 2


class StopReason(Named):
    CLINICAL = 1
    OVERDOSE = 2
    MRI = 3
    REFILL = 4
    PATIENT = 5
    SERVICE = 6


class OnExpiry(Named):
    """What the pump does when a STOP expires [SPEC 6]."""

    ALARM_ONLY = 1
    SAFE_RATE = 2
    RESUME = 3


class TimeSetReason(Named):
    FIRST_SET = 1
    DRIFT = 2
    ZONE = 3
    DST = 4


class RefillFlag(NamedFlags):
    RINSED_TWICE = 1


class DenyReason(Named):
    """Why a patient bolus was not granted [SPEC 6]."""

    GRANTED = 0
    LOCKOUT = 1
    COUNT = 2
    ALARM = 3
    STOPPED = 4
    LIMIT = 5
    NOT_PROGRAMMED = 6
    ANOTHER_ACTIVE = 7


class BatteryPhase(Named):
    OK = 1
    ERI = 2
    EOS = 3


class AlarmId(Named):
    """Bit n of `alarm_active` and `alarm_latched`; 24 to 31 are for vendors, and never ours [SPEC 6]."""

    LOW_RESERVOIR = 1
    EMPTY = 2
    MOTOR_STALL = 3
    STOPPED_TOO_LONG = 4
    STOP_EXPIRED = 5
    ERI = 6
    EOS = 7
    MEM_NONCRITICAL = 8
    MEM_CRITICAL = 9
    RESET = 10
    BOLUS_PARTIAL = 11
    WALL_INVALID = 12
    RNG_FAILED = 13
    KEY_RECOVERY = 14
    NVM = 15
    TUBE_SET = 16
    SELF_TEST = 17
    VENDOR_1 = 24
    VENDOR_2 = 25
    VENDOR_3 = 26
    VENDOR_4 = 27
    VENDOR_5 = 28
    VENDOR_6 = 29
    VENDOR_7 = 30
    VENDOR_8 = 31


class AlarmClass(Named):
    CRITICAL = 1
    NON_CRITICAL = 2


class AlarmFlag(NamedFlags):
    ACTIVE = 1
    LATCHED = 2
    SILENCED = 4


class ConfigId(Named):
    """What CONFIG_READ and CONFIG_WRITE name; 1 to 4 text, 5 to 13 u32, 14 u8 [SPEC 6]."""

    PATIENT_ID = 1
    NOTES = 2
    DRUG_NAME = 3
    CATHETER_MODEL = 4
    CATHETER_NL = 5
    TUBING_NL = 6
    IMPLANT_WALL_S = 7
    BOLUS_MAX_NL = 8
    HOUR_MAX_NL = 9
    DAY_MAX_NL = 10
    PROGRAM_DAY_MAX_NL = 11
    CRITICAL_INTERVAL_S = 12
    NONCRITICAL_INTERVAL_S = 13
    PATIENT_MAY_READ_THERAPY = 14


class Missing(NamedFlags):
    """What PAIRING_CLOSED lacks, in its `detail` [SPEC 11]."""

    WINDOW = 1
    PROXIMITY = 2


class EventFlag(NamedFlags):
    """What changed: the mask of SUBSCRIBE and of EVENT_HINT [SPEC 6]."""

    STATE = 1
    ALARM = 2
    BOLUS = 4
    PROGRAM = 8
    LOG = 16


class SelfTestFault(NamedFlags):
    """What SELF_TEST found wrong; 0 is a pass [SPEC 6]."""

    FIRMWARE = 1
    RAM = 2
    MEMORY = 4
    LOG = 8
    CLOCK = 16
    ENTROPY = 32
    MOTOR = 64
    BATTERY = 128
    SOUNDER = 256
    CPU = 512
    WATCHDOG = 1024
    STACK = 2048
