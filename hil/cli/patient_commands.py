"""The commands of `pumpbench program` for the patient: patient-bolus, and checkup, which answers in plain words.

Both take the patient's development key where no key and no role is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from hil.cli.connection import (
    Options,
    confirm,
    connected,
    outcome_sentence,
    require_target,
    show,
    with_options,
)
from hil.cli.hindrance import Hindrance, critical_alarms, hindrance
from hil.cli.patient_documents import BolusAnswer, CheckupPart, ToneMeaning
from hil.cli.reservoir_dates import PumpDates, read_dates
from hil.cli.tables import executed_rows
from hil.cli.therapy_commands import YES, report
from hil.errors import DeviceError
from hil.procedures.doses import drug_ng, nearest
from hil.quantity_words import duration, mcg, ml
from protocol.identifiers import (
    Activity,
    AlarmClass,
    AlarmFlag,
    AlarmId,
    DenyReason,
    InfusionMode,
    ProgramFlag,
    Role,
    State,
)
from protocol.log.types import LogType

if TYPE_CHECKING:
    from hil.cli.tables import Rows
    from hil.programmer.programmer import Programmer
    from protocol.log.entry import LogEntry
    from protocol.messages.alarms import AlarmRow
    from protocol.messages.program import PatientBlock, ProgramHeader
    from protocol.messages.reading import GetDeliveryReply, GetStatusReply

NOT_BY_WAITING: Final = 0xFFFF_FFFF
CALL: Final = "call your clinic now"
TELL: Final = "tell your clinic in the next days"

DENIED: Final = {
    DenyReason.LOCKOUT: "it is too soon after the last one, or after your clinic changed something",
    DenyReason.COUNT: "you have had as many as your program allows for now",
    DenyReason.ALARM: "an alarm is on",
    DenyReason.STOPPED: "the pump is stopped",
    DenyReason.LIMIT: "with it you would get more than the pump may give in an hour or a day",
    DenyReason.NOT_PROGRAMMED: "your program has no bolus that you may ask for",
    DenyReason.ANOTHER_ACTIVE: "a bolus of yours, or something that your clinic ordered, is being given just now",
}
NOT_GIVEN: Final = {
    Hindrance.ALARM: f"your pump runs, but an alarm says that it may give no drug: {CALL}",
    Hindrance.CLOCK: f"your pump gives the same all day, as it does not know the time of day: {CALL}",
}
PRIMED: Final = "your clinic is filling its tubing: your program does not run"
STATES: Final = {
    State.RUN: "yes, your pump is working",
    State.STOP: f"no, your pump is stopped and gives no drug: {CALL}",
    State.SAFE_STATE: f"your pump gives only the least that it can: {CALL}",
    State.FAULT_STOP: f"no, your pump has found a fault and gives no drug: {CALL}",
    State.EOS: f"no, your pump has reached its end and gives no drug: {CALL}",
}
TONES: Final = {
    AlarmClass.CRITICAL: "two tones that alternate for 3 seconds",
    AlarmClass.NON_CRITICAL: "one single tone of 1 second",
}
MEANINGS: Final = {
    AlarmId.LOW_RESERVOIR: f"the drug is running low and must be refilled: {CALL}",
    AlarmId.EMPTY: f"there is no drug left: {CALL}",
    AlarmId.MOTOR_STALL: f"the motor stands still, as near a strong magnet; go away from it, and {CALL}",
    AlarmId.STOPPED_TOO_LONG: f"the pump has been stopped for too long: {CALL}",
    AlarmId.STOP_EXPIRED: f"a stop has come to its end: {CALL}",
    AlarmId.ERI: f"the pump must be replaced in the next weeks: {TELL}",
    AlarmId.EOS: f"the pump has reached its end and gives no drug: {CALL}",
    AlarmId.MEM_NONCRITICAL: f"something in the pump's memory is damaged, not your therapy: {TELL}",
    AlarmId.MEM_CRITICAL: f"your therapy in the pump's memory is damaged: {CALL}",
    AlarmId.RESET: f"the pump has started anew: {CALL}",
    AlarmId.BOLUS_PARTIAL: f"a bolus was not given whole: {TELL}",
    AlarmId.WALL_INVALID: f"the pump does not know the time of day: {TELL}",
    AlarmId.SELF_TEST: f"the pump has found a part of itself broken: {CALL}",
    AlarmId.TUBE_SET: f"the pump stood still for so long that its tubing must be looked at: {CALL}",
}
NEVER_ACTIVE: Final = frozenset(
    {AlarmId.RESET, AlarmId.BOLUS_PARTIAL, AlarmId.KEY_RECOVERY, AlarmId.TUBE_SET}
)
NO_TONE: Final = "no alarm is on: what you hear is a test by your clinic, or no tone of your pump"
NO_TONE_NOW: Final = (
    f"no alarm is on; one was, and your clinic has not looked at it: if you hear a tone, {CALL}"
)
UNKNOWN_ALARM: Final = f"an alarm that this program has no words for: {CALL}"
IN_THE_WAY: Final = Activity.PATIENT | Activity.PRIME | Activity.BRIDGE


def as_patient(options: Options) -> Options:
    """The options with the patient's role where neither a role nor a key is named."""
    if options.role is None and options.key_path is None:
        return options._replace(role=Role.PATIENT.name.lower())
    return options


