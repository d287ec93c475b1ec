"""The enums of log entries: their types, flags, actors, and the reasons in their data [SPEC 8]."""

from __future__ import annotations

from protocol.identifiers import Named, NamedFlags


class LogName(Named):
    MAIN = 0
    SECURITY = 1


class LogType(Named):
    """What an entry tells: range << 8 | position in its row, from 1 [SPEC 8]."""

    BOOT = 0x0101
    RESET_BROWNOUT = 0x0102
    POST_FAIL = 0x0103
    FW_INFO = 0x0104
    NVM_FAULT = 0x0105
    RAM_FAULT = 0x0106
    WATCHDOG = 0x0107
    SAFE_STATE_ENTER = 0x0108
    EOS = 0x0109
    SELF_TEST = 0x010A
    TELEM_MODE_ENTER = 0x010B
    TELEM_MODE_EXIT = 0x010C
    CHANNEL_MISMATCH = 0x010D
    TIME_SET = 0x0201
    WALL_INVALID = 0x0202
    TIME_REF = 0x0203
    DAY_TOTAL = 0x0204
    PROGRAM_COMMIT = 0x0301
    PROGRAM_ABORT = 0x0302
    RATE_CHANGE = 0x0303
    STOP = 0x0304
    RESUME = 0x0305
    STOPPED_TOO_LONG = 0x0306
    STAGE_LOST = 0x0307
    CONFIG_WRITE = 0x0308
    CMD_INTENT = 0x0401
    BOLUS_START = 0x0402
    BOLUS_END = 0x0403
    BOLUS_CANCEL = 0x0404
    CMD_VOID = 0x0405
    CMD_REFUSED = 0x0406
    PTM_REQUEST = 0x0407
    PTM_GRANT = 0x0408
    PTM_DENY = 0x0409
    PRIME_START = 0x040A
    PRIME_END = 0x040B
    BRIDGE_START = 0x040C
    BRIDGE_END = 0x040D
    ALARM_ON = 0x0501
    ALARM_ACK = 0x0502
    ALARM_OFF = 0x0503
    ALARM_TEST = 0x0504
    STALL = 0x0601
    STALL_RECOVERED = 0x0602
    TUBE_SET = 0x0603
    STROKE_MISMATCH = 0x0604
    OCCLUSION = 0x0605
    REFILL = 0x0606
    BATT_LOW = 0x0701
    ERI = 0x0702
    RESISTANCE_HIGH = 0x0703
    SESSION_OPEN = 0x0801
    SESSION_CLOSE = 0x0802
    HS_FAIL = 0x0803
    MAC_FAIL_BURST = 0x0804
    REPLAY_DROP = 0x0805
    ROLE_DENIED = 0x0806
    KEY_ADD = 0x0807
    KEY_REVOKE = 0x0808
    HS_LIMITED = 0x0809
    LOG_ERASED = 0x0901
    LOG_CORRUPT = 0x0902
    LOG_CHECKPOINT = 0x0903
    HIDDEN = 0x09FE
    CORRUPT_SLOT = 0x09FF


class LogFlag(NamedFlags):
    """Flags of a log entry [SPEC 8]."""

    POWER_CUT_RECOVERED = 1
    WALL_VALID = 2


class Actor(Named):
    """Who did it, where it was no paired key: the low byte of a log entry's `actor` [SPEC 8]."""

    PUMP = 0xF0
    UNAUTHENTICATED = 0xF1
    PROXIMITY = 0xF2


class BootCause(Named):
    """Why the program in the pump started [SPEC 8]."""

    FIRST = 0
    POWER = 1
    WATCHDOG = 2
    COMMANDED = 3


class BolusEndReason(Named):
    """Why a bolus ended [SPEC 8]."""

    COMPLETE = 0
    CANCELLED = 1
    STOP = 2
    ALARM = 3
    POWER = 4
    MISSING_EDGES = 5
    EOS = 6
    REPLACED = 7


class RateChangeReason(Named):
    """Why the effective basal rate changed [SPEC 8]."""

    PROGRAM = 0
    STOP = 1
    RESUME = 2
    SAFE_RATE = 3
    EMPTY_POLICY = 4
    EOS = 5
    RESET = 6
    TIME_SET = 7
    BRIDGE = 8
    TELEMETRY = 9


class SessionCloseReason(Named):
    """Why a session ended: `data[0]` of SESSION_CLOSE [SPEC 8]."""

    ENDED = 0
    IDLE = 1
    LIFE = 2
    REPLACED = 3
    TAG_FAILURES = 4
    COUNTER = 5
    RESET = 6
    KEY_REVOKED = 7


class DeliveryKind(Named):
    """What BOLUS_START and its like began; 1 and 2 are those of BolusKind [SPEC 8]."""

    BOLUS = 1
    PRIME = 2
    PATIENT = 3
    PERIODIC = 4
    BRIDGE = 5


class DayFlag(NamedFlags):
    """What makes a DAY_TOTAL no ordinary day [SPEC 8]."""

    CLOCK_CHANGED = 1
    STOPPED = 2
    WALL_INVALID = 4


class MemoryFault(Named):
    """What is damaged: `cause` of MEM_NONCRITICAL and MEM_CRITICAL [SPEC 8].

    Their `value` is a region, the number of an entry, a cell of RAM, or what was commanded in strokes.
    """

    RECORD = 0
    LOG = 1
    RAM = 2
    CHANNELS = 3


class TelemetryExitReason(Named):
    """Why the telemetry mode that interference began ended: `data[0]` of TELEM_MODE_EXIT [SPEC 8]."""

    QUIET = 1
    TIME_OUT = 2
    INTERROGATED = 3


class SafeStateReason(Named):
    """Why the pump fell back to its safe state: `data[0]` of SAFE_STATE_ENTER [SPEC 8]."""

    MEMORY = 1
    RESET = 2
    MOTOR = 3
    STOP_EXPIRED = 4
    SELF_TEST = 5
    EMPTY = 6
