"""The stable name of a PTY: taken once, given back, never in a dead hand, never over somebody's file."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.errors import BadConfigurationError, TakenError
from firmware_emu.bench.link_lock import LinkLock, open_locked
from hil.errors import BadConfiguration, BenchLost
from hil.targets.port import open_port
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDER = """
import sys, pathlib
from firmware_emu.bench.link_lock import LinkLock
LinkLock(pathlib.Path(sys.argv[1])).acquire("/dev/pts/99")
print("held", flush=True)
sys.stdin.read()
"""


def start_holder(link: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(link)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=PATIENCE_S)


def test_a_link_points_at_its_target_and_goes_with_its_lock(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    assert str((tmp_path / "pump").readlink()) == "/dev/pts/7"
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_second_holder_is_told_so(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    with pytest.raises(TakenError, match="belongs to an emulator or a tap that is running"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/8")
    assert str((tmp_path / "pump").readlink()) == "/dev/pts/7"
    lock.release()


def test_a_killed_holder_leaves_no_false_taken(tmp_path: Path) -> None:
    link = tmp_path / "pump"
    holder = start_holder(link)
    with pytest.raises(TakenError):
        LinkLock(link).acquire("/dev/pts/8")
    end(holder)
    assert link.is_symlink()
    lock = LinkLock(link)
    lock.acquire("/dev/pts/8")
    assert str(link.readlink()) == "/dev/pts/8"
    lock.release()


def test_a_file_at_the_place_of_the_link_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "pump").write_text("precious")
    with pytest.raises(TakenError, match="exists and is no link"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/8")
    assert (tmp_path / "pump").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["pump"]


def test_a_link_to_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "pump").symlink_to("somewhere/else")
    with pytest.raises(TakenError, match="points to somewhere/else, which is no PTY"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/8")
    assert str((tmp_path / "pump").readlink()) == "somewhere/else"


def test_a_link_that_somebody_moved_on_is_left_alone(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    (tmp_path / "pump").unlink()
    (tmp_path / "pump").symlink_to("/dev/pts/8")
    lock.release()
    assert str((tmp_path / "pump").readlink()) == "/dev/pts/8"


def test_a_folder_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadConfigurationError, match="No such file or directory; choose a --link"):
        LinkLock(tmp_path / "nowhere" / "pump").acquire("/dev/pts/8")


def test_a_lock_that_was_released_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        lock = LinkLock(tmp_path / "pump")
        lock.acquire("/dev/pts/7")
        assert (tmp_path / "pump").is_symlink()
        lock.release()
        assert not (tmp_path / "pump").is_symlink()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_link_that_is_a_directory_is_said_in_one_sentence(name: str) -> None:
    with pytest.raises(BadConfigurationError, match="is a directory; name the link itself"):
        LinkLock(Path(name))


@pytest.fixture
def terminal() -> Iterator[str]:
    """Somebody's terminal: whatever is written to it is read."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    path = os.ttyname(slave)
    yield path
    with pytest.raises(BlockingIOError):
        os.read(master, 1)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("through", ["itself", "another link"])
def test_a_link_that_a_killed_emulator_left_is_refused_by_the_client_whatever_has_its_pty_now(
    tmp_path: Path, terminal: str, through: str
) -> None:
    emulator = Emulator("--link", tmp_path / "pump")
    emulator.kill()
    assert (tmp_path / ".pump.pumpbench-lock").exists()
    (tmp_path / "pump").unlink()
    (tmp_path / "pump").symlink_to(terminal)  # as if the system had given the number of its PTY again
    path = tmp_path / "pump"
    if through == "another link":
        path = tmp_path / "other"
        path.symlink_to("pump")
    with pytest.raises(
        BenchLost, match=r"pump was left by an emulator or a tap that has ended, and what it points to"
    ):
        open_port(str(path), "pty:pump")


