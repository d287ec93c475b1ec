"""The image: what was written is there again, whatever end of the file was torn off, and damage is never repaired."""

from __future__ import annotations

import os
import resource
import stat
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench import image_file
from firmware_emu.bench.errors import BadConfigurationError, BenchLostError, TakenError
from firmware_emu.bench.image_file import ImageFile, MemoryMirror, Remembered, profile_digest
from firmware_emu.bench.image_records import (
    MAGIC,
    MEMORY_MAX_BYTES,
    Header,
    MalformedError,
    decode_step,
    encode_header,
    encode_record,
    encode_step,
    split_records,
)
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump, restored_pump
from firmware_emu.now import Now
from firmware_emu.profile import PairedKey, Profile, PumpModel
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PROFILE = Profile(keys=(PairedKey(1, 2, bytes(16)),))
STEPS: list[tuple[int, tuple[tuple[int, bytes], ...], dict[str, Any]]] = [
    (0, ((0, b"head"), (100, b"\x01\x02")), {"turned": 0}),
    (60_000, ((2, b"xx"),), {"turned": 5}),
    (60_000, (), {"turned": 5}),
    (3_600_000, ((102, b"\x03"), (0, b"H")), {"turned": 9}),
]
MEMORY = ((0, b"Hexx"), (100, b"\x01\x02\x03"))


def written(path: Path, steps: int = len(STEPS), seed: int = 42) -> Path:
    image = ImageFile(path, PROFILE)
    image.begin(seed)
    for now_ms, writes, state in STEPS[:steps]:
        image.append(now_ms, writes, state)
    image.close()
    return path


def test_a_new_image_remembers_nothing(tmp_path: Path) -> None:
    image = ImageFile(tmp_path / "image", PROFILE)
    assert image.remembered is None
    assert image.seed is None
    image.close()


def test_what_was_appended_is_remembered(tmp_path: Path) -> None:
    image = ImageFile(written(tmp_path / "image"), PROFILE)
    assert image.seed == 42
    assert image.remembered == (3_600_000, {"turned": 9}, MEMORY)
    image.close()


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    mode = written(tmp_path / "image").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_reopened_image_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "image", steps=2)
    image = ImageFile(path, PROFILE)
    for now_ms, writes, state in STEPS[2:]:
        image.append(now_ms, writes, state)
    image.close()
    image = ImageFile(path, PROFILE)
    assert image.remembered == (3_600_000, {"turned": 9}, MEMORY)
    image.close()


def test_torn_after_any_byte_it_is_as_after_the_last_whole_step_and_says_so_until_there_is_another(
    tmp_path: Path,
) -> None:
    """A start that is killed before its first step has told nobody of the loss: the next one has to."""
    whole = written(tmp_path / "whole").read_bytes()
    ends = [len(written(tmp_path / f"{steps}", steps).read_bytes()) for steps in range(len(STEPS) + 1)]
    for length in range(len(whole) + 1):
        path = tmp_path / "torn"
        path.write_bytes(whole[:length])
        image = ImageFile(path, PROFILE)
        steps = sum(length >= end for end in ends) - 1
        if steps < 1:
            assert image.remembered is None, length
        else:
            assert image.remembered is not None, length
            assert image.remembered.now_ms == STEPS[steps - 1][0], length
            assert image.remembered.state == STEPS[steps - 1][2], length
        assert (image.seed is None) == (length < ends[0]), length
        assert image.dropped_bytes == length - (ends[steps] if steps >= 0 else 0), length
        image.close()
        assert path.read_bytes() == whole[:length]
        image = ImageFile(path, PROFILE)
        if image.seed is None:
            image.begin(1)
        image.append(*STEPS[3])
        image.close()
        image = ImageFile(path, PROFILE)
        assert image.dropped_bytes == 0
        assert image.remembered is not None
        assert image.remembered.now_ms == STEPS[3][0]
        image.close()


