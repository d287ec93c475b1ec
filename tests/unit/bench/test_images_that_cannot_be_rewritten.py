"""What stands beside an image, a link or a key file: a rewrite that fails does no harm, and nothing is left over."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench import image_file
from firmware_emu.bench.image_file import ImageFile
from firmware_emu.bench.key_file import KeyFile
from firmware_emu.bench.link_lock import LinkLock
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.profile import Profile
from tests.support.not_run import skip_without, skip_without_right
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILE = Profile()
WITHOUT_ROOTS_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
WITH_MOUNTS = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
WORK = """
import sys, pathlib
from firmware_emu.bench import image_file
from firmware_emu.bench.image_file import ImageFile
from firmware_emu.profile import Profile
image_file.REWRITE_AT_OPEN_BYTES = image_file.REWRITE_AT_RUN_BYTES = 1_000
image = ImageFile(pathlib.Path(sys.argv[1]), Profile())
if image.seed is None:
    image.begin(1)
for now_ms in range(1_000, 1_100):
    image.append(now_ms, ((5, bytes([now_ms % 256])),), {"turned": now_ms})
    image.check()
image.close()
"""


def long_image(path: Path, steps: int = 200, wide_bytes: int = 1) -> Path:
    """An image whose journal is far longer than what it says."""
    image = ImageFile(path, PROFILE)
    image.begin(1)
    for now_ms in range(steps):
        image.append(now_ms, ((5, bytes([now_ms]) * wide_bytes),), {"turned": now_ms})
    image.close()
    return path


def last_ms(path: Path) -> int:
    image = ImageFile(path, PROFILE)
    assert image.remembered is not None
    image.close()
    return image.remembered.now_ms


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def works_on(command: list[str]) -> None:
    """Run a command that must end well; skips where this system or user cannot."""
    skip_without(command[0], package="util-linux")
    if command[0] == "unshare" and subprocess.run([*WITH_MOUNTS, ":"], check=False).returncode:
        skip_without_right("mount")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("mode", "new"), [(0o555, False), (0o333, False), (0o333, True)], ids=["not written", "not read", "new"]
)
def test_a_directory_without_a_right_keeps_no_image_in_it_from_working(
    tmp_path: Path, mode: int, new: bool
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / "image" if new else long_image(place / "image")
    place.chmod(mode)
    try:
        works_on([*WITHOUT_ROOTS_RIGHTS, sys.executable, "-c", WORK, str(path)])
    finally:
        place.chmod(0o755)
    assert last_ms(path) == 1_099
    assert names_in(place) == ["image"]


def test_an_image_that_is_a_mount_point_works_on_with_its_long_journal(tmp_path: Path) -> None:
    path = long_image(tmp_path / "image")
    before = path.stat()
    script = f'mount --bind "$1" "$1"; exec "{sys.executable}" -c "$2" "$1"'
    works_on([*WITH_MOUNTS, script, "sh", str(path), WORK])
    assert last_ms(path) == 1_099
    assert (path.stat().st_ino, path.stat().st_size > before.st_size) == (before.st_ino, True)
    assert names_in(tmp_path) == ["image"]


def test_a_rewrite_leaves_others_as_much_room_as_it_takes(tmp_path: Path) -> None:
    """With 8 kB left on the disk it would find room for its 5 kB; the journal goes on with the little that it needs."""
    long_image(tmp_path / "image", steps=30, wide_bytes=5_000)
    (tmp_path / "place").mkdir()
    script = (
        'cd "$1"; mount -t tmpfs -o size=256k none place; cp image place; stat -c %i place/image >before; '
        'free=$(stat -f -c "%a * %S" place); head -c "$(($free - 8192))" /dev/zero >place/other; '
        f'"{sys.executable}" -c "$2" place/image; stat -c %i place/image >after; ls -A place >left'
    )
    works_on([*WITH_MOUNTS, script, "sh", str(tmp_path), WORK])
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
    assert (tmp_path / "left").read_text() == "image\nother\n"


def test_an_image_with_two_names_stays_one_pump_under_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = long_image(tmp_path / "image")
    monkeypatch.setattr(image_file, "REWRITE_AT_OPEN_BYTES", 1_000)
    other = tmp_path / "other"
    other.hardlink_to(path)
    image = ImageFile(path, PROFILE)
    image.append(1_000, (), {"turned": 1})
    image.close()
    assert last_ms(other) == 1_000
    other.unlink()
    assert last_ms(path) == 1_000
    assert path.stat().st_size < 1_000, "with one name again it is rewritten"


def test_a_rewrite_that_failed_is_tried_again_when_the_journal_has_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = long_image(tmp_path / "image")
    monkeypatch.setattr(image_file, "REWRITE_AT_RUN_BYTES", 1_000)
    image = ImageFile(path, PROFILE)
    in_the_way = tmp_path / ".image.rewrite"
    in_the_way.mkdir()
    image.append(1_000, (), {"turned": 1})
    long_bytes = path.stat().st_size
    in_the_way.rmdir()
    largest = now_ms = 0
    while path.stat().st_size >= largest:
        largest = path.stat().st_size
        now_ms += 1
        image.append(1_000 + now_ms, (), {"turned": now_ms})
    image.close()
    assert 2 * long_bytes - 200 < largest < 2 * long_bytes + 200
    assert last_ms(path) == 1_000 + now_ms


def test_what_a_killed_emulator_left_of_a_rewrite_goes_with_the_next_start(tmp_path: Path) -> None:
    path = long_image(tmp_path / "image", steps=2)
    (tmp_path / ".image.rewrite").write_bytes(bytes(1 << 20))
    assert last_ms(path) == 1
    assert names_in(tmp_path) == ["image"]


def test_a_file_of_somebody_else_where_an_image_is_rewritten_stays_and_the_image_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = long_image(tmp_path / "image")
    monkeypatch.setattr(image_file, "REWRITE_AT_OPEN_BYTES", 1_000)
    long_bytes = path.stat().st_size
    (tmp_path / ".image.rewrite").write_text("precious")
    last_ms(path)
    assert path.stat().st_size == long_bytes
    assert (tmp_path / ".image.rewrite").read_text() == "precious"
    (tmp_path / ".image.rewrite").unlink()
    last_ms(path)
    assert path.stat().st_size < 1_000, "with nothing in the way it is rewritten"


def test_a_link_that_cannot_be_made_leaves_no_temporary_file(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        skip_without_right("make another user's link")
    place = tmp_path / "place"
    place.mkdir()
    (place / "pump").symlink_to("/dev/pts/1")
    os.lchown(place / "pump", 65_534, 65_534)
    os.chown(place, 65_534, 65_534)
    place.chmod(0o1777)
    script = """
