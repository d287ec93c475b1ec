"""What passed on a line is in the recording, byte for byte, and nothing that befalls the file befalls the line."""

from __future__ import annotations

import io
from random import Random

import pytest

from protocol.capture.following import Follower
from protocol.capture.limits import SIZE_LIMIT_LEAST_BYTES
from protocol.capture.recording import Beginning, Mark, Passed, SessionSecret, Way, read_entries
from protocol.identifiers import Kind, Opcode
from protocol.wire.frame import Frame
from tests.support.soak import part_of
from tests.unit.protocol.capture.memory_files import (
    EPOCH_NS,
    KEY,
    MemoryFiles,
    RecordedLoopback,
    device_key,
    recorder_on,
)


def conversation(
    files: MemoryFiles, *, requests: int = 3, secured: bool = True, secrets: bool = True
) -> RecordedLoopback:
    recorder, troubles = recorder_on(files, secrets=secrets)
    wire = RecordedLoopback(recorder, secured=secured)
    wire.open()
    for number in range(requests):
        wire.ask(Opcode.PING, bytes([number]) * 4)
    recorder.close()
    assert not troubles
    return wire


def requests_in(files: MemoryFiles, follower: Follower) -> list[bytes | None]:
    """The payloads of the requests and responses, in order."""
    payloads = []
    for entry in files.entries():
        if isinstance(entry, SessionSecret):
            follower.learn(entry)
        elif isinstance(entry, Passed):
            found = follower.follow(entry)
            assert isinstance(found.frame, Frame)
            if found.frame.kind != Kind.HANDSHAKE:
                payloads.append(found.payload)
    return payloads


ASKED = [bytes([number]) * 4 for number in range(3) for _way in Way]


def test_a_recording_is_the_bytes_of_both_ways_with_times_of_a_nanosecond_and_the_pumps_own() -> None:
    files = MemoryFiles()
    wire = conversation(files)
    passed = [entry for entry in files.entries() if isinstance(entry, Passed)]
    for way, sent in ((Way.TO_PUMP, wire.to_pump), (Way.FROM_PUMP, wire.to_client)):
        assert b"".join(entry.data for entry in passed if entry.way is way) == b"".join(sent)
    assert [entry.time_ns for entry in passed] == [EPOCH_NS + 1_001 * n for n in range(1, len(passed) + 1)]
    assert {entry.pump_ms for entry in passed} == {wire.now_ms}


def test_it_begins_with_what_was_recorded_and_by_which_version() -> None:
    files = MemoryFiles()
    conversation(files)
    first = files.entries()[0]
    assert first == Beginning({"target": "loopback", "time": "virtual", "file": "1"}, "pumpbench 0.1.0")


def test_the_key_of_a_session_opens_its_frames_without_the_key_of_the_device() -> None:
    files = MemoryFiles()
    conversation(files)
    assert requests_in(files, Follower()) == ASKED


def test_no_file_holds_a_devices_key_and_without_secrets_it_holds_no_key_at_all() -> None:
    with_secrets, without = MemoryFiles(), MemoryFiles()
    conversation(with_secrets)
    conversation(without, secrets=False)
    for files in (with_secrets, without):
        for form in (KEY.key, KEY.key.hex().encode(), KEY.key[::-1]):
            assert form not in files.contents[0]
    assert [entry for entry in without.entries() if isinstance(entry, SessionSecret)] == []
    assert requests_in(without, Follower()) == [None] * len(ASKED)


def test_a_passive_capture_is_opened_with_the_key_of_the_device() -> None:
    files = MemoryFiles()
    conversation(files, secrets=False)
    assert requests_in(files, Follower(device_key)) == ASKED
    stranger = Follower(lambda _key_id: bytes(16))
    assert requests_in(files, stranger) == [None] * len(ASKED), "another device's key opens nothing"


def test_the_answer_to_an_earlier_hello_gives_the_key_all_the_same() -> None:
    files = MemoryFiles()
    wire = conversation(files, secrets=False)
    follower = Follower(device_key)
    entries = [entry for entry in files.entries() if isinstance(entry, Passed)]
    other = MemoryFiles()
    second = conversation(other, secrets=False)
    assert second.to_pump[0] == wire.to_pump[0], "the same seed"
    follower.follow(entries[0])
    late = RecordedLoopback(recorder_on(MemoryFiles())[0])
    late.client = late.new_client(KEY.role, "another")
    late.client.open(0)
    late.settle()
    follower.follow(Passed(0, Way.TO_PUMP, late.to_pump[0]))
    for entry in entries[1:]:
        found = follower.follow(entry)
    assert not found.sealed


def test_a_line_without_cryptography_is_in_clear() -> None:
    files = MemoryFiles()
    conversation(files, secured=False)
    assert requests_in(files, Follower()) == ASKED