def contents_at_each_line(path: Path, use: Callable[[], None]) -> list[bytes]:
    """What the file holds at each line of the image's code that is run: what a kill there would leave."""
    contents = [path.read_bytes()]

    def look(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != image_file.__file__:
            return None
        contents.append(path.read_bytes())
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        use()
    finally:
        sys.settrace(before)
    contents.append(path.read_bytes())
    return list(dict.fromkeys(contents))


RESTS = {
    "few bytes": b"torn",
    "zeros": bytes(5_000),
    "a record cut short": encode_record(bytes(5_000))[:-1],
    "a record that was never written to its end": encode_record(b"x" * 5_000)[:-1] + b"y",
}


@pytest.mark.parametrize("rest", RESTS)
def test_killed_anywhere_in_the_step_after_a_loss_an_image_still_tells_of_the_loss_or_has_the_step(
    tmp_path: Path, rest: str
) -> None:
    """A whole image of a pump that has forgotten something would be believed under its old name."""
    path = written(tmp_path / "image", steps=3)
    good_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes() + RESTS[rest])
    (tmp_path / ".image.rewrite").mkdir()  # also where no other file can be made beside it
    image = ImageFile(path, PROFILE)
    assert image.dropped_bytes == len(RESTS[rest])
    *torn, whole = contents_at_each_line(path, lambda: image.append(*STEPS[3]))
    image.close()
    torn += [whole[:end] + torn[-1][end:] for end in range(good_bytes, len(whole))]  # the write itself is cut
    for content in torn:
        path.write_bytes(content)
        image = ImageFile(path, PROFILE)
        assert image.dropped_bytes > 0, content[good_bytes:]
        assert image.remembered is not None
        assert image.remembered.now_ms == STEPS[2][0]
        image.close()
    path.write_bytes(whole)
    image = ImageFile(path, PROFILE)
    assert (image.dropped_bytes, image.remembered) == (0, (3_600_000, {"turned": 9}, MEMORY))
    image.close()


def test_a_step_after_a_loss_for_which_the_disk_has_no_room_leaves_the_loss_to_be_told(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "image", steps=3)
    good_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(5_000))
    image = ImageFile(path, PROFILE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room_bytes in (20, 5, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (good_bytes + room_bytes, hard))
        try:
            with pytest.raises(BenchLostError, match="cannot write image"):
                image.append(*STEPS[3])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        image.close()
        image = ImageFile(path, PROFILE)
        assert image.dropped_bytes > 0, room_bytes
    image.close()


def test_after_a_torn_tail_was_cut_the_journal_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "image", steps=3)
    path.write_bytes(path.read_bytes() + b"\x10\x00\x00")
    image = ImageFile(path, PROFILE)
    image.append(*STEPS[3])
    image.close()
    image = ImageFile(path, PROFILE)
    assert image.remembered == (3_600_000, {"turned": 9}, MEMORY)
    image.close()


def test_zeros_that_a_crashed_host_left_at_the_end_are_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "image")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(5_000))
    image = ImageFile(path, PROFILE)
    assert image.remembered == (3_600_000, {"turned": 9}, MEMORY)
    assert image.dropped_bytes == 5_000
    image.append(3_600_001, (), {"turned": 9})
    image.close()
    assert path.stat().st_size < size + 5_000
    image = ImageFile(path, PROFILE)
    assert image.remembered == (3_600_001, {"turned": 9}, MEMORY)
    assert image.dropped_bytes == 0
    image.close()


def pieces_of(path: Path) -> list[bytes]:
    """The records of an image, each with its head."""
    content = path.read_bytes()
    ends = [len(MAGIC), *(record.end for record in split_records(content, len(MAGIC)))]
    return [content[start:end] for start, end in pairwise(ends)]


def is_refused_or_said(path: Path) -> bool:
    """Whether an image is refused as damaged, or its end dropped, which gives it a new identity."""
    try:
        image = ImageFile(path, PROFILE)
    except BadConfigurationError as error:
        return "is damaged at byte" in str(error)
    image.close()
    return image.dropped_bytes > 0


