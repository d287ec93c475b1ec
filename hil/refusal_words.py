"""A refusal of the pump in words: what was refused, its values as people read them, the cause, and the way on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.quantity_words import (
    at_least,
    duration,
    mcg_per_day,
    mcg_per_ml,
    ml,
    ml_per_day,
    moved,
)
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import offset_of, path_offset
from protocol.identifiers import AlarmId, ErrorCode, Missing, Role, State
from protocol.messages.program import NO_GROUP, ProgramHeader
from protocol.registry import command_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.identifiers import Opcode
    from protocol.messages.errors import ErrorReply
    from protocol.messages.program import ProgramRefusal


class CauseAndWayOn(NamedTuple):
    """Why a pump refuses, and what a person does then."""

    cause: str
    way_on: str


_NEW_SESSION = "give the command again: it opens a session of its own"
_ANEW = "read the status, and begin anew with what the pump has now"
_PUMP_IS_ILL = "read the status and the log, and look at the pump itself: its therapy may not go on"
_CHECK_FIRMWARE = "use the pumpbench of the pump's firmware"

CAUSES: dict[ErrorCode, CauseAndWayOn] = {
    ErrorCode.NO_SESSION: CauseAndWayOn("the pump has no such session", _NEW_SESSION),
    ErrorCode.SESSION_EXPIRED: CauseAndWayOn("the session is over by its age or its count", _NEW_SESSION),
    ErrorCode.HS_PROOF: CauseAndWayOn(
        "the pump does not accept this key",
        "name the key that it was paired with, by --key or key_file of the bench file",
    ),
    ErrorCode.HS_LIMITED: CauseAndWayOn("the pump limits attempts to open a session", "wait a minute"),
    ErrorCode.VERSION: CauseAndWayOn("the pump speaks another version of the protocol", _CHECK_FIRMWARE),
    ErrorCode.SUITE: CauseAndWayOn(
        "the pump does not offer the security that was asked for",
        "add --open for a board without cryptography, and leave it out otherwise",
    ),
    ErrorCode.RNG_FAILED: CauseAndWayOn(
        "the pump's random generator failed its self-test", "its therapy goes on; replace the pump"
    ),
    ErrorCode.ROLE: CauseAndWayOn(
        "the key's role may not do this", "use a key of a role that may, with --role or --key"
    ),
    ErrorCode.KEY_REVOKED: CauseAndWayOn("this key was revoked", "use another key, with --key"),
    ErrorCode.PAIRING_CLOSED: CauseAndWayOn(
        "keys change only in an open window and with a magnet over the pump",
        "hold the magnet over the pump and try again",
    ),
    ErrorCode.KEY_ID: CauseAndWayOn(
        "the key id is taken by another key, or no programmer can have it", "choose another id"
    ),
    ErrorCode.KEY_SLOTS: CauseAndWayOn(
        "all of the pump's key slots are taken", "`pumpbench program keys revoke` frees one"
    ),
    ErrorCode.LAST_CLINICIAN: CauseAndWayOn(
        "it is the only clinician's key of this pump", "pair another clinician first"
    ),
    ErrorCode.KEY_SEAL: CauseAndWayOn(
        "the new key was not sealed for this request, or was changed on its way", "pair it anew"
    ),
    ErrorCode.UNSUPPORTED_OP: CauseAndWayOn(
        "this pump does not have the command",
        "`pumpbench program info` says which firmware it has; a REPLAY has what was recorded, each request once",
    ),
    ErrorCode.LENGTH: CauseAndWayOn("the request is longer or shorter than this pump's", _CHECK_FIRMWARE),
    ErrorCode.RESERVED_BITS: CauseAndWayOn("a part of the request must be 0 for this pump", _CHECK_FIRMWARE),
    ErrorCode.ENUM: CauseAndWayOn(
        "the pump does not know this value, or cannot do what it asks for yet", "choose another"
    ),
    ErrorCode.STOPPED: CauseAndWayOn("therapy is stopped", "`pumpbench program resume` starts it again"),
    ErrorCode.RUNNING: CauseAndWayOn("therapy is running", "`pumpbench program stop` stops it first"),
    ErrorCode.BOLUS_ACTIVE: CauseAndWayOn(
        "a bolus or a prime is being delivered", "wait for its end, or `pumpbench program cancel` ends it"
    ),
    ErrorCode.ALARM_BLOCKS: CauseAndWayOn(
        "an alarm blocks it", "remove its cause first: `pumpbench program alarms` shows it"
    ),
    ErrorCode.SAFE_STATE: CauseAndWayOn(
        "the pump has fallen back to a safe state",
        "read alarms and log, then program it anew with `pumpbench program set`",
    ),
    ErrorCode.EOS: CauseAndWayOn("the pump is at the end of its service", "replace the pump"),
    ErrorCode.BUSY: CauseAndWayOn("the pump is still at work on earlier commands", "wait, and give it again"),
    ErrorCode.NO_STAGED: CauseAndWayOn(
        "there is no program that it could be about", "program the pump first: `pumpbench program set`"
    ),
    ErrorCode.BRIDGE_ACTIVE: CauseAndWayOn(
        "the old drug is still on its way out of the tubing", "wait for the end of the bridge"
    ),
    ErrorCode.RATE: CauseAndWayOn(
        "the motor cannot deliver this at such a rate", "`pumpbench program limits` shows its rates"
    ),
    ErrorCode.BOLUS_MAX: CauseAndWayOn("it is more than one bolus may have", "give less"),
    ErrorCode.HOUR_MAX: CauseAndWayOn(
        "with it, boluses would exceed what an hour may have", "give less, or wait"
    ),
    ErrorCode.DAY_MAX: CauseAndWayOn("with it, the day would exceed what it may have", "give less, or wait"),
    ErrorCode.GAP: CauseAndWayOn("the last bolus ended too short a time ago", "wait"),
    ErrorCode.RESERVOIR: CauseAndWayOn(
        "it does not go with what the reservoir holds", "look at the volumes: they are mL"
    ),
    ErrorCode.TIME_RANGE: CauseAndWayOn("it is no time that the pump can keep to", "correct it"),
    ErrorCode.SEGMENTS: CauseAndWayOn("the parts of the program do not go together", "stage it anew"),
    ErrorCode.CONC: CauseAndWayOn(
        "it is another drug or concentration than the pump knows of",
        "name what is in the reservoir, with --concentration and --drug; "
        "a change of drug is a refill with a program of its own",
    ),
    ErrorCode.DOSE: CauseAndWayOn(
        "rate and concentration do not give the dose that was prescribed", "look at dose and concentration"
    ),
    ErrorCode.CONFIG_VALUE: CauseAndWayOn(
        "this item of the configuration does not take the value", "choose the nearest that it takes"
    ),
    ErrorCode.TOKEN: CauseAndWayOn(
        "what permitted the bolus has expired (10 s), was used, or is of another session",
        "give the bolus anew",
    ),
    ErrorCode.CMD_ID_OLD: CauseAndWayOn(
        "this key has used a later command id already", "give it again: it gets a new id"
    ),
    ErrorCode.CMD_ID_MISMATCH: CauseAndWayOn(
        "the pump had another command under this id", "is another programmer using this key? read the log"
    ),
    ErrorCode.REV_MISMATCH: CauseAndWayOn("the pump's program was changed meanwhile", _ANEW),
    ErrorCode.CONFIRM: CauseAndWayOn("the clock would move by more than it may unasked", "confirm it"),
    ErrorCode.VERIFY_CRC: CauseAndWayOn("it is not the program that the pump has read back", "stage it anew"),
    ErrorCode.CMD_ID_RANGE: CauseAndWayOn(
        "the command id is too far from this key's last one", "use the state file that this key always had"
    ),
    ErrorCode.NVM: CauseAndWayOn("the pump's memory is damaged", _PUMP_IS_ILL),
    ErrorCode.MOTOR: CauseAndWayOn("the pump's motor is damaged", _PUMP_IS_ILL),
    ErrorCode.SENSOR: CauseAndWayOn("a sensor of the pump is damaged", _PUMP_IS_ILL),
    ErrorCode.BATTERY: CauseAndWayOn("the pump's battery is too low for it", _PUMP_IS_ILL),
    ErrorCode.CLOCK_INVALID: CauseAndWayOn(
        "the pump's wall clock is not set", "set it first: `pumpbench program time`"
    ),
    ErrorCode.INTERNAL: CauseAndWayOn("the pump's program is at fault", _PUMP_IS_ILL),
    ErrorCode.EPOCH: CauseAndWayOn("the log was erased since it was asked for", "read it from its start"),
    ErrorCode.RANGE: CauseAndWayOn(
        "it is about an entry that is not the one meant now", "read the alarms or the log again"
    ),
    ErrorCode.CORRUPT: CauseAndWayOn("the entry's check fails", "read the others; this one is lost"),
}

NEVER_FILLED = CauseAndWayOn(
    "the pump was never filled, so that it knows of no drug to be programmed",
    "fill it first: `pumpbench program refill` with --concentration and --drug",
)


def cause_of(code: ErrorCode, *, value: int = 0, limit: int = 0) -> CauseAndWayOn:
    """The row of a code; of CONC that of an empty pump where it holds no concentration against the one sent."""
    return NEVER_FILLED if code == ErrorCode.CONC and value and not limit else CAUSES[code]


def sentence_of_refusal(opcode: Opcode, error: ErrorReply) -> str:
    """A refusal as a sentence: what was refused, the value, its limit, the nearest acceptable value, and the cause."""
    parts = [f"{opcode.name} refused: {error.code.name}", *_values(opcode, error)]
    if error.retry_after_ms:
        parts.append(f"try again after {error.retry_after_ms} ms")
    sentence = ", ".join(parts)
    changed = error.state_changed.name
    sentence = sentence if changed == "NO" else f"{sentence} (changed something: {changed})"
    return f"{sentence}: {cause_of(error.code, value=error.detail, limit=error.limit).cause}"


def way_on_of(error: ErrorReply) -> str:
    """What a person does after a refusal."""
    return cause_of(error.code, value=error.detail, limit=error.limit).way_on


def _values(opcode: Opcode, error: ErrorReply) -> list[str]:
    """What a refusal says in numbers, as far as a person can read them."""
    if error.code == ErrorCode.CONC and error.field_offset is None and error.detail == error.limit:
        return [f"another drug of the same concentration, {mcg_per_ml(error.limit)}"]  # of PROG_COMMIT
    if error.code in _SPECIAL:
        words = _SPECIAL[error.code](error)
        return [words] if words else []
    name, value_unit = _refused_field(opcode, error)
    parts = []
    if error.detail or error.code == ErrorCode.CONC:
        parts.append(f"{name} {amount(error.detail, value_unit)}")
    if error.limit:
        parts.append(f"limit {amount(error.limit, _limit_unit(error, value_unit))}")
    if error.nearest:
        parts.append(
            f"nearest acceptable {amount(error.nearest, _NEAREST_UNITS.get(error.code, value_unit))}"
        )
    return parts


def _limit_unit(error: ErrorReply, value_unit: str) -> str:
    if error.code == ErrorCode.RATE:  # of a volume below one stroke, the limit is the stroke
        return value_unit if value_unit == "nL" else "nL/day"
    return value_unit


_NEAREST_UNITS = {ErrorCode.RATE: "s", ErrorCode.GAP: "s of running"}

_WORDS: dict[str, Callable[[int], str]] = {
    "nL": ml,
    "nL/day": ml_per_day,
    "ng/day": mcg_per_day,
    "ng/mL": mcg_per_ml,
    "s": duration,
    "s of running": lambda value: f"{duration(value)} of the pump's running time",
}


def amount(value: int, unit: str) -> str:
    """A number of the wire as people read it; the largest one may stand for more."""
    if unit == "min":
        return f"{_signed(value)} min"
    return at_least(_WORDS[unit](value) if unit in _WORDS else f"{value} {unit}".rstrip(), value)


def _signed(value: int) -> int:
    return value - (1 << 32 if value >> 31 else 0)


def _state_of(error: ErrorReply) -> str:
    return f"state {State(error.detail).name}" if error.detail in set(State) else ""


def _command_of(error: ErrorReply) -> str:
    return f"command id {error.detail}" + (f", the next is {error.nearest}" if error.nearest else "")


def _alarms_of(error: ErrorReply) -> str:
    return " and ".join(alarm.name for alarm in AlarmId if error.detail >> alarm & 1)


_MISSING = {Missing.WINDOW: "the window is closed", Missing.PROXIMITY: "there is no magnet"}
_SPECIAL: dict[ErrorCode, Callable[[ErrorReply], str]] = {
    ErrorCode.SESSION_EXPIRED: lambda _: "",
    ErrorCode.TOKEN: lambda _: "",
    ErrorCode.VERIFY_CRC: lambda _: "",
    ErrorCode.PAIRING_CLOSED: lambda e: " and ".join(
        words for flag, words in _MISSING.items() if e.detail & flag
    ),
    ErrorCode.KEY_ID: lambda e: f"key id {e.detail}" + (f", {e.nearest} is free" if e.nearest else ""),
    ErrorCode.KEY_SLOTS: lambda e: f"key id {e.detail}, and there are {e.limit} slots",
    ErrorCode.LAST_CLINICIAN: lambda e: f"key id {e.detail}",
    ErrorCode.KEY_SEAL: lambda e: f"key id {e.detail}",
    ErrorCode.KEY_REVOKED: lambda e: f"key id {e.detail}",
    ErrorCode.ROLE: lambda e: f"role {Role(e.detail).name.lower()}" if e.detail in set(Role) else "",
    ErrorCode.UNSUPPORTED_OP: lambda e: f"opcode 0x{e.detail:02X}",
    ErrorCode.STOPPED: _state_of,
    ErrorCode.SAFE_STATE: _state_of,
    ErrorCode.EOS: _state_of,
    ErrorCode.BOLUS_ACTIVE: lambda e: f"command {e.detail}",
    ErrorCode.BRIDGE_ACTIVE: lambda e: f"{ml(e.detail)} of the bridge are left",
    ErrorCode.ALARM_BLOCKS: _alarms_of,
    ErrorCode.CMD_ID_OLD: _command_of,
    ErrorCode.CMD_ID_MISMATCH: _command_of,
    ErrorCode.CMD_ID_RANGE: _command_of,
    ErrorCode.BUSY: lambda e: _command_of(e) if e.nearest else f"key id {e.detail}",  # of KEY_ADD
    ErrorCode.REV_MISMATCH: lambda e: f"it names program revision {e.detail}, the pump has {e.limit}",
    ErrorCode.CONFIRM: lambda e: f"by {moved(_signed(e.detail))}, limit {e.limit} s",
}


def _refused_field(opcode: Opcode, error: ErrorReply) -> tuple[str, str]:
    """Name and unit of the value that was refused, as far as the refusal points at a field."""
    if error.code == ErrorCode.GAP:
        return "since the last bolus only", "s"
    command = command_at(opcode)
    request = type(None) if command is None else command.request
    for name in getattr(request, "_fields", ()):
        try:
            start, _ = offset_of(request, name)
        except KeyError:
            break
        if start == error.field_offset:
            return bare_name_and_unit(name)
    return ("concentration", "ng/mL") if error.code == ErrorCode.CONC else ("value", "")


_PROGRAM_UNITS = {
    ErrorCode.RATE: "nL/day",
    ErrorCode.DAY_MAX: "nL",
    ErrorCode.CONC: "ng/mL",
    ErrorCode.DOSE: "ng/day",
    ErrorCode.TIME_RANGE: "min",
}


_PROGRAM_CAUSES = {
    ErrorCode.TIME_RANGE: "the first step of a day begins at minute 0, and each other one after the one before it",
}


def sentence_of_program_refusals(refusals: Sequence[ProgramRefusal], *, with_places: bool = False) -> str:
    """Why a staged program would be refused, each reason with its values and cause, and its place where that tells."""
    reasons = []
    for refused in refusals:
        name, unit, cause = _refused_of_program(refused)
        values = (refused.value, refused.limit, refused.nearest)
        value, limit, nearest = (amount(number, unit) for number in values)
        place = _place(refused) if with_places else ""
        reasons.append(
            f"{refused.code.name}{place}: {name} {value}, limit {limit}, nearest acceptable {nearest}: {cause}"
        )
    return "; ".join(reasons)


def _place(refused: ProgramRefusal) -> str:
    """Where in the program it is, both counted from 1: " in group 2, step 1"; "" where it is the whole program."""
    if refused.group == NO_GROUP:
        return ""
    return f" in group {refused.group + 1}" + (
        "" if refused.index == NO_GROUP else f", step {refused.index + 1}"
    )


_BLOCKS = {"periodic": "periodic bolus", "patient": "patient's bolus", "bridge": "bridge"}
_TOO_SOON = "the next bolus would come before the last is over"
_CAUSES_OF_FIELDS = {
    "interval_s": _TOO_SOON,
    "lockout_s": _TOO_SOON,
    "window_s": "the window in which they are counted is shorter than the lockout",
    "max_count": "not one of them could be asked for",
}


def _refused_of_program(refused: ProgramRefusal) -> tuple[str, str, str]:
    """Name and unit of the value that a refusal of a program is about, and its cause."""
    cause = _PROGRAM_CAUSES.get(refused.code, CAUSES[refused.code].cause)
    if refused.group == NO_GROUP:
        for block, words in _BLOCKS.items():
            for field in ProgramHeader._field_defaults[block]._fields:
                if path_offset(ProgramHeader, f"{block}.{field}") == refused.index:
                    name, unit = bare_name_and_unit(field)
                    return f"{words}: {name}", unit, _CAUSES_OF_FIELDS.get(field, cause)
    return "value", _PROGRAM_UNITS.get(refused.code, ""), cause
