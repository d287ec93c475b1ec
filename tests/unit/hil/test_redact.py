"""`pumpbench redact`: who was there is in the file in no form any more, and all else still is."""

from __future__ import annotations

import base64
import json
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.capture.pseudonyms import Pseudonyms
from hil.capture.redaction import Redaction
from hil.capture.session_keys import session_keys
from hil.cli.main import cli
from hil.errors import BadConfiguration
from protocol.capture import recording
from protocol.capture.recording import Beginning, Mark, Way
from protocol.codec.atoms import U16, Count, Octets
from protocol.codec.identities import Identity
from protocol.codec.layouts import declaration_of, declared_classes, encode, message
from protocol.identifiers import Kind, Opcode, Suite
from protocol.link.connection import plain_frame
from protocol.link.development_keys import DEVELOPMENT_KEYS
from protocol.log.types import LogName
from protocol.messages.command import Command
from protocol.messages.configuration import ConfigWrite
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.messages.log import LogReadReply
from protocol.messages.reading import GetInfoReply
from protocol.registry import VendorMessages, register_vendor
from protocol.wire.frame import BadFrame, Frame
from protocol.wire.framing import encoded_body

SESSIONS = Path(__file__).parents[3] / "fixtures/sessions"
PATIENT, DRUG, SERIAL, SISTER = "Ada Example 17", "baclofen-x", "EMUCLINIC001", "Berta Zwölf"
MEMORY_ID = 0x5E55_1045_0000_0001
EVENT = {"kind": "Said", "now_ms": 1, "line_ms": 1, "text": f"Said: words {PATIENT}, key_id 3"}
EVENT["fields"] = {"words": f"of {PATIENT}", "key_id": 3, "nonce_start": "0011223344556677"}
MARKS = (
    (
        "rig",
        f"filled for {PATIENT.upper()} in {SERIAL}, {PATIENT.encode().hex()} with {DRUG}, memory {MEMORY_ID:016x}",
    ),
    ("test begins", f"tests/test_x.py::test_of_{SERIAL}"),
    ("line fault", "drop to pump: " + PATIENT.encode().hex(" ")),
    ("operator", f"{PATIENT} came late"),
    ("test ends", f"{SISTER} asked"),
    (recording.EVENT, json.dumps(EVENT)),
    (recording.EVENT, f"no JSON of {PATIENT}"),
)


class Pair(NamedTuple):
    """A recording, and what `redact` made of it."""

    original: Path
    redacted: Path
    said: str


def redacted(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["redact", *map(str, arguments)])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A day in a clinic, with names in every kind of mark."""
    place = tmp_path_factory.mktemp("day")
    original, out = place / "day.pcapng", place / "shared.pcapng"
    marks = b"".join(recording.mark(20_000_000_000_000, kind, text) for kind, text in MARKS)
    original.write_bytes((SESSIONS / "clinic_day.pcapng").read_bytes() + marks)
    done = redacted(original, "--out", out, "--name", SISTER)
    assert done.exit_code == 0, done.output
    return Pair(original, out, done.stderr)


def forms(secret: bytes) -> dict[str, bytes]:
    """A secret in every encoding that a file could hold."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "spaced hex": secret.hex(" ").encode(),
        "COBS": encoded_body(secret)[1:],
    }
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + secret).rstrip(b"=")
        found[f"base64 at {offset}"] = coded[4 if offset else 0 : -1]
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return found
    return found | {"UTF-16 LE": text.encode("utf-16-le"), "UTF-16 BE": text.encode("utf-16-be")}


def everything_in(path: Path) -> bytes:
    """The file, and behind it what is in its frames once they are opened."""
    payloads = [
        entry.payload for entry in read_messages(path) if isinstance(entry, RecordedMessage) and entry.payload
    ]
    return path.read_bytes() + b"".join(payloads)


