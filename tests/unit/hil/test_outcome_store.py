"""The state file: what it keeps, who may have it, and what it says where it cannot be read or written."""

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.errors import BadConfiguration, InUse, UsageError
from hil.outcome_store import (
    KEPT_CLOSED,
    LAST_CMD_ID,
    FiledCommand,
    MarkedEntry,
    Marks,
    OutcomeStore,
    default_path,
    fingerprint_of,
)

KEY = b"0123456789abcdef"
MEMORY = 0xB491DEB0FDD855E0
OTHER_MEMORY = 7


def filed(cmd_id: int, **fields: object) -> FiledCommand:
    return FiledCommand(cmd_id, 0x21, 0xCAFE, **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "programmer.json"


def test_what_was_filed_is_there_for_the_next_programmer(path: Path) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(5, volume_nl=20_000))
    with OutcomeStore(path, key=KEY) as store:
        assert store.open_commands(MEMORY) == (filed(5, volume_nl=20_000),)
        assert store.next_cmd_id(MEMORY, 0) == 6


def test_the_file_is_written_before_filing_returns(path: Path) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(5))
        document = json.loads(path.read_text())
    assert document["memories"][f"{MEMORY:016x}"]["commands"][0]["cmd_id"] == 5


def test_only_its_owner_may_read_it(path: Path) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_key_is_in_it(path: Path) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(1))
    text = path.read_bytes()
    assert KEY not in text
    assert KEY.hex().encode() not in text


def test_a_second_programmer_with_the_same_key_is_kept_out_until_the_first_ends(path: Path) -> None:
    with OutcomeStore(path, key=KEY):
        second = OutcomeStore(path, key=KEY)
        with pytest.raises(InUse, match="another programmer"):
            second.open()
    with OutcomeStore(path, key=KEY):
        pass


def test_another_key_does_not_take_over_a_state_file(path: Path) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(1))
    with pytest.raises(BadConfiguration, match="another key"):
        OutcomeStore(path, key=b"x" * 16).open()
    OutcomeStore(path, key=KEY).open()  # and the refusal has given the lock back


WRONG_VALUES: list[dict[str, object]] = [
    {"outcome": [1]},
    {"outcome": None},
    {"outcome": "FOO"},
    {"cmd_id": "1"},
    {"cmd_id": -1},
    {"opcode": 999},
    {"delivered_nl": 1.5},
    {"doubt": 7},
    {"raw": "zz"},
    {"seq": "x"},
    {"log": 9},
    {"boot_count": True},
]


@pytest.mark.parametrize("wrong", WRONG_VALUES, ids=str)
def test_a_value_that_this_program_never_wrote_is_a_damaged_file_and_unblocks_nothing(
    path: Path, wrong: dict[str, object]
) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(1))
        store.mark(MEMORY, Marks(1, 2, 3, (MarkedEntry(1, 1, 5, "00" * 32),)))
    document = json.loads(path.read_text())
    memory = document["memories"][f"{MEMORY:016x}"]
    for place in (memory["commands"][0], memory["marks"], memory["marks"]["entries"][0]):
        place.update({name: value for name, value in wrong.items() if name in place})
    path.write_text(json.dumps(document))
    with pytest.raises(BadConfiguration, match="is damaged"):
        OutcomeStore(path, key=KEY).open()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"schema": "other"}',
        json.dumps({"schema": "pumpbench-outcomes/1", "key_fingerprint": fingerprint_of(KEY)}),
        json.dumps(
            {
                "schema": "pumpbench-outcomes/1",
                "key_fingerprint": fingerprint_of(KEY),
                "memories": {"xyz": {}},
            }
        ),
        json.dumps(
            {
                "schema": "pumpbench-outcomes/1",
                "key_fingerprint": fingerprint_of(KEY),
                "memories": {"1": {"last_cmd_id": 1, "commands": [{"cmd": 1}]}},
            }
        ),
    ],
)
def test_a_damaged_file_is_one_sentence_and_is_left_as_it_is(path: Path, content: Any) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(BadConfiguration) as caught:
        OutcomeStore(path, key=KEY).open()
    assert str(path) in str(caught.value)
    assert path.read_text() == content


def test_ids_rise_above_our_own_and_the_pumps() -> None:
    store = OutcomeStore()
    assert store.next_cmd_id(MEMORY, 0) == 1
    assert store.next_cmd_id(MEMORY, 41) == 42
    store.file(MEMORY, filed(100))
    assert store.next_cmd_id(MEMORY, 41) == 101
    assert store.next_cmd_id(OTHER_MEMORY, 41) == 42


def test_ids_rise_above_those_of_a_memory_that_the_pump_lost_while_it_takes_them() -> None:
    store = OutcomeStore()
    store.file(OTHER_MEMORY, filed(100))
    store.name_pump(OTHER_MEMORY, "SERIAL")
    assert store.next_cmd_id(MEMORY, 0, "SERIAL") == 101
    assert store.next_cmd_id(MEMORY, 0, "ANOTHER") == 1
    assert store.next_cmd_id(MEMORY, 0) == 1
    store.file(OTHER_MEMORY, filed(65_536))
    assert store.next_cmd_id(MEMORY, 0, "SERIAL") == 1
    assert store.next_cmd_id(MEMORY, 1, "SERIAL") == 65_537


def test_the_last_id_is_the_last() -> None:
    store = OutcomeStore()
    assert store.next_cmd_id(MEMORY, LAST_CMD_ID - 1) == LAST_CMD_ID
    with pytest.raises(UsageError, match="used up"):
        store.next_cmd_id(MEMORY, LAST_CMD_ID)


