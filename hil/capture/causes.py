"""Which effect in a pump can have which causes, and by what a recording shows that it was one: a table, and no more.

Sources stand beside each row: [SPEC] is `protocol/SPEC.md`, [DOMAIN] what is known of such pumps. The first row that
finds its cause in a recording explains the effect; rows that are `beside` tell what else the effect needed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capture.history import FactKind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Link(StrEnum):
    """By what a recording ties an effect to its cause, in words for people."""

    ITS_ENTRY = "by the number of its entry in the log"
    COMMAND = "by the number of its command"
    NAMED_COMMAND = "by the number of the command that it names"
    MOMENT = "written in the same moment"
    EVENT = "the pump's world tells both at one moment"
    BEFORE = "the last one before it"
    HELD = "in force since then"
    EXPIRY = "in force since then, and its time was up at that moment"
    BETWEEN = "carried out between this status and the one before it"
    FAULT = "the fault was there, and can cause it"


class What(NamedTuple):
    """Facts by kind, names and values of their fields; no names stand for any."""

    kind: FactKind
    names: frozenset[str]
    fields: Mapping[str, str]


class Row(NamedTuple):
    """One cause that an effect can have."""

    effect: What
    cause: What
    link: Link
    source: str
    ended_by: tuple[What, ...] = ()
    """Entries that end what was in force: then the first since the last of them is meant, else the last of all."""
    beside: bool = False
    """It was needed for the effect, and is not why it came."""


def _what(kind: FactKind, names: str, fields: Mapping[str, str] | None = None) -> What:
    return What(kind, frozenset(names.split()), fields or {})


def entry(names: str, **fields: str) -> What:
    """Entries of the log of these types."""
    return _what(FactKind.LOG_ENTRY, names, fields)


def request(names: str) -> What:
    """Requests of these opcodes."""
    return _what(FactKind.REQUEST, names)


def fault(names: str) -> What:
    """Faults of the bench, as `pumpbench faults` has them."""
    return _what(FactKind.FAULT, names)


def event(names: str, **fields: str) -> What:
    """Events of the pump's world."""
    return _what(FactKind.EVENT, names, fields)


def alarm(names: str = "") -> What:
    """Alarms as they begin."""
    return _what(FactKind.ALARM, names)


def status(names: str) -> What:
    """A state of therapy, as GET_STATUS tells it."""
    return _what(FactKind.STATUS, names)


def _moment(effect: What, cause: What, source: str) -> Row:
    return Row(effect, cause, Link.MOMENT, source)


def _command(types: str, opcodes: str, source: str = "SPEC 9") -> Row:
    return Row(entry(types), request(opcodes), Link.COMMAND, source)


def _faults(effect: What, names: str, source: str) -> Row:
    return Row(effect, fault(names), Link.FAULT, source)


def _on(name: str) -> What:
    """The entry with which an alarm begins."""
    return entry("ALARM_ON", alarm_id=name)


END_OF_STOP: Final = (
    entry("RESUME"),
    *(entry("RATE_CHANGE", reason=reason) for reason in ("RESUME", "PROGRAM", "SAFE_RATE")),
)
END_OF_STALL: Final = (entry("STALL_RECOVERED"),)
STARTS: Final = "BOLUS_START PRIME_START BRIDGE_START"
ENDS: Final = "BOLUS_END PRIME_END BRIDGE_END"