def secrets_of(path: Path) -> dict[str, bytes]:
    """What nobody who gets the shared file may learn."""
    names = {"patient": PATIENT, "drug": DRUG, "serial": SERIAL}
    found = {word: name.encode() for word, name in names.items()}
    found["memory"] = MEMORY_ID.to_bytes(8, "little")
    found["memory as it is written"] = f"{MEMORY_ID:016x}".encode()
    for number, secret in enumerate(session_keys(path).secrets):
        found[f"key of session {number}"] = secret.sealing
    return found | {f"key {key.key_id}": key.key for key in DEVELOPMENT_KEYS}


def test_no_secret_is_in_the_shared_file_in_any_form(day: Pair) -> None:
    content = everything_in(day.redacted).lower()
    found = [
        (word, form)
        for word, secret in secrets_of(day.original).items()
        for form, data in forms(secret).items()
        if data.lower() in content
    ]
    assert found == []
    assert SISTER.encode() not in content


def test_each_of_them_was_there_before(day: Pair) -> None:
    """Else their absence would prove nothing; the keys of devices never are in a recording."""
    content = everything_in(day.original)
    secrets = secrets_of(day.original)
    assert len(secrets) > 9
    missing = [
        word
        for word, secret in secrets.items()
        if not any(data in content for data in forms(secret).values())
    ]
    assert missing == [f"key {key.key_id}" for key in DEVELOPMENT_KEYS]


def test_it_still_says_what_was_said_and_when(day: Pair) -> None:
    before, after = (
        [entry for entry in read_messages(path) if isinstance(entry, RecordedMessage)]
        for path in (day.original, day.redacted)
    )
    assert len(before) == len(after) > 100
    for old, new in zip(before, after, strict=True):
        assert isinstance(old.frame, Frame)
        assert isinstance(new.frame, Frame)
        places = [(each.number, each.since_ns, each.trouble, each.answers) for each in (old, new)]
        assert places[0] == places[1]
        assert new.state is FrameState.CLEAR
        assert old.passed._replace(data=b"") == new.passed._replace(data=b"")
        header = [
            (frame.kind, frame.opcode, frame.sid, frame.ctr, frame.ref) for frame in (old.frame, new.frame)
        ]
        assert header[0] == header[1]
        identities = declaration_of(type(old.message)).identities
        rows = {"alarms", "keys"}
        for name, value in new.message._asdict().items():  # type: ignore[union-attr]
            if name not in identities and name not in rows | {"suites", "suite"}:
                assert value == getattr(old.message, name), name
        if isinstance(new.message, ClientHello):
            assert new.message.suites == Suite.NONE
        if isinstance(new.message, PumpHello):
            assert new.message.suite is Suite.NONE


def test_the_alarms_the_status_and_the_log_are_the_same_but_for_keys(day: Pair) -> None:
    for table in ("alarms", "telemetry", "log"):
        before, after = (
            CliRunner().invoke(cli, ["export", str(path), "--table", table]).stdout
            for path in (day.original, day.redacted)
        )
        assert len(before.splitlines()) == len(after.splitlines()) > 2
        if table == "alarms":
            assert before == after


def test_it_says_that_it_is_redacted_and_whom_it_replaced(day: Pair) -> None:
    (beginning,) = [entry for entry in read_messages(day.redacted) if isinstance(entry, Beginning)]
    assert beginning.told["redacted"].startswith("REDACTED: suite NONE")
    assert beginning.told["serial"] == "REDACTED0001"
    assert "patient 1, drug 1" in day.said
    assert session_keys(day.redacted).secrets == ()


