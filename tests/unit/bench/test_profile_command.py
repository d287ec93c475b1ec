"""`pumpbench profile`: what is listed, shown and checked; the sections of a clinic; and the schema for editors."""

from __future__ import annotations

import contextlib
import json
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import SHIPPED, load_profile, profile_names
from firmware_emu.bench.profile_rules import POLICY_RULES, json_schema
from firmware_emu.bench.profile_text import profile_text
from firmware_emu.cli import profile
from firmware_emu.controller.memory.settings import TEXT_IDS
from firmware_emu.profile import EmptyPolicy, Texts
from hil.address import parse
from hil.bench_session import BenchSession
from tests.support.for_each import for_each


def run(*arguments: str) -> Result:
    return CliRunner().invoke(profile, list(arguments))


@contextlib.contextmanager
def empty_directory() -> Iterator[None]:
    """Be in an empty directory for a while."""
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        yield


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def as_json(value: Any) -> Any:
    """What an editor makes of TOML: its dates are texts."""
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value.isoformat() if isinstance(value, datetime) else value


def schema_accepts(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(as_json(tomllib.loads(text))))


def test_every_profile_is_listed_with_what_it_is() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == profile_names()
    assert all(len(line.split()) > 5 for line in lines)
    told = json.loads(run("list", "--json").stdout)
    assert [each["name"] for each in told["profiles"]] == profile_names()
    assert all(each["summary"].endswith(".") for each in told["profiles"])


@for_each("name", profile_names())
def test_a_profile_is_shown_as_a_file_that_means_the_same_and_without_its_keys(name: str) -> None:
    result = run("show", name)
    shown = load_profile(name)
    path = Path("shown.toml")
    with empty_directory():
        path.write_text(result.stdout)
        assert replace(load_profile(path), keys=shown.keys, card_key=shown.card_key) == shown
    secrets = [*(key.key for key in shown.keys), *([shown.card_key] if shown.card_key else [])]
    assert not any(secret.hex() in result.stdout for secret in secrets)
    assert json.loads(run("show", name, "--json").stdout)["name"] == shown.name


def test_a_pump_that_was_filled_and_has_no_clock_is_shown_as_such(tmp_path: Path) -> None:
    given = load_profile(
        written(tmp_path / "p.toml", 'based_on = "factory"\n[implant]\nfilled_nl = 5_000_000\n')
    )
    assert given.implant is not None
    assert load_profile(written(tmp_path / "shown.toml", profile_text(given))) == given


@for_each(
    ("text", "catheter_nl"),
    [
        ("length_mm = 1_140\ntrimmed_mm = 240", 198_000),
        ("length_mm = 900", 198_000),
        ("length_mm = 1_100\ntrimmed_mm = 300\nvolume_nl_per_cm = 2_600", 208_000),
        ("length_mm = 1\nvolume_nl_per_cm = 5", 1),
        ('model = "any"', 198_000),
    ],
)
def test_a_catheter_is_told_by_its_length(text: str, catheter_nl: int) -> None:
    with empty_directory():
        assert load_profile(written(Path("p.toml"), f"[catheter]\n{text}\n")).model.catheter_nl == catheter_nl


def test_a_clinic_says_pump_patient_drug_and_policies_in_one_file(tmp_path: Path) -> None:
    text = (
        'pump = "40 mL"\n[patient]\nid = "P-1"\nnotes = "a note"\n[catheter]\nmodel = "a model"\n'
        '[drug]\nnumber = 2\nname = "baclofen"\nconcentration_ng_per_ml = 1_000_000\n'
        '[policies]\nempty_policy = "stop"\nmin_bolus_gap_s = 3_600\n'
    )
    made = load_profile(written(tmp_path / "p.toml", text))
    assert (made.model.reservoir_size_nl, made.model.empty_policy) == (40_000_000, EmptyPolicy.STOP)
    assert made.model.min_bolus_gap_s == 3_600
    assert made.implant is not None
    assert (made.implant.drug_id, made.implant.concentration_ng_per_ml) == (2, 1_000_000)
    assert made.texts == Texts("P-1", "a note", "baclofen", "a model")
    assert schema_accepts(text)
    session = BenchSession(parse("emulator"), profile=str(tmp_path / "p.toml"))
    bench = session.open_bench("texts")
    try:
        held = [bench.open_programmer().configuration(config_id) for config_id in TEXT_IDS]
    finally:
        bench.close()
        session.close()
    assert held == ["P-1", "a note", "baclofen", "a model"]


