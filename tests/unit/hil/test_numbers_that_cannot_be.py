"""Numbers and dates that the wire cannot carry, or that nobody writes so: refused by name, before anything is sent."""

from collections.abc import Callable, Iterator
from dataclasses import astuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from hil.bench_of_test import TestBench
from hil.cli.main import cli
from hil.cli.program import program
from hil.cli.quantities import Quantity, wall_time
from hil.cli.tables import alarm_lines, reply_rows, reservoir_rows
from hil.errors import UsageError
from hil.programmer.programmer import Programmer
from hil.programmer.staging import DayGroup, DoseStep
from hil.quantity_reading import exact
from hil.quantity_words import decimal_text
from hil.refusal_words import sentence_of_refusal
from protocol.identifiers import (
    AlarmClass,
    AlarmFlag,
    AlarmId,
    ErrorCode,
    OnExpiry,
    Opcode,
    Outcome,
    ProgramSlot,
    State,
    StopReason,
)
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmRow, GetAlarmsReply
from protocol.messages.errors import refusal
from protocol.messages.ledger import CommandResult, QueryCmdReply
from protocol.messages.stop import Stop
from protocol.messages.time import TimeSetReply
from tests.unit.hil.runs import pytest_on


def flexible(pump: Programmer, days: Any, steps: Any) -> Any:
    """Set a flexible program of one group, of any values."""
    return pump.set_flex_program([DayGroup(days, steps)])


NOBODY_WRITES_SO = [
    "2_5",
    "1e3",
    "1e999999",
    "+5",
    "-1",
    "\u0662\u0665",
    "\uff12\uff15",
    "",
    " 5",
    "5 ",
    ".",
    "1.2.3",
    "0x10",
    "nan",
    "∞",
]
TOO_LARGE = ["9" * 29, "1" + "0" * 5_000, "4294967296"]
OPTIONS = [
    (("set",), "--dose", ()),
    (("set",), "--concentration", ("--dose", "300")),
    (("set",), "--drug", ("--dose", "300")),
    (("bolus",), "--dose", ("--duration", "600")),
    (("bolus",), "--volume", ("--duration", "600")),
    (("bolus",), "--duration", ("--volume", "0.02")),
    (("cancel",), "CMD_ID", ()),
    (("stop",), "--max-hours", ()),
    (("refill",), "--filled", ("--aspirated", "1")),
    (("refill",), "--aspirated", ("--filled", "1")),
    (("refill",), "--concentration", ("--filled", "1", "--aspirated", "1")),
    (("refill",), "--drug", ("--filled", "1", "--aspirated", "1")),
    (("refill",), "--low-alarm", ("--filled", "1", "--aspirated", "1")),
    (("log",), "--from", ()),
    (("log",), "--last", ()),
    (("query",), "CMD_ID", ()),
    (("void",), "CMD_ID", ()),
    (("accept",), "CMD_ID", ()),
]


def refused(*arguments: str) -> str:
    """What a command says that must end as a wrong use, without a traceback."""
    environment = {"PUMPBENCH_TARGET": "emulator"}
    result = CliRunner().invoke(cli, ["program", *arguments], env=environment)
    assert result.exit_code == 2 or isinstance(result.exception, UsageError), (arguments, result.exception)
    return f"{result.output}{result.exception}"


@pytest.mark.parametrize(("command", "name", "others"), OPTIONS, ids=str)
def test_a_number_that_nobody_writes_so_is_refused_under_the_name_of_its_option(
    command: tuple[str, ...], name: str, others: tuple[str, ...]
) -> None:
    for number in (*NOBODY_WRITES_SO, *TOO_LARGE):
        last = (f"{name}={number}",) if name.startswith("--") else ("--", number)
        said = refused(*command, *others, *last)
        assert name in said, (number, said)