ROWS: Final[tuple[Row, ...]] = (
    Row(alarm(), entry("ALARM_ON"), Link.ITS_ENTRY, "SPEC 8"),
    # the reservoir: the pump knows what it was told at the refill and what it has commanded since, and nothing else
    Row(_on("LOW_RESERVOIR"), entry("REFILL"), Link.HELD, "SPEC 6.1; DOMAIN 3.2, 4.6"),
    Row(_on("EMPTY"), entry("REFILL"), Link.HELD, "SPEC 6.1; DOMAIN 3.3, 4.6"),
    _command("REFILL", "REFILL"),
    # the motor
    _moment(_on("MOTOR_STALL"), entry("STALL"), "DOMAIN 3.4"),
    _faults(
        entry("STALL"),
        "mri motor-stall wear rotor-backward edge-lost feedthrough-short",
        "DOMAIN 8.1 FI 1 to 7, 33",
    ),
    _moment(_on("TUBE_SET"), entry("TUBE_SET"), "DOMAIN 3.5"),
    Row(entry("TUBE_SET"), entry("STOP"), Link.HELD, "DOMAIN 3.5; SPEC 6.2", END_OF_STOP),
    Row(entry("TUBE_SET"), entry("STALL"), Link.HELD, "DOMAIN 8.1 FI 3", END_OF_STALL),
    Row(entry("TUBE_SET"), entry("EOS"), Link.HELD, "SPEC 6.2"),
    # stops
    Row(_on("STOP_EXPIRED"), entry("STOP"), Link.EXPIRY, "SPEC 6.2", END_OF_STOP),
    _moment(_on("STOPPED_TOO_LONG"), entry("STOPPED_TOO_LONG"), "DOMAIN 3.5"),
    Row(entry("STOPPED_TOO_LONG"), entry("STOP"), Link.HELD, "SPEC 6.2", END_OF_STOP),
    _command("STOP", "STOP"),
    _command("RESUME", "RESUME"),
    # boluses, primes and bridges
    _moment(_on("BOLUS_PARTIAL"), entry("BOLUS_END"), "SPEC 8"),
    _moment(entry(ENDS, reason="STOP"), entry("STOP"), "SPEC 6.2"),
    Row(entry(ENDS, reason="CANCELLED"), entry("BOLUS_CANCEL"), Link.NAMED_COMMAND, "SPEC 6.2"),
    _moment(entry(ENDS, reason="POWER"), entry("BOOT"), "SPEC 6.2"),
    _moment(entry(ENDS, reason="EOS"), entry("EOS"), "DOMAIN 1.5"),
    _moment(entry(ENDS, reason="MISSING_EDGES"), entry("STALL"), "DOMAIN 3.4"),
    Row(entry(ENDS, reason="MISSING_EDGES"), entry("STALL"), Link.HELD, "DOMAIN 3.4", END_OF_STALL),
    _faults(
        entry(ENDS, reason="MISSING_EDGES"),
        "mri motor-stall wear rotor-backward edge-lost feedthrough-short",
        "DOMAIN 8.1 FI 1 to 7, 33",
    ),
    _moment(entry(ENDS, reason="REPLACED"), entry("PROGRAM_COMMIT REFILL"), "SPEC 6.2"),
    _moment(
        entry(ENDS, reason="ALARM"),
        entry("POST_FAIL CHANNEL_MISMATCH NVM_FAULT RAM_FAULT STOPPED_TOO_LONG"),
        "SPEC 6.3",
    ),
    _moment(entry(ENDS, reason="ALARM"), entry("ALARM_ON"), "SPEC 6.3"),
    _command("BOLUS_CANCEL", "BOLUS_CANCEL"),
    Row(entry(ENDS), entry(STARTS), Link.COMMAND, "SPEC 8", beside=True),
    _command("BOLUS_START PTM_GRANT", "BOLUS_COMMIT PATIENT_BOLUS"),
    _command("PRIME_START", "PRIME"),
    _moment(entry("BRIDGE_START"), entry("REFILL PROGRAM_COMMIT"), "DOMAIN 4.4"),
    Row(entry("BOLUS_START", kind="PERIODIC"), entry("PROGRAM_COMMIT"), Link.HELD, "DOMAIN 2.1"),
    # programs and rates
    _command("PROGRAM_COMMIT", "PROG_COMMIT REFILL"),
    _moment(entry("RATE_CHANGE", reason="RESUME"), entry("RESUME REFILL"), "SPEC 6.2"),
    _moment(entry("RATE_CHANGE", reason="RESUME"), _on("STOP_EXPIRED"), "SPEC 6.2"),
    _moment(entry("RATE_CHANGE", reason="PROGRAM"), entry("PROGRAM_COMMIT"), "SPEC 6.2"),
    # the battery
    _moment(_on("ERI"), entry("ERI"), "DOMAIN 1.5"),
    _moment(_on("EOS"), entry("EOS"), "DOMAIN 1.5"),
    _faults(entry("ERI EOS"), "battery-drain resistive-film adc-stuck", "DOMAIN 8.3 FI 30 to 34"),
    # restarts
    _moment(_on("RESET"), entry("BOOT"), "SPEC 8"),
    Row(entry("BOOT"), event("PowerOn"), Link.EVENT, "SPEC 8"),
    Row(event("PowerOn"), event("PowerLost WatchdogReset"), Link.BEFORE, "SPEC 8"),
    _faults(event("PowerLost", cause="MEMORY_WRITE"), "power-cut-at-write", "DOMAIN 8.4 FI 42"),
    _faults(event("PowerLost", cause="STROKE"), "power-cut-at-stroke resistive-film", "DOMAIN 8.3 FI 29"),
    _faults(event("PowerLost", cause="TONE"), "resistive-film", "DOMAIN 8.3 FI 29"),
    _faults(event("PowerLost", cause="TELEMETRY"), "resistive-film", "DOMAIN 8.3 FI 29"),
    _faults(event("PowerLost", cause="SHORT"), "feedthrough-short", "DOMAIN 8.3 FI 33"),
    _faults(event("WatchdogReset"), "hung-task watchdog-false", "DOMAIN 8.3 FI 37"),
    # clocks
    _moment(_on("WALL_INVALID"), entry("WALL_INVALID"), "SPEC 12"),
    _moment(_on("WALL_INVALID"), entry("POST_FAIL", failed="16"), "SPEC 6.3"),
    _moment(_on("WALL_INVALID"), entry("NVM_FAULT"), "SPEC 8"),
    _moment(entry("WALL_INVALID"), entry("BOOT"), "SPEC 12"),
    # tests of itself
    _moment(_on("SELF_TEST"), entry("POST_FAIL SELF_TEST"), "DOMAIN 6.5"),
    _moment(_on("RNG_FAILED"), entry("POST_FAIL", failed="32"), "SPEC 4.7"),
    _faults(_on("RNG_FAILED"), "entropy-stuck", "SPEC 4.7"),
    *(
        _faults(entry("POST_FAIL SELF_TEST", failed=str(part)), names, source)
        for part, names, source in (
            (1, "code-flip", "DOMAIN 8.4 FI 40"),
            (2, "ram-stuck ram-flip", "DOMAIN 8.4 FI 40"),
            (4, "bit-flip stuck-page stuck-cell", "DOMAIN 8.4 FI 40 to 43"),
            (8, "bit-flip stuck-page stuck-cell", "DOMAIN 8.4 FI 46"),
            (16, "clock-jump clock-rate clock-stop", "DOMAIN 8.3 FI 38"),
            (32, "entropy-stuck", "SPEC 4.7"),
            (64, "mri motor-stall wear", "DOMAIN 8.1 FI 1 to 4"),
            (128, "adc-stuck resistive-film battery-drain", "DOMAIN 8.3 FI 30 to 34"),
            (256, "sounder-dead", "DOMAIN 8.3 FI 36"),
            (512, "cpu-fault", "DOMAIN 6.5"),
            (1024, "watchdog-dead", "DOMAIN 8.3 FI 37"),
            (2048, "stack-overflow", "DOMAIN 8.4 FI 44"),
        )
    ),
    # memory
    _moment(_on("MEM_CRITICAL"), entry("NVM_FAULT RAM_FAULT CHANNEL_MISMATCH"), "DOMAIN 8.4"),
    _moment(_on("MEM_NONCRITICAL"), entry("NVM_FAULT LOG_CORRUPT"), "DOMAIN 8.4"),
    _moment(_on("NVM"), entry("NVM_FAULT"), "DOMAIN 8.4 FI 43"),
    _faults(entry("NVM_FAULT LOG_CORRUPT"), "bit-flip stuck-page stuck-cell", "DOMAIN 8.4 FI 40 to 46"),
    _faults(entry("RAM_FAULT"), "ram-flip ram-stuck", "DOMAIN 8.4 FI 40"),
    _faults(
        entry("CHANNEL_MISMATCH"), "ram-flip ram-stuck clock-rate clock-jump cpu-fault", "DOMAIN 8.4 FI 41"
    ),
    _faults(_on("MEM_NONCRITICAL"), "bit-flip stuck-page stuck-cell", "DOMAIN 8.4 FI 46"),
    # a state that the pump told, and of which its log is not in the recording
    Row(status("STOP"), request("STOP"), Link.BETWEEN, "SPEC 6.2"),
    Row(status("RUN"), request("RESUME PROG_COMMIT REFILL"), Link.BETWEEN, "SPEC 6.2"),
    # keys
    _moment(_on("KEY_RECOVERY"), request("PAIRING_OPEN"), "SPEC 11"),
    # the safe state, by its reason
    *(
        _moment(entry("SAFE_STATE_ENTER", reason=reason), cause, "SPEC 8")
        for reason, cause in (
            ("EMPTY", _on("EMPTY")),
            ("STOP_EXPIRED", _on("STOP_EXPIRED")),
            ("SELF_TEST", entry("POST_FAIL SELF_TEST")),
            ("MEMORY", entry("NVM_FAULT RAM_FAULT CHANNEL_MISMATCH")),
            ("MEMORY", _on("MEM_CRITICAL")),
            ("MEMORY", _on("NVM")),
            ("RESET", entry("BOOT")),
            ("MOTOR", entry("STALL")),
        )
    ),
)

