"""`pumpbench decode`: what was said in a recording, and of a file that is damaged all that can still be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hil.capture.messages import FrameState, RecordedMessage, read_messages
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.errors import BadConfiguration, PumpbenchError, UsageError
from hil.frame_words import fields_text
from protocol.capture import pcapng, recording
from protocol.capture.recording import Way
from protocol.identifiers import ConfigId, Kind, Opcode, Role
from protocol.link.connection import plain_frame
from protocol.link.development_keys import development_key
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.configuration import ConfigWrite
from protocol.messages.log import LogReadReply
from tests.unit.protocol.capture.memory_files import EPOCH_NS, MemoryFiles, RecordedLoopback, recorder_on

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = Path(__file__).parents[3] / "fixtures" / "sessions"
OTHERS_KEY = {"key_id": 3, "role": "clinician", "key": "00" * 16}


@pytest.fixture
def a_recording(tmp_path: Path) -> Path:
    """A session with three requests, a mark, and noise."""
    return recorded(tmp_path / "a.pcapng")


def recorded(path: Path, *, secrets: bool = True, key: bytes | None = None) -> Path:
    files = MemoryFiles()
    recorder, _troubles = recorder_on(files, secrets=secrets)
    wire = RecordedLoopback(recorder)
    if key is not None:
        own = wire.client._key._replace(key=key)
        wire.host.keys[own.key_id] = own
        wire.client._key = own
    wire.open()
    for number in range(3):
        wire.ask(Opcode.PING, bytes([number]) * 4)
    recorder.mark("test begins", "test_x", wire.time_ns)
    recorder.passed(Way.FROM_PUMP, b"noise\0\0", wire.time_ns + 5_000_000)
    recorder.close()
    path.write_bytes(bytes(files.contents[0]))
    return path


def decoded(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["decode", *map(str, arguments)])


def lines(*arguments: str | Path) -> list[str]:
    done = decoded(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def documents(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(*arguments, "--json")]


def refusal(*arguments: str | Path) -> PumpbenchError:
    error = decoded(*arguments).exception
    assert isinstance(error, PumpbenchError), error
    return error


def test_each_message_is_a_line_with_number_time_direction_and_fields(a_recording: Path) -> None:
    shown = lines(a_recording)
    assert shown[0].startswith("recorded by pumpbench 0.1.0: target loopback, time virtual")
    assert shown[1].split()[:2] == ["1", "0.000000"]
    assert [line.split()[:1] for line in shown[1:]] == [[str(n)] for n in range(1, len(shown))]
    assert "--> CLIENT_HELLO proto_min=1" in shown[1]
    assert any("--> REQUEST PING #1" in line for line in shown)
    assert any("<-- RESPONSE PING #1" in line and line.endswith("(to 5)") for line in shown)
    assert any("=== test begins: test_x" in line for line in shown)
    assert "bad frame, " in shown[-2]
    assert "delimiters: 00" in shown[-1]


def test_json_is_a_document_a_line_valid_by_its_schema_with_a_sum_at_the_end(a_recording: Path) -> None:
    validator = jsonschema.Draft202012Validator(json_schema("decode"))
    found = documents(a_recording, "--frames")
    for document in found:
        validator.validate(document)
    assert found[-1] == {
        "schema": "pumpbench/decode", "version": 1, "entry": "summary",
        "packets": 13, "shown": 13, "sealed": 0, "bad": 1, "damage": 0, "remarks": [],
    }  # fmt: skip
    assert [each["entry"] for each in found[:2]] == ["beginning", "message"]
    (request,) = [each for each in found if each.get("number") == 5]
    assert request["header"] == {
        "frame_kind": "REQUEST",
        "opcode": "PING",
        "sid": request["header"]["sid"],
        "ctr": 1,
        "ref": 0,
    }
    assert (request["state"], request["way"], request["message"]) == ("opened", "to-pump", "Ping")
    assert bytes.fromhex(request["wire"])[0] == 0
    assert request["time_ns"] == EPOCH_NS + 5 * 1_001


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (("--opcode", "ping"), [5, 6, 7, 8, 9, 10]),
        (("--opcode", "PING", "--way", "from-pump"), [6, 8, 10]),
        (("--opcode", "CLIENT_HELLO", "--opcode", "PUMP_PROOF"), [1, 4]),
        (("--state", "bad"), [12]),
        (("--state", "bad", "--state", "delimiters"), [12, 13]),
        (("--from", "0.000008", "--to", "0.000009009"), [9, 10, 11]),
        (("--from", "4000000"), []),
    ],
)
def test_what_is_asked_for_is_shown_and_nothing_else(
    a_recording: Path, options: tuple[str, ...], numbers: list[int]
) -> None:
    assert [each["number"] for each in documents(a_recording, *options) if "number" in each] == numbers


def test_a_name_that_is_no_opcode_is_wrong_usage_with_the_names_there_are(a_recording: Path) -> None:
    error = refusal(a_recording, "--opcode", "BOLUS")
    assert isinstance(error, UsageError)
    assert "BOLUS_COMMIT" in str(error)


def test_frames_are_shown_byte_by_byte_with_their_header(a_recording: Path) -> None:
    shown = "\n".join(lines(a_recording, "--frames", "--opcode", "PING", "--way", "to-pump"))
    assert "wire 00 " in shown
    assert "frame_kind=REQUEST opcode=PING" in shown
    assert "payload=01010101" in shown


def test_a_recording_without_keys_is_opened_by_that_of_its_device_and_no_other(tmp_path: Path) -> None:
    own = bytes(range(16))
    path = recorded(tmp_path / "sealed.pcapng", secrets=False, key=own)
    done = decoded(path)
    assert done.exit_code == 0
    assert "6 frames are sealed, and the file has no key for them: give the device's by --key" in done.stderr
    assert "not decrypted" in done.stdout
    for name, key in (("own", own.hex()), ("other", "00" * 16)):
        keys = tmp_path / f"{name}.json"
        keys.write_text(json.dumps({**OTHERS_KEY, "key": key}))
        keys.chmod(0o600)
    assert "sealed" not in decoded(path, "--key", tmp_path / "own.json").stderr
    error = refusal(path, "--key", tmp_path / "other.json")
    assert isinstance(error, BadConfiguration)
    assert "6 frames of" in str(error)
    assert "no key of --key opens them" in str(error)


def test_a_recording_by_the_development_keys_needs_no_key(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.pcapng", secrets=False)
    assert {each["state"] for each in documents(path, "--opcode", "PING") if "number" in each} == {"opened"}
    assert development_key(Role.CLINICIAN).key.hex() not in decoded(path, "--frames").output


def cut(content: bytes) -> bytes:
    return content[:-7]


def rotten(content: bytes) -> bytes:
    at = content.index(b"\x06\0\0\0", 700)
    return content[: at + 4] + b"\xff\xff\xff\xff" + content[at + 8 :]


def of_something_else(content: bytes) -> bytes:
    return content.replace(b"\x01\0\0\0", b"\x01\0\0\0", 1).replace(
        pcapng.interface("to-pump"), pcapng.interface("to-pump").replace(b"\x93\0", b"\x01\0", 1)
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "the file ends within a block"),
        (rotten, "a block of 4294967295 bytes, which no block can have"),
        (of_something_else, "a packet of link type 1 (Ethernet), where this wire has 147"),
    ],
)
def test_a_damaged_file_is_shown_as_far_as_it_can_be_read_and_ends_with_10(
    a_recording: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    a_recording.write_bytes(damage(a_recording.read_bytes()))
    done = decoded(a_recording)
    assert isinstance(done.exception, BadConfiguration)
    assert "is damaged in" in str(done.exception)
    assert words in done.stdout
    assert "PUMP_HELLO" in done.stdout
    *told, error = map(json.loads, decoded(a_recording, "--json").stdout.splitlines())
    assert error["schema"] == "pumpbench/error"
    assert told[-1]["entry"] == "summary"
    assert told[-1]["damage"] >= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no recording: it is empty"),
        (b"hello", "pcapng with 0a 0d 0d 0a"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_recording_is_one_sentence_and_10(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, BadConfiguration)
    assert words in str(error)


def test_two_recordings_in_one_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.pcapng")
    path.write_bytes(path.read_bytes() * 2)
    shown = lines(path)
    assert sum("recorded by" in line for line in shown) == 2
    assert not [line for line in shown if "not decrypted" in line]


def test_a_message_that_cannot_be_read_says_why_and_shows_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcapng"
    frames = [
        plain_frame(Kind.REQUEST, opcode, 0, 1, 0, b"\1\2\3").wire
        for opcode in (0x99, Opcode.GET_STATUS, 0xC7)
    ]
    path.write_bytes(
        recording.beginning({}, "0")
        + b"".join(recording.passed(Way.TO_PUMP, n, frame) for n, frame in enumerate(frames))
    )
    messages = [entry for entry in read_messages(path) if isinstance(entry, RecordedMessage)]
    assert [each.state for each in messages] == [FrameState.CLEAR] * 3
    assert all(each.message is None or not each.trouble for each in messages)
    assert "0x99" in messages[0].trouble
    assert "01 02 03" in lines(path)[1]


@pytest.mark.parametrize(
    "shown",
    [
        'config_id=PATIENT_ID value="Ada Example 17"',
        'serial="EMUCLINIC001"',
        "#13 at 420.000 s BOLUS_START of command 2: volume_nl=20000 duration_s=600 kind=BOLUS",
    ],
)
def test_texts_and_entries_of_a_log_are_shown_as_what_they_say(shown: str) -> None:
    """Nobody reads names and the log in hex."""
    assert shown in decoded(SESSIONS / "clinic_day.pcapng").stdout


def test_a_corrupt_entry_and_a_value_that_is_no_text_stay_in_hex() -> None:
    entry = LogEntry(1, 2, 3, LogType.BOOT, 0xF0).pack()
    corrupt = bytes([entry[0] ^ 1, *entry[1:]])
    page = LogReadReply(LogName.MAIN, 1, 1, 3, 1, 2, (entry, corrupt))
    assert fields_text(page).endswith(f"=[#1 at 2.003 s BOOT: cause=FIRST boot_count=0, {corrupt.hex()}]")
    assert fields_text(ConfigWrite(ConfigId.TUBING_NL, b"\1\2\3")) == "config_id=TUBING_NL value=010203"
