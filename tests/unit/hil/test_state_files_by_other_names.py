"""State files behind links and mounts: one lock, one file, and told before anything is sent where it cannot be kept."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.bench_of_test import TestBench
from hil.errors import BadConfiguration, InUse
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.programmer import Programmer
from tests.support.not_run import skip_without_right

KEY = b"0123456789abcdef"
MEMORY = 7
STOP = 0x24


def with_one_command(path: Path) -> Path:
    with OutcomeStore(path, key=KEY) as store:
        store.file(MEMORY, FiledCommand(1, STOP, 0, outcome="DONE"))
    return path


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_two_names_of_one_file_have_one_lock_and_the_link_stays_a_link(
    tmp_path: Path, relative: bool, dangling: bool
) -> None:
    real = tmp_path / "real" / "state.json"
    if not dangling:
        with_one_command(real)
    link = tmp_path / "links" / "state.json"
    link.parent.mkdir()
    link.symlink_to("../real/state.json" if relative else real)
    with OutcomeStore(link, key=KEY) as store:
        with pytest.raises(InUse):
            OutcomeStore(real, key=KEY).open()
        store.file(MEMORY, FiledCommand(2, STOP, 0, outcome="DONE"))
    assert link.is_symlink()
    assert [each.name for each in link.parent.iterdir()] == ["state.json"]
    with OutcomeStore(real, key=KEY) as store:
        assert store.last_cmd_id(MEMORY) == 2


def names_in(place: Path) -> set[str]:
    return {each.name for each in place.iterdir()}


def test_opening_a_store_makes_no_file_of_its_own_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with OutcomeStore(path, key=KEY):
        assert names_in(tmp_path) == {".state.json.pumpbench-lock"}
    content = with_one_command(path).read_bytes()
    with OutcomeStore(path, key=KEY):
        assert names_in(tmp_path) == {"state.json", ".state.json.pumpbench-lock"}
    assert path.read_bytes() == content


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A state file that is a mount of its own, as containers hand in single files: nothing can take its place."""
    path = with_one_command(tmp_path / "mounted.json")
    path.with_suffix(".outside").write_bytes(path.read_bytes())
    done = subprocess.run(
        ["mount", "--bind", str(path.with_suffix(".outside")), str(path)], capture_output=True, check=False
    )
    if done.returncode:
        skip_without_right("mount")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_file_that_cannot_be_replaced_is_told_before_anything_is_sent_and_leaves_nothing_behind(
    mounted: Path, bench: TestBench
) -> None:
    sent = bench.channel.sent_bytes
    pump = Programmer(bench.channel, store=OutcomeStore(mounted, key=KEY))
    with pytest.raises(
        BadConfiguration, match=r"cannot be replaced while it is a mount .*busy.*nothing was sent"
    ):
        pump.connect()
    assert bench.channel.sent_bytes == sent
    assert not mounted.with_name(".mounted.json.pumpbench-new").exists()
    with pytest.raises(BadConfiguration):  # the lock was given back
        OutcomeStore(mounted, key=KEY).open()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nobody may write."""
    place = tmp_path / "read_only"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:
        skip_without_right("mount")
    with_one_command(place / "state.json")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_directory_in_which_nobody_may_write_is_told_before_anything_is_sent(
    read_only: Path, bench: TestBench
) -> None:
    for name in ("state.json", "new.json"):
        sent = bench.channel.sent_bytes
        with pytest.raises(BadConfiguration, match="--state"):
            Programmer(bench.channel, store=OutcomeStore(read_only / name, key=KEY)).connect()
        assert bench.channel.sent_bytes == sent


def test_a_file_with_a_second_name_is_refused_before_anything_is_sent_and_says_how_to_mend_it(
    tmp_path: Path, bench: TestBench
) -> None:
    path = with_one_command(tmp_path / "state.json")
    other = tmp_path / "other.json"
    other.hardlink_to(path)
    sent = bench.channel.sent_bytes
    for name in (path, other):
        with pytest.raises(
            BadConfiguration, match=f"hard link.*nothing was sent.*samefile {name}.*remove"
        ) as caught:
            Programmer(bench.channel, store=OutcomeStore(name, key=KEY)).connect()
        assert caught.value.exit_code == 10
    assert bench.channel.sent_bytes == sent
    assert path.samefile(other)
    other.unlink()
    with OutcomeStore(path, key=KEY) as store:
        assert store.last_cmd_id(MEMORY) == 1