ROOTS: Final = (
    request(""),
    fault(""),
    event("PowerLost", cause="RIG"),
    event("PowerOn", first="True"),
    entry("BOOT", cause="FIRST"),
    entry("REFILL PROGRAM_COMMIT", by_pump="True"),
)
"""Behind these there is nothing more: what somebody asked for or did from outside, and how a new pump is set up."""

LEAVES_DAMAGE: Final = frozenset(
    {
        "battery-drain", "bit-flip", "clock-jump", "code-flip", "ram-flip", "stack-overflow",
    }
)  # fmt: skip
"""Faults whose effects last when the bench has cleared them."""

STATES: Final[tuple[tuple[What, str], ...]] = (
    (entry("STOP"), "STOP"),
    (entry("SAFE_STATE_ENTER"), "SAFE_STATE"),
    (entry("EOS"), "EOS"),
    (entry("RESUME"), "RUN"),
    (entry("RATE_CHANGE", reason="RESUME"), "RUN"),
    (entry("RATE_CHANGE", reason="PROGRAM"), "RUN"),
)
"""The state of therapy that an entry of the log leaves behind [SPEC 6.2]."""

BOLUS_OPCODES: Final = frozenset({"BOLUS_COMMIT", "PATIENT_BOLUS", "PRIME"})
"""Requests that begin a bolus [SPEC 6.2]."""
