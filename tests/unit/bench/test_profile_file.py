"""Profiles: the built-in ones, the examples, and one clear line for each way to get a file wrong."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import BUILT_IN, load_profile, profile_names
from firmware_emu.bench.profile_rules import IMPLANT_RULES, KEY_RULES, MODEL_RULES
from firmware_emu.profile import EmptyPolicy, Implant, PairedKey, PumpModel, RecoveryLog, TelemetryExit
from protocol.identifiers import Role
from protocol.link.development_keys import DEVELOPMENT_KEYS
from tests.unit.bench.processes import Emulator

EXAMPLES = Path(__file__).parents[3] / "fixtures" / "profiles"
NAMES = [
    "factory",
    "implanted",
    "as_reported_telemetry",
    "child",
    "forty_millilitre",
    "late_recovery_log",
    "near_replacement",
    "nearly_empty",
    "old_catheter_volume",
    "old_tubing_volume",
    "over_infusing",
    "spinal",
    "suite_on_a_port",
]
HEX_KEY = "00112233445566778899aabbccddeeff"


def complaint(path: Path) -> str:
    with pytest.raises(BadConfigurationError) as error:
        load_profile(path)
    assert error.value.exit_code == 10
    text = str(error.value)
    assert text.startswith(f"profile {path}: ")
    assert "\n" not in text
    assert len(text) < len(str(path)) + 600
    return text.removeprefix(f"profile {path}: ")


def test_the_implanted_pump_is_at_work_and_knows_the_time() -> None:
    profile = load_profile("implanted")
    assert profile.model == PumpModel()
    assert profile.implant == Implant(1, 500_000, 300_000, 18_000_000, 0)
    assert profile.wall_at_start_s is not None
    start = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=profile.wall_at_start_s)
    assert start == datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_a_pump_from_the_factory_was_never_filled_and_has_no_time() -> None:
    profile = load_profile("factory")
    assert profile.implant is None
    assert profile.wall_at_start_s is None


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_profile_knows_the_published_keys(name: str) -> None:
    keys = load_profile(name).keys
    assert [(key.key_id, key.role, key.key) for key in keys] == [
        (key.key_id, key.role, key.key) for key in DEVELOPMENT_KEYS
    ]
    assert [key.slot for key in DEVELOPMENT_KEYS] == list(range(len(keys)))
    assert all(key.development for key in keys)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_example_of_a_built_in_profile_is_that_profile(name: str) -> None:
    assert load_profile(EXAMPLES / f"{name}.toml") == load_profile(name)


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("as_reported_telemetry", {"telemetry_exit": TelemetryExit.INTERROGATION}),  # RH-08
        ("late_recovery_log", {"recovery_log": RecoveryLog.LATE}),  # RH-09
        ("old_catheter_volume", {"catheter_nl": 132_000, "catheter_told_excess_nl": 66_000}),  # FI 70
        ("old_tubing_volume", {"tubing_told_excess_nl": 59_000}),  # RH-01
        ("over_infusing", {"accuracy_ppm": 1_145_000, "residual_nl": 0}),  # RH-04
    ],
)
def test_a_profile_that_reproduces_a_hazard_differs_in_its_cause_alone(
    name: str, differs: dict[str, object]
) -> None:
    ours, plain = load_profile(name).model, PumpModel()
    found = {each.name: getattr(ours, each.name) for each in fields(PumpModel)}
    assert {key: value for key, value in found.items() if value != getattr(plain, key)} == differs


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_of_the_installation_is_known_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert profile_names() == NAMES
    assert load_profile(name) == load_profile(EXAMPLES / f"{name}.toml")


def test_a_file_of_a_shipped_profiles_name_comes_first_and_one_of_a_built_in_profiles_name_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("suite_on_a_port", "implanted"):
        Path(name).write_text('name = "a file"')
    assert load_profile("suite_on_a_port").name == "a file"
    assert load_profile("implanted").name == "implanted"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_loads(path: Path) -> None:
    assert load_profile(path).keys


def test_a_file_changes_what_it_names_and_nothing_else() -> None:
    profile = load_profile(EXAMPLES / "forty_millilitre.toml")
    assert profile.name == "40 mL"
    assert profile.model == PumpModel(reservoir_size_nl=40_000_000, serial="EMU-40-00001")
    assert profile.implant == Implant(1, 2_000_000, 300_000, 40_000_000, 730)
    assert profile.tz_minutes == 60
    base = load_profile("implanted").wall_at_start_s
    assert base is not None
    assert profile.wall_at_start_s == base - 3_600
    assert profile.keys == (
        PairedKey(7, Role.CLINICIAN, bytes(range(16))),
        PairedKey(8, Role.PATIENT, bytes(range(16, 32))),
    )


def test_an_empty_file_is_the_implanted_pump_under_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("")
    assert load_profile(path).name == "mine"
    assert load_profile(path).model == PumpModel()
    assert load_profile(str(path)) == load_profile(path)


def test_a_policy_comes_as_its_enum(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('model.empty_policy = "stop"')
    assert load_profile(path).model.empty_policy is EmptyPolicy.STOP


def test_a_factory_pump_with_an_implant_section_is_implanted(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('based_on = "factory"\n[implant]\nfilled_nl = 20_000_000')
    assert load_profile(path).implant == Implant(filled_nl=20_000_000)


def test_a_published_key_in_a_file_stays_marked_as_such(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    hex_key = DEVELOPMENT_KEYS[2].key.hex()
    path.write_text(f'[[keys]]\nkey_id = 9\nrole = "clinician"\nkey = "{hex_key}"')
    assert load_profile(path).keys[0].development


def test_every_field_has_a_rule_and_every_default_keeps_it() -> None:
    for kind, rules in ((PumpModel, MODEL_RULES), (Implant, IMPLANT_RULES)):
        known = [
            field for field in fields(kind) if field.name != "components"
        ]  # a table of its own in the file
        assert [field.name for field in known] == list(rules)
        assert all(rules[field.name].accepts(field.default) for field in known)
    assert [*KEY_RULES, "development"] == [field.name for field in fields(PairedKey)]


KEY_TEXT = f'[[keys]]\nkey_id = 7\nrole = "clinician"\nkey = "{HEX_KEY}"\n'

WRONG = {
    "not TOML": ("stroke = = 5", "is not TOML: Invalid value (at line 1, column 10)"),
    "a number of 5,000 digits": ("x = " + "9" * 5_000, "is not TOML: Exceeds the limit (4300"),
    "a list nested a thousand times": ("x = " + "[" * 2_000, "is not TOML: "),
    "components that are no table": ("components = 1", "components must be a table, [components], is 1"),
    "an unknown part": (
        '[components]\ncathetr = "x"',
        "components.cathetr is no setting; did you mean components.catheter?",
    ),
    "a kind that is no text": (
        "[components]\nrotor = 1",
        "components.rotor must be the name of a kind, is 1",
    ),
    "an unknown kind": (
        '[components]\ncatheter = "straight"',
        'components.catheter must be one of "plug-flow" or a kind of an installed package, is "straight"',
    ),
    "an unknown top key": ("modell = 1", "modell is no setting; did you mean model?"),
    "an unknown top key like nothing": (
        "zzz = 1",
        "zzz is no setting; known are name, summary, based_on, pump",
    ),
    "an unknown model key": (
        "model.stroke = 500",
        "model.stroke is no setting; did you mean model.stroke_nl?",
    ),
    "an unknown implant key": (
        "implant.filled = 500",
        "implant.filled is no setting; did you mean implant.filled_nl?",
    ),
    "an unknown key of a key": (
        KEY_TEXT + "rolle = 1",
        "keys, entry 1, rolle is no setting; did you mean keys, entry 1, role?",
    ),
    "a model that is no table": ("model = 1", "model must be a table, [model], is 1"),
    "keys that are one table": (
        "[keys]\nkey_id = 1",
        "keys must be 1 to 8 tables, [[keys]], is a table of 1",
    ),
    "no keys at all": ("keys = []", "keys must be 1 to 8 tables, [[keys]], is a list of 0"),
    "nine keys": (KEY_TEXT * 9, "keys must be 1 to 8 tables, [[keys]], is a list of 9"),
    "a text for a number": (
        'model.stroke_nl = "big"',
        'model.stroke_nl must be an integer from 1 to 100000, is "big"',
    ),
    "a fraction": (
        "model.stroke_nl = 0.5",
        "model.stroke_nl must be an integer from 1 to 100000, is 0.5",
    ),
    "a truth value for a number": (
        "model.stroke_nl = true",
        "model.stroke_nl must be an integer from 1 to 100000, is true",
    ),
    "a number for a truth value": ("model.secured = 1", "model.secured must be true or false, is 1"),
    "below the range": (
        "model.stroke_nl = 0",
        "model.stroke_nl must be an integer from 1 to 100000, is 0",
    ),
    "above the range": (
        "model.stroke_nl = 100_001",
        "model.stroke_nl must be an integer from 1 to 100000, is 100001",
    ),
    "far above the range": (
        "model.stroke_nl = 0x" + "f" * 4_000,
        "model.stroke_nl must be an integer from 1 to 100000, is a number of more than 38 digits",
    ),
    "a policy that is none": (
        'model.empty_policy = "pray"',
        'model.empty_policy must be one of "continue", "minimum_rate", "stop", is "pray"',
    ),
    "a list for a word": (
        "model.empty_policy = []",
        'model.empty_policy must be one of "continue", "minimum_rate", "stop", is a list of 0',
    ),
    "a long serial number": (
        'model.serial = "EMU0000000012"',
        'model.serial must be 1 to 12 printable ASCII characters, is "EMU0000000012"',
    ),
    "a name that is empty": ('name = " "', 'name must be a text of 1 to 60 printable characters, is " "'),
    "a name with a line break inside": (
        'name = "a\\nb"',
        'name must be a text of 1 to 60 printable characters, is "a?b"',
    ),
    "a clock without a zone": (
        "wall_clock = 2026-03-02T10:00:00",
        "wall_clock must be a date and time with its offset from UTC, between 2000 and 2099, as 2026-03-02",
    ),
    "a clock before its epoch": ("wall_clock = 1999-12-31T23:00:00Z", "wall_clock must be a date and time"),
    "a clock before its epoch in UTC": (
        "wall_clock = 2000-01-01T01:00:00+02:00",
        "wall_clock must not be before 2000 in UTC, is 2000-01-01 01:00:00+02:00",
    ),
    "another base": ('based_on = "mine"', 'based_on must be one of "implanted", "factory", is "mine"'),
    "a base that is a list": ("based_on = []", "based_on must be one of"),
    "a key without its role": (
        f'[[keys]]\nkey_id = 7\nkey = "{HEX_KEY}"',
        'keys, entry 1, role is missing; it must be one of "observer", "patient", "clinician", "service"',
    ),
    "a key of an unknown role": (
        '[[keys]]\nrole = "nurse"',
        'keys, entry 1, role must be one of "observer", "patient", "clinician", "service", is "nurse"',
    ),
    "two keys with one id": (
        KEY_TEXT * 2,
        "keys, entry 2, key_id must be its own, but 7 was there before",
    ),
    "a residual larger than its reservoir": (
        "model.residual_nl = 20_000_000",
        "model.residual_nl must be below model.reservoir_size_nl = 20000000, is 20000000",
    ),
    "a catheter told to hold less than nothing": (
        "model = {catheter_nl = 198_000, catheter_told_excess_nl = -198_001}",
        "model.catheter_told_excess_nl must with model.catheter_nl be from 0 to 10000000 nL, is -1 nL",
    ),
    "a bolus above the hour's limit": (
        "model.bolus_max_nl = 1_000_001",
        "model.bolus_max_nl must not be above model.hour_max_nl = 1000000, is 1000001",
    ),
    "an overfill": (
        "implant.filled_nl = 20_000_001",
        "implant.filled_nl must not be above model.reservoir_size_nl = 20000000, is 20000001",
    ),
    "a dose too small for the pump": (
        "implant = {dose_ng_per_day = 90_000, concentration_ng_per_ml = 2_000_000}",  # WE-03
        "implant.dose_ng_per_day must give a rate from 48000 to 5000000 nL/day at 2000000 ng/mL, is 90000",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gets_one_line_that_names_the_key(tmp_path: Path, name: str) -> None:
    content, expected = WRONG[name]
    path = tmp_path / "p.toml"
    path.write_text(content)
    assert complaint(path).startswith(expected)


@pytest.mark.parametrize("key", [HEX_KEY[:-1], HEX_KEY + "0", "zz" * 16])
def test_a_bad_device_key_is_not_shown(tmp_path: Path, key: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f'[[keys]]\nkey = "{key}"')
    expected = f"keys, entry 1, key must be 32 hex digits, is {len(key)} characters that are not shown"
    assert complaint(path) == expected


def test_the_smallest_dose_of_the_pump_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("implant = {dose_ng_per_day = 96_000, concentration_ng_per_ml = 2_000_000}")  # WE-04
    implant = load_profile(path).implant
    assert implant is not None
    assert implant.dose_ng_per_day == 96_000


def test_a_file_that_is_not_there_is_said_so_with_the_names_that_are(tmp_path: Path) -> None:
    assert complaint(tmp_path / "p") == f"no such file, and no built-in profile ({', '.join(NAMES)})"


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "socket", "/dev/zero", "/dev/ptmx", "/dev/null"])
def test_what_is_no_regular_file_is_refused_at_once_and_not_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "p"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind.startswith("/dev/"):
        path = Path(kind)
    else:
        os.mkfifo(tmp_path / "pipe")
        path = tmp_path / "pipe"
        if kind.startswith("link"):
            path = tmp_path / "p"
            path.symlink_to("pipe")
    assert complaint(path) == "is no regular file; a profile is not read from a pipe or a device"


def test_an_emulator_starts_from_a_shipped_profile_by_its_name_and_refuses_a_pipe(tmp_path: Path) -> None:
    emulator = Emulator("--profile", "forty_millilitre", cwd=tmp_path)
    assert emulator.ready["identity"]["serial"] == "EMU-40-00001"
    emulator.kill()
    os.mkfifo(tmp_path / "pipe")
    ended = Emulator.that_ends("--profile", tmp_path / "pipe")
    assert (ended.code, ended.out, ended.err.count("\n")) == (10, "", 1)
    assert "is no regular file" in ended.err


def test_a_folder_a_large_file_and_a_picture_are_no_profiles(tmp_path: Path) -> None:
    assert complaint(tmp_path) == "cannot be read: Is a directory"
    (tmp_path / "larger").write_bytes(b"#" * 65_537)
    assert complaint(tmp_path / "larger") == "is larger than 65536 bytes, which no profile is"
    picture = tmp_path / "picture.toml"
    picture.write_bytes(b"\x89PNG\r\n")
    assert complaint(picture) == "is not UTF-8 text, at byte 0"