def test_an_image_of_which_a_record_is_missing_doubled_or_moved_is_never_taken_for_a_whole_one(
    tmp_path: Path,
) -> None:
    """But for the last one: without it, the file is one that was never longer."""
    path = written(tmp_path / "image")
    pieces = pieces_of(path)
    places = range(len(pieces))
    changed = [pieces[:place] + pieces[place + 1 :] for place in places[1:-1]]
    changed += [pieces[: place + 1] + pieces[place:] for place in places]
    changed += [
        [*pieces[:place], pieces[place + 1], pieces[place], *pieces[place + 2 :]] for place in places[1:-1]
    ]
    for each in changed:
        path.write_bytes(MAGIC + b"".join(each))
        assert is_refused_or_said(path)


def test_a_flipped_bit_before_the_last_step_is_refused_and_the_file_left_as_it_is(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole").read_bytes()
    last = len(written(tmp_path / "but last", steps=len(STEPS) - 1).read_bytes())
    for bit in range(last * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path = tmp_path / "damaged"
        path.write_bytes(damaged)
        with pytest.raises(BadConfigurationError, match=r"is damaged|is no image"):
            ImageFile(path, PROFILE)
        assert path.read_bytes() == damaged, bit


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK\x03\x04 a zip file", "is no image of a pump"),
        (MAGIC + encode_record(b"{}"), "has no header"),
        (MAGIC + encode_record(b'{"format": 99}'), "has format 99; this version reads format 1"),
        (MAGIC + encode_record(b"[" * 100_000), "no JSON"),
        (
            MAGIC + encode_record(b'{"format":1,"profile":"a","profile_digest":"b","seed":-1}'),
            "has no header",
        ),
        (
            MAGIC + encode_record(b'{"format":1,"profile":"a","profile_digest":"b","seed":1.5}'),
            "has no header",
        ),
        (
            MAGIC + encode_record(b'{"format":1,"profile":"a","profile_digest":"b","seed":true}'),
            "has no header",
        ),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(BadConfigurationError, match=why) as caught:
        ImageFile(path, PROFILE)
    assert "\n" not in str(caught.value)
    assert "move it away to start a new pump" in str(caught.value)


def test_another_profile_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "image")
    other = replace(PROFILE, model=PumpModel(accuracy_ppm=1_145_000))
    with pytest.raises(BadConfigurationError, match="was made with another profile, 'implanted'"):
        ImageFile(path, other)


def test_every_field_of_a_profile_counts_the_keys_included() -> None:
    digests = {
        profile_digest(profile)
        for profile in (
            PROFILE,
            replace(PROFILE, keys=(PairedKey(1, 2, bytes(15) + b"\x01"),)),
            replace(PROFILE, implant=None),
            replace(PROFILE, tz_minutes=60),
            replace(PROFILE, model=PumpModel(log_capacity=999)),
        )
    }
    assert len(digests) == 5


def test_a_step_that_goes_back_in_time_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "image")
    content = path.read_bytes()
    *_before, last = split_records(content, len(MAGIC))
    path.write_bytes(content + encode_step(59_999, (), b"", last.link))
    with pytest.raises(BadConfigurationError, match="goes back in time"):
        ImageFile(path, PROFILE)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (encode_step(1, ((MEMORY_MAX_BYTES - 1, b"ab"),), b""), "outside the memory"),
        (encode_step(1, (), b"[1]"), "no JSON object"),
        (encode_step(1, (), b'{"volume": NaN}'), "no JSON"),
        (encode_record(b"\x00" * 8 + b"\x05\x00\x00\x00"), "cut short"),
        (encode_record(b""), "cut short"),
        (encode_step(1 << 63, (), b""), "a time that no pump lives to see"),
    ],
)
def test_a_step_that_nobody_writes_is_refused(step: bytes, why: str) -> None:
    bodies = [record.body for record in split_records(step, 0)]
    with pytest.raises(MalformedError, match=why):
        decode_step(bodies[0])


