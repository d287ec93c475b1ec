"""The programmer's way to configuration and keys, by library and command line: what is kept where an answer is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hil.bench_of_test import TestBench
from hil.cli import configuration_command, key_commands, main
from hil.errors import BadConfiguration, Declined, DeviceRefused, LinkError, SessionRefused, UsageError
from hil.key_file import read_key
from hil.noise import Direction
from hil.plugin import verifies
from hil.programmer.programmer import Programmer
from protocol.identifiers import ConfigId, ErrorCode, Role
from protocol.link.development_keys import DeviceKey, development_key
from tests.support.for_each import for_each

NEW_KEY = DeviceKey(40, Role.PATIENT, bytes(range(16)), 0, development=False)


@pytest.fixture
def pump(bench: TestBench) -> Programmer:
    bench.target.rig.inject("magnet")
    return bench.open_programmer()


@pytest.fixture
def command_line(pump: Programmer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`program ...` on the pump of the bench, whose magnet no address can name."""

    @contextmanager
    def connected(_options: object, **_others: object) -> Iterator[Programmer]:
        yield pump

    for module in (key_commands, configuration_command):
        monkeypatch.setattr(module, "connected", connected)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.cli, ["program", *arguments, "--target", "emulator"])

    return run


# The library


@for_each(
    ("config_id", "value"),
    [
        (ConfigId.NOTES, 5),
        (ConfigId.NOTES, "x" * 65),
        (ConfigId.NOTES, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 33),
        (ConfigId.BOLUS_MAX_NL, "5"),
        (ConfigId.BOLUS_MAX_NL, True),
        (ConfigId.BOLUS_MAX_NL, -1),
        (ConfigId.BOLUS_MAX_NL, 1 << 32),
        (ConfigId.BOLUS_MAX_NL, 0.5),
        (ConfigId.PATIENT_MAY_READ_THERAPY, 1),
    ],
)
def test_a_value_that_no_item_can_carry_is_refused_before_anything_is_sent(
    config_id: ConfigId, value: Any
) -> None:
    from hil.programmer.configuration import encoded_value  # noqa: PLC0415 - of this test alone

    with pytest.raises(UsageError):
        encoded_value(config_id, value)


def test_a_pairing_whose_answer_was_lost_is_done_once_and_told_as_done(
    bench: TestBench, pump: Programmer
) -> None:
    pump.paired_keys()
    bench.line.drop(Direction.FROM_PUMP, 3, skip=1)
    pump.pair(NEW_KEY)
    assert [row.key_id for row in pump.paired_keys()] == [1, 2, 3, 4, 40]


# The command line


def test_keys_add_writes_a_key_file_that_only_its_owner_reads_and_that_opens_a_session(
    bench: TestBench, pump: Programmer, command_line: Any, tmp_path: Path
) -> None:
    path = tmp_path / "patient.json"
    result = command_line("keys", "add", "patient", str(path))
    assert result.exit_code == 0, result.output
    assert path.stat().st_mode & 0o777 == 0o600
    key = read_key(path)
    assert (key.key_id, key.role) == (5, Role.PATIENT)
    assert len(set(key.key)) > 4
    for text in (result.output, result.stderr):
        assert key.key.hex() not in text
    pump.end_session()
    bench.open_programmer(key=key).status()


