"""Numbers that say what a pump is, does and is told: states, programs, stops, alarms, items [SPEC 6]."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class State(IntEnum):
    """State of therapy; Hamming codewords, each 4 bits or more from every other [SPEC 6]."""

    RUN = 0x55
    STOP = 0x33
    SAFE_STATE = 0x66
    FAULT_STOP = 0xA5
    EOS = 0xC3


class StateReason(IntEnum):
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


class InfusionMode(IntEnum):
    """What the active program is; NONE where there is no program [SPEC 6]."""

    NONE = 0
    MINIMUM_RATE = 1
    SIMPLE = 2
    FLEX = 3


class StatusFlag(IntFlag):
    WALL_VALID = 1
    CLOCK_CHANGED = 2
    LOG_WRAPPED = 4
    STAGED_PROGRAM = 8


class Activity(IntFlag):
    BOLUS = 1
    PATIENT = 2
    PERIODIC = 4
    PRIME = 8
    BRIDGE = 16
    SUSPENDED_BOLUS = 32


class DeviceKind(IntEnum):
    """What answers: told in GET_INFO, so that no virtual device is taken for a real one."""

    HARDWARE = 1
    EMULATOR = 2
    REPLAY = 3


class SecurityProfile(IntEnum):
    SECURED = 1
    OPEN = 2


class CommitMode(IntEnum):
    """How a program update is written; the second reproduces the 2021 advisory [SPEC 15]."""

    ATOMIC = 0
    STOP_WRITE_VERIFY_RESTART = 1


class ProgramSlot(IntEnum):
    ACTIVE = 0
    STAGED = 1


class ProgramFlag(IntFlag):
    PERIODIC = 1
    PATIENT = 2
    BRIDGE = 4


class BolusKind(IntEnum):
    BOLUS = 1
    PRIME = 2


class StopReason(IntEnum):
    CLINICAL = 1
    OVERDOSE = 2
    MRI = 3
    REFILL = 4
    PATIENT = 5
    SERVICE = 6


class OnExpiry(IntEnum):
    """What the pump does when a STOP expires [SPEC 6]."""

    ALARM_ONLY = 1
    SAFE_RATE = 2
    RESUME = 3


class TimeSetReason(IntEnum):
    FIRST_SET = 1
    DRIFT = 2
    ZONE = 3
    DST = 4


class RefillFlag(IntFlag):
    RINSED_TWICE = 1


class DenyReason(IntEnum):
    """Why a patient bolus was not granted [SPEC 6]."""

    GRANTED = 0
    LOCKOUT = 1
    COUNT = 2
    ALARM = 3
    STOPPED = 4
    LIMIT = 5
    NOT_PROGRAMMED = 6
    ANOTHER_ACTIVE = 7


class BatteryPhase(IntEnum):
    OK = 1
    ERI = 2
    EOS = 3


class AlarmId(IntEnum):
    """Bit n of `alarm_active` and `alarm_latched` [SPEC 6]."""

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


class AlarmClass(IntEnum):
    CRITICAL = 1
    NON_CRITICAL = 2


class AlarmFlag(IntFlag):
    ACTIVE = 1
    LATCHED = 2
    SILENCED = 4


class ConfigId(IntEnum):
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


class EventFlag(IntFlag):
    """What changed: the mask of SUBSCRIBE and of EVENT_HINT [SPEC 6]."""

    STATE = 1
    ALARM = 2
    BOLUS = 4
    PROGRAM = 8
    LOG = 16


class SelfTestFault(IntFlag):
    """What SELF_TEST found wrong; 0 is a pass [SPEC 6]."""

    FIRMWARE = 1
    RAM = 2
    MEMORY = 4
    LOG = 8
    CLOCK = 16
    ENTROPY = 32
    MOTOR = 64
    BATTERY = 128
