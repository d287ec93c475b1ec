"""The dates of a pump: low and empty by its own word and by its program, and the date to replace it by.

The pump computes its dates itself. Here they are computed a second time from the program that was read, so that one of
the two that is wrong is seen; and they are there before a program is started, when the pump has none [DOMAIN 6.2].
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.cli.procedure_documents import DatesPart
from hil.cli.tables import NEVER, wall_text
from hil.procedures.doses import MS_PER_DAY, delivery_time_ms
from hil.procedures.reservoir import (
    LATE_MONTHS,
    SOON_DAYS,
    BolusSeries,
    BridgeLeft,
    Course,
    RefillDates,
    WeekStep,
    allotted_nl_per_day,
    refill_dates,
)
from hil.procedures.service_dates import SERVICE_LIFE_MONTHS, months_later, service_dates
from hil.quantity_words import U32_MAX, WALL_EPOCH, duration, ml
from protocol.identifiers import Activity, BatteryPhase, InfusionMode, ProgramFlag, State, StatusFlag

if TYPE_CHECKING:
    from datetime import datetime

    from hil.cli.tables import Rows
    from hil.programmer.programmer import Programmer
    from protocol.messages.program import GetProgramReply, ProgramHeader
    from protocol.messages.reading import GetInfoReply, GetLimitsReply, GetStatusReply
    from protocol.messages.reservoir import GetReservoirReply

MS_PER_S: Final = 1_000
MS_PER_MINUTE: Final = 60_000
DAYS_PER_WEEK: Final = 7
EPOCH_WEEKDAY: Final = WALL_EPOCH.weekday()
AGREEING_MS: Final = 180_000  # what two computations may differ by, besides a stroke [DOMAIN 6.2, SR-21]


class PumpDates(NamedTuple):
    """What the dates of a pump follow from, read in one go, and those computed from its program, in ms from now."""

    reservoir: GetReservoirReply
    status: GetStatusReply
    info: GetInfoReply
    limits: GetLimitsReply
    by_program: RefillDates
    all_patient: RefillDates
    """If the patient asks for every bolus that is allotted."""

    @property
    def running(self) -> bool:
        """Whether the dates are those of what is delivered now."""
        return self.status.state is State.RUN

    @property
    def wall_valid(self) -> bool:
        """Whether the pump's clock is to be believed."""
        return StatusFlag.WALL_VALID in self.status.flags

    def wall_s(self, in_ms: int | None) -> int | None:
        """The date of a moment to come, rounded up to a second; None where it never comes or no clock knows it."""
        if in_ms is None or not self.wall_valid:
            return None
        then_s = self.status.wall_s - (-in_ms // MS_PER_S)
        return then_s if then_s <= U32_MAX else None

    def words(self, in_ms: int | None) -> str:
        """A moment to come as people read it."""
        if in_ms is None:
            return "never at this rate"
        if not in_ms:
            return "reached already"  # when that was, the alarm and the log say
        away = f"in {duration(-(-in_ms // MS_PER_S))}"
        then_s = self.wall_s(in_ms)
        return away if then_s is None else f"{wall_text(then_s, self.status.tz_minutes)} ({away})"


def read_dates(pump: Programmer) -> PumpDates:
    """Read what the dates follow from, and compute them."""
    reservoir, status = pump.reservoir(), pump.status()
    program = pump.program() if status.mode is not InfusionMode.NONE else None
    pending_nl = status.bolus_left_nl if not status.activity & Activity.BRIDGE else 0
    courses = [_course(program, reservoir, status, patient=patient) for patient in (False, True)]
    dates = [
        refill_dates(reservoir.reservoir_calc_nl - pending_nl, reservoir.low_alarm_nl, each)
        for each in courses
    ]
    return PumpDates(reservoir, status, pump.info(), pump.limits(), *dates)


def _course(
    program: GetProgramReply | None, reservoir: GetReservoirReply, status: GetStatusReply, *, patient: bool
) -> Course:
    """What leaves the reservoir: by the program, or at the one rate of a pump that has none or may not run it."""
    if program is None or not _follows_program(status):
        return Course.constant(status.rate_nl_per_day)
    header = program.header
    local_ms = (status.wall_s + status.tz_minutes * 60) * MS_PER_S + EPOCH_WEEKDAY * MS_PER_DAY
    allotted = allotted_nl_per_day(
        header.patient.volume_nl, header.patient.lockout_s, header.patient.window_s, header.patient.max_count
    )
    return Course(
        _week(program),
        week_ms=local_ms % (DAYS_PER_WEEK * MS_PER_DAY),
        bridge=BridgeLeft(status.bolus_left_nl, header.bridge.rate_nl_per_day)
        if status.activity & Activity.BRIDGE
        else None,
        periodic=_periodic(header, reservoir, status),
        patient_nl_per_day=allotted if patient and header.flags & ProgramFlag.PATIENT else 0 * allotted,
    )


def _follows_program(status: GetStatusReply) -> bool:
    """Whether the dates are those of a program: of one that is stopped, as if it were started now."""
    needs_clock = status.mode is InfusionMode.FLEX and StatusFlag.WALL_VALID not in status.flags
    return (
        status.state in {State.RUN, State.STOP} and status.mode is not InfusionMode.NONE and not needs_clock
    )


def _week(program: GetProgramReply) -> tuple[WeekStep, ...]:
    """The steps of all groups in the order of the week; one where the rate never changes."""
    steps: list[WeekStep] = []
    first = 0
    for group in program.header.groups[: program.header.n_groups]:
        of_day = program.segments[first : first + group.n_segments]
        first += group.n_segments
        steps += [
            WeekStep(day * MS_PER_DAY + segment.start_min * MS_PER_MINUTE, segment.rate_nl_per_day)
            for day in range(DAYS_PER_WEEK)
            if group.day_mask >> day & 1
            for segment in of_day
        ]
    steps.sort()
    changed = [step for n, step in enumerate(steps) if not n or step[1] != steps[n - 1].rate_nl_per_day]
    return tuple(changed) if changed and changed[0].start_ms == 0 else (WeekStep(0, 0), *changed)


def _periodic(
    header: ProgramHeader, reservoir: GetReservoirReply, status: GetStatusReply
) -> BolusSeries | None:
    """The series, counted from when the program was committed; from now where no clock knows that."""
    block = header.periodic
    if not header.flags & ProgramFlag.PERIODIC or not (block.interval_s and block.duration_s):
        return None
    known = StatusFlag.WALL_VALID in status.flags and reservoir.last_program_wall_s
    since_s = status.wall_s - reservoir.last_program_wall_s if known else 0
    return BolusSeries(
        block.volume_nl,
        block.duration_s * MS_PER_S,
        block.interval_s * MS_PER_S,
        (block.first_delay_s - since_s) * MS_PER_S,
    )


def _pump_in_ms(t_mono_s: int, status: GetStatusReply) -> int | None:
    """A moment that the pump names, in ms from now; None where it never comes."""
    return None if t_mono_s == NEVER else (t_mono_s - status.t_mono_s) * MS_PER_S


def warnings_of(dates: PumpDates) -> list[str]:
    """What deserves a second look: dates that disagree, a refill that is due soon or late, a date of replacement."""
    return [*_disagreements(dates), *_odd_refill_dates(dates), *_odd_replacement(dates)]


def _disagreements(dates: PumpDates) -> list[str]:
    """Where the pump's own dates are not those of its program; while it does not run it has none."""
    whose = "if it is started now" if _follows_program(dates.status) else "at the rate of now"
    if dates.status.mode is InfusionMode.NONE:
        return ["there is no program"]
    if not dates.running:
        return [f"the program does not run: these are the dates {whose}"]
    a_stroke_ms = delivery_time_ms(dates.limits.stroke_nl, max(1, dates.limits.safe_rate_nl_per_day))
    slowest_ms = AGREEING_MS + min(
        a_stroke_ms, delivery_time_ms(dates.limits.stroke_nl, max(1, dates.status.rate_nl_per_day))
    )
    told = []
    if not _follows_program(dates.status):
        told.append(f"the pump does not know the time of day: these are the dates {whose}")
    for name, t_mono_s, ours in (
        ("low", dates.reservoir.low_t_mono_s, dates.by_program.low_ms),
        ("empty", dates.reservoir.empty_t_mono_s, dates.by_program.empty_ms),
    ):
        pumps = _pump_in_ms(t_mono_s, dates.status)
        if (pumps is None) != (ours is None) or (
            pumps is not None and ours is not None and abs(pumps - ours) > slowest_ms
        ):
            told.append(
                f"the pump's own date of {name} is {dates.words(pumps)}: read program and clock again"
            )
    return told


def _odd_refill_dates(dates: PumpDates) -> list[str]:
    """A refill that is due in less than a week, or in more than half a year [DOMAIN 2.3]."""
    low_ms = dates.by_program.low_ms
    if low_ms is None:
        return ["nothing leaves the reservoir, so that it will never be low"]
    if not low_ms:
        return ["it is low"]
    if low_ms < SOON_DAYS * MS_PER_DAY:
        return [f"it is low in less than {SOON_DAYS} days"]
    if dates.wall_valid:
        now = WALL_EPOCH + timedelta(seconds=dates.status.wall_s)
        late_ms = (months_later(now, LATE_MONTHS) - now) // timedelta(milliseconds=1)
        if low_ms > late_ms:
            return [f"it is low in more than {LATE_MONTHS} months: the drug may not keep so long"]
    return []


def implanted(dates: PumpDates) -> datetime | None:
    """When the pump was implanted, in its zone; None where it does not know."""
    if not dates.info.implant_wall_s:
        return None
    moment = WALL_EPOCH + timedelta(seconds=dates.info.implant_wall_s)
    return moment + timedelta(minutes=dates.status.tz_minutes)


def plan_by_wall_s(dates: PumpDates) -> int | None:
    """The date to plan the replacement by; None where the day of the implant is not known."""
    local = implanted(dates)
    return None if local is None else _wall_s(service_dates(local).plan_by, dates.status.tz_minutes)


def _odd_replacement(dates: PumpDates) -> list[str]:
    """A replacement that should be planned, or, while the battery is good, a date that is not the of 84 months."""
    local = implanted(dates)
    said_s = dates.reservoir.replace_by_wall_s
    plan_s = plan_by_wall_s(dates)
    if dates.wall_valid and plan_s is not None and plan_s <= dates.status.wall_s:
        return ["the pump should be replaced soon, and the day to plan that is past"]
    if local is None or not said_s or dates.reservoir.battery_phase is not BatteryPhase.OK:
        return []
    due_s = _wall_s(service_dates(local).replace_by, dates.status.tz_minutes)
    if abs(said_s - due_s) <= MS_PER_DAY // MS_PER_S:  # the zone may be another one by now
        return []
    due = wall_text(due_s, dates.status.tz_minutes)
    told = f"{SERVICE_LIFE_MONTHS} months after its implant is {due}, and the pump says another date to replace it by"
    return [f"{told}: trust the earlier one"]


def _wall_s(local: datetime, tz_minutes: int) -> int:
    return (local - timedelta(minutes=tz_minutes) - WALL_EPOCH) // timedelta(seconds=1)


def dates_rows(dates: PumpDates) -> Rows:
    """The dates, as people read them."""
    reservoir, zone = dates.reservoir, dates.status.tz_minutes
    rows = [
        ("reservoir", f"{ml(reservoir.reservoir_calc_nl)} (calculated)"),
        (f"low ({ml(reservoir.low_alarm_nl)})", dates.words(dates.by_program.low_ms)),
    ]
    if dates.all_patient != dates.by_program:
        rows.append(
            ("low, all asked for", f"{dates.words(dates.all_patient.low_ms)}, with every allotted bolus")
        )
    rows += [
        ("empty", dates.words(dates.by_program.empty_ms)),
        ("plan by", _date_words(plan_by_wall_s(dates), zone)),
        ("replace by", _date_words(reservoir.replace_by_wall_s or None, zone)),
    ]
    return rows + [("look", warning) for warning in warnings_of(dates)]


def _date_words(wall_s: int | None, tz_minutes: int) -> str:
    return "not known" if wall_s is None else wall_text(wall_s, tz_minutes)


def dates_document(dates: PumpDates) -> DatesPart:
    """The same for programs."""
    low, empty = dates.by_program
    reservoir, status = dates.reservoir, dates.status
    pump_low, pump_empty = (
        None if each == NEVER else each for each in (reservoir.low_t_mono_s, reservoir.empty_t_mono_s)
    )
    return DatesPart(
        reservoir_calc_nl=reservoir.reservoir_calc_nl,
        low_alarm_nl=reservoir.low_alarm_nl,
        t_mono_s=status.t_mono_s,
        wall_s=status.wall_s,
        tz_minutes=status.tz_minutes,
        wall_valid=dates.wall_valid,
        running=dates.running,
        low_wall_s=dates.wall_s(low),
        empty_wall_s=dates.wall_s(empty),
        low_all_patient_wall_s=dates.wall_s(dates.all_patient.low_ms),
        low_in_ms=low,
        empty_in_ms=empty,
        low_all_patient_in_ms=dates.all_patient.low_ms,
        pump_low_t_mono_s=pump_low,
        pump_empty_t_mono_s=pump_empty,
        plan_by_wall_s=plan_by_wall_s(dates),
        replace_by_wall_s=reservoir.replace_by_wall_s or None,
        warnings=warnings_of(dates),
    )
