"""State files where the system refuses a lock, a sync or a replacement, and what a killed process leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.errors import BadConfiguration
from hil.outcome_store import FiledCommand, OutcomeStore
from tests.support.not_run import skip_without
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"0123456789abcdef"
MEMORY = 7
STOP = 0x24
PACKAGE_OF = {"strace": "strace", "setpriv": "util-linux"}
WITHOUT_ROOTS_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
FILE_ONE = f"""
import sys, pathlib
from hil.errors import PumpbenchError
from hil.outcome_store import FiledCommand, OutcomeStore
try:
    with OutcomeStore(pathlib.Path(sys.argv[1]), key={KEY!r}) as store:
        store.file({MEMORY}, FiledCommand(1, {STOP}, 0, outcome="DONE"))
except PumpbenchError as error:
    print(error)
    sys.exit(error.exit_code)
"""
DIE_WITH_ROOM_TAKEN = f"""
import os, pathlib, signal, sys
from hil.outcome_store import FiledCommand, OutcomeStore
store = OutcomeStore(pathlib.Path(sys.argv[1]), key={KEY!r})
store.open()
store.file({MEMORY}, FiledCommand(1, {STOP}, 0))
os.kill(os.getpid(), signal.SIGKILL)
"""


def names_in(place: Path) -> set[str]:
    return {each.name for each in place.iterdir()}


def filed_in(path: Path) -> int:
    with OutcomeStore(path, key=KEY) as store:
        return store.last_cmd_id(MEMORY)


def run(program: str, path: Path, before: list[str]) -> subprocess.CompletedProcess[str]:
    if before:
        skip_without(before[0], package=PACKAGE_OF[before[0]])
    command = [*before, sys.executable, "-c", program, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def refusing(call: str, error: str, when: str = "1+") -> list[str]:
    """What makes the system refuse some calls of the program behind it."""
    inject = f"inject={call}:error={error}:when={when}"
    return ["strace", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_a_filing_system_without_locks_is_told_as_that_and_not_as_in_use(tmp_path: Path, error: str) -> None:
    ended = run(FILE_ONE, tmp_path / "state.json", refusing("flock", error))
    assert ended.returncode == 10
    assert "state.json cannot be locked (" in ended.stdout
    assert "nothing was sent; name one with --state on a filing system that has locks" in ended.stdout
    assert names_in(tmp_path) == {".state.json.pumpbench-lock"}


@pytest.mark.parametrize("error", ["EAGAIN", "EACCES"])
def test_a_lock_that_another_process_has_is_in_use(tmp_path: Path, error: str) -> None:
    ended = run(FILE_ONE, tmp_path / "state.json", refusing("flock", error))
    assert (ended.returncode, "another programmer is using this key" in ended.stdout) == (11, True)


def test_a_directory_that_may_not_be_read_keeps_the_state_file_as_any_other(tmp_path: Path) -> None:
    place = tmp_path / "blind"
    place.mkdir()
    path = place / "state.json"
    place.chmod(0o300)
    ended = run(FILE_ONE, path, WITHOUT_ROOTS_RIGHTS)
    place.chmod(0o700)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert (filed_in(path), names_in(place)) == (1, {"state.json", ".state.json.pumpbench-lock"})


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP", "EPERM"])
def test_a_filing_system_that_syncs_no_directory_keeps_the_state_file_as_any_other(
    tmp_path: Path, error: str
) -> None:
    path = tmp_path / "state.json"
    ended = run(FILE_ONE, path, refusing("fsync", error, when="2"))  # the first one syncs the file itself
    assert (ended.returncode, ended.stdout, filed_in(path)) == (0, "", 1)


def test_a_sync_of_the_directory_that_failed_is_told_as_not_written(tmp_path: Path) -> None:
    ended = run(FILE_ONE, tmp_path / "state.json", refusing("fsync", "EIO", when="2"))
    assert (ended.returncode, "cannot be written" in ended.stdout) == (10, True)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("call", ["rename", "fsync", "pwrite64", "ftruncate"])
def test_a_replacement_that_failed_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, call: str
) -> None:
    path = tmp_path / "state.json"
    ended = run(FILE_ONE, path, refusing(call, "EIO"))
    assert (ended.returncode, "cannot be written" in ended.stdout) == (10, True)
    assert names_in(tmp_path) == {".state.json.pumpbench-lock"}
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, FiledCommand(5, STOP, 0, outcome="DONE"))
    content = path.read_bytes()
    ended = run(FILE_ONE, path, refusing(call, "EIO"))
    assert (ended.returncode, "cannot be replaced" in ended.stdout) == (10, True)
    assert (path.read_bytes(), names_in(tmp_path)) == (content, {"state.json", ".state.json.pumpbench-lock"})


def test_the_room_that_a_killed_process_had_taken_is_given_back_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert run(DIE_WITH_ROOM_TAKEN, path, []).returncode == -signal.SIGKILL
    left = tmp_path / ".state.json.pumpbench-new"
    assert left.stat().st_size > 0
    with OutcomeStore(path, key=KEY) as store:
        assert not left.exists()
        assert [each.cmd_id for each in store.unknown_commands(MEMORY)] == [1]


def test_what_lies_in_the_place_of_the_next_content_is_removed_and_never_written_through(
    tmp_path: Path,
) -> None:
    path, another = tmp_path / "state.json", tmp_path / "another"
    another.write_text("not ours")
    for lay in (
        path.with_name(".state.json.pumpbench-new").symlink_to,
        path.with_name(".state.json.pumpbench-new").hardlink_to,
    ):
        lay(another)
        with OutcomeStore(path, key=KEY) as store:
            store.file(MEMORY, FiledCommand(1, STOP, 0, outcome="DONE"))
        assert another.read_text() == "not ours"
        assert names_in(tmp_path) == {"state.json", ".state.json.pumpbench-lock", "another"}


@pytest.mark.parametrize("name", ["state.json", ".state.json.pumpbench-new", ".state.json.pumpbench-lock"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once_and_stays(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / name
    os.mkfifo(pipe)
    done = run(FILE_ONE, tmp_path / "state.json", [])
    assert (done.returncode, "no regular file" in done.stdout) == (10, True), done.stdout + done.stderr
    assert pipe.is_fifo()


def test_somebodys_own_files_with_names_like_ours_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    own = [tmp_path / f"state.{more}" for more in ("new", "lock", "bak")]
    for file in own:
        file.write_text("mine")
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, FiledCommand(1, STOP, 0, outcome="DONE"))
    assert [file.read_text() for file in own] == ["mine"] * 3


def test_a_pipe_that_comes_while_the_file_is_held_makes_nobody_wait(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with OutcomeStore(path, key=KEY) as store:
        os.mkfifo(path.with_name(".state.json.pumpbench-new"))
        with pytest.raises(BadConfiguration, match="no regular file"):
            store.file(MEMORY, FiledCommand(1, STOP, 0))