def test_the_same_name_has_the_same_pseudonym_wherever_it_stands(day: Pair) -> None:
    entries = list(read_messages(day.redacted))
    told = [entry.message for entry in entries if isinstance(entry, RecordedMessage)]
    serials = {each.serial for each in told if isinstance(each, GetInfoReply)}
    assert serials == {b"REDACTED0001"}
    assert [each.value for each in told if isinstance(each, ConfigWrite)] == [b"patient-1", b"drug-1"]
    marks = [entry.mark for entry in entries if isinstance(entry, NumberedMark)][-len(MARKS) :]
    assert [mark.text for mark in marks[:5]] == [
        "filled for patient-1 in REDACTED0001, patient-1 with drug-1, memory (8 bytes)",
        "tests/test_x.py::test_of_REDACTED0001",
        "drop to pump: patient-1",
        "(redacted)",
        "name-1 asked",
    ]
    event = json.loads(marks[5].text)
    assert event["fields"]["words"] == "of patient-1"
    assert event["text"] == f"Said: words patient-1, key_id {event['fields']['key_id']}"
    assert marks[6].text == "(redacted)"


@pytest.mark.parametrize("name", ["İnci Öz", "Zoë", "straße 7", "Ж. Ж.", "a.*b", "ab"])
def test_a_name_is_found_in_a_text_in_either_case_and_composition_and_in_hex(name: str) -> None:
    pseudonyms = Pseudonyms()
    pseudonyms.text(name.encode(), "patient")
    raw = name.encode()
    composed = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
    for text in (name, name.lower(), name.upper(), *composed, raw.hex(), raw.hex().upper(), raw.hex(" ")):
        assert pseudonyms.in_text(f"<{text}>") == "<patient-1>", text
    assert pseudonyms.in_text("nobody") == "nobody"


def test_a_shared_file_is_shared_once_more_and_stays_what_it_is(day: Pair, tmp_path: Path) -> None:
    again = tmp_path / "again.pcapng"
    assert redacted(day.redacted, "--out", again).exit_code == 0
    before, after = (
        [entry.message for entry in read_messages(path) if isinstance(entry, RecordedMessage)]
        for path in (day.redacted, again)
    )
    assert before == after