@for_each(
    ("text", "sentence"),
    [
        ('pump = "10 mL"', 'pump must be one of "20 mL", "40 mL", is "10 mL"'),
        (
            'pump = "40 mL"\n[model]\nreservoir_size_nl = 40_000_000',
            "pump must be said once, is said as model.reservoir_size_nl too",
        ),
        (
            '[model]\nempty_policy = "stop"\n[policies]\nempty_policy = "stop"',
            "policies.empty_policy must be said once, is said as model.empty_policy too",
        ),
        (
            "[implant]\ndrug_id = 1\n[drug]\nnumber = 1",
            "drug.number must be said once, is said as implant.drug_id too",
        ),
        (
            "[model]\ncatheter_nl = 1\n[catheter]\nlength_mm = 900",
            "catheter.length_mm must be said once, is said as model.catheter_nl too",
        ),
        (
            "[catheter]\nlength_mm = 900\ntrimmed_mm = 900",
            "catheter.trimmed_mm must be below catheter.length_mm = 900, is 900",
        ),
        (
            "[catheter]\ntrimmed_mm = 9",
            "catheter.length_mm is missing; it must be an integer from 1 to 10000",
        ),
        (
            f'[patient]\nid = "{"x" * 65}"',
            f'patient.id must be a printable text of at most 64 bytes in UTF-8, is "{"x" * 65}"',
        ),
        ("[policies]\nserial = 1", "policies.serial is no setting; known are empty_policy"),
        (
            "[policies]\nmax_stop_h = 1",
            "policies.max_stop_h is no setting; did you mean policies.max_stop_s?",
        ),
        (
            'based_on = "factory"\n[patient]\nid = "P"',
            "patient, drug.name and catheter.model must be of a pump that is",
        ),
        ("drug = 1", "drug must be a table, [drug], is 1"),
        ('summary = ""', 'summary must be a text of 1 to 120 printable characters, is ""'),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_key_expected_and_what_came(text: str, sentence: str) -> None:
    with empty_directory():
        written(Path("mine.toml"), text)
        result = run("check", "mine.toml")
        assert result.exit_code == BadConfigurationError.exit_code
        assert result.stderr.startswith(f"profile mine.toml: {sentence}")
        assert result.stdout == ""
        told = json.loads(run("check", "mine.toml", "--json").stdout)
        assert (told["good"], told["files"][0]["fault"]) == (False, result.stderr.rstrip("\n"))


def test_each_of_several_files_is_checked() -> None:
    good = [str(SHIPPED / f"{name}.toml") for name in profile_names()]
    assert run("check", *good).exit_code == 0
    with empty_directory():
        result = run("check", good[0], str(written(Path("bad.toml"), "x = 1")), good[1], "missing.toml")
    assert result.exit_code == BadConfigurationError.exit_code
    assert result.stdout.splitlines() == [f"{path} is a profile" for path in good[:2]]
    assert len(result.stderr.splitlines()) == 2


@for_each("path", sorted(SHIPPED.glob("*.toml")))
def test_every_shipped_profile_names_the_schema_beside_it_and_is_valid_by_it(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#:schema ./profile.schema.json\n")
    assert schema_accepts(text)


def test_the_schema_that_is_shipped_is_the_one_that_is_printed() -> None:
    shipped = json.loads((SHIPPED / "profile.schema.json").read_text())
    assert shipped == json_schema() == json.loads(run("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(shipped)


@for_each(
    "text",
    [
        "zzz = 1",
        "[model]\nstroke_nl = 0",
        "[model]\nsecured = 1",
        '[model]\nempty_policy = "go on"',
        "[policies]\nserial = 'X'",
        "[[keys]]\nkey_id = 1",
        "[model]\nserial = 'thirteen char'",
        "pump = '30 mL'",
    ],
)
def test_an_editor_sees_what_a_check_refuses(text: str) -> None:
    assert not schema_accepts(text)
    with empty_directory(), pytest.raises(BadConfigurationError):
        load_profile(written(Path("p.toml"), text))


def test_a_policy_is_a_setting_of_the_model() -> None:
    assert all(hasattr(load_profile("implanted").model, name) for name in POLICY_RULES)