def next_words(next_allowed_s: int) -> str:
    """When the next bolus may be asked for, by the pump's word."""
    if next_allowed_s == NOT_BY_WAITING:
        return "not by waiting alone"
    return f"in {duration(next_allowed_s)}" if next_allowed_s else "at once"


@click.command("patient-bolus")
@YES
@with_options
def patient_bolus(options: Options, *, yes: bool) -> None:
    """Ask for the bolus that the program allows the patient. Its size is the program's."""
    require_target(options)
    with connected(as_patient(options), settled=True) as pump:
        program_rev = pump.status().program_rev  # read first: what changes after it is refused
        allowed = _bolus_words(pump.program().header)
        confirm(f"ask the pump for your bolus{f', {allowed}' if allowed else ''}", yes=yes)
        if pump.status().program_rev != program_rev:
            raise DeviceError(
                "nothing was sent: your clinic changed the program while you were asked",
                advice="ask once more: it may allow another bolus",
            )
        executed = pump.patient_bolus()
        answer = executed.answer
        if answer is None or answer.deny is DenyReason.GRANTED:
            report(options, executed, [("bolus", allowed)] if allowed else [])
            return
        when = next_words(answer.next_allowed_s)
        error = DeviceError(
            f"no bolus is given: {DENIED[answer.deny]}", advice=f"the next may be asked for: {when}"
        )
        rows = [*executed_rows(executed), ("why", DENIED[answer.deny]), ("next", when)]
        show(
            options,
            rows,
            {
                "cmd_id": executed.cmd_id,
                "outcome": executed.outcome,
                "delivered_nl": executed.delivered_nl,
                "uncertain_nl": executed.uncertain_nl,
                "reply": answer,
            },
            done=outcome_sentence(executed.opcode, executed.cmd_id, executed.outcome.name),
            error=error,
        )
        raise error


def _bolus_words(header: ProgramHeader) -> str:
    """The bolus of a program in words; "" where it has none."""
    if ProgramFlag.PATIENT not in header.flags:
        return ""
    allowed, dose_ng = header.patient, drug_ng(header.patient.volume_nl, header.concentration_ng_per_ml)
    return f"{mcg(nearest(dose_ng))} ({ml(allowed.volume_nl)}) over {duration(allowed.duration_s)}"


class Allowance(NamedTuple):
    """Whether the patient may have a bolus now, by all that may be read; the pump alone decides, when it is asked."""

    deny: DenyReason | None
    """Why not; None where it depends on what this key may not read."""
    next_allowed_s: int
    """From now; 0 at once, FFFFFFFF not by waiting alone."""


def allowance(pump: Programmer, header: ProgramHeader, status: GetStatusReply) -> Allowance:
    """Hold what the pump says of itself against what the program allows."""
    entries = pump.read_log().entries
    hidden = any(entry.type is LogType.HIDDEN for entry in entries)
    waits = {} if hidden else waiting_s(header.patient, entries, status.t_mono_s)
    reasons = {
        DenyReason.NOT_PROGRAMMED: ProgramFlag.PATIENT not in header.flags,
        DenyReason.STOPPED: status.state is not State.RUN,
        DenyReason.ALARM: bool(critical_alarms(pump.alarms().alarms)),
        DenyReason.ANOTHER_ACTIVE: bool(status.activity & IN_THE_WAY),
        **{deny: left_s > 0 for deny, left_s in waits.items()},
        DenyReason.LIMIT: _over_limit(pump.delivery(), header.patient),
    }
    deny = next((each for each, is_so in reasons.items() if is_so), None if hidden else DenyReason.GRANTED)
    if deny is DenyReason.GRANTED:
        return Allowance(deny, 0)
    return Allowance(deny, max(waits.values()) if deny in waits else NOT_BY_WAITING)


def waiting_s(allowed: PatientBlock, entries: tuple[LogEntry, ...], now_s: int) -> dict[DenyReason, int]:
    """How long lockout and count still forbid a bolus, by the log [SPEC 6]; what it no longer holds is long ago."""
    begins = {LogType.PROGRAM_COMMIT, LogType.REFILL, LogType.PTM_GRANT}
    begun_s = [entry.t_mono_s for entry in entries if entry.type in begins]
    granted_s = [entry.t_mono_s for entry in entries if entry.type is LogType.PTM_GRANT]
    lockout_s = max(begun_s) + allowed.lockout_s - now_s if begun_s else 0
    counted = [at_s for at_s in granted_s if at_s > now_s - allowed.window_s]
    count_s = 0
    if allowed.max_count and len(counted) >= allowed.max_count:
        count_s = counted[-allowed.max_count] + allowed.window_s - now_s
    return {DenyReason.LOCKOUT: max(0, lockout_s), DenyReason.COUNT: max(0, count_s)}