def test_a_file_that_is_cut_anywhere_opens_to_its_last_whole_packet() -> None:
    files = MemoryFiles()
    conversation(files)
    whole = bytes(files.contents[0])
    passed = [entry for entry in files.entries() if isinstance(entry, Passed)]
    for length in part_of("cuts of a recording", range(1, len(whole)), one_in=7):
        kept = read_entries(io.BytesIO(whole[:length])) if length >= 4 else iter(())
        found = [entry for entry in kept if isinstance(entry, Passed)]
        assert found == passed[: len(found)]
        lost = len(passed) - len(found)
        assert lost == len(passed) or length < len(whole)
        if found:
            assert whole.index(found[-1].data) + len(found[-1].data) <= length


def test_full_files_are_followed_by_others_each_of_which_opens_by_itself() -> None:
    files = MemoryFiles()
    recorder, troubles = recorder_on(files, size_limit_bytes=SIZE_LIMIT_LEAST_BYTES)
    wire = RecordedLoopback(recorder)
    wire.open()
    for number in range(900):
        wire.ask(Opcode.PING, number.to_bytes(4, "little"))
    recorder.close()
    assert not troubles
    assert 2 < len(files.contents) == files.closed
    data = dict.fromkeys(Way, b"")
    for number, content in enumerate(files.contents):
        assert len(content) <= SIZE_LIMIT_LEAST_BYTES + 1_000
        entries = files.entries(number)
        assert isinstance(entries[0], Beginning)
        assert entries[0].told["file"] == str(number + 1)
        follower = Follower()
        for entry in entries:
            if isinstance(entry, SessionSecret):
                follower.learn(entry)
            elif isinstance(entry, Passed):
                assert not follower.follow(entry).sealed
                assert entry.way is not None
                data[entry.way] += entry.data
    assert data == {Way.TO_PUMP: b"".join(wire.to_pump), Way.FROM_PUMP: b"".join(wire.to_client)}


@pytest.mark.parametrize("room_bytes", [0, 10, 500, 700])
def test_a_full_disk_ends_the_recording_is_said_once_and_costs_the_line_nothing(room_bytes: int) -> None:
    files = MemoryFiles(room_bytes)
    recorder, troubles = recorder_on(files)
    wire = RecordedLoopback(recorder)
    wire.open()
    answers = [wire.ask() for _ in range(5)]
    recorder.mark("test start", "a", EPOCH_NS)
    recorder.close()
    assert recorder.lost
    assert troubles == ["recording has ended, and the line goes on: No space left on device"]
    assert len(wire.executed) == len(answers) == 5
    assert len(files.contents[0]) == room_bytes, "all that there was room for"


def test_a_file_that_takes_little_at_a_time_gets_all_of_it() -> None:
    files, whole = MemoryFiles(), MemoryFiles()
    files.takes_at_most = 3
    conversation(files)
    conversation(whole)
    assert files.contents == whole.contents


def test_a_file_that_would_wait_is_given_up() -> None:
    files = MemoryFiles()
    recorder, troubles = recorder_on(files)
    files.takes_at_most = 0
    recorder.passed(Way.TO_PUMP, b"\0x\0", EPOCH_NS)
    recorder.passed(Way.TO_PUMP, b"\0y\0", EPOCH_NS)
    assert len(troubles) == 1
    assert "takes no more for now, and the line does not wait" in troubles[0]


def test_a_file_that_cannot_be_opened_is_said_once_and_the_line_goes_on() -> None:
    def refuses(_number: int) -> MemoryFiles:
        raise PermissionError(13, "Permission denied")

    files = MemoryFiles()
    files.open = refuses  # type: ignore[method-assign,assignment]
    recorder, troubles = recorder_on(files)
    recorder.passed(Way.TO_PUMP, b"\0x\0", EPOCH_NS)
    recorder.close()
    assert troubles == ["recording has ended, and the line goes on: Permission denied"]


def test_marks_have_their_kind_their_words_and_their_time() -> None:
    files = MemoryFiles()
    recorder, _troubles = recorder_on(files)
    recorder.mark("test start", "test_bolus.py::test_x[a: b]", EPOCH_NS + 5)
    recorder.mark("truth", "µ" * 40_000, EPOCH_NS + 6)
    start, truth = [entry for entry in files.entries() if isinstance(entry, Mark)]
    assert start == Mark(EPOCH_NS + 5, "test start", "test_bolus.py::test_x[a: b]")
    assert truth.text.startswith("µµµ"), "what is too long is cut, and is still there"
    with pytest.raises(ValueError, match="no kind of mark"):
        recorder.mark("a: b", "", EPOCH_NS)


def test_noise_between_frames_and_half_a_frame_are_packets_of_their_own_and_no_byte_is_lost() -> None:
    random = Random(7)
    files = MemoryFiles()
    recorder, _troubles = recorder_on(files)
    sent = dict.fromkeys(Way, b"")
    for step in range(400):
        way = random.choice(list(Way))
        data = bytes(random.choice((0, 0, 1, 7, 200)) for _ in range(random.randrange(40)))
        sent[way] += data
        recorder.passed(way, data, EPOCH_NS + step * random.choice((1_000, 2_000_000_000)))
    recorder.close()
    kept = dict.fromkeys(Way, b"")
    for entry in files.entries():
        if isinstance(entry, Passed):
            assert entry.way is not None
            kept[entry.way] += entry.data
            inside = entry.data.strip(b"\0")
            assert 0 not in inside
    assert kept == sent