def numbers_of(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """Every parameter of a group's commands, and its command's name."""
    assert isinstance(command, click.Group)
    for name, each in command.commands.items():
        yield from ((name, parameter) for parameter in each.params)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("emulate",), "--seed"),
        (("emulate", "--image", "i"), "--time-off"),
        (("emulate",), "--memory-id"),
        (("hil", "run"), "--seed"),
        (("hil", "run"), "--baud"),
    ],
    ids=str,
)
def test_a_number_of_emulate_and_of_hil_run_is_digits_and_nothing_else(
    command: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a number that is taken after all begins a report
    for number in set(NOBODY_WRITES_SO) - {"-1"}:  # that one is out of range, and told as that
        if option == "--memory-id" and number.startswith("1e"):  # hex digits
            continue
        result = CliRunner().invoke(cli, [*command, f"{option}={number}"])
        assert result.exit_code == 2, (number, result.output, result.exception)
        assert option in result.output, (number, result.output)
        assert "digits" in result.output, (number, result.output)


@pytest.mark.parametrize("option", ["--hil-seed", "--hil-baud"])
def test_a_number_of_a_pytest_of_ones_own_is_digits_and_nothing_else(option: str, tmp_path: Path) -> None:
    for number in ("1_000", "\u0662"):
        done = pytest_on(tmp_path, "def test_x(pump): pass\n", f"{option}={number}")
        assert done.returncode == 4, done.stdout
        assert "write digits" in done.stderr


def test_no_command_of_the_programmer_reads_a_number_in_another_way_than_ours() -> None:
    for name, parameter in numbers_of(program):
        foreign = isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
        assert not foreign, (name, parameter.name)


def test_the_range_of_every_number_stands_in_the_help() -> None:
    for name, parameter in numbers_of(program):
        if isinstance(parameter.type, Quantity):
            text = CliRunner().invoke(cli, ["program", name, "--help"]).output
            assert " to " in text, name
            words = " ".join(text.split())
            context = click.Context(program.commands[name])
            shown = parameter.type.get_metavar(parameter, context) or "1 to 4294967294"
            assert shown in words, (name, parameter.name, words)


@pytest.mark.parametrize(
    ("text", "places", "value"),
    [
        ("25", 0, 25),
        ("0.5", 3, 500),
        (".5", 3, 500),
        ("5.", 3, 5_000),
        ("0005.500", 1, 55),
        ("4294967.295", 3, 2**32 - 1),
    ],
)
def test_a_number_is_read_exactly(text: str, places: int, value: int) -> None:
    assert exact(text, places, "mcg") == value


@pytest.mark.parametrize(
    ("text", "places", "why"),
    [
        ("0.0005", 3, "at most 3 decimals"),
        ("0.5", 0, "no decimals"),
        ("4294967.296", 3, "0 to 4294967.295 mcg"),
        ("2_5", 0, "write digits"),
    ],
)
def test_a_number_is_refused_for_the_reason_that_is_so(text: str, places: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        exact(text, places, "mcg")


def test_a_whole_number_has_no_places() -> None:
    assert (decimal_text(0, 0), decimal_text(150, 0), decimal_text(-7, 0)) == ("0", "150", "-7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1999-12-31T23:59:59+00:00", "out of range"),
        ("2000-01-01T00:00:00+01:00", "out of range"),
        ("2136-02-07T06:28:16+00:00", "out of range"),
        ("9999-12-31T23:59:59+00:00", "out of range"),
        ("0001-01-01T00:00:00+12:00", "out of range"),
        ("2026-03-02T10:00:00.5+00:00", "finer"),
        ("2026-03-02T10:00:00.0000009Z", "finer"),
        ("2026-03-02T10:00:00,00000001Z", "finer"),
        ("2026-03-02T10:00:00+00:00:00.5", "finer"),
        ("2026-03-02T10:00:00+00:00:00.0000001", "finer"),
        ("2026-03-02T10:00:00+00:00:30", "finer"),
        ("2026-03-02T10:00:00+15:00", "-12:00 to"),
        ("\u0662\u0660\u0662\u0666-03-02T10:00:00+00:00", "no ISO time"),
        ("tomorrow", "no ISO time"),
        ("2026-03-02T10:00:00", "offset"),
    ],
)
def test_a_date_that_the_pumps_clock_cannot_hold_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        wall_time(text)
    assert "ISO-TIME" in refused("time", text, "--yes")


def test_a_date_with_a_fraction_of_nothing_is_a_whole_second() -> None:
    assert wall_time("2000-01-01T00:00:01.000Z")[:2] == (1, 0)


