"""Answers of a pump as tables for people: label and text, exact decimals, what is absent said as absent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from hil.identity_words import identity_parts
from hil.programmer.verdicts import NEVER_HAPPENED
from hil.quantity_words import (
    U32_MAX,
    WALL_EPOCH,
    at_least,
    duration,
    mcg_per_day,
    mcg_per_ml,
    ml,
    ml_per_day,
    moved,
)
from protocol.identifiers import (
    Activity,
    AlarmFlag,
    AlarmId,
    InfusionMode,
    Opcode,
    Outcome,
    State,
    StatusFlag,
)
from protocol.messages.program import ProgCommitReply
from protocol.messages.reservoir import RefillReply
from protocol.messages.stop import ResumeReply, StopReply
from protocol.messages.time import TimeSetReply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import TypeGuard

    from hil.outcome_store import FiledCommand
    from hil.programmer.command_ledger import Executed
    from protocol.messages.alarms import GetAlarmsReply
    from protocol.messages.conversation import GetLinkStatsReply
    from protocol.messages.ledger import QueryCmdReply
    from protocol.messages.program import GetProgramReply
    from protocol.messages.reading import GetDeliveryReply, GetInfoReply, GetLimitsReply, GetStatusReply
    from protocol.messages.reservoir import GetReservoirReply
    from protocol.messages.time import GetTimeReply

Rows = list[tuple[str, str]]
NEVER = U32_MAX


def table(rows: Rows) -> str:
    """Rows as aligned text."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}".rstrip() for label, text in rows)


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of several columns as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def wall_text(wall_s: int, tz_minutes: int = 0, *, valid: bool = True) -> str:
    """Wall time in the pump's own zone."""
    if not valid:
        return "not set"
    return f"{_local(wall_s, tz_minutes):%Y-%m-%d %H:%M:%S} UTC{_offset(tz_minutes)}"


def iso_time(wall_s: int, tz_minutes: int = 0) -> str:
    """Wall time in the pump's own zone, as ISO 8601 has it."""
    return f"{_local(wall_s, tz_minutes):%Y-%m-%dT%H:%M:%S}{_offset(tz_minutes)}"


def _local(wall_s: int, tz_minutes: int) -> datetime:
    return WALL_EPOCH + timedelta(seconds=wall_s, minutes=tz_minutes)


def _offset(tz_minutes: int) -> str:
    """A time zone as `+01:00`; also one of a pump that sends what no time zone is."""
    sign, minutes = ("-", -tz_minutes) if tz_minutes < 0 else ("+", tz_minutes)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def moment(t_mono_s: int, status: GetStatusReply) -> str:
    """A moment of the pump's running time, as time from now and, where its clock is set, as a date."""
    if t_mono_s == NEVER:
        return "never at this rate"
    away_s = t_mono_s - status.t_mono_s
    when = f"in {duration(away_s)}" if away_s >= 0 else f"{duration(-away_s)} ago"
    if StatusFlag.WALL_VALID not in status.flags:
        return when
    return f"{wall_text(status.wall_s + away_s, status.tz_minutes)} ({when})"


def alarm_names(bits: int) -> str:
    """Names of the alarms in a bit list."""
    known = {alarm.value: alarm.name for alarm in AlarmId}
    names = [known.get(n, f"unknown alarm {n}") for n in range(32) if bits >> n & 1]
    return ", ".join(names) or "none"


def status_rows(status: GetStatusReply, info: GetInfoReply, program: GetProgramReply | None) -> Rows:
    """State, program, reservoir, alarms and clock of a pump."""
    state = status.state.name
    if status.state is not State.RUN:
        state += f" ({status.state_reason.name.lower().replace('_', ' ')})"
    rows = [*_identity_rows(info), ("state", state)]
    if status.state is not State.RUN and status.stopped_s:
        rows.append(("stopped for", duration(status.stopped_s)))
    rows.append(("mode", status.mode.name if status.mode is not InfusionMode.NONE else "no program"))
    if program is not None:
        rows += _program_rows(program)
    rows.append(("rate now", f"{ml_per_day(status.rate_nl_per_day)} ({_per_hour(status.rate_nl_per_day)})"))
    rows += delivery_under_way(status)
    rows += [
        ("reservoir", f"{ml(status.reservoir_calc_nl)} (calculated)"),
        ("delivered", f"{ml(status.delivered_total_nl)} in all"),
        ("alarms", alarm_names(status.alarm_active | status.alarm_latched)),
        ("battery", f"{status.batt_pct} % ({status.batt_mv} mV)"),
        (
            "clock",
            wall_text(status.wall_s, status.tz_minutes, valid=StatusFlag.WALL_VALID in status.flags),
        ),
        ("running for", duration(status.t_mono_s)),
        ("program", f"revision {status.program_rev}"),
    ]
    return rows


_DELIVERIES = {
    Activity.PATIENT: "patient bolus",
    Activity.BOLUS: "bolus",
    Activity.PERIODIC: "periodic bolus",
    Activity.PRIME: "prime",
    Activity.BRIDGE: "bridge",
}
"""What the status speaks of where several are under way: the first of them."""