def test_a_key_file_is_never_replaced_and_is_gone_where_the_pump_refused_the_key(
    bench: TestBench, pump: Programmer, command_line: Any, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    path.write_text("mine")
    result = command_line("keys", "add", "patient", str(path))
    assert isinstance(result.exception, BadConfiguration)
    assert path.read_text() == "mine"
    for key_id in range(40, 44):
        pump.pair(NEW_KEY._replace(key_id=key_id))
    fresh = tmp_path / "fresh.json"
    result = command_line("keys", "add", "patient", str(fresh))
    assert isinstance(result.exception, DeviceRefused)
    assert result.exception.error.code is ErrorCode.KEY_SLOTS
    assert not fresh.exists()


def test_a_key_file_stays_where_nobody_knows_whether_its_key_was_paired(
    bench: TestBench, pump: Programmer, command_line: Any, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    pump.paired_keys()
    bench.line.drop(Direction.FROM_PUMP, 1_000, skip=3)
    result = command_line("keys", "add", "patient", str(path))
    assert isinstance(result.exception, LinkError), result.output
    assert "may be paired" in result.stderr
    bench.line.clear()
    paired = {row.key_id for row in pump.paired_keys()}
    assert read_key(path).key_id in paired


def test_keys_list_and_revoke(bench: TestBench, pump: Programmer, command_line: Any) -> None:
    assert "key 2" in command_line("keys", "list").output
    assert isinstance(command_line("keys", "revoke", "77", "--yes").exception, UsageError)
    result = command_line("keys", "revoke", "2", "--yes")
    assert result.exit_code == 0, result.output
    told = json.loads(command_line("keys", "list", "--json").stdout)
    assert [row["key_id"] for row in told["keys"]] == [1, 3, 4]
    pump.end_session()
    with pytest.raises(SessionRefused):
        bench.open_programmer(key=development_key(Role.PATIENT))


@verifies("PRC-013")
def test_no_key_is_revoked_without_a_yes(pump: Programmer, command_line: Any) -> None:
    result = command_line("keys", "revoke", "2")
    assert "--yes" in str(result.exception)
    assert 2 in {row.key_id for row in pump.paired_keys()}


@for_each(
    ("name", "text", "value"),
    [
        ("bolus-max", "0.25", 250_000),
        ("tubing", "0.199", 199_000),
        ("critical-interval", "1200", 1_200),
        ("implant-date", "2025-12-24T10:00:00+01:00", 819_882_000),
        ("patient-may-read-therapy", "yes", True),
        ("drug-name", "Baclofen", "Baclofen"),
    ],
)
def test_config_takes_the_units_of_a_clinic_and_is_exact(name: str, text: str, value: object) -> None:
    result = CliRunner().invoke(
        main.cli, ["program", "config", name, text, "--yes", "--json", "--target", "emulator"]
    )
    assert result.exit_code == 0, result.output
    (item,) = json.loads(result.stdout)["items"]
    assert item["value"] == value


@for_each(
    ("name", "text"),
    [
        ("bolus-max", "0.0000001"),
        ("bolus-max", "1e-3"),
        ("bolus-max", "-1"),
        ("critical-interval", "20min"),
        ("implant-date", "2025-12-24"),
        ("patient-may-read-therapy", "maybe"),
        ("tubing", ""),
    ],
)
def test_config_refuses_what_it_would_have_to_guess(name: str, text: str) -> None:
    result = CliRunner().invoke(
        main.cli, ["program", "config", "--yes", "--target", "emulator", "--", name, text]
    )
    assert result.exit_code == 2, result.output


def test_config_names_the_nearest_value_in_its_unit_and_asks_before_it_sets(
    pump: Programmer, command_line: Any
) -> None:
    result = command_line("config", "bolus-max", "30", "--yes")
    assert isinstance(result.exception, DeviceRefused)
    assert "the nearest bolus-max that this pump takes is 1 mL" in result.stderr
    result = command_line("config", "bolus-max", "0.3")
    assert isinstance(result.exception, UsageError | Declined)
    assert "set bolus-max from 0.5 mL to 0.3 mL" in str(result.exception)
    assert pump.configuration(ConfigId.BOLUS_MAX_NL) == 500_000


def test_a_text_of_the_pump_does_nothing_to_the_terminal_that_shows_it(
    pump: Programmer, command_line: Any
) -> None:
    pump.configure(ConfigId.NOTES, "\x1b[2Jgone\nback")
    shown = command_line("config", "notes").output
    assert "\x1b" not in shown
    assert r"\x1b[2Jgone\nback" in shown
