"""The JSON Schemas that `pumpbench help json-schema` prints: real documents are valid by them, fields have meanings."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.bench_of_test import TestBench
from hil.cli import main
from hil.cli.bench_documents import BENCH_DOCUMENTS
from hil.cli.documents import KeysPart, json_text
from hil.cli.json_schema import DOCUMENTS, json_schema
from hil.cli.program import program
from hil.cli.recording_documents import RECORDING_DOCUMENTS
from hil.cli.rig_commands import rig
from hil.errors import UsageError
from protocol.identifiers import AlarmId, Role, SelfTestFault
from protocol.log.data import DATA_OF
from tests.support.for_each import for_each
from tests.unit.hil.test_json_documents import unknown_command

EMULATOR = ("--target", "emulator", "--json")
SIMPLE = str(Path(__file__).resolve().parents[3] / "fixtures" / "programs" / "simple.toml")
NOTHING: list[tuple[str, ...]] = [()]
ARGUMENTS: dict[str, list[tuple[str, ...]]] = {
    "query": [("9",)],
    "void": [("9",)],
    "set": [("--dose", "350", "--yes")],
    "minimum-rate": [("--yes", "--accept", "dose-change", "--accept", "refill-late")],
    "flex": [("00:00=12mcg/h", "06:00=13mcg/h", "--yes")],
    "write": [(SIMPLE, "--yes"), (SIMPLE, "--check")],
    "bolus": [("--volume", "0.02", "--duration", "600", "--yes")],
    "prime": [("--kind", "new", "--length-cm", "90", "--yes")],
    "patient-bolus": [("--yes",)],
    "report": [(), ("--clinic", "here")],
    "stop": [("--yes", "--leave-stopped")],
    "refill": [("--filled", "20", "--aspirated", "17", "--yes")],
    "time": [(), ("2026-03-02T11:30:00+01:00", "--reason", "zone", "--yes")],
    "log": [(), ("--security",)],
    "alarm-test": [("critical",), ("NON_CRITICAL",)],
    "config": [(), ("bolus-max",), ("notes", "by hand", "--yes")],
    "dose": [
        (),
        ("--dose", "90", "--concentration", "2000"),
        (
            "--bolus",
            "25",
            "--duration",
            "600",
            "--every",
            "6:00",
            "--stopped",
            "24:00",
            "--if-in-truth",
            "2000",
        ),
    ],
    "path": [("--length-cm", "114", "--trimmed-cm", "24")],
    "bridge": [("--length-cm", "90", "--concentration", "2000", "--dispersion", "10")],
}
"""Of each command that needs any; `accept`, `ack`, `keys`, `self-test` and `error` have tests of their own."""


def closed(schema: Any) -> Any:
    """The schema with fields forbidden that it does not name, which a reader must not do: we may add some."""
    schema = copy.deepcopy(schema)
    pending = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if "required" in part:
                part["additionalProperties"] = False
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    return schema


def check(name: str, document: Any) -> None:
    """Raise where a document is not what its schema says, to the last field."""
    jsonschema.Draft202012Validator(closed(json_schema(name))).validate(document)


def printed(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(main.cli, ["program", *arguments, *EMULATOR]).stdout)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object with fields in a schema."""
    if isinstance(schema, dict):
        if {"properties", "required"} <= schema.keys():  # a field may be called "required"
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def test_every_command_has_a_schema() -> None:
    of_rig = {f"rig-{name}" for name in rig.commands}
    assert {*program.commands, *of_rig, *RECORDING_DOCUMENTS, *BENCH_DOCUMENTS, "error"} == set(DOCUMENTS)


@for_each("name", list(DOCUMENTS))
def test_every_schema_is_one_of_its_dialect(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(name))
    assert json_schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", sorted(set(program.commands) - {"accept", "ack", "keys", "self-test"}))
def test_what_a_command_prints_is_valid_by_its_schema(name: str) -> None:
    for arguments in ARGUMENTS.get(name, NOTHING):
        check(name, printed(name, *arguments))