def overwrite(path: Path) -> None:
    """Change a byte as another program does, and go on until the file's time tells it: that is only so fine."""
    found = path.stat()
    give_up_at_s = time.monotonic() + PATIENCE_S
    while path.stat().st_mtime_ns == found.st_mtime_ns:
        assert time.monotonic() < give_up_at_s
        with path.open("r+b") as stream:
            stream.seek(60)
            stream.write(b"X")
    assert path.stat().st_size == found.st_size


@pytest.mark.parametrize("what", ["deleted", "replaced", "cut short", "added to", "changed in place"])
def test_an_image_that_is_no_longer_the_pumps_alone_takes_no_further_commit(
    tmp_path: Path, what: str
) -> None:
    path = written(tmp_path / "image", steps=3)
    image = ImageFile(path, PROFILE)
    image.check()
    match what:
        case "deleted":
            path.unlink()
        case "replaced":
            written(tmp_path / "other").replace(path)
        case "cut short":
            os.truncate(path, 10)
        case "added to":
            with path.open("ab") as stream:
                stream.write(b"x")
        case _:
            overwrite(path)
    for use in (
        image.check,
        lambda: image.append(*STEPS[3]),
        lambda: image.append(60_000, (), {"turned": 6}),
    ):
        with pytest.raises(BenchLostError, match="while its pump ran"):
            use()
    image.close()


def test_an_image_that_only_its_pump_writes_to_is_never_taken_for_one_that_somebody_else_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_file, "REWRITE_AT_RUN_BYTES", 2_000)
    path = written(tmp_path / "image", steps=1)
    path.write_bytes(path.read_bytes() + bytes(50))
    for syncing in (True, False):
        image = ImageFile(path, PROFILE, syncing=syncing)
        image.check()
        for number in range(300):
            image.append(number, ((5, bytes([number % 256])),) if number % 3 else (), {"turned": number})
            image.check()
            path.read_bytes()  # who only reads does no harm
        image.close()
        written(path.with_name("next"), steps=1).replace(path)


def test_an_image_in_use_is_taken(tmp_path: Path) -> None:
    image = ImageFile(tmp_path / "image", PROFILE)
    with pytest.raises(TakenError, match="is in use by another emulator"):
        ImageFile(tmp_path / "image", PROFILE)
    image.close()
    ImageFile(tmp_path / "image", PROFILE).close()


@pytest.mark.parametrize("name", ["", "nowhere/image"])
def test_a_path_that_can_be_no_image_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfigurationError, match="cannot open image"):
        ImageFile(tmp_path / name, PROFILE)


def test_a_long_journal_is_rewritten_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_file, "REWRITE_AT_OPEN_BYTES", 1_000)
    path = written(tmp_path / "image", steps=1)
    image = ImageFile(path, PROFILE)
    for now_ms in range(1, 200):
        image.append(now_ms, ((5, bytes([now_ms])),), {"turned": now_ms})
    image.close()
    before = path.stat().st_size
    image = ImageFile(path, PROFILE)
    assert path.stat().st_size < before / 4
    with pytest.raises(TakenError):
        ImageFile(path, PROFILE)
    image.append(200, (), {"turned": 200})
    image.close()
    image = ImageFile(path, PROFILE)
    assert image.remembered == (200, {"turned": 200}, ((0, b"head"), (5, b"\xc7"), (100, b"\x01\x02")))
    assert image.seed == 42
    image.close()
    assert [found.name for found in tmp_path.iterdir()] == ["image"]


def test_a_long_journal_is_rewritten_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "REWRITE_AT_RUN_BYTES", 2_000)
    path = tmp_path / "image"
    image = ImageFile(path, PROFILE)
    image.begin(1)
    largest = 0
    for now_ms in range(1, 1_000):
        image.append(now_ms, ((now_ms % 7, b"x"),), {"turned": now_ms})
        largest = max(largest, path.stat().st_size)
    assert largest < 3_000
    assert image.remembered == (999, {"turned": 999}, ((0, b"xxxxxxx"),))
    image.close()


