"""Tables of a recording: every cell is what was said, in each form, and nothing that was asked for is replaced."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

import hil
from hil.capture.tables import TABLES
from hil.cli import main
from hil.errors import BadConfiguration
from protocol.capture import recording
from protocol.capture.recorder import Recorder
from protocol.capture.recording import EVENT, Way
from protocol.codec.layouts import encode
from protocol.identifiers import Kind, Opcode
from protocol.link.connection import plain_frame
from protocol.log.types import LogName
from protocol.messages.log import LogReadReply
from protocol.messages.reading import GetStatusReply
from tests.unit.protocol.capture.memory_files import EPOCH_NS, MemoryFiles, device_key


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of an emulated pump: status, a bolus, its log twice, an alarm that the pump tells and one of its world."""
    files = MemoryFiles()
    recorder = Recorder(files.open, {"target": "emulator"}, "0", trouble=print, device_key=device_key)
    with hil.connect("emulator", state=False, watch=lambda entry: _record(recorder, entry)) as pump:
        pump.status()
        pump.bolus(volume_nl=20_000, duration_s=600)
        pump.read_log()
        pump.read_log()
        pump.stop()
        pump.alarms()
        pump.status()
    event = {"kind": "AlarmRaised", "now_ms": 77, "line_ms": 77, "text": ""}
    event["fields"] = {"alarm_id": "EMPTY", "cause": 0, "value": 5, "log_seq": 9}
    recorder.mark(EVENT, json.dumps(event), EPOCH_NS)
    recorder.mark(EVENT, "what somebody else calls so", EPOCH_NS)
    recorder.close()
    path = tmp_path_factory.mktemp("day") / "day.pcapng"
    path.write_bytes(bytes(files.contents[0]))
    return path


def _record(recorder: Recorder, entry: hil.wire_log.WireEntry) -> None:
    way = Way.TO_PUMP if entry.record.direction.value == "sent" else Way.FROM_PUMP
    recorder.passed(
        way, b"\0%b\0" % entry.record.encoded, EPOCH_NS + entry.line_ms * 1_000_000, entry.device_ms
    )


def exported(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["export", *map(str, arguments)])


def table(day: Path, name: str) -> list[dict[str, str]]:
    done = exported(day, "--table", name)
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.mark.parametrize("name", TABLES)
def test_each_table_has_its_columns_and_rows_in_each_form(day: Path, tmp_path: Path, name: str) -> None:
    rows = table(day, name)
    assert rows
    assert list(rows[0]) == [column.name for column in TABLES[name].columns]
    out = tmp_path / "out.jsonl"
    assert exported(day, "--table", name, "--out", out).exit_code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [
        {key: "" if value is None else str(value) for key, value in line.items()} for line in lines
    ] == rows
    columns = getattr(hil.read_recording(day), name)
    for column in TABLES[name].columns:
        found = columns[column.name]
        assert [None if each is None else each for each in found.tolist()] == [
            line[column.name] for line in lines
        ]
        assert found.dtype == ("int64" if column.is_number else "object")


def test_messages_carry_their_fields_as_json_and_the_packet_that_they_answer(day: Path) -> None:
    (commit,) = [
        row for row in table(day, "messages") if row["opcode"] == "BOLUS_COMMIT" and row["kind"] == "REQUEST"
    ]
    assert json.loads(commit["fields"])["volume_nl"] == 20_000
    (answer,) = [row for row in table(day, "messages") if row["answers"] == commit["number"]]
    assert json.loads(answer["fields"])["result"]["outcome"] == "RUNNING"
    assert (answer["way"], answer["state"], answer["ref"]) == ("from-pump", "opened", commit["ctr"])


def test_telemetry_is_every_status_with_its_fields(day: Path) -> None:
    rows = table(day, "telemetry")
    assert [name for name in rows[0] if name in GetStatusReply._fields] == list(GetStatusReply._fields)
    assert rows[0]["state"] == "RUN"
    assert rows[-1]["state"] == "STOP"
    assert rows[0]["reservoir_calc_nl"] == "18000000"
    assert "WALL_VALID" in rows[0]["flags"]


def test_the_log_has_each_entry_once_however_often_it_was_read(day: Path) -> None:
    rows = [row for row in table(day, "log") if row["log"] == "MAIN"]
    seqs = [int(row["seq"]) for row in rows]
    assert len(seqs) == len(set(seqs))
    (start,) = [row for row in rows if row["type"] == "BOLUS_START"]
    assert json.loads(start["fields"])["volume_nl"] == 20_000
    assert start["cmd_id"] == "1"


def test_alarms_are_those_that_the_pump_told_and_those_of_its_world(day: Path) -> None:
    rows = table(day, "alarms")
    raised = [row for row in rows if row["what"] == "raised"]
    assert [(row["alarm"], row["pump_ms"], row["seq"], row["value"]) for row in raised] == [
        ("EMPTY", "77", "9", "5")
    ]
    assert not [row for row in rows if row["what"] not in {"raised", "listed"}]


def test_a_corrupt_entry_of_the_log_is_a_row_without_a_type(tmp_path: Path) -> None:
    page = LogReadReply(LogName.MAIN, 1, 7, 8, 1, 7, ((7).to_bytes(4, "little") + bytes(28),))
    frame = plain_frame(Kind.RESPONSE, Opcode.LOG_READ, 0, 1, 1, encode(page)).wire
    path = tmp_path / "a.pcapng"
    path.write_bytes(recording.beginning({}, "0") + recording.passed(Way.FROM_PUMP, 0, frame))
    (row,) = table(path, "log")
    assert (row["seq"], row["type"], row["t_mono_s"]) == ("7", "", "")


def test_what_is_there_is_not_replaced_and_a_name_without_a_form_is_refused(
    day: Path, tmp_path: Path
) -> None:
    there = tmp_path / "a.csv"
    there.write_text("of yesterday")
    for out, words in (
        (there, "is there already"),
        (tmp_path / "a.xls", "says no form"),
        (tmp_path / "no/a.csv", "cannot be written"),
    ):
        error = exported(day, "--out", out).exception
        assert isinstance(error, BadConfiguration)
        assert words in str(error)
    assert there.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


def test_a_damaged_recording_is_exported_as_far_as_it_can_be_read_and_ends_with_10(
    day: Path, tmp_path: Path
) -> None:
    cut, out = tmp_path / "cut.pcapng", tmp_path / "out.csv"
    cut.write_bytes(day.read_bytes()[:-5])
    error = exported(cut, "--out", out).exception
    assert isinstance(error, BadConfiguration)
    assert "the file ends within a block" in str(error)
    assert len(out.read_text().splitlines()) == len(table(day, "messages")) + 1
    assert len(hil.read_recording(cut).damage) == 1


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_no_recording_leaves_no_file(tmp_path: Path, form: str) -> None:
    wrong, out = tmp_path / "x", tmp_path / f"out.{form}"
    wrong.write_text("hello")
    assert isinstance(exported(wrong, "--out", out).exception, BadConfiguration)
    assert not out.exists()


def test_parquet_has_the_same_cells(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    assert exported(day, "--table", "telemetry", "--out", out).exit_code == 0
    rows = parquet.read_table(out).to_pylist()
    assert [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
    ] == table(day, "telemetry")