def test_what_accept_prints_is_valid_by_its_schema(tmp_path: Path) -> None:
    check("accept", printed("accept", "3", "--yes", "--state", str(unknown_command(tmp_path / "state.json"))))


def test_what_ack_prints_is_valid_by_its_schema(bench: TestBench) -> None:
    bench.target.rig.stall(on=True)
    pump = bench.open_programmer()
    bench.target.rig.advance(86_400_000)
    seen = pump.acknowledge_alarm(AlarmId.MOTOR_STALL)
    check("ack", json.loads(json_text("ack", seen)))
    check("alarms", json.loads(json_text("alarms", pump.alarms())))


def test_what_self_test_prints_is_valid_by_its_schema(bench: TestBench) -> None:
    bench.open_programmer().stop()
    pump = bench.open_programmer(Role.SERVICE)
    for failed in (pump.self_test(), SelfTestFault.LOG | SelfTestFault.CLOCK):
        check("self-test", json.loads(json_text("self-test", {"failed": failed})))


def test_what_keys_prints_is_valid_by_its_schema(bench: TestBench) -> None:
    bench.target.rig.inject("magnet")
    paired = list(bench.open_programmer().paired_keys())
    for part in (KeysPart(keys=paired), KeysPart(keys=paired, added=3), KeysPart(keys=[], revoked=3)):
        check("keys", json.loads(json_text("keys", part)))


def test_errors_are_valid_by_their_schema() -> None:
    for arguments in (
        ("ack", "empty"),
        ("query",),
        ("stop", "--yes", "--leave-stopped", "--role", "observer"),
    ):
        told = printed(*arguments)
        assert told["schema"] == "pumpbench/error"
        check("error", told)


def test_a_command_that_did_not_do_all_is_valid_too() -> None:
    told = printed("cancel")
    assert "error" in told
    check("cancel", told)


def test_a_document_that_is_not_as_its_schema_says_is_not_valid() -> None:
    told = printed("status")
    for wrong in (
        {**told, "wall_s": "noon"},
        {**told, "state": "85"},
        {**told, "schema": "pumpbench/info"},
        {name: value for name, value in told.items() if name != "wall_s_iso"},
        {**told, "program": None},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check("status", wrong)


def test_the_fields_of_a_log_entry_follow_from_its_type() -> None:
    told = printed("log")
    (boot,) = [entry for entry in told["entries"] if entry["type"] == "BOOT"]
    boot["fields"] = {"uncertain_nl": 5}
    with pytest.raises(jsonschema.ValidationError):
        check("log", told)
    boot["type"] = "RESET_BROWNOUT"
    check("log", told)


@for_each("name", list(DOCUMENTS))
def test_every_field_has_a_title_and_what_is_no_data_of_a_log_entry_a_meaning(name: str) -> None:
    schema = json_schema(name)
    data = [schema["$defs"].pop(cls.__name__, None) for cls in set(DATA_OF.values())]
    for part in objects(schema):
        for field, words in part["properties"].items():
            assert words["description"], f"{field} of {part.get('description', name)} has no meaning"
    assert all(part["description"] for part in data if part)


def test_units_are_in_the_titles() -> None:
    properties = json_schema("status")["properties"]
    assert properties["rate_nl_per_day"]["title"] == "rate, in nL/day"
    assert properties["rate_nl_per_day"]["description"] == "the basal rate in effect, or the bridge's"


def test_the_page_prints_one_schema_or_all_and_refuses_what_there_is_not() -> None:
    def page(*arguments: str) -> Any:
        return json.loads(CliRunner().invoke(main.cli, ["help", "json-schema", *arguments]).stdout)

    assert page("status") == json_schema("status")
    assert list(page()) == list(DOCUMENTS)
    refused = CliRunner().invoke(main.cli, ["help", "json-schema", "nonsense"])
    assert isinstance(refused.exception, UsageError)
    assert "status" in str(refused.exception)