@pytest.mark.parametrize(
    ("delta_s", "words"),
    [
        (2**31 - 1, "at least 2147483647 s"),
        (2**31 - 2, "2147483646 s"),
        (-(2**31) + 2, "-2147483646 s"),
        (-(2**31) + 1, "-2147483647 s or less"),
        (-(2**31), "not known: it was not set before"),
    ],
)
def test_a_signed_field_at_either_end_of_its_range_is_told_as_a_limit(delta_s: int, words: str) -> None:
    result = CommandResult(dup=False, outcome=Outcome.DONE, reason=0, seq=1)
    assert ("moved by", words) in reply_rows(TimeSetReply(result, delta_s))
    said = sentence_of_refusal(Opcode.TIME_SET, refusal(ErrorCode.CONFIRM, detail=delta_s, limit=120))
    assert words in said


def test_the_first_and_the_last_second_of_the_pumps_clock_are_dates() -> None:
    assert wall_time("2000-01-01T00:00:00+00:00")[:2] == (0, 0)
    assert wall_time("2136-02-07T07:28:15+01:00")[:2] == (2**32 - 1, 60)


def test_a_dose_whose_rate_or_volume_nobody_can_tell_is_refused_before_a_human_is_asked() -> None:
    assert "--dose" in refused("set", "--dose", "4294967", "--concentration", "0.001")
    assert "--dose" in refused("bolus", "--dose", "4294967", "--duration", "600")


