"""The documents of `--json`: what each begins with, its times, the data of log entries, and errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
from click.testing import CliRunner, Result

from hil.cli import main
from hil.cli.documents import error_fields, json_text
from hil.cli.json_schema import json_schema
from hil.errors import DeviceError, NotExecuted, OutcomeUnknown
from hil.outcome_store import FiledCommand, OutcomeStore
from protocol.identifiers import Opcode, Outcome, Role, StatusFlag
from protocol.link.development_keys import development_key
from protocol.log.data import SessionOpenData, TimeRefData
from protocol.log.types import LogFlag
from tests.support.for_each import for_each
from tests.support.warm_python import run_python

EMULATOR = ("--target", "emulator", "--json")
READS = ("status", "info", "limits", "delivery", "reservoir", "alarms", "link", "log", "time", "ping")
NOON_S = 825_768_000  # 2026-03-02 12:00:00 UTC


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments, *EMULATOR])


def document(*arguments: str) -> Any:
    """The one document on stdout of a command."""
    return json.loads(run(*arguments).stdout)


def unknown_command(path: Path) -> Path:
    """A state file in which command 3 of an older memory of the emulator's pump is unknown."""
    with OutcomeStore(path, key=development_key(Role.CLINICIAN).key) as store:
        store.name_pump(1, "EMU000000001")
        store.file(1, FiledCommand(3, Opcode.BOLUS_COMMIT, cmd_crc=0))
    return path


def plain(fields: dict[str, Any]) -> Any:
    return json.loads(json_text("test", fields))


@for_each(
    "arguments",
    [(read,) for read in READS]
    + [
        ("set", "--dose", "350", "--yes"),
        ("bolus", "--volume", "0.02", "--duration", "600", "--yes"),
        ("cancel",),
        ("stop", "--yes", "--leave-stopped"),
        ("resume",),
        ("refill", "--filled", "20", "--aspirated", "17", "--yes"),
        ("time", "2026-03-02T11:30:00+01:00", "--reason", "zone", "--yes"),
        ("void", "9"),
    ],
)
def test_every_document_begins_with_its_schema_and_version(arguments: tuple[str, ...]) -> None:
    assert list(document(*arguments).items())[:2] == [("schema", f"pumpbench/{arguments[0]}"), ("version", 1)]


def test_each_moment_of_the_wall_clock_has_an_iso_time_beside_it_in_the_pumps_zone() -> None:
    told = plain({"wall_s": NOON_S, "tz_minutes": -90, "part": {"last_refill_wall_s": NOON_S}})
    assert told["wall_s_iso"] == "2026-03-02T10:30:00-01:30"
    assert told["wall_s"] == NOON_S
    assert told["part"]["last_refill_wall_s_iso"] == "2026-03-02T12:00:00+00:00"


def test_times_of_the_old_and_the_new_clock_are_each_in_their_own_zone() -> None:
    told = plain({"old_wall_s": NOON_S, "new_wall_s": NOON_S, "old_tz_minutes": 0, "new_tz_minutes": 60})
    assert (told["old_wall_s_iso"][11:], told["new_wall_s_iso"][11:]) == ("12:00:00+00:00", "13:00:00+01:00")


@for_each(
    "fields",
    [
        {"wall_s": 0},
        {"wall_s": NOON_S, "flags": StatusFlag(0)},
        {"wall_s": NOON_S, "flags": LogFlag(0)},
        {"wall_s": NOON_S, "wall_valid": False},
        {"flags": LogFlag(0), "fields": TimeRefData(NOON_S, 0), "wall_s": NOON_S},
    ],
)
def test_a_time_that_is_not_known_is_null(fields: dict[str, Any]) -> None:
    told = plain(fields)
    assert told["wall_s_iso"] is None
    assert "fields" not in fields or told["fields"]["wall_s_iso"] is None


def test_a_time_zone_that_is_none_is_shown_and_does_not_end_us() -> None:
    assert plain({"wall_s": NOON_S, "tz_minutes": -32_768})["wall_s_iso"].endswith("-546:08")


def test_bytes_are_hexadecimal_also_where_they_happen_to_be_letters_and_a_serial_number_is_text() -> None:
    told = plain({"record": SessionOpenData(7, Role.PATIENT, b"ABCDEFGH"), "serial": b"EMU1\0\0"})
    assert told["record"]["nonce_start"] == b"ABCDEFGH".hex()
    assert told["serial"] == "EMU1"