def delivery_under_way(status: GetStatusReply) -> Rows:
    """What is delivered besides the basal rate or in its place, in one line; none where nothing is."""
    for activity, label in _DELIVERIES.items():
        if activity in status.activity:
            command = f"command {status.bolus_cmd_id}, " if status.bolus_cmd_id else ""
            others = status.activity & ~(activity | Activity.SUSPENDED_BOLUS)
            waits = (
                f" ({'a bolus' if others else 'it'} waits)"
                if Activity.SUSPENDED_BOLUS in status.activity
                else ""
            )
            return [(label, f"{command}{ml(status.bolus_left_nl)} left{waits}")]
    return []


def _identity_rows(info: GetInfoReply) -> Rows:
    """Which pump answers, a line each; what has no label of its own is about the key and its session."""
    (_, kind), *others = identity_parts(info)
    return [("pump", kind), *((label or "security", text) for label, text in others)]


def _per_hour(rate_nl_per_day: int) -> str:
    """Microlitres an hour, to the nearest 0.001."""
    return f"{round(rate_nl_per_day / 24) / 1000:g} uL/h"


def _program_rows(program: GetProgramReply) -> Rows:
    header = program.header
    doses = ", ".join(mcg_per_day(group.dose_ng_per_day) for group in header.groups[: header.n_groups])
    return [
        ("dose", f"{doses} (prescribed)"),
        ("drug", f"number {header.drug_id}, {mcg_per_ml(header.concentration_ng_per_ml)}"),
    ]


def info_rows(info: GetInfoReply) -> Rows:
    """Which pump this is."""
    return [
        *_identity_rows(info),
        ("hardware", str(info.hw)),
        ("CRC-32", f"{info.fw_crc32:08X} of the firmware"),
        ("implanted", wall_text(info.implant_wall_s, valid=info.implant_wall_s != 0)),
        ("reservoir", ml(info.reservoir_size_nl)),
        ("tubing", ml(info.tubing_nl)),
        ("update", info.commit_mode.name.lower().replace("_", " ")),
        ("memory", f"{info.memory_id:016x}"),
    ]


def limits_rows(limits: GetLimitsReply) -> Rows:
    """What it refuses to exceed."""
    return [
        ("rate", f"{ml_per_day(limits.rate_min_nl_per_day)} to {ml_per_day(limits.rate_max_nl_per_day)}"),
        ("safe rate", ml_per_day(limits.safe_rate_nl_per_day)),
        ("bolus", f"at most {ml(limits.bolus_max_nl)}, {duration(limits.min_bolus_gap_s)} apart"),
        ("boluses", f"{ml(limits.hour_max_nl)} in an hour, {ml(limits.day_max_nl)} in a day"),
        ("program", f"{ml(limits.program_day_max_nl)} in a day, {limits.max_segments} segments"),
        ("stop", f"at most {duration(limits.max_stop_s)}"),
        ("stroke", f"{limits.stroke_nl} nL"),
        ("log", f"{limits.log_capacity} entries"),
        ("hellos", f"{limits.hello_per_min} a minute, {limits.hello_per_day} a day without proof"),
    ]


def delivery_rows(delivery: GetDeliveryReply) -> Rows:
    """What was delivered, by source."""
    sources = ("basal", "bolus", "patient", "periodic", "prime", "bridge")
    return [
        *((name, ml(getattr(delivery, f"{name}_nl"))) for name in sources),
        ("strokes", str(delivery.strokes)),
        ("boluses, hour", f"{ml(delivery.hour_used_nl)} of {ml(delivery.hour_max_nl)}"),
        ("boluses, day", f"{ml(delivery.day_used_nl)} of {ml(delivery.day_max_nl)}"),
    ]


def reservoir_rows(reservoir: GetReservoirReply, status: GetStatusReply) -> Rows:
    """The calculated reservoir and its dates."""
    return [
        ("reservoir", f"{ml(reservoir.reservoir_calc_nl)} (calculated)"),
        ("low alarm at", ml(reservoir.low_alarm_nl)),
        ("low", moment(reservoir.low_t_mono_s, status)),
        ("empty", moment(reservoir.empty_t_mono_s, status)),
        ("last refill", moment(reservoir.last_refill_t_mono_s, status)),
        ("filled", ml(reservoir.last_fill_nl)),
        (
            "aspirated",
            f"{ml(reservoir.last_aspirated_nl)} where {ml(reservoir.last_expected_nl)} was expected",
        ),
        ("battery", reservoir.battery_phase.name),
        (
            "replace by",
            at_least(
                wall_text(reservoir.replace_by_wall_s, valid=reservoir.replace_by_wall_s != 0),
                reservoir.replace_by_wall_s,
            ),
        ),
    ]


def time_rows(time: GetTimeReply, *, valid: bool) -> Rows:
    """Both clocks."""
    return [
        ("running for", f"{time.t_mono_s}.{time.t_ms:03} s ({duration(time.t_mono_s)})"),
        ("wall clock", wall_text(time.wall_s, time.tz_minutes, valid=valid)),
        ("started", f"{time.boot_count} times"),
    ]