def test_a_link_whose_emulator_runs_and_a_link_of_no_emulator_are_opened(
    tmp_path: Path, terminal: str
) -> None:
    emulator = Emulator("--link", tmp_path / "pump")
    open_port(str(tmp_path / "pump"), "pty:pump").close()
    emulator.end()
    with pytest.raises(BadConfiguration, match="there is no port at"):
        open_port(str(tmp_path / "pump"), "pty:pump")
    (tmp_path / "board").symlink_to(terminal)
    open_port(str(tmp_path / "board"), "pty:board").close()


def test_a_lock_that_is_only_looked_at_keeps_no_emulator_from_its_link(tmp_path: Path) -> None:
    """A client holds it shared for a moment; a start that comes just then waits for that, and not for an emulator."""
    (tmp_path / "lock").touch()
    looking = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    taken: list[int] = []
    starting = threading.Thread(target=lambda: taken.append(open_locked(tmp_path / "lock", 0, "taken")))
    starting.start()
    starting.join(0.2)
    assert starting.is_alive()
    os.close(looking)
    starting.join(20)
    assert len(taken) == 1
    with pytest.raises(TakenError):
        open_locked(tmp_path / "lock", 0, "taken")
    os.close(taken[0])


def test_where_ptys_have_no_place_of_their_own_the_lock_alone_tells_an_emulators_link(tmp_path: Path) -> None:
    link = tmp_path / "pump"
    link.symlink_to("/dev/ttys003")
    with pytest.raises(TakenError, match="points to /dev/ttys003, which is no PTY"):
        LinkLock(link).acquire("/dev/ttys004")
    (tmp_path / ".pump.pumpbench-lock").touch()  # as of an emulator that was killed
    lock = LinkLock(link)
    lock.acquire("/dev/ttys004")
    assert str(link.readlink()) == "/dev/ttys004"
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_beside_a_link_to_something_else_makes_no_pty_of_it(tmp_path: Path) -> None:
    (tmp_path / "pump").symlink_to("somewhere/else")
    (tmp_path / ".pump.pumpbench-lock").touch()
    with pytest.raises(TakenError, match="which is no PTY"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/8")


@pytest.mark.parametrize("name", ["pump.lock", ".pump.4711", ".other.pumpbench-lock", "pump.new"])
def test_files_of_others_beside_a_link_outlive_its_emulator_also_one_that_is_refused(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("precious")
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    lock.release()
    (tmp_path / "pump").write_text("no link")
    with pytest.raises(TakenError, match="exists and is no link"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/7")
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize("kind", ["text", "folder", "pipe", "link"])
def test_what_has_the_name_of_a_lock_and_is_none_of_ours_is_refused_and_stays(
    tmp_path: Path, kind: str
) -> None:
    there = tmp_path / ".pump.pumpbench-lock"
    match kind:
        case "text":
            there.write_text("precious")
        case "folder":
            there.mkdir()
        case "pipe":
            os.mkfifo(there)
        case _:
            there.symlink_to("nowhere")
    before = there.lstat()
    with pytest.raises(TakenError, match="is no lock of an emulator, which is an empty file; move it away"):
        LinkLock(tmp_path / "pump").acquire("/dev/pts/7")
    assert there.lstat() == before
    assert [path.name for path in tmp_path.iterdir()] == [there.name]


def test_what_somebody_wrote_into_a_lock_meanwhile_stays(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    (tmp_path / ".pump.pumpbench-lock").write_text("precious")
    lock.release()
    assert (tmp_path / ".pump.pumpbench-lock").read_text() == "precious"


def test_a_link_beside_which_another_tool_has_a_lock_file_is_no_link_of_a_dead_emulator(
    tmp_path: Path, terminal: str
) -> None:
    (tmp_path / "uv").symlink_to(terminal)
    (tmp_path / "uv.lock").write_text("precious")
    open_port(str(tmp_path / "uv"), "pty:uv").close()
