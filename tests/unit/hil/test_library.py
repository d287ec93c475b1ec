"""`import hil` as a script uses it: names that resolve, a programmer on an address, outcomes that are kept."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hil
from hil.targets.choices import PumpChoice
from hil.targets.process import ProcessTarget
from protocol.identifiers import Outcome, Role, State
from protocol.link.development_keys import development_key
from tests.support.patience import PATIENCE_S

HOUSE = Path(__file__).resolve().parents[3]


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an emulator that outlives a script; state files lie in `tmp_path`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    target = ProcessTarget(PumpChoice(time_mode="real"))
    try:
        target.start()
        yield f"pty:{target.ready['port']}"
    finally:
        target.close()


def test_a_newcomer_who_asks_for_help_sees_the_public_names_and_how_to_begin() -> None:
    assert set(hil.__all__) <= set(dir(hil))
    asked = [sys.executable, "-c", "import hil; help(hil)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    assert 'with hil.connect("pty:./pump") as pump:' in told.partition("PACKAGE CONTENTS")[0]
    assert "    connect(address: 'str | None' = None, *, key" in told
    assert "class RigClient(" in told


def test_what_is_asked_of_a_connection_that_with_has_not_opened_is_refused_with_how_to_write_it() -> None:
    connection: Any = hil.connect("emulator")
    with pytest.raises(hil.UsageError) as caught:
        connection.status()
    assert "`with hil.connect(...) as pump:`, and below it `pump.status`" in caught.value.one_line()
    assert not hasattr(connection, "bolus")
    with connection as pump:
        assert pump.status().state is State.RUN


def test_every_public_name_resolves_to_what_bears_it() -> None:
    for name in set(hil.__all__) - {"__version__"}:
        value: Any = getattr(hil, name)
        assert value.__name__ == name
    assert isinstance(hil.__version__, str)
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        hil.nothing_of_ours  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import hil; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.split() == ["hil"]


def test_without_an_address_it_is_a_new_pump_in_this_process_that_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUMPBENCH_TARGET", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with hil.connect() as pump:
        assert pump.status().state is State.RUN
        assert pump.bolus(50_000, 600).outcome is Outcome.RUNNING
    assert list(tmp_path.iterdir()) == []


def test_the_next_script_remembers_the_command_that_was_under_way(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUMPBENCH_TARGET", port)
    with hil.connect() as pump:
        bolus = pump.bolus(50_000, 600)
        assert bolus.outcome is Outcome.RUNNING
    with hil.connect() as pump:
        filed = pump.ledger.filed(bolus.cmd_id)
        assert filed is not None
        assert (filed.outcome, filed.final) == ("RUNNING", False)


def test_a_script_after_one_that_was_killed_is_told_what_the_pump_had_received(
    port: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    with hil.connect(port, state=path) as pump:
        bolus = pump.bolus(50_000, 600)
    document = json.loads(path.read_text())
    (memory,) = document["memories"].values()
    memory["commands"][0]["outcome"] = ""  # as it is on file until the answer comes
    path.write_text(json.dumps(document))
    with hil.connect(port, state=path) as pump:
        assert [filed.cmd_id for filed in pump.found_out] == [bolus.cmd_id]
        assert len(pump.notices) == 1


def test_a_script_may_name_its_state_file_or_keep_nothing(port: str, tmp_path: Path) -> None:
    named = tmp_path / "mine.json"
    with hil.connect(port, state=named) as pump:
        stop = pump.stop(3_600)
    with hil.connect(port, state=str(named)) as pump:
        assert pump.ledger.filed(stop.cmd_id) is not None
    with hil.connect(port, state=False) as pump:
        assert pump.ledger.filed(stop.cmd_id) is None
        assert pump.resume(program_rev=pump.status().program_rev).cmd_id > stop.cmd_id
    assert {path.name for path in tmp_path.iterdir()} == {"mine.json", ".mine.json.pumpbench-lock"}


def test_two_scripts_do_not_share_a_key(port: str) -> None:
    with hil.connect(port), pytest.raises(hil.InUse), hil.connect(port):
        pytest.fail("the port was opened twice")


def test_the_key_may_be_a_role_a_key_or_a_file(tmp_path: Path) -> None:
    with hil.connect("emulator", role=Role.PATIENT) as pump:
        assert pump.key.role is Role.PATIENT
    with hil.connect("emulator", key=development_key(Role.SERVICE)) as pump:
        assert pump.key.role is Role.SERVICE
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"key_id": 1, "role": "observer", "key": b"devkey:observer.".hex()}))
    path.chmod(0o600)
    with hil.connect("emulator", key=str(path)) as pump:
        assert pump.status().state is State.RUN
        assert pump.key.key_id == 1
    with (
        pytest.raises(hil.UsageError, match="another role"),
        hil.connect(key=development_key(Role.PATIENT), role=Role.SERVICE),
    ):
        pytest.fail("a role that is not the key's was taken")


@pytest.mark.parametrize("address", ["nonsense", "emulator:other", "pty:", "socket://nowhere"])
def test_a_wrong_address_is_said_before_anything_is_opened(address: str) -> None:
    with pytest.raises(hil.BadConfiguration, match="write"), hil.connect(address):
        pytest.fail(f"{address} was opened")


ROLES: list[tuple[Any, Role]] = [
    ("patient", Role.PATIENT),
    ("SERVICE", Role.SERVICE),
    (Role.OBSERVER, Role.OBSERVER),
]


@pytest.mark.parametrize(("role", "meant"), ROLES)
def test_a_role_may_be_spelled_as_on_the_command_line(role: Any, meant: Role) -> None:
    with hil.connect("emulator", role=role) as pump:
        assert pump.key.role is meant


WRONG_ARGUMENTS: list[tuple[str, list[Any], str]] = [
    ("role", [1, True, "nurse", "", b"patient", []], "clinician"),
    ("address", [Path("./pump"), 1, 0, [], False, b"emulator"], "text"),
    ("state", [1, 0, [], b"s.json", 1.5], "True, False, None or the path"),
    ("key", [b"k" * 16, 1, [], False], "path of a key file"),
    ("secured", ["no", 0, None], "True or False"),
    ("watch", ["print"], "function"),
]


@pytest.mark.parametrize(("name", "values", "expected"), WRONG_ARGUMENTS)
def test_an_argument_of_another_type_is_refused_and_says_what_is_expected(
    name: str, values: list[Any], expected: str
) -> None:
    for wrong in values:
        arguments = {"address": "emulator", name: wrong}
        with pytest.raises(hil.UsageError) as caught, hil.connect(**arguments):
            pytest.fail(f"{name}={wrong!r} was taken")
        for part in (name, repr(wrong), expected):
            assert part in str(caught.value)


def test_without_a_state_nothing_is_kept(port: str, tmp_path: Path) -> None:
    with hil.connect(port, state=None) as pump:
        pump.stop()
    assert list(tmp_path.iterdir()) == []


def test_of_two_keys_of_one_role_in_a_file_none_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    rows = [{"key_id": key_id, "role": "clinician", "key": f"{key_id:032x}"} for key_id in (7, 300)]
    rows.append({"key_id": 1, "role": "observer", "key": b"devkey:observer.".hex()})
    path.write_text(json.dumps(rows))
    path.chmod(0o600)
    for role in (None, "clinician"):
        with pytest.raises(hil.BadConfiguration) as caught, hil.connect("emulator", key=path, role=role):
            pytest.fail("a key was guessed")
        for part in ("2 keys", "clinician", "7 and 300", "file of its own"):
            assert part in str(caught.value)
    with pytest.raises(hil.PumpbenchError) as other, hil.connect("emulator", key=path, role="observer"):
        raise hil.LinkError("the observer's key was taken")
    assert "was taken" in str(other.value)