def test_log_entries_have_their_data_as_fields_and_their_time_beside_the_text() -> None:
    entries = document("log")["entries"]
    (refill,) = [entry for entry in entries if entry["type"] == "REFILL"]
    assert refill["fields"] == {"aspirated_nl": 0, "filled_nl": 18_000_000, "expected_nl": 0}
    assert refill["time_iso"] == "2026-03-02T10:00:00+00:00"
    assert "filled 18 mL" in refill["text"]


ERRORS = [
    (("ack", "empty"), {"accused": "usage", "exit_code": 2, "name": "USAGE"}),
    (
        ("stop", "--yes", "--leave-stopped", "--role", "observer"),
        {"exit_code": 8, "code": "ROLE", "name": "DEVICE_REFUSED"},
    ),
    (("query",), {"exit_code": 2, "advice": "name the command's id"}),
    (("stop",), {"exit_code": 2, "accused": "usage"}),
]


@for_each(("arguments", "fields"), ERRORS, name=lambda case: case[0][0])
def test_an_error_is_a_document_on_stdout(arguments: tuple[str, ...], fields: dict[str, Any]) -> None:
    told = document(*arguments)
    assert (told["schema"], told["version"]) == ("pumpbench/error", 1)
    assert told["error"].items() >= fields.items()
    assert told["error"]["message"]


@for_each(
    ("arguments", "path"),
    [
        (("bolus", "--dose", "\u0663", "--duration", "60"), "program bolus"),
        (("bolus", "--dose", "1", "--volume", "1", "--duration", "60"), "program bolus"),
        (("stop", "--max-hours", "0"), "program stop"),
        (("status", "--no-such-option"), "program status"),
        (("void",), "program void"),
        (("no-such-command",), "program"),
    ],
)
def test_what_is_wrong_with_the_command_line_itself_is_a_document_too(
    arguments: tuple[str, ...], path: str
) -> None:
    result = run(*arguments)
    told = json.loads(result.stdout)
    jsonschema.Draft202012Validator(json_schema("error")).validate(told)
    assert (result.exit_code, told["error"]["exit_code"]) == (2, 2)
    assert told["error"]["advice"].endswith(f"{path} --help`")
    assert told["error"]["message"] in result.stderr
    assert CliRunner().invoke(main.cli, ["program", *arguments]).stdout == ""


def test_json_behind_two_dashes_is_no_option() -> None:
    assert CliRunner().invoke(main.cli, ["program", "void", "--", "x", "--json"]).stdout == ""


def test_a_document_has_no_half_of_a_character_which_many_readers_refuse() -> None:
    """A name of a file may have bytes that are no text."""
    told = json_text("test", {"path": "/x\udcff", "names": ["\udcfe\U0001f600"]})
    assert json.loads(told)["path"] == "/x\\udcff"
    assert json.loads(told)["names"] == ["\\udcfe\U0001f600"]


def test_an_error_names_its_command_and_what_became_of_it() -> None:
    assert (
        error_fields(OutcomeUnknown("?", cmd_id=7)).items()
        >= {"cmd_id": 7, "name": "OUTCOME_UNKNOWN"}.items()
    )
    lost = NotExecuted("?", cmd_id=7, outcome=Outcome.NEVER_RECEIVED)
    assert plain({"error": error_fields(lost)})["error"]["outcome"] == "NEVER_RECEIVED"
    assert "cmd_id" not in document("ack", "empty")["error"]


def test_with_json_the_sentence_stays_on_stderr_and_the_exit_code_is_as_it_was() -> None:
    command = [sys.executable, "-m", "hil.cli", "program", "ack", "empty", "--target", "emulator"]
    as_text, as_json = (run_python([*command, *more]) for more in ((), ("--json",)))
    assert as_json.returncode == as_text.returncode == json.loads(as_json.stdout)["error"]["exit_code"] == 2
    assert as_json.stderr == as_text.stderr
    assert as_text.stdout == ""


def test_a_command_that_was_answered_and_did_not_do_it_is_one_document_with_the_error_in_it() -> None:
    result = run("cancel")
    told = json.loads(result.stdout)
    assert told["schema"] == "pumpbench/cancel"
    assert told["reply"]["target_outcome"] == "NEVER_RECEIVED"
    assert told["error"]["message"] == "nothing was cancelled: no bolus is active"
    assert isinstance(result.exception, DeviceError)


def test_what_a_human_took_upon_himself_is_a_document_too(tmp_path: Path) -> None:
    state = unknown_command(tmp_path / "state.json")
    assert document("accept", "3", "--yes", "--state", str(state)) == {
        "schema": "pumpbench/accept",
        "version": 1,
        "cmd_id": 3,
        "accepted": True,
    }
