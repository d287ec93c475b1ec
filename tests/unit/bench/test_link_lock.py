"""The stable name of a PTY: taken once, given back, never in a dead hand, never over somebody's file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_emu.bench.errors import BadConfigurationError, TakenError
from firmware_emu.bench.link_lock import LinkLock

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
    holder.communicate(timeout=20)


def test_a_link_points_at_its_target_and_goes_with_its_lock(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    assert str((tmp_path / "pump").readlink()) == "/dev/pts/7"
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_second_holder_is_told_so(tmp_path: Path) -> None:
    lock = LinkLock(tmp_path / "pump")
    lock.acquire("/dev/pts/7")
    with pytest.raises(TakenError, match="belongs to an emulator that is running"):
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