def _over_limit(delivery: GetDeliveryReply, allowed: PatientBlock) -> bool:
    return (
        delivery.hour_used_nl + allowed.volume_nl > delivery.hour_max_nl
        or delivery.day_used_nl + allowed.volume_nl > delivery.day_max_nl
    )


@click.command()
@with_options
def checkup(options: Options) -> None:
    """What a patient may ask: is my pump working, what does the tone mean, when is the refill, may I have a bolus."""
    with connected(as_patient(options)) as pump:
        rows, part = checkup_of(pump)
    show(options, rows, {**part})


def checkup_of(pump: Programmer) -> tuple[Rows, CheckupPart]:
    """What a patient may ask of a pump, for people and for programs."""
    dates, alarms = read_dates(pump), pump.alarms().alarms
    status = dates.status
    header = pump.program().header if status.mode is not InfusionMode.NONE else None
    found = None if header is None else allowance(pump, header, status)
    rows: Rows = [("my pump", pump_words(status, alarms))]
    tones = [_tone(row, dates) for row in alarms if may_be_heard(row)]
    rows += [("the tone", f"{tone['sounds']} means: {tone['means']}") for tone in tones]
    if not tones:
        unseen = any(AlarmFlag.LATCHED in row.flags and AlarmFlag.SILENCED not in row.flags for row in alarms)
        rows.append(("the tone", NO_TONE_NOW if unseen else NO_TONE))
    rows.append(("refill", refill_words(dates)))
    bolus = BolusAnswer(allowed=None, why="your pump has no program", next_allowed_s=None)
    if header is not None and found is not None:
        bolus = _bolus_answer(found)
        if words := _bolus_words(header):
            rows.append(("your bolus", words))
    rows.append(("a bolus now", bolus["why"]))
    part = CheckupPart(
        working=hindrance(status, alarms) is None,
        state=status.state,
        tones=tones,
        low_wall_s=dates.wall_s(dates.by_program.low_ms),
        tz_minutes=status.tz_minutes,
        wall_valid=dates.wall_valid,
        low_in_ms=dates.by_program.low_ms,
        bolus=bolus,
    )
    return rows, part


def pump_words(status: GetStatusReply, alarms: tuple[AlarmRow, ...]) -> str:
    """Whether the pump gives what its program says, for the patient."""
    found = hindrance(status, alarms)
    if found in NOT_GIVEN:
        return NOT_GIVEN[found]
    if found is Hindrance.STATE and Activity.PRIME in status.activity:
        return PRIMED
    return STATES[status.state]


def may_be_heard(row: AlarmRow) -> bool:
    """Whether an alarm is on, or is one that is over at once and sounds until somebody has looked at it [SPEC 6]."""
    left = AlarmFlag.LATCHED in row.flags and AlarmFlag.SILENCED not in row.flags
    return AlarmFlag.ACTIVE in row.flags or (row.alarm_id in NEVER_ACTIVE and left)


def _tone(row: AlarmRow, dates: PumpDates) -> ToneMeaning:
    means = MEANINGS.get(row.alarm_id, UNKNOWN_ALARM)
    if row.alarm_id is AlarmId.LOW_RESERVOIR and AlarmFlag.ACTIVE in row.flags:
        means = f"{means}; {left_words(dates)}"
    return ToneMeaning(
        alarm_id=row.alarm_id, alarm_class=row.alarm_class, sounds=TONES[row.alarm_class], means=means
    )


def left_words(dates: PumpDates) -> str:
    """How much is left by the pump's count, and until when at the latest: it may be dry before."""
    left_nl, empty_ms = dates.reservoir.reservoir_calc_nl, dates.all_patient.empty_ms
    if not left_nl:
        return "by its count nothing is left"
    until = "" if empty_ms is None else f", at the latest until {dates.words(empty_ms)}"
    return f"by its count {ml(left_nl)} are left{until}"


def refill_words(dates: PumpDates) -> str:
    """When the reservoir must be filled; also if the patient asks for every bolus that is allotted."""
    low_ms, sooner_ms = dates.by_program.low_ms, dates.all_patient.low_ms
    if low_ms is None:
        return "not while the pump gives no drug"
    if low_ms == 0:
        return f"it is due: {CALL}; {left_words(dates)}"
    before = "before " if dates.wall_valid else ""
    at_worst = f"; {before}{dates.words(sooner_ms)} if you ask for every bolus" if sooner_ms != low_ms else ""
    return f"{before}{dates.words(low_ms)}{at_worst}"


def _bolus_answer(found: Allowance) -> BolusAnswer:
    if found.deny is None:
        return BolusAnswer(
            allowed=None,
            why="ask for it: the pump tells you, `pumpbench program patient-bolus`",
            next_allowed_s=None,
        )
    if found.deny is DenyReason.GRANTED:
        return BolusAnswer(allowed=True, why="yes, you may ask for one", next_allowed_s=0)
    next_s = None if found.next_allowed_s == NOT_BY_WAITING else found.next_allowed_s
    when = "" if not next_s else f"; the next {next_words(next_s)}"
    return BolusAnswer(allowed=False, why=f"no: {DENIED[found.deny]}{when}", next_allowed_s=next_s)


PATIENT_COMMANDS = (patient_bolus, checkup)
