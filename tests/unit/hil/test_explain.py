"""`pumpbench explain`: an effect in a recording is tied to its cause, and a link that is not there is not invented."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
from click.testing import CliRunner, Result

from firmware_emu.faults.catalogue import FAULTS
from hil.capture.causes import LEAVES_DAMAGE, ROWS
from hil.capture.explanation import Effects, Explanation, effects_of, explain, history_of
from hil.capture.history import FactKind
from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.errors import BadConfiguration, UsageError
from protocol.capture.recording import EVENT, Beginning, Mark
from protocol.identifiers import AlarmId, Kind, Opcode
from protocol.log.types import LogType
from protocol.messages.log import LogReadReply
from protocol.wire.frame import Frame
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.capture.messages import Read

SESSIONS = Path(__file__).parents[3] / "fixtures" / "sessions"
NAMES = ("clinic_day", "eri_to_eos", "lossy_ward", "mri", "refill", "update_cut")
PUMP = 240


def session(name: str) -> list[Read]:
    return list(read_messages(SESSIONS / f"{name}.pcapng"))


def causes_told(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((SESSIONS / f"{name}.toml").read_text())["alarms"]
    return found


def why(entries: Iterable[Read], pick: Callable[[Effects], Any]) -> Explanation:
    history = history_of(entries)
    return explain(history, pick(effects_of(history)))


def why_alarm(entries: Iterable[Read], number: int = 1) -> Explanation:
    return why(entries, lambda effects: effects.alarms[number - 1])


def named(explanation: Explanation) -> list[tuple[str, str, int]]:
    return [(cause.kind.value, cause.name, cause.number) for cause in explanation.causes]


def is_mark(entry: Read) -> bool:
    return isinstance(entry, NumberedMark)


def opcode(entry: Read) -> tuple[Kind, int] | None:
    if isinstance(entry, RecordedMessage) and isinstance(entry.frame, Frame):
        return entry.frame.kind, entry.frame.opcode
    return None


class World:
    """Marks of a pump's world, as `emulate --record` writes them, a second apart."""

    def __init__(self) -> None:
        self.marks: list[Read] = [Beginning({}, "")]
        self.seq = 0

    def tell(self, kind: str, *, at_s: int, **fields: Any) -> World:
        number, now_ms = len(self.marks), at_s * 1_000
        event = {"kind": kind, "now_ms": now_ms, "line_ms": now_ms, "fields": fields, "text": kind}
        self.marks.append(
            NumberedMark(number, now_ms * 10**6, Mark(now_ms * 10**6, EVENT, json.dumps(event)))
        )
        return self

    def fault(self, name: str, *, at_s: int, cleared: bool = False) -> World:
        if cleared:
            return self.tell("FaultCleared", at_s=at_s, name=name)
        return self.tell("FaultInjected", at_s=at_s, name=name, parameters=[])

    def entry(
        self, log_type: str, *, at_s: int, seq: int | None = None, cmd_id: int = 0, **data: Any
    ) -> World:
        self.seq = self.seq + 1 if seq is None else seq
        return self.tell(
            "LogWritten", at_s=at_s, seq=self.seq, log_type=log_type, actor=PUMP, cmd_id=cmd_id, data=data
        )

    def alarm(self, name: str, *, at_s: int) -> World:
        self.entry("ALARM_ON", at_s=at_s, alarm_id=name, cause="0", value=0)
        return self.tell("AlarmRaised", at_s=at_s, alarm_id=name, cause=0, value=0, log_seq=self.seq)

    def stall(self, at_s: int) -> World:
        return self.entry("STALL", at_s=at_s, missed_edges=18).alarm("MOTOR_STALL", at_s=at_s)


# --- ten alarms, checked against the script that made them ----------------------------------------------------------


def test_the_right_cause_is_named_for_each_alarm_of_the_recorded_pump() -> None:
    checked = 0
    for name in NAMES:
        history = history_of(session(name))
        told = causes_told(name)
        alarms = effects_of(history).alarms
        assert [(alarm.name, alarm.number) for alarm in alarms] == [
            (alarm["alarm"], alarm["packet"]) for alarm in told
        ], name
        for alarm, expected in zip(alarms, told, strict=True):
            cause, found = expected["cause"], explain(history, alarm)
            scripted = (cause["kind"], cause["name"], cause["packet"])
            on_the_way = [(step.fact.kind.value, step.fact.name, step.fact.number) for step in found.steps]
            if cause["kind"] == "log entry":  # what the pump did itself; behind it stands what made it do so
                assert scripted in on_the_way, (name, alarm.name)
            else:
                assert named(found) == [scripted], (name, alarm.name)
            assert not found.missing, (name, alarm.name)
            assert on_the_way[0] in named(found) or found.steps[0].beside, (name, alarm.name)
            checked += 1
    assert checked >= 10


def test_the_way_goes_from_the_request_over_command_and_log_to_the_alarm() -> None:
    found = why_alarm(session("clinic_day"))
    way = [(step.fact.kind.value, step.fact.name) for step in found.steps if not step.beside]
    assert way == [
        ("request", "STOP"),
        ("log entry", "STOP"),
        ("log entry", "BOLUS_END"),
        ("log entry", "ALARM_ON"),
        ("alarm", "BOLUS_PARTIAL"),
    ]
    assert [step.fact.name for step in found.steps if step.beside] == ["BOLUS_COMMIT", "BOLUS_START"]


