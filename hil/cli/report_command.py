"""`pumpbench program report`: the session report as a clinic prints it, all of it read from the pump in one session.

What the pump does not tell is said to be unknown, and nothing is left out for it [DOMAIN 5.1, 5.2].
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

import hil
from hil.cli.configuration_command import ITEMS, printable
from hil.cli.connection import Options, connected, show, with_options
from hil.cli.documents import ConfigItem
from hil.cli.hindrance import Hindrance, critical_alarms, hindrance
from hil.cli.log_lines import LogLines, completeness, history_document, history_lines
from hil.cli.program_review import active_program
from hil.cli.quantities import Quantity
from hil.cli.report_documents import ReportPart
from hil.cli.reservoir_dates import PumpDates, dates_document, dates_rows, read_dates
from hil.cli.tables import alarm_lines, delivery_rows, delivery_under_way, info_rows, table, wall_text
from hil.cli.therapy_commands import check_of_last_refill
from hil.errors import DeviceRefused
from hil.procedures.doses import S_PER_DAY, drug_ng, nearest
from hil.programs.checks import daily_echo
from hil.programs.reading import read_program
from hil.programs.review import Setting, review_lines, settings
from hil.quantity_words import duration, mcg, mcg_per_ml, ml, ml_per_day
from protocol.identifiers import Activity, ConfigId, ErrorCode, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.cli.tables import Rows
    from hil.programmer.log_reading import LogHistory
    from hil.programmer.programmer import Programmer
    from hil.programs.infusion_program import InfusionProgram
    from protocol.messages.alarms import GetAlarmsReply
    from protocol.messages.program import GetProgramReply
    from protocol.messages.reading import GetDeliveryReply

WIDTH: Final = 80  # columns of a printed page
VISIT_S: Final = 12 * 3_600
"""What is older than this is of an earlier visit."""
CHANGES: Final = frozenset({LogType.PROGRAM_COMMIT, LogType.REFILL})
IN_INFO: Final = frozenset({ConfigId.TUBING_NL, ConfigId.IMPLANT_WALL_S})
UNKNOWN: Final = "not known to this key"
FIRST: Final = 1
"""The first entry that a log ever had: what the log has overwritten since is then named, and counted as lost."""


class Seen(NamedTuple):
    """All that a report shows of a pump."""

    dates: PumpDates
    program: GetProgramReply
    active: InfusionProgram | None
    delivery: GetDeliveryReply
    alarms: GetAlarmsReply
    items: dict[str, str | int | bool | None]
    """What the clinic has set, by name; None of what this key may not read."""
    history: LogHistory
    since_seq: int


@click.command("report")
@click.option(
    "--initial",
    "initial_file",
    type=click.Path(path_type=Path),
    help="TOML file that `show --toml` wrote when the visit began: its settings stand beside those of now.",
)
@click.option("--clinic", default="", help="Clinic, and who did it, for the head of the page.")
@click.option(
    "--from",
    "from_seq",
    type=Quantity(low=1),
    help="First entry of the log that is shown. Default: after the last program or refill of an earlier visit.",
)
@with_options
def report(options: Options, *, initial_file: Path | None, clinic: str, from_seq: int | None) -> None:
    """The session report: settings, reservoir, dates, alarms and events since the last visit. Changes nothing."""
    initial = None if initial_file is None else read_program(initial_file)
    with connected(options) as pump:
        seen = read_report(pump, from_seq)
    investigate = check_of_last_refill(seen.dates.reservoir, seen.history.entries)
    part = _document(seen, clinic, investigate)
    text = "" if options.as_json else "\n".join(page(seen, initial, clinic, investigate))
    show(options, text, {**part})


def read_report(pump: Programmer, from_seq: int | None) -> Seen:
    """Read what a report shows; the log last, since a bad line breaks its long transfer first [DOMAIN 5.3]."""
    dates, active = read_dates(pump), active_program(pump)
    program, delivery, alarms = pump.program(), pump.delivery(), pump.alarms()
    items = {name: _item(pump, item.config_id) for name, item in ITEMS.items()}
    history = pump.read_log(from_seq=FIRST)
    since = first_of_visit(history, dates.status.t_mono_s) if from_seq is None else from_seq
    return Seen(dates, program, active, delivery, alarms, items, history, since)


def _item(pump: Programmer, config_id: ConfigId) -> str | int | bool | None:
    try:
        return pump.configuration(config_id)
    except DeviceRefused as refusal:
        if refusal.error.code is not ErrorCode.ROLE:
            raise
        return None


def first_of_visit(history: LogHistory, now_s: int) -> int:
    """The first entry after the last program or refill of an earlier visit."""
    earlier = [
        entry.seq for entry in history.entries if entry.type in CHANGES and entry.t_mono_s < now_s - VISIT_S
    ]
    return earlier[-1] + 1 if earlier else history.first_seq


def page(seen: Seen, initial: InfusionProgram | None, clinic: str, investigate: str) -> Iterator[str]:
    """The report as lines that fit a page."""
    status = seen.dates.status
    yield "SESSION REPORT"
    yield from _table(
        [
            ("clinic", printable(clinic) or "not named"),
            ("programmer", f"pumpbench {hil.__version__}"),
            ("pump's clock", wall_text(status.wall_s, status.tz_minutes, valid=seen.dates.wall_valid)),
            ("result", result_words(seen)),
            *([("heed", investigate)] if investigate else []),
            *(("under way", f"{what}: {left}") for what, left in delivery_under_way(status)),
        ]
    )
    sections: list[tuple[str, Iterator[str] | list[str]]] = [
        ("PUMP AND PATIENT", _table([*info_rows(seen.dates.info), *_item_rows(seen)])),
        ("SETTINGS, INITIAL AND FINAL" if initial else "SETTINGS", _settings(seen, initial)),
        ("DOSE OF A DAY", _table(_dose_rows(seen))),
        ("RESERVOIR", _table([*_refill_rows(seen), *dates_rows(seen.dates)])),
        ("DELIVERED SINCE THE PUMP WAS MADE", _table(delivery_rows(seen.delivery))),
        ("ALARMS THAT ARE ON", _wrapped(alarm_lines(seen.alarms, status) or ["none"])),
        (f"PATIENT BOLUSES FROM ENTRY {seen.since_seq} OF THE LOG", _table(patient_rows(seen))),
        (f"EVENTS FROM ENTRY {seen.since_seq} OF THE LOG", _wrapped(_event_lines(seen))),
    ]
    for title, lines in sections:
        yield ""
        yield title
        yield from lines


def result_words(seen: Seen) -> str:
    """Whether the visit leaves a pump that gives what its program says [DOMAIN 5.2]."""
    status = seen.dates.status
    match hindrance(status, seen.alarms.alarms):
        case None:
            return "completed"
        case Hindrance.STATE:
            stood = f" for {duration(status.stopped_s)}" if status.stopped_s else ""
            return f"INCOMPLETE: the pump is in {status.state.name}{stood}, and its program does not run"
        case Hindrance.ALARM:
            names = " and ".join(row.alarm_id.name for row in critical_alarms(seen.alarms.alarms))
            return f"INCOMPLETE: {names}, a critical alarm is on, and the pump may not give what its program says"
        case Hindrance.CLOCK:
            rate = ml_per_day(status.rate_nl_per_day)
            return (
                f"INCOMPLETE: the pump does not know the time of day, and gives {rate} instead of its program"
            )


def _table(rows: Rows) -> Iterator[str]:
    yield from _wrapped(table(rows).splitlines(), indent=max(len(label) for label, _ in rows) + 2)


def _wrapped(lines: list[str], indent: int = 4) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(
            f"  {line}", WIDTH, subsequent_indent=" " * (indent + 2), break_on_hyphens=False
        ) or [""]


def _item_rows(seen: Seen) -> Rows:
    return [
        (name, UNKNOWN if seen.items[name] is None else item.words(seen.items[name]))
        for name, item in ITEMS.items()
        if item.config_id not in IN_INFO
    ]


def _settings(seen: Seen, initial: InfusionProgram | None) -> list[str]:
    if seen.active is None:
        return ["  no program"]
    if initial is not None:
        rows_of_both = _settings_of(initial, seen.active)
        return [f"  {line}" for line in review_lines(rows_of_both, ("initial", "final"))]
    rows = [(row.name, row.new) for row in _settings_of(None, seen.active)]
    return [*_table([*rows, ("revision", str(seen.dates.status.program_rev))])]


def _settings_of(initial: InfusionProgram | None, final: InfusionProgram) -> list[Setting]:
    """The settings but for what they add up to in a day, which has a section of its own and long lines."""
    return [row for row in settings(initial, final) if not row.name.endswith("in a day")]


def _dose_rows(seen: Seen) -> Rows:
    if seen.active is None:
        return [("dose", "no program")]
    concentration = seen.active.concentration_ng_per_ml
    rows = [
        (
            "basal" if len(seen.active.courses) == 1 else f"basal, group {place}",
            f"{mcg(nearest(drug_ng(course.day_total_nl, concentration)))} ({ml(course.day_total_nl)})",
        )
        for place, course in enumerate(seen.active.courses, 1)
    ]
    rows += [(name, echo) for name, echo in daily_echo(seen.active)]
    bridge = seen.active.bridge
    if bridge is not None:
        rows.append(("bridge", _bridge_words(seen, bridge.volume_nl, bridge.rate_nl_per_day)))
    return [*rows, ("drug", f"number {seen.active.drug_id}, {mcg_per_ml(concentration)}")]


def _bridge_words(seen: Seen, volume_nl: int, rate_nl_per_day: int) -> str:
    status = seen.dates.status
    if Activity.BRIDGE not in status.activity:
        return f"{ml(volume_nl)}, delivered or ended"
    left_s = -(-status.bolus_left_nl * S_PER_DAY // max(rate_nl_per_day, 1))
    ends = "ends in" if status.state is State.RUN else "stands still; once the program runs it ends in"
    return f"{ml(status.bolus_left_nl)} of {ml(volume_nl)} left, {ends} {duration(left_s)}"


def _refill_rows(seen: Seen) -> Rows:
    held = seen.dates.reservoir
    if not held.last_fill_nl:
        return [("last refill", "none")]
    filled = wall_text(
        held.last_refill_wall_s, seen.dates.status.tz_minutes, valid=held.last_refill_wall_s > 0
    )
    difference_nl = held.last_aspirated_nl - held.last_expected_nl
    more_or_less = "more" if difference_nl > 0 else "less"
    side = f"{ml(abs(difference_nl))} {more_or_less}" if difference_nl else "as expected"
    return [
        ("last refill", filled),
        ("aspirated", f"{ml(held.last_aspirated_nl)} where {ml(held.last_expected_nl)} was expected: {side}"),
        ("filled", ml(held.last_fill_nl)),
    ]


def patient_rows(seen: Seen) -> Rows:
    """What the patient asked for since the last visit, and since the last session of a clinician was closed."""
    held, history = seen.dates.reservoir, seen.history
    types = [entry.type for entry in history.entries if entry.seq >= seen.since_seq]
    gone = LogType.CORRUPT_SLOT in types or any(each.last_seq >= seen.since_seq for each in history.lost)
    least = "at least " if gone else ""

    def counted(log_type: LogType) -> str:
        return UNKNOWN if LogType.HIDDEN in types else f"{least}{types.count(log_type)}"

    return [
        ("granted", counted(LogType.PTM_GRANT)),
        ("denied (logged: 12 a day)", counted(LogType.PTM_DENY)),
        ("last session", f"{held.ptm_granted} granted and {held.ptm_denied} denied since it was closed"),
    ]


def _event_lines(seen: Seen) -> list[str]:
    lines = history_lines(seen.history, LogLines(), seen.since_seq)
    return [*lines, f"the whole log: {completeness(seen.history)}"]


def _document(seen: Seen, clinic: str, investigate: str) -> ReportPart:
    dates = seen.dates
    return ReportPart(
        clinic=clinic,
        completed=hindrance(dates.status, seen.alarms.alarms) is None,
        investigate=investigate,
        info=dates.info,
        status=dates.status,
        program=seen.program,
        configuration=[
            ConfigItem(item.config_id, seen.items[name])  # type: ignore[arg-type]
            for name, item in ITEMS.items()
            if seen.items[name] is not None
        ],
        reservoir=dates.reservoir,
        dates=dates_document(dates),
        delivery=seen.delivery,
        alarms=list(seen.alarms.alarms),
        since_seq=seen.since_seq,
        log=history_document(seen.history, LogLines()),
    )