def link_rows(stats: GetLinkStatsReply) -> Rows:
    """What the link has seen go wrong."""
    return [(name.replace("_", " "), str(value)) for name, value in stats._asdict().items()]


def alarm_lines(alarms: GetAlarmsReply, status: GetStatusReply) -> list[str]:
    """One line an alarm."""
    lines = []
    for row in alarms.alarms:
        flags = " ".join(flag.name.lower() for flag in AlarmFlag if flag in row.flags and flag.name)
        rank = row.alarm_class.name.lower().replace("_", "-")
        since = moment(row.on_t_mono_s, status)
        lines.append(
            f"{row.alarm_id.name:<18} {rank:<12} {flags:<16} since {since}, value {at_least(str(row.value), row.value)}"
        )
    return lines


class Verdict(NamedTuple):
    """What became of a command, by all that is known here.

    A volume of None is not known, or that of a command which the pump never received.
    """

    outcome: str
    delivered_nl: int | None
    uncertain_nl: int | None
    pump_outcome: str
    """What the pump itself answered."""


def verdict(reply: QueryCmdReply, filed: FiledCommand | None) -> Verdict:
    """What is on file of an own command goes before what a pump remembers of its id."""
    told: QueryCmdReply | FiledCommand = reply
    outcome = reply.outcome.name
    if _is_settled(filed):
        told, outcome = filed, filed.outcome
    has_volume = outcome not in _WITHOUT_VOLUME
    return Verdict(
        outcome,
        told.delivered_nl if has_volume else None,
        told.uncertain_nl if has_volume else None,
        reply.outcome.name,
    )


def _is_settled(filed: FiledCommand | None) -> TypeGuard[FiledCommand]:
    """Whether it is on file what became of a command."""
    return filed is not None and not filed.unknown and not filed.accepted


_WITHOUT_VOLUME = {each.name for each in NEVER_HAPPENED | {Outcome.TOO_OLD}}
_NEVER_HAPPENED_WORDS = {
    Outcome.NEVER_RECEIVED.name: "it never received it",
    Outcome.VOIDED.name: "it never received it, and will not carry it out",
}


def _outcome_words(outcome: str, *, settled: bool) -> str:
    """An outcome by its name, and in a sentence where the pump received nothing, or says so of what is not on file."""
    words = _NEVER_HAPPENED_WORDS.get(outcome)
    if words is None:
        return outcome
    return f"{outcome}: the pump {words.removeprefix('it ') if settled else f'says that {words}'}"


def query_rows(cmd_id: int, reply: QueryCmdReply, filed: FiledCommand | None = None) -> Rows:
    """What became of a command, and which it was."""
    known = verdict(reply, filed)
    op = reply.op if filed is None else filed.opcode
    name = Opcode(op).name if op in set(Opcode) else f"op 0x{op:02X}" if op else ""
    volumes = [
        ("delivered", "not known" if known.delivered_nl is None else ml(known.delivered_nl)),
        ("uncertain", "not known" if known.uncertain_nl is None else ml(known.uncertain_nl)),
    ]
    return [
        ("command", f"{cmd_id} {name}".rstrip()),
        ("outcome", _outcome_words(known.outcome, settled=_is_settled(filed))),
        *([("pump says", known.pump_outcome)] if known.pump_outcome != known.outcome else []),
        *([] if known.outcome in _NEVER_HAPPENED_WORDS else volumes),
        ("log", f"{reply.start_seq} to {reply.end_seq or 'now'}" if reply.start_seq else "no entry"),
    ]


def executed_rows(executed: Executed[Any]) -> Rows:
    """What a command did."""
    rows = [("command", f"{executed.cmd_id} {executed.opcode.name}"), ("outcome", executed.outcome.name)]
    if executed.delivered_nl or executed.uncertain_nl:
        rows.append(("delivered", ml(executed.delivered_nl)))
    if executed.uncertain_nl:
        rows.append(("uncertain", f"at most {ml(executed.uncertain_nl)} more"))
    if executed.answer is None:
        rows.append(("answer", "lost; the outcome was learnt by asking"))
    return rows


def reply_rows(reply: object) -> Rows:
    """What the pump added of its own, by the kind of its answer; none where that is lost or says no more."""
    match reply:
        case ProgCommitReply():
            return [("program", f"revision {reply.program_rev}"), ("state", reply.state.name)]
        case StopReply():
            stopped = [("state", reply.state.name), ("stopped for", duration(reply.stopped_s))]
            return [*stopped, ("expires", _expiry_words(reply))]
        case ResumeReply():
            return [("state", reply.state.name), ("rate", ml_per_day(reply.rate_nl_per_day))]
        case RefillReply():
            volumes = (reply.reservoir_calc_nl, reply.expected_nl, reply.diff_nl)
            return list(zip(("reservoir", "expected", "difference"), map(ml, volumes), strict=True))
        case TimeSetReply():
            return [("moved by", moved(reply.delta_s))]
    return []


def _expiry_words(reply: StopReply) -> str:
    if not reply.expires_t_mono_s:
        return "never: there is no therapy that could be stopped"
    return f"at {duration(reply.expires_t_mono_s)} of running: {reply.on_expiry.name}"