def test_an_image_whose_name_is_a_link_stays_one_image_under_both_names_also_when_it_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file behind the link would be a second pump of one identity."""
    monkeypatch.setattr(image_file, "REWRITE_AT_RUN_BYTES", 2_000)
    (tmp_path / "elsewhere").mkdir()
    behind, link = tmp_path / "elsewhere" / "image", tmp_path / "link"
    link.symlink_to(Path("elsewhere", "image"))
    image = ImageFile(link, PROFILE)
    image.begin(1)
    for now_ms in range(1, 200):
        image.append(now_ms, ((now_ms % 7, b"x"),), {"turned": now_ms})
        image.check()
    for name in (link, behind):
        with pytest.raises(TakenError):
            ImageFile(name, PROFILE)
    image.close()
    assert link.is_symlink()
    image = ImageFile(behind, PROFILE)
    assert image.remembered is not None
    assert image.remembered.now_ms == 199
    image.close()
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["elsewhere", "image", "link"]


def test_an_image_whose_link_leads_elsewhere_while_its_pump_runs_takes_no_further_commit(
    tmp_path: Path,
) -> None:
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path / "image", steps=3))
    image = ImageFile(link, PROFILE)
    link.unlink()
    link.symlink_to(written(tmp_path / "other"))
    with pytest.raises(BenchLostError, match="was deleted or replaced while its pump ran"):
        image.append(*STEPS[3])
    image.close()


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image")
    with pytest.raises(BadConfigurationError, match="is not a file"):
        ImageFile(tmp_path / "image", PROFILE)


def test_a_full_disk_is_said_and_leaves_a_good_image(tmp_path: Path) -> None:
    path = written(tmp_path / "image", steps=3)
    image = ImageFile(path, PROFILE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(BenchLostError, match=r"cannot write image .*: no space left"):
            image.append(*STEPS[3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    image.close()
    image = ImageFile(path, PROFILE)
    assert image.remembered is not None
    assert image.remembered.now_ms == 60_000
    image.close()


def test_what_was_never_written_is_no_part_of_the_memory() -> None:
    memory = MemoryMirror()
    memory.write(10, b"ab")
    memory.write(12, b"c")
    memory.write(20, b"z")
    assert memory.extents() == ((10, b"abc"), (20, b"z"))


def test_a_header_keeps_its_fields() -> None:
    record = encode_header(Header("name", "digest", 7))
    assert [found.end for found in split_records(record, 0)] == [len(record)]


@pytest.mark.parametrize("state", [{}, {"plant": {}}, {"plant": 5}, {"plant": {"schema": 99}}])
def test_a_state_that_is_no_plant_is_said_in_one_sentence(state: dict[str, Any]) -> None:
    with pytest.raises(BadConfigurationError, match="the image holds no pump of this version"):
        restored_pump(PROFILE, Remembered(0, state, ()), 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("plant.rotor.strokes_turned", -1),
        ("plant.rotor.strokes_turned", 10**30),
        ("plant.rotor.strokes_turned", True),
        ("plant.battery.off_since_ms", -1),
        ("powered", "x"),
        ("powered", 1),
        ("hands_off_reservoir", None),
        ("told.main", -1),
    ],
)
def test_an_image_with_right_checksums_and_a_value_that_cannot_be_starts_no_pump_and_its_field_is_named(
    tmp_path: Path, place: str, value: object
) -> None:
    profile = load_profile("implanted")
    host = PumpHost(new_pump(profile, 1), ImageFile(tmp_path / "image", profile))
    assert host.image is not None
    host.image.begin(1)
    host.step(Now.both(1_000))
    remembered = host.image.remembered
    host.image.close()
    assert remembered is not None
    restored_pump(profile, remembered, 0)
    *path, last = place.split(".")
    target = remembered.state
    for name in path:
        target = target[name]
    target[last] = value
    with pytest.raises(
        BadConfigurationError, match=rf"the image holds no pump of this version: .*{last} must be"
    ):
        restored_pump(profile, remembered, 0)