def test_boluses_and_changes_of_state_lead_to_their_requests() -> None:
    history = history_of(session("clinic_day"))
    effects = effects_of(history)
    assert [named(explain(history, bolus)) for bolus in effects.boluses] == [
        [("request", "BOLUS_COMMIT", bolus.number - 2)] for bolus in effects.boluses
    ]
    changes = [explain(history, change) for change in effects.state_changes]
    assert [found.causes[0].name for found in changes] == ["STOP", "RESUME", "STOP", "RESUME"]


# --- what is not in the recording is said ---------------------------------------------------------------------------


def test_from_the_line_alone_a_cause_on_the_line_is_found() -> None:
    entries = [entry for entry in session("clinic_day") if not is_mark(entry)]
    history = history_of(entries)
    found = {alarm.name: explain(history, alarm) for alarm in effects_of(history).alarms}
    assert [cause.name for cause in found["BOLUS_PARTIAL"].causes] == ["STOP"]
    assert [cause.name for cause in found["STOP_EXPIRED"].causes] == ["STOP"]


def test_from_the_line_alone_a_cause_in_the_pumps_world_is_said_not_to_be_there() -> None:
    found = why_alarm(entry for entry in session("mri") if not is_mark(entry))
    assert found.causes == ()
    (sentence,) = found.missing
    assert "what made the entry STALL #8 is not in this recording; its first sight is packet" in sentence
    assert "made on the line alone" in sentence
    assert "It can have been: fault edge-lost, feedthrough-short, motor-stall, mri" in sentence


def test_a_request_that_was_not_recorded_is_not_replaced_by_another() -> None:
    entries = [entry for entry in session("clinic_day") if opcode(entry) != (Kind.REQUEST, Opcode.STOP)]
    found = why_alarm(entries)
    assert found.causes == ()
    assert "what made the entry STOP #16 is not in this recording" in found.missing[0]
    assert "request STOP" in found.missing[0]


def test_an_alarm_that_was_only_listed_says_that_its_entry_is_not_there() -> None:
    entries = [
        entry
        for entry in session("mri")
        if not is_mark(entry)
        and not (isinstance(entry, RecordedMessage) and isinstance(entry.message, LogReadReply))
    ]
    found = why_alarm(entries)
    assert (found.effect.name, found.causes) == ("MOTOR_STALL", ())
    assert (
        "what made the alarm MOTOR_STALL is not in this recording; its first sight is packet"
        in found.missing[0]
    )


def test_what_was_in_force_before_a_gap_in_the_log_is_no_cause() -> None:
    world = (
        World()
        .entry("REFILL", at_s=1, seq=5)
        .entry("DAY_TOTAL", at_s=2, seq=8)
        .alarm("LOW_RESERVOIR", at_s=3)
    )
    found = why_alarm(world.marks)
    assert found.causes == ()
    assert "2 entries of the log between them, from 6 to 7, are not in this recording" in found.missing[0]


def test_the_checks_of_the_log_that_nothing_tells_of_are_no_gap() -> None:
    world = World().entry("REFILL", at_s=1, seq=63).alarm("LOW_RESERVOIR", at_s=1)
    renumbered = World().entry("REFILL", at_s=1, seq=63).entry("DAY_TOTAL", at_s=2, seq=65)
    assert [cause.name for cause in why_alarm(world.marks).causes] == ["REFILL"]
    assert [cause.name for cause in why_alarm(renumbered.alarm("EMPTY", at_s=3).marks).causes] == ["REFILL"]


def test_a_fault_that_was_cleared_before_is_not_blamed() -> None:
    world = World().fault("motor-stall", at_s=1).fault("motor-stall", at_s=2, cleared=True).stall(at_s=9)
    found = why_alarm(world.marks)
    assert found.causes == ()
    assert "what made the entry STALL" in found.missing[0]


def test_a_fault_that_leaves_damage_is_blamed_after_it_was_cleared() -> None:
    world = World().fault("code-flip", at_s=1).fault("code-flip", at_s=2, cleared=True)
    world.entry("POST_FAIL", at_s=9, failed=1).alarm("SELF_TEST", at_s=9)
    assert [cause.name for cause in why_alarm(world.marks).causes] == ["code-flip"]


def test_a_fault_that_cannot_have_caused_it_is_not_blamed() -> None:
    found = why_alarm(World().fault("siphon", at_s=1).stall(at_s=9).marks)
    assert found.causes == ()


def test_where_two_faults_can_have_caused_it_both_are_named_and_none_is_chosen() -> None:
    found = why_alarm(World().fault("mri", at_s=1).fault("wear", at_s=2).stall(at_s=9).marks)
    assert [cause.name for cause in found.causes] == ["mri", "wear"]