import sys, pathlib
from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.link_lock import LinkLock
try:
    LinkLock(pathlib.Path(sys.argv[1])).acquire("/dev/pts/2")
except BadConfigurationError as error:
    assert "cannot make the link" in str(error), error
else:
    sys.exit("the link was made")
"""
    works_on([*WITHOUT_ROOTS_RIGHTS, sys.executable, "-c", script, str(place / "pump")])
    assert names_in(place) == ["pump"]


def test_a_link_whose_directory_was_closed_meanwhile_is_given_back_without_a_word(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = """
import sys, pathlib
from firmware_emu.bench.link_lock import LinkLock
lock = LinkLock(pathlib.Path(sys.argv[1]))
lock.acquire("/dev/pts/2")
lock.link.parent.chmod(0o555)
lock.release()
"""
    try:
        works_on([*WITHOUT_ROOTS_RIGHTS, sys.executable, "-c", script, str(place / "pump")])
    finally:
        place.chmod(0o755)


def test_a_key_file_of_somebody_else_in_a_folder_of_a_like_name_is_not_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    mine = tmp_path / "pumpbench-keys" / "keys.json"
    left = tmp_path / "pumpbench-12-0123456789ab" / "keys.json"
    for path in (mine, left):
        path.parent.mkdir()
        path.write_text("[]")
    KeyFile(()).remove()
    assert (mine.exists(), left.exists()) == (True, False)


def test_a_key_file_that_was_swept_away_meanwhile_is_gone_as_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    keys = KeyFile(())
    shutil.rmtree(keys.path.parent)
    keys.remove()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("made", ["link", "image", "key file", "profile"])
def test_where_descriptors_run_out_no_file_is_blamed(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line says it of the limit, exit 7, where the system's own error comes through."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "p.toml").touch()
    load_profile(tmp_path / "p.toml")  # what it imports needs descriptors too
    make: dict[str, Callable[[], object]] = {
        "link": lambda: LinkLock(tmp_path / "pump").acquire("/dev/pts/2"),
        "image": lambda: ImageFile(tmp_path / "image", PROFILE),
        "key file": lambda: KeyFile(()),
        "profile": lambda: load_profile(tmp_path / "p.toml"),
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            make[made]()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert names_in(tmp_path) == ["p.toml"]