@pytest.mark.parametrize("options", [(), ("--drop-sealed",)])
def test_sealed_frames_are_refused_unless_they_may_be_left_out(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "shared.pcapng"
    done = redacted(SESSIONS / "damaged/wrong_key.pcapng", "--out", out, *options)
    if not options:
        assert isinstance(done.exception, BadConfiguration)
        assert "21 frames of" in str(done.exception)
        assert not out.exists()
        return
    assert done.exit_code == 0
    assert "has 0 packets" in done.stderr
    assert "21 sealed frames are left out" in done.stderr
    marks = [entry.mark for entry in read_messages(out) if isinstance(entry, NumberedMark)]
    assert len([mark for mark in marks if mark.kind == "redacted" and "a sealed frame of" in mark.text]) == 21


def test_what_cannot_be_read_is_blanked_and_is_as_long_as_it_was(tmp_path: Path) -> None:
    original, out = tmp_path / "odd.pcapng", tmp_path / "shared.pcapng"
    name = PATIENT.encode()
    page = LogReadReply(
        LogName.MAIN, 1, 7, 8, 1, 7, (b"\7\0\0\0" + name.ljust(28, b"\0"),)
    )  # its check is wrong
    odd = [
        b"\0" + name + b"\0",  # noise
        plain_frame(Kind.REQUEST, 0x99, 0, 1, 0, name).wire,  # of no message that we know
        plain_frame(
            Kind.RESPONSE, Opcode.PAIRING_OPEN, 0, 1, 1, b"\1\0\2\0" + name
        ).wire,  # of a later version
        plain_frame(Kind.RESPONSE, Opcode.LOG_READ, 0, 2, 2, encode(page)).wire,
    ]
    original.write_bytes(
        recording.beginning({"target": f"/dev/{PATIENT}"}, "0")
        + b"".join(recording.passed(Way.TO_PUMP, number, data) for number, data in enumerate(odd))
    )
    done = redacted(original, "--out", out)
    assert done.exit_code == 0, done.output
    assert name not in everything_in(out)
    assert "4 packets could not be read whole" in done.stderr
    noise, unknown, later, log = [entry for entry in read_messages(out) if isinstance(entry, RecordedMessage)]
    assert isinstance(noise.frame, BadFrame)
    assert len(noise.passed.data) == len(odd[0])
    assert unknown.payload == bytes(len(name))
    assert isinstance(log.message, LogReadReply)
    assert log.message.entries == (b"\7\0\0\0" + b"\xff" * 28,)
    assert later.payload == b"\1\0\2\0" + bytes(len(name))


def test_a_damaged_file_is_redacted_as_far_as_it_can_be_read_and_ends_with_10(tmp_path: Path) -> None:
    out = tmp_path / "shared.pcapng"
    done = redacted(SESSIONS / "damaged/truncated.pcapng", "--out", out)
    assert isinstance(done.exception, BadConfiguration)
    assert f"what could be read is in {out}" in done.exception.one_line()
    assert len([entry for entry in read_messages(out) if isinstance(entry, RecordedMessage)]) == 24


def test_a_vendors_message_says_by_itself_what_is_an_identity(tmp_path: Path) -> None:
    @message(
        "length" / Count("owner", 20),
        "owner" / Octets("length"),
        "year" / U16,
        identities={"owner": Identity.NAME},
    )
    class Owned(NamedTuple):
        """Who owns the pump."""

        owner: bytes
        year: int

        @staticmethod
        def reply_class() -> type[Any]:
            return Owned

    opcode = Opcode(0xDE)
    register_vendor(
        VendorMessages("owned", (Command.of(opcode, Owned, roles="C", while_unknown=True),), dict)
    )
    original, out = tmp_path / "vendor.pcapng", tmp_path / "shared.pcapng"
    wire = plain_frame(Kind.REQUEST, opcode, 0, 1, 0, encode(Owned(PATIENT.encode(), 1999))).wire
    original.write_bytes(recording.beginning({}, "0") + recording.passed(Way.TO_PUMP, 0, wire))
    assert redacted(original, "--out", out).exit_code == 0
    (entry,) = [entry for entry in read_messages(out) if isinstance(entry, RecordedMessage)]
    assert entry.message == Owned(b"name-1", 1999)


def test_every_field_that_could_name_somebody_says_what_it_is() -> None:
    """Bytes, and numbers of keys and memories: whoever adds one must think of it."""
    silent = [
        f"{cls.__name__}.{name}"
        for cls in declared_classes()
        if cls.__module__.startswith("protocol.")
        for name, layout in declaration_of(cls).record.parts
        if name
        and name not in declaration_of(cls).identities
        and (name.endswith(("key_id", "memory_id")) or type(layout).__name__ in {"Bytes", "Octets"})
    ]
    assert silent == ["LogEntry.data"], "the data of an entry has declarations of its own"


@pytest.mark.parametrize(
    "more", [{"messages": ["the key is hunter2"]}, {"now_ms": "hunter2"}, {"secret": {"deep": "hunter2"}}]
)
def test_of_an_event_no_member_that_we_do_not_know_is_shared(more: dict[str, Any]) -> None:
    """Only `fields` and `text` were looked at, and whatever stood beside them was handed on."""
    redaction = Redaction(Pseudonyms([PATIENT]))
    (block,) = redaction.written(
        [NumberedMark(1, 0, Mark(0, recording.EVENT, json.dumps(EVENT | more)))], "1"
    )
    assert b"hunter2" not in block
    assert b"Said: words name-1" in block
    assert b"line_ms" in block


def test_what_was_done_is_a_json_document_too(tmp_path: Path) -> None:
    done = redacted(SESSIONS / "mri.pcapng", "--out", tmp_path / "shared.pcapng", "--json")
    document = json.loads(done.stdout)
    assert (document["schema"], document["dropped"], document["blanked"]) == ("pumpbench/redact", 0, 0)
    assert document["pseudonyms"]["serial number"] == 1