def test_a_detection_of_another_moment_is_not_tied_to_an_alarm() -> None:
    world = World().entry("STALL", at_s=3).alarm("MOTOR_STALL", at_s=9)
    assert "what made the entry ALARM_ON" in why_alarm(world.marks).missing[0]


def test_entries_of_another_pump_in_the_same_file_are_not_mixed_in() -> None:
    first = World().fault("mri", at_s=1)
    second = World().tell("PowerOn", at_s=0, boot_count=1, first=True)
    second.seq = 10  # so that no number of an entry comes twice
    second.stall(at_s=9)
    joined = [*first.entry("BOOT", at_s=1, cause="FIRST").marks, *second.marks[1:]]
    assert why_alarm(joined).causes == ()


def test_a_bolus_that_was_asked_for_and_never_answered_is_listed_as_one() -> None:
    entries = []
    for entry in session("clinic_day"):
        entries.append(entry)
        if opcode(entry) == (Kind.REQUEST, Opcode.BOLUS_COMMIT):
            break
    (bolus,) = effects_of(history_of(entries)).boluses
    assert (bolus.kind, bolus.name, bolus.answered_in) == (FactKind.REQUEST, "BOLUS_COMMIT", None)


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_row_names_what_there_is_and_where_it_is_from() -> None:
    there = {
        FactKind.LOG_ENTRY: {each.name for each in LogType},
        FactKind.REQUEST: {each.name for each in Opcode},
        FactKind.ALARM: {each.name for each in AlarmId},
        FactKind.FAULT: set(FAULTS),
    }
    for row in ROWS:
        assert row.source.startswith(("SPEC ", "DOMAIN ")), row
        for what in (row.effect, row.cause):
            assert what.names <= there.get(what.kind, what.names), row
    assert set(FAULTS) >= LEAVES_DAMAGE


@for_each("alarm", [each for each in AlarmId if "VENDOR" not in each.name])
def test_every_alarm_can_have_a_cause(alarm: AlarmId) -> None:
    assert [row for row in ROWS if row.effect.fields.get("alarm_id") == alarm.name]


# --- the command ----------------------------------------------------------------------------------------------------


def explained(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["explain", *map(str, arguments)])


def check(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    jsonschema.Draft202012Validator(json_schema("explain")).validate(document)
    return document


CLINIC_DAY = SESSIONS / "clinic_day.pcapng"


def test_without_an_option_it_lists_what_can_be_asked_about_with_numbers_and_times() -> None:
    shown = explained(CLINIC_DAY).stdout.splitlines()
    assert [line for line in shown if not line.startswith(" ")] == [
        "alarms: 2",
        "boluses: 2",
        "changes of state: 4",
    ]
    (line,) = [line for line in shown if "--alarm 1" in line]
    first = str(causes_told("clinic_day")[0]["packet"])
    assert line.split()[2:7] == [first, "570.000000", "[0d", "00:09:30.000]", "alarm"]
    listed = check(explained(CLINIC_DAY, "--json"))
    assert [each["ask"] for each in listed["alarms"]] == ["--alarm 1", "--alarm 2"]


def test_an_answer_names_the_cause_first_and_then_the_way() -> None:
    shown = explained(CLINIC_DAY, "--alarm", "1").stdout.splitlines()
    told = causes_told("clinic_day")[0]
    cause = told["cause"]["packet"]
    assert shown[0] == f"why the alarm BOLUS_PARTIAL (--alarm 1): the request STOP, packet {cause}"
    assert [line.split()[:2] for line in shown if line.split()[0] in {"cause", "effect"}] == [
        ["cause", str(cause)],
        ["effect", str(told["packet"])],
    ]
    document = check(explained(CLINIC_DAY, "--alarm", "1", "--json"))
    assert [each["number"] for each in document["causes"]] == [cause]
    assert [step["cause"] for step in document["steps"]].count(True) == 1


def test_sealed_frames_are_counted_where_no_key_opens_them() -> None:
    wrong_key = SESSIONS / "damaged" / "wrong_key.pcapng"
    sealed = sum(
        isinstance(entry, RecordedMessage) and entry.state is FrameState.SEALED
        for entry in read_messages(wrong_key)
    )
    shown = explained(wrong_key).stdout.splitlines()
    assert sealed
    assert f"{sealed} frames are sealed, and no key opens them" in shown[-1]
    assert json.loads(explained(wrong_key, "--json").stdout.splitlines()[0])["sealed"] == sealed


def test_a_damaged_file_is_explained_as_far_as_it_goes_and_ends_with_its_exit_code() -> None:
    result = explained(SESSIONS / "damaged" / "truncated.pcapng")
    assert result.stdout.startswith("alarms: ")
    assert isinstance(result.exception, BadConfiguration)
    assert "is damaged in one place" in str(result.exception)


@for_each(
    ("arguments", "complaint"),
    [
        (("--alarm", "3"), "there is no --alarm 3: the recording has 2 alarms"),
        (("--alarm", "1", "--bolus", "1"), "--alarm and --bolus exclude each other"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(arguments: tuple[str, ...], complaint: str) -> None:
    error = explained(CLINIC_DAY, *arguments).exception
    assert isinstance(error, UsageError)
    assert complaint in error.message