@pytest.mark.parametrize(
    ("outcome", "unknown", "final"),
    [
        ("", True, False),
        ("INTENT", True, False),
        ("RUNNING", False, False),
        ("DONE", False, True),
        ("PARTIAL", False, True),
        ("REFUSED", False, True),
        ("VOIDED", False, True),
    ],
)
def test_what_is_unknown_and_what_is_final(outcome: Any, unknown: Any, final: Any) -> None:
    command = filed(1, outcome=outcome)
    assert (command.unknown, command.final) == (unknown, final)


def test_outcomes_of_another_memory_stay_unknown() -> None:
    store = OutcomeStore()
    store.file(MEMORY, filed(1))
    assert store.unknown_commands(OTHER_MEMORY) == ()
    assert store.has_open()
    store.settle(MEMORY, filed(1), "DONE", 5, 0)
    assert not store.has_open()


def test_what_is_closed_is_forgotten_in_time_and_what_is_open_never() -> None:
    store = OutcomeStore()
    store.file(MEMORY, filed(1))
    for cmd_id in range(2, 3 * KEPT_CLOSED):
        store.file(MEMORY, filed(cmd_id, outcome="DONE"))
    commands = store.commands(MEMORY)
    assert commands[0] == filed(1)
    assert len(commands) == 1 + KEPT_CLOSED
    assert store.next_cmd_id(MEMORY, 0) == 3 * KEPT_CLOSED


def test_a_closed_store_takes_nothing(path: Path) -> None:
    store = OutcomeStore(path, key=KEY)
    with pytest.raises(UsageError, match="not open"):
        store.file(MEMORY, filed(1))


def test_a_place_that_cannot_be_written_is_a_configuration_error() -> None:
    with pytest.raises(BadConfiguration, match="--state"):
        OutcomeStore(Path("/proc/nowhere/state.json"), key=KEY).open()


def test_the_default_path_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = default_path(3, KEY)
    assert path.parent == tmp_path / "pumpbench"
    assert fingerprint_of(KEY) in path.name
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path(3, KEY).parent == tmp_path / ".local/state/pumpbench"


def test_the_lock_dies_with_its_holder(path: Path) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        OutcomeStore(path, key=KEY).open()
        os.write(write_end, b"locked")
        signal.pause()
    os.read(read_end, 6)
    with pytest.raises(InUse):
        OutcomeStore(path, key=KEY).open()
    os.kill(child, 9)
    os.waitpid(child, 0)
    with OutcomeStore(path, key=KEY):
        pass
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_directory_is_no_state_file_and_is_left_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfiguration, match="Is a directory"):
        OutcomeStore(Path(name)).open()
    assert not list(tmp_path.iterdir())


def test_closing_twice_is_fine_also_where_the_last_marks_found_no_place(tmp_path: Path) -> None:
    store = OutcomeStore(tmp_path / "gone" / "state.json", key=KEY)
    store.open()
    store.mark(MEMORY, Marks(1, 2, 3))
    (tmp_path / "gone" / ".state.json.pumpbench-lock").unlink()
    (tmp_path / "gone").rmdir()
    store.close()
    store.close()


NO_JSON: Any = complex(1)
WRITES: list[Callable[[OutcomeStore], Any]] = [
    lambda store: store.file(MEMORY, filed(2, volume_nl=NO_JSON)),
    lambda store: store.settle(MEMORY, filed(1), "DONE", NO_JSON),
    lambda store: store.accept(MEMORY, filed(2, volume_nl=NO_JSON)),
]


@pytest.mark.parametrize("write", WRITES)
def test_what_could_not_be_written_is_not_in_memory_either(
    path: Path, write: Callable[[OutcomeStore], Any]
) -> None:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, filed(1))
        with pytest.raises(TypeError):
            write(store)
        assert store.commands(MEMORY) == (filed(1),)
        assert store.last_cmd_id(MEMORY) == 1
        store.file(MEMORY, filed(2))
    with OutcomeStore(path, key=KEY) as store:
        assert store.commands(MEMORY) == (filed(1), filed(2))


GOOD = {"last_cmd_id": 1, "commands": [], "marks": None, "serial": "EMU-1"}
NOT_WHAT_WAS_WRITTEN: list[tuple[str, list[Any]]] = [
    ("commands", ["", {}, None, 0, "[]"]),
    ("entries", ["", {}, None, 0, "[]"]),
    ("serial", [1, None, []]),
    ("memories", [[], "", None, 0]),
    ("schema", [[], {}, None, 1, True]),
]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in NOT_WHAT_WAS_WRITTEN for value in values]
)
def test_a_member_of_another_type_is_damage_and_no_empty_history(path: Path, name: str, value: Any) -> None:
    memory: dict[str, Any] = dict(GOOD)
    document: dict[str, Any] = {
        "schema": "pumpbench-outcomes/2",
        "key_fingerprint": fingerprint_of(KEY),
        "memories": {f"{MEMORY:016x}": memory},
    }
    if name in document:
        document[name] = value
    elif name == "entries":
        memory["marks"] = {"boot_count": 1, "t_mono_s": 1, "last_cmd_id": 1, "entries": value}
    else:
        memory[name] = value
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    expected = "no state file of this version" if name == "schema" else "is damaged"
    with pytest.raises(BadConfiguration, match=expected):
        OutcomeStore(path, key=KEY).open()
    assert json.loads(path.read_text()) == document