class WholeNumber:
    """A whole number that is no int, as those of numpy; it overflows where it is computed with."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __mul__(self, _other: object) -> int:
        raise OverflowError("32 bits")

    __rmul__ = __mul__


a_whole_number: Any = WholeNumber


WRONG: list[tuple[str, Callable[[Programmer], Any], tuple[str, ...]]] = [
    (
        "volume",
        lambda p: p.prepare_bolus(2**32, 10),
        ("BOLUS_PREPARE", "volume_nl", "4294967296", "0 to 4294967295"),
    ),
    ("negative", lambda p: p.bolus(-1, 10), ("BOLUS_PREPARE", "volume_nl", "-1")),
    ("float", lambda p: p.bolus(20_000.0, 600), ("BOLUS_PREPARE", "volume_nl", "20000.0")),  # type: ignore[arg-type]
    ("bool", lambda p: p.bolus(20_000, True), ("BOLUS_PREPARE", "duration_s", "True")),
    ("text", lambda p: p.bolus("20000", 600), ("BOLUS_PREPARE", "volume_nl")),  # type: ignore[arg-type]
    ("dose", lambda p: p.set_simple_program(2**32), ("PROG_BEGIN", "dose_ng_per_day", "4294967296")),
    ("dose float", lambda p: p.set_simple_program(300_000.0), ("PROG_BEGIN", "dose_ng_per_day")),  # type: ignore[arg-type]
    ("dose bool", lambda p: p.set_simple_program(True), ("PROG_BEGIN", "dose_ng_per_day", "True")),
    ("drug", lambda p: p.set_simple_program(300_000, drug_id=2**16), ("PROG_BEGIN", "drug_id", "0 to 65535")),
    (
        "rate",
        lambda p: p.set_simple_program(2**31, concentration_ng_per_ml=1),
        ("PROG_WRITE", "rate_nl_per_day"),
    ),
    ("cancel", lambda p: p.cancel_bolus(2**32), ("BOLUS_CANCEL", "target_cmd_id")),
    ("stop", lambda p: p.stop(3_600.5), ("STOP", "max_stop_s")),  # type: ignore[arg-type]
    ("reason", lambda p: p.stop(reason=1.0), ("STOP", "reason")),  # type: ignore[arg-type]
    ("expiry", lambda p: p.stop(on_expiry=True), ("STOP", "on_expiry")),  # type: ignore[arg-type]
    ("resume", lambda p: p.resume(program_rev=2**32), ("RESUME", "program_rev")),
    ("refill", lambda p: p.refill(2**32, aspirated_nl=0), ("REFILL", "filled_nl")),
    ("alarm at", lambda p: p.refill(1, aspirated_nl=0, low_alarm_nl=-1), ("REFILL", "low_alarm_nl")),
    ("time", lambda p: p.set_time(-1, 0), ("TIME_SET", "wall_s")),
    ("zone", lambda p: p.set_time(0, 40_000), ("TIME_SET", "tz_minutes", "-32768 to 32767")),
    ("query", lambda p: p.query(2**32), ("QUERY_CMD", "cmd_id")),
    ("query key", lambda p: p.query(1, 70_000), ("QUERY_CMD", "key_id")),
    ("void", lambda p: p.void(True), ("VOID_CMD", "cmd_id", "True")),
    ("log", lambda p: p.read_log(from_seq=2**32), ("LOG_READ", "seq")),
    ("log name", lambda p: p.log_status(99), ("LOG_STATUS", "log")),  # type: ignore[arg-type]
    ("slot", lambda p: p.program(9), ("GET_PROGRAM", "slot")),  # type: ignore[arg-type]
    ("alarm", lambda p: p.acknowledge_alarm(99), ("ALARM_ACK", "alarm_id")),  # type: ignore[arg-type]
    ("huge", lambda p: p.bolus(10**5000, 600), ("BOLUS_PREPARE", "volume_nl", "a number of 16610 bits")),
    ("huge enum", lambda p: p.stop(reason=10**5000), ("STOP", "reason", "a number of 16610 bits")),  # type: ignore[arg-type]
    ("huge id", lambda p: p.ledger.accept_unknown(10**5000), ("cmd_id", "a number of 16610 bits")),
    ("decimal", lambda p: p.bolus(Decimal(20_000), 600), ("volume_nl", "Decimal")),  # type: ignore[arg-type]
    ("fraction", lambda p: p.set_simple_program(Fraction(300_000)), ("PROG_BEGIN", "Fraction")),  # type: ignore[arg-type]
    ("decimal enum", lambda p: p.stop(reason=Decimal(1)), ("STOP", "reason", "Decimal")),  # type: ignore[arg-type]
    ("fraction enum", lambda p: p.stop(on_expiry=Fraction(0)), ("STOP", "on_expiry")),  # type: ignore[arg-type]
    ("complex enum", lambda p: p.log_status(1 + 0j), ("LOG_STATUS", "log")),  # type: ignore[arg-type]
    ("another enum", lambda p: p.stop(reason=AlarmId.EMPTY), ("STOP", "reason")),  # type: ignore[arg-type]
    ("rinsed", lambda p: p.refill(1, aspirated_nl=0, rinsed_twice="no"), ("REFILL", "rinsed_twice", "'no'")),  # type: ignore[arg-type]
    ("rinsed 1", lambda p: p.refill(1, aspirated_nl=0, rinsed_twice=1), ("REFILL", "rinsed_twice")),  # type: ignore[arg-type]
    ("confirm", lambda p: p.set_time(0, 0, confirm=1), ("TIME_SET", "True or False")),  # type: ignore[arg-type]
    ("clear", lambda p: p.link_stats(clear="no"), ("GET_LINK_STATS", "clear", "True or False")),  # type: ignore[arg-type]
    ("no request", lambda p: p.request(7), ("a request of protocol.messages", "7")),  # type: ignore[arg-type]
    ("an answer", lambda p: p.request(QueryCmdReply), ("a request of protocol.messages",)),  # type: ignore[arg-type]
    ("no bolus", lambda p: p.commit_bolus(None), ("prepared is None", "prepare_bolus")),  # type: ignore[arg-type]
    ("no program", lambda p: p.commit_program(3), ("staged is 3", "stage_program")),  # type: ignore[arg-type]
    ("no header", lambda p: p.stage_program(10**5000, ()), ("PROG_BEGIN", "a number of 16610 bits")),  # type: ignore[arg-type]
    ("no segments", lambda p: p.stage_program(None, 5), ("segments is 5", "a list or tuple")),  # type: ignore[arg-type]
    ("start", lambda p: p.set_simple_program(300_000, start=2), ("PROG_COMMIT", "start", "True or False")),  # type: ignore[arg-type]
    ("no groups", lambda p: p.set_flex_program(5), ("groups is 5", "a DayGroup")),  # type: ignore[arg-type]
    ("no group", lambda p: p.set_flex_program([(127, [])]), ("groups[0]", "a DayGroup")),  # type: ignore[list-item]
    ("no steps", lambda p: flexible(p, 127, 8_000), ("groups[0].steps is 8000",)),
    ("no step", lambda p: flexible(p, 127, [(0, 8_000)]), ("groups[0].steps[0]", "a DoseStep")),
    ("days in text", lambda p: flexible(p, "127", [DoseStep(0, 8_000)]), ("groups[0].days is '127'",)),
    ("half a day", lambda p: flexible(p, 127.5, [DoseStep(0, 8_000)]), ("groups[0].days is 127.5",)),
    ("negative days", lambda p: flexible(p, -1, [DoseStep(0, 8_000)]), ("PROG_BEGIN", "day_mask is -1")),
    (
        "a float dose",
        lambda p: flexible(p, 127, [DoseStep(0, cast("int", 8e3))]),
        ("groups[0].steps[0].dose_ng_per_hour",),
    ),
    ("a minute in text", lambda p: flexible(p, 127, [DoseStep("0", 8_000)]), ("steps[0].start_min is '0'",)),  # type: ignore[arg-type]
    ("a minute that is true", lambda p: flexible(p, 127, [DoseStep(False, 1)]), ("start_min is False",)),
    (
        "whole",
        lambda p: p.request(Stop(1, a_whole_number(60), StopReason.CLINICAL, OnExpiry.ALARM_ONLY)),
        ("STOP",),
    ),
]


@pytest.mark.parametrize(("call", "parts"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_value_that_no_field_carries_is_a_usage_error_before_anything_is_filed_or_sent(
    bench: TestBench, call: Callable[[Programmer], Any], parts: tuple[str, ...]
) -> None:
    pump = bench.open_programmer()
    pump.ping()
    frames = pump.wire_log.count
    with pytest.raises(UsageError) as caught:
        call(pump)
    for part in parts:
        assert part in str(caught.value)
    assert not pump.store.has_open()
    if parts[0] != "PROG_WRITE":  # its rate hangs on the pump's concentration
        assert pump.wire_log.count == frames
    assert pump.stop().cmd_id == 1


WHOLE: list[Callable[[Programmer, Any], Any]] = [
    lambda p, n: p.bolus(n(20_000), n(600)),
    lambda p, n: p.refill(n(18_000_000), aspirated_nl=n(0), low_alarm_nl=n(2_000_000), drug_id=n(1)),
    lambda p, n: flexible(p, n(127), [DoseStep(n(0), n(8_000))]),
    lambda p, n: p.set_simple_program(n(200_000), concentration_ng_per_ml=n(500_000), drug_id=n(1)),
    lambda p, n: p.stop(n(3_600), reason=n(1)),
    lambda p, n: p.set_time(n(825_000_000), n(60), confirm=True),
    lambda p, n: p.cancel_bolus(n(0)),
    lambda p, n: p.query(n(1)),
    lambda p, n: p.void(n(1)),
    lambda p, n: p.read_log(from_seq=n(1)),
]


@pytest.mark.parametrize("call", WHOLE)
def test_a_whole_number_of_another_type_is_taken_as_an_int_and_filed_as_one(
    bench: TestBench, tmp_path: Path, call: Callable[[Programmer, Any], Any]
) -> None:
    pump = bench.open_programmer(state_path=tmp_path / "state.json")
    call(pump, WholeNumber)
    for filed in pump.store.commands(pump.info().memory_id):
        assert {type(value) for value in astuple(filed)} <= {int, str, Opcode}
    assert pump.stop().reply.state is State.STOP


def test_what_is_right_is_still_sent(bench: TestBench) -> None:
    pump = bench.open_programmer()
    assert pump.stop(reason=StopReason.CLINICAL, on_expiry=OnExpiry.ALARM_ONLY).cmd_id == 1
    assert pump.link_stats(clear=True) is not None
    assert pump.program(ProgramSlot.ACTIVE).header.n_groups == 1
    assert pump.log_status(LogName.MAIN).last_seq
    with pytest.raises(UsageError, match="EMPTY is not there"):
        pump.acknowledge_alarm(2)  # type: ignore[arg-type]


def test_the_largest_number_of_a_field_is_shown_as_at_least_that(bench: TestBench) -> None:
    pump = bench.open_programmer()
    status = pump.status()
    row = AlarmRow(AlarmId.EMPTY, AlarmClass.CRITICAL, AlarmFlag.ACTIVE, 1, 0, 2**32 - 1)
    assert "at least 4294967295" in alarm_lines(GetAlarmsReply((row,)), status)[0]
    reservoir = pump.reservoir()._replace(replace_by_wall_s=2**32 - 1)
    assert ("replace by", "at least 2136-02-07 06:28:15 UTC+00:00") in reservoir_rows(reservoir, status)
